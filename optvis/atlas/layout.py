"""Layouts: vectors as points on a square, similar ones beside each other."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optvis.arguments import check_axes
from optvis.interrupts import CATCHING, hold_lock, ignore_warnings

Layout: TypeAlias = "str | Any"
NAMES = ("auto", "umap", "tsne")
N_NEIGHBORS, MIN_DIST = 50, 0.05  # of UMAP, from Lucid's notebook of the activation atlas (2019)
PERPLEXITY = 30.0  # scikit-learn's default for t-SNE
MIN_VECTORS = 12  # fewer vectors have no neighbourhoods, and are laid out by principal components
MIN_SPREAD = 1e-6  # of vectors of length 1; rounding makes equal ones differ by less
MAX_EXACT = 200_000  # up to so many vectors, all pairs are compared
POINTS_A_THREAD = (
    1000  # fewer wait longer for other threads than they take, on two cores with other work 43 s, not 0.3 s
)


def lay_out(vectors: Tensor, layout: Layout = "auto", *, axes: int = 2, seed: int = 0) -> tuple[Tensor, str]:
    """Lay vectors out so that neighbours are neighbours in cosine similarity.

    Args:
        vectors: (N, C), none of them all zero.
        layout: "umap" (McInnes et al. 2018, arXiv:1802.03426), which the extra `optvis[atlas]` installs; "tsne",
            scikit-learn's (van der Maaten & Hinton 2008); "auto" for the first of these that is installed; or any
            object with `fit_transform`, of which a copy is fitted on vectors of length 1.
        axes: 2 for a map, 1 for a line.
        seed: of the layout.

    Returns:
        Points (N, axes), float64, each axis scaled to [0, 1]; and the method as a text.

    Raises:
        ValueError: no such layout; vectors that are not finite, or all zero.
        ImportError: UMAP is not installed and was requested.
        TypeError: an object without `fit_transform`.

    Example:
        >>> points, method = lay_out(torch.rand(20, 6), "tsne")
        >>> points.shape, points.min().item(), points.max().item(), method
        (torch.Size([20, 2]), 0.0, 1.0, 'TSNE(perplexity=6.33, cosine)')
    """
    check_axes({"vectors": vectors}, "N C")
    if not len(vectors) or axes < 1:
        raise ValueError(f"{len(vectors)} vectors on {axes} axes; expected 1 or more of both")
    array = vectors.detach().cpu().double().numpy()
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise ValueError("some vectors are all zero or not finite; a layout needs their directions")
    unit = (array / lengths).astype(np.float32)
    # UMAP and scikit-learn warn about threads, neighbours and missing packages.
    with hold_lock(CATCHING), ignore_warnings(), _limit_threads(len(unit)):
        estimator, method = _build_estimator(layout, unit, axes, seed)
        points = estimator.fit_transform(unit)
    found = np.asarray(points, dtype=np.float64)
    if found.size != len(unit) * axes:
        raise ValueError(f"{method} gives points of shape {found.shape}; expected ({len(unit)}, {axes})")
    return _scale_axes(found.reshape(len(unit), axes)), method


@contextmanager
def _limit_threads(count: int) -> Iterator[None]:
    """Let few vectors have few threads, and give torch its own number back, since UMAP's numba sets another."""
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    try:
        with threadpool_limits(min(threads, 1 + count // POINTS_A_THREAD), "openmp"):
            yield
    finally:
        torch.set_num_threads(threads)


def _build_estimator(layout: Layout, unit: NDArray[np.float32], axes: int, seed: int) -> tuple[Any, str]:
    if not isinstance(layout, str):
        if not hasattr(layout, "fit_transform"):
            raise TypeError(
                f"layout is {type(layout).__name__}; expected one of {NAMES}, or an object that has fit_transform"
            )
        return copy.deepcopy(layout), " ".join(repr(layout).split())
    if layout not in NAMES:
        raise ValueError(f"no layout {layout!r}; there are {', '.join(map(repr, NAMES))}")
    has_umap = importlib.util.find_spec("umap") is not None
    if layout == "umap" and not has_umap:
        raise ImportError("layout 'umap' needs umap-learn: pip install 'optvis[atlas]'; 'tsne' needs nothing more")
    if len(unit) < MIN_VECTORS:
        return _PrincipalComponents(axes), f"{axes} principal components, of fewer than {MIN_VECTORS} vectors"
    if has_umap and layout != "tsne":
        return _build_umap(unit, axes, seed)
    if float(np.ptp(unit, axis=0).max()) < MIN_SPREAD:  # scikit-learn's t-SNE divides by it, and crashes
        return _PrincipalComponents(axes), f"{axes} principal components, of vectors that do not differ"
    return _build_tsne(len(unit), unit.shape[1], axes, seed)


def _build_umap(unit: NDArray[np.float32], axes: int, seed: int) -> tuple[Any, str]:
    from umap import UMAP

    n_neighbors = min(N_NEIGHBORS, len(unit) - 1)
    estimator = UMAP(
        n_components=axes,
        n_neighbors=n_neighbors,
        min_dist=MIN_DIST,
        metric="cosine",
        init="spectral" if len(unit) > 4 * MIN_VECTORS else "random",  # small graphs lack some eigenvectors
        precomputed_knn=_find_neighbours(unit, n_neighbors) if len(unit) <= MAX_EXACT else (None, None, None),
        random_state=seed,
        n_jobs=1,  # UMAP cannot use several threads with a seed
    )
    return estimator, f"UMAP(n_neighbors={n_neighbors}, min_dist={MIN_DIST}, cosine)"


def _find_neighbours(unit: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the nearest vectors of each, itself included, and their cosine distances.

    Comparing all pairs is faster than UMAP's own approximation, and needs less memory.
    """
    from sklearn.neighbors import NearestNeighbors

    distances, indices = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(unit).kneighbors(unit)
    return indices, distances**2 / 2  # of unit vectors that is 1 − cosine


def _build_tsne(count: int, channels: int, axes: int, seed: int) -> tuple[Any, str]:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (count - 1) / 3)
    init = "pca" if channels >= axes else "random"  # as many components as axes
    return (
        TSNE(axes, perplexity=perplexity, init=init, random_state=seed),
        f"TSNE(perplexity={perplexity:.3g}, cosine)",  # squared distances of unit vectors are twice 1 − cosine
    )


@dataclass(frozen=True)
class _PrincipalComponents:
    """The layout of few vectors: their first principal components."""

    axes: int

    def fit_transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        left, strengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
        points = np.zeros((len(vectors), self.axes), np.float32)
        count = min(self.axes, len(strengths))
        points[:, :count] = left[:, :count] * strengths[:count]
        return points


def _scale_axes(points: NDArray[np.float64]) -> Tensor:
    """Scale each axis to [0, 1]; an axis without extent is 0.5."""
    low, high = points.min(axis=0), points.max(axis=0)
    spans = np.where(high > low, high - low, 1.0)
    shares = np.where(high > low, (points - low) / spans, 0.5)
    return torch.from_numpy(np.clip(shares, 0.0, 1.0))


def cell_index(points: Tensor, size: int) -> Tensor:
    """The cell of each point among size × size, row · size + column, (N, 2) -> (N,).

    Cells are half open, [i/size, (i + 1)/size). The last cell of each axis includes its end, so that every point of the
    unit square is in exactly one cell. Points are (across, down).

    Example:
        >>> cell_index(torch.tensor([[0.0, 0.0], [0.5, 0.49], [1.0, 1.0]], dtype=torch.float64), 2)
        tensor([0, 1, 3])
    """
    edges = torch.arange(1, size, dtype=torch.float64, device="cpu") / size
    columns, rows = torch.bucketize(points.double().contiguous(), edges, right=True).unbind(1)
    return rows * size + columns


def scale_differences(differences: Tensor) -> Tensor:
    """Scale signed numbers to [0, 1] by their signed root: zero is 0.5, the largest magnitude is 0 or 1.

    Example:
        >>> scale_differences(torch.tensor([-4.0, 0.0, 1.0]))
        tensor([0.0000, 0.5000, 0.7500], dtype=torch.float64)
    """
    largest = float(differences.abs().max()) if len(differences) else 0.0
    shares = differences.double() / (largest if largest > 0 else 1.0)
    return 0.5 + 0.5 * shares.sign() * shares.abs().sqrt()
