"""How many images fit into a GPU's memory, from one probe."""

from __future__ import annotations

from collections.abc import Callable

import torch

MOST_UNPROBED = 64  # images that are tried together at once
PROBE_IMAGES = 16
SHARE = 0.4  # of the free memory: a step and its recording hold one set of activations each


def fit_batch(images: int, group: int, measure: Callable[[int], int], room: int) -> int:
    """Choose how many images run together: all, or as many as fit, in whole groups.

    Args:
        images: how many there are.
        group: number of images that the objective compares, which stay together.
        measure: (number of images) -> bytes that a step of so many needs.
        room: bytes that are free.

    Example:
        >>> fit_batch(5000, 1, lambda count: 100 * count, 1_000_000)
        4000
        >>> fit_batch(5000, 3, lambda count: 1000 * count, 1_000_000)
        399
    """
    if images <= max(MOST_UNPROBED, group):
        return images
    count = max(1, PROBE_IMAGES // group) * group
    fitting = int(SHARE * room * count / max(1, measure(count))) // group * group
    return min(images, max(group, fitting))


def measure_peak(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes that a function allocates on CUDA, beyond those that were allocated before."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def free_bytes(device: torch.device) -> int:
    """The bytes that are free on CUDA, those that torch keeps for later included."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept
