"""Metrics of an evaluation: recall and drops of many predictions, confidence intervals, p-values."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from optvis.errors import NotFiniteError
from optvis.formatting import Estimate
from optvis.models.outputs.head import Head
from optvis.models.outputs.intervals import LEVEL, wilson_interval

SOFTMAX = Head()
MIN_IMAGES = 10  # with fewer images there is no interval, other than of shares
ONE_OUTPUT = ": give the Classifier two labels, of the negative and of the positive side of its one output"
TIE = 1e-5  # nats; float32 scores computed in two ways differ by less


@dataclass(frozen=True, eq=False)
class BatchPredictions:
    """Predictions for B images, of one network or of K variants of it: each tensor is (B,), or (K, B).

    Args:
        classes: the predicted class; of those that do not exclude each other the true one, if it is among them, and −1
            where none has a probability above one half.
        top_confidence: its probability, in [0, 1]; without one, that of the best class.
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
            f"{ONE_OUTPUT if logits.shape[-1:] == (1,) else ''}"
        )
    if not bool(logits.isfinite().all()):
        raise NotFiniteError("the network gives scores that are NaN or infinite; choose another fill, or fewer units")
    exact = logits.double()
    probabilities = head.confidences(exact)
    true = truth.to(exact.device).expand(exact.shape[:-1])
    log_odds = head.log_odds(exact.flatten(0, -2), true.flatten()).view(true.shape)
    classes = head.predict(exact, true)
    top = top_confidences(probabilities, classes)
    own = probabilities.gather(-1, true.unsqueeze(-1)).squeeze(-1)
    return BatchPredictions(classes, top, head.is_predicted(exact, true), own, log_odds)


def top_confidences(probabilities: Tensor, classes: Tensor) -> Tensor:
    """The probability of each image's predicted class, (..., K) and (...) -> (...); of −1 that of the best class."""
    shown = torch.where(classes < 0, probabilities.argmax(-1), classes)
    return probabilities.gather(-1, shown.unsqueeze(-1)).squeeze(-1)


def recall(is_right: Tensor) -> Tensor:
    """The share of images whose class is recognised: (..., B) of bool -> (...), float64, in [0, 1]."""
    return is_right.double().mean(-1)


def mean_drop(before: Tensor, after: Tensor) -> Tensor:
    """By how much the mean over images drops: (B,) before and (..., B) after -> (...), float64.

    >>> mean_drop(torch.tensor([True, True]), torch.tensor([[True, False], [False, False]]))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return before.double().mean(-1) - after.double().mean(-1)


def estimate_share(is_right: Tensor) -> Estimate:
    """Estimate a share of images, (B,) of bool, with Wilson's interval.

    >>> estimate_share(torch.tensor([True, True, True, False]))
    Estimate(value=0.75, low=0.30..., high=0.95...)
    """
    images, right = len(is_right), int(is_right.sum())
    return Estimate(right / images, *wilson_interval(right, images)) if images else Estimate(None)


def estimate_share_drop(before: Tensor, after: Tensor) -> Estimate:
    """Estimate by how much a share drops, image by image: two of (B,) of bool.

    The interval is the adjusted Wald interval of Bonett & Price 2012, doi:10.3102/1076998611411915.

    >>> estimate_share_drop(torch.tensor([True, True, True, True]), torch.tensor([True, False, False, False]))
    Estimate(value=0.75, low=-0.1..., high=1.0)
    """
    images = len(before)
    if not images:
        return Estimate(None)
    lost, gained = (int((one & ~other).sum()) for one, other in ((before, after), (after, before)))
    shares = (lost + 1) / (images + 2), (gained + 1) / (images + 2)
    middle = shares[0] - shares[1]
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt((sum(shares) - middle**2) / (images + 2))
    return Estimate((lost - gained) / images, max(-1.0, middle - half), min(1.0, middle + half))


def estimate_means(values: Tensor) -> list[Estimate]:
    """Estimate the means of B images' V numbers, (B, V), with Student's t interval from 10 images on.

    With fewer, the interval of skewed numbers covers their mean less often than 9 times in 10.

    >>> estimate_means(torch.arange(10.0)[:, None])
    [Estimate(value=4.5, low=2.3..., high=6.6...)]
    """
    if len(values) == 0:
        return [Estimate(None)] * values.shape[1]
    exact = values.double()
    means = exact.mean(0)
    if len(values) < MIN_IMAGES:
        return [Estimate(mean) for mean in means.tolist()]
    from scipy.special import stdtrit  # takes seconds to import

    half = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * exact.std(0) / math.sqrt(len(values))
    rows = zip(means.tolist(), (means - half).tolist(), (means + half).tolist(), strict=True)
    return [Estimate(*row) for row in rows]


def p_value(drop: float, random_drops: Tensor, tie_share: float = 1.0) -> float:
    """How often random units do as much: (1 + random sets with at least this drop) / (1 + random sets); never 0.

    Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 4.2. All ties count, so under chance p is
    too large where there are many. With a share drawn evenly from [0, 1), that share of the ties counts, and under
    chance p is uniform (Dufour 2006, doi:10.1016/j.jeconom.2005.06.007).

    Args:
        drop: without the units.
        random_drops: without each of R random sets, (R,).
        tie_share: how many of the ties count.

    Example:
        >>> p_value(0.5, torch.tensor([0.0, 0.1, 0.5])), p_value(0.5, torch.tensor([0.0, 0.1, 0.5]), 0.2)
        (0.5, 0.25)
    """
    is_tie = (random_drops - drop).abs() <= TIE
    larger = int(((random_drops > drop) & ~is_tie).sum())
    ties = int(is_tie.sum())
    return (1 + larger + min(ties, int(tie_share * (1 + ties)))) / (1 + len(random_drops))


def seeded_generator(seed: int, purpose: str) -> torch.Generator:
    """A generator of random numbers for one purpose: the same seed gives the same numbers."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
