"""The objective of a feature of an autoencoder: its mean code over positions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from optvis.objectives.autoencoder import Autoencoder, as_autoencoder
from optvis.objectives.channels import Index
from optvis.objectives.layout import pick, positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index


def feature_mean(a: Tensor, index: Tensor, sae: Autoencoder, channel_axis: int | None = None) -> Tensor:
    """Average the code of one feature per image over positions.  a (B, ...), index (B,) or (1,) -> (B,)"""
    return pick(positions(sae.encode_with_gradients(a, channel_axis), 1).mean(2), index)


def feature(layer: str, sae: Any, index: Index, *, channel_axis: int | None = None) -> Objective:
    """Maximise the mean code of a feature of an autoencoder: ⟨z_k⟩ over positions.

    Each position of the layer is a row of the autoencoder's input. Gradients flow through its encoder. While a feature
    is off all over an image, its code has no gradient; where the encoder returns pre-codes, theirs is taken instead.
    The autoencoder is copied when the objective is built, and used in eval mode; see `optvis.features.Features`.

    Args:
        layer: name as in `layers(model)`.
        sae: a sparse autoencoder of this layer's activations: an object with `encode` and `decode`; see `Features`.
        index: one feature, or one per image (any sequence of integers): then there is an image for each.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.

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
    )
