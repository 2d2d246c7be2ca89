"""Parts of images, or whole images of a batch, that stay fixed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from optvis.params.color import ColorMap, check_range
from optvis.params.dtype import parameter_dtype
from optvis.params.image import ImageParam
from optvis.params.repr import format_tensor


class FixedRegion(ColorMap):
    """A mix of free and fixed images: mask · x + (1 − mask) · fixed.

    A mask between 0 and 1 mixes the two, which softens an edge. No gradient reaches the fixed part. The inverse undoes
    the mix where the mask is over 0; elsewhere it returns its input.

    Args:
        fixed: the images where the mask is 0, (B, C, H, W) in [0, 1]; axes of length 1 are broadcast.
        mask: 1 where the image is free and 0 where it is fixed, (B, C, H, W) in [0, 1]; axes of length 1 are broadcast.

    Raises:
        ValueError: `fixed` or `mask` has not four axes, or the mask leaves [0, 1].

    Example:
        >>> left = torch.zeros(1, 1, 1, 4)
        >>> left[..., :2] = 1
        >>> FixedRegion(torch.full((1, 1, 1, 1), 0.25), left)(torch.ones(1, 1, 1, 4)).flatten()
        tensor([1.0000, 1.0000, 0.2500, 0.2500])
    """

    fixed: Tensor
    mask: Tensor

    def __init__(self, fixed: Tensor, mask: Tensor) -> None:
        super().__init__()
        if fixed.dim() != 4 or mask.dim() != 4:
            raise ValueError(
                f"the fixed images are {tuple(fixed.shape)} and the mask is {tuple(mask.shape)}; expected (B, C, H, W) "
                "for both, with 1 for axes to broadcast"
            )
        check_range(fixed, "the fixed images")
        weights = mask.detach().to(parameter_dtype())
        if not ((weights >= 0) & (weights <= 1)).all():
            raise ValueError("the mask leaves [0, 1]; expected 1 where the image is free and 0 where it is fixed")
        self.register_buffer("fixed", fixed.detach().to(parameter_dtype()).clone())
        self.register_buffer("mask", weights.clone())

    def forward(self, images: Tensor) -> Tensor:
        return torch.lerp(self.fixed.expand_as(images), images, self.mask.expand_as(images))

    def inverse(self, images: Tensor) -> Tensor:
        fixed, mask = self.fixed.to(images), self.mask.to(images)
        free = fixed + (images - fixed) / torch.where(mask > 0, mask, 1)
        return torch.where(mask > 0, free, images)

    def __getitem__(self, rows: slice) -> Self:
        parts = {id(part): part[rows].clone() if len(part) > 1 else part for part in (self.fixed, self.mask)}
        return copy.deepcopy(self, dict[int, Any](parts))

    def __repr__(self) -> str:
        return f"FixedRegion({format_tensor(self.fixed)}, {format_tensor(self.mask)})"


@torch.no_grad()
def fix_region(param: ImageParam, images: Tensor, mask: Tensor) -> ImageParam:
    """Fix a part of each image; only the rest stays free.

    Args:
        param: the parameterization. The result shares its canvas: a change to one shows in the other.
        images: the fixed images, (B, C, H, W) or (1, C, H, W) in [0, 1].
        mask: 1 where the image is free and 0 where it is fixed; (B, C, H, W), axes of length 1 are broadcast, or
            (H, W) for all images.

    Returns:
        An ImageParam of the same shape.

    Raises:
        ValueError: images or mask do not fit the shape of `param()`; a mask outside [0, 1].

    Example:
        >>> from optvis.params import fft_image
        >>> hole = torch.zeros(16, 16)
        >>> hole[4:12, 4:12] = 1
        >>> inpainted = fix_region(fft_image(16), torch.rand(1, 3, 16, 16), hole)
        >>> inpainted().shape
        torch.Size([1, 3, 16, 16])
    """
    mask = mask.expand(1, 1, *mask.shape) if mask.dim() == 2 else mask
    region = FixedRegion(images, mask)
    shape = tuple(param().shape)
    for what, part in (("the fixed images are", images), ("the mask is", mask)):
        if any(side not in (1, whole) for side, whole in zip(part.shape, shape, strict=True)):
            raise ValueError(f"{what} {tuple(part.shape)}; expected the shape of the parameterization, {shape}")
    return ImageParam(param.canvas, *param.maps, region)


@torch.no_grad()
def fix_images(param: ImageParam, images: Mapping[int, Tensor]) -> ImageParam:
    """Fix some images of a batch, as references for an objective that compares images.

    Args:
        param: the parameterization. The result shares its canvas: a change to one shows in the other.
        images: index in the batch -> the fixed image, (C, H, W) or (1, C, H, W) in [0, 1].

    Returns:
        An ImageParam of the same shape.

    Raises:
        IndexError: an index outside the batch.
        ValueError: an image of another shape.

    Example:
        >>> from optvis.params import fft_image
        >>> pair = fix_images(fft_image(16, seeds=(0, 1)), {0: torch.zeros(3, 16, 16)})
        >>> pair().amax(dim=(1, 2, 3)) > 0.4
        tensor([False,  True])
    """
    batch, *one = param().shape
    fixed = torch.zeros(batch, *one, dtype=parameter_dtype(), device="cpu")
    mask = torch.ones(batch, 1, 1, 1, dtype=parameter_dtype(), device="cpu")
    for index, image in images.items():
        if not -batch <= index < batch:
            raise IndexError(f"got a fixed image for index {index}; the batch has {batch} images, counted from 0")
        if tuple(image.shape) not in (tuple(one), (1, *one)):
            raise ValueError(f"the fixed image for index {index} is {tuple(image.shape)}; expected {tuple(one)}")
        fixed[index] = image.detach().cpu()
        mask[index] = 0
    return ImageParam(param.canvas, *param.maps, FixedRegion(fixed, mask))
