"""DeepDream: gradient ascent on an image at several sizes, octave by octave."""

from optvis.rendering.dreams.dream import black_start, divide_by_std, dream, identity, noise_start
from optvis.rendering.dreams.octaves import Octaves

__all__ = ["Octaves", "black_start", "divide_by_std", "dream", "identity", "noise_start"]
