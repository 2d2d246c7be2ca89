"""Metrics of an evaluation: recall and drops of many predictions, bootstrap intervals, p-values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.errors import NotFiniteError
from optvis.models.outputs import Head

SOFTMAX = Head()
RESAMPLES = 2000
LEVEL = 0.95
MIN_IMAGES = 5  # with fewer images there is no interval
BLOCK_SIZE = 2**22  # weights of resamples in memory at once


@dataclass(frozen=True, eq=False)
class BatchPredictions:
    """Predictions for B images, of one network or of K variants of it: each tensor is (B,), or (K, B).

    Args:
        classes: the predicted class.
        top_confidence: its probability, in [0, 1].
        is_right: whether the true class is predicted: as the best, or with a probability above one half where classes
            do not exclude each other.
        confidence: probability of the true class, in [0, 1].
        log_odds: of the true class, log p / (1 − p): unlike `confidence` it does not saturate, and no two images tie.
    """

    classes: Tensor
    top_confidence: Tensor
    is_right: Tensor
    confidence: Tensor
    log_odds: Tensor


def predict(logits: Tensor, truth: Tensor, head: Head = SOFTMAX) -> BatchPredictions:
    """Turn scores of images into predictions.

    Args:
        logits: one for each class, (B, classes), or (K, B, classes) for K variants; finite.
        truth: the class of each image, (B,).
        head: of the network.

    Raises:
        ValueError: logits of another shape; NotFiniteError: they are NaN or infinite.

    Example:
        >>> found = predict(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> found.is_right, recall(found.is_right)
        (tensor([ True, False]), tensor(0.5000, dtype=torch.float64))
    """
    if logits.dim() not in (2, 3) or logits.shape[-1] < 2 or logits.shape[-2] != len(truth):
        raise ValueError(
            f"the network gives {tuple(logits.shape)}; expected a score for each class, ({len(truth)}, classes)"
        )
    if not bool(logits.isfinite().all()):
        raise NotFiniteError("the network gives scores that are NaN or infinite; choose another fill, or fewer units")
    exact = logits.double()
    probabilities = head.confidences(exact)
    best = exact.argmax(-1)
    true = truth.to(best.device).expand(best.shape)
    log_odds = head.log_odds(exact.flatten(0, -2), true.flatten()).view(best.shape)
    top, own = (probabilities.gather(-1, index.unsqueeze(-1)).squeeze(-1) for index in (best, true))
    return BatchPredictions(best, top, head.is_predicted(exact, true), own, log_odds)


def recall(is_right: Tensor) -> Tensor:
    """The share of images whose class is recognised: (..., B) of bool -> (...), float64, in [0, 1]."""
    return is_right.double().mean(-1)


def mean_drop(before: Tensor, after: Tensor) -> Tensor:
    """By how much the mean over images drops: (B,) before and (..., B) after -> (...), float64.

    >>> mean_drop(torch.tensor([True, True]), torch.tensor([[True, False], [False, False]]))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return before.double().mean(-1) - after.double().mean(-1)


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    Args:
        value: the mean; None without images.
        low: lower end of its 95 % interval; None with too few images.
        high: upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


def estimate_means(values: Tensor, seed: int) -> list[Estimate]:
    """Estimate the means of B images' V numbers, (B, V), with intervals."""
    if len(values) == 0:
        return [Estimate(None)] * values.shape[1]
    means = values.double().mean(0).tolist()
    if len(values) < MIN_IMAGES:
        return [Estimate(mean) for mean in means]
    return [Estimate(mean, *ends) for mean, ends in zip(means, confidence_intervals(values, seed), strict=True)]


def confidence_intervals(values: Tensor, seed: int = 0) -> list[tuple[float, float]]:
    """Percentile bootstrap intervals of means over images, 95 %, from 2,000 resamples: one for each of V numbers.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

    >>> confidence_intervals(torch.tensor([[0.0], [0.0], [1.0], [1.0], [1.0], [1.0]]))  # (B, V)
    [(0.33..., 1.0)]
    """
    tails = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64, device="cpu")
    low, high = resample_means(values, seed).quantile(tails, dim=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def resample_means(values: Tensor, seed: int = 0, resamples: int = RESAMPLES) -> Tensor:
    """Compute means over images drawn with replacement, as many as there are: (B, V) -> (R, V), float64.

    The same seed draws the same images for all V numbers, so that differences stay paired.
    """
    images, generator = len(values), seeded_generator(seed, "bootstrap")
    exact, parts = values.double().cpu(), []
    for block in torch.split(torch.arange(resamples, device="cpu"), max(1, BLOCK_SIZE // images)):
        indices = torch.randint(images, (len(block), images), generator=generator, device="cpu")
        weights = torch.zeros(len(block), images, dtype=torch.float64, device="cpu")
        weights.scatter_add_(1, indices, torch.ones_like(weights))
        parts.append(weights @ exact / images)
    return torch.cat(parts)


def p_value(drop: float, random_drops: Tensor) -> float:
    """How often random units do as much: (1 + random sets with at least this drop) / (1 + random sets).

    Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 4.2; never 0.

    >>> p_value(0.5, torch.tensor([0.0, 0.1, 0.5]))
    0.5
    """
    return (1 + int((random_drops >= drop).sum())) / (1 + len(random_drops))


def seeded_generator(seed: int, purpose: str) -> torch.Generator:
    """A generator of random numbers for one purpose: the same seed gives the same numbers."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
