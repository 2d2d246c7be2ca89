"""What is said about images when they are done: unchanged scores, blank images, pixels outside [0, 1], ceilings."""

from optvis.rendering.image_warnings.ceiling import Ceiling, find_ceilings
from optvis.rendering.image_warnings.warn import (
    BLANK,
    blank_images,
    find_image_ceilings,
    warn_about_images,
    warn_about_scores,
)

__all__ = [
    "BLANK",
    "Ceiling",
    "blank_images",
    "find_ceilings",
    "find_image_ceilings",
    "warn_about_images",
    "warn_about_scores",
]
