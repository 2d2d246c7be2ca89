"""Canvases: modules without inputs whose output is a batch of unbounded images, (B, C, H, W)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from optvis.params.dtype import parameter_dtype
from optvis.params.streams import Streams

MAX_PIXELS = 2**26  # of one image: a spectrum of more would take gigabytes
MAX_CHANNELS = 2**14
MAX_DECAY = 8  # the spectrum of a larger one overflows
MAX_SD = 1e3  # of noise in front of a sigmoid
LUCID_SD = 0.01  # standard deviation of the first noise (lucid.optvis.param, 2017)
LUCID_GAIN = 4.0  # the image is divided by this, which keeps the sigmoid out of saturation (likewise)


def height_and_width(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) in pixels for a side or for both.

    Raises:
        ValueError: no positive integer, nor two of them; more than 2^26 pixels.

    Example:
        >>> height_and_width(64), height_and_width((33, 47))
        ((64, 64), (33, 47))
    """
    sides = tuple(size) if isinstance(size, Iterable) else (size, size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"size is {size!r}; expected one positive integer or (height, width), in pixels")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"size is {size!r}, {sides[0] * sides[1]:,} pixels; expected at most {MAX_PIXELS:,}")
    return sides[0], sides[1]


def check_channels(channels: int) -> int:
    """Return a number of channels.

    Raises:
        ValueError: under 1, or more than a convolution takes.
    """
    if not 1 <= channels <= MAX_CHANNELS:
        raise ValueError(f"channels is {channels}; expected 1 to {MAX_CHANNELS:,}")
    return channels


class Canvas(nn.Module, ABC):
    """A batch of unbounded images; the first axis of every parameter is the image's.

    Subclasses define `forward`, `fill_` and `size`.
    """

    BUFFERS_PER_IMAGE: ClassVar[tuple[str, ...]] = ()  # names of buffers whose first axis is the image's too
    _size: tuple[int, int]  # (H, W) in pixels
    couples_images: ClassVar[bool] = False  # whether images share parameters, so that a batch cannot be split
    # Builds an optimizer that fits the canvas; None for the default.
    optimizer: ClassVar[Callable[..., torch.optim.Optimizer] | None] = None

    @abstractmethod
    def forward(self) -> Tensor:
        """Compute the images, (B, C, H, W), unbounded."""

    @abstractmethod
    def fill_(self, images: Tensor) -> Self:
        """Set the parameters so that the output is `images`, (B, C, H, W) or (1, C, H, W)."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels: what a subclass stores as `_size`."""
        return self._size

    def __len__(self) -> int:
        return len(next(self.parameters()))

    def __getitem__(self, rows: slice) -> Self:
        """Copy some of the images into an independent canvas."""
        if not isinstance(rows, slice):
            raise TypeError(f"a canvas takes slices, got [{rows!r}]; for image i write [i:i + 1]")
        if self.couples_images:
            raise ValueError(
                f"{type(self).__name__} couples images, so a batch of them cannot be split: "
                "take all, with no slice or batch_size"
            )
        parts: dict[int, Any] = {id(p): nn.Parameter(p.detach()[rows].clone()) for p in self.parameters()}
        parts |= {id(values): values[rows].clone() for values in map(self.get_buffer, self.BUFFERS_PER_IMAGE)}
        parts |= {id(value): value[rows] for value in vars(self).values() if isinstance(value, Streams)}
        return copy.deepcopy(self, parts)

    def with_size(self, size: int | tuple[int, int]) -> Self:
        """Return the same images at another size, where the canvas has no size of its own.

        Raises:
            TypeError: the canvas consists of pixels or frequencies of one size.
        """
        height_and_width(size)
        raise TypeError(f"{type(self).__name__} has one size, {self.size}; a CPPN can be rendered at any")

    def format_repr(self, streams: Streams, **options: Any) -> str:
        """Write the constructor call for the `repr`, without options that are None and without three channels."""
        defaults = {"channels": 3}
        text = [f"{name}={value!r}" for name, value in options.items() if value not in (None, defaults.get(name))]
        return f"{type(self).__name__}({', '.join([repr(self.size), repr(streams), *text])})"


class Pixels(Canvas):
    """A canvas whose parameters are the pixels, with N(0, sd) noise at first.

    Args:
        size: side, or (height, width), in pixels.
        streams: one per image, for the first noise.
        channels: number of channels C.
        sd: standard deviation of the first noise; 0 gives a constant canvas.

    Example:
        >>> Pixels(8, Streams((0,), "canvas"))().shape
        torch.Size([1, 3, 8, 8])
    """

    def __init__(self, size: int | tuple[int, int], streams: Streams, channels: int = 3, sd: float = LUCID_SD) -> None:
        super().__init__()
        self._size = height_and_width(size)
        noise = check_sd(sd) * streams.normal(check_channels(channels), *self._size)
        self.streams, self.sd = streams, sd
        self.values = nn.Parameter(noise.to(parameter_dtype()))

    def forward(self) -> Tensor:
        return self.values

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        self.values.copy_(require_shape(images, self.values.shape))
        return self

    def __repr__(self) -> str:
        return self.format_repr(self.streams, channels=self.values.shape[1], sd=self.sd)


