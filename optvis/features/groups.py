"""Groups of neurons: a decomposition of a layer's activations into directions, each with a map of positions."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optvis.arguments import TensorFields
from optvis.errors import NotFiniteError, suggest
from optvis.features.units import Directions
from optvis.interrupts import CATCHING, hold_lock, ignore_warnings
from optvis.objectives.layout import channels_first

MAX_NEGATIVE = 1e-6  # activations down to this share of the largest below zero are rounding errors
AUTO = "auto"
UNSIGNED, SIGNED = "NMF", "PCA"  # decompositions of activations without and with negative ones, by default
MIN_STRENGTH = 1e-6  # factors weaker than this share of the strongest are rounding errors
Array: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Groups(TensorFields):
    """Groups of neurons of a layer: activations ≈ Σ_k map_k · direction_k, the strongest group first.

    A decomposition that centers what it gets, such as PCA and FastICA, approximates in this way the activations minus
    their mean.

    Args:
        layer: name as in `layers(net)`.
        maps: the activation of each group at each position, (B, K, H, W); of a layer without a map of positions (B, K)
            or (B, K, T).
        directions: (K, C), each of length 1.
        decomposition: the estimator, as scikit-learn prints it.
        channel_axis: axis of the channels in the layer's output; None as in `optvis.objectives.layout`.

    Raises:
        ValueError: tensors of other axes.

    Example:
        >>> two = Groups("mixed3", torch.rand(1, 2, 4, 4), torch.eye(2, 8), "NMF(n_components=2)")
        >>> len(two), two.units(1)
        (2, Directions('mixed3', 1 of 8))
    """

    TENSOR_FIELDS: ClassVar = {"maps": "B K ...", "directions": "K C"}

    layer: str
    maps: Tensor
    directions: Tensor
    decomposition: str
    channel_axis: int | None = None

    def __len__(self) -> int:
        return len(self.directions)

    def units(self, *indices: int) -> Directions:
        """Return one group, several, or by default all of them, as units that can be ablated."""
        rows = indices if indices else tuple(range(len(self)))
        for index in rows:
            if not -len(self) <= index < len(self):
                raise IndexError(f"group {index} of {len(self)}: expected 0..{len(self) - 1}")
        return Directions(self.layer, self.directions[list(rows)], channel_axis=self.channel_axis)

    @property
    def shares(self) -> Tensor:
        """Each group's share of the activation of all groups, Σ|map_k| / Σ Σ|map|, (K,)."""
        strengths = self.maps.abs().transpose(0, 1).flatten(1).sum(1)
        return strengths / strengths.sum()

    def normalized_maps(self) -> Tensor:
        """The maps, each divided by its largest absolute value over all images, (B, K, ...)."""
        largest = self.maps.transpose(0, 1).flatten(1).abs().amax(1)
        return self.maps / largest.view(1, -1, *[1] * (self.maps.dim() - 2))

    def __repr__(self) -> str:
        shape = " × ".join(map(str, (len(self.maps), *self.maps.shape[2:])))
        return f"Groups({self.layer!r}, {len(self)} of {self.directions.shape[1]} channels over {shape} positions)"


def group(
    activations: Tensor,
    groups: int = 6,
    *,
    layer: str,
    decomposition: Any = AUTO,
    seed: int = 0,
    channel_axis: int | None = None,
) -> Groups:
    """Decompose a layer's activations into a few groups of neurons, over all positions of all images at once.

    Neuron groups by non-negative matrix factorisation are those of Olah et al., "The Building Blocks of
    Interpretability", Distill 2018, doi:10.23915/distill.00010. Maps and directions are scaled so that directions have
    length 1; where signs are free, a map's largest absolute value is positive. Factors that are zero are left out.

    Args:
        activations: of one layer, (B, C, H, W), (B, T, C), (B, C), or any layout with `channel_axis`.
        groups: how many, K.
        layer: the layer's name.
        decomposition: "auto", which is "NMF", and "PCA" where activations are negative, as in transformers; a class of
            `sklearn.decomposition` by name, such as "NMF", "PCA", "FastICA", "TruncatedSVD" or "DictionaryLearning"; or
            an estimator with its own number of components, of which a copy is fitted.
        seed: the decomposition's `random_state`, where it has one.
        channel_axis: axis of the channels; by default the second, or the last of three.

    Raises:
        ValueError: more groups than channels or positions; activations that are all zero; signed ones for NMF.
            NotFiniteError: activations that are NaN or infinite, or too large to be squared.
        KeyError: there is no such decomposition; the nearest names are given.
        TypeError: an estimator without `fit_transform` or `components_`.

    Example:
        >>> groups = group(torch.rand(2, 8, 4, 4), 3, layer="mixed3")
        >>> groups.maps.shape, groups.directions.shape
        (torch.Size([2, 3, 4, 4]), torch.Size([3, 8]))
    """
    channels_last = channels_first(activations.detach().cpu(), channel_axis).movedim(1, -1)
    rows = channels_last.reshape(-1, channels_last.shape[-1])
    samples = (rows if rows.dtype == torch.float64 else rows.float()).numpy()
    if isinstance(decomposition, str) and decomposition == AUTO:
        decomposition = SIGNED if _is_signed(samples) else UNSIGNED
    estimator = _build_estimator(decomposition, groups, seed, *samples.shape)
    if not np.isfinite(samples).all():
        raise NotFiniteError(f"the activations of {layer!r} have NaN or infinite values; check the network's weights")
    largest, limit = float(np.abs(samples).max()), math.sqrt(float(np.finfo(samples.dtype).max) / samples.size)
    if largest > limit:
        raise NotFiniteError(
            f"the activations of {layer!r} are up to {largest:.2g}, so that their squares overflow; expected "
            f"{limit:.2g} or less: check the network's weights and the normalisation"
        )
    if not samples.any():
        raise ValueError(f"every activation of {layer!r} is zero; choose another layer or other images")
    factors, directions = _decompose(estimator, _clip_negative(samples, estimator, layer))
    maps = torch.from_numpy(factors).view(*channels_last.shape[:-1], -1).movedim(-1, 1).contiguous()
    return Groups(layer, maps, torch.from_numpy(directions), " ".join(repr(estimator).split()), channel_axis)


