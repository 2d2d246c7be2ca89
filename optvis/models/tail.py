"""The tail of a network: what it computes after a layer, run again from cached activations."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from optvis.models.activations import check_order, input_size, read_activations, require_gradients
from optvis.models.adapted.first_runs import warn_coupled
from optvis.models.adapted.single import replace_single
from optvis.models.adapted.trees import copy_tensors, count_writes, is_same, list_leaves, map_tensors, repeat_batch
from optvis.models.borrow import borrow
from optvis.models.hooks import Call, hook_modules, intercept, replace_forward
from optvis.models.layers import find_module
from optvis.models.outputs.tokens import view_layer, whole_layer
from optvis.models.overrides.replace import replace_output
from optvis.models.run import renew, restride, run_network, run_with_gradients
from optvis.objectives import IMAGE
from optvis.objectives.layout import takes_input

# In one pass through the tail: 16 MB of float32 in the layer, which fit into the caches.
ACTIVATIONS_PER_PASS = 2**22
MAX_COPIES = 2**10
_COUPLED: WeakKeyDictionary[nn.Module, dict[str, bool]] = WeakKeyDictionary()  # layers behind which images are coupled
IMAGES_PER_PASS = 16  # where the whole network runs


class Tail:
    """All that a network computes after a layer, for other activations of that layer.

    One whole forward pass is recorded. When the tail runs, every module that had finished before the layer returns its
    recorded output, so that only what follows the layer is computed. The network must compute the same each time.

    Some networks pass activations on in other ways than from module to module: kept by hooks or in attributes, in
    generators, or with the number of images in them. So the tail is checked first, on the recorded activations. Where
    it does not give the recorded output, the whole network runs each time, with the layer's output replaced.

    Args:
        network: any network.
        images: (B, 3, H, W) in [0, 1], for objectives that read them.
        inputs: the same, ready for the network.
        layer: name as in `layers(net)`; "<image>" is not one.
        copies: how many variations run together in the check; 1 where `run` never gets more.

    Raises:
        ValueError: no copies, or more than 1,024.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
        >>> images = torch.rand(2, 3, 8, 8)
        >>> tail = Tail(net, images, images, "1")
        >>> tail.run(tail.activations, [""])[""].equal(net(images))
        True
    """

    def __init__(self, network: nn.Module, images: Tensor, inputs: Tensor, layer: str, copies: int = 2) -> None:
        if not 1 <= copies <= MAX_COPIES:
            raise ValueError(f"copies is {copies}; expected 1 to {MAX_COPIES:,}")
        self.network, self.images, self.inputs, self.layer = network, images, inputs, layer
        self.call = find_module(network, layer)
        with borrow(network):
            self._record(network, inputs, layer, copies)

    def _record(self, network: nn.Module, inputs: Tensor, layer: str, copies: int) -> None:
        recorder, raw = _Recorder(network, self.call, frozenset()), whole_layer(network, layer)
        while True:
            with (
                torch.no_grad(),
                hook_modules(network.modules(), before=recorder.before_module, after=recorder.after_module),
            ):
                self.output = read_activations(network, inputs, [raw], whole=True)[raw]
            check_order(network, raw, self.output, inputs)
            if not recorder.misleading:
                break
            recorder = _Recorder(network, self.call, recorder.misleading | recorder.entered)
        self.output = map_tensors(self.output, renew)
        self.view = view_layer(network, layer, self.output, input_size(inputs))
        self.activations = self.view.read(self.output)
        self.before, self.wrapping = map_tensors(recorder.outputs, renew), recorder.wrapping
        self.modified_calls = recorder.modified_calls
        is_inside = takes_input(layer)  # what goes into a module is replaced in the whole network
        self.is_replayed = not is_inside and recorder.is_complete and self._gives(recorder.result, copies)
        if not self.is_replayed:
            self.before, self.modified_calls = {}, set()
        known = _COUPLED.setdefault(network, {})
        if copies > 1 and recorder.is_complete and layer not in known:
            known[layer] = not self._keeps_apart(recorder.result)
        self.is_coupled = known.get(layer, False)
        if self.is_coupled:
            warn_coupled(network, f"so it is behind {layer!r}")

    def run(self, activations: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute layers of the network with other activations in this layer.

        Args:
            activations: (K · B, ...): K variations of all images, one after the other.
            layers: names, in any part of the network.

        Raises:
            ValueError: the network computes this layer, or one of the layers, without gradients, and the activations
                require them.
        """
        wanted = list(layers)
        inside = [name for name in wanted if name != IMAGE]

        def run(own: Tensor) -> dict[str, Tensor]:
            with self._replacing(own):
                found = read_activations(
                    self.network, self._repeat_for(own, self.inputs), inside, differentiable=own.requires_grad
                )
            return found if own is activations else {name: a.detach() for name, a in found.items()}

        with borrow(self.network, gradients=None):
            found = run_with_gradients(run, activations)
        return found | ({IMAGE: self._repeat_for(activations, self.images)} if IMAGE in wanted else {})

    def select(self, rows: Tensor) -> Tail | None:
        """The tail of some of the images, given as indices; the network does not run for it.

        None where what was recorded belongs to all images: an output, of the layer or of another module that the tail
        needs, without a row for each image. An output that has as many rows for another reason is not found out: where
        `needs_no_others` is False, compare what the tail gives.
        """
        count, others = len(self.inputs), list_leaves(tuple(self.before.values()))
        if not isinstance(self.output, Tensor) or len(self.output) != count:
            return None
        if any(isinstance(a, Tensor) and a.numel() and (a.dim() == 0 or len(a) != count) for a in others):
            return None
        some = copy.copy(self)
        some.images, some.inputs, some.output = self.images[rows], self.inputs[rows], self.output[rows]
        some.before = map_tensors(self.before, lambda a: a[rows] if a.numel() else a)
        some.activations = self.view.read(some.output)
        return some

    @property
    def needs_no_others(self) -> bool:
        """Whether the tail needs the outputs of no other modules."""
        return not any(isinstance(a, Tensor) and a.numel() for a in list_leaves(tuple(self.before.values())))

    def _replacing(self, activations: Tensor) -> AbstractContextManager[None]:
        """Inside, the layer returns other activations."""
        if self.is_replayed:
            return self._replaying(activations)
        return replace_output(self.network, self.layer, lambda _: restride(activations.clone()))

    def _restore(self, activations: Tensor) -> Tensor:
        """The layer's whole output with other activations, (K · B, ...)."""
        return restride(self.view.restore(activations.clone(), self._repeat_for(activations, self.output)))

    def _repeat_for(self, activations: Tensor, tree: Any) -> Any:
        return repeat_batch(tree, len(activations) // len(self.inputs))

    @property
    def variations_per_pass(self) -> int:
        """How many variations of the activations should run together, 1 or more."""
        if self.is_coupled:
            return 1
        if self.is_replayed:
            return max(1, ACTIVATIONS_PER_PASS // max(1, self.activations.numel()))
        return max(1, IMAGES_PER_PASS // len(self.inputs))

    @contextmanager
    def _replaying(self, activations: Tensor) -> Iterator[None]:
        """Inside, modules that had finished before the layer return what they returned, and the layer activations."""
        known = {call: self._repeat_for(activations, output) for call, output in self.before.items()}
        is_alone = len(activations) == len(self.inputs)
        known |= {call: copy_tensors(known[call]) for call in (known if is_alone else self.modified_calls)}
        own = replace_single(self.wrapping, self._restore(activations))  # a copy: what follows may be in place
        known |= {self.call: own}
        modules = dict.fromkeys(module for module, _ in known)
        with replace_forward({module: _replay_forward(module, known, self.layer) for module in modules}):
            yield

    @torch.no_grad()
    def _gives(self, result: Any, copies: int) -> bool:
        """Whether the tail gives a recorded output again, for copies of the recorded activations."""
        noise = torch.rand(
            self.inputs[:1].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu"
        ).to(self.inputs)

        try:
            # What modules before the layer keep from pass to pass is now of another image.
            read_activations(self.network, noise, [self.layer])
            found = self._run_whole(self._replaying, repeat_batch(self.activations, copies))
        except Exception:  # a forward pass may raise anything for a tensor of another shape
            return False
        return is_same(found, repeat_batch(result, copies))

    def _run_whole(self, put: Callable[[Tensor], AbstractContextManager[None]], activations: Tensor) -> Any:
        """The network's output where `put` lets the layer return activations, (K · B, ...)."""
        outputs: list[Any] = []

        def run(own: Tensor) -> None:
            with put(own), intercept(self.network, {(self.network, 0): outputs.append}):
                run_network(self.network, self._repeat_for(own, self.inputs))

        run_with_gradients(run, activations)
        return outputs[-1]

    @torch.no_grad()
    def _keeps_apart(self, result: Any) -> bool:
        """Whether a recorded output stays what it is where other variations of the activations run beside it."""
        own = self.activations
        both = torch.cat([own, own.flatten().roll(1).view_as(own)])
        try:
            found = map_tensors(self._run_whole(self._replacing, both), lambda a: a[: len(a) // 2])
        except Exception:  # as above; a tensor without axes
            return True
        numbers = [leaf for leaf in list_leaves(result) if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        return not all(bool(leaf.isfinite().all()) for leaf in numbers) or is_same(found, result)


class _Recorder:
    """Outputs of the modules that finish before a call: of nested modules, the outermost.

    Args:
        network: where a forward pass begins; its output is recorded too.
        end: the call at which recording ends.
        entered: modules that are not recorded as a whole, only the modules inside them.
    """

    def __init__(self, network: nn.Module, end: Call, entered: frozenset[nn.Module]) -> None:
        self.network, self.end, self.entered = network, end, entered
        # A module that does not hold the last one is recorded as a whole: copies of all inside it would take a third
        # of the time of the pass.
        self.whole = {one for one in network.modules() if one not in entered and end[0] not in one.modules()}
        self.result: Any = None
        self.wrapping: Any = None  # the output of the last call, where it holds its one tensor
        self._begin()

    def _begin(self) -> None:
        self.reached = False
        self.calls: Counter[nn.Module] = Counter()
        self.ended: list[nn.Module] = []
        self.open: list[tuple[int, int]] = []  # for each running module: how many had ended, and were recorded, before
        self.within = 0  # how many of the running modules are recorded as a whole
        self.order: list[Call] = []
        self.outputs: dict[Call, Any] = {}
        self.versions: dict[Call, tuple[Any, int]] = {}
        self.inside: dict[Call, Counter[nn.Module]] = {}

    def before_module(self, module: nn.Module, _inputs: Any) -> None:
        if module is self.network:
            self._begin()
        self.open.append((len(self.ended), len(self.order)))
        self.within += module in self.whole

    def after_module(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        call = (module, self.calls[module])
        self.calls[module] += 1
        ended, first = self.open.pop()
        inside = Counter(self.ended[ended:])
        self.ended.append(module)
        self.within -= module in self.whole
        if module is self.network:
            self.result = copy_tensors(output)
        if self.reached or (call != self.end and (self.within or module in self.entered)):
            return
        for inner in self.order[first:]:
            del self.outputs[inner], self.versions[inner], self.inside[inner]
        self.order[first:] = [call]
        self.reached = call == self.end
        if self.reached:
            is_wrapped = module is not self.network and not isinstance(output, Tensor)
            self.wrapping = replace_single(output, torch.empty(0, device="cpu")) if is_wrapped else None
            return
        self.outputs[call], self.versions[call], self.inside[call] = (
            copy_tensors(output),
            (output, count_writes(output)),
            inside,
        )

    @property
    def is_complete(self) -> bool:
        """Whether all outputs consist of tensors and constants, in tuples, lists and dicts."""
        found = (leaf for output in (*self.outputs.values(), self.result) for leaf in list_leaves(output))
        return all(isinstance(leaf, Tensor | str | int | float | complex | None) for leaf in found)

    @property
    def modified_calls(self) -> set[Call]:
        """Calls whose output some later operation wrote into."""
        return {call for call, (output, version) in self.versions.items() if count_writes(output) != version}

    @property
    def misleading(self) -> frozenset[nn.Module]:
        """Modules whose inner modules also run outside of them: skipping these would miscount the calls of those."""
        return frozenset(
            module
            for (module, _), inside in self.inside.items()
            if any(self.calls[inner] > count for inner, count in inside.items())
        )


def _replay_forward(module: nn.Module, known: Mapping[Call, Any], layer: str) -> Callable[..., Any]:
    forward = module.forward
    calls = 0

    def replay(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        call = (module, calls - 1)
        if call not in known:
            return forward(*args, **kwargs)
        if isinstance(known[call], Tensor) and known[call].requires_grad:
            require_gradients(layer)
        return known[call]

    return replay
