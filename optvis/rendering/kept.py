"""Ascents that have ended, kept with what was recorded or compiled for them: the next one alike goes on from there."""

from __future__ import annotations

import atexit
import hashlib
import io
import math
import pickle
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack as count_dispatch_modes
from torch._C import _len_torch_function_stack as count_function_modes
from torch.nn.modules.module import _has_any_global_hook as has_global_hook

from optvis.interrupts import hold_lock
from optvis.models.adapted.network import list_buffers, list_modules, list_weights
from optvis.models.adapted.saved_buffers import DTYPES, SavedBuffers
from optvis.models.classifier import Classifier
from optvis.models.overrides.fold import HOOKS
from optvis.objectives import Objective
from optvis.objectives.term import Term
from optvis.rendering.ascent import Ascent

MOST_KEPT = 4
SHARE = 1 / 10  # of a GPU's memory, the most that all kept ascents hold there: a recording keeps the memory of a step
UNREAD = frozenset({"network", "name", "crop"})  # of a Classifier: what no step reads
#: Whose functions and classes are the same as long as their names are.
OWN = (
    "optvis",
    "torch",
    "torchvision",
    "kornia",
    "numpy",
    "builtins",
    "collections",
    "copyreg",
    "functools",
    "_codecs",
)
OF_EVERY_MODULE = frozenset(vars(nn.Module()))


@dataclass(frozen=True, eq=False)
class NetworkState:
    """What of a network decides what its steps compute.

    Args:
        settings: of its modules, as bytes.
        tensors: its weights and buffers, and tensors among the settings.
        saved: their numbers.
    """

    settings: bytes
    tensors: tuple[Tensor, ...]
    saved: SavedBuffers

    def is_same(self, network: nn.Module) -> bool:
        """Whether a network is as it was then."""
        found = _describe_network(network)
        if found is None or found[0] != self.settings or len(found[1]) != len(self.tensors):
            return False
        return all(one is other for one, other in zip(found[1], self.tensors, strict=True)) and self.saved.are_same()


@dataclass(eq=False)
class _Kept:
    network: weakref.ref[nn.Module]
    key: bytes
    state: NetworkState
    ascent: Ascent
    device: torch.device

    @property
    def memory(self) -> int:
        """The bytes that it holds."""
        return self.ascent.graphs.memory + sum(one.numel() * one.itemsize for one in self.state.tensors)


class KeptAscents:
    """The last ascents that ended well, of networks that are alive.

    An ascent is used by one thread at a time: `take` removes it, `keep` puts it back.
    """

    def __init__(self) -> None:
        self.kept: list[_Kept] = []
        self.watched: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.lock = threading.RLock()  # a finalizer may come while the same thread holds it

    def take(self, classifier: Classifier, key: bytes | None) -> Ascent | None:
        """The ascent that was kept under a key, unless the network has changed since."""
        if key is None:
            return None
        found = self._remove(lambda one: one.key == key and one.network() is classifier.network)
        same = [one for one in found if one.state.is_same(classifier.network)]
        _release(one for one in found if one not in same[-1:])
        if not same:
            return None
        same[-1].ascent.classifier = classifier
        return same[-1].ascent

    def keep(self, key: bytes | None, ascent: Ascent) -> None:
        """Keep an ascent that has ended, or free what was recorded for it."""
        network, device = ascent.classifier.network, ascent.classifier.device
        is_faster = bool(ascent.graphs.phases or ascent.compiled.functions)
        state = read_state(network) if key is not None and is_faster else None
        if key is None or state is None:
            ascent.release()
            return
        ascent.detach_network()
        with hold_lock(self.lock):
            self.kept.append(_Kept(weakref.ref(network), key, state, ascent, device))
            if network not in self.watched:
                self.watched.add(network)
                weakref.finalize(network, self.drop_dead)
        most = SHARE * torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else math.inf
        while self._is_too_much(device, most):
            _release(self._remove(lambda one: one is self.kept[0]))

    def drop_dead(self) -> None:
        """Free what was recorded for networks that are gone."""
        _release(self._remove(lambda one: one.network() is None))

    def clear(self) -> None:
        """Free everything."""
        _release(self._remove(lambda _: True))

    def _is_too_much(self, device: torch.device, most: float) -> bool:
        with hold_lock(self.lock):
            used = sum(one.memory for one in self.kept if one.device == device)
            return bool(self.kept) and (len(self.kept) > MOST_KEPT or used > most)

    def _remove(self, is_meant: Callable[[_Kept], bool]) -> list[_Kept]:
        with hold_lock(self.lock):
            found = [one for one in self.kept if is_meant(one)]
            self.kept = [one for one in self.kept if one not in found]
        return found


