"""Everything that an operation could leave behind: in a network, in torch, in the process."""

from __future__ import annotations

import os
import signal
import warnings
from threading import Thread
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad

from optvis.models.borrow import lock
from tests.conftest import fingerprint_of


def process_state() -> dict[str, Any]:
    """Torch's switches of this thread and of the process, and what optvis could change beside them."""
    return {
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "function modes": torch._C._len_torch_function_stack(),
        "dtype": torch.get_default_dtype(),
        "attention's fast path": torch.backends.mha.get_fastpath_enabled(),
        "attention's kernels": (
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
        ),
        "forward mode": forward_ad._current_level,
        "handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "filters of warnings": list(warnings.filters),
        "Module.__call__": (nn.Module.__call__, nn.Module.__getattr__),
        "environment": dict(os.environ),
        "random numbers": torch.get_rng_state().tolist(),
    }


def state_of(network: nn.Module) -> dict[str, Any]:
    """All that can be compared by ==, of a network and of the process."""
    return fingerprint_of(network) | process_state()


def is_free(network: nn.Module, seconds: float = 10) -> bool:
    """Whether another thread can have the network."""
    found = []

    def take() -> None:
        with lock(network):
            found.append(True)

    thread = Thread(target=take, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(found)
