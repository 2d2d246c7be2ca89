"""Eval mode and frozen weights while a network is in use; afterwards it is as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch._C._autograd import _saved_tensors_hooks_set_tracing as ignore_saved_tensors_hooks
from torch.nn.parameter import is_lazy

from optvis.interrupts import finish, hold_interrupts, hold_lock
from optvis.models.adapted.compiled import run_eagerly
from optvis.models.adapted.network import list_buffers, list_modules, list_weights, original_of
from optvis.models.adapted.precision import multiply_in
from optvis.models.adapted.saved_buffers import SavedBuffers


class _Loan:
    """A network's lock, and how often the thread that holds it has borrowed the network."""

    def __init__(self) -> None:
        self.lock, self.depth = threading.RLock(), 0


_LOANS: WeakKeyDictionary[nn.Module, _Loan] = WeakKeyDictionary()
_LOANS_LOCK = threading.Lock()

DEVICES = ("cpu", "cuda", "mps", "xpu")  # that autocast knows

SYNCHRONISES = ("require_forward_param_sync", "require_backward_grad_sync")  # of DistributedDataParallel

REENTRANT = (
    "the network uses gradient checkpointing with use_reentrant=True, through which no gradients can be taken here; "
    "switch it off, or checkpoint with use_reentrant=False"
)


@contextmanager
def borrow(network: nn.Module, *, gradients: bool | None = True, on_meta: bool = False) -> Iterator[nn.Module]:
    """Inside, a network is in eval mode with frozen weights; flags and buffers are restored on any exit.

    Another thread that borrows the same network waits until this one is done; the same thread may borrow it again.
    Inside, autocast, inference mode, gradient checkpointing and TF32 are off, whatever the surroundings are, and a
    default device is the network's own, so that results do not depend on them; parts that torch.compile has wrapped run
    uncompiled, and DataParallel and its distributed kin run in this process, on the first device alone.

    Args:
        network: any network.
        gradients: whether gradients are on inside; None for as they are outside. A network that is borrowed already
            leaves them as they are.
        on_meta: whether the weights may be on the device "meta", which holds no numbers.

    Raises:
        ValueError: weights on the device "meta", or of lazy layers that have not run.
        RuntimeError: weights that were made in inference mode, which cannot be frozen and released; inside, a gradient
            through gradient checkpointing with use_reentrant=True.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> with borrow(net):
        ...     net.training, net.weight.requires_grad
        (False, False)
        >>> net.training, net.weight.requires_grad
        (True, True)
    """
    original = original_of(network)
    loan, is_enabled = _loan_of(original), torch.is_grad_enabled() if gradients is None else gradients
    with hold_lock(loan.lock):
        if loan.depth:
            yield network  # flags are set already
            return
        modules = list_modules(original)
        weights = list_weights(modules)
        _check_weights(original, weights, on_meta)
        device = next((weight.device for weight in weights), torch.device("cpu"))
        with (
            plain_mode(),
            torch.set_grad_enabled(is_enabled),
            _default_device(device),
            multiply_in("highest", device),
            run_eagerly(original, modules),
            without_checkpointing(),
            _frozen(modules, weights),
        ):
            loan.depth += 1
            try:
                yield network
            except RuntimeError as error:
                if not str(error).startswith("When use_reentrant=True"):
                    raise
                raise RuntimeError(REENTRANT) from error
            finally:
                loan.depth = 0


@contextmanager
def plain_mode() -> Iterator[None]:
    """Inside, torch.inference_mode() and torch.autocast() of the surroundings are off, and Ctrl-C breaks no context.

    Public functions that compute outside `borrow`, or make tensors that are differentiated later, run in it.

    Example:
        >>> @plain_mode()
        ... def double(x):
        ...     return 2 * x
        >>> with torch.inference_mode():
        ...     double(torch.ones(1)).is_inference()
        False
    """
    with hold_interrupts(), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def require_weights(network: nn.Module, on_meta: bool = False) -> None:
    """Raise ValueError for weights without numbers: of lazy layers, or, unless allowed, on the device "meta"."""
    _check_weights(network, list_weights(list_modules(network)), on_meta)


