"""Objectives on classes: their logits, and their log-odds against all other classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.objectives.channels import channel_mean
from optvis.objectives.labels import Labels
from optvis.objectives.layout import OUTPUT, pick
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index, as_rows

Classes: TypeAlias = int | str | Iterable[int] | Iterable[str] | Tensor


class HeadLike(Protocol):
    """How a network's output is read; see `optvis.models.outputs.head.Head`."""

    def logits(self, output: Tensor) -> Tensor:
        """Turn outputs (B, K, ...) into logits of classes."""

    def log_odds(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Compute log p / (1 − p) of a class of each image."""


@dataclass(frozen=True)
class ClassScore:
    """The function of `logit` and `log_odds`: (output, index) -> (B,); or (output, index, where) -> (B,).

    Args:
        is_odds: whether it is log-odds, not a logit.
        head: of the network; None takes the outputs for logits of classes that exclude each other.
    """

    is_odds: bool = False
    head: HeadLike | None = None

    def with_head(self, head: HeadLike) -> ClassScore:
        """The same for outputs that a head reads."""
        return replace(self, head=head)

    def __call__(self, output: Tensor, index: Tensor, where: Tensor | None = None) -> Tensor:
        logits = output if self.head is None else self.head.logits(output)
        if where is not None:
            return masked_mean(logits, index, where)
        if not self.is_odds:
            return channel_mean(logits, index)
        return odds(logits, index) if self.head is None else self.head.log_odds(logits, index)


def odds(scores: Tensor, index: Tensor) -> Tensor:
    """Compute s_c − log Σ_{j≠c} exp s_j.  scores (B, C), index (B,) or (1,) -> (B,); one logit is its own log-odds."""
    if scores.dim() != 2:
        raise ValueError(f"the network's output is {tuple(scores.shape)}; log_odds needs logits, (B, classes)")
    own = pick(scores, index)
    if scores.shape[1] == 1:
        return own
    classes = torch.arange(scores.shape[1], device=scores.device)
    others = scores.masked_fill(classes == index.to(scores.device).unsqueeze(1), -torch.inf)
    return own - others.logsumexp(1)


def masked_mean(logits: Tensor, index: Tensor, where: Tensor) -> Tensor:
    """Average the logits of a class over the pixels of a mask.

    Args:
        logits: (B, K, h, w).
        index: (B,) or (1,).
        where: weights of pixels, (B, 1, H, W) or (1, 1, H, W), which are averaged down to h × w.

    Returns:
        (B,).
    """
    if logits.dim() != 4:
        raise ValueError(
            f"the network's output is {tuple(logits.shape)}; where= needs a score for each pixel, (B, K, h, w)"
        )
    weights = F.interpolate(where.to(logits), logits.shape[2:], mode="area")[:, 0]
    return (pick(logits, index) * weights).sum((1, 2)) / weights.sum((1, 2))


def logit(target: Classes, where: Any = None) -> Objective:
    """Maximise the logit of a class: the network's own output at an index, before any softmax.

    Where the outputs are probabilities already, it is their logarithm, log p, which is the logit up to a constant of
    each image; of a sigmoid, log p / (1 − p), which is the logit itself. With two labels for one output z, the logit of
    the first is −z.

    Args:
        target: index of a class or its label, or one per image.
        where: of a segmentation network, whose output is a score for each pixel: a mask of pixels, (H, W), or one per
            image, (B, H, W), of truth values or of weights of 0 or more. The score is the mean over these pixels; by
            default over all. Render with `transform=None`, so that the image stays under the mask.

    Raises:
        TypeError: neither an index nor a label.
        KeyError: an unknown label, or one that matches two classes; raised once the network is known, e.g. by `render`.
        ValueError: likewise, a label for a network without labels; a mask of another shape, without pixels, or for a
            network without a score for each pixel.

    Example:
        >>> logit("container ship") - logit("liner")
        logit('container ship') - logit('liner')
    """
    masks = () if where is None else (_as_masks(where),)
    return make_objective("logit", OUTPUT, ClassScore(), _classes(target, "logit"), *masks)


def _as_masks(where: Any) -> Tensor:
    """Weights of pixels, (B, 1, H, W) or (1, 1, H, W)."""
    rows = as_rows(where, 3, "where", "(H, W), or one per image, (B, H, W)").float()
    if bool((rows < 0).any()) or not bool(rows.flatten(1).any(1).all()):
        raise ValueError("where is negative, or 0 at all pixels; expected truth values, or weights of 0 or more")
    return rows.unsqueeze(1)


def log_odds(target: Classes) -> Objective:
    """Maximise the log-odds of a class against all others: log p / (1 − p) of its probability p.

    Of a softmax this is its logit minus the log of the sum of the others' exponentials: evidence for this class and
    against the others. A logit alone may grow together with all others. Of a sigmoid it is the logit itself.

    Args:
        target: index of a class or its label, or one per image.

    Raises:
        TypeError, KeyError, ValueError: as in `logit`; also for a network whose output is not (B, classes), or is an
            embedding.

    Example:
        >>> log_odds(0)({"": torch.tensor([[1.0, 0.0, 0.0]])})
        tensor([0.3069])
    """
    return make_objective("log_odds", OUTPUT, ClassScore(is_odds=True), _classes(target, "log_odds"))


def _classes(target: Classes, factory: str) -> Labels | Tensor:
    """Classes by their labels, or by their indices."""
    texts = (target,) if isinstance(target, str) else target
    if isinstance(texts, Iterable) and not isinstance(texts, range | Tensor):
        texts = tuple(texts)
        if texts and all(isinstance(text, str) for text in texts):
            return Labels(texts)
    return as_index(texts, factory)