def _build_estimator(decomposition: Any, groups: int, seed: int, positions: int, channels: int) -> Any:
    """Build an estimator by name, or copy the given one."""
    if not isinstance(decomposition, str):
        if not hasattr(decomposition, "fit_transform"):
            came = type(decomposition).__name__
            raise TypeError(f"decomposition is {came}; expected a name such as 'NMF', or an estimator of scikit-learn")
        return copy.deepcopy(decomposition)
    if not 1 <= groups <= min(positions, channels):
        raise ValueError(f"{groups} groups of {channels} channels at {positions} positions; expected 1 to the fewer")
    estimator_class = _find_decomposition(decomposition)
    known = inspect.signature(estimator_class).parameters
    options = {"n_components": groups, "random_state": seed}
    return estimator_class(**{name: value for name, value in options.items() if name in known})


def _find_decomposition(name: str) -> Any:
    """Return a class of `sklearn.decomposition`."""
    from sklearn import decomposition as methods

    known = [each for each in methods.__all__ if hasattr(getattr(methods, each), "fit_transform")]
    if name not in known:
        listing = f"there are {', '.join(known)}"
        raise KeyError(f"no decomposition {name!r} in scikit-learn; {suggest(name, known, listing, cutoff=0.4)}")
    return getattr(methods, name)


def _clip_negative(samples: Array, estimator: Any, layer: str) -> Array:
    """Clip rounding errors below zero for NMF; return samples for other estimators as they are."""
    if "NMF" not in type(estimator).__name__:
        return samples
    if _is_signed(samples):
        raise ValueError(
            f"activations of {layer!r} are negative, down to {float(samples.min()):.3g}, and NMF needs 0 or more; use "
            "decomposition='PCA' or 'FastICA', or a layer behind a ReLU"
        )
    return samples.clip(min=0)


def _is_signed(samples: Array) -> bool:
    """Whether numbers are negative by more than rounding errors."""
    return samples.size > 0 and float(samples.min()) < -MAX_NEGATIVE * float(np.abs(samples).max())


def _decompose(estimator: Any, samples: Array) -> tuple[Array, Array]:
    """Fit the estimator; return maps (P, K) and directions (K, C), the strongest first."""
    from sklearn.exceptions import ConvergenceWarning

    # It divides by variances that may be zero.
    with hold_lock(CATCHING), ignore_warnings(ConvergenceWarning), ignore_warnings(RuntimeWarning):
        maps = np.asarray(estimator.fit_transform(samples), dtype=samples.dtype)
    directions = _component_directions(estimator).astype(samples.dtype)
    lengths = np.linalg.norm(directions, axis=1)
    largest = np.abs(maps).argmax(axis=0)
    signs = np.where(maps[largest, np.arange(maps.shape[1])] < 0, -1, 1).astype(samples.dtype)
    strengths = np.abs(maps).sum(axis=0) * lengths
    order = [k for k in np.argsort(-strengths, kind="stable") if strengths[k] > MIN_STRENGTH * strengths.max()]
    if not order:
        name = type(estimator).__name__
        raise ValueError(f"{name} finds no factor in these activations; are all positions the same?")
    return (maps * lengths * signs)[:, order], (directions * signs[:, None])[order] / lengths[order, None]


def _component_directions(estimator: Any) -> Array:
    """The direction of each factor in the space of activations, (K, C); for ICA the columns of the mixing matrix."""
    mixing = getattr(estimator, "mixing_", None)
    directions = getattr(estimator, "components_", None) if mixing is None else np.asarray(mixing).T
    if directions is None:
        raise TypeError(f"{type(estimator).__name__} has no components_, so it gives no directions; use another")
    return np.asarray(directions)
