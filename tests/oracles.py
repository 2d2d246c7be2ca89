"""Second implementations in NumPy float64, from the formulas alone, for one image at a time, a (C, ...)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def at_each_position(a: Array) -> list[Array]:
    """List the vector of channels at each position."""
    return [a[(slice(None), *place)] for place in np.ndindex(a.shape[1:])]


def at_one_position(a: Array, place: Sequence[int]) -> Array:
    """Return the vector of channels at a position, by default the centre."""
    middle = tuple(side // 2 for side in a.shape[1:])
    return a[(slice(None), *(middle if len(place) == 0 else place))]


# Channels


def channel(a: Array, index: int) -> float:
    return sum(v[index] for v in at_each_position(a)) / len(at_each_position(a))


def channel_weights(a: Array, weights: Array) -> float:
    return sum(w * channel(a, c) for c, w in enumerate(weights))


def neuron(a: Array, index: int, *place: int) -> float:
    return at_one_position(a, place)[index]


# Norms


def layer_norm(a: Array, p: float = 2.0) -> float:
    values = [abs(float(value)) for value in a.ravel()]
    return max(values) if math.isinf(p) else sum(value**p for value in values) ** (1 / p)


def channel_norm(a: Array, index: int, p: float = 2.0) -> float:
    return layer_norm(a[index], p)


def position_norm(a: Array, *place: int) -> float:
    return math.sqrt(sum(float(value) ** 2 for value in at_one_position(a, place)))


def log_odds(a: Array, index: int) -> float:
    shares = [math.exp(value) for value in a.ravel()]
    own = shares[index] / sum(shares)
    return math.log(own / (1 - own))


def mean_square(a: Array) -> float:
    return sum(float(value) ** 2 for value in a.ravel()) / a.size


def l1(a: Array, constant: float = 0.0) -> float:
    return sum(abs(float(value) - constant) for value in a.ravel())


def l2(a: Array, constant: float = 0.0, epsilon: float = 1e-6) -> float:
    return math.sqrt(epsilon + sum((float(value) - constant) ** 2 for value in a.ravel()))


# Directions


def cosine_of(a: Array, v: Array) -> float:
    return float(np.dot(a, v)) / ((1e-4 + math.sqrt(np.dot(a, a))) * (1e-4 + math.sqrt(np.dot(v, v))))


def direction_score(a: Array, v: Array, power: float) -> float:
    return float(np.dot(a, v)) * (max(0.1, cosine_of(a, v)) ** power if power else 1.0)


def direction(a: Array, v: Array, power: float = 0.0) -> float:
    return float(np.mean([direction_score(here, v, power) for here in at_each_position(a)]))


def direction_neuron(a: Array, v: Array, *place: int, power: float = 0.0) -> float:
    return direction_score(at_one_position(a, place), v, power)


def cosine(a: Array, v: Array) -> float:
    return float(np.mean([cosine_of(here, v) for here in at_each_position(a)]))


def direction_whitened(a: Array, v: Array, matrix: Array, power: float = 0.0) -> float:
    return direction(a, np.array([np.dot(v, column) for column in matrix.T]), power)


def direction_neuron_whitened(a: Array, v: Array, matrix: Array) -> float:
    return direction_neuron(a, np.array([np.dot(v, column) for column in matrix.T]))


def whitening(samples: Array) -> Array:
    """(N, C) -> (C, C)"""
    found: Array = np.linalg.inv(sum(np.outer(a, a) for a in samples) / len(samples))
    return found


def tensor_direction(a: Array, tensor: Array, power: float = 0.0) -> float:
    h, w = tensor.shape[1:]
    top, left = (a.shape[1] - h) // 2, (a.shape[2] - w) // 2
    return float(
        np.mean([direction_score(a[:, top + y, left + x], tensor[:, y, x], power) for y, x in np.ndindex(h, w)])
    )


# Caricatures


def caricature(a: Array, target: Array, power: float = 0.0) -> float:
    pairs = zip(at_each_position(a), at_each_position(target), strict=True)
    return sum(direction_score(here, there, power) for here, there in pairs)


def dot_compare(a: Array, target: Array, power: float = 0.0) -> float:
    dot = sum(float(one) * float(other) for one, other in zip(a.ravel(), target.ravel(), strict=True))
    cos = dot / ((1e-6 + layer_norm(a)) * (1e-6 + layer_norm(target)))
    return dot * max(0.1, cos) ** power


# Comparisons of images, (B, C, ...) -> (B,)


def alignment(images: Array, ratio: float = 2.0) -> list[float]:
    """Give each of two images half of the formula's value for the pair."""
    scores = [0.0] * len(images)
    for d in (1, 2, 3, 4):
        for i in range(len(images) - d):
            gap = float(np.mean((images[i] - images[i + d]) ** 2)) / ratio**d
            scores[i] -= gap / 2
            scores[i + d] -= gap / 2
    return scores


