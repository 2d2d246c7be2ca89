"""Means and covariances of features and labels, updated batch by batch."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """The moments that linear erasure is computed from, in float64; rows come in batches of any size.

    Batches are merged as in Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115. Covariances are divided by
    the number of rows.

    Args:
        features: number of features, C.
        labels: number of labels of each row, K.

    Example:
        >>> moments = Moments(2, 1)
        >>> moments.update(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0], [1.0]]))
        >>> moments.mean, moments.cross_covariance.flatten()
        (tensor([2., 0.], dtype=torch.float64), tensor([0.5000, 0.0000], dtype=torch.float64))
    """

    def __init__(self, features: int, labels: int) -> None:
        self.count, self.features = 0, features
        self._mean = torch.zeros(features + labels, dtype=torch.float64, device="cpu")
        self._scatter = torch.zeros(features + labels, features + labels, dtype=torch.float64, device="cpu")

    def update(self, x: Tensor, z: Tensor) -> None:
        """Add rows of features, (N, C), and their labels, (N, K)."""
        rows = torch.cat([x.detach().double().cpu(), z.detach().double().cpu()], dim=1)
        if len(rows):
            mean = rows.mean(0)
            centered = rows - mean
            self._add(len(rows), mean, centered.T @ centered)

    def merge(self, other: Moments) -> None:
        """Add the rows of other moments, of the same features and labels."""
        if other.count:
            self._add(other.count, other._mean, other._scatter)

    def _add(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total, step = self.count + count, mean - self._mean
        self._scatter += scatter + step.outer(step) * (self.count * count / total)
        self._mean += step * (count / total)
        self.count = total

    def map_labels(self, matrix: Tensor) -> Moments:
        """The moments of the same rows with other labels, z M.

        Args:
            matrix: M, (K, L).

        Example:
            >>> moments = Moments(1, 2)
            >>> moments.update(torch.tensor([[1.0], [3.0]]), torch.eye(2))
            >>> second = moments.map_labels(torch.tensor([[0.0], [1.0]]))
            >>> second.cross_covariance.item(), second.label_mean.item()
            (0.5, 0.5)
        """
        sides = self.features + matrix.shape[0], self.features + matrix.shape[1]
        weights = torch.zeros(sides, dtype=torch.float64, device="cpu")
        weights[: self.features, : self.features].fill_diagonal_(1)
        weights[self.features :, self.features :] = matrix
        mapped = Moments(self.features, matrix.shape[1])
        mapped.count, mapped._mean = self.count, self._mean @ weights
        mapped._scatter = weights.T @ self._scatter @ weights
        return mapped

    @property
    def mean(self) -> Tensor:
        """Of the features, (C,)."""
        return self._mean[: self.features]

    @property
    def label_mean(self) -> Tensor:
        """Of the labels, (K,)."""
        return self._mean[self.features :]

    @property
    def covariance(self) -> Tensor:
        """Of the features, (C, C)."""
        return self._scatter[: self.features, : self.features] / max(1, self.count)

    @property
    def cross_covariance(self) -> Tensor:
        """Of features and labels, (C, K)."""
        return self._scatter[: self.features, self.features :] / max(1, self.count)

    @property
    def label_variance(self) -> Tensor:
        """Of each label, (K,)."""
        return self._scatter.diagonal()[self.features :] / max(1, self.count)


def whitening(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The symmetric whitening matrix and its pseudo-inverse, (C, C) each: Σ^(−½) and Σ^½ on the span of Σ, else 0."""
    values, axes = torch.linalg.eigh(covariance)
    smallest = float(values[-1].clamp(min=0)) * len(values) * torch.finfo(values.dtype).eps
    roots = torch.where(values > smallest, values, 0.0).sqrt()
    inverse = torch.where(roots > 0, 1 / roots, 0.0)
    return (axes * inverse) @ axes.T, (axes * roots) @ axes.T


def column_basis(columns: Tensor, tolerance: float) -> Tensor:
    """An orthonormal basis of the span of columns, (C, R), without singular values below a share of the largest."""
    left, strengths, _ = torch.linalg.svd(columns, full_matrices=False)
    basis: Tensor = left[:, strengths > tolerance * strengths[:1].clamp(min=torch.finfo(strengths.dtype).tiny)]
    return basis
