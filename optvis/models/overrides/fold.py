"""BatchNorm folded into the convolution before it: one operation fewer, equal up to rounding. No weight is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_global_hook
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode

from optvis.models.adapted.trees import list_leaves
from optvis.models.hooks import hook_modules, replace_forward
from optvis.models.layers import find_module
from optvis.objectives import IMAGE
from optvis.objectives.layout import takes_input

CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DTYPES = (torch.float32, torch.float64)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

NO_NORM = "no BatchNorm follows a convolution"
NO_PAIR = "each convolution before a BatchNorm is also read elsewhere, or one of them has a hook"
CHANGED = "the network ran in another way than in the pass that was recorded"


class FoldingError(RuntimeError):
    """The network ran in another way than in the pass that was recorded."""


@dataclass(eq=False)
class Pair:
    """A convolution, and the BatchNorm that alone reads its output; together one convolution with other weights."""

    convolution: nn.Module
    norm: nn.Module
    weights: tuple[Any, ...] = ()  # from which the folded convolution was made
    folded: nn.Module | None = None

    @property
    def is_free(self) -> bool:
        """Whether both run their own code alone: no hook sees them, and nobody has replaced what they do."""
        if has_global_hook():  # type: ignore[no-untyped-call]
            return False
        both = (self.convolution, self.norm)
        return not any("forward" in vars(one) or any(getattr(one, name) for name in HOOKS) for one in both)

    def fold(self) -> nn.Module:
        """The folded convolution, made anew where weights have changed since."""
        weights = self._identify_weights()
        if self.folded is None or weights != self.weights:
            fuse: Any = fuse_linear_bn_eval if isinstance(self.convolution, nn.Linear) else fuse_conv_bn_eval
            self.folded = _lay_channels_last(fuse(self.convolution, self.norm).requires_grad_(False))
            self.weights = weights
        return self.folded

    def _identify_weights(self) -> tuple[Any, ...]:
        tensors = [one for module in (self.convolution, self.norm) for one in (*module.parameters(), *module.buffers())]
        return (self.norm.eps, *((id(one), one._version, one.data_ptr()) for one in tensors))


@dataclass(eq=False)
class Folding:
    """The pairs of a network that can be folded while some layers are read.

    Args:
        pairs: a convolution and its BatchNorm each.
        reason: why there are none.
    """

    pairs: Sequence[Pair] = ()
    reason: str = NO_NORM
    waiting: dict[nn.Module, Tensor] = field(default_factory=dict)  # for each BatchNorm, what it has to get next
    is_broken: bool = False

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Inside, the folded convolutions run, and their BatchNorms pass on what they get.

        Pairs that have got a hook since are left alone. The network is borrowed.

        Raises:
            FoldingError: at the end, where a BatchNorm got something else than its convolution's output, or nothing.
        """
        self.waiting, self.is_broken = {}, False
        forwards: dict[nn.Module, Callable[..., Any]] = {}
        for pair in self.pairs:
            if pair.is_free:
                forwards |= {pair.convolution: self._convolve(pair, pair.fold()), pair.norm: self._pass_on(pair.norm)}
        with replace_forward(forwards):
            yield
        is_broken, self.waiting = self.is_broken or bool(self.waiting), {}
        if is_broken:
            raise FoldingError(CHANGED)

    def describe(self) -> str:
        """How many BatchNorm layers are folded into convolutions, for a recipe; where none are, why."""
        return f"{len(self.pairs)} of BatchNorm" if self.pairs else f"none: {self.reason}"

    def _convolve(self, pair: Pair, folded: nn.Module) -> Callable[[Tensor], Tensor]:
        def convolve(input: Tensor) -> Tensor:
            output: Tensor = folded(input)
            self.is_broken |= pair.norm in self.waiting
            self.waiting[pair.norm] = output
            return output

        return convolve

    def _pass_on(self, norm: nn.Module) -> Callable[[Tensor], Tensor]:
        def pass_on(input: Tensor) -> Tensor:
            self.is_broken |= self.waiting.pop(norm, None) is not input or norm.training
            return input

        return pass_on


