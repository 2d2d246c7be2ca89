"""Penalties on the picture itself. Subtract them, unless they say that they are negative already."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from optvis.objectives.layout import IMAGE, channels_first
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows

BORDER = 20  # width of the border in pixels, and
DISTANCE_WEIGHT = 0.8  # of a pixel's distance to grey (lucid.optvis.objectives.penalize_boundary_complexity, 2018)


def neighbor_differences(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Σ|Δ_h A| + Σ|Δ_w A|.  a (B, C, H, W) -> (B,)"""
    a = planes(a, channel_axis, "total variation")
    return a.diff(dim=2).abs().flatten(1).sum(1) + a.diff(dim=3).abs().flatten(1).sum(1)


def blur(a: Tensor, side: int) -> Tensor:
    """A blur with a square kernel of 0.5 whose inside is 1, divided by its own sum inside the border.  (B, C, H, W)

    Such a kernel is half a box plus half a box that is two pixels smaller.

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
    """½ Σ (A − blur₃ A)², the blurred one being held constant.  a (B, C, H, W) -> (B,)"""
    a = planes(a, channel_axis, "a blur")
    return 0.5 * (a - blur(a.detach(), 3)).square().flatten(1).sum(1)


def alpha_distance_to_blur(x: Tensor) -> Tensor:
    """`distance_to_blur` of the fourth channel alone.  x (B, 4, H, W) -> (B,)"""
    if x.dim() != 4 or x.shape[1] != 4:
        raise ValueError(f"alpha is the last of four channels, (B, 4, H, W), as of `alpha_image`; got {tuple(x.shape)}")
    return distance_to_blur(x[:, 3:])


def boundary_complexity(x: Tensor, mask: Tensor | None = None, width: int = BORDER, constant: float = 0.5) -> Tensor:
    """−Σ mask · [(blur₅ x − x)² + 0.8 (x − constant)²].  x (B, C, H, W), mask (B, H, W) or (1, H, W) -> (B,)"""
    found = (blur(x, 5) - x).square() + DISTANCE_WEIGHT * (x - constant).square()
    where = border(x, width) if mask is None else mask.to(x.dtype)
    if where.shape[1:] != x.shape[2:]:
        raise ValueError(f"a mask of {tuple(where.shape[1:])} for images of {tuple(x.shape[2:])} pixels")
    return -(where.unsqueeze(1) * found).flatten(1).sum(1)


def border(x: Tensor, width: int) -> Tensor:
    """1 up to `width` pixels from the edge, 0 elsewhere.  x (B, C, H, W) -> (1, H, W)"""
    mask = x.new_ones(1, *x.shape[2:])
    mask[:, width : x.shape[2] - width, width : x.shape[3] - width] = 0
    return mask


def root_mean_square_difference(x: Tensor, image: Tensor) -> Tensor:
    """√mean((x − image)²), whose gradient is 0 where they are equal.  x (B, C, H, W) -> (B,)"""
    if x.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"the difference to an image of {tuple(image.shape[1:])} of images of {tuple(x.shape[1:])}; "
            "resize it to the canvas's size"
        )
    gaps = (x - image.to(x.dtype)).flatten(1)
    distances: Tensor = torch.linalg.vector_norm(gaps, dim=1)
    return distances / math.sqrt(gaps.shape[1])


def planes(a: Tensor, channel_axis: int | None, what: str) -> Tensor:
    """Activations with rows and columns, (B, C, H, W)."""
    a = channels_first(a, channel_axis)
    if a.dim() != 4:
        raise ValueError(f"{what} needs rows and columns, (B, C, H, W); got {tuple(a.shape)}")
    return a


def total_variation(layer: str = IMAGE, *, channel_axis: int | None = None) -> Objective:
    """Σ|Δ_h x| + Σ|Δ_w x|: how much neighbouring pixels differ (Rudin, Osher & Fatemi 1992; anisotropic).

    Mahendran & Vedaldi 2015 (arXiv:1412.0035) brought it to network inversion. Subtract it to smooth.

    Args:
        layer: name as in `layers(net)`; the untransformed image in [0, 1] by default.
        channel_axis: axis of the channels in the layer's output; by default the second.

    Raises:
        ValueError: at the first step, a layer without rows and columns.

    Example:
        >>> import torch
        >>> total_variation()({IMAGE: torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])})
        tensor([2.])
    """
    return make_objective("total_variation", (layer,), neighbor_differences, channel_axis=channel_axis)


def blur_input_each_step(layer: str = IMAGE, *, channel_axis: int | None = None) -> Objective:
    """½ Σ (x − blur₃ x)² with a gradient of x − blur₃ x: subtracting it blurs the image a little at each step.

    Lucid's name; the blurred image is held constant, so that a step of size k is x ← (1 − k) x + k · blur₃ x. As in
    Nguyen et al. 2015 (arXiv:1412.1897). blur₃ is 3 × 3 of 0.5 with a centre of 1, divided by its sum inside the
    border.

    Args:
        layer: name as in `layers(net)`; the untransformed image in [0, 1] by default.
        channel_axis: axis of the channels in the layer's output; by default the second.

    Raises:
        ValueError: at the first step, a layer without rows and columns.

    Example:
        >>> blur_input_each_step()({IMAGE: torch.tensor([[[[0.0, 3.0, 0.0]]]])})
        tensor([2.1250])
    """
    return make_objective("blur_input_each_step", (layer,), distance_to_blur, channel_axis=channel_axis)


def blur_alpha_each_step() -> Objective:
    """½ Σ (α − blur₃ α)², `blur_input_each_step` of an image's alpha channel alone. Lucid's name; subtract it.

    Raises:
        ValueError: at the first step, images without alpha.

    Example:
        >>> x = torch.zeros(1, 4, 1, 3)
        >>> x[0, 3, 0, 1] = 3.0
        >>> blur_alpha_each_step()({IMAGE: x})
        tensor([2.1250])
    """
    return make_objective("blur_alpha_each_step", (IMAGE,), alpha_distance_to_blur)


def penalize_boundary_complexity(mask: Any = None, *, width: int = BORDER, constant: float = 0.5) -> Objective:
    """−Σ mask · [(blur₅ x − x)² + 0.8 (x − k)²]: a calm border near the colour k. Negative already: add it.

    Lucid's name and numbers. blur₅ is 5 × 5 of 0.5 with an inner 3 × 3 of 1, divided by its sum inside the border.

    Args:
        mask: what is penalised and how much, (H, W), or one per image, (B, H, W); by default 1 on the border and 0
            inside.
        width: of that border, in pixels; an image narrower than twice this is all border.
        constant: k.

    Raises:
        ValueError: a width under 1, a mask with other axes; at the first step, a mask of another size.

    Example:
        >>> penalize_boundary_complexity(width=1)({IMAGE: torch.zeros(1, 3, 3, 3)})
        tensor([-4.8000])
    """
    if width < 1:
        raise ValueError(f"width is {width}; expected 1 pixel or more")
    rows = () if mask is None else (as_rows(mask, axes=3),)
    for given in rows:
        if given.dim() != 3:
            raise ValueError(f"mask is {tuple(given.shape)}; expected (H, W), or one per image, (B, H, W)")
    return make_objective(
        "penalize_boundary_complexity",
        (IMAGE,),
        boundary_complexity,
        *rows,
        width=None if width == BORDER else width,
        constant=None if constant == 0.5 else constant,
    )


def input_diff(image: Any) -> Objective:
    """√mean((x − x₀)²), the difference to an image: subtract it to stay near. Lucid's name.

    Where x = x₀ its gradient is 0, not NaN, so that one may start from x₀.

    Args:
        image: x₀ in [0, 1] and of the canvas's size, (3, H, W), or one per image, (B, 3, H, W).

    Raises:
        ValueError: an image with other axes; at the first step, one of another size.

    Example:
        >>> input_diff(torch.zeros(3, 2, 2))({IMAGE: torch.full((1, 3, 2, 2), 0.5)})
        tensor([0.5000])
    """
    rows = as_rows(image, axes=4)
    if rows.dim() != 4:
        raise ValueError(f"image is {tuple(rows.shape)}; expected (3, H, W), or one per image, (B, 3, H, W)")
    return make_objective("input_diff", (IMAGE,), root_mean_square_difference, rows)
