"""Ascents that have ended, kept with what was recorded or compiled for them: the next one alike goes on from there."""

from __future__ import annotations

import atexit
import math
import pickle
import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook as has_global_hook

from optvis.models.adapted.network import list_buffers, list_modules, list_weights
from optvis.models.classifier import Classifier
from optvis.models.overrides.fold import HOOKS
from optvis.objectives import Objective
from optvis.objectives.term import Term
from optvis.rendering.ascent import Ascent

MOST_KEPT = 2  # of one network
SHARE = 1 / 20  # of a GPU's memory, the most that a kept ascent may hold: a recording keeps the memory of a step
PLAIN = (int, float, bool, str, tuple, type(None))
UNREAD = frozenset({"network", "labels", "name", "crop"})  # of a Classifier: what no step reads


@dataclass(eq=False)
class _Kept:
    key: bytes
    state: tuple[Any, ...]
    weights: tuple[ref[nn.Parameter], ...]
    ascent: Ascent


class KeptAscents:
    """The last ascents of each network that is alive.

    An ascent is used by one thread at a time: `take` removes it, `keep` puts it back.
    """

    def __init__(self) -> None:
        self.kept: WeakKeyDictionary[nn.Module, list[_Kept]] = WeakKeyDictionary()
        self.lock = threading.Lock()

    def take(self, classifier: Classifier, key: bytes | None) -> Ascent | None:
        """The ascent that was kept under a key, unless the network has changed since."""
        if key is None:
            return None
        with self.lock:
            waiting = self.kept.get(classifier.network, [])
            found = next((one for one in waiting if one.key == key), None)
            if found is not None:
                waiting.remove(found)
        if found is None:
            return None
        if found.state != describe_state(classifier.network) or any(weight() is None for weight in found.weights):
            found.ascent.release()
            return None
        found.ascent.classifier = classifier
        return found.ascent

    def keep(self, key: bytes | None, ascent: Ascent) -> None:
        """Keep an ascent that has ended, or free what was recorded for it."""
        network, device = ascent.classifier.network, ascent.classifier.device
        most = SHARE * torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else math.inf
        is_faster = bool(ascent.graphs.phases or ascent.compiled.functions)
        if key is None or not is_faster or ascent.graphs.memory > most:
            ascent.release()
            return
        weights = tuple(ref(weight) for weight in list_weights(list_modules(network)))
        ascent.classifier = None  # type: ignore[assignment]  # so that the network is freed where nobody else holds it
        with self.lock:
            waiting = self.kept.setdefault(network, [])
            waiting.append(_Kept(key, describe_state(network), weights, ascent))
            old, waiting[:] = waiting[:-MOST_KEPT], waiting[-MOST_KEPT:]
        for one in old:
            one.ascent.release()

    def clear(self) -> None:
        """Free everything."""
        with self.lock:
            old = [one for waiting in self.kept.values() for one in waiting]
            self.kept.clear()
        for one in old:
            one.ascent.release()


KEPT = KeptAscents()
atexit.register(KEPT.clear)  # while CUDA is still there


def free_recordings() -> None:
    """Free the memory on GPUs of the recorded steps that `render` keeps for its next call, at most a tenth of each.

    They are freed without this call where memory runs out in `render`, and with the network.

    Example:
        >>> free_recordings()
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
        Bytes that are equal where all is equal; None where something cannot be compared, such as a function that was
        defined in another one.
    """
    own = [getattr(classifier, field.name) for field in fields(classifier) if field.name not in UNREAD]
    places: dict[int, int] = {}
    pattern = [places.setdefault(seed, place) for place, seed in enumerate(seeds)]
    terms = [_describe_term(term) for term in objective.terms]
    try:
        return pickle.dumps((own, len(classifier.labels), terms, pattern, settings))
    except Exception:  # a foreign object may refuse in any way
        return None


def _describe_term(term: Term) -> dict[str, Any]:
    """A term with the shapes of its targets and weight in their place."""
    rows = (*term.targets, term.weight)
    shapes = [(tuple(one.shape), str(one.dtype)) if isinstance(one, Tensor) else one for one in rows]
    return vars(term) | {"targets": shapes, "weight": None}


def describe_state(network: nn.Module) -> tuple[Any, ...]:
    """What of a network decides its operations: modules, their settings, and the memory and versions of weights."""
    modules = list_modules(network)
    is_hooked = has_global_hook() or any(getattr(module, name) for module in modules for name in HOOKS)  # type: ignore[no-untyped-call]
    settings = tuple(
        (id(module), type(module), id(type(module).forward), *_list_settings(module)) for module in modules
    )
    tensors = (*list_weights(modules), *list_buffers(modules))
    return is_hooked, settings, tuple((id(one), one._version, one.data_ptr()) for one in tensors)


def _list_settings(module: nn.Module) -> tuple[Any, ...]:
    values = vars(module).items()
    return tuple(
        (name, value if isinstance(value, PLAIN) else id(value))
        for name, value in values
        if not name.startswith("_") and name != "training"
    )
