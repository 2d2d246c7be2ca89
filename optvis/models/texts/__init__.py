"""Networks of images and texts as classifiers whose classes are texts."""
