"""The base of gradient overrides: a torch function mode that replaces some functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch._C import _are_functorch_transforms_active as is_functorch_active
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointFunction

from optvis.interrupts import hold_interrupts
from optvis.models.borrow import REENTRANT, without_checkpointing


class OverrideMode(TorchFunctionMode):
    """Inside, some functions of torch are replaced, and gradient checkpointing (use_reentrant=False) is off.

    Torch switches function modes off during a backward pass, so what checkpointing runs again would not be replaced.
    Ctrl-C cannot leave it switched on.

    Raises:
        RuntimeError: inside, gradient checkpointing with use_reentrant=True, which cannot be switched off.

    Args:
        replacements: for functions of torch, the function that is called instead.
        has_vmap: whether the replacements work inside transforms of torch.func. Where they do not, torch's own
            functions run there.
    """

    def __init__(self, replacements: Mapping[Any, Callable[..., Any]], *, has_vmap: bool) -> None:
        super().__init__()
        self.replacements, self.has_vmap = replacements, has_vmap
        self.exits: list[ExitStack] = []

    def __enter__(self) -> OverrideMode:
        with ExitStack() as stack:
            stack.enter_context(hold_interrupts())
            stack.enter_context(without_checkpointing())
            super().__enter__()  # type: ignore[no-untyped-call]
            self.exits.append(stack.pop_all())
        return self

    def __exit__(self, *error: Any) -> None:
        with self.exits.pop():
            super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = {} if kwargs is None else kwargs
        if func not in self.replacements or (not self.has_vmap and is_functorch_active()):
            return func(*args, **named)
        if not torch.is_grad_enabled():
            _refuse_reentrant_checkpointing()
        return self.replacements[func](*args, **named)


def _refuse_reentrant_checkpointing() -> None:
    """Raise where a function is called by reentrant checkpointing, which runs it again in the backward pass."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is CheckpointFunction.forward.__code__:
            raise RuntimeError(REENTRANT)
        frame = frame.f_back
