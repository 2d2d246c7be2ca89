"""Erasure by orthogonal projection: iterative nullspace projection, and mean projection along one direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor

from optvis.ablation.moments import Moments
from optvis.ablation.selection.erasure.eraser import Eraser, Rows
from optvis.errors import warn_user
from optvis.features.projection import Projection
from optvis.features.units import Units
from optvis.formatting import format_count, format_percent

ROUNDING = 1e-9  # share of the largest eigenvalue of the covariance; smaller ones are rounding errors


@dataclass(frozen=True)
class Inlp(Eraser):
    """Directions of linear classifiers, projected out one after the other until none reads the label: INLP.

    Each classifier is a ridge regression, fitted to what the others left, of the channels' means over positions.
    Directions are taken until not even least squares without a penalty reads the label. For two classes that is
    Fisher's linear discriminant, whose balanced accuracy for normal features is Φ(d / 2), with
    d² = R² / ((1 − R²) σ²): R² is the share of the label's variance σ² that it explains. Of several labels, each
    direction is that of the one that is read best. Ravfogel et al. 2020, arXiv:2004.07667.

    The part along the directions is set to that of the mean activation. The paper sets it to zero: no linear classifier
    can tell the two apart, but the layers behind get activations unlike any that they were trained on.

    Args:
        max_accuracy: balanced accuracy on the images themselves, at which no further direction is taken. On other
            images probes may read more: of the embedded transformer 54.8 % with 0.51, 51.3 % with the default.
        max_directions: number of directions at most; a warning says where that does not suffice.
        penalty: on the classifiers' squared weights, of channels with unit variance. Without it the directions are
            those in which the label is seen best for their small variance, and many times as many are needed.

    Example:
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).double()
        >>> Inlp().fit(x, (x[:, 0] > 0).double())
        Projection('', ... of 4)
    """

    max_accuracy: float = 0.503
    max_directions: int = 64
    penalty: float = 1.0

    rows: ClassVar[Rows] = "means"

    def __post_init__(self) -> None:
        if not 0.5 < self.max_accuracy < 1 or self.max_directions < 1 or not 0 <= self.penalty < math.inf:
            raise ValueError(
                f"{self}: expected max_accuracy in (0.5, 1), max_directions of 1 or more and penalty of 0 or more"
            )

    def solve(self, moments: Moments, erased: int, layer: str) -> Units:
        covariance, cross, variances = moments.covariance, moments.cross_covariance, moments.label_variance
        basis, largest = cross.new_zeros(0, len(cross)), float(torch.linalg.eigvalsh(covariance)[-1])
        while len(basis) < len(cross):
            keep = torch.eye(len(cross), dtype=cross.dtype, device=cross.device) - basis.T @ basis
            left, rest = keep @ cross, keep @ covariance @ keep
            explained = (left * _solve(rest, left, largest)).sum(0)
            accuracies = [_accuracy(*one) for one in zip(explained.tolist(), variances.tolist(), strict=True)]
            best = accuracies.index(max(accuracies))
            if accuracies[best] <= self.max_accuracy:
                break
            if len(basis) == self.max_directions:
                off, accuracy = format_count(len(basis), "direction"), format_percent(accuracies[best])
                warn_user(
                    f"without {off} of {layer or 'the features'} a linear classifier still reads the labels, with a "
                    f"balanced accuracy of {accuracy}: raise max_directions, or give several times as many images as "
                    "channels"
                )
                break
            new = keep @ _solve(rest + self.penalty * covariance.diagonal().diag(), left[:, best], largest)
            again = keep @ (new / torch.linalg.vector_norm(new))  # one projection leaves rounding errors, as in QR
            basis = torch.cat([basis, (again / torch.linalg.vector_norm(again))[None]])
        if not len(basis):
            raise ValueError(
                f"no linear classifier reads the labels with a balanced accuracy above {self.max_accuracy}: there is "
                "nothing to erase"
            )
        return Projection(layer, basis, center=moments.mean)


def _solve(matrix: Tensor, columns: Tensor, largest: float) -> Tensor:
    """Solve least squares; eigenvalues that are rounding errors beside the largest of the covariance count as 0."""
    found: Tensor = torch.linalg.pinv(matrix, atol=ROUNDING * largest, rtol=0, hermitian=True) @ columns
    return found


def _accuracy(explained: float, variance: float) -> float:
    """The balanced accuracy of a linear discriminant that explains a part of a label's variance; chance without any."""
    if not variance:
        return 0.5
    share = min(1 - 1e-12, max(0.0, explained / variance))
    return NormalDist().cdf(math.sqrt(share / ((1 - share) * variance)) / 2)


@dataclass(frozen=True)
class MeanProjection(Eraser):
    """The part along one direction is set to that of the mean image without the label: P-ClArC.

    The direction v is Σ_az, the difference between the means with and without (a pattern, Pahde et al. 2022,
    arXiv:2202.03482); a ↦ a − v vᵀ (a − ā), where ā is the mean without. Anders et al. 2022, arXiv:1912.11425.

    Args:
        is_conditional: only at positions whose activation along v is nearer to the mean with than to that without,
            as in reactive model correction, Bareeva et al. 2024, arXiv:2404.09601. This is no affine map, and is not
            bakeable.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [0.0, 3.0], [4.0, 2.0]])
        >>> MeanProjection().fit(x, torch.tensor([0, 0, 1])).replace(x)[:, 0]
        tensor([0., 0., 0.])
    """

    is_conditional: bool = False

    def solve(self, moments: Moments, erased: int, layer: str) -> Units:
        share, variance = float(moments.label_mean[0]), float(moments.label_variance[0])
        is_binary = moments.cross_covariance.shape[1] == 1 and abs(variance - share * (1 - share)) < ROUNDING
        if not is_binary or not 0 < share < 1 or not bool(moments.cross_covariance.any()):
            raise ValueError("mean projection takes one label of 0 and 1 that activations covary with")
        difference = moments.cross_covariance[:, 0] / variance
        direction = difference / torch.linalg.vector_norm(difference)
        without = moments.mean - share * difference
        middle = float(direction @ (without + difference / 2))
        within = (middle, math.inf) if self.is_conditional else None
        return Projection(layer, direction, center=without, within=within)
