"""Whitening of a layer's channel space, so that channels that are active together do not dominate a direction."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.objectives.layout import positions
from optvis.objectives.target_tensors import as_rows


def whitening(a: Tensor, channel_axis: int | None = None, *, damping: float = 0.0) -> Tensor:
    """Compute S, the inverse of the uncentred second moment M = ⟨a aᵀ⟩ of a layer's activations.

    `direction(layer, v, whitening=S)` maximises v S, as the activation atlas does (Carter et al., "Activation Atlas",
    Distill 2019, doi:10.23915/distill.00015): channels that are active together count less. Where some channels are
    never active, or there are fewer samples than channels, S is the pseudo-inverse, which leaves out directions without
    samples.

    The rarest combinations of channels then count most, and may be little more than noise. Damping (Tikhonov) computes
    (M + d · tr(M) / C · I)⁻¹ instead, which limits the gain of small eigenvalues of M relative to their mean. With a
    large d, S is a multiple of the identity: no whitening.

    Args:
        a: activations of many images, (B, C, ...).
        channel_axis: axis of the channels; by default axis 1, or axis 2 of three.
        damping: d, in units of the mean eigenvalue of M.

    Returns:
        (C, C), float64.

    Raises:
        ValueError: a negative damping; activations that are empty, complex or not finite.

    Example:
        >>> whitening(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 2.0000]], dtype=torch.float64)
    """
    check_minimum(0, damping=damping)
    if a.is_complex() or not a.numel():
        raise ValueError(f"activations are {a.dtype}, {tuple(a.shape)}; expected real ones, of one image or more")
    samples = positions(a.detach(), channel_axis).transpose(0, 1).flatten(1).double()
    moment = samples @ samples.mT / samples.shape[1]
    if not bool(moment.isfinite().all()):
        raise ValueError("the squares of these activations are not finite; check the network's weights")
    moment.diagonal().add_(damping * moment.diagonal().mean())
    inverse: Tensor = torch.linalg.pinv(moment, hermitian=True)
    return inverse


def whiten(vectors: Tensor, matrix: Any) -> Tensor:
    """Compute v S.  vectors (B, C), matrix (C, C) -> (B, C)"""
    rows = as_rows(matrix, axes=2)
    channels = vectors.shape[1]
    if rows.shape != (channels, channels):
        raise ValueError(f"whitening is {tuple(rows.shape)}; expected {(channels, channels)} for this direction")
    return vectors.double() @ rows.double()
