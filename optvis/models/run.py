"""Run a borrowed network, and say what to do where its own code fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optvis.errors import NetworkError
from optvis.models.adapted.first_runs import watch_first_runs
from optvis.models.adapted.needs import explain_call, find_size
from optvis.models.adapted.network import original_of
from optvis.models.borrow import REENTRANT

T = TypeVar("T")
SIZE_ERRORS = (ValueError, AssertionError)  # of networks that take one size
EXPORTED_BATCH = ".size()[0] =="  # in what torch.export says of another number of images
CALL_ERRORS = (TypeError, AttributeError)  # of networks that take more than images


def run_network(network: nn.Module, inputs: Tensor, restart: Callable[[], None] = lambda: None) -> Any:
    """Run a borrowed network's forward pass, again with gradients where it needs them; see `run_with_gradients`.

    Raises:
        NetworkError: the network's own code fails; the message has its reason and the shape of the images. Errors of
            functions that this package has hooked into it stay as they are, and so does an exhausted memory.
    """
    try:
        with watch_first_runs(network, inputs):
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
