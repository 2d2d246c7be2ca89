"""The sections of the tour that look at one scene: what a layer saw in it, and why the answer was what it was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.attribution.attribute import Attribution, attribute
from optvis.demo.figures import figure
from optvis.demo.page import Content
from optvis.demo.plan import Plan
from optvis.grids.activation_grid import ActivationGrid, activation_grid
from optvis.models.classifier import Classifier
from optvis.objectives import channel, logit
from optvis.rendering.render import render
from optvis.world.scenes import scene

GRID, REASONS = "grid.png", "attribution.png"
SEEN, RIVAL, LAYER = "container ship", "ocean liner", "mixed5"
TOP = 4  # channels that are drawn


def gridded(net: Classifier, plan: Plan) -> Content:
    """A scene, what a layer saw at each place of it, and the groups of neurons that it is made of."""
    image = scene(SEEN, _seed(plan)).image
    made = activation_grid(
        net, image, LAYER, size=plan.icon_size, steps=plan.grid_steps, seed=plan.seed, progress=plan.progress
    )
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt
    height, width = made.icons.shape[1:3]
    pictures = grid_tiles(made)
    groups = [f"group {number}" for number in range(len(pictures) - 2)]
    drawn = figure(
        GRID,
        pictures,
        ["the scene", f"what {LAYER} saw", *groups],
        [f"a scene of the class {SEEN}", f"an icon for each of {height} × {width} places"]
        + [f"what {group} of neurons looks for" for group in groups],
        columns=(4, 2),
        caption=f"Each of the {height * width} icons is what the layer saw at its place. Its neurons fall into groups.",
        code=f'photo = scene("{SEEN}", seed={_seed(plan)}).image\n'
        f'activation_grid(net, photo, "{LAYER}", size={plan.icon_size}, steps={plan.grid_steps}, seed={plan.seed})',
        recipe=made.recipe,
    )
    text = "At each place of a scene a layer says something else. Each icon is a picture of what it says there."
    return Content("What a layer saw", text, (drawn,))


def reasons(net: Classifier, plan: Plan) -> Content:
    """Where and by which channels one class was told from another."""
    images = torch.stack([scene(label, _seed(plan)).image for label in (SEEN, RIVAL)])
    question = logit(SEEN) - logit(RIVAL)
    found = attribute(net, images, LAYER, question)
    ends = [found.top(TOP).indices, found.against(TOP).indices]
    options = plan.rendering(None)
    made = render(net, channel(LAYER, [*ends[0], *ends[1]]), **options, progress=plan.progress)
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt
    mean = found.channels.mean(0)
    channels = [f"channel {index}" for end in ends for index in end]
    drawn = figure(
        REASONS,
        torch.cat([reason_tiles(found), made.images]),
        [SEEN, "where", RIVAL, "where", *channels],
        [
            f"a scene of the class {SEEN}",
            "the places that spoke for or against it",
            f"a scene of the class {RIVAL}",
            "the places that spoke for or against the other",
            *(f"what {name} looks for" for name in channels),
        ],
        notes=["", "", "", "", *(f"{float(mean[index]):+.2f}" for end in ends for index in end)],
        columns=(4, 2),
        caption=f"Orange speaks for the {SEEN}, violet for the {RIVAL}; below, the channels of {LAYER} that do, "
        "and by how much of the score.",
        code=f'images = torch.stack([scene(label, seed={_seed(plan)}).image for label in ("{SEEN}", "{RIVAL}")])\n'
        f'attribute(net, images, "{LAYER}", logit("{SEEN}") - logit("{RIVAL}"))',
        recipe={**dict(found.recipe), "pictures": made.recipe},
    )
    text = f"Why a {SEEN} and not an {RIVAL}? The score is divided among the places and the channels that made it."
    return Content("Why", text, (drawn,))


def grid_tiles(made: ActivationGrid) -> Tensor:
    """The photograph, all its icons as one picture, and the groups' icons, all as large as that."""
    height, width, _, side, _ = made.icons[0].shape
    mosaic = made.icons[0].permute(2, 0, 3, 1, 4).reshape(3, height * side, width * side)
    others = [made.images[0], *([] if made.group_icons is None else made.group_icons)]
    photo, *groups = (
        F.interpolate(one[None], mosaic.shape[1:], mode="bicubic", antialias=True)[0].clamp(0, 1) for one in others
    )
    return torch.stack([photo, mosaic, *groups])


def reason_tiles(found: Attribution) -> Tensor:
    """Each image and its overlay, all overlays on one scale."""
    extent = float(found.positions.abs().amax())
    pairs = [(image, found.overlay(place, extent)) for place, image in enumerate(found.images)]
    return torch.stack([tile for pair in pairs for tile in pair])


def _seed(plan: Plan) -> int:
    return plan.seed + 9