def _release(kept: Any) -> None:
    for one in kept:
        one.ascent.release()


KEPT = KeptAscents()
atexit.register(KEPT.clear)  # while CUDA is still there


def free_kept_steps() -> None:
    """Free the steps that `render` keeps for its next call: recorded on a GPU, or compiled.

    They take at most a tenth of a GPU's memory, and are freed without this call with their network, or where memory
    runs out in `render`.

    Example:
        >>> free_kept_steps()
    """
    KEPT.clear()


def describe_ascent(classifier: Classifier, objective: Objective, seeds: Sequence[int], *settings: Any) -> bytes | None:
    """All that decides which operations an ascent's steps run, but for the network itself.

    Args:
        classifier: its settings count.
        objective: without the numbers in its targets and weights.
        seeds: which of them are equal.
        settings: all others.

    Returns:
        Bytes that are equal where all is equal; None where something cannot be compared, such as a function of the
        user's own, or torch is in a mode that changes operations.
    """
    if count_function_modes() or count_dispatch_modes():
        return None
    own = [getattr(classifier, field.name) for field in fields(classifier) if field.name not in UNREAD]
    places: dict[int, int] = {}
    pattern = [places.setdefault(seed, place) for place, seed in enumerate(seeds)]
    terms = [_describe_term(term) for term in objective.terms]
    buffer = io.BytesIO()
    try:
        _SettingsPickler(buffer).dump((own, terms, pattern, settings))
    except Exception:  # a foreign object may refuse in any way
        return None
    return hashlib.sha256(buffer.getbuffer()).digest()


def _describe_term(term: Term) -> dict[str, Any]:
    """A term with the shapes of its targets and weight in their place."""
    rows = (*term.targets, term.weight)
    shapes = [(tuple(one.shape), str(one.dtype)) if isinstance(one, Tensor) else one for one in rows]
    return vars(term) | {"targets": shapes, "weight": None}


class _SettingsPickler(pickle.Pickler):
    """Writes settings; functions and classes of users, which may change under their names, are refused."""

    def reducer_override(self, value: Any) -> Any:
        """Refuse what is not from this package or torch."""
        if isinstance(value, type | FunctionType) and value.__module__.partition(".")[0] not in OWN:
            raise pickle.PicklingError(f"{value!r} may change")
        return NotImplemented


def read_state(network: nn.Module) -> NetworkState | None:
    """The state of a network; None where it cannot be compared, or modules have hooks."""
    found = _describe_network(network)
    return None if found is None else NetworkState(*found, SavedBuffers(found[1]))


def _describe_network(network: nn.Module) -> tuple[bytes, tuple[Tensor, ...]] | None:
    """The settings of all modules as bytes, and all tensors; None where they cannot be compared."""
    modules = list_modules(network)
    if has_global_hook() or any(getattr(module, name) for module in modules for name in HOOKS):  # type: ignore[no-untyped-call]
        return None
    buffer = io.BytesIO()
    pickler = _ModulePickler(buffer)
    try:
        for module in modules:
            own = {name: value for name, value in vars(module).items() if name not in OF_EVERY_MODULE}
            pickler.dump((id(module), type(module), type(module).forward, own))
    except Exception:  # as above
        return None
    tensors = (*list_weights(modules), *list_buffers(modules), *pickler.tensors)
    if any(
        one.is_inference() or one.is_meta or one.layout != torch.strided or one.dtype not in DTYPES for one in tensors
    ):
        return None
    return buffer.getvalue(), tensors


class _ModulePickler(pickle.Pickler):
    """Writes the settings of modules; other modules, functions and classes by their identity; tensors are listed."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: list[Tensor] = []

    def persistent_id(self, value: Any) -> Any:
        """What stands for a value that is not written itself."""
        if isinstance(value, Tensor):
            self.tensors.append(value)
            return "tensor"
        is_known = isinstance(value, nn.Module | type | FunctionType | BuiltinFunctionType)
        return (type(value).__name__, id(value)) if is_known else None
