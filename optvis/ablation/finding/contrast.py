"""Contrastive attribution: channels that speak for a class on its own images and not on those that must stay."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.ablation.finding.cached import Cached, Gated
from optvis.ablation.finding.case import Case
from optvis.ablation.finding.grouping import channels_by_layer
from optvis.features.units import Units


@dataclass(frozen=True)
class Contrast:
    """The channels whose attribution to the target is larger on its own images than on the others by most.

    The attribution of a channel is Σ_positions gradient · activation of the target's logit less the logarithm of the
    others' sum of exponentials: gradient times input (Shrikumar et al. 2016, arXiv:1605.01713), of a channel.

    Args:
        most: how many channels, over all layers.
    """

    most: int = 10

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most is {self.most}; expected 1 or more")

    def __call__(self, case: Case) -> tuple[Units, ...]:
        """Channels of the case's layers. The network has to be borrowed.

        Raises:
            ValueError: nothing is to be kept.
        """
        case.needs_kept("contrastive attribution")
        gated = Gated(Cached(case.classifier, case.images, case.layers))
        seen = gated.slopes(lambda logits: log_odds(logits, case.target), gated.open())
        contrast = seen[case.shows].mean(0) - seen[~case.shows].mean(0)
        best = contrast.argsort(descending=True, stable=True)[: self.most].tolist()
        return channels_by_layer([gated.names[place] for place in best])


def log_odds(logits: Tensor, target: int) -> Tensor:
    """log(p / (1 − p)) of a class, (B,).

    Example:
        >>> log_odds(torch.tensor([[2.0, 0.0]]), 0)
        tensor([2.])
    """
    others = torch.arange(logits.shape[1], device=logits.device) != target
    return logits[:, target] - logits[:, others].logsumexp(1)


__all__ = ["Contrast", "log_odds"]
