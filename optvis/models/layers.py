"""Named layers of a network, read from one forward pass that is cut after the last of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import Photo, photograph
from optvis.models.borrow import borrow
from optvis.models.classifier import CARRIED, Classifier, Normalizer, as_classifier
from optvis.models.layer_table import Layer, LayerTable
from optvis.objectives import IMAGE, OUTPUT


class _Enough(BaseException):
    """All layers are read. No Exception, so that a model's own `except Exception` cannot eat it."""


def activations(
    model: nn.Module | Classifier,
    images: Photo | Sequence[Photo],
    layers: Sequence[str],
    *,
    normalize: Normalizer | str = CARRIED,
) -> dict[str, Tensor]:
    """The outputs of named layers for some images, from one forward pass cut after the last of them.

    Gradients flow to `images` where those are a tensor that requires them, never to the weights.

    Args:
        model: a network, or a Classifier.
        images: a photograph in any form that `photograph` takes, or a list of them.
        layers: names as in `layers(model)`; "relu#1" is the second call of a module that is used twice;
            "" is the network's own output; "<image>" the images themselves.
        normalize: see `render`; by default what the model carries.

    Returns:
        Each layer's activations as the network gives them, (B, ...), on its device.

    Raises:
        KeyError: a layer that does not exist; the nearest names are given.
        ValueError: a layer that never ran.
        TypeError: a layer whose output is no tensor; one that gives a tensor is named.

    Example:
        >>> from optvis.models.classifier import Classifier
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        >>> activations(Classifier(net, None, 8), torch.rand(2, 3, 8, 8), ["0"])["0"].shape
        torch.Size([2, 4, 6, 6])
    """
    classifier = as_classifier(model, normalize)
    seen = photograph(images, classifier)
    with borrow(classifier.network):
        found = read(classifier.network, classifier.prepared(seen), layers)
    return found | ({IMAGE: seen} if IMAGE in layers else {})


def read(network: nn.Module, inputs: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """Like `activations`, of inputs that are ready for a network that is borrowed already."""
    wanted = {name: located(network, name) for name in layers if name != IMAGE}
    found: dict[str, Any] = {}

    def keep(name: str, output: Any) -> None:
        last = len(found) == len(wanted) - 1
        # A layer that works in place may follow and overwrite what this one gave.
        found[name] = output if last or not isinstance(output, Tensor) else output.clone()
        if last:
            raise _Enough

    with hooked(list(wanted.values()), lambda place, output: keep(list(wanted)[place], output)):
        try:
            if wanted:
                network(inputs)
        except _Enough:
            pass
    for name in wanted:
        if name not in found:
            raise ValueError(f"layer {name!r} never ran in this forward pass; {_better(network, inputs, name)}")
        if not isinstance(found[name], Tensor):
            came = _described(found[name])
            raise TypeError(f"layer {name!r} gives {came}, not a tensor; {_better(network, inputs, name)}")
        _keep_layout(found[name])
    return found


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _keep_layout(a: Tensor) -> None:
    """Have gradients come back channels last where activations are: a mixture slows every layer below."""
    if a.requires_grad and a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a.register_hook(_channels_last)  # type: ignore[no-untyped-call]


@contextmanager
def hooked(places: Sequence[tuple[nn.Module, int]], keep: Callable[[int, Any], None]) -> Iterator[None]:
    """Call `keep(place, output)` when a module has run for the given time in this pass; unhooked on any exit."""
    calls: dict[nn.Module, int] = {}

    def after(module: nn.Module, _inputs: Any, output: Any) -> None:
        call = calls.get(module, 0)
        calls[module] = call + 1
        for place in [i for i, where in enumerate(places) if where == (module, call)]:
            keep(place, output)

    handles = [module.register_forward_hook(after) for module in dict.fromkeys(module for module, _ in places)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replaced_output(network: nn.Module, layer: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, a layer hands on what `change` makes of its output; unhooked on any exit.

    Raises:
        KeyError: no such layer.
        TypeError: inside, a layer whose output is no tensor.
    """
    module, wanted = located(network, layer)
    calls = 0

    def after(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != wanted + 1:
            return output
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {layer!r} gives {_described(output)}, not a tensor; layers(net) lists those that do"
            )
        return change(output)

    handle = module.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


def layers(
    model: nn.Module | Classifier, *, size: int | tuple[int, int] | None = None, normalize: Normalizer | str = CARRIED
) -> LayerTable:
    """Every layer that runs: name, type and output shape for one image, in the order in which they finish.

    Args:
        model: a network, or a Classifier.
        size: side, or (height, width), of the image in pixels; the network's own by default.
        normalize: see `render`; by default what the model carries.

    Returns:
        A sequence that prints as a table.

    Example:
        >>> from optvis.models.classifier import Classifier
        >>> print(layers(Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), None, 8)))
        layer     type        output
        0         Conv2d      1 × 4 × 6 × 6
        1         ReLU        1 × 4 × 6 × 6
        (output)  Sequential  1 × 4 × 6 × 6
    """
    classifier = as_classifier(model, normalize)
    height, width = classifier.sized(size)
    inputs = torch.full((1, 3, height, width), 0.5, device=classifier.device)
    with borrow(classifier.network), torch.no_grad():
        return _table(classifier.network, classifier.prepared(inputs))


def _table(network: nn.Module, inputs: Tensor) -> LayerTable:
    rows: list[Layer] = []
    names = {module: name for name, module in reversed(list(network.named_modules()))}
    calls: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        call = calls.get(module, 0)
        calls[module] = call + 1
        name = names[module] + (f"#{call}" if call else "")
        rows.append(Layer(name, type(module).__name__, _described(output), isinstance(output, Tensor)))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return LayerTable(tuple(rows))


def located(network: nn.Module, name: str) -> tuple[nn.Module, int]:
    """The module of a name and which of its calls is meant."""
    path, numbered, call = name.partition("#")
    try:
        if numbered and not call.isdecimal():
            raise AttributeError(name)
        return network.get_submodule(path), int(call) if call else 0
    except AttributeError as error:
        known = [found for found, _ in network.named_modules(remove_duplicate=False) if found]
        raise KeyError(f"no layer {name!r}; {_nearest(path, known)}") from error


def _nearest(name: str, names: Sequence[str]) -> str:
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    if not close:
        return "layers(network) lists them" + (f", the last is {names[-1]!r}" if names else "")
    return "nearest: " + ", ".join(repr(folded[match]) for match in close)


def _better(network: nn.Module, inputs: Tensor, name: str) -> str:
    """A layer that gives a tensor: the nearest enclosing one, else the next to run, else the most alike."""
    with torch.no_grad():
        table = _table(network, inputs)
    tensors = [row.name for row in table if row.is_tensor]
    parts = name.partition("#")[0].split(".")
    parents = [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
    enclosing = [parent for parent in parents if parent in tensors]
    order = [row.name for row in table]
    later = [row for row in order[order.index(name) + 1 :] if row in tensors] if name in order else []
    choice = [row for row in enclosing + later if row][:1]
    return f"use {choice[0]!r}" if choice else _nearest(name, [row for row in tensors if row])


def _described(output: Any) -> str:
    if isinstance(output, Tensor):
        return " × ".join(map(str, output.shape))
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of ({', '.join(_described(part) for part in output)})"
    if isinstance(output, dict):
        return f"a {type(output).__name__} of {', '.join(map(str, output))}"
    return "None" if output is None else f"a {type(output).__name__}"


__all__ = ["IMAGE", "OUTPUT", "activations", "layers", "read"]
