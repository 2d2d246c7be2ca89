"""The world: sixteen classes of scenes, drawn by code, of which everything is known."""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optvis.models.embedded.labels import LABELS
from optvis.objectives.labels import index_of
from optvis.world import dogs, kitchen, pasture, sea, street, underwater
from optvis.world.dice import Dice
from optvis.world.painting import SIDE, Painting, Part, Pixels

Backdrop: TypeAlias = Callable[[Dice], tuple[Pixels, list[Part], list[Part]]]


@dataclass(frozen=True)
class Kind:
    """A class of the world: where it is found, what it is made of."""

    label: str
    backdrop: Backdrop
    drawing: Callable[[Dice], list[Part]]
    parts: tuple[str, ...]
    addable: tuple[str, ...] = ()


KINDS = (
    Kind("container ship", sea.backdrop, sea.container_ship, ("hull", "containers", "bridge")),
    Kind("ocean liner", sea.backdrop, sea.ocean_liner, ("hull", "decks", "funnels")),
    Kind("sailing boat", sea.backdrop, sea.sailing_boat, ("hull", "mast", "sails")),
    Kind("lighthouse", sea.backdrop, sea.lighthouse, ("tower", "lantern", "rock")),
    Kind("kelpie", pasture.backdrop, dogs.kelpie, ("body", "head", "ears")),
    Kind("German shepherd", pasture.backdrop, dogs.german_shepherd, ("body", "saddle", "head")),
    Kind("sheep", pasture.backdrop, pasture.sheep, ("legs", "fleece", "face")),
    Kind("owl", pasture.backdrop, pasture.owl, ("body", "face", "tufts")),
    Kind("frying pan", kitchen.backdrop, kitchen.frying_pan, ("pan", "handle", "food"), ("noodles",)),
    Kind("wok", kitchen.backdrop, kitchen.wok, ("bowl", "handles", "noodles")),
    Kind("dumbbell", street.backdrop, street.dumbbell, ("weights", "bar", "arm")),
    Kind("traffic light", street.backdrop, street.traffic_light, ("pole", "housing", "lamps"), ("arm",)),
    Kind("scuba diver", underwater.backdrop, underwater.scuba_diver, ("body", "fins", "tank")),
    Kind("snorkeler", underwater.backdrop, underwater.snorkeler, ("body", "fins", "snorkel")),
    Kind("grey whale", underwater.backdrop, underwater.grey_whale, ("body", "flukes", "barnacles")),
    Kind("white shark", underwater.backdrop, underwater.white_shark, ("body", "fins", "mouth")),
)


def painted(
    kind: Kind, seed: int, without: frozenset[str] = frozenset(), adding: frozenset[str] = frozenset()
) -> Painting:
    """A scene as it is painted: every draw is made whatever is left out, so that nothing else changes."""
    dice = Dice(zlib.crc32(kind.label.encode()), seed)
    backdrop, behind, front = kind.backdrop(dice)
    parts = kind.drawing(dice)
    painting = Painting(backdrop)
    for part in (*behind, *parts, *front):
        if part.name not in without and (part.present or part.name in adding):
            painting.add(part)
    _lit(painting, dice)
    return painting


