"""Linear erasure: affine maps of a layer, after which a class can't be read there."""
