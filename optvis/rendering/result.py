"""Rendering: images, their scores, and the recipe that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from optvis.arguments import check_axes, check_count
from optvis.data.files import ensure_dir
from optvis.data.own_files import write_own_files
from optvis.viz.animation import ANIMATION, Animation, encode_animation
from optvis.viz.result import Result
from optvis.viz.sheet import as_rgb, draw_sheet, encode_png, to_pil_image
from optvis.viz.tiles import plot_tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

SNAPSHOT = "snapshot "


@dataclass(frozen=True, eq=False)
class Rendering(Result):
    """Rendered images with their scores and recipe; a notebook shows them.

    Args:
        images: (B, 3, H, W) in [0, 1], on the CPU; other channels where the parameterization has others.
        scores: (T, B), the score of each image before each of T updates; NaN for steps that an image did not have.
        recipe: all settings and versions, in JSON's types.
        snapshots: images (B, 3, H, W) by the number of updates before them.
        labels: a text per image.
        transparency: importance of each pixel, `Σ over steps of |∂score/∂x|`, (B, C, H, W); None if not recorded.

    Example:
        >>> made = Rendering(torch.rand(2, 3, 32, 32), torch.zeros(4, 2), {"objective": "channel('mixed3', [1, 2])"})
        >>> len(made), made.sheet().size
        (2, (82, 44))
    """

    KIND = "rendering"
    TENSOR_FIELDS: ClassVar = {"images": "B C H W", "scores": "T B", "transparency": "B C H W"}
    JSON_FIELDS: ClassVar = {"labels": tuple[str, ...]}

    images: Tensor
    scores: Tensor
    recipe: Mapping[str, Any]
    snapshots: Mapping[int, Tensor] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    transparency: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int | slice) -> Rendering:
        """Return one image, or some, as a Rendering, whose recipe has the seeds of these, and of one the objective.

        Raises:
            IndexError: there is no such image.
        """
        if not isinstance(place, slice) and not -len(self) <= place < len(self):
            raise IndexError(f"image {place} of {len(self)}; expected 0 to {len(self) - 1}")
        rows = place if isinstance(place, slice) else slice(place % len(self), place % len(self) + 1)
        recipe, seeds = dict(self.recipe), self.recipe.get("seeds", ())
        if len(self.labels[rows]) == 1 and self.labels[rows][0]:
            recipe["objective"] = self.labels[rows][0]
        if len(seeds) == len(self):
            recipe["seeds"] = list(seeds[rows])
        snapshots = {step: images[rows] for step, images in self.snapshots.items()}
        transparency = None if self.transparency is None else self.transparency[rows]
        return Rendering(self.images[rows], self.scores[:, rows], recipe, snapshots, self.labels[rows], transparency)

    def with_transparency(self, percentile: float = 80.0) -> Tensor:
        """Return the images with unimportant pixels made transparent, (B, 4, H, W) in [0, 1].

        Gray images become RGB, an alpha that images have already is multiplied, and of more channels the first three
        are shown.
        Alpha is the mean of `transparency` over channels, divided by its percentile in each image and clipped to 1;
        where the percentile is zero, divided by the maximum. The authors of MACO show their images in this way (Fel
        et al. 2023, arXiv:2306.06805).

        Raises:
            ValueError: the rendering has no transparency map, or the percentile is not in (0, 100].
        """
        if self.transparency is None:
            raise ValueError(
                "this rendering has no transparency map; maco(), accentuate() and render(transparency=True) record one"
            )
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile is {percentile}; expected over 0, up to 100")
        importance = self.transparency.mean(1, keepdim=True)
        opaque = torch.stack([one.flatten().quantile(percentile / 100) for one in importance]).view(-1, 1, 1, 1)
        opaque = torch.where(opaque > 0, opaque, importance.amax(dim=(1, 2, 3), keepdim=True))
        alpha = torch.where(opaque > 0, importance / opaque, 1).clamp(0, 1)
        own = self.images[:, 3:] if self.images.shape[1] == 4 else 1
        return torch.cat([as_rgb(self.images), alpha.to(self.images.dtype) * own], dim=1)

    def image(self) -> Image.Image:
        """One image pixel for pixel; several as their sheet."""
        return to_pil_image(self.images[0]) if len(self) == 1 else self.sheet()

    def figure(
        self, ax: Axes | None = None, *, columns: int | None = None, labels: Sequence[str] | None = None
    ) -> Figure:
        """All images side by side with their labels, whose letters stay letters in a vector file.

        Args:
            ax: axes to draw on; those of a new figure by default.
            columns, labels: as in `sheet`.
        """
        texts = (self.labels if len(self) > 1 else ()) if labels is None else labels
        return plot_tiles(self.images, texts, columns, ax=ax)

    def sheet(
        self, columns: int | None = None, labels: Sequence[str] | None = None, scale: int | None = None
    ) -> Image.Image:
        """Draw all images side by side with their labels.

        Args:
            columns: images per row; by default as many as make the sheet nearly square.
            labels: a text per image; by default the objective of each, or none for a single image.
            scale: how many times as large each is drawn; by default images narrower than 80 pixels are enlarged, where
                there are labels.
        """
        texts = (self.labels if len(self) > 1 else ()) if labels is None else labels
        return draw_sheet(self.images, texts, columns, scale=scale)

    def animate(self, path: str | Path, *, milliseconds: int = 40, columns: int | None = None) -> Animation:
        """Write the snapshots as an animation: GIF, WebP, APNG or MP4 by the path's suffix. It plays in a notebook.

        Args:
            path: ends in .gif, .webp, .png, .apng or .mp4; missing folders are created.
            milliseconds: duration of a frame.
            columns: images per row.

        Raises:
            ValueError: the rendering has no snapshots, or the path another suffix.
            ImportError: MP4 without PyAV, which the extra `optvis[video]` installs.
            FileExistsError: the path is a file that no animation of optvis is.
            OSError: the folder cannot be written.
        """
        target, snapshots = Path(path), self.snapshots.values()
        frames = [draw_sheet(one, columns=columns) if len(self) > 1 else to_pil_image(one[0]) for one in snapshots]
        data = encode_animation(frames, target.suffix, milliseconds)
        ensure_dir(target.parent)
        write_own_files({target: (ANIMATION, data)})
        return Animation(target)

    def _check(self, sizes: Mapping[str, int]) -> None:
        for step, images in self.snapshots.items():
            check_axes({f"snapshot {step}": images}, "B C H W", sizes)
        if self.labels:
            check_count("labels", len(self.labels), len(self), "images")

    def _tensors(self) -> dict[str, Tensor]:
        return super()._tensors() | {f"{SNAPSHOT}{step}": images for step, images in self.snapshots.items()}

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        names = [name for name in tensors if name.startswith(SNAPSHOT)]
        snapshots = {int(name.removeprefix(SNAPSHOT)): tensors.pop(name) for name in names}
        return super()._from_parts(tensors, values | {"snapshots": dict(sorted(snapshots.items()))})

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        batch, _, height, width = self.images.shape
        last = self.scores[-1].tolist() if len(self.scores) else [float("nan")] * batch
        scores = ", ".join(f"{score:.4g}" for score in last[:8]) + (", …" if batch > 8 else "")
        return f"Rendering({batch} of {height} × {width} px, {len(self.scores)} steps, scores {scores})"


def concatenate(parts: Sequence[Rendering], recipe: Mapping[str, Any]) -> Rendering:
    """Join renderings of successive images to one; NaN fills up shorter score histories."""
    longest = max(len(part.scores) for part in parts)
    scores = [
        torch.nn.functional.pad(part.scores, (0, 0, 0, longest - len(part.scores)), value=torch.nan) for part in parts
    ]
    common = [step for step in parts[0].snapshots if all(step in part.snapshots for part in parts)]
    return Rendering(
        torch.cat([part.images for part in parts]),
        torch.cat(scores, dim=1),
        recipe,
        {step: torch.cat([part.snapshots[step] for part in parts]) for step in common},
        tuple(label for part in parts for label in part.labels) if all(part.labels for part in parts) else (),
        None if any(part.transparency is None for part in parts) else torch.cat([p.transparency for p in parts]),  # type: ignore[misc]
    )
