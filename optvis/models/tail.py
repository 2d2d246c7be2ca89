"""The tail of a network: what comes after a layer, asked again from cached activations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.activations import read_activations
from optvis.models.hooks import Call, hook_modules
from optvis.models.layers import find_module
from optvis.objectives import IMAGE, OUTPUT


class Tail:
    """Everything that a network computes after a layer, for other activations of that layer.

    One whole forward pass is recorded. Asked again, every module that had finished before the layer hands out what it
    gave then, so only what lies behind the layer is computed. The network has to be borrowed, and has to compute the
    same each time.

    Args:
        network: a borrowed network.
        images: (B, 3, H, W) in [0, 1], for objectives that read them.
        inputs: the same, ready for the network.
        layer: name as in `layers(net)`; "<image>" is not one.

    Example:
        >>> from optvis.models.borrow import borrow
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
        >>> images = torch.rand(2, 3, 8, 8)
        >>> with borrow(net):
        ...     tail = Tail(net, images, images, "1")
        ...     tail.read(tail.activations, [""])[""].equal(net(images))
        True
    """

    def __init__(self, network: nn.Module, images: Tensor, inputs: Tensor, layer: str) -> None:
        self.network, self.images, self.inputs, self.layer = network, images, inputs, layer
        self.place = find_module(network, layer)
        recorder = _Recorder(self.place, frozenset())
        while True:
            with torch.no_grad(), hook_modules(network.modules(), before=recorder.starts, after=recorder.ends):
                self.activations = read_activations(network, inputs, [layer, *([OUTPUT] if layer else [])])[layer]
            if not recorder.misleading:
                break
            recorder = _Recorder(self.place, recorder.misleading | recorder.entered)
        self.before, self.overwritten = recorder.kept, recorder.overwritten

    def read(self, activations: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Layers of the network with other activations in this one.

        Args:
            activations: (K · B, ...): K variations of all images, one after the other.
            layers: names, of which each is this layer or lies behind it, or before it.
        """
        times = len(activations) // len(self.inputs)
        known = {place: _tiled(output, times) for place, output in self.before.items()}
        known |= {place: _copied(known[place]) for place in (known if times == 1 else self.overwritten)}
        wanted = list(layers)
        with _replaying(known | {self.place: activations.clone()}):  # what follows may work in place
            found = read_activations(self.network, _tiled(self.inputs, times), wanted)
        return found | ({IMAGE: _tiled(self.images, times)} if IMAGE in wanted else {})


class _Recorder:
    """What modules give that finish before a place: of those inside one another, the outermost.

    Args:
        place: where recording ends.
        entered: modules that are not taken as a whole, only what is inside them.
    """

    def __init__(self, place: Call, entered: frozenset[nn.Module]) -> None:
        self.place, self.entered, self.reached = place, entered, False
        self.calls: Counter[nn.Module] = Counter()
        self.ended: list[nn.Module] = []
        self.open: list[tuple[int, int]] = []  # for each module that runs: how many had ended and were kept before
        self.order: list[Call] = []
        self.kept: dict[Call, Any] = {}
        self.given: dict[Call, tuple[Any, int]] = {}
        self.inside: dict[Call, Counter[nn.Module]] = {}

    def starts(self, _module: nn.Module, _inputs: Any) -> None:
        self.open.append((len(self.ended), len(self.order)))

    def ends(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        place = (module, self.calls[module])
        self.calls[module] += 1
        ended, first = self.open.pop()
        inside = Counter(self.ended[ended:])
        self.ended.append(module)
        if self.reached or (module in self.entered and place != self.place):
            return
        for inner in self.order[first:]:
            del self.kept[inner], self.given[inner], self.inside[inner]
        self.order[first:] = [place]
        self.reached = place == self.place
        if self.reached:
            return
        self.kept[place], self.given[place], self.inside[place] = _copied(output), (output, _version(output)), inside

    @property
    def overwritten(self) -> set[Call]:
        """What some later operation wrote into."""
        return {place for place, (output, version) in self.given.items() if _version(output) != version}

    @property
    def misleading(self) -> frozenset[nn.Module]:
        """Modules with others inside that run outside as well: if these were skipped, those would be miscounted."""
        return frozenset(
            module
            for (module, _), inside in self.inside.items()
            if any(self.calls[inner] > count for inner, count in inside.items())
        )


@contextmanager
def _replaying(known: Mapping[Call, Any]) -> Iterator[None]:
    """Have modules hand out what is known in place of computing it; their own forward is back on any exit."""
    modules = dict.fromkeys(module for module, _ in known)
    own = {module: vars(module).get("forward") for module in modules}
    try:
        for module in modules:
            vars(module)["forward"] = _answering(module, known)
        yield
    finally:
        for module, forward in own.items():
            if forward is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = forward


def _answering(module: nn.Module, known: Mapping[Call, Any]) -> Callable[..., Any]:
    forward = module.forward
    calls = 0

    def answer(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        place = (module, calls - 1)
        return known[place] if place in known else forward(*args, **kwargs)

    return answer


def _mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Tensors in tuples, lists and dicts, changed; anything else as it is."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return type(tree)((key, _mapped(value, change)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_mapped(value, change) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(value, change) for value in tree)
    return tree


def _version(tree: Any) -> int:
    """A count of what was written into its tensors."""
    versions = [0]
    _mapped(tree, lambda a: versions.append(a._version) or a)  # type: ignore[func-returns-value]
    return sum(versions)


def _copied(tree: Any) -> Any:
    return _mapped(tree, Tensor.clone)


def _tiled(tree: Any, times: int) -> Any:
    """So many copies of a batch, one after the other; of a single image without copying anything."""

    def tile(a: Tensor) -> Tensor:
        if times == 1 or a.dim() == 0:
            return a
        return a.unsqueeze(0).expand(times, *a.shape).flatten(0, 1)

    return _mapped(tree, tile)


__all__ = ["Tail"]