def _check_weights(network: nn.Module, weights: Sequence[Tensor], on_meta: bool) -> None:
    for name, weight in network.named_parameters() if any(map(is_lazy, weights)) else ():
        if is_lazy(weight):
            raise ValueError(
                f"{name!r} of {type(network).__name__} is lazy, and has no shape before the network has run: run it "
                "once on an image of its size, network(torch.zeros(1, 3, 224, 224))"
            )
    if not on_meta and any(weight.is_meta for weight in weights):
        raise ValueError(
            f'the weights of {type(network).__name__} are on the device "meta", which holds no numbers: '
            "network.to_empty(device=...), then load_state_dict(...); layers(network) needs none"
        )


@contextmanager
def without_checkpointing() -> Iterator[None]:
    """Inside, autograd keeps what it needs: gradient checkpointing (use_reentrant=False) runs nothing a second time.

    It would run modules again in the backward pass, without the hooks and gradient overrides of the forward pass, and
    take the gradient of another function.

    Example:
        >>> from torch.utils.checkpoint import checkpoint
        >>> x, calls = torch.ones(1, requires_grad=True), []
        >>> with without_checkpointing():
        ...     y = checkpoint(lambda x: calls.append(1) or x.exp(), x, use_reentrant=False)
        >>> y.backward()
        >>> len(calls)
        1
    """
    with hold_interrupts():
        before = ignore_saved_tensors_hooks(True)  # what torch.compile does while it traces
        try:
            yield
        finally:
            ignore_saved_tensors_hooks(before)


def _default_device(device: torch.device) -> AbstractContextManager[object]:
    """Inside, tensors are made on this device where torch.set_default_device names another one than the CPU."""
    default = torch.get_default_device()
    return nullcontext() if default in (torch.device("cpu"), device) else device


@contextmanager
def _frozen(modules: Sequence[nn.Module], weights: Sequence[Tensor]) -> Iterator[None]:
    training = [(module, module.training) for module in modules]
    learning = [(weight, weight.requires_grad) for weight in weights]
    parallel = [(module, module.device_ids) for module in modules if isinstance(module, nn.DataParallel)]
    synchronised = [
        (module, flag, getattr(module, flag))
        for module in modules
        if isinstance(module, nn.parallel.DistributedDataParallel)
        for flag in SYNCHRONISES
    ]
    if any(weight.is_inference() for weight, _ in learning):
        raise RuntimeError(
            "the network's weights were made inside torch.inference_mode(), which autograd cannot use; "
            "build or load the network outside of it"
        )
    buffers = SavedBuffers(list_buffers(modules))

    def restore() -> None:
        _set_flags(training, "training")
        _set_flags(learning, "requires_grad")
        _set_flags(parallel, "device_ids")
        for module, flag, value in synchronised:
            setattr(module, flag, value)
        buffers.restore()

    try:
        _set_flags(((module, False) for module, _ in training), "training")
        _set_flags(((weight, False) for weight, _ in learning), "requires_grad")
        _set_flags(((module, []) for module, _ in parallel), "device_ids")  # replicas have modules of their own
        for module, flag, _ in synchronised:  # other processes may not run this network now, and would be waited for
            setattr(module, flag, False)
        yield
    finally:
        finish(restore)


@contextmanager
def lock(network: nn.Module) -> Iterator[None]:
    """Inside, no other thread can borrow a network."""
    with hold_lock(_loan_of(original_of(network)).lock):
        yield


def _loan_of(network: nn.Module) -> _Loan:
    with _LOANS_LOCK:
        return _LOANS.setdefault(network, _Loan())


def _set_flags(flags: Iterable[tuple[object, Any]], name: str) -> None:
    """Set the flags that differ: reading a flag is cheap, setting it is not."""
    for thing, flag in flags:
        if getattr(thing, name) != flag:
            setattr(thing, name, flag)