@contextmanager
def record_folding(network: nn.Module, layers: Iterable[str]) -> Iterator[Folding]:
    """Find what can be folded in a network while layers are read, from a forward pass inside, on one image.

    A pair is folded only where nothing but the BatchNorm reads the convolution's output: no other operation, module,
    hook or layer that is read. What runs after the end of this pass stays as it is.

    Args:
        network: any network, which the forward pass borrows.
        layers: the names that are read later.

    Yields:
        A Folding that is complete at the end.

    Example:
        >>> from optvis.models.activations import read_activations
        >>> from optvis.models.borrow import borrow
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        >>> for names in (["2"], ["0", "2"]):
        ...     with borrow(net), record_folding(net, names) as folding:
        ...         _ = read_activations(net, torch.rand(1, 3, 8, 8), names)
        ...     folding.describe()
        '1 of BatchNorm'
        'none: each convolution before a BatchNorm is also read elsewhere, or one of them has a hook'
    """
    folding = Folding()
    modules = list(network.modules())
    if not any(type(module) in NORMS for module in modules):
        yield folding
        return
    found = {name: find_module(network, name)[0] for name in layers if name != IMAGE}
    asked = {one for name, one in found.items() if takes_input(name) or type(one) in CONVOLUTIONS}
    recorder = _PairFinder(modules, asked)
    with recorder, hook_modules(modules, before=recorder.enter, after=recorder.leave):
        yield folding
    folding.pairs, folding.reason = recorder.pairs, NO_PAIR


class _PairFinder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Finds the convolutions whose output is read by one BatchNorm, and by nothing else.

    Args:
        modules: the network, and all modules in it.
        asked: those whose input, or output before a BatchNorm, is read later.
    """

    def __init__(self, modules: Sequence[nn.Module], asked: Collection[nn.Module]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Before this package's own hooks are registered: those of others show that a module is watched.
        self.free = {module for module in modules if Pair(module, module).is_free and module not in asked}
        self.network = modules[0]
        self._begin()

    def _begin(self) -> None:
        self.outputs: dict[nn.Module, Tensor] = {}  # of convolutions; kept, so that no other tensor gets their memory
        self.owners: dict[int, nn.Module] = {}  # the convolution, by the address of its output
        self.norms: dict[nn.Module, nn.Module] = {}
        self.calls: Counter[nn.Module] = Counter()
        self.rejected: set[nn.Module] = set()
        self.reader: nn.Module | None = None  # the convolution whose BatchNorm runs at the moment

    @property
    def pairs(self) -> list[Pair]:
        """The pairs that ran once each, in order."""
        found = [Pair(*pair) for pair in self.norms.items() if pair[0] not in self.rejected]
        return [pair for pair in found if self.calls[pair.convolution] == self.calls[pair.norm] == 1]

    def enter(self, module: nn.Module, inputs: Any) -> None:
        """Note a BatchNorm that takes a convolution's output; any other module that takes it spoils the pair."""
        if module is self.network:
            self._begin()
        owner = self._find_owner(inputs[0]) if len(inputs) == 1 else None
        if owner is not None and self._fits(owner, module, inputs[0]):
            self.norms[owner], self.reader = module, owner
        else:
            self._reject(inputs)

    def leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """Note the output of a convolution; any other module that gives it spoils the pair."""
        self.calls[module] += 1
        if module is self.norms.get(self.reader):  # type: ignore[arg-type]
            self.reader = None
        if type(module) in CONVOLUTIONS and module in self.free and isinstance(output, Tensor):
            self.outputs[module] = output
            self.owners[output.untyped_storage().data_ptr()] = module
        else:
            self._reject(output)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {} if kwargs is None else kwargs
        self._reject((args, named), but=self.reader)
        return func(*args, **named)

    def _fits(self, convolution: nn.Module, norm: nn.Module, given: Tensor) -> bool:
        """Whether a BatchNorm can be folded into the convolution whose output it is given."""
        weight: Tensor = convolution.weight  # type: ignore[assignment]
        return (
            type(norm) in NORMS
            and norm in self.free
            and convolution not in self.norms
            and not norm.training
            and norm.running_var is not None
            and given is self.outputs[convolution]
            and given.dim() == weight.dim()
            and given.dtype == weight.dtype == norm.running_var.dtype
            and given.dtype in DTYPES
            and not any(one.is_inference() for one in (*norm.buffers(), weight))
        )

    def _reject(self, tree: Any, but: nn.Module | None = None) -> None:
        owners = map(self._find_owner, list_leaves(tree))
        self.rejected |= {owner for owner in owners if owner is not None and owner is not but}

    def _find_owner(self, value: Any) -> nn.Module | None:
        """The convolution whose output shares its memory with a value."""
        is_plain = isinstance(value, Tensor) and value.layout == torch.strided
        return self.owners.get(value.untyped_storage().data_ptr()) if is_plain else None


def _lay_channels_last(convolution: nn.Module) -> nn.Module:
    is_flat = isinstance(convolution, nn.Conv2d)
    return convolution.to(memory_format=torch.channels_last) if is_flat else convolution
