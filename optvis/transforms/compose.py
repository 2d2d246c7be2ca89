"""Chains of transforms, with successive affine ones fused into one sampling, and chains that change with the step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from optvis.params.streams import Streams
from optvis.transforms.pad import Pad
from optvis.transforms.transform import Affine, Transform
from optvis.transforms.warp import EDGE, repeat_each, warp

NO_MATRIX = torch.zeros(1, 3, 3, dtype=torch.float64, device="cpu")  # where matrices were computed in advance


class Compose(Transform):
    """Apply transforms in turn. The matrices of successive affine ones are multiplied: one bilinear sampling.

    Any other module on (B, 3, H, W) can be in the chain, e.g. an augmentation of kornia. Where it draws from torch's
    global generator, this is seeded from the first image's stream and restored afterwards: the result repeats, but
    depends on the batch.

    Where there are V times as many streams as images, it gives V views of each image, one after the other, without
    copies of the images where the chain begins with affine transforms.

    Args:
        parts: transforms, or any modules.

    Example:
        >>> from optvis.transforms import Jitter, Pad, Resize, Rotate
        >>> chain = Compose(Pad(0.5), Jitter(8), Rotate([-5, 5]), Resize(32))
        >>> chain(torch.rand(2, 3, 64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        for part in parts:
            if not isinstance(part, nn.Module):
                raise TypeError(f"Compose got {part!r}; expected modules on (B, 3, H, W)")
        self.parts = nn.ModuleList(_flatten(parts))

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        padding, images = EDGE, _require_images(images)
        matrix: Tensor | None = None
        size = (images.shape[2], images.shape[3])
        for part in self.parts:
            if isinstance(part, Pad):
                padding = part.padding(images, streams)
            elif isinstance(part, Affine):
                step = NO_MATRIX.expand(len(streams), 3, 3) if streams.is_drawn else part.matrix(size, streams)
                matrix = step if matrix is None or streams.is_drawn else step @ matrix
                size = part.result_size(size)
            else:
                if matrix is not None:
                    images = warp(images, matrix, size, padding, streams)
                elif not isinstance(part, Stages):
                    images = repeat_each(images, len(streams))
                moved = part(images, streams) if isinstance(part, Transform) else _run_seeded(part, images, streams)
                images = _require_images(moved, part)
                matrix, size = None, (images.shape[2], images.shape[3])
        return repeat_each(images, len(streams)) if matrix is None else warp(images, matrix, size, padding, streams)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.parts))})"


def _require_images(images: Any, part: nn.Module | None = None) -> Tensor:
    if not isinstance(images, Tensor) or images.dim() != 4:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        origin = "images are" if part is None else f"{type(part).__name__} gives"
        raise ValueError(f"{origin} {shape}; expected images, (B, C, H, W)")
    return images


class Stages(Transform):
    """Apply a different transform from certain steps on.

    With `Resize`, early steps run at a lower resolution, which makes them fast.

    Args:
        stages: first step -> transform from there on; one must start at step 0.

    Example:
        >>> from optvis.transforms import Resize
        >>> chain = Stages({0: Resize(32), 8: Compose()})
        >>> chain(torch.rand(1, 3, 64, 64), Streams((0,), "demo").seek(7)).shape
        torch.Size([1, 3, 32, 32])
        >>> chain(torch.rand(1, 3, 64, 64), Streams((0,), "demo").seek(8)).shape
        torch.Size([1, 3, 64, 64])
    """

    def __init__(self, stages: Mapping[int, nn.Module]) -> None:
        super().__init__()
        if 0 not in stages or min(stages) < 0:
            raise ValueError(f"Stages got steps {sorted(stages)}; expected 0 and later ones")
        self.starts = tuple(sorted(stages))
        self.chains = nn.ModuleList(Compose(stages[start]) for start in self.starts)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        stage = sum(start <= streams.step for start in self.starts) - 1
        transformed: Tensor = self.chains[stage](images, streams)
        return transformed

    def __repr__(self) -> str:
        stages = ", ".join(f"{start}: {chain!r}" for start, chain in zip(self.starts, self.chains, strict=True))
        return f"Stages({{{stages}}})"


def _flatten(parts: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """List the parts, with chains among them replaced by their parts, so that these fuse with their neighbours."""
    for part in parts:
        if isinstance(part, Compose):
            yield from part.parts
        else:
            yield from _flatten(part) if type(part) is nn.Sequential else [part]


def _run_seeded(module: nn.Module, images: Tensor, streams: Streams) -> Tensor:
    seed = int(streams.uniform(1)[0].item() * 2**31)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        transformed: Tensor = module(images)
    return transformed
