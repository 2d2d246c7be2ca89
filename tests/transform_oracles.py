"""Second implementations of transforms, in NumPy float64 and loops, from their definitions, for one image (C, H, W)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optvis.params import Streams

from . import oracles
from .oracles import Array

Size = tuple[int, int]
Point = Callable[[float, float], tuple[float, float]]  # a pixel of the result -> its source (x, y)
Part = Callable[[Size, Streams], tuple[Point, Size]]
Oracle = Callable[[Array, Streams], Array]

COLORS = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]]) / math.sqrt(0.26**2 + 2 * 0.27**2)


def numbers(streams: Streams, count: int) -> list[float]:
    return [float(number) for number in streams.uniform(count)[0]]


def normals(streams: Streams, *shape: int) -> Array:
    found: Array = streams.normal(*shape)[0].numpy()
    return found


# Padding


@dataclass(frozen=True)
class Padding:
    """The values outside an image: by a rule, or a colour."""

    rule: str = "edge"
    level: Sequence[float] = ()

    def at(self, image: Array, row: int, column: int) -> Array:
        """Return the pixel (C,) at a position inside or padding."""
        if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
            return image[:, row, column]
        if self.rule == "level":
            return np.broadcast_to(np.array(self.level), len(image))
        inside = [self.source(index, side) for index, side in zip((row, column), image.shape[1:], strict=True)]
        return image[:, inside[0], inside[1]]

    def source(self, index: int, side: int) -> int:
        if self.rule == "edge" or side == 1:
            return min(max(index, 0), side - 1)
        index = abs(index) % (2 * (side - 1))  # mirrored at the first and the last pixel
        return index if index < side else 2 * (side - 1) - index


def interpolate(image: Array, x: float, y: float, padding: Padding) -> Array:
    """Interpolate bilinearly at a point, (C,)."""
    left, top = math.floor(x), math.floor(y)
    u, v = x - left, y - top
    above = (1 - u) * padding.at(image, top, left) + u * padding.at(image, top, left + 1)
    below = (1 - u) * padding.at(image, top + 1, left) + u * padding.at(image, top + 1, left + 1)
    found: Array = (1 - v) * above + v * below
    return found


def edge(image: Array, streams: Streams) -> Padding:
    return Padding("edge")


def reflect(image: Array, streams: Streams) -> Padding:
    return Padding("reflect")


def level(*levels: float) -> Callable[[Array, Streams], Padding]:
    return lambda image, streams: Padding("level", levels)


def random_level(image: Array, streams: Streams) -> Padding:
    return Padding("level", numbers(streams, len(image)))


def affine(padding: Callable[[Array, Streams], Padding], *parts: Part) -> Oracle:
    """Apply affine parts: trace each pixel of the result back through them, and sample once."""

    def oracle(image: Array, streams: Streams) -> Array:
        rule, size, points = padding(image, streams), (image.shape[1], image.shape[2]), []
        for part in parts:
            point, size = part(size, streams)
            points.append(point)
        found = np.empty((len(image), *size))
        for row, column in np.ndindex(*size):
            x, y = float(column), float(row)
            for point in reversed(points):
                x, y = point(x, y)
            found[:, row, column] = interpolate(image, x, y, rule)
        return found

    return oracle


# Affine ones


def jitter(pixels: int) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        right, down = (math.floor(number * (pixels + 1)) - pixels // 2 for number in numbers(streams, 2))
        return lambda x, y: (x - right, y - down), size

    return part


def scale(factors: Sequence[float]) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        factor = factors[int(numbers(streams, 1)[0] * len(factors))]
        cx, cy = (size[1] - 1) / 2, (size[0] - 1) / 2
        return lambda x, y: (cx + (x - cx) / factor, cy + (y - cy) / factor), size

    return part


def rotate(degrees: Sequence[float]) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        angle = math.radians(degrees[int(numbers(streams, 1)[0] * len(degrees))])
        cx, cy = (size[1] - 1) / 2, (size[0] - 1) / 2

        def point(x: float, y: float) -> tuple[float, float]:
            place = complex(x - cx, cy - y) * complex(math.cos(angle), -math.sin(angle))  # the inverse rotation
            return cx + place.real, cy - place.imag

        return point, size

    return part


def flip(chance: float) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        flipped = numbers(streams, 1)[0] < chance
        return lambda x, y: (size[1] - 1 - x if flipped else x, y), size

    return part


def resize(size: Size | float, at_least: Size = (1, 1)) -> Part:
    def part(old: Size, streams: Streams) -> tuple[Point, Size]:
        new = (max(1, round(old[0] * size)), max(1, round(old[1] * size))) if isinstance(size, float) else size
        if isinstance(size, float):
            new = tuple(old[i] if old[i] < at_least[i] else max(new[i], at_least[i]) for i in range(2))
        return lambda x, y: ((x + 0.5) * old[1] / new[1] - 0.5, (y + 0.5) * old[0] / new[0] - 0.5), new

    return part


def margin(pixels: int) -> Part:
    return lambda size, streams: (lambda x, y: (x - pixels, y - pixels), (size[0] + 2 * pixels, size[1] + 2 * pixels))


def crop_or_pad(size: Size) -> Part:
    def start(new: int, old: int) -> int:
        return (old - new) // 2 if new <= old else -((new - old) // 2)

    return lambda old, streams: (lambda x, y: (x + start(size[1], old[1]), y + start(size[0], old[0])), size)


def crop(size: Size | float) -> Part:
    def part(old: Size, streams: Streams) -> tuple[Point, Size]:
        new = (max(1, round(old[0] * size)), max(1, round(old[1] * size))) if isinstance(size, float) else size
        left, top = (math.floor(u * (old[i] - new[i] + 1)) for u, i in zip(numbers(streams, 2), (1, 0), strict=True))
        return lambda x, y: (x + left, y + top), new

    return part


def zoom(centre: Sequence[float], side: Sequence[float], least: float) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        cx, cy, wide = normals(streams, 3)
        share = min(max(side[0] + side[1] * wide, least), 1.0)
        left = (centre[0] + centre[1] * cx - share / 2) * size[1]
        top = (centre[0] + centre[1] * cy - share / 2) * size[0]
        return lambda x, y: (left + (x + 0.5) * share - 0.5, top + (y + 0.5) * share - 0.5), size

    return part


def random_resized_crop(side: Sequence[float], overhang: float) -> Part:
    def part(size: Size, streams: Streams) -> tuple[Point, Size]:
        right, down, wide = numbers(streams, 3)
        share = math.exp(math.log(side[0]) + wide * (math.log(side[1]) - math.log(side[0])))
        least, most = min(0.0, (1 - share) / 2) - overhang, max(1 - share, (1 - share) / 2) + overhang
        left, top = (least + place * (most - least) for place in (right, down))
        x0, y0 = left * size[1], top * size[0]
        return lambda x, y: (x0 + (x + 0.5) * share - 0.5, y0 + (y + 0.5) * share - 0.5), size

    return part


# Others


def sequence(*steps: Oracle) -> Oracle:
    def oracle(image: Array, streams: Streams) -> Array:
        for step in steps:
            image = step(image, streams)
        return image

    return oracle


def unchanged(image: Array, streams: Streams) -> Array:
    return image


def blur(low: float, high: float | None = None) -> Oracle:
    def oracle(image: Array, streams: Streams) -> Array:
        sigma = low if high is None else low + (high - low) * numbers(streams, 1)[0]
        reach = math.ceil(4 * (low if high is None else high))
        around = range(-reach, reach + 1)
        weights = {(dy, dx): math.exp(-(dx * dx + dy * dy) / (2 * sigma**2)) for dy in around for dx in around}
        found = np.zeros_like(image)
        for row, column in np.ndindex(*image.shape[1:]):
            for (dy, dx), weight in weights.items():
                found[:, row, column] += weight * Padding("edge").at(image, row + dy, column + dx)
        return found / sum(weights.values())

    return oracle


def hashed(streams: Streams, count: int) -> list[int]:
    """Unsigned 32-bit numbers from a key and their places, by Python's integers."""
    first, second = (int(half) % 2**32 for half in streams.keys()[0])
    found = []
    for place in range(count):
        x = place ^ first
        x = (x ^ x >> 16) * 0x7FEB352D % 2**32 ^ second
        x = (x ^ x >> 15) * 0x846CA68B % 2**32
        found.append(x ^ x >> 16)
    return found


