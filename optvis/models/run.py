"""Run a borrowed network, and say what to do where its own code fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optvis.errors import NetworkError
from optvis.models.adapted.failures import NETWORK_ERRORS, explain_failure
from optvis.models.adapted.first_runs import watch_first_runs
from optvis.models.adapted.network import original_of
from optvis.models.borrow import REENTRANT
from optvis.models.hooks import OwnThread

T = TypeVar("T")


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
    except NETWORK_ERRORS as error:
        if _is_ours(error):
            raise
        cure = explain_failure(network, error, inputs)
        if cure is None:
            raise
        original, shape = original_of(network), tuple(inputs.shape)
        reason = " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
        raise NetworkError(f"{type(original).__name__} fails on images of shape {shape}: {reason}; {cure}") from error


def _is_ours(error: Exception) -> bool:
    """Whether this package raised the error, in the innermost frame, or a function that it hooked into the network."""
    trace, name, is_hooked = error.__traceback__, "", False
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        is_hooked |= trace.tb_frame.f_code is OwnThread.__call__.__code__
        trace = trace.tb_next
    if is_hooked or str(error) == REENTRANT:
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


def renew(a: Tensor) -> Tensor:
    """Return a tensor; a copy of one that was made in torch.inference_mode(), which autograd cannot use.

    Example:
        >>> with torch.inference_mode():
        ...     made = torch.ones(1)
        >>> renew(made).is_inference()
        False
    """
    return a.clone() if a.is_inference() else a


def restride(a: Tensor) -> Tensor:
    """Return a tensor; a copy of a single one, channels last, whose batch axis has an unusual stride.

    Slicing, `unsqueeze` and `flatten` leave such strides. On the CPU, torch's BatchNorm takes its gradient for one in
    the other order of axes, and the numbers are wrong.

    Example:
        >>> restride(torch.zeros(8, 8, 3).permute(2, 0, 1).unsqueeze(0)).stride()
        (192, 1, 24, 3)
    """
    layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(a.dim())
    if layout is None or len(a) != 1 or a.stride(0) == a.numel() or not a.is_contiguous(memory_format=layout):
        return a
    return a.clone(memory_format=layout)
