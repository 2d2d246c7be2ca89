"""Image parameterizations: free parameters, and invertible maps from them to colours in [0, 1].

A parameterization is an `nn.Module` without inputs whose output is the images, (B, 3, H, W).

    >>> from optvis.params import fft_image
    >>> fft_image(64, seeds=(0, 1))().shape
    torch.Size([2, 3, 64, 64])

Any such module can be rendered. This one has a single colour:

    >>> import torch
    >>> class SingleColor(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.color = torch.nn.Parameter(torch.zeros(1, 3, 1, 1))
    ...     def forward(self):
    ...         return self.color.sigmoid().expand(-1, -1, 64, 64)
    >>> SingleColor()().shape
    torch.Size([1, 3, 64, 64])
"""

from optvis.arguments import check_package
from optvis.params.canvas import FFT, Canvas, Pixels
from optvis.params.color import IMAGENET_COLOR, ColorMap, DecorrelatedColor, Grayscale, Sigmoid, color_matrix
from optvis.params.cppn import CPPN, cppn_image
from optvis.params.fixed import FixedRegion, fix_images, fix_region
from optvis.params.image import ImageParam, alpha_image, channels_image, fft_image, grayscale_image, pixel_image
from optvis.params.phase import Phase, phase_image
from optvis.params.pyramid import Pyramid, pyramid_image
from optvis.params.shared import SharedLowRes, shared_image
from optvis.params.spectrum import mean_spectrum, one_over_f
from optvis.params.streams import Streams

__all__ = [
    "CPPN",
    "FFT",
    "IMAGENET_COLOR",
    "Canvas",
    "ColorMap",
    "DecorrelatedColor",
    "FixedRegion",
    "Grayscale",
    "ImageParam",
    "Phase",
    "Pixels",
    "Pyramid",
    "SharedLowRes",
    "Sigmoid",
    "Streams",
    "alpha_image",
    "channels_image",
    "color_matrix",
    "cppn_image",
    "fft_image",
    "fix_images",
    "fix_region",
    "grayscale_image",
    "mean_spectrum",
    "one_over_f",
    "phase_image",
    "pixel_image",
    "pyramid_image",
    "shared_image",
]

check_package(__name__)