class FFT(Canvas):
    """A canvas whose parameters are the spectrum, each frequency scaled by 1 / f^decay as in natural images.

    The image is the orthonormal inverse real FFT of spectrum · max(f, 1 / max(H, W))^-decay, divided by 4, with
    f in cycles per pixel. Constants and scaling are Lucid's (lucid.optvis.param.spatial.fft_image, 2017): steepest
    ascent then changes all frequencies alike (Olah et al., "Feature Visualization", Distill 2017,
    doi:10.23915/distill.00007). Unlike there, odd widths are exact and `sd=0` gives zero.

    Args:
        size: side, or (height, width), in pixels.
        streams: one per image, for the first spectrum.
        decay: power of the frequency; 0 leaves the spectrum white.
        channels: number of channels C.
        sd: standard deviation of the real and imaginary parts of the first spectrum.

    Example:
        >>> FFT((33, 47), Streams((0,), "canvas"))().shape
        torch.Size([1, 3, 33, 47])
    """

    scale: Tensor

    def __init__(
        self, size: int | tuple[int, int], streams: Streams, decay: float = 1.0, channels: int = 3, sd: float = LUCID_SD
    ) -> None:
        super().__init__()
        self._size = height_and_width(size)
        self.streams, self.decay, self.sd = streams, decay, sd
        height, width = self._size
        noise = check_sd(sd) * streams.normal(check_channels(channels), height, width // 2 + 1, 2)
        dtype = parameter_dtype()
        self.spectrum = nn.Parameter(noise.to(dtype))
        self.register_buffer("scale", spectrum_scale(self._size, decay).to(dtype), persistent=False)

    def forward(self) -> Tensor:
        return from_spectrum(self.spectrum, self.scale, self._size)

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        images = require_shape(images, (*self.spectrum.shape[:2], *self._size)).to(self.spectrum)
        self.spectrum.copy_(to_spectrum(images, self.scale))
        return self

    def __repr__(self) -> str:
        return self.format_repr(self.streams, decay=self.decay, channels=self.spectrum.shape[1], sd=self.sd)


def frequency_scale(size: tuple[int, int], decay: float, gain: float = LUCID_GAIN) -> Tensor:
    """Compute max(f, 1 / max(H, W))^-decay / gain for each frequency f of a real FFT, (H, W // 2 + 1), float64."""
    if not -MAX_DECAY <= decay <= MAX_DECAY:
        raise ValueError(f"decay is {decay}; expected {-MAX_DECAY} to {MAX_DECAY}")
    height, width = size
    down = torch.fft.fftfreq(height, dtype=torch.float64, device="cpu")
    across = torch.fft.rfftfreq(width, dtype=torch.float64, device="cpu")
    frequency = torch.hypot(down.unsqueeze(1), across.unsqueeze(0))
    return frequency.clamp(min=1 / max(size)).pow(-decay) / gain


def spectrum_scale(size: tuple[int, int], decay: float) -> Tensor:
    """Compute `frequency_scale` of each real and imaginary part, (H, W // 2 + 1, 2).

    A factor for each of the two is multiplied several times faster than one that is broadcast over both.
    """
    return frequency_scale(size, decay).unsqueeze(-1).repeat(1, 1, 2)


def from_spectrum(spectrum: Tensor, scale: Tensor, size: tuple[int, int]) -> Tensor:
    """Synthesize images (B, C, H, W) from the real and imaginary parts of their spectrum, (B, C, H, W // 2 + 1, 2)."""
    images: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum * scale), s=size, norm="ortho")
    return images


def to_spectrum(images: Tensor, scale: Tensor) -> Tensor:
    """Find the parts from which `from_spectrum` synthesizes the images."""
    return torch.view_as_real(torch.fft.rfft2(images, norm="ortho")) / scale


def check_sd(sd: float) -> float:
    """Return the standard deviation of a canvas's first noise.

    Raises:
        ValueError: it is negative, or so large that the image overflows.
    """
    if not 0 <= sd <= MAX_SD:
        raise ValueError(f"sd is {sd}; expected 0 to {MAX_SD:g}")
    return sd


def require_shape(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the images, (B, C, H, W) or (1, C, H, W), after a check that a canvas of this shape can hold them.

    Raises:
        ValueError: images of another shape.
    """
    batch, *rest = shape
    if images.dim() != 4 or list(images.shape[1:]) != rest or images.shape[0] not in (1, batch):
        raise ValueError(f"images are {tuple(images.shape)}; this canvas holds {tuple(shape)}")
    return images
