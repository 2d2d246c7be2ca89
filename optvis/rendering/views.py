"""Several views of each image at each step, and what they say of its pixels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from optvis.errors import NotFiniteError
from optvis.objectives import Objective
from optvis.progress import progress_bar
from optvis.rendering.ascent import Ascent
from optvis.rendering.result import Rendering
from optvis.version import __version__

APART = 1_000_003  # between the seeds of an image's views


class Views(nn.Module):
    """Each image several times, one after the other, so that a step sees several draws of the transforms.

    It sums up the absolute gradients that come back: the transparency map of MACO (Fel et al. 2023, arXiv:2306.06805).

    Args:
        image: the parameterization, (B, C, H, W).
        count: how many views of each image.

    Example:
        >>> from optvis.params import pixel_image
        >>> views = Views(pixel_image(8, seeds=(0, 1)), 3)
        >>> images = views()
        >>> images.shape, torch.equal(images[0], images[2])
        (torch.Size([6, 3, 8, 8]), True)
        >>> images.sum().backward()
        >>> views.transparency.unique()
        tensor([3.])
    """

    def __init__(self, image: nn.Module, count: int) -> None:
        super().__init__()
        self.image, self.count = image, count
        self.transparency: Tensor | None = None

    def forward(self) -> Tensor:
        images: Tensor = self.image()
        if images.requires_grad:
            images.register_hook(self._add)  # type: ignore[no-untyped-call]
        return images.repeat_interleave(self.count, dim=0)

    def _add(self, gradient: Tensor) -> None:
        size = gradient.detach().abs()
        self.transparency = size if self.transparency is None else self.transparency + size


def repeated(objective: Objective, count: int) -> Objective:
    """The mean of the objective over `count` views of each image, as a question about every view.

    Raises:
        ValueError: the objective compares images; it can have one view of each.
    """
    if count == 1:
        return objective
    if objective.couples_images:
        raise ValueError(f"{objective!r} compares images, which is done with one view of each; got {count} views")
    terms = [
        replace(
            term,
            targets=tuple(_each(rows, count) for rows in term.targets),  # type: ignore[arg-type]
            weight=_each(term.weight, count) / count,
        )
        for term in objective.terms
    ]
    return Objective(tuple(terms))


def view_seeds(seeds: Sequence[int], count: int) -> tuple[int, ...]:
    """A seed for each view, those of an image one after the other; the first is the image's own.

    >>> view_seeds((7, 8), 2)
    (7, 1000010, 8, 1000011)
    """
    return tuple(seed + APART * view for seed in seeds for view in range(count))


def climbed(
    ascent: Ascent,
    views: Views,
    steps: int,
    snapshots: Collection[int],
    recipe: dict[str, Any],
    labels: tuple[str, ...],
    progress: bool,
    left_out: str = "",
) -> Rendering:
    """All steps of an ascent on views, with what there is after Ctrl-C.

    Args:
        left_out: name of the term that the history of scores leaves out.

    Raises:
        NotFiniteError: with what there is as its `rendering`.
    """
    kept, scores, seen = frozenset(snapshots), list[Tensor](), dict[int, Tensor]()

    def rendering(interrupted: bool) -> Rendering:
        with torch.no_grad():
            images = views.image().detach().clone().cpu()
        if len(scores) in kept:
            seen[len(scores)] = images
        history = torch.stack(scores).cpu() if scores else torch.empty(0, len(images))
        mattered = torch.zeros_like(images) if views.transparency is None else views.transparency.cpu()
        return Rendering(images, history, recipe | {"interrupted": interrupted}, seen, labels, mattered)

    with progress_bar(total=steps, show=progress, unit="step", description=str(recipe["method"])) as bar:
        try:
            for step in islice(ascent.steps(), steps):
                asked = step.scores - step.report[left_out] if left_out else step.scores
                scores.append(asked.view(-1, views.count).sum(1))
                if step.index in kept:
                    seen[step.index] = step.images[:: views.count].cpu()
                bar.update()
            ascent.check_finite()
        except KeyboardInterrupt:
            return rendering(True)
        except NotFiniteError as error:
            error.rendering = rendering(False)
            raise
    return rendering(False)


def told(ascent: Ascent, method: str, **more: Any) -> dict[str, Any]:
    """The part of the recipe that every method has, in JSON's types."""
    return {
        "method": method,
        "network": ascent.classifier.name,
        "transform": " ".join(repr(ascent.chain).split()),
        "normalize": repr(ascent.classifier.normalize),
        "redirect": ascent.redirect,
        "dtype": str(ascent.classifier.image_dtype),
        "device": str(ascent.classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        **more,
    }


def _each(rows: Tensor, count: int) -> Tensor:
    return rows.repeat_interleave(count, dim=0) if len(rows) > 1 else rows
