"""Odd networks through every operation: overflow, NaN, dead, complex, integer, quantised, scripted, of video."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from optvis import Classifier
from optvis.atlas import AtlasOptions
from optvis.attribution import Attribution
from optvis.features import Channels
from optvis.models import Classification
from tests.operations import OPERATIONS, Subject
from tests.sparse import Dictionary

from .calls import check_finite, photos, use
from .values import LABELS, SIZE, FirstTwo, tiny_network

LAYERS = ("conv1", "relu1", "conv2", "relu2", "pool", "flat", "head", "", "odd", "<image>", "conv1@input", "conv1#1")


class Odd(nn.Module):
    """A module of one function, with a name of its own, and one that makes of its output what follows."""

    def __init__(self, change: Callable[[Tensor], Any], restore: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.odd, self.restore = Change(change), restore

    def forward(self, a: Tensor) -> Tensor:
        return self.restore(self.odd(a))


class Change(nn.Module):
    """A function as a module."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.change = change

    def forward(self, a: Tensor) -> Any:
        return self.change(a)


class Checkpointed(nn.Module):
    """The first half of a network under gradient checkpointing."""

    def __init__(self, network: nn.Sequential, use_reentrant: bool) -> None:
        super().__init__()
        self.first, self.last, self.use_reentrant = network[:4], network[4:], use_reentrant

    def forward(self, images: Tensor) -> Tensor:
        return self.last(checkpoint(self.first, images, use_reentrant=self.use_reentrant))


def _insert(change: Callable[[Tensor], Any], restore: Callable[[Any], Tensor] = lambda a: a) -> nn.Module:
    """The tiny network with something behind its first ReLU."""
    parts = list(tiny_network().named_children())
    odd = Odd(change, restore)
    flat = [("odd", odd.odd), ("restore", Change(odd.restore))]
    return nn.Sequential(OrderedDict([*parts[:2], *flat, *parts[2:]])).eval()


def _scaled(factor: float) -> nn.Module:
    network = tiny_network()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(factor)
    return network


def _dynamic_int8() -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(tiny_network(), {nn.Linear}, dtype=torch.qint8)


def _static_int8() -> nn.Module:
    from torch.ao import quantization

    network = nn.Sequential(
        OrderedDict([("quant", quantization.QuantStub()), *tiny_network().named_children(),
                     ("dequant", quantization.DeQuantStub())])
    ).eval()  # fmt: skip
    network.qconfig = quantization.get_default_qconfig("fbgemm")
    prepared = quantization.prepare(network)
    prepared(photos())
    return quantization.convert(prepared)


def _video() -> nn.Module:
    parts = {"conv1": nn.Conv3d(3, 8, 3), "relu1": nn.ReLU(), "pool": nn.AdaptiveAvgPool3d(1), "flat": nn.Flatten()}
    return nn.Sequential(OrderedDict(**parts, head=nn.Linear(8, len(LABELS)))).eval()


