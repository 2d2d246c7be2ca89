"""How networks with published weights are built: their weights are data, and random ones are the same each time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from optvis.interrupts import hold_lock, ignore_warnings

DEFAULT = "DEFAULT"  # published weights
_BUILDING = threading.RLock()  # seeds and the switch of torch are of the process


def check_default(name: str, weights: str | None) -> None:
    """Raise KeyError for other weights than the published ones, of a network that has one set of these."""
    if weights not in (None, DEFAULT):
        raise KeyError(f"no weights {weights!r} of {name}; there are {DEFAULT}, and None for random ones")


def build_network(name: str, build: Callable[[], nn.Module], weights: str | None) -> nn.Module:
    """Build a network with published weights, read as data; or with random ones, the same each time."""
    slow = ignore_warnings(FutureWarning, "The default weight initialization of")
    with hold_lock(_BUILDING), slow, torch.random.fork_rng(devices=[]), _weights_as_data():
        torch.manual_seed(0)
        try:
            return build()
        except Exception as error:
            if weights is None:
                raise
            raise _weights_error(name, error) from error


def _weights_error(name: str, error: Exception) -> Exception:
    """Say why published weights cannot be had, and what to do."""
    reason = str(error).partition("\n")[0]
    cure = "use random ones: weights=None, on the command line --weights none"
    if isinstance(error, OSError):
        return ConnectionError(
            f"the weights of {name!r} are not on this machine and cannot be downloaded ({reason}); put their file "
            f"under $TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
        )
    return ValueError(
        f"the weights of {name!r} cannot be used ({reason}); a file that is damaged, or holds code beside weights, "
        f"is not run: delete it from $TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
    )


@contextmanager
def _weights_as_data() -> Iterator[None]:
    """Inside, downloads of torchvision and timm unpickle tensors only: torch's own switch."""
    switch = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before
