"""A pool of pictures made of groups that they share and a part of their own; a few are held at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import LUCID_SD, Canvas, fitting, frequency_scale, height_and_width
from optvis.params.streams import Streams

UNIQUE_SHARE, GROUP_SHARE = 0.7, 0.5  # Lucid's notebook "Activation Grids" (2018) mixes its pictures so
DRAWN_AT_ONCE = 32  # pictures whose first noise is drawn together, so that memory does not grow with the pool


class Grouped(Canvas):
    """Pictures i of a pool as 0.7 · unique_i + 0.5 · Σ_j g_ij · group_j, in the Fourier basis of `FFT`.

    What is asked of one picture moves the groups that it is made of, and with them all others of these groups: related
    pictures look alike (Olah et al., "The Building Blocks of Interpretability", Distill 2018,
    doi:10.23915/distill.00010). The pool may be large: only the pictures that were shown last are free parameters, so
    a gradient does not grow with it. Without groups a picture is its own spectrum, unique_i.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per picture (N of them); equal ones begin with equal noise.
        weights: g, (N, K): how much of each group is in each picture.
        held: how many pictures are free parameters at a time, B; at first those of the first rows.
        decay: power of the frequency that scales the spectrum down.
        sd: standard deviation of the real and imaginary parts of the first spectra.

    Raises:
        ValueError: weights of another shape, or `held` outside 1..N.

    Example:
        >>> canvas = Grouped((33, 47), (0,) * 10, torch.rand(10, 2), held=4)
        >>> canvas.show(torch.tensor([7, 1, 2, 9]))().shape, canvas.pictures(torch.arange(10)).shape
        (torch.Size([4, 3, 33, 47]), torch.Size([10, 3, 33, 47]))
    """

    couples_images = True
    pool: Tensor
    weights: Tensor
    scale: Tensor
    rows: Tensor

    def __init__(
        self,
        size: int | tuple[int, int],
        seeds: Sequence[int],
        weights: Tensor,
        held: int,
        decay: float = 1.0,
        sd: float = LUCID_SD,
    ) -> None:
        super().__init__()
        count = len(seeds)
        if weights.dim() != 2 or len(weights) != count:
            raise ValueError(f"weights are {tuple(weights.shape)}; expected ({count}, K), a row per picture")
        if not 1 <= held <= count:
            raise ValueError(f"held is {held}; expected 1 to {count}, the number of pictures")
        self._size, self.decay, self.sd, self.seeds = height_and_width(size), decay, sd, tuple(seeds)
        dtype = torch.get_default_dtype()
        shape = (3, self._size[0], self._size[1] // 2 + 1, 2)
        kept = {
            "pool": _noise(self.seeds, shape, sd, dtype),
            "weights": weights.detach().to(dtype).clone(),
            "scale": frequency_scale(self._size, decay).to(dtype),
            "rows": torch.arange(held),
        }
        for name, values in kept.items():
            self.register_buffer(name, values, persistent=False)
        self.unique = nn.Parameter(self.pool[:held].clone())
        groups = range(weights.shape[1])
        self.groups = nn.Parameter(_noise(groups, shape, sd, dtype, "groups")) if groups else None

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    @torch.no_grad()
    def show(self, rows: Tensor) -> Self:
        """Hold these pictures of the pool, (B,), instead of those held so far, which go back into it."""
        self.put_back()
        self.rows = rows.to(self.pool.device)
        self.unique.copy_(self.pool[self.rows])
        return self

    @torch.no_grad()
    def put_back(self) -> None:
        """Write what is held into the pool."""
        self.pool[self.rows] = self.unique.detach()

    def forward(self) -> Tensor:
        return self._drawn(self.unique, self.weights[self.rows])

    @torch.no_grad()
    def pictures(self, rows: Tensor) -> Tensor:
        """Any pictures of the pool, (R,) -> (R, 3, H, W)."""
        self.put_back()
        return self._drawn(self.pool[rows], self.weights[rows])

    def _drawn(self, unique: Tensor, weights: Tensor) -> Tensor:
        spectrum = unique if self.groups is None else UNIQUE_SHARE * unique + self._common(weights)
        images: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum) * self.scale, s=self._size, norm="ortho")
        return images

    def _common(self, weights: Tensor) -> Tensor:
        """0.5 · Σ_j g_ij · group_j, as spectra."""
        assert self.groups is not None
        return ((GROUP_SHARE * weights) @ self.groups.flatten(1)).view(-1, *self.groups.shape[1:])

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        """Set the own parts of the pictures that are held so that they are `images`; the groups stay."""
        images = fitting(images, (len(self), 3, *self._size)).to(self.unique)
        spectrum = torch.view_as_real(torch.fft.rfft2(images, norm="ortho") / self.scale)
        own = spectrum if self.groups is None else (spectrum - self._common(self.weights[self.rows])) / UNIQUE_SHARE
        self.unique.copy_(own)
        return self

    def __repr__(self) -> str:
        pictures, groups = self.weights.shape
        made = f"{pictures} pictures of {groups} groups, {len(self.rows)} at a time"
        return f"Grouped({self._size}, {made}, decay={self.decay}, sd={self.sd})"


def _noise(
    seeds: Sequence[int], shape: tuple[int, ...], sd: float, dtype: torch.dtype, purpose: str = "canvas"
) -> Tensor:
    """N(0, sd) from each seed's own stream, (N, *shape)."""
    noise = torch.empty(len(seeds), *shape, dtype=dtype)
    for start in range(0, len(seeds), DRAWN_AT_ONCE):
        some = slice(start, start + DRAWN_AT_ONCE)
        noise[some] = sd * Streams(seeds[some], purpose).normal(*shape)
    return noise
