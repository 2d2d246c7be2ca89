"""Least-squares erasure in closed form: LEACE, and SPLINCE, which keeps the covariance with other labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optvis.ablation.moments import Moments, column_basis, whitening
from optvis.ablation.selection.erasure.eraser import Eraser
from optvis.features.projection import Projection
from optvis.features.units import Units


@dataclass(frozen=True)
class Leace(Eraser):
    """The least change of a layer after which no linear classifier reads the labels: LEACE.

    a ↦ a − W⁺ P W (a − E a), where W whitens the activations and P projects onto the span of W Σ_az. Of all affine
    maps with zero cross-covariance between activations and labels it has the least mean squared change, in any norm;
    and without cross-covariance no linear classifier does better than a constant. Belrose et al. 2023,
    arXiv:2306.03819, theorems 3.1 and 4.3. It says nothing on classifiers that are not linear, nor on layers behind.

    Args:
        tolerance: singular values of W Σ_az below this share of the largest are rounding errors.

    Example:
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).double()
        >>> z = (x[:, 0] > 0).double()
        >>> erased = Leace().fit(x, z).replace(x)
        >>> float(((z - z.mean()) @ (erased - erased.mean(0))).abs().max()) < 1e-9
        True
    """

    tolerance: float = 1e-6

    def solve(self, moments: Moments, erased: int, layer: str) -> Units:
        white, colored = whitening(moments.covariance)
        basis = _label_basis(white @ moments.cross_covariance[:, :erased], self.tolerance)
        return Projection(layer, (colored @ basis).T, (white @ basis).T, moments.mean)


@dataclass(frozen=True)
class Splince(Eraser):
    """As LEACE, and the covariance with labels to keep stays as it is: SPLINCE.

    a ↦ a − W⁺ (I − P) W (a − E a), where P is the oblique projection whose kernel is the span of W Σ_az, and whose
    range holds W Σ_ay and all that is orthogonal to both. It has the least mean squared change of all that erase z and
    keep Σ_ay. Holstege, Ravfogel & Wouters 2025, arXiv:2506.10703, theorem 1. In `find_units`, y are the predicted
    classes of the images to keep.

    Args:
        tolerance: singular values of W Σ_az and W Σ_ay below this share of the largest are rounding errors.

    Example:
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)).double()
        >>> z, y = x[:, 0] + x[:, 1], x[:, 1]
        >>> erased = Splince().fit(x, z, y).replace(x)
        >>> kept = ((y - y.mean()) @ (erased - x)).abs().max()
        >>> float(((z - z.mean()) @ (erased - erased.mean(0))).abs().max()) < 1e-9, float(kept) < 1e-9
        (True, True)
    """

    tolerance: float = 1e-6

    keeps_labels: ClassVar[bool] = True

    def solve(self, moments: Moments, erased: int, layer: str) -> Units:
        white, colored = whitening(moments.covariance)
        columns = white @ moments.cross_covariance
        basis = _label_basis(columns[:, :erased], self.tolerance)
        kept = column_basis(columns[:, erased:], self.tolerance) if columns.shape[1] > erased else basis[:, :0]
        both = torch.cat([basis, kept], dim=1)
        if column_basis(both, self.tolerance).shape[1] < both.shape[1]:
            raise ValueError(
                f"labels to keep covary with the activations of {layer!r} exactly as those to erase do; give more "
                "images, or fewer classes to keep"
            )
        readers = torch.linalg.pinv(both)[: basis.shape[1]]
        return Projection(layer, (colored @ basis).T, readers @ white, moments.mean)


def _label_basis(columns: Tensor, tolerance: float) -> Tensor:
    """A basis of what covaries with labels; a ValueError where nothing does."""
    basis = column_basis(columns, tolerance)
    if not basis.shape[1] or not bool(columns.any()):
        raise ValueError("the labels do not covary with the activations: there is nothing to erase")
    return basis
