"""Every public operation on a network, small: tests of laws that hold for all of them run each one listed here."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optvis import Classifier, accentuate, activations, ascend, attribute, classify, dream, layers, load, maco, render
from optvis.ablation import (
    CachedNetwork,
    Mean,
    bake,
    blinded,
    compare_predictions,
    compare_renderings,
    evaluate,
    find_directions,
    find_units,
    leave_one_out,
    steering_curve,
)
from optvis.atlas import AtlasBuilder, AtlasOptions, activation_atlas, class_atlas, compare_classes, sample_activations
from optvis.attribution.names import METHODS
from optvis.circuits import expanded_weights, hinton_of_activations, hinton_of_expanded_weights, hinton_of_weights
from optvis.circuits import weights as read_weights
from optvis.data import as_dataset
from optvis.features import Channels, Features, expose_features, measure_statistics, receptive_fields
from optvis.grids import IconOptions, activation_grid, semantic_dictionary
from optvis.microscope import MicroscopeOptions, build_microscope, estimate_cost, find_top_activations, measure_effects
from optvis.models import Tail, running_statistics
from optvis.objectives import channel, feature, layer_norm, logit
from optvis.objectives.layout import channels_first
from optvis.patches import try_patch
from optvis.rendering import dream_video
from optvis.world import scene

from .sparse import Dictionary

CLASSES = 4
COUNT = 11  # images: of fewer than 12 an atlas needs no UMAP


def tiny_network() -> nn.Sequential:
    """Two convolutions; behind the first batch statistics and dropout, which only eval mode leaves alone; training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        parts = OrderedDict(
            conv1=nn.Conv2d(3, 6, 3, padding=1),
            relu1=nn.ReLU(),
            bn=nn.BatchNorm2d(6),
            drop1=nn.Dropout2d(0.3),
            conv2=nn.Conv2d(6, 8, 3),
            relu2=nn.ReLU(inplace=True),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            drop2=nn.Dropout(0.5),
            fc=nn.Linear(8, CLASSES),
        )
        parts["bn"].running_mean.uniform_(0, 0.3)
        parts["bn"].running_var.uniform_(0.05, 0.3)
        parts["fc"].weight.data *= 20
        network = nn.Sequential(parts)
        with torch.no_grad():  # so that predictions differ
            parts["fc"].bias -= network.eval()(coarse_images(COUNT, (12, 12))).mean(0)
    return network.train()


