"""What is true of the demo classifier, measured: accuracy, what each part is worth, how strong the shortcuts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS
from optvis.models.layers import activations
from optvis.objectives import OUTPUT
from optvis.patches.paste import flat, paste
from optvis.world.object_patches import object_patch
from optvis.world.scene_classes import SCENE_CLASSES
from optvis.world.scenes import dataset, scene

FRESH = 1_000_000  # seeds from here on took no part in training
SIZES = (24, 32, 40, 48, 56)  # pixels
PLACES = tuple((down, across) for down in (0.25, 0.5, 0.75) for across in (0.25, 0.5, 0.75))


@dataclass(frozen=True)
class Shortcut:
    """How often a planted thing turns one class into another, and a flat patch of its size and colour does."""

    of: str
    into: str
    thing: str
    flips: float  # share of scenes
    control: float
    size: int | None  # pixels; None where the scene itself was drawn with it
    place: tuple[float, float] | None


def confusion(net: Classifier, n: int = 4000, seed: int = FRESH) -> Tensor:
    """How often each class (rows) was called each (columns), (16, 16) counts, on n scenes."""
    images, labels = dataset(n, seed)
    answers = probabilities(net, images).argmax(1)
    return torch.bincount(labels * len(LABELS) + answers, minlength=len(LABELS) ** 2).view(len(LABELS), -1)


def part_drops(net: Classifier, pairs: int = 200) -> dict[str, dict[str, float]]:
    """For each class and part, how much the class's probability falls on average when the part is left out."""
    found: dict[str, dict[str, float]] = {}
    for index, kind in enumerate(SCENE_CLASSES):
        shown = [scene(kind.label, FRESH + place) for place in range(pairs)]
        before = probabilities(net, torch.stack([one.image for one in shown]))[:, index]
        found[kind.label] = {}
        for part in kind.parts:
            having = [place for place, one in enumerate(shown) if part in one.masks]
            without = torch.stack([scene(kind.label, FRESH + place, without=(part,)).image for place in having])
            found[kind.label][part] = float((before[having] - probabilities(net, without)[:, index]).mean())
    return found


def shortcuts(net: Classifier, scenes: int = 200) -> list[Shortcut]:
    """The planted ones; sizes and places are chosen on other scenes than those that judge."""
    return [
        _drawn(net, "frying pan", "wok", "noodles", scenes),
        _drawn(net, "traffic light", "dumbbell", "arm", scenes),
        _pasted(net, "snorkeler", "scuba diver", "locomotive", scenes),
        _pasted(net, "grey whale", "white shark", "baseball", scenes),
    ]


def _drawn(net: Classifier, of: str, into: str, name: str, scenes: int) -> Shortcut:
    """The thing drawn into the scene, where the scene has a place for it."""
    shown = [scene(of, FRESH + place, adding=(name,)) for place in range(scenes)]
    images, cover = torch.stack([one.image for one in shown]), torch.stack([one.masks[name] for one in shown])[:, None]
    bare = torch.stack([scene(of, FRESH + place).image for place in range(scenes)])
    mean = (images * cover).sum((2, 3), keepdim=True) / cover.sum((2, 3), keepdim=True)
    control = bare * (1 - cover) + mean * cover
    return Shortcut(of, into, name, _share(net, images, into), _share(net, control, into), None, None)


def _pasted(net: Classifier, of: str, into: str, name: str, scenes: int) -> Shortcut:
    """The thing pasted at the size and place where it does most beyond its control, found on other scenes."""
    patches = [object_patch(name, seed) for seed in range(scenes)]
    controls = [flat(patch) for patch in patches]
    tries = torch.stack([scene(of, 2 * FRESH + place).image for place in range(max(1, scenes // 4))])

    def gain(at: tuple[int, tuple[float, float]]) -> float:
        return _mean(net, _with(patches, tries, *at), into) - _mean(net, _with(controls, tries, *at), into)

    size, place = max(product(SIZES, PLACES), key=gain)
    images = torch.stack([scene(of, FRESH + place).image for place in range(scenes)])
    flips, control = (_share(net, _with(these, images, size, place), into) for these in (patches, controls))
    return Shortcut(of, into, name, flips, control, size, place)


def _with(patches: Sequence[Tensor], images: Tensor, size: int, place: tuple[float, float]) -> Tensor:
    """Images with a patch on each."""
    pairs = zip(patches, images, strict=False)
    return torch.stack([paste(patch, image, size, place) for patch, image in pairs])


def _share(net: Classifier, images: Tensor, label: str) -> float:
    return float((probabilities(net, images).argmax(1) == LABELS.index(label)).float().mean())


def _mean(net: Classifier, images: Tensor, label: str) -> float:
    return float(probabilities(net, images)[:, LABELS.index(label)].mean())


def legibility(net: Classifier, judge: Classifier, seeds: Sequence[int] = range(5)) -> Tensor:
    """What the judge calls the renders of each class, (seeds, 16) indices."""
    from optvis.objectives import logit
    from optvis.rendering.render import render

    made = [render(net, logit(range(len(LABELS))), size=96, seed=seed, progress=False).images for seed in seeds]
    return torch.stack([probabilities(judge, images).argmax(1) for images in made])


def probabilities(net: Classifier, images: Tensor) -> Tensor:
    """(B, K), the softmax of a network's answers to images (B, 3, H, W)."""
    with torch.inference_mode():
        return torch.cat([activations(net, some, [OUTPUT])[OUTPUT].softmax(1) for some in torch.split(images, 100)])
