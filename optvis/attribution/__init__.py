"""Which channels and positions of a layer carried a score."""