def coarse_images(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Random images of a few colored squares, (count, 3, *size)."""
    squares = torch.rand(count, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(squares, size)


class Subject:
    """A network to try operations on: two of its layers, one after the other, and images of its size."""

    def __init__(self, classifier: Classifier, early: str, late: str, conv: str, images: Tensor) -> None:
        self.classifier, self.early, self.late, self.conv, self.images = classifier, early, late, conv, images
        predicted = classifier.logits(self.images).argmax(1)
        self.source = int(predicted.mode().values)
        self.target = (self.source + 1) % int(classifier.logits(self.images[:1]).shape[1])
        self.own, self.others = self.images[predicted == self.source], self.images[predicted != self.source]
        self.units = Channels(late, [0, 2])
        self.sae = Dictionary(channels_first(activations(classifier, images[:1], late)[late]).shape[1], 12)
        self.side = max(12, images.shape[-1] // 2)  # of small pictures
        self.atlas = AtlasOptions(size=self.side, steps=1, min_points=1)

    @property
    def folder_options(self) -> dict[str, Any]:
        """Of a microscope."""
        options = MicroscopeOptions(1, 2, 2)
        return {"channels": [0, 1], "size": self.side, "steps": 1, "options": options, "progress": False}


def tiny() -> Subject:
    """The tiny network with 12 pixels and labels, in training mode."""
    classifier = Classifier(tiny_network(), None, 12, labels=tuple("abcd"), name="tiny")
    return Subject(classifier, "relu1", "relu2", "conv2", coarse_images(COUNT, (12, 12)))


def embedded() -> Subject:
    """The embedded network, on drawn scenes of two of its classes, with small icons."""
    labels = ["container ship"] * 6 + ["ocean liner"] * 5
    images = torch.stack([scene(label, seed).image for seed, label in enumerate(labels)])
    return Subject(load(), "mixed4", "mixed5", "mixed5.0", images)


def squeezenet() -> Subject:
    """SqueezeNet with its published weights, on small images."""
    classifier = replace(load("squeezenet1_0"), size=(64, 64))
    return Subject(classifier, "features.9", "features.12", "features.12.squeeze", coarse_images(COUNT, (64, 64)))


Operation = Callable[[Subject], Any]
QUIET = {"progress": False}
NOT_OPERATIONS = {  # take a model, and do not run it
    "as_classifier": "wraps it",
    "attention_map": "reads a transformer's attention; tested on such",
    "zero_shot": "makes a classifier of a network of images and texts; tested on such",
    "save_baked": "writes its weights",
    "Classifier": "holds it",
    "AtlasBuilder": "listed by its methods",
    "SelectionTask": "holds it",
}


def _blinded(s: Subject, fill: Any = 0.0) -> Tensor:
    with blinded(s.classifier, s.units, fill=fill) as same:
        return same.logits(s.images)


def _builder(s: Subject) -> AtlasBuilder:
    return AtlasBuilder(s.classifier, s.images, s.late, options=s.atlas, progress=False)


def _cost(s: Subject) -> tuple[int, ...]:
    """What does not depend on the time that was measured."""
    cost = estimate_cost(s.classifier, s.late, images=5, size=s.side, steps=1, options=s.folder_options["options"])
    return cost.layers, cost.channels, cost.groups, cost.images


def _microscope(s: Subject) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        build_microscope(s.classifier, s.images, s.early, folder, **s.folder_options)
        return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def _tail(s: Subject) -> dict[str, Tensor]:
    inputs = s.classifier.preprocess(s.images)
    tail = Tail(s.classifier.network, s.images, inputs, s.early)
    return tail.run(2 * tail.activations, [""]) | {"activations": tail.activations}


def _baked(s: Subject, fill: Any = 0.0) -> dict[str, Tensor]:
    return dict(bake(s.classifier, s.units, fill=fill).network.state_dict())


def _running_statistics(s: Subject) -> Any:
    try:
        return running_statistics(s.classifier)
    except ValueError as error:  # a network without batch normalisation
        return str(error)


PATCH = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(2))

OPERATIONS: dict[str, Operation] = {
    "activations": lambda s: activations(s.classifier, s.images, [s.early, s.late]),
    "classify": lambda s: classify(s.classifier, s.images),
    "Classifier.logits": lambda s: s.classifier.logits(s.images),
    "layers": lambda s: str(layers(s.classifier)),
    "receptive_fields": lambda s: receptive_fields(s.classifier, s.late),
    "render": lambda s: render(s.classifier, channel(s.late, [0, 1]), steps=2, **QUIET),
    "ascend": lambda s: [step.scores for step in islice(ascend(s.classifier, logit(s.target)), 2)],
    "maco": lambda s: maco(s.classifier, channel(s.late, 0), steps=2, views=2, **QUIET),
    "accentuate": lambda s: accentuate(s.classifier, s.images[:1], channel(s.late, 0), s.early, steps=2, **QUIET),
    "dream": lambda s: dream(s.classifier, s.images[:1], layer_norm(s.late), steps=1, octaves=2, **QUIET),
    "dream_video": lambda s: dream_video(s.classifier, s.images[:2], layer_norm(s.late), steps=1, **QUIET),
    "activation_grid": lambda s: activation_grid(
        s.classifier, s.images[:1], s.late, groups=2, size=s.side, steps=2, icons=IconOptions(batch_size=4), **QUIET
    ),
    "semantic_dictionary": lambda s: semantic_dictionary(
        s.classifier, s.images[0], s.late, top=1, size=s.side, steps=1, **QUIET
    ),
    **{
        f"attribute by {method}": lambda s, method=method: attribute(
            s.classifier, s.images[:2], s.early, logit(s.target), method=method, **QUIET
        )
        for method in METHODS
    },
    "weights": lambda s: read_weights(s.classifier, s.conv, [0]),
    "expanded_weights": lambda s: expanded_weights(s.classifier, s.early, s.late, [0]),
    "hinton_of_weights": lambda s: hinton_of_weights(s.classifier, s.conv, [0], top=2),
    "hinton_of_activations": lambda s: hinton_of_activations(s.classifier, s.images[0], s.late, top=2),
    "hinton_of_expanded_weights": lambda s: hinton_of_expanded_weights(
        s.classifier, s.early, s.late, [0], top=2, images=s.images[:1], icons=s.side, steps=1, **QUIET
    ),
    "sample_activations": lambda s: sample_activations(s.classifier, s.images, s.late, **QUIET),
    "activation_atlas": lambda s: activation_atlas(
        s.classifier, s.images, s.late, levels=[2], options=s.atlas, **QUIET
    ),
    "class_atlas": lambda s: class_atlas(
        s.classifier, s.images, s.late, s.source, levels=[2], options=s.atlas, **QUIET
    ),
    "compare_classes": lambda s: compare_classes(
        s.classifier, s.images, s.late, s.source, s.target, levels=[2], options=s.atlas, **QUIET
    ),
    "AtlasBuilder.all": lambda s: _builder(s).all([2]),
    "AtlasBuilder.of_class": lambda s: _builder(s).of_class(s.source, [2]),
    "AtlasBuilder.compare": lambda s: _builder(s).compare(s.source, s.target, [2]),
    "try_patch": lambda s: try_patch(
        s.classifier, PATCH, s.own, s.source, s.target, sizes=[4], positions={"centre": (0.5, 0.5)}, **QUIET
    ),
    "blinded": _blinded,
    "blinded with a measured fill": lambda s: _blinded(s, Mean(s.images)),
    "bake": _baked,
    "bake with a measured fill": lambda s: _baked(s, Mean(s.images)),
    "compare_renderings": lambda s: compare_renderings(s.classifier, s.units, logit(s.target), steps=1, **QUIET),
    "find_units": lambda s: find_units(
        s.classifier, s.own, s.source, keep=s.others, layers=[s.late], max_units=2, **QUIET
    ),
    "leave_one_out": lambda s: leave_one_out(
        s.classifier, s.own[:2], s.source, keep=s.others, layers=[s.late], max_units=1, method="contrast", **QUIET
    ),
    "compare_predictions": lambda s: compare_predictions(s.classifier, [s.units], s.own, s.source, keep=s.others),
    "find_units among features": lambda s: find_units(
        s.classifier, s.own, s.source, keep=s.others, layers=[s.late], features=s.sae, method="contrast", **QUIET
    ),
    "attribute to features": lambda s: attribute(
        s.classifier, s.images[:2], s.late, logit(s.target), features=s.sae, **QUIET
    ),
    "render a feature": lambda s: render(s.classifier, feature(s.late, s.sae, [0, 1]), steps=2, **QUIET),
    "expose_features": lambda s: activations(expose_features(s.classifier, s.late, s.sae), s.images, ["codes"]),
    "evaluate features": lambda s: evaluate(
        s.classifier,
        Features(s.late, s.sae, [0, 2]),
        {"own": (s.own, s.source), "others": (s.others, s.target)},
        random_sets=2,
        **QUIET,
    ),
    "find_directions": lambda s: find_directions(s.classifier, s.own[:2], s.others[:2], s.late),
    "evaluate": lambda s: evaluate(
        s.classifier, s.units, {"own": (s.own, s.source), "others": (s.others, s.target)}, random_sets=2, **QUIET
    ),
    "steering_curve": lambda s: steering_curve(
        s.classifier, s.units, {"own": (s.own, s.source), "others": (s.others, s.target)}, factors=(0, 1), **QUIET
    ),
    "CachedNetwork": lambda s: CachedNetwork(s.classifier, s.images, [s.early, s.late]).logits({s.late: torch.relu}),
    "Tail": _tail,
    "measure_statistics": lambda s: measure_statistics(s.classifier, s.images, [s.early]),
    "running_statistics": _running_statistics,
    "estimate_cost": _cost,
    "find_top_activations": lambda s: find_top_activations(s.classifier, as_dataset(s.images), [s.early, s.late], 2),
    "measure_effects": lambda s: measure_effects(s.classifier, s.images[:2], s.early, 0),
    "build_microscope": _microscope,
}


def numbers(result: Any) -> Any:
    """All that a result holds, as values that compare by ==."""
    if isinstance(result, Tensor):
        return tuple(result.shape), str(result.dtype), result.detach().contiguous().numpy().tobytes()
    if isinstance(result, np.ndarray):
        return result.shape, result.tobytes()
    if isinstance(result, dict):
        return {str(key): numbers(value) for key, value in result.items()}
    if isinstance(result, list | tuple | set | frozenset):
        return [numbers(value) for value in result]
    if isinstance(result, Classifier | nn.Module | Subject) or callable(result):
        return type(result).__name__
    if hasattr(result, "__dict__"):
        return numbers({key: value for key, value in vars(result).items() if not key.startswith("_")})
    return result if isinstance(result, bytes | str | int | type(None)) else repr(result)


__all__ = ["NOT_OPERATIONS", "OPERATIONS", "Operation", "Subject", "numbers", "tiny", "tiny_network"]
