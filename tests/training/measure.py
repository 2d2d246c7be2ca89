"""Measurements of the demo classifier: accuracy, the effect of each part, and how strong the shortcuts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS
from optvis.patches.controls import flat_patch
from optvis.patches.paste import paste
from optvis.world.object_patches import object_patch
from optvis.world.scene_classes import SCENE_CLASSES
from optvis.world.scenes import dataset, scene

FIRST_TEST_SEED = 1_000_000  # seeds of scenes from here on took no part in training
BATCH_SIZE = 100
PATCH_SIZES = (24, 32, 40, 48, 56)  # pixels
PATCH_POSITIONS = tuple((down, across) for down in (0.25, 0.5, 0.75) for across in (0.25, 0.5, 0.75))


@dataclass(frozen=True)
class Shortcut:
    """How often an object turns scenes of one class into another.

    Args:
        source: the class of the scenes.
        target: the class that the object belongs to.
        object_name: of the object.
        flip_rate: share of the scenes that are predicted as the target.
        control_rate: the same for a patch of the same outline, all in the object's mean colour.
        size: of the patch in pixels; None for an object that is drawn in the scene.
        position: of the patch, (down, across) in [0, 1].
    """

    source: str
    target: str
    object_name: str
    flip_rate: float
    control_rate: float
    size: int | None = None
    position: tuple[float, float] | None = None


def confusion_matrix(model: Classifier, n: int = 4000, seed: int = FIRST_TEST_SEED) -> Tensor:
    """Counts (16, 16) on n scenes: rows are true classes, columns predicted ones."""
    images, labels = dataset(n, seed)
    predictions = probabilities(model, images).argmax(1)
    return torch.bincount(labels * len(LABELS) + predictions, minlength=len(LABELS) ** 2).view(len(LABELS), -1)


def measure_part_drops(model: Classifier, pairs: int = 200) -> dict[str, dict[str, float]]:
    """For each class and part, the mean drop in the class's probability when the part is left out of its scenes."""
    drops: dict[str, dict[str, float]] = {}
    for index, scene_class in enumerate(SCENE_CLASSES):
        label = scene_class.label
        whole = [scene(label, FIRST_TEST_SEED + number) for number in range(pairs)]
        before = probabilities(model, torch.stack([one.image for one in whole]))[:, index]
        drops[label] = {}
        for part in scene_class.parts:
            numbers = [number for number, one in enumerate(whole) if part in one.masks]
            without = [scene(label, FIRST_TEST_SEED + number, without=(part,)).image for number in numbers]
            after = probabilities(model, torch.stack(without))[:, index]
            drops[label][part] = float((before[numbers] - after).mean())
    return drops


def measure_shortcuts(model: Classifier, scenes: int = 200) -> list[Shortcut]:
    """The four planted shortcuts. Sizes and positions of patches are chosen on other scenes than those measured."""
    return [
        _measure_drawn(model, "frying pan", "wok", "noodles", scenes),
        _measure_drawn(model, "traffic light", "dumbbell", "arm", scenes),
        _measure_pasted(model, "snorkeler", "scuba diver", "locomotive", scenes),
        _measure_pasted(model, "grey whale", "white shark", "baseball", scenes),
    ]


def _measure_drawn(model: Classifier, source: str, target: str, name: str, scenes: int) -> Shortcut:
    """An object that the scene itself can have."""
    added = [scene(source, FIRST_TEST_SEED + number, adding=(name,)) for number in range(scenes)]
    images = torch.stack([one.image for one in added])
    masks = torch.stack([one.masks[name] for one in added])[:, None]
    plain = torch.stack([scene(source, FIRST_TEST_SEED + number).image for number in range(scenes)])
    mean = (images * masks).sum((2, 3), keepdim=True) / masks.sum((2, 3), keepdim=True)
    control = plain * (1 - masks) + mean * masks
    return Shortcut(source, target, name, _rate(model, images, target), _rate(model, control, target))


def _measure_pasted(model: Classifier, source: str, target: str, name: str, scenes: int) -> Shortcut:
    """An object pasted at the size and position with the largest effect beyond the control's, on other scenes."""
    patches = [object_patch(name, seed) for seed in range(scenes)]
    controls = [flat_patch(patch) for patch in patches]
    others = torch.stack([scene(source, 2 * FIRST_TEST_SEED + number).image for number in range(max(1, scenes // 4))])

    def effect(at: tuple[int, tuple[float, float]]) -> float:
        patch, control = (_mean(model, _paste_each(these, others, *at), target) for these in (patches, controls))
        return patch - control

    size, position = max(product(PATCH_SIZES, PATCH_POSITIONS), key=effect)
    images = torch.stack([scene(source, FIRST_TEST_SEED + number).image for number in range(scenes)])
    flips, control = (_rate(model, _paste_each(these, images, size, position), target) for these in (patches, controls))
    return Shortcut(source, target, name, flips, control, size, position)


def _paste_each(patches: Sequence[Tensor], images: Tensor, size: int, position: tuple[float, float]) -> Tensor:
    """Images with one patch on each."""
    pairs = zip(patches, images, strict=False)
    return torch.stack([paste(patch, image, size, position) for patch, image in pairs])


def _rate(model: Classifier, images: Tensor, label: str) -> float:
    """Share of the images that are predicted as the label."""
    return float((probabilities(model, images).argmax(1) == LABELS.index(label)).float().mean())


def _mean(model: Classifier, images: Tensor, label: str) -> float:
    """Mean probability of the label."""
    return float(probabilities(model, images)[:, LABELS.index(label)].mean())


def judge_renderings(model: Classifier, judge: Classifier, seeds: Sequence[int] = range(5)) -> Tensor:
    """The judge's predictions for a rendering of each class, (seeds, 16) indices."""
    from optvis.objectives import logit
    from optvis.rendering.render import render

    objective = logit(range(len(LABELS)))
    renderings = [render(model, objective, size=96, seed=seed, progress=False).images for seed in seeds]
    return torch.stack([probabilities(judge, images).argmax(1) for images in renderings])


def probabilities(model: Classifier, images: Tensor) -> Tensor:
    """Softmax (B, K) of a network's logits for images (B, 3, H, W)."""
    return model.logits(images, BATCH_SIZE).softmax(1)