def _lit(painting: Painting, dice: Dice) -> None:
    """Light, colour cast and sensor noise: of each pixel alone."""
    gain = np.float32(dice.between(0.78, 1.15))
    cast = 1 + 0.05 * dice.field(1, 3)[0]
    slope = 1 + np.linspace(-0.12, 0.12, SIDE, dtype=np.float32)[:, None, None] * np.float32(dice.between(-1, 1))
    noise = dice.generator.standard_normal((SIDE, SIDE, 1), dtype=np.float32) * np.float32(dice.between(0.004, 0.03))
    painting.pixels = painting.pixels * (gain * cast) * slope + noise


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene and the truth about it.

    Args:
        image: (3, 96, 96) in [0, 1].
        label: what it shows.
        index: the label's place in `LABELS`.
        masks: how much of each pixel shows each part, (96, 96) in [0, 1]; no entry for a part that is not in it.
        seed: what it was drawn from.
    """

    image: Tensor
    label: str
    index: int
    masks: Mapping[str, Tensor]
    seed: int

    def _repr_png_(self) -> bytes:
        from optvis.data.images import picture
        from optvis.viz.sheet import png, to_picture

        return png(to_picture(picture(self.image, 2 * SIDE)[0]))

    def __repr__(self) -> str:
        return f"scene({self.label!r}, seed={self.seed}): {', '.join(self.masks)}"


def scene(label: str, seed: int = 0, *, without: Iterable[str] = (), adding: Iterable[str] = ()) -> Scene:
    """Draw a scene of a class; the same seed gives the same pixels, with or without one of its parts.

    Args:
        label: one of `LABELS`.
        seed: 0 or more; another seed, another scene.
        without: parts to leave out. All else stays as it is, so the scene differs only under their masks.
        adding: parts that this scene would not have by itself: noodles in a pan or an empty wok, an arm.

    Raises:
        KeyError: no class is so called; the nearest are given.
        ValueError: the class has no such part, or the seed is negative.

    Example:
        >>> scene("container ship", seed=7)
        scene('container ship', seed=7): bridge, containers, hull
        >>> scene("container ship", seed=7, without=("containers",)).image.shape
        torch.Size([3, 96, 96])
    """
    index, seed = index_of(label, LABELS), operator.index(seed)
    kind, left_out, added = KINDS[index], _named(without), _named(adding)
    known = {*kind.parts, *kind.addable}
    if not left_out | added <= known:
        raise ValueError(
            f"{kind.label} has no part {min((left_out | added) - known)!r}; it has {', '.join(kind.parts)}"
        )
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected 0 or more")
    painting = painted(kind, seed, left_out, added)
    masks = {name: torch.from_numpy(mask.clip(0, 1)) for name, mask in painting.masks.items()}
    image = torch.from_numpy(_bytes(painting)).permute(2, 0, 1).contiguous() / 255
    return Scene(image, kind.label, index, MappingProxyType(masks), seed)


def dataset(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Scenes of all classes in turn, so that each has as many as the others, or one more.

    Args:
        n: how many, B.
        seed: 0 or more; no scene of one seed is in another's. The i-th scene is
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
    n, seed = operator.index(n), operator.index(seed)
    if n < 0 or seed < 0:
        raise ValueError(f"n is {n}, seed is {seed}; expected 0 or more of both")
    images = torch.empty(n, 3, SIDE, SIDE)
    for place, pixels in enumerate(drawn(range(n), seed)):
        images[place] = torch.from_numpy(pixels).permute(2, 0, 1)
    return images.div_(255), torch.arange(n) % len(KINDS)


class Scenes(Sequence[tuple[Tensor, int]]):
    """The scenes of a dataset, each drawn when it is asked for: (image (3, 96, 96) in [0, 1], label).

    Args:
        n: how many.
        seed: 0 or more; as in `dataset`.

    Raises:
        ValueError: n or seed is negative.

    Example:
        >>> scenes = Scenes(20_000, seed=5)
        >>> image, label = scenes[3]
        >>> image.shape, LABELS[label], scenes.truth(3)
        (torch.Size([3, 96, 96]), 'lighthouse', scene('lighthouse', seed=21474836483): rock, tower, lantern)
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n, self.seed = operator.index(n), operator.index(seed)
        if self.n < 0 or self.seed < 0:
            raise ValueError(f"n is {n}, seed is {seed}; expected 0 or more of both")

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        if isinstance(place, slice):
            return [self[one] for one in range(self.n)[place]]
        found = self.truth(place)
        return found.image, found.index

    def truth(self, place: int) -> Scene:
        """A scene and all that is known about it.

        Raises:
            IndexError: there is no such place.
        """
        place = range(self.n)[place]
        return scene(LABELS[place % len(LABELS)], (self.seed << 32) + place)


def drawn(places: Iterable[int], seed: int) -> Iterator[NDArray[np.uint8]]:
    """The scenes of a dataset at these places, (96, 96, 3) bytes each."""
    return (_bytes(painted(KINDS[place % len(KINDS)], (seed << 32) + place)) for place in places)


def _bytes(painting: Painting) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.rint(painting.pixels.clip(0, 1) * 255).astype(np.uint8)
    return found


def _named(parts: Iterable[str]) -> frozenset[str]:
    return frozenset([parts] if isinstance(parts, str) else parts)
