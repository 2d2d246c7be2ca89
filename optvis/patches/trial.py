"""The result of pasting a patch: confidence by size and position, and flip rates beside those of control patches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from optvis.arguments import check_axes, check_count
from optvis.formatting import format_count
from optvis.patches.paste import paste
from optvis.patches.rate import Rate, estimate_rate
from optvis.viz.charts import plot_lines
from optvis.viz.figures import PANEL, caption_figure, draw_pixels, house_style, new_figure
from optvis.viz.result import Result
from optvis.viz.sheet import draw_sheet, stack_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

PATCH_KEY = "patches"  # of a patch's tensor in a file: patches.<index of its name>.<index among those of the name>


@dataclass(frozen=True, eq=False)
class PatchTrial(Result):
    """A patch and its controls, pasted onto B images at S sizes and L positions; shows itself in a notebook.

    Args:
        source: the class of the images, as text.
        target: the class that the patch should change the prediction to.
        names: of N patches: "patch", the user's controls, "flat", "shuffled", "piece".
        sizes: longer sides of the pasted patches in pixels, rising.
        positions: of their centres by name, down and across as shares of the image.
        clean_confidence: confidence of source and target without a patch, (B, 2) in [0, 1].
        predictions: with each patch: confidence of source and target, and 1 where each is the predicted class,
            (N, S, L, B, 4).
        test_start: the images before this index select size and position; flip rates are those of the others.
        images: (B, 3, H, W) in [0, 1], all predicted as the source class.
        patches: (4, h, w) each, by name; image number i gets number i modulo their count.
        recipe: everything that computed it, in JSON types.
    """

    KIND = "patch trial"
    TENSOR_FIELDS: ClassVar = {"clean_confidence": "B 2", "predictions": "N S L B 4: finite float", "images": "B 3 H W"}
    TEXT_FIELDS = ("source", "target")
    JSON_FIELDS: ClassVar = {
        "names": tuple[str, ...],
        "sizes": tuple[int, ...],
        "positions": Mapping[str, tuple[float, float]],
        "test_start": int,
    }

    source: str
    target: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    positions: Mapping[str, tuple[float, float]]
    clean_confidence: Tensor
    predictions: Tensor
    test_start: int
    images: Tensor
    patches: Mapping[str, Sequence[Tensor]]
    recipe: Mapping[str, Any]

    def _check(self, sizes: Mapping[str, int]) -> None:
        for letter, name in (("N", "names"), ("S", "sizes"), ("L", "positions")):
            check_count(name, len(getattr(self, name)), sizes[letter], "rows of predictions")
        if not 0 <= self.test_start < len(self) or self.names[:1] != ("patch",):
            raise ValueError(f"test_start is {self.test_start} of {len(self)} images, names are {self.names}")
        for name in self.names:
            for patch in self.patches[name]:
                check_axes({f"patch {name!r}": patch}, "4 h w")

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def best(self) -> tuple[int, str]:
        """Size and position with the largest confidence in the target beyond the best control's.

        Only the images before `test_start` count.
        """
        mean = self.predictions[..., : self.test_start, 1].mean(3)
        gain = (mean[0] - mean[1:].amax(0)).flatten()
        size, position = divmod(int(gain.argmax()), len(self.positions))
        return self.sizes[size], list(self.positions)[position]

    def confidence(self, name: str = "patch") -> Tensor:
        """Mean confidence of source and target at each size and position, over all images, (S, L, 2) in [0, 1]."""
        return self.predictions[self._index(name), ..., :2].mean(2)

    def flip_rate(self, name: str = "patch", *, size: int | None = None, position: str | None = None) -> Rate:
        """The share of test images that are predicted as the target class with a patch on them.

        Args:
            name: of the patch or of a control.
            size, position: in pixels, and by name; by default the best ones. KeyError for those that were not tried.
        """
        best_size, best_position = self.best
        size = best_size if size is None else size
        position = best_position if position is None else position
        if size not in self.sizes or position not in self.positions:
            known = f"{self.sizes} and {list(self.positions)}"
            raise KeyError(f"{size} px at {position!r} was not tried; there are {known}")
        index = self._index(name), self.sizes.index(size), list(self.positions).index(position)
        flipped = self.predictions[index][self.test_start :, 3]
        return estimate_rate(int(flipped.sum()), len(flipped))

    def table(self) -> str:
        """Flip rates of the patch and of each control, at the best size and position, as text."""
        size, position = self.best
        width = max(map(len, self.names))
        rows = [f"{name:<{width}}  {self.flip_rate(name)}" for name in self.names]
        left_out = self.recipe.get("images_left_out", 0)
        tested, others = format_count(len(self) - self.test_start, "image"), format_count(self.test_start, "other")
        counted = f"on {tested}; {others} chose size and position"
        counted += f", and {left_out} are left out, not predicted as {self.source} without a patch" if left_out else ""
        return "\n".join([f"{self.source} predicted as {self.target}, with {size} px at {position}, {counted}", *rows])

    def figure(self, ax: Axes | None = None, *, position: str | None = None) -> Figure:
        """For each position, confidence by size: of both classes with the patch, of the target with each control.

        Args:
            ax: axes for one position; by default all positions stand in a new figure.
            position: which, by name, on given axes; by default the best.
        """
        if ax is not None:
            return self._plot_position(self.best[1] if position is None else position, ax)
        columns = min(2, len(self.positions))
        rows = math.ceil(len(self.positions) / columns)
        with house_style():
            figure = new_figure((columns * PANEL[0], rows * PANEL[1] + 0.4))
            panels = figure.subplots(rows, columns, squeeze=False).flat
            for place, axes in zip(self.positions, panels, strict=False):
                self._plot_position(place, axes)
            for axes in figure.axes[len(self.positions) :]:
                axes.remove()
            caption_figure(figure, f"How confident is the network, of {self.source} with a patch for {self.target}?")
        return figure

    def _plot_position(self, position: str, ax: Axes) -> Figure:
        index = list(self.positions).index(position)
        confidence = {name: 100 * self.confidence(name)[:, index] for name in self.names}
        curves = {label: confidence["patch"][:, row] for row, label in ((1, self.target), (0, self.source))}
        curves |= {f"{self.target}, {name}": confidence[name][:, 1] for name in self.names[1:]}
        lines = {label: curve.tolist() for label, curve in curves.items()}
        return plot_lines(self.sizes, lines, title=f"{position}: confidence", unit="side of the patch, pixels", ax=ax)

    def examples(self, count: int = 6) -> Image.Image:
        """Draw up to `count` test images without a patch, with the patch and with each control, with confidences."""
        rows = range(self.test_start, min(len(self), self.test_start + count))
        size, position = self.best
        tiles = [self.images[row] for row in rows]
        texts = [self._confidence_text(self.clean_confidence[row]) for row in rows]
        setting = self.sizes.index(size), list(self.positions).index(position)
        for number, name in enumerate(self.names):
            patches, place = self.patches[name], self.positions[position]
            tiles += [paste(patches[row % len(patches)], self.images[row], size, place) for row in rows]
            confidences = self.predictions[(number, *setting)]
            texts += [f"{name}: {self._confidence_text(confidences[row])}" for row in rows]
        return draw_sheet(torch.stack(tiles), texts, columns=len(rows))

    def image(self) -> Image.Image:
        """Curves above, examples below."""
        return stack_rows([[draw_pixels(self.figure())], [self.examples()]])

    def to_dict(self) -> dict[str, Any]:
        """As in `Result`, and the best size and position with the flip rate of each patch there."""
        size, position = self.best
        rates = {name: vars(self.flip_rate(name)) for name in self.names}
        return super().to_dict() | {"best": {"size": size, "position": position, "flip_rates": rates}}

    def _confidence_text(self, confidence: Tensor) -> str:
        labels = zip((self.source, self.target), confidence, strict=False)
        return ", ".join(f"{label} {100 * float(share):.0f} %" for label, share in labels)

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise KeyError(f"no patch {name!r}; there are {', '.join(map(repr, self.names))}")
        return self.names.index(name)

    def _tensors(self) -> dict[str, Tensor]:
        patches = {
            f"{PATCH_KEY}.{number}.{index}": patch
            for number, name in enumerate(self.names)
            for index, patch in enumerate(self.patches[name])
        }
        return super()._tensors() | patches

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        patches: dict[str, list[Tensor]] = {}
        for number, name in enumerate(values["names"]):
            keys = [key for key in tensors if key.startswith(f"{PATCH_KEY}.{number}.")]
            patches[name] = [tensors.pop(f"{PATCH_KEY}.{number}.{index}") for index in range(len(keys))]
            if not keys:
                raise ValueError(f"no patches of the name {name!r}")
        return super()._from_parts(tensors, values | {"patches": patches})

    def __repr__(self) -> str:
        size, position = self.best
        effect = f"{self.flip_rate()} with {size} px at {position!r}"
        return f"PatchTrial({len(self)} of {self.source!r} to {self.target!r}: {effect})"
