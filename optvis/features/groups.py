"""Neuron groups: directions that together make up a layer's activations, each with its map."""

from __future__ import annotations

import copy
import inspect
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optvis.errors import suggest
from optvis.features.units import Directions
from optvis.objectives.layout import channels_first

ROUNDING = 1e-6  # activations this far below zero, as a share of the largest, are taken for zeros
NEGLIGIBLE = 1e-6  # factors weaker than this share of the strongest are rounding
Array: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of a layer's neurons: activations ≈ Σ_k map_k · direction_k, the strongest group first.

    Args:
        layer: name as in `layers(net)`.
        maps: how much of each group there is at each position, (B, K, H, W), in units of activation; of a layer
            without a map of positions (B, K) or (B, K, T).
        directions: (K, C), each of length 1.
        decomposition: how they were found, as scikit-learn writes it.
        channel_axis: axis of the channels in the layer's output; None as in `optvis.objectives.layout`.

    Example:
        >>> two = Groups("mixed3", torch.rand(1, 2, 4, 4), torch.eye(2, 8), "NMF(n_components=2)")
        >>> len(two), two.units(1)
        (2, Directions('mixed3', 1 of 8))
    """

    layer: str
    maps: Tensor
    directions: Tensor
    decomposition: str
    channel_axis: int | None = None

    def __len__(self) -> int:
        return len(self.directions)

    def units(self, *chosen: int) -> Directions:
        """One group, several, or by default all of them, as units that can be left out of the network.

        Raises:
            IndexError: there is no such group.
        """
        wanted = chosen if chosen else tuple(range(len(self)))
        for group in wanted:
            if not -len(self) <= group < len(self):
                raise IndexError(f"group {group} of {len(self)}: expected 0..{len(self) - 1}")
        return Directions(self.layer, self.directions[list(wanted)], channel_axis=self.channel_axis)

    @property
    def shares(self) -> Tensor:
        """Each group's part of all that was found, Σ|map_k| / Σ Σ|map|, (K,)."""
        return _strengths(self.maps) / _strengths(self.maps).sum()

    def weights(self) -> Tensor:
        """The maps, each divided by its own largest absolute value over all images, (B, K, ...)."""
        most = self.maps.transpose(0, 1).flatten(1).abs().amax(1)
        return self.maps / most.view(1, -1, *[1] * (self.maps.dim() - 2))

    def __repr__(self) -> str:
        shape = " × ".join(map(str, (len(self.maps), *self.maps.shape[2:])))
        return f"Groups({self.layer!r}, {len(self)} of {self.directions.shape[1]} channels over {shape} positions)"


def group(
    activations: Tensor,
    groups: int = 6,
    *,
    layer: str,
    decomposition: Any = "NMF",
    seed: int = 0,
    channel_axis: int | None = None,
) -> Groups:
    """Split a layer's activations into a few groups of neurons, over all positions of all images at once.

    Factors of a non-negative matrix are what a person can read (Olah et al., "The Building Blocks of
    Interpretability", Distill 2018, doi:10.23915/distill.00010). Maps and directions are scaled so that directions
    have length 1; where signs are free, a map's largest absolute value is positive. Factors of nothing are left out.

    Args:
        activations: of one layer, (B, C, H, W), (B, T, C), (B, C), or any layout with `channel_axis`.
        groups: K, how many.
        layer: the layer's name.
        decomposition: a class of `sklearn.decomposition` by name, such as "NMF", "PCA", "FastICA", "TruncatedSVD" or
            "DictionaryLearning"; or an estimator of your own, which brings its own number of groups. A copy is fitted.
        seed: of the decomposition's own chance, where it has any.
        channel_axis: axis of the channels; by default the second, or the last of three.

    Raises:
        ValueError: more groups than channels or positions; activations that are all zero, or not finite; signed
            ones for NMF.
        KeyError: no such decomposition; the nearest names are given.
        TypeError: an estimator without `fit_transform` or `components_`.

    Example:
        >>> found = group(torch.rand(2, 8, 4, 4), 3, layer="mixed3")
        >>> found.maps.shape, found.directions.shape
        (torch.Size([2, 3, 4, 4]), torch.Size([3, 8]))
    """
    laid = channels_first(activations.detach().cpu(), channel_axis).movedim(1, -1)
    rows = laid.reshape(-1, laid.shape[-1])
    samples = (rows if rows.dtype == torch.float64 else rows.float()).numpy()
    estimator = _estimator(decomposition, groups, seed, *samples.shape)
    _check(samples, layer)
    maps, directions = _fitted(estimator, _nonnegative(samples, estimator, layer))
    shaped = torch.from_numpy(maps).view(*laid.shape[:-1], -1).movedim(-1, 1).contiguous()
    return Groups(layer, shaped, torch.from_numpy(directions), " ".join(repr(estimator).split()), channel_axis)


