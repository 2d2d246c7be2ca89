"""Tracing of a network that nobody else uses: its own modules are watched, and no class of torch is patched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import fx, nn
from torch.fx import _symbolic_trace

from optvis.interrupts import ignore_warnings
from optvis.models.adapted.trees import list_leaves
from optvis.models.hooks import has_hooks

BACKWARD_HOOKS = "For backward hooks to be called"  # what torch says of a module that runs with nodes as tensors


class ModuleTracer(fx.Tracer):
    """A tracer like torch's, safe while other threads run other networks.

    Torch's own patches `nn.Module.__call__` and `__getattr__` for the whole process while it traces. Here each module
    of the traced network gets a subclass of its own class for as long.
    """

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """Trace a network into a graph of operations.

        Args:
            root: the network; no other thread may use it meanwhile.
            concrete_args: of torch's tracer; not used.

        Raises:
            Exception: anything that its forward pass raises for something that is no tensor.
        """
        assert isinstance(root, nn.Module)
        self.root, self.graph = root, fx.Graph()
        self.submodule_paths = {module: name for name, module in root.named_modules()}
        self.tensor_attrs = {
            value: f"{name}.{key}".removeprefix(".")
            for name, module in root.named_modules()
            for key, value in vars(module).items()
            if isinstance(value, torch.Tensor)
        }
        with _watch(root, self), ignore_warnings(UserWarning, BACKWARD_HOOKS):
            function, arguments = self.create_args_for_root(_wrap_functions(type(root).forward, self), True)
            self.create_node("output", "output", (self.create_arg(function(*arguments)),), {})
        return self.graph

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A module that is a leaf becomes one node; any other one is run, without its hooks, which expect tensors."""
        name = self.path_of_module(m)
        if self.is_leaf_module(m, name):
            return self.create_proxy("call_module", name, args, kwargs)
        return self.run_hooked(m, args, kwargs) if has_hooks(m) else forward(*args, **kwargs)

    @abstractmethod
    def run_hooked(self, m: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a module that has hooks."""


@contextmanager
def _watch(root: nn.Module, tracer: ModuleTracer) -> Iterator[None]:
    """Inside, calls of modules, and parameters that they read, go through a tracer."""
    proxies: dict[str, fx.Proxy] = {}
    own = {module: type(module) for module in root.modules()}
    watched = {kind: _subclass(kind, tracer, proxies) for kind in own.values()}
    try:
        for module, kind in own.items():
            object.__setattr__(module, "__class__", watched[kind])
        yield
    finally:
        for module, kind in own.items():
            object.__setattr__(module, "__class__", kind)


def _subclass(kind: type[nn.Module], tracer: ModuleTracer, proxies: dict[str, fx.Proxy]) -> type[nn.Module]:
    def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return tracer.call_module(module, partial(kind.__call__, module), args, kwargs)

    def read(module: nn.Module, name: str) -> Any:
        return tracer.getattr(name, kind.__getattr__(module, name), proxies)

    forward = _wrap_functions(kind.forward, tracer)
    body = {"__call__": call, "__getattr__": read, "__module__": kind.__module__, "forward": forward}
    metaclass: Any = type(kind)
    watched: type[nn.Module] = metaclass(kind.__name__, (kind,), body)
    return watched


def _wrap_functions(function: Any, tracer: ModuleTracer) -> Any:
    """A copy of a function for which those functions that `torch.fx.wrap` has registered are single nodes."""
    if not isinstance(function, FunctionType):
        return function
    registered = {name for scope, name in _symbolic_trace._wrapped_fns_to_patch if scope == id(function.__globals__)}
    used = registered.intersection(function.__code__.co_names, function.__globals__)
    if not used:
        return function
    scope = function.__globals__ | {name: partial(_call_once, tracer, function.__globals__[name]) for name in used}
    copy = FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _call_once(tracer: ModuleTracer, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function; where an argument is a node, the call becomes a node."""
    if any(isinstance(value, fx.Proxy) for value in list_leaves((args, kwargs))):
        return tracer.create_proxy("call_function", function, args, kwargs)
    return function(*args, **kwargs)
