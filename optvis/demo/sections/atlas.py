"""The section with an activation atlas, a comparison of two classes, and a test of what separates them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from optvis.atlas import ActivationAtlas, AtlasBuilder, AtlasOptions, Cell, Comparison, sample_activations
from optvis.demo.config import TourConfig
from optvis.demo.figures import build_figure, join_tiles, require_complete, resize_tile
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.patches.try_patch import try_patch
from optvis.world.scenes import Scenes, scene

FILE = "atlas.png"
LAYER, LABEL, RIVAL = "mixed5", "grey whale", "white shark"
TOP_CELLS, LEVEL, COMPARISON_LEVEL = 5, 10, 8
PATCH_SCENES, PATCH_SIZES = 25, (24, 40)
SCENES_SEED_OFFSET, PATCH_SEED_OFFSET = 5, 1000  # added to the tour's seed


def build_section(model: Classifier, config: TourConfig) -> Content:
    """An atlas of a layer, the cells in which two classes differ most, and the effect of one cell's patches."""
    scenes = Scenes(config.atlas_scenes, config.seed + SCENES_SEED_OFFSET)
    options = AtlasOptions("tsne", size=config.icon_size, steps=config.atlas_steps)
    samples = sample_activations(model, scenes, LAYER, seed=config.seed, progress=config.progress)
    builder = AtlasBuilder(model, scenes, LAYER, samples, options, config.seed, progress=config.progress)
    atlas = replace(builder, options=replace(options, nearest=0)).all([LEVEL])
    comparison = builder.compare(LABEL, RIVAL, [COMPARISON_LEVEL])
    require_complete(atlas.recipe, comparison.atlas.recipe)
    cells = comparison.top(TOP_CELLS)
    classes = ", ".join(cell.classes(1)[0][0] for cell in cells)
    figure = build_figure(
        FILE,
        torch.stack([atlas_image(atlas), cells_image(cells, LEVEL * config.icon_size // TOP_CELLS)]),
        ["the atlas", f"{LABEL} or {RIVAL}"],
        [
            f"an atlas of the activations of {LAYER} on {len(scenes)} scenes",
            f"the cells in which {LABEL} and {RIVAL} differ most, one in a row, with the nearest patches of scenes",
        ],
        columns=(2, 1),
        caption=f"Left: an atlas of {len(samples)} activation vectors. Right: the {len(cells)} cells in which {LABEL} "
        f"and {RIVAL} differ most, each with its icon and the nearest patches of scenes. The classes with the highest "
        f"attribution there, from top to bottom: {classes}. {_describe_trial(model, config, comparison)}",
        code=f'builder = AtlasBuilder(net, Scenes({len(scenes)}, {scenes.seed}), "{LAYER}", seed={config.seed}, '
        f'options=AtlasOptions("tsne", size={options.size}, steps={options.steps}))\n'
        f"atlas = builder.all([{LEVEL}])\n"
        f'builder.compare("{LABEL}", "{RIVAL}", [{COMPARISON_LEVEL}])',
        recipe={"atlas": dict(atlas.recipe), "comparison": dict(comparison.recipe)},
    )
    text = (
        "One activation vector from each of many scenes, laid out so that similar vectors lie together. Each icon is a "
        f"feature visualization of the mean vector of its cell. Beside it: what separates a {LABEL} from a {RIVAL}?"
    )
    return Content("Activation atlas", text, (figure,))


def atlas_image(atlas: ActivationAtlas) -> Tensor:
    """The coarsest level as one image, (3, H, W)."""
    level = atlas.levels[0]
    mosaic = torch.ones(level.size, level.size, *level.icons.shape[1:], dtype=torch.float32, device="cpu")
    rows, columns = level.cells[level.present].unbind(1)
    mosaic[rows, columns] = level.icons[level.present]
    return join_tiles(mosaic)


def cells_image(cells: Sequence[Cell], side: int) -> Tensor:
    """A row for each cell: its icon and its patches, `side` pixels each, (3, H, W)."""
    mosaic = torch.ones(TOP_CELLS, TOP_CELLS, 3, side, side, dtype=torch.float32, device="cpu")
    for row, cell in enumerate(cells):
        images = [*([] if cell.icon is None else [cell.icon]), *cell.patches][:TOP_CELLS]
        for column, image in enumerate(images):
            mosaic[row, column] = resize_tile(image, (side, side))
    return join_tiles(mosaic)


def _describe_trial(model: Classifier, config: TourConfig, comparison: Comparison) -> str:
    """A sentence: how often patches of the first cell toward the rival change the prediction to it."""
    patches = comparison.toward(RIVAL, 1)[0].cutouts()
    images = [scene(LABEL, config.seed + PATCH_SEED_OFFSET + number).image for number in range(PATCH_SCENES)]
    trial = try_patch(model, patches, images, LABEL, RIVAL, sizes=PATCH_SIZES, progress=config.progress)
    patch, flat = (f"{100 * trial.flip_rate(name).share:.0f} %" for name in ("patch", "flat"))
    return (
        f"Pasted onto other scenes of the class {LABEL}, patches of the first cell toward {RIVAL} change the "
        f"prediction to {RIVAL} in {patch} of them; flat patches of the same mean colour do so in {flat}."
    )
