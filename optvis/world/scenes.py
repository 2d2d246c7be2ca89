"""Scenes and datasets of scenes, with labels and a mask for each part."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.data.images import load_image
from optvis.models.embedded.labels import LABELS
from optvis.objectives.labels import index_of
from optvis.viz.sheet import encode_png, to_pil_image
from optvis.world.drawing.canvas import SIZE, SceneCanvas
from optvis.world.scene_classes import SCENE_CLASSES, draw_scene

MAX_SCENES = 2**24  # of one dataset


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene with its ground truth.

    Args:
        image: (3, 96, 96) in [0, 1].
        label: name of its class.
        index: the label's place in `LABELS`.
        masks: for each part in the scene, how much of each pixel shows it, (96, 96) in [0, 1].
        seed: what it was drawn from.
    """

    image: Tensor
    label: str
    index: int
    masks: Mapping[str, Tensor]
    seed: int

    def _repr_png_(self) -> bytes:
        return encode_png(to_pil_image(load_image(self.image, 2 * SIZE)[0]))

    def __repr__(self) -> str:
        return f"scene({self.label!r}, seed={self.seed}): {', '.join(self.masks)}"


def scene(label: str, seed: int = 0, *, without: str | Iterable[str] = (), adding: str | Iterable[str] = ()) -> Scene:
    """Draw a scene of a class; the same seed gives the same pixels, with or without one of its parts.

    Args:
        label: one of `LABELS`.
        seed: 0 or more.
        without: parts to leave out. All else stays the same, so the images differ only where these parts' masks are
            above 0.
        adding: parts to draw although this scene would not have them: noodles in a pan or in an empty wok, an arm.

    Raises:
        KeyError: no class has this label; the message names the nearest ones.
        ValueError: the class has no such part, or the seed is negative.

    Example:
        >>> scene("container ship", seed=7)
        scene('container ship', seed=7): bridge, containers, hull
        >>> scene("container ship", seed=7, without=("containers",)).image.shape
        torch.Size([3, 96, 96])
    """
    index, seed = index_of(label, LABELS), operator.index(seed)
    scene_class, left_out, added = SCENE_CLASSES[index], _part_names(without), _part_names(adding)
    unknown = (left_out | added) - {*scene_class.parts, *scene_class.optional_parts}
    if unknown:
        raise ValueError(f"{scene_class.label} has no part {min(unknown)!r}; it has {', '.join(scene_class.parts)}")
    check_minimum(0, seed=seed)
    canvas = draw_scene(scene_class, seed, left_out, added)
    masks = {name: torch.from_numpy(mask.clip(0, 1)) for name, mask in canvas.masks.items()}
    image = torch.from_numpy(_to_bytes(canvas)).permute(2, 0, 1).contiguous() / 255
    return Scene(image, scene_class.label, index, MappingProxyType(masks), seed)


def dataset(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw scenes of all classes in turn, so that each class has as many as the others, or one more.

    Args:
        n: number of scenes, B.
        seed: 0 or more; datasets of different seeds have no scene in common. Scene i is
            `scene(LABELS[i % 16], seed * 2**32 + i)`.

    Returns:
        images (B, 3, 96, 96) in [0, 1], labels (B,)

    Raises:
        ValueError: n or seed is negative.

    Example:
        >>> images, labels = dataset(32)
        >>> images.shape, labels.bincount().tolist() == [2] * 16
        (torch.Size([32, 3, 96, 96]), True)
    """
    n, seed = _check_size(n, seed)
    images = torch.empty(n, 3, SIZE, SIZE, dtype=torch.float32, device="cpu")
    for index in range(n):
        images[index] = torch.from_numpy(draw_images([index], seed)[0]).permute(2, 0, 1)
    return images.div_(255), torch.arange(n, device="cpu") % len(SCENE_CLASSES)


class Scenes(Sequence[tuple[Tensor, int]]):
    """The scenes of a dataset, each drawn when it is read: (image (3, 96, 96) in [0, 1], label).

    Args:
        n: number of scenes.
        seed: 0 or more; as in `dataset`.

    Raises:
        ValueError: n or seed is negative.

    Example:
        >>> scenes = Scenes(20_000, seed=5)
        >>> image, label = scenes[3]
        >>> image.shape, LABELS[label], scenes.scene(3)
        (torch.Size([3, 96, 96]), 'lighthouse', scene('lighthouse', seed=21474836483): rock, tower, lantern)
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n, self.seed = _check_size(n, seed)

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(self.n)[index]]
        shown = self.scene(index)
        return shown.image, shown.index

    def scene(self, index: int) -> Scene:
        """The scene at an index, with its masks.

        Raises:
            IndexError: the index is out of range.
        """
        index = range(self.n)[index]
        return scene(LABELS[index % len(LABELS)], (self.seed << 32) + index)


def draw_images(indices: Iterable[int], seed: int) -> NDArray[np.uint8]:
    """Draw the images of a dataset at these indices, (B, 96, 96, 3) bytes."""
    classes = len(SCENE_CLASSES)
    canvases = (draw_scene(SCENE_CLASSES[index % classes], (seed << 32) + index) for index in indices)
    return np.stack([_to_bytes(canvas) for canvas in canvases])


def _check_size(n: int, seed: int) -> tuple[int, int]:
    n, seed = operator.index(n), operator.index(seed)
    if not (0 <= n <= MAX_SCENES and seed >= 0):
        raise ValueError(f"n is {n}, seed is {seed}; expected 0 to {MAX_SCENES:,}, and 0 or more")
    return n, seed


def _to_bytes(canvas: SceneCanvas) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.rint(canvas.pixels.clip(0, 1) * 255).astype(np.uint8)
    return pixels


def _part_names(parts: Iterable[str]) -> frozenset[str]:
    return frozenset([parts] if isinstance(parts, str) else parts)
