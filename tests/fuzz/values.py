"""Values: those that a hint asks for, mostly small and sometimes extreme, and hostile ones of every kind."""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from optvis import Channels, Classifier, Directions, Features
from optvis.objectives import Objective, channel
from optvis.params import ImageParam, Streams, fft_image
from tests.sparse import Dictionary

LAYERS = ("conv1", "relu1", "conv2", "pool", "head", "")
LABELS = ("cat", "dog", "container ship, box ship", "ocean liner", "tench")
SIZE = 16  # pixels a side of the images

HOSTILE: tuple[Callable[[], Any], ...] = (
    *(lambda value=value: value for value in (None, True, -1, 0, 1, 3, 2**31, 2**63, 10**30, -(2**63), 1.5, -0.5, 0.0)),
    *(lambda value=value: value for value in (float("nan"), float("inf"), 1e308, 1j, b"x", object, object(), ..., len)),
    *(
        lambda value=value: value
        for value in ("", ".", "16", "conv1", "<image>", "conv9", "x" * 300, "a\0b", "日本", "conv1:2")
    ),
    *(lambda value=value: value for value in ("\udce9", "conv1#1", "conv1#x", "infer", "DEFAULT", "1" * 400)),
    list,
    lambda: (),
    dict,
    lambda: set(),
    lambda: [0, 1],
    lambda: ["a", "b"],
    lambda: [1, "a", None],
    lambda: [float("nan")] * 3,
    lambda: [[1, 2], [3]],
    lambda: {"a": 1},
    lambda: {5: torch.rand(3, SIZE, SIZE)},
    lambda: range(10**12),
    lambda: iter([1, 2]),
    lambda: np.int64(3),
    lambda: np.float32(0.5),
    lambda: np.bool_(1),
    lambda: np.zeros(3),
    lambda: np.array(["a"]),
    lambda: np.array([object()]),
    lambda: np.zeros((SIZE, SIZE, 3), np.uint8),
    lambda: torch.tensor(2),
    lambda: torch.zeros(0),
    lambda: torch.rand(8),
    lambda: torch.rand(2, 8),
    lambda: torch.rand(3, SIZE, SIZE),
    lambda: torch.full((3, SIZE, SIZE), torch.nan),
    lambda: torch.zeros(2, 3, dtype=torch.complex64),
    lambda: torch.zeros(2, 3, dtype=torch.bool),
    lambda: torch.zeros(2, 3, device="meta"),
    lambda: nn.Identity(),
    lambda: nn.Conv2d(3, 4, 3),
    lambda: lambda *_: None,
    lambda: lambda *_: torch.zeros(2, 8),
    lambda: Path("nowhere"),
    lambda: Path("x" * 300),
    lambda: fft_image(SIZE),
    lambda: channel("conv1", 0),
    lambda: Channels("conv1", [0]),
)


@st.composite
def hostile(draw: Any) -> Any:
    """Any of the hostile values."""
    return draw(st.sampled_from(HOSTILE))()


INTS = st.one_of(st.integers(0, 6), st.sampled_from((-1, 7, 64, 1000, 2**31, 2**62)))
FLOATS = st.one_of(
    st.floats(-2, 2), st.sampled_from((0.0, 1.0, 50.0, 1e30, -1e30, 1e-30, float("nan"), float("inf"), 3))
)
TEXTS = st.sampled_from((*LAYERS, *LABELS, "nope", "1", "#1", "<image>", ""))
SHAPES = (
    (8,),
    (1,),
    (2, 8),
    (3, SIZE, SIZE),
    (1, 3, SIZE, SIZE),
    (2, 3, SIZE, SIZE),
    (1, 8, 14, 14),
    (),
    (0, 3),
    (1, 5),
)
TENSORS = st.builds(torch.rand, st.sampled_from(SHAPES))


def typed(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a hint asks for; hostile ones for a hint that is not known here."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: INTS,
        float: FLOATS,
        str: TEXTS,
        bool: st.booleans(),
        type(None): st.none(),
        torch.Tensor: TENSORS,
        Objective: st.builds(channel, st.sampled_from(LAYERS[:4]), st.integers(0, 3)),
        Streams: st.just(Streams((0,), "fuzz")),
        ImageParam: st.builds(fft_image, st.just(SIZE)),
        Channels: st.builds(Channels, st.sampled_from(LAYERS[:4]), st.lists(st.integers(0, 7), min_size=1)),
        Directions: st.just(Directions("conv1", torch.rand(8))),
        Features: st.builds(Features, st.just("conv1"), st.just(Dictionary(8, 6)), st.lists(st.integers(0, 7))),
        Classifier: st.builds(tiny_classifier),
        nn.Module: st.builds(tiny_network),
        os.PathLike: st.builds(Path, TEXTS),
        Path: st.builds(Path, TEXTS),
    }
    if hint in simple:
        return simple[hint]
    if origin in (typing.Union, typing.get_origin(int | str)):
        return st.one_of(*map(typed, parts))
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is tuple and parts[-1:] != (...,):
        return st.tuples(*map(typed, parts))
    if origin in (tuple, list, Sequence, Collection, Iterable):
        return st.lists(typed(parts[0]), max_size=3).map(tuple if origin is tuple else list)
    if origin is Mapping:
        return st.dictionaries(typed(parts[0]), typed(parts[1]), max_size=2)
    return hostile()


class FirstTwo:
    """A layout that takes no time: the first two numbers of each vector."""

    def fit_transform(self, vectors: Any) -> Any:
        """(N, C) -> (N, 2)"""
        return vectors[:, :2]


def tiny_network() -> nn.Module:
    """A network of five classes for images of 16 × 16, the same each time."""
    from collections import OrderedDict

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (
            *(("conv1", nn.Conv2d(3, 8, 3)), ("relu1", nn.ReLU()), ("conv2", nn.Conv2d(8, 8, 3)), ("relu2", nn.ReLU())),
            *(("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), ("head", nn.Linear(8, len(LABELS)))),
        )
        return nn.Sequential(OrderedDict(layers)).eval()


def tiny_classifier() -> Classifier:
    """The network as a Classifier with labels."""
    return Classifier(tiny_network(), None, SIZE, LABELS)
