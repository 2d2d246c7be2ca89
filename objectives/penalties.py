"""Penalties on the image itself. Subtract them, except where the docstring says that the score is negative."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.objectives.layout import IMAGE, channels_first
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows

# lucid.optvis.objectives.penalize_boundary_complexity, 2018
BORDER = 20  # width of the border in pixels
DISTANCE_WEIGHT = 0.8  # weight of a pixel's squared distance to the constant


def neighbor_differences(
    a: Tensor, channel_axis: int | None = None, smoothing: float = 0.0, mean: bool = False
) -> Tensor:
    """Compute Σ‖Δ_h A‖ + Σ‖Δ_w A‖ with ‖d‖ = √(d² + s²) − s for a smoothing s.  a (B, C, H, W) -> (B,)

    With `mean`, it is divided by the number of differences.
    """
    a = planes(a, channel_axis, "total variation")
    differences = [_absolute(a.diff(dim=axis), smoothing).flatten(1) for axis in (2, 3)]
    total = differences[0].sum(1) + differences[1].sum(1)
    return total / max(1, sum(one.shape[1] for one in differences)) if mean else total


def _absolute(differences: Tensor, smoothing: float) -> Tensor:
    """|d|, or √(d² + s²) − s, which is smooth at 0 (Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553)."""
    return (differences.square() + smoothing**2).sqrt() - smoothing if smoothing else differences.abs()


def blur(a: Tensor, side: int) -> Tensor:
    """Blur with a square kernel that is 0.5 at its rim and 1 inside, normalised by its sum within the image.

    Such a kernel is half a box plus half a box that is two pixels smaller.

    Args:
        a: (B, C, H, W).
        side: of the kernel, in pixels; odd.

    Example:
        >>> blur(torch.tensor([[[[0.0, 3.0, 0.0]]]]), 3)
        tensor([[[[1.0000, 1.5000, 1.0000]]]])
    """

    def kernel_sum(x: Tensor) -> Tensor:
        return 0.5 * (_box_sum(x, side) + _box_sum(x, side - 2))

    averages: Tensor = kernel_sum(a) / kernel_sum(torch.ones_like(a[:1, :1]))
    return averages


def _box_sum(a: Tensor, side: int) -> Tensor:
    sums: Tensor = torch.nn.functional.avg_pool2d(a, side, stride=1, padding=side // 2, divisor_override=1)
    return sums


def distance_to_blur(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Compute ½ Σ (A − blur₃ A)², with no gradient through blur₃ A.  a (B, C, H, W) -> (B,)"""
    a = planes(a, channel_axis, "a blur")
    return 0.5 * (a - blur(a.detach(), 3)).square().flatten(1).sum(1)


def alpha_distance_to_blur(x: Tensor) -> Tensor:
    """Compute `distance_to_blur` of the alpha channel.  x (B, 4, H, W) -> (B,)"""
    if x.dim() != 4 or x.shape[1] != 4:
        raise ValueError(f"images are {tuple(x.shape)}; expected alpha as the last of 4 channels, e.g. alpha_image()")
    return distance_to_blur(x[:, 3:])


def boundary_complexity(x: Tensor, mask: Tensor | None = None, width: int = BORDER, constant: float = 0.5) -> Tensor:
    """Compute −Σ mask · [(blur₅ x − x)² + 0.8 (x − constant)²].  x (B, C, H, W), mask (B, H, W) or (1, H, W) -> (B,)"""
    complexity = (blur(x, 5) - x).square() + DISTANCE_WEIGHT * (x - constant).square()
    weights = border(x, width) if mask is None else mask.to(x.dtype)
    if weights.shape[1:] != x.shape[2:]:
        raise ValueError(f"a mask of {tuple(weights.shape[1:])} for images of {tuple(x.shape[2:])} pixels")
    return -(weights.unsqueeze(1) * complexity).flatten(1).sum(1)


def border(x: Tensor, width: int) -> Tensor:
    """Build a mask that is 1 up to `width` pixels from the edge and 0 elsewhere.  x (B, C, H, W) -> (1, H, W)"""
    mask = x.new_ones(1, *x.shape[2:])
    mask[:, width : x.shape[2] - width, width : x.shape[3] - width] = 0
    return mask


def root_mean_square_difference(x: Tensor, image: Tensor) -> Tensor:
    """Compute √mean((x − image)²); its gradient is 0 where x = image.  x (B, C, H, W) -> (B,)"""
    if x.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"input_diff with an image of {tuple(image.shape[1:])} for images of {tuple(x.shape[1:])}; "
            "resize it to the canvas's size"
        )
    differences = (x - image.to(x.dtype)).flatten(1)
    norms: Tensor = torch.linalg.vector_norm(differences, dim=1)
    return norms / math.sqrt(differences.shape[1])


def planes(a: Tensor, channel_axis: int | None, what: str) -> Tensor:
    """Move the channels to axis 1, and check that there are rows and columns: (B, C, H, W)."""
    a = channels_first(a, channel_axis)
    if a.dim() != 4:
        raise ValueError(f"{what} needs rows and columns, (B, C, H, W); got {tuple(a.shape)}")
    return a


