"""Eval mode and frozen weights while a network is in use; afterwards it is as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor, nn
from torch._C._autograd import _saved_tensors_hooks_set_tracing as ignore_saved_tensors_hooks
from torch.nn.parameter import is_lazy

from optvis.errors import NetworkError, warn_user
from optvis.interrupts import finish, hold_interrupts, hold_lock
from optvis.models.adapted.compiled import run_eagerly
from optvis.models.adapted.needs import explain_call, find_size
from optvis.models.adapted.network import list_buffers, list_modules, list_weights, original_of
from optvis.models.adapted.precision import multiply_in
from optvis.models.adapted.saved_buffers import SavedBuffers

T = TypeVar("T")


class _Loan:
    """A network's lock, and how often the thread that holds it has borrowed the network."""

    def __init__(self) -> None:
        self.lock, self.depth = threading.RLock(), 0


_LOANS: WeakKeyDictionary[nn.Module, _Loan] = WeakKeyDictionary()
_LOANS_LOCK = threading.Lock()
_RUNS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # how often networks have run, up to WATCHED_RUNS
_DRAWING: WeakSet[nn.Module] = WeakSet()  # during a run of which random numbers were drawn
_COUPLED: WeakSet[nn.Module] = WeakSet()  # of which a warning was given, of this or of random numbers
WATCHED_RUNS = 8
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

DEVICES = ("cpu", "cuda", "mps", "xpu")  # that autocast knows

SYNCHRONISES = ("require_forward_param_sync", "require_backward_grad_sync")  # of DistributedDataParallel
SIZE_ERRORS = (ValueError, AssertionError)  # of networks that take one size
EXPORTED_BATCH = ".size()[0] =="  # in what torch.export says of another number of images
CALL_ERRORS = (TypeError, AttributeError)  # of networks that take more than images

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


def run_network(network: nn.Module, inputs: Tensor, restart: Callable[[], None] = lambda: None) -> Any:
    """Run a borrowed network's forward pass, again with gradients where it needs them; see `run_with_gradients`.

    Raises:
        NetworkError: the network's own code fails; the message has its reason and the shape of the images. Errors of
            functions that this package has hooked into it stay as they are, and so does an exhausted memory.
    """
    try:
        with _watch_first_runs(network, inputs):
            return run_with_gradients(network, inputs, restart)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except (RuntimeError, *SIZE_ERRORS, *CALL_ERRORS) as error:
        if _is_ours(error):
            raise
        original, shape = original_of(network), tuple(inputs.shape)
        cure = _explain_failure(network, original, error, shape[2:])
        if cure is None:
            raise
        reason = " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
        raise NetworkError(f"{type(original).__name__} fails on images of shape {shape}: {reason}; {cure}") from error


@contextmanager
def _watch_first_runs(network: nn.Module, inputs: Tensor) -> Iterator[None]:
    """Warn of a network whose outputs differ from call to call, or with the other images, in its first runs."""
    original = original_of(network)
    runs = _RUNS.get(original, 0)
    if runs >= WATCHED_RUNS or inputs.device.type == "meta":
        yield
        return
    before = _read_generators(inputs.device)
    try:
        yield
        runs = WATCHED_RUNS  # a whole pass; others end where all that was asked for has been read
    finally:
        if original not in _RUNS:
            _warn_of_batch_norm(original)
        _RUNS[original] = runs + 1
        if before != _read_generators(inputs.device):
            _warn_of_random_numbers(original)


def _warn_of_random_numbers(network: nn.Module) -> None:
    """Warn of a network in two of whose runs random numbers were drawn; in one it may have been another thread."""
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


def _explain_failure(network: nn.Module, original: nn.Module, error: Exception, size: tuple[int, ...]) -> str | None:
    """What to do about an error of a network's own code; None where nothing shows that the images are its cause."""
    if isinstance(error, AssertionError) and EXPORTED_BATCH in str(error):
        return (
            "it was exported for another number of images: use the module that was exported, or export it with "
            "torch.export.export(..., dynamic_shapes=[{0: torch.export.Dim.AUTO}])"
        )
    call = explain_call(original) if original is network else ""
    own = find_size(original)
    if isinstance(error, CALL_ERRORS) and not call:
        return None
    if isinstance(error, SIZE_ERRORS) and not call and own in (None, size):
        return None
    return call or _explain_size(original)


def _explain_size(network: nn.Module) -> str:
    """Which images a network takes, as the clause of an error message that says what to do."""
    size = find_size(network)
    own = "its own size" if size is None else f"the size {size[0]} × {size[1]}"
    return (
        f"give images that it takes, of as many channels (Classifier(..., channels=...)) and of {own} "
        "(Classifier(..., size, fixed_size=True))"
    )


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


def _is_ours(error: Exception) -> bool:
    """Whether this package raised the error: in the innermost frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = str("" if trace is None else trace.tb_frame.f_globals.get("__name__", ""))
    if str(error) == REENTRANT:
        return True
    return name.startswith("optvis.") and not name.startswith(
        ("optvis.models.embedded", "optvis.models.overrides.mode")
    )


def run_with_gradients(run: Callable[[Tensor], T], a: Tensor, restart: Callable[[], None] = lambda: None) -> T:
    """Call a function of a tensor; where it needs gradients, call it again with gradients on.

    Some networks call `register_hook` on activations, or differentiate, in their forward pass. What is returned may
    then require gradients, under torch.no_grad() too.

    Args:
        run: the function.
        a: its argument.
        restart: called before it is called again.
    """
    try:
        return run(a)
    except RuntimeError as error:
        if "grad" not in str(error) or (a.requires_grad and torch.is_grad_enabled()):
            raise
    restart()
    with torch.enable_grad():
        return run(a.detach().requires_grad_().clone())  # a copy: the function may begin in place


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
