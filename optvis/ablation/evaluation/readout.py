"""How well a class is read from features: linear probes, nearest neighbours, and how alike two sets of features are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-4, 7))  # of a ridge regression on standardised features
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

    A probe is scikit-learn's `RidgeClassifierCV` on standardised features, in which both classes weigh the same. Its
    penalty has the least leave-one-out error.

    Args:
        x: features, (B, C).
        is_target: (B,) of bool.
    """
    from sklearn.linear_model import RidgeClassifierCV

    def predict(known: Tensor, own: Tensor, asked: Tensor) -> Any:
        return RidgeClassifierCV(PENALTIES, class_weight="balanced").fit(known, own).predict(asked)

    return _hold_out(x, is_target, predict)


def probe_neighbors(x: Tensor, is_target: Tensor, neighbors: int) -> float:
    """The balanced accuracy of the nearest neighbours in the other half of the rows, on standardised features.

    The vote of each neighbour is divided by the number of rows of its class.
    """
    from sklearn.neighbors import KNeighborsClassifier

    def predict(known: Tensor, own: Tensor, asked: Tensor) -> Any:
        shares = KNeighborsClassifier(min(neighbors, len(known))).fit(known, own).predict_proba(asked)
        share = float(own.double().mean())
        return shares[:, 1] / share > shares[:, 0] / (1 - share)

    return _hold_out(x, is_target, predict)


def _hold_out(x: Tensor, is_target: Tensor, predict: Callable[[Tensor, Tensor, Tensor], Any]) -> float:
    """The balanced accuracy where each half of the rows is predicted from the other, on its scale."""
    from sklearn.preprocessing import StandardScaler

    fold, found = folds(is_target), torch.zeros_like(is_target)
    for held_out in range(FOLDS):
        rows = fold == held_out
        scaler = StandardScaler().fit(x[~rows].double())
        known, asked = (torch.from_numpy(scaler.transform(part.double())) for part in (x[~rows], x[rows]))
        found[rows] = torch.from_numpy(predict(known, is_target[~rows], asked))
    return balanced_accuracy(found, is_target)


def _center(x: Tensor) -> Tensor:
    """Features without their means, float64; those that are the same in all rows are 0, without rounding errors."""
    exact = x.double()
    return (exact - exact.mean(0)) * (exact != exact[:1]).any(0)


def linear_cka(x: Tensor, y: Tensor) -> float | None:
    """The linear centered kernel alignment of features of the same rows, in [0, 1]; None where one is constant.

    ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) of centered features; Kornblith et al. 2019, arXiv:1905.00414.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> linear_cka(x, 3 * x + 1), linear_cka(x, 0 * x)
    (1.0, None)
    """
    a, b = map(_center, (x, y))
    norms = float(torch.linalg.matrix_norm(a.T @ a)), float(torch.linalg.matrix_norm(b.T @ b))
    if not norms[0] or not norms[1]:
        return None
    return round(float(torch.linalg.matrix_norm(b.T @ a)) ** 2 / (norms[0] * norms[1]), 12)
