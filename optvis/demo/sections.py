"""The sections of the tour: each asks the network something and shows the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from optvis.data.images import load_image
from optvis.demo.figures import figure
from optvis.demo.page import Content, Figure
from optvis.demo.plan import Plan, spelled
from optvis.models.classifier import Classifier
from optvis.models.classify import Classification, classify
from optvis.objectives import channel, layer_norm, logit
from optvis.rendering.dream import dream
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.world.scenes import dataset, scene

PRELUDE = """\
import torch
from optvis import activation_grid, attribute, classify, dream, load, render
from optvis.ablation import see
from optvis.ablation import find
from optvis.atlas import activation_atlas, compare
from optvis.world import LABELS, Scenes, dataset, scene
from optvis.microscope import microscope
from optvis.objectives import channel, layer_norm, log_odds, logit

net = load("demo")"""


@dataclass(frozen=True)
class Stage:
    """A layer whose channels are drawn.

    Args:
        layer: its name.
        width: how many channels it has.
        size: side of each picture in pixels, a few times what one of its units sees; None for the network's own.
        columns: how many pictures in a row, in a wide window and in a narrow one.
    """

    layer: str
    width: int
    size: int | None
    columns: tuple[int, int]

    @property
    def file(self) -> str:
        return f"channels-{self.layer}.png"


STAGES = (
    Stage("conv1", 32, 48, (12, 6)),
    Stage("conv2", 48, 48, (12, 6)),
    Stage("mixed3", 80, None, (8, 4)),
    Stage("mixed4", 128, None, (8, 4)),
    Stage("mixed5", 192, None, (8, 4)),
)
WORLD, CLASSES, DREAM = "world.png", "classes.png", "dream.png"
DREAMT, DREAMERS = "owl", ("mixed4", "mixed5")


def world(net: Classifier, plan: Plan) -> Content:
    """A scene of each class, and what the network calls it."""
    count, seed = len(net.labels), plan.seed + 1  # that of the scenes it was trained on is 0
    images, truth = dataset(count, seed)
    names = [net.labels[index] for index in truth.tolist()]
    drawn = figure(
        WORLD,
        images,
        names,
        [f"a scene of the class {name}" for name in names],
        notes=_verdicts(names, classify(net, images, top=1)),
        columns=(8, 4),
        caption="Scenes that the network was not trained on. Below each name: its answer, and how sure it is.",
        code=f"images, labels = dataset({count}, seed={seed})\nclassify(net, images, top=1)",
        recipe={"scenes": f"dataset({count}, seed={seed})"},
    )
    text = "Every scene is drawn from a seed. All that is in it is known: each part, and the pixels that show it."
    return Content("The world", text, (drawn,))


def classes(net: Classifier, plan: Plan) -> Content:
    """What raises each class's score most."""
    options = plan.rendering(plan.class_size)
    made = _whole(render(net, logit(net.labels), **options, progress=plan.progress))
    drawn = figure(
        CLASSES,
        made.images,
        net.labels,
        [f"what the network looks for in the class {label}" for label in net.labels],
        columns=(4, 2),
        caption=f"One picture for each class, {plan.steps} steps from noise.",
        code=f"render(net, logit(LABELS){spelled(options)})",
        recipe=made.recipe,
    )
    text = (
        "What would it most like to see? Each picture began as noise and was changed step by step, so that the "
        "network’s score for one class grew. No scene was used."
    )
    return Content("Its idea of each class", text, (drawn,))


def channels(net: Classifier, plan: Plan) -> Content:
    """What excites channels of each stage."""
    text = (
        "The same question, asked of single channels inside the network, stage by stage. "
        "The further up, the more of the picture a channel sees, and the more it asks for."
    )
    return Content("From strokes to things", text, tuple(_stage(net, plan, stage) for stage in STAGES))


def _stage(net: Classifier, plan: Plan, stage: Stage) -> Figure:
    count, options = plan.channels, plan.rendering(stage.size)
    numbers = [n * stage.width // count for n in range(count)]
    made = _whole(render(net, channel(stage.layer, numbers), **options, progress=plan.progress))
    spread = f"[n * {stage.width} // {count} for n in range({count})]"
    return figure(
        stage.file,
        made.images,
        [str(number) for number in numbers],
        [f"channel {number} of {stage.layer}" for number in numbers],
        columns=stage.columns,
        caption=f"{count} of the {stage.width} channels of {stage.layer}, evenly spread.",
        code=f'render(net, channel("{stage.layer}", {spread}){spelled(options)})',
        recipe=made.recipe,
        heading=stage.layer,
    )


def dreaming(net: Classifier, plan: Plan) -> Content:
    """A scene, and the same after dreaming."""
    start, options = scene(DREAMT, plan.seed).image, plan.dreaming()
    made = [_whole(dream(net, start, layer_norm(name), **options, progress=plan.progress)) for name in DREAMERS]
    drawn = figure(
        DREAM,
        torch.cat([load_image(start, plan.dream_size), *(one.images for one in made)]),
        ("the scene", *(f"a dream of {layer}" for layer in DREAMERS)),
        (f"a scene of the class {DREAMT}", *(f"the same after dreaming of {layer}" for layer in DREAMERS)),
        columns=(1 + len(DREAMERS), 1),
        caption=f"The scene is enlarged to {plan.dream_size} pixels first.",
        code=f'photo = scene("{DREAMT}", seed={plan.seed}).image\n'
        f"[dream(net, photo, layer_norm(layer){spelled(options)}) for layer in {DREAMERS}]".replace("'", '"'),
        recipe={**made[0].recipe, "objective": [one.recipe["objective"] for one in made]},
    )
    text = "Whatever a layer sees in a picture, it is shown more of it, from coarse to fine, until it is there."
    return Content("A dream", text, (drawn,))


def _whole(made: Rendering) -> Rendering:
    """What `render` or `dream` made, unless it was stopped: half a figure is none.

    Raises:
        KeyboardInterrupt: it was.
    """
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt
    return made


def _verdicts(names: Sequence[str], said: Classification) -> list[str]:
    """Of each scene, whether the network's answer is its name, and its confidence."""
    answers = ["right" if name == best else f"says {best}" for name, (best,) in zip(names, said.labels, strict=True)]
    shares = said.confidences[:, 0].tolist()
    return [f"{answer}, {share:.0%}" for answer, share in zip(answers, shares, strict=True)]
