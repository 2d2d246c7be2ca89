"""Numbers of pictures alone, and of sets of features: nothing here knows a network."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

DARKEST, BRIGHTEST = 1 / 255, 254 / 255  # numbers from here on count as saturated
GREY = 0.05  # standard deviation under which a picture counts as grey
HIGHEST = 0.25  # cycles per pixel up to which the spectrum is fitted: above, resampling and JPEG change it
LOWEST = 3  # cycles per picture from which on: below, the window's own spectrum shows
BANDS = 16  # of frequency, equally wide on a logarithmic scale


def saturated_share(images: Tensor) -> Tensor:
    """Share of the numbers of each picture (B, 3, H, W) in [0, 1] that are ≤ 1/255 or ≥ 254/255, (B,)."""
    return ((images <= DARKEST) | (images >= BRIGHTEST)).flatten(1).float().mean(1)


def contrast(images: Tensor) -> Tensor:
    """Standard deviation of all numbers of each picture, (B,)."""
    return images.flatten(1).std(1, correction=0)


def roughness(images: Tensor) -> Tensor:
    """Mean |difference| of horizontal neighbours in each picture, (B,)."""
    return images.diff(dim=3).abs().flatten(1).mean(1)


def spectrum_slope(images: Tensor) -> Tensor:
    """Exponent s of the amplitude spectrum, f^s, of each picture's luminance, (B,): natural images have about −1.

    The spectrum of the mean of the channels under a Hann window is averaged in bands of frequency, as power; a line is
    fitted to the logarithms. White noise has 0, a picture with too much fine detail more than −1.
    """
    luminance = images.mean(1)
    height, width = luminance.shape[1:]
    window = torch.hann_window(height, periodic=False)[:, None] * torch.hann_window(width, periodic=False)
    centred = luminance - (luminance * window).sum((1, 2), keepdim=True) / window.sum()
    power = torch.fft.rfft2(centred * window).abs().square()
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)).expand(height, -1)
    edges = torch.logspace(*torch.tensor([LOWEST / min(height, width), HIGHEST]).log10().tolist(), BANDS + 1)
    inside = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges)]
    inside = [band for band in inside if band.any()]
    levels = torch.stack([power[:, band].mean(1) for band in inside], 1).clamp(min=1e-20).log() / 2
    places = torch.stack([frequency[band].log().mean() for band in inside])
    places = places - places.mean()
    return (levels * places).sum(1) / places.square().sum()


def count_grey(images: Tensor) -> int:
    """Number of pictures with a standard deviation under 0.05."""
    return int((contrast(images) < GREY).sum())


def resize_to(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures at another size, in [0, 1], so that measures that depend on resolution can be compared."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def top_share(logits: Tensor, classes: Tensor, k: int) -> float:
    """Share of rows of logits (B, K) whose class, (B,), is among their k largest."""
    if not len(classes):
        return float("nan")
    return float((logits.topk(k, 1).indices == classes[:, None]).any(1).float().mean())


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features of unit length, (N, D) and (M, D).

    √(‖mean − mean'‖² + tr(C + C' − 2 (C C')^½)) (Dowson & Landau 1982). With A and B the centred sets divided by √N
    and √M, tr (C C')^½ is the sum of the singular values of A Bᵀ, which holds for fewer samples than dimensions too.
    Each row is first divided by its length, so that the distance lies in [0, 2] for every network.
    """
    first, second = (F.normalize(rows.double(), dim=1) for rows in (features, others))
    a, b = ((rows - rows.mean(0)) / len(rows) ** 0.5 for rows in (first, second))
    shared = torch.linalg.svdvals(a @ b.T).sum()
    squared = (first.mean(0) - second.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * shared
    return float(squared.clamp(min=0).sqrt())


def nearest_distance(features: Tensor, others: Tensor) -> float:
    """Mean over rows of 1 − cosine to the nearest of the others; a row that is among the others is not its own."""
    cosines = F.normalize(features.double(), dim=1) @ F.normalize(others.double(), dim=1).T
    if features is others:
        cosines.fill_diagonal_(-1)
    return float((1 - cosines.amax(1)).mean())


def match_share(similarity: Tensor, exciting: Tensor) -> float:
    """How often a photograph that excites a channel is nearer to its picture than one that does not: 0.5 by chance.

    Args:
        similarity: of each picture to each photograph, (B, N). The mean over pictures is subtracted: some photographs
            are near to every picture. NaN leaves a pair out.
        exciting: whether a photograph is among those that excite the channel most, (B, N).
    """
    relative = similarity - similarity.nanmean(0)
    shares = []
    for row, mask in zip(relative, exciting, strict=True):
        yes, no = row[mask & ~row.isnan()], row[~mask & ~row.isnan()]
        difference = yes[:, None] - no
        shares.append(((difference > 0).double() + (difference == 0).double() / 2).mean())
    return float(torch.stack(shares).mean())
