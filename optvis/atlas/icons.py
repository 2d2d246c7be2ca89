"""The icons of an atlas: feature visualizations of the mean activation of each cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from optvis.atlas.levels import Level
from optvis.atlas.options import AtlasOptions
from optvis.atlas.samples import Samples
from optvis.models.classifier import Classifier
from optvis.objectives import direction, whitening
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.viz.sheet import as_rgb

BATCH_SIZE = 64  # icons rendered together, so that memory does not grow with the atlas


def render_icons(
    classifier: Classifier,
    levels: Sequence[Level],
    samples: Samples,
    options: AtlasOptions,
    *,
    seed: int = 0,
    channel_axis: int | None = None,
    progress: bool = True,
) -> tuple[tuple[Level, ...], dict[str, Any]]:
    """Render the icons of all levels, coarse levels first.

    Args:
        classifier: the network.
        levels: without icons; a cell or more holds as many points as an icon needs.
        samples: their second moment whitens the directions.
        options: of the icons.
        seed: of noise and transforms.
        channel_axis: axis of the channels in the layer's output.
        progress: whether to show a progress bar.

    Returns:
        The levels with icons, and the recipe of the rendering, in which "interrupted" is True after Ctrl-C.
    """
    min_points = options.choose_min_points(len(samples))
    rows = [(level.counts >= min_points).nonzero().flatten() for level in levels]
    vectors = torch.cat([level.vectors[chosen] for level, chosen in zip(levels, rows, strict=True)])
    matrix = None if options.damping is None else whitening(samples.vectors, damping=options.damping)
    rendering = render(
        classifier,
        direction(samples.layer, vectors, power=options.power, whitening=matrix, channel_axis=channel_axis),
        recipe="icon",
        size=options.size,
        steps=options.steps,
        transform=options.transform,
        seed=seed,
        batch_size=BATCH_SIZE,
        progress=progress,
    )
    count, scores = _last_scores(rendering)
    ends = torch.tensor([len(chosen) for chosen in rows], device="cpu").cumsum(0).clamp(max=count).tolist()
    complete = tuple(
        _add_icons(level, chosen[: end - start], rendering.images[start:end], scores[start:end])
        for level, chosen, start, end in zip(levels, rows, [0, *ends[:-1]], ends, strict=True)
    )
    left_out = ("objective", "seeds")  # as long as the number of icons
    return complete, {name: value for name, value in rendering.recipe.items() if name not in left_out}


def _last_scores(rendering: Rendering) -> tuple[int, Tensor]:
    """How many of the images had a step, if they were to have any; and the last score of each, NaN where none."""
    if not len(rendering.scores):
        return len(rendering), rendering.scores.new_full((len(rendering),), torch.nan)
    steps = (~rendering.scores.isnan()).sum(0)
    last = rendering.scores.gather(0, (steps - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
    return int((steps > 0).sum()), last


def _add_icons(level: Level, rows: Tensor, icons: Tensor, scores: Tensor) -> Level:
    """A level with icons for some of its cells; the others are grey."""
    side = icons.shape[-1]
    all_icons = torch.full((len(level), 3, side, side), 0.5, dtype=torch.float32, device="cpu")
    all_scores = torch.full((len(level),), torch.nan, dtype=torch.float32, device="cpu")
    present = torch.zeros(len(level), dtype=torch.bool, device="cpu")
    all_icons[rows], all_scores[rows], present[rows] = as_rgb(icons.float()), scores.float(), True
    return replace(level, icons=all_icons, scores=all_scores, present=present)
