"""How well a class is read from features: linear probes, nearest neighbours, and how alike two sets of features are."""

from __future__ import annotations

import torch
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-6, 3))  # of a ridge regression on standardised features
FOLDS = 2
MIN_IMAGES = 2  # of the target, and of the others, in each fold


def folds(is_target: Tensor) -> Tensor:
    """Which of two folds each row is in, (B,), at random; both have about as many of the target, and of the others."""
    generator = torch.Generator().manual_seed(0)
    fold = torch.zeros(len(is_target), dtype=torch.long, device="cpu")
    for rows in (is_target.cpu().nonzero().flatten(), (~is_target.cpu()).nonzero().flatten()):
        fold[rows] = torch.randperm(len(rows), generator=generator, device="cpu") % FOLDS
    return fold.to(is_target.device)


def balanced_accuracy(is_found: Tensor, is_target: Tensor) -> float:
    """The mean of the shares of the target's rows that are found, and of the others that are not; 0.5 by chance.

    >>> balanced_accuracy(torch.tensor([True, True, False, True]), torch.tensor([True, False, False, False]))
    0.6666...
    """
    return float((is_found[is_target].double().mean() + (~is_found[~is_target]).double().mean()) / 2)


def probe_linearly(x: Tensor, is_target: Tensor) -> float:
    """The balanced accuracy of linear probes on the half of the rows that they were not fitted to.

    A probe is a ridge regression of ±1 on standardised features, in which both classes weigh the same. Its penalty
    has the least leave-one-out error (Golub, Heath & Wahba 1979, doi:10.1080/00401706.1979.10489751).

    Args:
        x: features, (B, C).
        is_target: (B,) of bool.
    """
    fold, found = folds(is_target), torch.zeros_like(is_target)
    for held_out in range(FOLDS):
        rows = fold == held_out
        found[rows] = _ridge_scores(*_standardize(x[~rows], x[rows]), is_target[~rows]) > 0
    return balanced_accuracy(found, is_target)


def probe_neighbors(x: Tensor, is_target: Tensor, neighbors: int) -> float:
    """The balanced accuracy of the nearest neighbours in the other half of the rows, on standardised features.

    The vote of each neighbour is divided by the number of rows of its class.
    """
    fold, found = folds(is_target), torch.zeros_like(is_target)
    for held_out in range(FOLDS):
        rows = fold == held_out
        known, asked = _standardize(x[~rows], x[rows])
        own = is_target[~rows]
        nearest = torch.cdist(asked, known).topk(min(neighbors, len(known)), largest=False).indices
        votes = own.double()[nearest].sum(1) / own.sum(), (~own).double()[nearest].sum(1) / (~own).sum()
        found[rows] = votes[0] > votes[1]
    return balanced_accuracy(found, is_target)


def linear_cka(x: Tensor, y: Tensor) -> float | None:
    """The linear centered kernel alignment of features of the same rows, in [0, 1]; None where one is constant.

    ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) of centered features; Kornblith et al. 2019, arXiv:1905.00414.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> linear_cka(x, 3 * x + 1), linear_cka(x, 0 * x)
    (1.0, None)
    """
    a, b = (one.double() - one.double().mean(0) for one in (x, y))
    norms = float(torch.linalg.matrix_norm(a.T @ a)), float(torch.linalg.matrix_norm(b.T @ b))
    if not norms[0] or not norms[1]:
        return None
    return round(float(torch.linalg.matrix_norm(b.T @ a)) ** 2 / (norms[0] * norms[1]), 12)


def _standardize(known: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the mean and the standard deviation of the former; a feature that is constant there becomes 0."""
    exact = known.double()
    mean, deviation = exact.mean(0), exact.std(0, correction=0)
    scale = torch.where(deviation > 1e-9 * deviation.max(), 1 / deviation, 0.0)
    return (exact - mean) * scale, (asked.double() - mean) * scale


def _ridge_scores(known: Tensor, asked: Tensor, is_target: Tensor) -> Tensor:
    """The scores of a balanced ridge regression, (B,): above 0 is the target."""
    weights = torch.where(is_target, 0.5 / is_target.sum(), 0.5 / (~is_target).sum()).double()
    labels = torch.where(is_target, 1.0, -1.0).double()
    center = weights @ known
    root = weights.sqrt()
    left, strengths, right = torch.linalg.svd((known - center) * root[:, None], full_matrices=False)
    along = left.T @ (root * labels)  # labels have the weighted mean 0
    best, least = strengths, torch.inf
    for penalty in PENALTIES:
        shrunk = strengths.square() / (strengths.square() + penalty)
        leverage = left.square() @ shrunk + weights
        error = float(((root * labels - left @ (shrunk * along)) / (1 - leverage).clamp(min=1e-9)).square().sum())
        if error < least:
            best, least = strengths / (strengths.square() + penalty), error
    scores: Tensor = (asked - center) @ (right.T @ (best * along))
    return scores