def _estimator(decomposition: Any, groups: int, seed: int, positions: int, channels: int) -> Any:
    """An estimator that may be fitted."""
    if not isinstance(decomposition, str):
        if not hasattr(decomposition, "fit_transform"):
            came = type(decomposition).__name__
            raise TypeError(f"decomposition is {came}; expected a name such as 'NMF', or an estimator of scikit-learn")
        return copy.deepcopy(decomposition)
    if not 1 <= groups <= min(positions, channels):
        raise ValueError(f"{groups} groups of {channels} channels at {positions} positions; expected 1 to the fewer")
    maker = _named(decomposition)
    known = inspect.signature(maker).parameters
    options = {"n_components": groups, "random_state": seed}
    return maker(**{name: value for name, value in options.items() if name in known})


def _named(decomposition: str) -> Any:
    from sklearn import decomposition as methods

    known = [name for name in methods.__all__ if hasattr(getattr(methods, name), "fit_transform")]
    if decomposition not in known:
        listing = f"there are {', '.join(known)}"
        raise KeyError(
            f"no decomposition {decomposition!r} in scikit-learn; {suggest(decomposition, known, listing, cutoff=0.4)}"
        )
    return getattr(methods, decomposition)


def _check(samples: Array, layer: str) -> None:
    if not np.isfinite(samples).all():
        raise ValueError(f"the activations of {layer!r} hold NaN or infinite values")
    if not samples.any():
        raise ValueError(f"every activation of {layer!r} is zero here; choose another layer or other photographs")


def _nonnegative(samples: Array, estimator: Any, layer: str) -> Array:
    """The samples as the estimator takes them.

    Raises:
        ValueError: it takes none below zero, and there are such.
    """
    if "NMF" not in type(estimator).__name__:
        return samples
    lowest, largest = float(samples.min()), float(np.abs(samples).max())
    if lowest < -ROUNDING * largest:
        raise ValueError(
            f"signed activations of {layer!r}, down to {lowest:.3g}: NMF needs none below zero; name another, "
            "decomposition='PCA' or 'FastICA', or a layer behind a ReLU"
        )
    return samples.clip(min=0)


def _fitted(estimator: Any, samples: Array) -> tuple[Array, Array]:
    """Maps (P, K) and directions (K, C), the strongest first."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # it divides by the variance of what may not vary
        maps = np.asarray(estimator.fit_transform(samples), dtype=samples.dtype)
    directions = _directions(estimator).astype(samples.dtype)
    lengths = np.linalg.norm(directions, axis=1)
    largest = np.abs(maps).argmax(axis=0)
    signs = np.where(maps[largest, np.arange(maps.shape[1])] < 0, -1, 1).astype(samples.dtype)
    strengths = np.abs(maps).sum(axis=0) * lengths
    order = [k for k in np.argsort(-strengths, kind="stable") if strengths[k] > NEGLIGIBLE * strengths.max()]
    if not order:
        raise ValueError(f"{type(estimator).__name__} found nothing in these activations; are all positions alike?")
    return (maps * lengths * signs)[:, order], (directions * signs[:, None])[order] / lengths[order, None]


def _directions(estimator: Any) -> Array:
    """What a unit of each factor adds to the activations, (K, C); for ICA that is its mixing matrix."""
    mixing = getattr(estimator, "mixing_", None)
    found = getattr(estimator, "components_", None) if mixing is None else np.asarray(mixing).T
    if found is None:
        raise TypeError(f"{type(estimator).__name__} has no components_: it finds no directions; name another")
    return np.asarray(found)


def _strengths(maps: Tensor) -> Tensor:
    return maps.abs().transpose(0, 1).flatten(1).sum(1)


__all__ = ["Groups", "group"]
