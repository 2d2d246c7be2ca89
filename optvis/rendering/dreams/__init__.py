"""DeepDream: gradient ascent on an image at several sizes, octave by octave."""

from optvis.rendering.dreams.dream import DreamOptions, black_start, divide_by_std, dream, identity, noise_start
from optvis.rendering.dreams.octaves import Octaves
from optvis.rendering.dreams.video import dream_video

__all__ = ["DreamOptions", "Octaves", "black_start", "divide_by_std", "dream", "dream_video", "identity", "noise_start"]
