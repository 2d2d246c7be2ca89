"""What is asked of each of many networks, and what comes of it: the table network × function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor, nn

from optvis import (
    Classifier,
    activation_grid,
    attribute,
    blinded,
    classify,
    dream,
    evaluate,
    find_units,
    layers,
    receptive_fields,
    render,
)
from optvis.models.borrow import borrow
from optvis.objectives import Objective, channel, layer_norm, logit

from .fuzz.outcomes import Outcome, outcome_of
from .many_networks import NETWORKS, Case

QUIET = {"progress": False}
IMAGES = 6


class Question:
    """A network, its images, and two of its classes."""

    def __init__(self, case: Case) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.net = case.build()
        self.layer, self.axis = case.layer, case.channel_axis
        size, generator = self.net.size, torch.Generator().manual_seed(0)
        coarse = torch.rand(IMAGES, self.net.channels, 3, 3, generator=generator)
        self.images = nn.functional.interpolate(coarse, size)
        with suppress(Exception):  # what cannot be asked says so when it is
            _balance(self.net, self.images)

    @property
    def target(self) -> Objective:
        """A class where there are such, else a number of the embedding."""
        head = self.net.read_head(self.images[:1])
        return logit(0) if head.has_classes else channel("", 1)

    def sets(self) -> tuple[int, Tensor, Tensor]:
        """A class that is predicted, the images of it, and the others."""
        scores = self.net.logits(self.images)
        head = self.net.read_head(self.images)
        head.require_classes("find_units")
        source = int(scores.argmax(1)[0])
        chosen, best = head.is_predicted(scores, torch.full((IMAGES,), source)), scores.argmax(1) == source
        return source, self.images[best], self.images[~chosen & ~best]


def _balance(net: Classifier, images: Tensor) -> None:
    """Shift the last bias so that random networks predict several classes, each for some images."""
    with borrow(net.network), torch.no_grad():
        scores = net.logits(images)
        heads = [module for module in net.network.modules() if hasattr(module, "bias") and hasattr(module, "weight")]
        count = 1 if net.read_head(images).is_pair else scores.shape[1]
        heads = [head for head in heads if isinstance(head.bias, Tensor) and head.bias.shape == (count,)]
        for head in heads[-1:]:
            if not head.weight.any():
                head.weight.normal_()
            head.bias.sub_(net.logits(images).median(0).values[-count:])


def _find(q: Question) -> None:
    source, own, others = q.sets()
    found = find_units(q.net, own, source, keep=others, layers=[q.layer], max_units=2, method="contrast", **QUIET)
    with blinded(q.net, *found.units):
        q.net.logits(q.images)
    evaluate(q.net, found.units, {"own": (own, source)}, random_sets=2, **QUIET)


FUNCTIONS: dict[str, Callable[[Question], object]] = {
    "layers": lambda q: layers(q.net),
    "render channel": lambda q: render(q.net, channel(q.layer, 1, channel_axis=q.axis), steps=2, **QUIET),
    "render class": lambda q: render(q.net, logit(0), steps=2, **QUIET),
    "dream": lambda q: dream(q.net, q.images[:1], layer_norm(q.layer), steps=1, octaves=2, **QUIET),
    "grid": lambda q: activation_grid(
        q.net, q.images[:1], q.layer, groups=2, size=q.net.size[0], steps=2, channel_axis=q.axis, **QUIET
    ),
    "attribute by channel": lambda q: (
        attribute(q.net, q.images[:1], q.layer, q.target, channel_axis=q.axis, **QUIET).channels
    ),
    "attribute by position": lambda q: attribute(
        q.net, q.images[:1], q.layer, q.target, channel_axis=q.axis, **QUIET
    ).overlay(),
    "receptive field": lambda q: receptive_fields(q.net, q.layer, channel_axis=q.axis),
    "find, blind, evaluate": _find,
    "classify": lambda q: classify(q.net, q.images, top=1),
}


def ask(name: str) -> dict[str, Outcome]:
    """Ask all of one network; what came of each function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        question = Question(NETWORKS[name])
        return {
            label: outcome_of(lambda function=function: function(question)) for label, function in FUNCTIONS.items()
        }


__all__ = ["FUNCTIONS", "ask"]
