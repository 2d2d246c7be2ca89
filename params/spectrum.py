"""Magnitudes of spectra: 1 / f^decay, or the mean over images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.params.canvas import frequency_scale, height_and_width
from optvis.params.color import ColorMap, DecorrelatedColor, Sigmoid, check_range


def one_over_f(size: int | tuple[int, int], decay: float = 1.0) -> Tensor:
    """Compute 1 / max(f, 1 / max(H, W))^decay for each frequency f of a real FFT, in cycles per pixel.

    Natural images have such spectra, with a decay near 1 (Field 1987, doi:10.1364/JOSAA.4.002379).

    Args:
        size: side, or (height, width), in pixels.
        decay: power of the frequency.

    Returns:
        (H, W // 2 + 1), float64.

    Example:
        >>> one_over_f(4)[0]
        tensor([4., 4., 2.], dtype=torch.float64)
    """
    return frequency_scale(height_and_width(size), decay, gain=1.0)


@torch.no_grad()
def mean_spectrum(images: Tensor, maps: Sequence[ColorMap] | None = None) -> Tensor:
    """Average the magnitude of images' spectra before the colour maps: `⟨|rfft2(maps⁻¹(x))|⟩`, orthonormal.

    MACO keeps this magnitude fixed (Fel et al. 2023, arXiv:2306.06805). Here it comes from images of your own.

    Args:
        images: (N, C, H, W) in [0, 1], all of one size.
        maps: the colour maps from the canvas to the images; by default those of `phase_image`: decorrelated colour,
            where there are three channels, and a sigmoid.

    Returns:
        (C, H, W // 2 + 1), float64, on the CPU: the `spectrum` of `Phase`, for canvases of any size.

    Raises:
        ValueError: images of another shape, or none.

    Example:
        >>> mean_spectrum(torch.rand(5, 3, 32, 48)).shape
        torch.Size([3, 32, 25])
    """
    if images.dim() != 4 or not len(images):
        raise ValueError(f"images are {tuple(images.shape)}; expected (N, C, H, W), one or more")
    if maps is None or len(maps):  # without maps the images are the output of a canvas, which is unbounded
        check_range(images, "images")
    canvas = images.detach().cpu().double()
    defaults = (DecorrelatedColor(), Sigmoid()) if images.shape[1] == 3 else (Sigmoid(),)
    for color_map in reversed(defaults if maps is None else maps):
        canvas = color_map.inverse(canvas)
    magnitudes: Tensor = torch.fft.rfft2(canvas, norm="ortho").abs()
    return magnitudes.mean(0)


def resample(spectrum: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate magnitudes bilinearly at the frequencies of another size, in cycles per pixel.

    Args:
        spectrum: (C, h, w // 2 + 1); w is assumed to be even if the sizes differ.
        size: (H, W) in pixels.

    Returns:
        (C, H, W // 2 + 1), float64; the spectrum itself if it has that shape.

    Example:
        >>> resample(torch.tensor([[[8.0, 4.0, 2.0]]]), (1, 8))
        tensor([[[8., 6., 4., 3., 2.]]], dtype=torch.float64)
    """
    height, width = size
    spectrum = spectrum.detach().cpu().double()
    if spectrum.shape[1:] == (height, width // 2 + 1):
        return spectrum
    rows, columns = spectrum.shape[1:]
    # Row i has frequency i / rows, modulo 1.
    down = torch.fft.fftfreq(height, dtype=torch.float64, device="cpu") % 1 * rows
    across = torch.fft.rfftfreq(width, dtype=torch.float64, device="cpu") * (2 * (columns - 1))
    above, left = down.floor().long() % rows, across.floor().long().clamp(max=columns - 1)
    below, right = (above + 1) % rows, (left + 1).clamp(max=columns - 1)
    tall = torch.lerp(spectrum[:, above], spectrum[:, below], (down - down.floor()).view(-1, 1))
    return torch.lerp(tall[..., left], tall[..., right], across - across.floor())
