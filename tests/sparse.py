"""Small autoencoders with the protocol of sparse ones: tensors or tuples of codes, with and without a threshold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dictionary(nn.Module):
    """Codes are dot products with the rows of a dictionary; with `is_sparse` only the largest positive ones.

    Args:
        channels: width of the rows it encodes, C.
        features: K; orthonormal where these are no more than the channels.
        is_pair: whether `encode` returns (pre-codes, codes).
        is_sparse: ReLU, then the four largest codes of each row.
    """

    def __init__(self, channels: int, features: int, is_pair: bool = False, is_sparse: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(channels + features)
        rows = torch.randn(features, channels, generator=generator)
        atoms = torch.linalg.qr(rows.T).Q.T if features <= channels else F.normalize(rows, dim=1)
        self.atoms, self.is_pair, self.is_sparse = nn.Parameter(atoms.contiguous()), is_pair, is_sparse
        self.dropout = nn.Dropout(0.5)  # only eval mode leaves it alone

    def encode(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        pre = self.dropout(x @ self.atoms.T)
        codes = pre
        if self.is_sparse:
            largest = pre.relu().topk(4, dim=1)
            codes = torch.zeros_like(pre).scatter(1, largest.indices, largest.values)
        return (pre, codes) if self.is_pair else codes

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.atoms


class Fused(Dictionary):
    """Like those that compute a dictionary when they go into eval mode, and normalise their weights in place for it."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__(channels, features, is_pair=True, is_sparse=True)
        self.fused: Tensor | None = None

    def train(self, mode: bool = True) -> Fused:
        if not mode:
            with torch.no_grad():
                self.atoms.data = F.normalize(self.atoms, dim=1)
            self.fused = self.atoms * 1.0  # a tensor with a history
        super().train(mode)
        return self

    def decode(self, codes: Tensor) -> Tensor:
        assert self.training or self.fused is not None, "no dictionary"
        return codes @ (self.atoms if self.training else self.fused)
