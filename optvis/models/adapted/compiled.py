"""Networks that torch.compile has wrapped, whole or in parts: compiled code skips hooks, so it runs uncompiled."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from optvis.interrupts import hold_interrupts, hold_lock
from optvis.models.adapted.network import list_modules

COMPILED = "_orig_mod"  # torch.compile's name of what it has wrapped
_LOCK = threading.RLock()
_open: dict[str, Any] = {"count": 0, "stance": None}  # torch's stance is of the process, so that threads share it


def layer_name(path: str) -> str:
    """The name of a module's layer: its path without torch.compile's parts.

    Example:
        >>> layer_name("0._orig_mod.conv1"), layer_name("_orig_mod")
        ('0.conv1', '')
    """
    return ".".join(part for part in path.split(".") if part != COMPILED)


def name_modules(network: nn.Module) -> dict[nn.Module, str]:
    """The names of a network's layers by their modules, outermost first; without what only a wrapper holds.

    Example:
        >>> list(name_modules(nn.Sequential(nn.ReLU())).values())
        ['', '0']
    """
    named = [(path, module) for path, module in network.named_modules() if path.rpartition(".")[2] != COMPILED]
    return {module: layer_name(path) for path, module in named}


def is_compiled(modules: Iterable[nn.Module]) -> bool:
    """Whether torch.compile has wrapped one of a network's modules, or `compile()` was called on one."""
    return any(COMPILED in module._modules or _has_compiled_call(module) for module in modules)


def _has_compiled_call(module: nn.Module) -> bool:
    return vars(module).get("_compiled_call_impl") is not None


@contextmanager
def run_eagerly(network: nn.Module, modules: Iterable[nn.Module] | None = None) -> Iterator[None]:
    """Inside, compiled parts of a network run uncompiled, with their hooks; other compiled networks do so too.

    Args:
        network: any network.
        modules: all modules in it, where they are known.
    """
    if not is_compiled(list_modules(network) if modules is None else modules):
        yield
        return
    with hold_interrupts():
        _enter()
        try:
            yield
        finally:
            _leave()


def _enter() -> None:
    with hold_lock(_LOCK):
        if not _open["count"]:
            _open["stance"] = torch.compiler.set_stance("force_eager")
        _open["count"] += 1


def _leave() -> None:
    with hold_lock(_LOCK):
        _open["count"] -= 1
        if not _open["count"]:
            stance, _open["stance"] = _open["stance"], None
            stance.__exit__(None, None, None)
