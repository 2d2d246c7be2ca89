"""Forward hooks: the one counter of calls, and the one place where hooks are registered and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn

Call: TypeAlias = tuple[nn.Module, int]  # a module, and which of its calls in one forward pass, from 0
Before: TypeAlias = Callable[[nn.Module, Any], None]  # (module, inputs)
After: TypeAlias = Callable[[nn.Module, Any, Any], Any]  # (module, inputs, output) -> a new output, or None


@contextmanager
def intercept(
    network: nn.Module, functions: Mapping[Call, Callable[[Any], Any]], *, purpose: str = ""
) -> Iterator[None]:
    """Inside, apply functions to what modules return; all hooks are removed on any exit.

    Args:
        network: calls are counted from where its forward pass begins.
        functions: for a module and the number of its call, a function of its output. What it returns replaces the
            output; None leaves the output as it is.
        purpose: what `is_intercepted` looks for.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Identity(), nn.ReLU())
        >>> with intercept(net, {(net[0], 0): lambda output: output + 1}):
        ...     net(torch.zeros(2))
        tensor([1., 1.])
    """
    counter = _CallCounter(functions, purpose)
    modules = dict.fromkeys(module for module, _ in functions)
    with hook_modules([network], before=counter.begin), hook_modules(modules, after=counter.end):
        yield


def is_intercepted(network: nn.Module, purpose: str) -> bool:
    """Whether an `intercept` of this purpose is open on a network."""
    hooks = (hook for module in network.modules() for hook in module._forward_pre_hooks.values())
    counters = (getattr(hook, "__self__", None) for hook in hooks)
    return any(isinstance(counter, _CallCounter) and counter.purpose == purpose for counter in counters)


@contextmanager
def hook_modules(
    modules: Iterable[nn.Module], *, before: Before | None = None, after: After | None = None
) -> Iterator[None]:
    """Inside, call functions before and after each call of some modules; all hooks are removed on any exit.

    Args:
        modules: each once.
        before: called with the module and its inputs.
        after: called with the module, its inputs and its output; what it returns replaces the output, unless None.
    """
    handles = []
    try:
        for module in modules:
            if before is not None:
                handles.append(module.register_forward_pre_hook(before))
            if after is not None:
                handles.append(module.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _CallCounter:
    def __init__(self, functions: Mapping[Call, Callable[[Any], Any]], purpose: str) -> None:
        self.functions, self.purpose = functions, purpose
        self.calls: dict[nn.Module, int] = {}

    def begin(self, _network: nn.Module, _inputs: Any) -> None:
        """Count anew: the forward pass before may have been cut short."""
        self.calls.clear()

    def end(self, module: nn.Module, _inputs: Any, output: Any) -> Any:
        call = self.calls.get(module, 0)
        self.calls[module] = call + 1
        function = self.functions.get((module, call))
        return None if function is None else function(output)


__all__ = ["Call", "hook_modules", "intercept", "is_intercepted"]
