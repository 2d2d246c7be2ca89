"""Which units of a layer a class depends on."""