def total_variation(
    layer: str = IMAGE, *, smoothing: float = 0.0, mean: bool = False, channel_axis: int | None = None
) -> Objective:
    """Measure Σ|Δ_h x| + Σ|Δ_w x|, the differences of neighbouring pixels. Subtract it to smooth.

    A sum over rows, columns and channels, as in Lucid: a weight that fits 96 px is four times as strong at 192 px. The
    mean has the same scale for any size. As a prior, `Prior(total_variation(), 0.2)`, its gradient is a share of the
    score's, the same for any size and network.

    Anisotropic total variation (Rudin, Osher & Fatemi 1992), as Mahendran & Vedaldi 2015 (arXiv:1412.0035) use it for
    the inversion of networks.

    Args:
        layer: name as in `layers(model)`; by default the image before transforms, in [0, 1].
        smoothing: differences well under this count by their square, which makes the gradient continuous:
            √(Δ² + smoothing²) − smoothing takes the place of the absolute Δ (Charbonnier et al. 1994,
            doi:10.1109/ICIP.1994.413553).
        mean: divide by the number of differences, so that the value does not depend on the size.
        channel_axis: axis of the channels in the layer's output; by default axis 1.

    Raises:
        ValueError: a negative smoothing; at the first step, a layer without rows and columns.

    Example:
        >>> import torch
        >>> total_variation()({IMAGE: torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])})
        tensor([2.])
    """
    if not 0 <= smoothing < math.inf:
        raise ValueError(f"total_variation got smoothing={smoothing!r}; expected a difference, 0 or more")
    function = neighbor_differences
    return make_objective(
        "total_variation", layer, function, channel_axis=channel_axis, smoothing=float(smoothing), mean=mean
    )


def blur_input_each_step(layer: str = IMAGE, *, channel_axis: int | None = None) -> Objective:
    """Measure ½ Σ (x − blur₃ x)², with the gradient x − blur₃ x. Subtract it to blur the image a little at each step.

    Lucid's name. There is no gradient through blur₃ x, so that a step of size k is x ← (1 − k) x + k · blur₃ x, as in
    Nguyen et al. 2015 (arXiv:1412.1897). It is a sum over rows, columns and channels, so that k is the weight; as a
    prior, `Prior(blur_input_each_step(), 0.1)`, its gradient is a share of the score's. The kernel of blur₃ is 3 × 3,
    0.5 with a centre of 1, normalised by its sum within the image.

    Args:
        layer: name as in `layers(model)`; by default the image before transforms, in [0, 1].
        channel_axis: axis of the channels in the layer's output; by default axis 1.

    Raises:
        ValueError: at the first step, a layer without rows and columns.

    Example:
        >>> blur_input_each_step()({IMAGE: torch.tensor([[[[0.0, 3.0, 0.0]]]])})
        tensor([2.1250])
    """
    return make_objective("blur_input_each_step", layer, distance_to_blur, channel_axis=channel_axis)


def blur_alpha_each_step() -> Objective:
    """Measure ½ Σ (α − blur₃ α)²: `blur_input_each_step` of the alpha channel. Subtract it. Lucid's name.

    A sum over rows and columns.

    Raises:
        ValueError: at the first step, images without alpha.

    Example:
        >>> x = torch.zeros(1, 4, 1, 3)
        >>> x[0, 3, 0, 1] = 3.0
        >>> blur_alpha_each_step()({IMAGE: x})
        tensor([2.1250])
    """
    return make_objective("blur_alpha_each_step", IMAGE, alpha_distance_to_blur)


def penalize_boundary_complexity(mask: Any = None, *, width: int = BORDER, constant: float = 0.5) -> Objective:
    """Maximise −Σ mask · [(blur₅ x − x)² + 0.8 (x − k)²]: a uniform border near the colour k. Add it: it is negative.

    Lucid's name and numbers: a sum over pixels and channels, so that a border of twice the length counts twice. As a
    prior it is negated, `Prior(-penalize_boundary_complexity(), 0.1)`. The kernel of blur₅ is 5 × 5, 0.5 with an inner
    3 × 3 of 1, normalised by its sum within the image.

    Args:
        mask: the weight of each pixel, (H, W), or one per image, (B, H, W); by default 1 on the border and 0 inside.
        width: of that border, in pixels; an image narrower than twice this is all border.
        constant: k.

    Raises:
        ValueError: a width under 1, a mask with other axes; at the first step, a mask of another size.

    Example:
        >>> penalize_boundary_complexity(width=1)({IMAGE: torch.zeros(1, 3, 3, 3)})
        tensor([-4.8000])
    """
    check_minimum(1, width=width)
    rows = () if mask is None else (as_rows(mask, 3, "mask", "(H, W), or one per image, (B, H, W)"),)
    return make_objective(
        "penalize_boundary_complexity",
        IMAGE,
        boundary_complexity,
        *rows,
        width=width,
        constant=constant,
    )


def input_diff(image: Any) -> Objective:
    """Measure √mean((x − x₀)²), the difference from an image. Subtract it to stay near x₀. Lucid's name.

    A mean over pixels and channels, in [0, 1]: the same for any size.

    Where x = x₀ the gradient is 0, not NaN, so that the ascent can start from x₀.

    Args:
        image: x₀ in [0, 1] and of the canvas's size, (3, H, W), or one per image, (B, 3, H, W).

    Raises:
        ValueError: an image with other axes; at the first step, one of another size.

    Example:
        >>> input_diff(torch.zeros(3, 2, 2))({IMAGE: torch.full((1, 3, 2, 2), 0.5)})
        tensor([0.5000])
    """
    rows = as_rows(image, 4, "image", "(3, H, W), or one per image, (B, 3, H, W)")
    return make_objective("input_diff", IMAGE, root_mean_square_difference, rows)