def diversity(images: Array) -> list[float]:
    grams = [gram_matrix(a) / math.sqrt(float((gram_matrix(a) ** 2).sum())) for a in images]
    return [sum(float((g * h).sum()) for j, h in enumerate(grams) if j != i) for i, g in enumerate(grams)]


# Gram matrices


def gram_matrix(a: Array) -> Array:
    return np.array([[sum((one * other).ravel()) for other in a] for one in a])


def gram(a: Array) -> float:
    return float(gram_matrix(a).sum())


def channel_moments(a: Array) -> tuple[list[float], list[float]]:
    """Mean and variance of each channel, a (C, ...)."""
    means, variances = [], []
    for plane in a:
        values = [float(v) for v in plane.ravel()]
        mean = sum(values) / len(values)
        means.append(mean)
        variances.append(sum((v - mean) ** 2 for v in values) / len(values))
    return means, variances


def activation_statistics(a: Array, mean: Array, variance: Array, relative: bool = False, weight: float = 1.0) -> float:
    """w (‖mean(A) − mean‖₂ + ‖var(A) − var‖₂) of one layer."""
    means, variances = channel_moments(a)
    first = second = 0.0
    for c, (found_mean, found_variance) in enumerate(zip(means, variances, strict=True)):
        scale = variance[c] + 1e-3 * np.mean(variance) if relative else 1.0
        first += (found_mean - mean[c]) ** 2 / scale
        second += (found_variance - variance[c]) ** 2 / scale**2
    share = len(means) if relative else 1
    return float(weight * ((first / share) ** 0.5 + (second / share) ** 0.5))


def batch_statistics(a: Array, mean: Array, variance: Array) -> list[float]:
    """The same of all images together, a (B, C, ...)."""
    together = np.moveaxis(a, 1, 0).reshape(a.shape[1], -1)
    return [activation_statistics(together, mean, variance)] * len(a)


def match_distribution(a: Array, references: Array, relative: bool = False, weight: float = 1.0) -> float:
    """w mean (sort(A) − q)² of one layer, with q the mean of the references' sorted values at the same quantiles."""
    total = spread = 0.0
    for c, plane in enumerate(a):
        values = sorted(float(v) for v in plane.ravel())
        ordered = [sorted(float(v) for v in reference[c].ravel()) for reference in references]
        mean = [sum(column) / len(ordered) for column in zip(*ordered, strict=True)]
        places = [(k + 0.5) / len(values) for k in range(len(values))]
        known = [(k + 0.5) / len(mean) for k in range(len(mean))]
        quantiles = np.interp(places, known, mean)
        total += sum((v - q) ** 2 for v, q in zip(values, quantiles, strict=True)) / len(values)
        spread += float(np.var(mean))
    return float(weight * total / (spread if relative else len(a)))


def gram_distance(a: Array, target: Array, power: float = 1.0) -> float:
    matrix = gram_matrix(a) / (a.size / len(a))
    return float(np.mean(np.abs(matrix - target) ** power))


# Penalties


def total_variation(a: Array) -> float:
    total = 0.0
    for plane in a:
        for y, x in np.ndindex(plane.shape):
            total += abs(plane[y + 1, x] - plane[y, x]) if y + 1 < plane.shape[0] else 0.0
            total += abs(plane[y, x + 1] - plane[y, x]) if x + 1 < plane.shape[1] else 0.0
    return total


