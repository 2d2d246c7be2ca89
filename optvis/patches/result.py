"""What a trial of a patch found: confidence by size and place, flips beside those of controls."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from optvis.data.files import atomic_write, ensure_dir
from optvis.patches.paste import paste
from optvis.viz.plots import plot_curves
from optvis.viz.result import png_path
from optvis.viz.sheet import draw_sheet, encode_png, stack_rows

if TYPE_CHECKING:
    from PIL import Image

NORMAL = 1.959964  # the normal distribution's 97.5 % point
PANEL = (190, 380)  # height and width of a plot in pixels


@dataclass(frozen=True)
class Rate:
    """A share of images with its 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Example:
        >>> rate_of(9, 10)
        90.0 % (59.6 to 98.2 % of 10)
    """

    share: float
    low: float
    high: float
    images: int

    def __repr__(self) -> str:
        return f"{100 * self.share:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f} % of {self.images})"


def rate_of(hits: int, images: int) -> Rate:
    """So many of so many images, at least one."""
    share, spread = hits / images, NORMAL**2 / images
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half), images)


@dataclass(frozen=True, eq=False)
class Trial:
    """A patch, and its controls, pasted onto B images at S sizes and L places; shows itself in a notebook.

    Args:
        classes: what the images show, and what the patch should make of them.
        names: of the N patches that were tried: "patch", the user's controls, "flat", "shuffled", "piece".
        sizes: longer sides in pixels, rising.
        places: of centres, down and across in shares of the image, by name.
        before: confidence of both classes with nothing pasted, (B, 2) in [0, 1].
        answers: confidence of both, and 1 where each is the likeliest, (N, S, L, B, 4).
        judged_from: the first images chose size and place; from this one on they judge.
        images: (B, 3, H, W) in [0, 1], all called the first class.
        patches: the patches themselves, (4, h, w) each, taken in turn, by name.
        recipe: everything that made it, in JSON's types.
    """

    classes: tuple[str, str]
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    places: Mapping[str, tuple[float, float]]
    before: Tensor
    answers: Tensor
    judged_from: int
    images: Tensor
    patches: Mapping[str, Sequence[Tensor]]
    recipe: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def best(self) -> tuple[int, str]:
        """The size and place at which the patch, on the images that choose, does most beyond its best control."""
        mean = self.answers[..., : self.judged_from, 1].mean(3)
        gain = (mean[0] - mean[1:].amax(0)).flatten()
        size, place = divmod(int(gain.argmax()), len(self.places))
        return self.sizes[size], list(self.places)[place]

    def confidence(self, name: str = "patch") -> Tensor:
        """The mean confidence of both classes at each size and place, over all images, (S, L, 2) in [0, 1].

        Raises:
            KeyError: no patch of this name was tried.
        """
        return self.answers[self._row(name), ..., :2].mean(2)

    def flips(self, name: str = "patch", *, size: int | None = None, place: str | None = None) -> Rate:
        """How many of the images that judge are called the second class with a patch on them.

        Args:
            name: of the patch or of a control.
            size: in pixels; by default the best one.
            place: by name; by default the best one.

        Raises:
            KeyError: a name, a size or a place that was not tried.
        """
        at_size, at_place = self.best
        size, place = at_size if size is None else size, at_place if place is None else place
        if size not in self.sizes or place not in self.places:
            raise KeyError(f"{size} px at {place!r} was not tried; there are {self.sizes} and {list(self.places)}")
        rows = self._row(name), self.sizes.index(size), list(self.places).index(place)
        judging = self.answers[rows][self.judged_from :, 3]
        return rate_of(int(judging.sum()), len(judging))

    def table(self) -> str:
        """Flips of the patch and of each control, at the best size and place, as text."""
        of, into = self.classes
        size, place = self.best
        width = max(map(len, self.names))
        rows = [f"{name:<{width}}  {self.flips(name)}" for name in self.names]
        return "\n".join([f"{of} called {into}, with {size} px at the {place}", *rows])

    def plot(self) -> Image.Image:
        """For each place, both classes' confidence over the patch's size, and the second's with each control."""
        found = {name: 100 * self.confidence(name) for name in self.names}
        panels = []
        for row, place in enumerate(self.places):
            told = {self.classes[1]: found["patch"][:, row, 1], self.classes[0]: found["patch"][:, row, 0]}
            told |= {f"{self.classes[1]}, {name}": found[name][:, row, 1] for name in self.names[1:]}
            panels.append(
                plot_curves(
                    self.sizes,
                    {name: line.tolist() for name, line in told.items()},
                    f"{place}: confidence, %, by pixels",
                    PANEL,
                )
            )
        return stack_rows([panels[start : start + 2] for start in range(0, len(panels), 2)])

    def sheet(self, count: int = 6) -> Image.Image:
        """Some of the images that judge, bare, with the patch and with each control, with their answers.

        Args:
            count: how many images at most.
        """
        rows = range(self.judged_from, min(len(self), self.judged_from + count))
        size, place = self.best
        tiles, texts = [self.images[row] for row in rows], [self._told(self.before[row]) for row in rows]
        at = self.sizes.index(size), list(self.places).index(place)
        for number, name in enumerate(self.names):
            turn = self.patches[name]
            tiles += [paste(turn[row % len(turn)], self.images[row], size, self.places[place]) for row in rows]
            texts += [f"{name}: {self._told(self.answers[(number, *at)][row])}" for row in rows]
        return draw_sheet(torch.stack(tiles), texts, columns=len(rows))

    def save(self, path: str | Path) -> Path:
        """Write curves and examples as one PNG with the recipe in it; returns its path. Written whole or not at all.

        Raises:
            ValueError: a path that does not end in .png.
            OSError: the folder cannot be written.
        """
        target = png_path(path)
        ensure_dir(target.parent)
        size, place = self.best
        told = {"of": self.classes[0], "into": self.classes[1], "sizes": self.sizes, "places": dict(self.places)}
        found = {"size": size, "place": place, "flips": {name: vars(self.flips(name)) for name in self.names}}
        return atomic_write(target, encode_png(self._picture(), json.dumps(told | found | dict(self.recipe))))

    def _told(self, answers: Tensor) -> str:
        return ", ".join(
            f"{text} {100 * float(share):.0f} %" for text, share in zip(self.classes, answers, strict=False)
        )

    def _row(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(f"no patch {name!r}; there are {', '.join(map(repr, self.names))}")
        return self.names.index(name)

    def _picture(self) -> Image.Image:
        return stack_rows([[self.plot()], [self.sheet()]])

    def _repr_png_(self) -> bytes:
        return encode_png(self._picture())

    def __repr__(self) -> str:
        size, place = self.best
        of, into = self.classes
        return f"Trial({len(self)} of {of!r} into {into!r}: {self.flips()} with {size} px at {place!r})"


__all__ = ["Rate", "Trial", "rate_of"]
