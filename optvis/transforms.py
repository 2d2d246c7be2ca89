"""Random transforms between image and network: affine ones are multiplied, and sampled once."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from optvis.params.canvas import height_and_width
from optvis.params.streams import Streams

Size = tuple[int, int]
EDGE: Final = "border"


class Transform(nn.Module, ABC):
    """A transform that draws from each image's own stream."""

    @abstractmethod
    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, H', W')"""


class Affine(Transform, ABC):
    """An affine transform of the plane: a matrix per image, so that a chain of them is one warp."""

    @abstractmethod
    def matrix(self, size: Size, streams: Streams) -> Tensor:
        """From pixels (x, y, 1) of a picture of `size` (H, W) to pixels of the result, (B, 3, 3), float64, CPU."""

    def result_size(self, size: Size) -> Size:
        """(H, W) of the result."""
        return size

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return Compose(self)(images, streams)  # type: ignore[no-any-return]


class Jitter(Affine):
    """A shift by whole pixels, uniform over `pixels` + 1 places about the middle, in x and in y.

    Lucid's jitter crops `pixels` away at random; here the picture keeps its size.

    Args:
        pixels: width of the range.

    Example:
        >>> Jitter(8).matrix((64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 3])
    """

    def __init__(self, pixels: int) -> None:
        super().__init__()
        if type(pixels) is not int or pixels < 0:
            raise ValueError(f"Jitter got {pixels!r}; expected whole pixels, 0 or more")
        self.pixels = pixels

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        shift = (streams.uniform(2) * (self.pixels + 1)).floor() - self.pixels // 2
        matrix = torch.eye(3, dtype=torch.float64).repeat(len(shift), 1, 1)
        matrix[:, :2, 2] = shift
        return matrix

    def __repr__(self) -> str:
        return f"Jitter({self.pixels})"


class Scale(Affine):
    """Enlarged about the centre by one of several factors, each as likely.

    Args:
        factors: what to choose from.

    Example:
        >>> bool((Scale([2.0]).matrix((3, 3), Streams((0,), "demo"))[0, 0, 0] == 2.0))
        True
    """

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__()
        self.factors = tuple(float(factor) for factor in factors)
        if not self.factors or not all(0 < factor < math.inf for factor in self.factors):
            raise ValueError(f"Scale got {factors!r}; expected positive factors")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        factor = _chosen(self.factors, streams)
        return _about_centre(size, angle=torch.zeros_like(factor), scale=factor)

    def __repr__(self) -> str:
        return f"Scale({_listed(self.factors)})"


class Rotate(Affine):
    """Turned about the centre by one of several angles, each as likely.

    Args:
        degrees: what to choose from; positive turns anticlockwise, as in kornia.

    Example:
        >>> Rotate(range(-10, 11))
        Rotate([-10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    """

    def __init__(self, degrees: Sequence[float]) -> None:
        super().__init__()
        self.degrees = tuple(float(angle) for angle in degrees)
        if not self.degrees or not all(map(math.isfinite, self.degrees)):
            raise ValueError(f"Rotate got {degrees!r}; expected angles in degrees")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        angle = _chosen(self.degrees, streams)
        return _about_centre(size, angle=angle, scale=torch.ones_like(angle))

    def __repr__(self) -> str:
        return f"Rotate({_listed(self.degrees)})"


class Resize(Affine):
    """Stretched to a size in pixels: what the network is to see, whatever the canvas's size.

    Args:
        size: side, or (height, width); or as a float, a share of the picture's own sides.

    Example:
        >>> Resize(32)(torch.rand(2, 3, 64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, size: int | Size | float) -> None:
        super().__init__()
        if isinstance(size, float) and not size > 0:
            raise ValueError(f"Resize got {size}; expected pixels, or a positive share of the picture's sides")
        self.size = size if isinstance(size, float) else height_and_width(size)

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        matrix = torch.eye(3, dtype=torch.float64)
        height, width = self.result_size(size)
        for axis, factor in enumerate((width / size[1], height / size[0])):
            matrix[axis, axis] = factor
            matrix[axis, 2] = (factor - 1) / 2  # pixel centres lie at halves
        return matrix.repeat(len(streams), 1, 1)

    def result_size(self, size: Size) -> Size:
        if isinstance(self.size, float):
            return max(1, round(size[0] * self.size)), max(1, round(size[1] * self.size))
        return self.size

    def __repr__(self) -> str:
        return f"Resize({self.size})"


class Stages(Transform):
    """Another transform from certain steps on.

    With `Resize` it makes the network look at few pixels first, so that most steps are cheap.

    Args:
        stages: transforms by the first step at which they hold; one must hold from step 0.

    Example:
        >>> chain = Stages({0: Resize(32), 8: Compose()})
        >>> chain(torch.rand(1, 3, 64, 64), Streams((0,), "demo").at(7)).shape
        torch.Size([1, 3, 32, 32])
        >>> chain(torch.rand(1, 3, 64, 64), Streams((0,), "demo").at(8)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, stages: Mapping[int, nn.Module]) -> None:
        super().__init__()
        if 0 not in stages or min(stages) < 0:
            raise ValueError(f"Stages got steps {sorted(stages)}; expected 0 and later ones")
        self.starts = tuple(sorted(stages))
        self.chains = nn.ModuleList(Compose(stages[start]) for start in self.starts)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        place = sum(start <= streams.step for start in self.starts) - 1
        changed: Tensor = self.chains[place](images, streams)
        return changed

    def __repr__(self) -> str:
        stages = ", ".join(f"{start}: {chain!r}" for start, chain in zip(self.starts, self.chains, strict=True))
        return f"Stages({{{stages}}})"


class Pad(Transform):
    """What lies outside the canvas, however far: a grey or a colour, the mirrored picture, or its edge.

    Where nothing is said, the edge goes on.

    Args:
        fill: a level in [0, 1] or one a channel; "reflect"; or "edge".

    Example:
        >>> Compose(Pad(0.5), Jitter(8))
        Compose(Pad(0.5), Jitter(8))
    """

    MODES: Final = {"reflect": "reflection", "edge": EDGE}

    def __init__(self, fill: float | Sequence[float] | str = 0.5) -> None:
        super().__init__()
        levels = fill if isinstance(fill, Sequence) else [fill]
        is_level = len(levels) in (1, 3) and all(not isinstance(one, str) and 0 <= one <= 1 for one in levels)
        if fill not in self.MODES if isinstance(fill, str) else not is_level:
            raise ValueError(f"Pad got {fill!r}; expected a level in [0, 1], one a channel, 'reflect' or 'edge'")
        self.fill = fill
        self.mode = self.MODES[fill] if isinstance(fill, str) else "zeros"

    def level(self, images: Tensor) -> Tensor | None:
        """The constant outside, (3, 1, 1) or (1, 1, 1), where it is one."""
        return None if isinstance(self.fill, str) else images.new_tensor(self.fill).reshape(-1, 1, 1)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return images

    def __repr__(self) -> str:
        return f"Pad({self.fill!r})"


class Compose(Transform):
    """Transforms in turn. Successive affine ones are multiplied and the picture is sampled once (bilinear).

    Any other module on (B, 3, H, W) can stand in the chain, kornia's augmentations included. One that draws from
    torch's global generator is seeded from the first image's stream and the generator is put back: it repeats, but
    what it does to an image depends on the batch around it.

    Args:
        parts: transforms, or any modules.

    Example:
        >>> chain = Compose(Pad(0.5), Jitter(8), Rotate([-5, 5]), Resize(32))
        >>> chain(torch.rand(2, 3, 64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        for part in parts:
            if not isinstance(part, nn.Module):
                raise TypeError(f"Compose got {part!r}; expected modules on (B, 3, H, W)")
        self.parts = nn.ModuleList(_flat(parts))

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        outside = Pad("edge")
        matrix: Tensor | None = None
        size = (images.shape[2], images.shape[3])
        for part in self.parts:
            if isinstance(part, Pad):
                outside = part
            elif isinstance(part, Affine):
                step = part.matrix(size, streams)
                matrix = step if matrix is None else step @ matrix
                size = part.result_size(size)
            else:
                images = images if matrix is None else warped(images, matrix, size, outside)
                images = part(images, streams) if isinstance(part, Transform) else _seeded(part, images, streams)
                matrix, size = None, (images.shape[2], images.shape[3])
        return images if matrix is None else warped(images, matrix, size, outside)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.parts))})"


def _flat(parts: Iterable[nn.Module]) -> list[nn.Module]:
    """The parts, and the parts of chains among them, so that these fuse with their neighbours."""
    return [single for part in parts for single in (part.parts if isinstance(part, Compose) else [part])]


def warped(images: Tensor, matrix: Tensor, size: Size, outside: Pad) -> Tensor:
    """Sample images (B, 3, H, W) once, bilinearly: pixel p of the result shows pixel matrix⁻¹ p, (B, 3, *size)."""
    from kornia.geometry.transform import warp_affine

    matrix = matrix[:, :2].to(images.dtype).to(images.device)
    level = outside.level(images)
    inside = images if level is None else images - level
    sampled: Tensor = warp_affine(inside, matrix, size, padding_mode=outside.mode)
    return sampled if level is None else sampled.add_(level)


def _seeded(module: nn.Module, images: Tensor, streams: Streams) -> Tensor:
    seed = int(streams.uniform(1)[0].item() * 2**31)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        changed: Tensor = module(images)
    return changed


def _about_centre(size: Size, angle: Tensor, scale: Tensor) -> Tensor:
    from kornia.geometry.conversions import convert_affinematrix_to_homography
    from kornia.geometry.transform import get_rotation_matrix2d

    height, width = size
    centre = torch.tensor([[(width - 1) / 2, (height - 1) / 2]], dtype=torch.float64).expand(len(angle), 2)
    matrix = get_rotation_matrix2d(centre, angle, scale.unsqueeze(1).expand(-1, 2))
    homography: Tensor = convert_affinematrix_to_homography(matrix)
    return homography


def _chosen(choices: tuple[float, ...], streams: Streams) -> Tensor:
    place = (streams.uniform(1).squeeze(1) * len(choices)).long()
    return torch.tensor(choices, dtype=torch.float64)[place]


def _listed(numbers: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{number:g}' if float(f'{number:g}') == number else repr(number) for number in numbers)}]"


# Lucid's standard chain (lucid.optvis.transform.standard_transforms, 2017), drawn per image.
STANDARD = Compose(
    Pad(0.5),
    Jitter(8),
    Scale([1 + (i - 5) / 50 for i in range(11)]),
    Rotate([*range(-10, 11), *[0] * 5]),
    Jitter(4),
)
# Most steps on half of the pixels, the last ones on all: docs/performance.md has what that gives.
COARSE_TO_FINE = Stages({0: Compose(STANDARD, Resize(0.72)), 18: STANDARD})
