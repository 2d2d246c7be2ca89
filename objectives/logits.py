"""Objectives on classes: their logits, and their log-odds against all other classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import torch
from torch import Tensor

from optvis.objectives.channels import channel_mean
from optvis.objectives.labels import Labels
from optvis.objectives.layout import OUTPUT, pick
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index

Classes: TypeAlias = int | str | Iterable[int] | Iterable[str] | Tensor


def odds(scores: Tensor, index: Tensor) -> Tensor:
    """Compute s_c − log Σ_{j≠c} exp s_j.  scores (B, C), index (B,) or (1,) -> (B,)"""
    if scores.dim() != 2:
        raise ValueError(f"the network's output is {tuple(scores.shape)}; log_odds needs logits, (B, classes)")
    own = pick(scores, index)
    classes = torch.arange(scores.shape[1], device=scores.device)
    others = scores.masked_fill(classes == index.to(scores.device).unsqueeze(1), -torch.inf)
    return own - others.logsumexp(1)


def logit(target: Classes) -> Objective:
    """Maximise the logit of a class: the network's own output at an index, before any softmax.

    Args:
        target: index of a class or its label, or one per image.

    Raises:
        TypeError: neither an index nor a label.
        KeyError: an unknown label, or one that matches two classes; raised once the network is known, e.g. by `render`.
        ValueError: likewise, a label for a network without labels.

    Example:
        >>> logit("container ship") - logit("liner")
        logit('container ship') - logit('liner')
    """
    return make_objective("logit", OUTPUT, channel_mean, _classes(target, "logit"))


def log_odds(target: Classes) -> Objective:
    """Maximise the log-odds of a class against all others: log p / (1 − p) of its softmax probability p.

    This is its logit minus the log of the sum of the others' exponentials: evidence for this class and against the
    others. A logit alone may grow together with all others.

    Args:
        target: index of a class or its label, or one per image.

    Raises:
        TypeError, KeyError, ValueError: as in `logit`; also for a network whose output is not (B, classes).

    Example:
        >>> log_odds(0)({"": torch.tensor([[1.0, 0.0, 0.0]])})
        tensor([0.3069])
    """
    return make_objective("log_odds", OUTPUT, odds, _classes(target, "log_odds"))


def _classes(target: Classes, factory: str) -> Labels | Tensor:
    """Classes by their labels, or by their indices."""
    texts = (target,) if isinstance(target, str) else target
    if isinstance(texts, Iterable) and not isinstance(texts, range | Tensor):
        texts = tuple(texts)
        if texts and all(isinstance(text, str) for text in texts):
            return Labels(texts)
    return as_index(texts, factory)
