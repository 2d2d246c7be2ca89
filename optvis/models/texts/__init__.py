"""Networks of images and texts as classifiers whose classes are texts."""

from optvis.models.texts.zero_shot import zero_shot

__all__ = ["zero_shot"]
