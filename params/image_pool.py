"""A pool of images, each the sum of a part of its own and of parts that groups of images share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import (
    LUCID_SD,
    Canvas,
    check_sd,
    from_spectrum,
    height_and_width,
    require_shape,
    spectrum_scale,
    to_spectrum,
)
from optvis.params.dtype import parameter_dtype
from optvis.params.streams import Streams

UNIQUE_SHARE, GROUP_SHARE = 0.7, 0.5  # the weights of Lucid's notebook "Activation Grids" (2018)
NOISE_BATCH_SIZE = 32  # images whose first noise is drawn together, so that memory does not grow with the pool


class ImagePool(Canvas):
    """A pool of images with shared parts: image i is 0.7 · unique_i + 0.5 · Σ_j g_ij · group_j.

    Both parts are spectra in the Fourier basis of `FFT`. A gradient of one image also moves the groups that it is made
    of, and so all other images of these groups: related images look alike (Olah et al., "The Building Blocks of
    Interpretability", Distill 2018, doi:10.23915/distill.00010). Only the active images are free parameters, so that
    the gradient does not grow with the pool. Without groups an image is its own spectrum, unique_i.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image of the pool, N; equal seeds give equal first noise.
        weights: g, (N, K): how much of each group is in each image.
        active: how many images are free parameters at a time, B; at first the first B of the pool.
        decay: power of the frequency that scales the spectrum down.
        sd: standard deviation of the real and imaginary parts of the first spectra.
        channels: number of channels C.

    Raises:
        ValueError: weights of another shape, or `active` outside 1..N.

    Example:
        >>> canvas = ImagePool((33, 47), (0,) * 10, torch.rand(10, 2), active=4)
        >>> canvas.select(torch.tensor([7, 1, 2, 9]))().shape, canvas.images(torch.arange(10)).shape
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
        active: int,
        decay: float = 1.0,
        sd: float = LUCID_SD,
        channels: int = 3,
    ) -> None:
        super().__init__()
        count = len(seeds)
        if weights.dim() != 2 or len(weights) != count:
            raise ValueError(f"weights are {tuple(weights.shape)}; expected ({count}, K), a row per image")
        if not 1 <= active <= count:
            raise ValueError(f"active is {active}; expected 1 to {count}, the number of images")
        self._size, self.decay, self.sd, self.seeds = height_and_width(size), decay, sd, tuple(seeds)
        dtype = parameter_dtype()
        shape = (channels, self._size[0], self._size[1] // 2 + 1, 2)
        self.register_buffer("pool", _noise(self.seeds, shape, sd, dtype), persistent=False)
        self.register_buffer("weights", weights.detach().to(dtype).clone(), persistent=False)
        self.register_buffer("scale", spectrum_scale(self._size, decay).to(dtype), persistent=False)
        self.register_buffer("rows", torch.arange(active, device="cpu"), persistent=False)
        self.unique = nn.Parameter(self.pool[:active].clone())
        groups = range(weights.shape[1])
        self.groups = nn.Parameter(_noise(groups, shape, sd, dtype, "groups")) if groups else None

    @torch.no_grad()
    def select(self, rows: Tensor) -> Self:
        """Make these images of the pool, (B,), the active ones, and write those before them back into the pool."""
        self.write_back()
        self.rows = rows.to(self.pool.device)
        torch.index_select(self.pool, 0, self.rows, out=self.unique.data)
        return self

    @torch.no_grad()
    def write_back(self) -> None:
        """Write the active images into the pool."""
        self.pool[self.rows] = self.unique.detach()

    def forward(self) -> Tensor:
        return self._synthesize(self.unique, self.weights[self.rows])

    @torch.no_grad()
    def images(self, rows: Tensor) -> Tensor:
        """Any images of the pool, (R,) -> (R, C, H, W)."""
        self.write_back()
        return self._synthesize(self.pool[rows], self.weights[rows])

    def _synthesize(self, unique: Tensor, weights: Tensor) -> Tensor:
        spectrum = unique if self.groups is None else self._add_groups(unique, weights)
        return from_spectrum(spectrum, self.scale, self._size)

    def _add_groups(self, unique: Tensor, weights: Tensor) -> Tensor:
        """0.7 · unique + 0.5 · Σ_j g_ij · group_j, as spectra, in one pass over memory."""
        assert self.groups is not None
        shares = GROUP_SHARE * weights
        return torch.addmm(unique.flatten(1), shares, self.groups.flatten(1), beta=UNIQUE_SHARE).view_as(unique)

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        """Set the unique parts of the active images so that the output is `images`; the groups do not change."""
        images = require_shape(images, (len(self), self.unique.shape[1], *self._size)).to(self.unique)
        spectrum = to_spectrum(images, self.scale)
        if self.groups is not None:
            shared = self._add_groups(torch.zeros_like(self.unique), self.weights[self.rows])
            spectrum = (spectrum - shared) / UNIQUE_SHARE
        self.unique.copy_(spectrum)
        return self

    def __repr__(self) -> str:
        images, groups = self.weights.shape
        counts = f"{images} images of {groups} groups, {len(self.rows)} active"
        return f"ImagePool({self._size}, {counts}, decay={self.decay}, sd={self.sd})"


def _noise(
    seeds: Sequence[int], shape: tuple[int, ...], sd: float, dtype: torch.dtype, purpose: str = "canvas"
) -> Tensor:
    """N(0, sd) from each seed's own stream, (N, *shape)."""
    noise = torch.empty(len(seeds), *shape, dtype=dtype, device="cpu")
    for start in range(0, len(seeds), NOISE_BATCH_SIZE):
        batch = slice(start, start + NOISE_BATCH_SIZE)
        noise[batch] = check_sd(sd) * Streams(seeds[batch], purpose).normal(*shape)
    return noise
