"""The tour that `optvis demo` writes: every tool of optvis on the embedded network, on one page."""
