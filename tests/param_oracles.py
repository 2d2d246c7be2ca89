"""Second implementations of parameterizations in NumPy float64, from the formulas alone, for one image at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from . import oracles

Array = NDArray[np.float64]


def upsample(plane: Array, size: tuple[int, int]) -> Array:
    """Upsample bilinearly with pixel centres at halves and the edge repeated, (h, w) -> (H, W)."""
    found = np.zeros(size)
    for y, x in np.ndindex(*size):
        values = []
        for place, whole, side in zip((y, x), size, plane.shape, strict=True):
            at = min(max((place + 0.5) * side / whole - 0.5, 0.0), side - 1.0)
            first = math.floor(at)
            values.append([(first, 1 - (at - first)), (min(first + 1, side - 1), at - first)])
        found[y, x] = sum(plane[i, j] * u * v for i, u in values[0] for j, v in values[1])
    return found


def sum_of_upsampled(levels: Sequence[Array], size: tuple[int, int]) -> Array:
    """Σ ↑(level), each (C, h, w) -> (C, H, W)"""
    return np.stack([sum(upsample(level[c], size) for level in levels) for c in range(len(levels[0]))])


def cppn(parameters: Sequence[Array], size: tuple[int, int]) -> Array:
    """Evaluate a CPPN pixel by pixel: weights of each layer, then biases of each layer, -> (C, H, W)."""
    layers = len(parameters) // 2
    height, width = size
    found = np.zeros((len(parameters[layers - 1]), *size))
    for y, x in np.ndindex(*size):
        places = [
            -math.sqrt(3) + 2 * math.sqrt(3) * place / max(side - 1, 1) for place, side in ((x, width), (y, height))
        ]
        a = np.array(places)
        for layer in range(layers):
            a = parameters[layer] @ a + parameters[layers + layer][:, 0]
            if layer < layers - 1:
                a = np.concatenate([np.arctan(a) / 0.67, np.arctan(a) ** 2 / 0.6])
        found[:, y, x] = a
    return found


def law(size: tuple[int, int], decay: float) -> Array:
    """1 / max(f, 1 / max(H, W))^decay, (H, W // 2 + 1)"""
    height, width = size
    found = np.zeros((height, width // 2 + 1))
    for i, j in np.ndindex(*found.shape):
        down = min(i, height - i) / height
        found[i, j] = max(math.hypot(down, j / width), 1 / max(height, width)) ** -decay
    return found


def standardize(a: Array) -> Array:
    return (a - a.mean()) / math.sqrt(a.var() + 1e-10)


def phase_image(phase: Array, magnitude: Array, size: tuple[int, int]) -> Array:
    """(C, H, W // 2 + 1) each -> (C, H, W) of mean 0 and deviation 1."""
    angle = math.pi / math.sqrt(3) * standardize(phase)
    waves = magnitude * np.cos(angle) + 1j * magnitude * np.sin(angle)
    return standardize(np.fft.irfft2(waves, s=size, norm="ortho"))


def mean_spectrum(images: Array) -> Array:
    """(N, 3, H, W) in [0, 1] -> (3, H, W // 2 + 1), through the inverses of sigmoid and ImageNet's colours."""
    unmatrix = np.linalg.inv(imagenet_color())
    found = []
    for image in images:
        clipped = np.clip(image, 1 / 512, 511 / 512)
        inside = oracles.apply_color_matrix(np.log(clipped / (1 - clipped)), unmatrix)
        found.append([np.abs(np.fft.fft2(plane, norm="ortho"))[:, : image.shape[2] // 2 + 1] for plane in inside])
    return np.mean(np.array(found), axis=0)


def imagenet_color() -> Array:
    matrix = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    return matrix / max(math.sqrt(sum(number**2 for number in column)) for column in matrix.T)


def covariance(images: Array) -> Array:
    """Compute the covariance of all pixels of (N, 3, H, W), (3, 3)."""
    pixels = [image[:, y, x] for image in images for y, x in np.ndindex(*image.shape[1:])]
    middle = sum(pixels) / len(pixels)
    return np.mean([np.outer(pixel - middle, pixel - middle) for pixel in pixels], axis=0)
