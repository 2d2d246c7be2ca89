"""DeepDream: gradient ascent on an image at several sizes, octave by octave."""