def blur(plane: Array, kernel: Array) -> Array:
    """Blur (H, W) with a kernel that is normalised by its sum within the image."""
    reach = len(kernel) // 2
    found = np.empty_like(plane)
    for y, x in np.ndindex(plane.shape):
        total = weight = 0.0
        for i, j in np.ndindex(kernel.shape):
            v, u = y + i - reach, x + j - reach
            if 0 <= v < plane.shape[0] and 0 <= u < plane.shape[1]:
                total += kernel[i, j] * plane[v, u]
                weight += kernel[i, j]
        found[y, x] = total / weight
    return found


BLUR_3 = np.array([[0.5, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 0.5]])
BLUR_5 = np.pad(np.ones((3, 3)), 1, constant_values=0.5)


def blur_gradient(a: Array) -> Array:
    """Return the gradient of the blur penalty, with the blur image constant."""
    return np.stack([plane - blur(plane, BLUR_3) for plane in a])


def blur_penalty(a: Array) -> float:
    return 0.5 * float((blur_gradient(a) ** 2).sum())


def boundary(a: Array, width: int = 20, constant: float = 0.5) -> float:
    height, breadth = a.shape[1:]
    total = 0.0
    for plane in a:
        smooth = blur(plane, BLUR_5)
        for y, x in np.ndindex(plane.shape):
            if min(y, x, height - 1 - y, breadth - 1 - x) < width:
                total += (smooth[y, x] - plane[y, x]) ** 2 + 0.8 * (plane[y, x] - constant) ** 2
    return -total


def input_diff(a: Array, image: Array) -> float:
    return math.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(a.ravel(), image.ravel(), strict=True)) / a.size)


# Parameterizations


def fft_image(spectrum: Array, size: tuple[int, int], decay: float) -> Array:
    """(C, H, W // 2 + 1, 2) -> (C, H, W)"""
    height, width = size
    scale = np.zeros((height, width // 2 + 1))
    for i, j in np.ndindex(scale.shape):
        down = (i if i <= (height - 1) // 2 else i - height) / height
        frequency = math.hypot(down, j / width)
        scale[i, j] = max(frequency, 1 / max(height, width)) ** -decay
    waves = (spectrum[..., 0] + 1j * spectrum[..., 1]) * scale
    found: Array = np.fft.irfft2(waves, s=size, norm="ortho") / 4
    return found


IMAGENET_COLOR = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]]) / 0.46195


def apply_color_matrix(image: Array, matrix: Array = IMAGENET_COLOR) -> Array:
    """(3, H, W) -> (3, H, W)"""
    return np.stack([sum(matrix[row, c] * image[c] for c in range(3)) for row in range(3)])


def sigmoid(image: Array) -> Array:
    return 1 / (1 + np.exp(-image))


# Transforms


def interpolate(image: Array, x: float, y: float) -> Array:
    """Interpolate bilinearly at a point in pixels, (C, H, W) -> (C,); NaN outside the image."""
    height, width = image.shape[1:]
    if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
        return np.full(len(image), np.nan)
    left, top = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    above = (1 - u) * image[:, top, left] + u * image[:, top, right]
    below = (1 - u) * image[:, bottom, left] + u * image[:, bottom, right]
    found: Array = (1 - v) * above + v * below
    return found


def rotate_and_scale(image: Array, degrees: float = 0.0, factor: float = 1.0) -> Array:
    """Rotate anticlockwise (with y downwards) and scale about the centre; NaN where the source is outside."""
    height, width = image.shape[1:]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found = np.empty_like(image)
    for y, x in np.ndindex(height, width):
        right, up = (x - cx) / factor, (cy - y) / factor
        # The source of a pixel is found by the inverse rotation, clockwise.
        found[:, y, x] = interpolate(image, cx + cos * right + sin * up, cy - (-sin * right + cos * up))
    return found


# Redirected ReLU


def redirected_gradient(x: Array, grad: Array, top: float = math.inf) -> Array:
    """Compute the gradient of a descending loss with respect to x, (B, ...)."""
    found = np.zeros_like(grad)
    for i in range(len(x)):
        for place in np.ndindex(x.shape[1:]):
            found[(i, *place)] = grad[(i, *place)] if 0 <= x[(i, *place)] <= top else 0.0
        if (found[i] == 0).all():
            for place in np.ndindex(x.shape[1:]):
                value, g = x[(i, *place)], grad[(i, *place)]
                away = (value < 0 and g > 0) or (value > top and g < 0)
                found[(i, *place)] = 0.0 if away else g
    return found
