"""Watch a network's first runs, and warn where outputs change from call to call or with the images beside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from optvis.errors import warn_user
from optvis.models.adapted.network import original_of

_RUNS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # how often networks have run, up to WATCHED_RUNS
_DRAWING: WeakSet[nn.Module] = WeakSet()  # during a run of which random numbers were drawn, maybe by another thread
_COUPLED: WeakSet[nn.Module] = WeakSet()  # of which a warning was given, of this or of random numbers
WATCHED_RUNS = 8
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextmanager
def watch_first_runs(network: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Warn of a network whose outputs differ from call to call, or with the other images, in its first runs."""
    original = original_of(network)
    runs = _RUNS.get(original, 0)
    if runs >= WATCHED_RUNS or inputs.device.type == "meta":
        yield
        return
    before = _read_generators(inputs.device)
    own = _OwnDraws(inputs.device) if original in _DRAWING else None
    try:
        with nullcontext() if own is None else own:
            yield
        runs = WATCHED_RUNS  # a whole pass; others end where all that was asked for has been read
    finally:
        if original not in _RUNS:
            _warn_of_batch_norm(original)
        _RUNS[original] = runs + 1
        if before != _read_generators(inputs.device) if own is None else own.are_there:
            _warn_of_random_numbers(original)


class _OwnDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, notes whether an operation of this thread draws random numbers; those of other threads are not seen."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.are_there = device, False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = _read_generators(self.device)
        found = func(*args, **(kwargs or {}))
        self.are_there |= before != _read_generators(self.device)
        return found


def _warn_of_random_numbers(network: nn.Module) -> None:
    """Warn of a network that has drawn random numbers itself; the first time it may have been another thread."""
    is_second = network in _DRAWING
    _DRAWING.add(network)
    _RUNS[network] = WATCHED_RUNS if is_second else 0
    if is_second:
        _COUPLED.add(network)  # what differs between passes is not due to the images beside
        warn_user(
            f"{type(network).__name__} draws random numbers in eval mode, so that its outputs, and all results, differ "
            "from call to call; call torch.manual_seed before each, or give it a forward pass without them"
        )


def _warn_of_batch_norm(network: nn.Module) -> None:
    """Warn of a network whose BatchNorm takes the statistics of the images that come together."""
    norms = (name for name, module in network.named_modules() if isinstance(module, BATCH_NORMS))
    coupling = [name for name in norms if getattr(network.get_submodule(name), "running_mean", None) is None]
    if coupling:
        warn_coupled(network, f"the BatchNorm layer {coupling[0]!r} keeps no running statistics")


def _read_generators(device: torch.device) -> list[bytes]:
    """The states of the random generators from which a network on a device may draw."""
    states = [torch.get_rng_state()]
    if device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
        states.append(torch.cuda.get_rng_state(device))
    return [state.numpy().tobytes() for state in states]


def warn_coupled(network: nn.Module, reason: str) -> None:
    """Warn once of a network in which the outputs for an image depend on the other images."""
    original = original_of(network)
    if original not in _COUPLED:
        _COUPLED.add(original)
        warn_user(
            f"the outputs of {type(original).__name__} for an image change with the images beside it ({reason}), so "
            "that results alone and in a batch differ"
        )
