"""Where an image lives: free parameters, and the invertible maps that turn them into RGB in [0, 1].

A parameterization is an `nn.Module` without inputs whose output is the images, (B, 3, H, W).

    >>> from optvis.params import fft_image
    >>> fft_image(64, seeds=(0, 1))().shape
    torch.Size([2, 3, 64, 64])
"""

from optvis.params.canvas import FFT, Canvas, Pixels
from optvis.params.color import IMAGENET_COLOR, ColorMap, Decorrelated, Sigmoid
from optvis.params.image import ImageParam, fft_image, pixel_image
from optvis.params.streams import Streams

__all__ = [
    "FFT",
    "IMAGENET_COLOR",
    "Canvas",
    "ColorMap",
    "Decorrelated",
    "ImageParam",
    "Pixels",
    "Sigmoid",
    "Streams",
    "fft_image",
    "pixel_image",
]
