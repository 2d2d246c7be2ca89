"""Calls of everything public with random and hostile arguments, and what is done with their results."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from optvis import Channels, ascend
from optvis.objectives import Objective, channel
from optvis.params import Streams, fft_image
from optvis.transforms import Transform
from optvis.viz import Result
from tests.sparse import Dictionary

from .values import SIZE, FirstTwo, hostile, tiny_classifier, tiny_network, typed

PARTS = ("objectives", "params", "transforms")
OPERATIONS = (
    *("ablation", "atlas", "attribution", "circuits", "data", "features", "grids", "microscope", "models", "patches"),
    *("rendering", "viz", "world"),
)
# The tour renders for minutes. Protocols, abstract classes and a typed dictionary are no calls.
LEFT_OUT = {
    "write_tour",
    "Result",
    "AttributionMethod",
    "GradientMethod",
    "ValueMethod",
    "RenderOptions",
    "DreamOptions",
}


def photos() -> Tensor:
    """Three images."""
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


def image_sets() -> dict[str, Any]:
    """Two sets of images with their classes."""
    return {"ships": (photos(), "cat"), "others": (photos(), [1, 2, 3])}


# What a parameter of this name is given mostly, so that a call comes far.
USUAL: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("model", "classifier"), tiny_classifier),
    "network": tiny_network,
    "objective": lambda: channel("conv1", 0),
    "image": lambda: photos()[0],
    **dict.fromkeys(("images", "source_images", "target_images", "keep"), photos),
    "image_sets": image_sets,
    "units": lambda: Channels("conv2", [0, 1]),
    **dict.fromkeys(("sae", "features"), lambda: Dictionary(8, 6, is_sparse=True)),
    "param": lambda: fft_image(SIZE),
    **dict.fromkeys(("layer", "to_layer"), lambda: "conv2"),
    "before": lambda: "conv1",
    "layers": lambda: ["conv1"],
    "channel": lambda: 1,
    "channels": lambda: [0, 1],
    **dict.fromkeys(("steps", "octaves", "random_sets", "group_size"), lambda: 1),
    "size": lambda: SIZE,
    "progress": lambda: False,
    "transform": lambda: None,
    "groups": lambda: 2,
    "path": lambda: "out/x.png",
    "folder": lambda: "out",
    "target": lambda: 0,
    "source": lambda: 1,
    "patch": lambda: torch.rand(3, 4, 4),
    "levels": lambda: [2],
    "layout": FirstTwo,
}


@cache
def public(packages: tuple[str, ...]) -> list[tuple[str, Callable[..., Any]]]:
    """Public functions and classes of packages by name."""
    modules = [importlib.import_module(f"optvis.{package}") for package in packages]
    found = [(f"{package}.{name}", getattr(module, name)) for package, module in zip(packages, modules, strict=True)
             for name in module.__all__ if name not in LEFT_OUT]  # fmt: skip
    calls = [(name, value) for name, value in found if inspect.isclass(value) or inspect.isfunction(value)]
    return [(name, value) for name, value in calls if not inspect.isabstract(value)]


def hints_of(function: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Each parameter, and what its hint stands for; Any where that cannot be said here."""
    target = function.__init__ if inspect.isclass(function) else function  # type: ignore[misc]
    names = getattr(inspect.unwrap(target), "__globals__", {})
    for parameter in inspect.signature(function).parameters.values():
        try:
            yield parameter, eval(parameter.annotation, names) if isinstance(parameter.annotation, str) else Any
        except (NameError, TypeError, AttributeError):
            yield parameter, Any


@st.composite
def arguments(draw: Any, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of a call: mostly what it asks for, with some that are hostile."""
    positional, named = list[Any](), dict[str, Any]()
    for parameter, hint in hints_of(function):
        dice = draw(st.integers(0, 19))
        has_default = parameter.default is not parameter.empty
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            if dice < 10:
                positional.append(draw(typed(hint)))
            continue
        if parameter.name in USUAL and dice < 16:
            value = USUAL[parameter.name]()
        elif has_default and dice < 13:
            continue
        else:
            value = draw(typed(hint) if dice < 18 else hostile())
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            named[parameter.name] = value
    return positional, named


def use(value: Any) -> None:
    """Do with a result what users do next."""
    repr(value)
    if isinstance(value, Objective):
        (2 * value + value[:1]).resolve(tiny_classifier().labels)
        ascend(tiny_classifier(), value, fft_image(SIZE, seeds=range(min(value.batch or 1, 4))), steps=1)
    elif isinstance(value, Result):
        value.to_dict()
        with tempfile.TemporaryDirectory() as folder:
            assert type(value).load(value.save(Path(folder) / "x.png")).recipe is not None
    elif isinstance(value, Transform):
        value(torch.rand(1, 3, SIZE, SIZE), Streams((0,), "fuzz"))
    elif isinstance(value, nn.Module) and not list(inspect.signature(value.forward).parameters):
        check_finite(value())
    elif isinstance(value, Tensor) and value.is_floating_point():
        check_finite(value)


def check_finite(images: Tensor) -> None:
    """Fail for a result with NaN in it."""
    assert bool(images.isfinite().all()), "the result is not finite"


def call_and_use(function: Callable[..., Any], positional: list[Any], named: dict[str, Any]) -> None:
    """Call a function, and use what it returns."""
    Path("out").mkdir(exist_ok=True)
    use(function(*positional, **named))
