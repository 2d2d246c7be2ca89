"""Forward hooks: the one counter of calls, and the one place where hooks are registered and removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import Any, TypeAlias

import torch
from torch import nn

from optvis.interrupts import finish, hold_interrupts
from optvis.models.adapted.compiled import run_eagerly
from optvis.models.adapted.network import original_of
from optvis.models.adapted.single import replace_single, single_tensor

Call: TypeAlias = tuple[nn.Module, int]  # a module, and which of its calls in one forward pass, from 0
Before: TypeAlias = Callable[[nn.Module, Any], Any]  # (module, inputs) -> new inputs, or None
After: TypeAlias = Callable[[nn.Module, Any, Any], Any]  # (module, inputs, output) -> a new output, or None


@contextmanager
def intercept(
    network: nn.Module,
    functions: Mapping[Call, Callable[[Any], Any]],
    *,
    before: Mapping[Call, Callable[[Any], Any]] | None = None,
    purpose: str = "",
    required: Mapping[Call, str] | None = None,
    prepend: bool = False,
) -> Iterator[None]:
    """Inside, apply functions to what modules take and return; all hooks are removed on any exit.

    Args:
        network: calls are counted from where its forward pass begins.
        functions: for a module and the number of its call, a function of its output. What it returns replaces the
            output; None leaves the output as it is. Of an output that holds one tensor, such as (tensor, None), a
            layer inside the network gives the function that tensor.
        before: for a module and the number of its call, a function of the tuple of its positional inputs. What it
            returns replaces these; None leaves them as they are.
        purpose: what `is_intercepted` looks for.
        required: for calls that must come in each whole forward pass, the layer's name.
        prepend: apply them before the hooks that the modules have already.

    Raises:
        TypeError: a TorchScript network, which runs no hooks.
        RuntimeError: inside, at the end of a forward pass in which a required call did not come.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Identity(), nn.ReLU())
        >>> with intercept(net, {(net[0], 0): lambda output: output + 1}):
        ...     net(torch.zeros(2))
        tensor([1., 1.])
    """
    before = {} if before is None else before  # hooks have to be copied with their network
    roots = dict.fromkeys((network, original_of(network)))
    counter = _CallCounter(functions, before, purpose, {} if required is None else required, roots)
    modules = dict.fromkeys(module for module, _ in (*functions, *before))
    with (
        run_eagerly(network),
        hook_modules(roots, before=counter.begin),
        hook_modules(dict.fromkeys(module for module, _ in before), before=counter.enter),
        hook_modules(modules, after=counter.end, prepend=prepend),
        hook_modules(roots if required else [], after=counter.check),
    ):
        yield


@contextmanager
def replace_outputs(
    network: nn.Module,
    functions: Mapping[Call, Callable[[Any], Any]],
    *,
    purpose: str = "",
    required: Mapping[Call, str] | None = None,
) -> Iterator[None]:
    """Inside, modules return what functions make of their outputs, and their own hooks see that too.

    So what a hook of the network stores of an output is as new as the output. Where such a hook returns another output,
    the function is called with that one again.

    Args:
        network, functions, purpose, required: as in `intercept`.
    """
    new: dict[Call, Any] = {}

    def replace(call: Call, output: Any) -> Any:
        new[call] = functions[call](output)
        return new[call]

    def replace_again(call: Call, output: Any) -> Any:
        return None if output is new.pop(call) else functions[call](output)

    with (
        intercept(network, {call: partial(replace, call) for call in functions}, prepend=True),
        intercept(
            network,
            {call: partial(replace_again, call) for call in functions},
            purpose=purpose,
            required=required,
        ),
    ):
        yield


def is_intercepted(network: nn.Module, purpose: str) -> bool:
    """Whether an `intercept` of this purpose is open on a network."""
    return any(counter.purpose == purpose for counter in _open_counters(network))


@contextmanager
def suspend_intercepts(network: nn.Module) -> Iterator[None]:
    """Inside, a network runs as if no `intercept` were open on it; what draws random numbers does not notice."""
    counters = [counter for counter in _open_counters(network) if not counter.is_suspended]

    def resume() -> None:
        for counter in counters:
            counter.is_suspended = False

    with hold_interrupts():
        try:
            for counter in counters:
                counter.is_suspended = True
            yield
        finally:
            finish(resume)


def _open_counters(network: nn.Module) -> list[_CallCounter]:
    modules = dict.fromkeys([*network.modules(), original_of(network)])
    hooks = (hook for module in modules for hook in module._forward_pre_hooks.values())
    functions = (hook.function for hook in hooks if isinstance(hook, OwnThread))
    found = (getattr(function, "__self__", None) for function in functions)
    return [counter for counter in found if isinstance(counter, _CallCounter)]


@contextmanager
def hook_modules(
    modules: Iterable[nn.Module],
    *,
    before: Before | None = None,
    after: After | None = None,
    prepend: bool = False,
) -> Iterator[None]:
    """Inside, call functions before and after each call of some modules; all hooks are removed on any exit.

    Args:
        modules: each once.
        before: called with the module and its inputs; what it returns replaces them, unless None.
        after: called with the module, its inputs and its output; what it returns replaces the output, unless None.
        prepend: call `after` before the hooks that the modules have already.

    Calls in other threads are left as they are.
    """
    modules = list(modules)
    for module in modules:
        refuse_torchscript(module)

    first, last = OwnThread(before), OwnThread(after)

    def remove() -> None:
        for module in modules:
            _remove_hook(module._forward_pre_hooks, first)
            _remove_hook(module._forward_hooks, last)

    with hold_interrupts():
        try:
            for module in modules:
                if before is not None:
                    module.register_forward_pre_hook(first)
                if after is not None:
                    module.register_forward_hook(last, prepend=prepend)
            yield
        finally:
            finish(remove)


@contextmanager
def replace_forward(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Inside, modules call other functions instead of their `forward`, which they get back on any exit.

    Hooks cannot do it: they run before and after `forward`, and cannot leave it out. Calls in other threads are left
    as they are.
    """
    own = {module: vars(module).get("forward") for module in forwards}
    thread = get_ident()

    def choose(new: Callable[..., Any], before: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: (new if get_ident() == thread else before)(*args, **kwargs)

    def restore() -> None:
        for module, forward in own.items():
            if forward is None:
                vars(module).pop("forward", None)
            else:
                vars(module)["forward"] = forward

    with hold_interrupts():
        try:
            for module, new in forwards.items():
                vars(module)["forward"] = choose(new, module.forward)
            yield
        finally:
            finish(restore)


def has_hooks(module: nn.Module) -> bool:
    """Whether somebody's functions see what a module takes or returns, and may change it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def refuse_torchscript(module: nn.Module) -> None:
    """Raise for modules that run no hooks.

    Raises:
        TypeError: a TorchScript module.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError("TorchScript networks run no hooks, so their layers cannot be read; load the original network")


class OwnThread:
    """A hook that is called in the thread that registered it, and does nothing in others."""

    def __init__(self, function: Any) -> None:
        self.function, self.thread = function, get_ident()

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments) if get_ident() == self.thread else None


