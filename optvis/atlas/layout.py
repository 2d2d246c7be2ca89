"""Layouts: vectors of many numbers as points on a square, neighbours beside each other."""

from __future__ import annotations

import copy
import importlib.util
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Layout: TypeAlias = "str | Any"
NEIGHBOURS, LEAST_DISTANCE = 50, 0.05  # Lucid's notebook of the activation atlas (2019) gives UMAP these
PERPLEXITY = 30.0  # scikit-learn's own for t-SNE
FEWEST = 12  # of fewer points the two longest axes are a map
EXACT = 200_000  # vectors up to which all pairs are compared
NAMES = ("auto", "umap", "tsne")


def lay_out(vectors: Tensor, layout: Layout = "auto", *, axes: int = 2, seed: int = 0) -> tuple[Tensor, str]:
    """Points whose neighbours are the vectors' neighbours in cosine.

    Args:
        vectors: (N, C), none of them all zero.
        layout: "umap" (McInnes et al. 2018, arXiv:1802.03426), which the extra `optvis[atlas]` brings; "tsne",
            scikit-learn's (van der Maaten & Hinton 2008); "auto" for the first of these that is installed; or any
            object with `fit_transform`, of which a copy is fitted on vectors of length 1.
        axes: 2 for a map, 1 for a line.
        seed: of whatever is drawn.

    Returns:
        points (N, axes), float64, each axis stretched over [0, 1]; and what made them, as a text.

    Raises:
        ValueError: no such layout; vectors that are not finite, or all zero.
        ImportError: UMAP was asked for and is not installed.
        TypeError: an object without `fit_transform`.

    Example:
        >>> points, how = lay_out(torch.rand(20, 6), "tsne")
        >>> points.shape, points.min().item(), points.max().item(), how
        (torch.Size([20, 2]), 0.0, 1.0, 'TSNE(perplexity=6.33, cosine)')
    """
    samples = vectors.detach().cpu().double().numpy()
    lengths = np.linalg.norm(samples, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise ValueError("vectors are all zero or not finite somewhere; a map needs directions")
    unit = (samples / lengths).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # UMAP and scikit-learn tell of threads, neighbours and what is not installed
        estimator, told = _estimator(layout, unit, axes, seed)
        found = estimator.fit_transform(unit)
    return _stretched(np.asarray(found, dtype=np.float64).reshape(len(unit), axes)), told


def _estimator(layout: Layout, unit: NDArray[np.float32], axes: int, seed: int) -> tuple[Any, str]:
    if not isinstance(layout, str):
        if not hasattr(layout, "fit_transform"):
            raise TypeError(f"layout is {type(layout).__name__}; expected one of {NAMES}, or an object that has "
                            "fit_transform")  # fmt: skip
        return copy.deepcopy(layout), " ".join(repr(layout).split())
    if layout not in NAMES:
        raise ValueError(f"no layout {layout!r}; there are {', '.join(map(repr, NAMES))}")
    has_umap = importlib.util.find_spec("umap") is not None
    if layout == "umap" and not has_umap:
        raise ImportError("layout 'umap' needs umap-learn: pip install 'optvis[atlas]'; 'tsne' needs nothing more")
    if len(unit) < FEWEST:
        return _LongestAxes(axes), f"the {axes} longest axes of fewer than {FEWEST} vectors"
    return _umap(unit, axes, seed) if has_umap and layout != "tsne" else _tsne(len(unit), axes, seed)


def _umap(unit: NDArray[np.float32], axes: int, seed: int) -> tuple[Any, str]:
    from umap import UMAP

    near = min(NEIGHBOURS, len(unit) - 1)
    made = UMAP(
        n_components=axes,
        n_neighbors=near,
        min_dist=LEAST_DISTANCE,
        metric="cosine",
        init="spectral" if len(unit) > 4 * FEWEST else "random",  # of small data some eigenvectors cannot be had
        precomputed_knn=_neighbours(unit, near) if len(unit) <= EXACT else (None, None, None),
        random_state=seed,
        n_jobs=1,  # a seed and several threads exclude each other in UMAP
    )
    return made, f"UMAP(n_neighbors={near}, min_dist={LEAST_DISTANCE}, cosine)"


def _neighbours(unit: NDArray[np.float32], near: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest vectors of each, itself among them, and how far they are in cosine.

    All pairs are compared, which is sooner done than UMAP's own approximation, and in less memory.
    """
    from sklearn.neighbors import NearestNeighbors

    distances, places = NearestNeighbors(n_neighbors=near, algorithm="brute").fit(unit).kneighbors(unit)
    return places, distances**2 / 2  # of unit vectors that is 1 − cosine


def _tsne(count: int, axes: int, seed: int) -> tuple[Any, str]:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (count - 1) / 3)
    return (
        TSNE(axes, perplexity=perplexity, init="pca", random_state=seed),
        f"TSNE(perplexity={perplexity:.3g}, cosine)",  # squared distances of unit vectors are twice 1 − cosine
    )


@dataclass(frozen=True)
class _LongestAxes:
    """A map of so few vectors that they have no neighbourhoods: their longest axes."""

    axes: int

    def fit_transform(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        left, strengths, _ = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)
        found = np.zeros((len(samples), self.axes), np.float32)
        known = min(self.axes, len(strengths))
        found[:, :known] = left[:, :known] * strengths[:known]
        return found


def _stretched(points: NDArray[np.float64]) -> Tensor:
    low, high = points.min(axis=0), points.max(axis=0)
    spans = np.where(high > low, high - low, 1.0)
    shares = np.where(high > low, (points - low) / spans, 0.5)
    return torch.from_numpy(np.clip(shares, 0.0, 1.0))


def cells_of(points: Tensor, size: int) -> Tensor:
    """Which of size × size cells each point lies in, row · size + column, (N, 2) -> (N,).

    Cells are half open, [i/size, (i + 1)/size), and the last of each axis holds its end too, so that every point of the
    unit square is in just one. Points are (across, down).

    Example:
        >>> cells_of(torch.tensor([[0.0, 0.0], [0.5, 0.49], [1.0, 1.0]], dtype=torch.float64), 2)
        tensor([0, 1, 3])
    """
    edges = torch.arange(1, size, dtype=torch.float64) / size
    columns, rows = torch.bucketize(points.double().contiguous(), edges, right=True).unbind(1)
    return rows * size + columns


def signed_root(differences: Tensor) -> Tensor:
    """Signed numbers on [0, 1], nought in the middle, the largest at an end, in proportion to their root.

    Example:
        >>> signed_root(torch.tensor([-4.0, 0.0, 1.0]))
        tensor([0.0000, 0.5000, 0.7500], dtype=torch.float64)
    """
    most = float(differences.abs().max()) if len(differences) else 0.0
    shares = differences.double() / (most if most > 0 else 1.0)
    return 0.5 + 0.5 * shares.sign() * shares.abs().sqrt()


__all__ = ["cells_of", "lay_out", "signed_root"]
