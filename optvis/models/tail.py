"""The tail of a network: what it computes after a layer, run again from cached activations."""

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
from optvis.objectives import IMAGE


class Tail:
    """All that a network computes after a layer, for other activations of that layer.

    One whole forward pass is recorded. When the tail runs, every module that had finished before the layer returns its
    recorded output, so that only what follows the layer is computed. The network must be borrowed, and must compute
    the same each time.

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
        ...     tail.run(tail.activations, [""])[""].equal(net(images))
        True
    """

    def __init__(self, network: nn.Module, images: Tensor, inputs: Tensor, layer: str) -> None:
        self.network, self.images, self.inputs, self.layer = network, images, inputs, layer
        self.call = find_module(network, layer)
        recorder = _Recorder(self.call, frozenset())
        while True:
            with (
                torch.no_grad(),
                hook_modules(network.modules(), before=recorder.before_module, after=recorder.after_module),
            ):
                self.activations = read_activations(network, inputs, [layer], whole=True)[layer]
            if not recorder.misleading:
                break
            recorder = _Recorder(self.call, recorder.misleading | recorder.entered)
        self.before, self.modified_calls = recorder.outputs, recorder.modified_calls

    def run(self, activations: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute layers of the network with other activations in this layer.

        Args:
            activations: (K · B, ...): K variations of all images, one after the other.
            layers: names, in any part of the network.
        """
        times = len(activations) // len(self.inputs)
        known = {call: _repeat(output, times) for call, output in self.before.items()}
        known |= {call: _copy(known[call]) for call in (known if times == 1 else self.modified_calls)}
        wanted = list(layers)
        with _replaying(known | {self.call: activations.clone()}):  # what follows may work in place
            found = read_activations(self.network, _repeat(self.inputs, times), wanted)
        return found | ({IMAGE: _repeat(self.images, times)} if IMAGE in wanted else {})


class _Recorder:
    """Outputs of the modules that finish before a call: of nested modules, the outermost.

    Args:
        end: the call at which recording ends.
        entered: modules that are not recorded as a whole, only the modules inside them.
    """

    def __init__(self, end: Call, entered: frozenset[nn.Module]) -> None:
        self.end, self.entered, self.reached = end, entered, False
        self.calls: Counter[nn.Module] = Counter()
        self.ended: list[nn.Module] = []
        self.open: list[tuple[int, int]] = []  # for each running module: how many had ended, and were recorded, before
        self.order: list[Call] = []
        self.outputs: dict[Call, Any] = {}
        self.versions: dict[Call, tuple[Any, int]] = {}
        self.inside: dict[Call, Counter[nn.Module]] = {}

    def before_module(self, _module: nn.Module, _inputs: Any) -> None:
        self.open.append((len(self.ended), len(self.order)))

    def after_module(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        call = (module, self.calls[module])
        self.calls[module] += 1
        ended, first = self.open.pop()
        inside = Counter(self.ended[ended:])
        self.ended.append(module)
        if self.reached or (module in self.entered and call != self.end):
            return
        for inner in self.order[first:]:
            del self.outputs[inner], self.versions[inner], self.inside[inner]
        self.order[first:] = [call]
        self.reached = call == self.end
        if self.reached:
            return
        self.outputs[call], self.versions[call], self.inside[call] = _copy(output), (output, _version(output)), inside

    @property
    def modified_calls(self) -> set[Call]:
        """Calls whose output some later operation wrote into."""
        return {call for call, (output, version) in self.versions.items() if _version(output) != version}

    @property
    def misleading(self) -> frozenset[nn.Module]:
        """Modules whose inner modules also run outside of them: skipping these would miscount the calls of those."""
        return frozenset(
            module
            for (module, _), inside in self.inside.items()
            if any(self.calls[inner] > count for inner, count in inside.items())
        )


@contextmanager
def _replaying(known: Mapping[Call, Any]) -> Iterator[None]:
    """Inside, modules return known outputs instead of computing them; their own forward is restored on any exit."""
    modules = dict.fromkeys(module for module, _ in known)
    own = {module: vars(module).get("forward") for module in modules}
    try:
        for module in modules:
            vars(module)["forward"] = _replay_forward(module, known)
        yield
    finally:
        for module, forward in own.items():
            if forward is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = forward


def _replay_forward(module: nn.Module, known: Mapping[Call, Any]) -> Callable[..., Any]:
    forward = module.forward
    calls = 0

    def replay(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        call = (module, calls - 1)
        return known[call] if call in known else forward(*args, **kwargs)

    return replay


def _map_tensors(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors in tuples, lists and dicts; return anything else as it is."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        return type(tree)((key, _map_tensors(value, change)) for key, value in tree.items())
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map_tensors(value, change) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(_map_tensors(value, change) for value in tree)
    return tree


def _version(tree: Any) -> int:
    """Count the in-place writes into the tensors of an output."""
    versions = [0]
    _map_tensors(tree, lambda a: versions.append(a._version) or a)  # type: ignore[func-returns-value]
    return sum(versions)


def _copy(tree: Any) -> Any:
    return _map_tensors(tree, Tensor.clone)


def _repeat(tree: Any, times: int) -> Any:
    """Repeat a batch, one copy after the other; a single image is expanded without copying."""

    def repeat(a: Tensor) -> Tensor:
        if times == 1 or a.dim() == 0:
            return a
        return a.unsqueeze(0).expand(times, *a.shape).flatten(0, 1)

    return _map_tensors(tree, repeat)