def _remove_hook(hooks: MutableMapping[int, Any], own: OwnThread) -> None:
    """Remove a hook from a module's. Handles would be lost if an interrupt came before they are kept."""
    for key in [key for key, hook in hooks.items() if hook is own]:
        hooks.pop(key, None)


class _CallCounter:
    def __init__(
        self,
        functions: Mapping[Call, Callable[[Any], Any]],
        before: Mapping[Call, Callable[[Any], Any]],
        purpose: str,
        required: Mapping[Call, str],
        whole: Collection[nn.Module],
    ) -> None:
        self.functions, self.before, self.purpose, self.required = functions, before, purpose, required
        self.whole = whole
        self.calls: Counter[nn.Module] = Counter()
        self.is_suspended = False

    def begin(self, _network: nn.Module, _inputs: Any) -> None:
        """Count anew: the forward pass before may have been cut short."""
        self.calls.clear()

    def enter(self, module: nn.Module, inputs: Any) -> Any:
        if self.is_suspended:
            return None
        function = self.before.get((module, self.calls[module]))
        return None if function is None else function(inputs)

    def end(self, module: nn.Module, _inputs: Any, output: Any) -> Any:
        if self.is_suspended:
            return None
        call = self.calls[module]
        self.calls[module] += 1
        function = self.functions.get((module, call))
        if function is None:
            return None
        if module in self.whole:
            return function(output)
        new = function(single_tensor(output))
        return None if new is None else replace_single(output, new)

    def check(self, _network: nn.Module, _inputs: Any, _output: Any) -> None:
        """Raise for required calls that did not come."""
        if self.is_suspended:
            return
        for (module, call), layer in self.required.items():
            count = self.calls[module]
            if count <= call:
                reason = f"its module ran {count} times" if count else "its hook was never called"
                raise RuntimeError(
                    f"layer {layer!r} did not run in this forward pass ({reason}), so nothing in it was replaced; "
                    "layers(network) lists the layers that run; replicas on several devices skip hooks, and so do "
                    "modules whose forward or weights are used directly"
                )
