"""The tour that `optvis demo` writes: the whole chain on the embedded network, one page of pictures."""