def _lone_volume() -> nn.Module:
    """It takes three images for one volume without a batch."""
    parts = {"conv1": nn.Conv3d(1, 8, (1, 3, 3)), "relu1": nn.ReLU(), "pool": nn.AdaptiveAvgPool3d(1)}
    return nn.Sequential(OrderedDict(**parts, flat=nn.Flatten(), head=nn.Linear(8, len(LABELS)))).eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "overflow": lambda: _scaled(1e12),
    "dead": lambda: _scaled(0.0),
    "NaN weight": lambda: _scaled(float("nan")),
    "tiny numbers": lambda: _scaled(1e-12),
    "complex layer": lambda: _insert(lambda a: torch.complex(a, a), lambda a: a.abs()),
    "integer layer": lambda: _insert(lambda a: (a * 255).round().long(), lambda a: a.float() / 255),
    "bool layer": lambda: _insert(lambda a: a > 0.1, lambda a: a.float()),
    "tuple layer": lambda: _insert(lambda a: (a, a), lambda pair: pair[0]),
    "dict layer": lambda: _insert(lambda a: {"a": a}, lambda found: found["a"]),
    "scalar layer": lambda: _insert(lambda a: a.mean(), lambda a: a.expand(1, 8, 4, 4)),
    "transposed layer": lambda: _insert(lambda a: a.transpose(0, 1), lambda a: a.transpose(0, 1)),
    "empty layer": lambda: _insert(lambda a: a[:, :0], lambda a: a.new_zeros(len(a), 8, 4, 4)),
    "1 × 1": lambda: _insert(lambda a: a.mean((2, 3), keepdim=True), lambda a: a.expand(-1, -1, 5, 5)),
    "float64": lambda: tiny_network().double(),
    "float16": lambda: tiny_network().half(),
    "bfloat16": lambda: tiny_network().bfloat16(),
    "dynamic int8": _dynamic_int8,
    "static int8": _static_int8,
    "scripted": lambda: torch.jit.script(tiny_network()),
    "traced": lambda: torch.jit.trace(tiny_network(), photos()),
    "on meta": lambda: tiny_network().to("meta"),
    "video": _video,
    "lone volume": _lone_volume,
    "checkpointed": lambda: Checkpointed(tiny_network(), False),
    "checkpointed with use_reentrant": lambda: Checkpointed(tiny_network(), True),
    "in one process": lambda: nn.DataParallel(tiny_network()),
    "one class": lambda: nn.Sequential(*tiny_network()[:-1], nn.Linear(8, 1)).eval(),
    "integers out": lambda: nn.Sequential(tiny_network(), Change(lambda a: a.argmax(1))).eval(),
    "nothing out": lambda: nn.Sequential(tiny_network(), Change(lambda a: None)).eval(),
    "no layers": lambda: Change(lambda images: images.mean((2, 3))),
    "copied": lambda: copy.deepcopy(tiny_network()),
}


def draw_network(data: Any) -> tuple[Callable[[], Any], str]:
    """An odd network, two of its layers, and an operation."""
    kind, name = data.draw(st.sampled_from(sorted(NETWORKS))), data.draw(st.sampled_from(sorted(OPERATIONS)))
    early, late = data.draw(st.sampled_from(LAYERS)), data.draw(st.sampled_from(LAYERS))
    return functools.partial(run, kind, name, early, late), f"{name} of {kind}, {early!r}, {late!r}"


def run(kind: str, name: str, early: str, late: str) -> None:
    """Run an operation on an odd network, and check that its numbers are finite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = NETWORKS[kind]()
    # Layers of a network that is wrapped have another name.
    prefix = {"checkpointed": "first.", "checkpointed with use_reentrant": "first.", "in one process": "module."}
    early, late = (
        prefix.get(kind, "") + layer if layer.startswith(("conv", "relu")) else layer for layer in (early, late)
    )
    classifier = Classifier(network, None, SIZE, LABELS if kind != "one class" else ("cat",))
    result = OPERATIONS[name](subject_of(classifier, photos(), early, late))
    for tensor in (result.values, result.scores) if isinstance(result, Attribution) else ():
        check_finite(tensor)
    if isinstance(result, Classification):
        check_finite(result.confidences)
    if not isinstance(result, Tensor):  # weights are as they are
        use(result)


def subject_of(classifier: Classifier, images: Tensor, early: str, late: str) -> Subject:
    """What the operations take, of a network that may not run at all."""
    subject = object.__new__(Subject)
    fields = {"classifier": classifier, "early": early, "late": late, "conv": early, "images": images}
    vars(subject).update(fields, source=0, target=1, own=images[:1], others=images[1:], side=12)
    subject.units = Channels(late, [0, 2])
    subject.atlas, subject.sae = AtlasOptions(FirstTwo(), size=subject.side, steps=1, min_points=1), Dictionary(8, 12)
    return subject
