"""One step of an ascent, as whoever looks on sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an ascent.

    Args:
        index: number of updates that the images have had.
        images: (B, 3, H, W) in [0, 1], before this step's update, on the network's device.
        scores: score of each image under this step's transforms, (B,).
        report: the weighted score of each term by name, (B,) each.
    """

    index: int
    images: Tensor
    scores: Tensor
    report: Mapping[str, Tensor]
