"""The objective of a feature of an autoencoder: its mean code over positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.objectives.autoencoder import Autoencoder, as_autoencoder
from optvis.objectives.channels import Index
from optvis.objectives.layout import channels_first, pick, positions, restore_layout
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index

SHIFT = 4.0  # mean lengths of a position's activations; features are on where these are added along what they write


def feature_mean(a: Tensor, index: Tensor, sae: Autoencoder, channel_axis: int | None = None) -> Tensor:
    """Average the code of one feature per image over positions.  a (B, ...), index (B,) or (1,) -> (B,)

    A code of 0 behind a ReLU or a threshold has no gradient. So where a feature is off all over an image, the gradient
    is that of the position that is nearest to turning it on: the largest pre-code, or the largest code after a shift.
    """
    codes, pre = sae.encode_pair(a, channel_axis)
    own = pick(positions(codes, 1), index)
    is_off = (own == 0).all(1)
    if not a.requires_grad or (pre is None and not bool(is_off.any())):
        return own.mean(1)
    own_pre = _shifted_codes(a, index, sae, codes, channel_axis) if pre is None else pick(positions(pre, 1), index)
    nearest = own_pre.amax(1)
    return own.mean(1) + torch.where(is_off, nearest - nearest.detach(), 0.0)


def _shifted_codes(a: Tensor, index: Tensor, sae: Autoencoder, codes: Tensor, channel_axis: int | None) -> Tensor:
    """The code of a feature at each position if more of what it writes were there, (B, P).

    Where that turns the feature on, its gradient is that of the encoder in front of its threshold.
    """
    x = channels_first(a, channel_axis)
    length = positions(x.detach(), 1).norm(dim=1).mean(1, keepdim=True)  # of each image
    step = SHIFT * length * sae.atoms(index, codes).to(a.dtype)
    shifted = restore_layout(x + step.view(*step.shape, *[1] * (x.dim() - 2)), a, channel_axis)
    return pick(positions(sae.encode(shifted, channel_axis), 1), index)


def feature(
    layer: str, sae: Any, index: Index, *, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Maximise the mean code of a feature of an autoencoder: ⟨z_k⟩ over positions.

    Each position of the layer is a row of the autoencoder's input. Gradients flow through its encoder. While a feature
    is off all over an image, its code has no gradient, and that of the position is taken that is nearest to turning it
    on. The autoencoder is copied when the objective is built, and used in eval mode; see `optvis.features.Features`.

    Args:
        layer: name as in `layers(model)`.
        sae: a sparse autoencoder of this layer's activations: an object with `encode` and `decode`; see `Features`.
        index: one feature, or one per image (any sequence of integers): then there is an image for each.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        TypeError: an object without `encode` and `decode`; `index` is no integer or sequence of integers.
        IndexError: at the first step, a feature that the autoencoder does not have.
        ValueError: at the first step, an autoencoder of another width, dtype or device, or other codes than one row for
            each position.

    Example:
        >>> from types import SimpleNamespace
        >>> signs = SimpleNamespace(encode=lambda x: x.relu(), decode=lambda z: z)
        >>> feature("mixed3", signs, range(64)).batch
        64
    """
    return make_objective(
        "feature",
        layer,
        feature_mean,
        as_index(index, "feature"),
        sae=as_autoencoder(sae, layer),
        channel_axis=channel_axis,
        tokens=tokens,
    )