def signed(number: int) -> int:
    return number - 2**32 if number >= 2**31 else number


def gaussian_noise(sd: float) -> Oracle:
    def oracle(image: Array, streams: Streams) -> Array:
        half = (image.size + 1) // 2
        numbers = hashed(streams, 2 * half)
        radii = [math.sqrt(-2 * math.log(((number >> 8) + 1) / 2**24)) for number in numbers[:half]]
        angles = [math.pi * signed(number) / 2**31 for number in numbers[half:]]
        pairs = list(zip(radii, angles, strict=True))
        noise = [r * math.cos(t) for r, t in pairs] + [r * math.sin(t) for r, t in pairs]
        found: Array = image + sd * np.array(noise[: image.size]).reshape(image.shape)
        return found

    return oracle


def uniform_noise(most: float) -> Oracle:
    def oracle(image: Array, streams: Streams) -> Array:
        noise = [signed(number) / 2**31 for number in hashed(streams, image.size)]
        found: Array = image + most * np.array(noise).reshape(image.shape)
        return found

    return oracle


def average_pool(image: Array, streams: Streams) -> Array:
    """Average 2 × 2 pixels; a foreign module takes one number for its seed."""
    numbers(streams, 1)
    height, width = (side // 2 * 2 for side in image.shape[1:])
    found: Array = image[:, :height, :width].reshape(len(image), height // 2, 2, width // 2, 2).mean((2, 4))
    return found


def blended(background: Callable[[Size, Streams], Any]) -> Oracle:
    def oracle(image: Array, streams: Streams) -> Array:
        behind = np.broadcast_to(background((image.shape[1], image.shape[2]), streams), image[:3].shape)
        found = np.empty_like(image[:3])
        for c, row, column in np.ndindex(*found.shape):
            a = image[3, row, column]
            found[c, row, column] = a * image[c, row, column] + (1 - a) * behind[c, row, column]
        return found

    return oracle


def color(*levels: float) -> Callable[[Size, Streams], Any]:
    return lambda size, streams: np.array(levels).reshape(-1, 1, 1)


def random_color(size: Size, streams: Streams) -> Any:
    return np.array(numbers(streams, 3)).reshape(3, 1, 1)


def random_noise(sd: float, decay: float) -> Callable[[Size, Streams], Any]:
    def background(size: Size, streams: Streams) -> Any:
        spectrum = sd * normals(streams, 3, size[0], size[1] // 2 + 1, 2)
        return oracles.sigmoid(oracles.apply_color_matrix(oracles.fft_image(spectrum, size, decay), COLORS))

    return background
