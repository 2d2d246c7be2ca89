"""Methods for pixels, which work at layers too: saliency, and occlusion by masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from optvis.attribution.layer_function import LayerFunction, widen
from optvis.attribution.methods import GradientMethod, GradientTimesActivation
from optvis.objectives import IMAGE

SIDE = 16  # of the squares that are hidden, where no masks are given, in pixels
GRAY = 0.5


@dataclass(frozen=True)
class Saliency:
    """The size of ∂score/∂a: how much the score would change with each pixel, whatever its own value is.

    Simonyan et al. 2013, arXiv:1312.6034. With `SmoothGrad()` in place of the gradient it is the map of Smilkov et al.
    2017, arXiv:1706.03825.

    Args:
        gradient: the method whose gradients are taken.
        is_signed: keep the sign.

    Example:
        >>> from optvis.attribution import SmoothGrad
        >>> Saliency(SmoothGrad(samples=8)).gradient.samples
        8
    """

    description: ClassVar[str] = "by the size of the gradient"

    gradient: GradientMethod = field(default_factory=GradientTimesActivation)
    is_signed: bool = False

    def values(self, layer_function: LayerFunction) -> Tensor:
        """Return the gradient of each activation, (B, ...)."""
        gradients = self.gradient.gradients(layer_function)
        return gradients if self.is_signed else gradients.abs()


@dataclass(frozen=True, eq=False)
class Occlusion:
    """The loss of the score when a region is hidden, for each region in turn, shared out among its pixels.

    Zeiler & Fergus 2013, arXiv:1311.2901, who hide gray squares. The regions may be any: superpixels, the masks of a
    segmentation, or boxes. Where they do not overlap, `Attribution.by_region(masks)` gives the loss of each again.

    Args:
        masks: a map of regions (H, W) of integers, one for each region, as superpixels are; masks (K, H, W) in [0, 1],
            of bool or numbers, or of each image its own, (B, K, H, W); or the side of squares in pixels.
        fill: what hides a region: a number, or images (B or 1, C, H, W), such as blurred ones. By default gray, 0.5, in
            images, and 0 in layers.

    Raises:
        ValueError: masks of another size than the image; numbers out of range.

    Example:
        >>> Occlusion(torch.arange(64).view(8, 8) // 8)
        Occlusion(masks=(8, 8), fill=None)
    """

    masks: Tensor | int = SIDE
    fill: float | Tensor | None = None

    units = "positions"

    @property
    def description(self) -> str:
        """How the values are found, for plots."""
        return f"measured by hiding {'squares' if isinstance(self.masks, int) else 'regions'}"

    def __post_init__(self) -> None:
        if isinstance(self.masks, int) and self.masks < 1:
            raise ValueError(f"masks is {self.masks}; expected masks, or the side of squares, 1 or more")

    def values(self, layer_function: LayerFunction) -> Tensor:
        """Return the loss of each region divided by its area, summed at each position, (B, H, W)."""
        a = layer_function.channels_first
        given = self.masks
        if isinstance(given, Tensor) and given.dim() == 4:
            given = layer_function.own_rows(given, "masks")
        masks = expand_masks(given, a.shape).to(a)
        fill = self._fill(layer_function)
        before = widen(layer_function.scores(layer_function.activations.unsqueeze(0)))
        total = torch.zeros_like(widen(a[:, 0]))
        for batch in layer_function.batches(masks.shape[1]):
            some = masks[:, batch].transpose(0, 1).unsqueeze(2)  # (k, B or 1, 1, H, W)
            hidden = layer_function.restore_layout(a * (1 - some) + fill * some)
            losses = before - layer_function.scores(hidden)  # (k, B)
            areas = widen(some).flatten(2).sum(2).clamp(min=torch.finfo(torch.float32).tiny)
            total += ((losses / areas).view(*losses.shape, 1, 1) * some.squeeze(2)).sum(0)
        return total

    def _fill(self, layer_function: LayerFunction) -> Tensor:
        a = layer_function.channels_first
        fill = (GRAY if layer_function.tail.layer == IMAGE else 0.0) if self.fill is None else self.fill
        tensor = torch.as_tensor(fill, dtype=a.dtype, device=a.device)
        tensor = layer_function.own_rows(tensor, "fill") if tensor.dim() == a.dim() else tensor
        try:
            tensor.expand_as(a)
        except RuntimeError as error:
            raise ValueError(f"fill has shape {tuple(tensor.shape)}; expected {tuple(a.shape)}") from error
        return tensor

    def __repr__(self) -> str:
        def show(value: object) -> str:
            return str(tuple(value.shape)) if isinstance(value, Tensor) else str(value)

        return f"Occlusion(masks={show(self.masks)}, fill={show(self.fill)})"


def expand_masks(masks: Tensor | int, shape: torch.Size) -> Tensor:
    """Turn any form of masks into float masks, (B or 1, K, H, W), for images or activations (B, C, H, W).

    Raises:
        ValueError: another size, or another number of images.

    Example:
        >>> expand_masks(2, torch.Size([1, 3, 4, 6])).shape
        torch.Size([1, 6, 4, 6])
    """
    if len(shape) != 4:
        raise ValueError(f"masks need rows and columns, and this layer has shape {tuple(shape)}")
    size = tuple(shape[2:])
    given = square_regions(masks, (size[0], size[1])) if isinstance(masks, int) else masks
    found = given
    if found.dim() == 2:
        if found.is_floating_point():
            raise ValueError("masks is one map of numbers; expected integers, one for each region, or masks (K, H, W)")
        found = torch.stack([found == region for region in found.unique()])  # type: ignore[no-untyped-call]
    if found.dim() == 3:
        found = found.unsqueeze(0)
    if found.dim() != 4 or tuple(found.shape[2:]) != size or len(found) not in (1, shape[0]):
        raise ValueError(
            f"masks have shape {tuple(given.shape)} for images (B, C, H, W) of {tuple(shape)}; "
            "expected regions (H, W), masks (K, H, W) or (B, K, H, W)"
        )
    values = found.float()
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("masks have values outside [0, 1]; expected bool, or the share of each pixel")
    return values


def square_regions(side: int, size: tuple[int, int]) -> Tensor:
    """Number squares from left to right and from top to bottom, (H, W); those at the right and lower edge may be cut.

    Example:
        >>> square_regions(2, (2, 5))
        tensor([[0, 0, 1, 1, 2],
                [0, 0, 1, 1, 2]])
    """
    rows, columns = (torch.arange(length, device="cpu") // side for length in size)
    return rows.unsqueeze(1) * (int(columns.max()) + 1) + columns.unsqueeze(0)
