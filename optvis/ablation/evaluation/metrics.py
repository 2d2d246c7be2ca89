"""Predictions of many images as tensors, and what they sum up to."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from optvis.objectives.logits import odds


@dataclass(frozen=True, eq=False)
class BatchPredictions:
    """Predictions for B images, of one network or of K variants of it: each tensor is (B,), or (K, B).

    Args:
        classes: the predicted class.
        top_confidence: its softmax probability, in [0, 1].
        is_right: whether it is the true class.
        confidence: softmax probability of the true class, in [0, 1].
        log_odds: of the true class, log p / (1 − p): unlike `confidence` it does not saturate, and no two images tie.
    """

    classes: Tensor
    top_confidence: Tensor
    is_right: Tensor
    confidence: Tensor
    log_odds: Tensor


def predict(logits: Tensor, truth: Tensor) -> BatchPredictions:
    """Turn scores of images into predictions.

    Args:
        logits: a score for each class, (B, classes), or (K, B, classes) for K variants.
        truth: the class of each image, (B,).

    Raises:
        ValueError: other shapes, a single class, or scores that are not finite.

    Example:
        >>> import torch
        >>> found = predict(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> found.is_right, recall(found.is_right)
        (tensor([ True, False]), tensor(0.5000, dtype=torch.float64))
    """
    if logits.dim() not in (2, 3) or logits.shape[-1] < 2 or logits.shape[-2] != len(truth):
        raise ValueError(
            f"the network gives {tuple(logits.shape)}; expected a score for each class, ({len(truth)}, classes)"
        )
    if not bool(logits.isfinite().all()):
        raise ValueError("the network gives scores that are NaN or infinite; choose another fill, or fewer units")
    exact = logits.double()
    probabilities = exact.softmax(-1)
    best = exact.argmax(-1)
    true = truth.to(best.device).expand(best.shape)
    log_odds = odds(exact.flatten(0, -2), true.flatten()).view(best.shape)
    top, own = (probabilities.gather(-1, index.unsqueeze(-1)).squeeze(-1) for index in (best, true))
    return BatchPredictions(best, top, best == true, own, log_odds)


def recall(is_right: Tensor) -> Tensor:
    """The share of images whose class is recognised: (..., B) of bool -> (...), float64, in [0, 1]."""
    return is_right.double().mean(-1)


def mean_drop(before: Tensor, after: Tensor) -> Tensor:
    """By how much the mean over images drops: (B,) and (..., B) -> (...), float64.

    Args:
        before: `is_right`, `confidence` or `log_odds` of each image before.
        after: the same after, of one network or of K variants.

    Example:
        >>> import torch
        >>> mean_drop(torch.tensor([True, True]), torch.tensor([[True, False], [False, False]]))
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return before.double().mean(-1) - after.double().mean(-1)


__all__ = ["BatchPredictions", "mean_drop", "predict", "recall"]
