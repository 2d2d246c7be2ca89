"""The section of the tour that maps a layer, finds in it what separates two classes, and tries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.atlas import ActivationAtlas, Cell, Comparison, activation_atlas, compare, sample
from optvis.demo.figures import figure
from optvis.demo.page import Content
from optvis.demo.plan import Plan, spelled
from optvis.models.classifier import Classifier
from optvis.patches.try_patch import try_patch
from optvis.world.scenes import Scenes, scene

ATLAS = "atlas.png"
LAYER, SHOWN, RIVAL = "mixed5", "grey whale", "white shark"
CELLS, LEVEL, LEVEL_OF_TWO = 5, 10, 8
WHALES, SIZES = 40, (24, 32, 40)


def mapped(net: Classifier, plan: Plan) -> Content:
    """All that a layer says on a map, the cells in which two classes differ most, and what these are worth."""
    scenes = Scenes(plan.atlas_scenes, plan.seed + 5)
    options: dict[str, Any] = {"size": plan.icon_size, "steps": plan.atlas_steps, "seed": plan.seed, "layout": "tsne"}
    drawn = sample(net, scenes, LAYER, seed=plan.seed, progress=plan.progress)
    atlas = activation_atlas(
        net, scenes, LAYER, samples=drawn, levels=[LEVEL], nearest=0, progress=plan.progress, **options
    )
    made = compare(
        net, scenes, LAYER, SHOWN, RIVAL, samples=drawn, levels=[LEVEL_OF_TWO], progress=plan.progress, **options
    )
    if atlas.recipe["interrupted"] or made.atlas.recipe["interrupted"]:
        raise KeyboardInterrupt
    cells = made.top(CELLS)
    spoken = ", ".join(cell.classes(1)[0][0] for cell in cells)
    shown = figure(
        ATLAS,
        torch.stack([map_of(atlas), rows_of(cells, LEVEL * plan.icon_size // CELLS)]),
        ["the map", f"{SHOWN} or {RIVAL}"],
        [
            f"what {LAYER} says about {len(scenes)} scenes, alike beside alike",
            f"the cells in which {SHOWN} and {RIVAL} differ most, a row each, and what scenes show there",
        ],
        columns=(2, 1),
        caption=f"A map of {len(drawn)} activation vectors, and the {len(cells)} cells in which {SHOWN} and {RIVAL} "
        f"differ most, a row each: its icon and the scenes nearest to it. From above they speak for {spoken}. "
        f"{_tried(net, plan, made)}",
        code=f"scenes = Scenes({len(scenes)}, seed={scenes.seed})\n"
        f'atlas = activation_atlas(net, scenes, "{LAYER}", levels=[{LEVEL}]{spelled(options)})\n'
        f'compare(net, scenes, "{LAYER}", "{SHOWN}", "{RIVAL}", levels=[{LEVEL_OF_TWO}]{spelled(options)})'.replace(
            "'", '"'
        ),
        recipe={"atlas": dict(atlas.recipe), "comparison": dict(made.recipe)},
    )
    text = (
        "One vector from each of many scenes, laid out so that what is alike lies together; each icon is what the "
        f"vectors of its cell have in common. Beside it: what separates a {SHOWN} from a {RIVAL}?"
    )
    return Content("A map of a layer", text, (shown,))


def map_of(atlas: ActivationAtlas) -> Tensor:
    """The coarsest level as one image, (3, H, W)."""
    level = atlas.levels[0]
    laid = torch.ones(level.size, level.size, *level.icons.shape[1:])
    rows, columns = level.cells[level.present].unbind(1)
    laid[rows, columns] = level.icons[level.present]
    return _joined(laid)


def rows_of(cells: Sequence[Cell], side: int) -> Tensor:
    """A row a cell: its icon and what scenes show there, side by side, each of so many pixels, (3, H, W)."""
    laid = torch.ones(CELLS, CELLS, 3, side, side)
    for row, cell in enumerate(cells):
        shown = [*([] if cell.icon is None else [cell.icon]), *cell.patches][:CELLS]
        for column, picture in enumerate(shown):
            laid[row, column] = F.interpolate(picture[None], (side, side), mode="bicubic", antialias=True)[0]
    return _joined(laid.clamp(0, 1))


def _joined(laid: Tensor) -> Tensor:
    """(h, w, 3, S, S) -> (3, h · S, w · S)"""
    height, width, _, side, _ = laid.shape
    return laid.permute(2, 0, 3, 1, 4).reshape(3, height * side, width * side)


def _tried(net: Classifier, plan: Plan, made: Comparison) -> str:
    """What becomes of whales with the first cell's patches on them, in a sentence."""
    patches = made.toward(RIVAL, 1)[0].cutouts()
    whales = [scene(SHOWN, plan.seed + 1000 + place).image for place in range(WHALES)]
    trial = try_patch(net, patches, whales, SHOWN, RIVAL, sizes=SIZES, progress=plan.progress)
    rates = [f"{100 * trial.flips(name).share:.0f} %" for name in ("patch", "flat")]
    return (
        f"Cut out and pasted onto other whales, what scenes show in the first cell toward {RIVAL} makes {rates[0]} of "
        f"them a {RIVAL}; in one colour, {rates[1]}."
    )
