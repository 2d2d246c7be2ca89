"""What is said about images when they are done: blank ones, ones outside [0, 1], ones at a ceiling."""

from optvis.rendering.image_warnings.ceiling import Ceiling, find_ceilings
from optvis.rendering.image_warnings.warn import BLANK, blank_images, find_image_ceilings, warn_about_images

__all__ = ["BLANK", "Ceiling", "blank_images", "find_ceilings", "find_image_ceilings", "warn_about_images"]
