"""Parts of images, or whole images of a batch, that stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from optvis.params.color import ColorMap, check_range
from optvis.params.image import ImageParam
from optvis.params.repr import spelled_tensor


class Fixed(ColorMap):
    """Given pictures where the mask is 0, the images where it is 1: mask · x + (1 − mask) · picture.

    Between 0 and 1 the two are mixed, which softens an edge. No gradient reaches what is fixed. The inverse undoes the
    mixture where the mask is over 0, and is the images themselves elsewhere.

    Args:
        pictures: (B, C, H, W) in [0, 1]; axes of length 1 stand for all.
        free: the mask, (B, C, H, W) in [0, 1]; axes of length 1 stand for all.

    Raises:
        ValueError: not four axes each, or a mask outside [0, 1].

    Example:
        >>> left = torch.zeros(1, 1, 1, 4)
        >>> left[..., :2] = 1
        >>> Fixed(torch.full((1, 1, 1, 1), 0.25), left)(torch.ones(1, 1, 1, 4)).flatten()
        tensor([1.0000, 1.0000, 0.2500, 0.2500])
    """

    pictures: Tensor
    free: Tensor

    def __init__(self, pictures: Tensor, free: Tensor) -> None:
        super().__init__()
        if pictures.dim() != 4 or free.dim() != 4:
            raise ValueError(
                f"pictures are {tuple(pictures.shape)} and the mask is {tuple(free.shape)}; expected (B, C, H, W) "
                "each, 1 where all have the same"
            )
        check_range(pictures, "pictures")
        mask = free.detach().to(torch.get_default_dtype())
        if not ((mask >= 0) & (mask <= 1)).all():
            raise ValueError("the mask leaves [0, 1]; expected 1 where the image is free and 0 where it is fixed")
        self.register_buffer("pictures", pictures.detach().to(torch.get_default_dtype()).clone())
        self.register_buffer("free", mask.clone())

    def forward(self, images: Tensor) -> Tensor:
        return torch.lerp(self.pictures.expand_as(images), images, self.free.expand_as(images))

    def inverse(self, images: Tensor) -> Tensor:
        pictures, free = self.pictures.to(images), self.free.to(images)
        unmixed = pictures + (images - pictures) / torch.where(free > 0, free, 1)
        return torch.where(free > 0, unmixed, images)

    def __getitem__(self, rows: slice) -> Self:
        kept = {id(part): part[rows].clone() if len(part) > 1 else part for part in (self.pictures, self.free)}
        return copy.deepcopy(self, dict[int, Any](kept))

    def __repr__(self) -> str:
        return f"Fixed({spelled_tensor(self.pictures)}, {spelled_tensor(self.free)})"


def fixed_region(image: ImageParam, pictures: Tensor, free: Tensor) -> ImageParam:
    """The same images, of which only a part is free; the rest shows given pictures.

    Args:
        image: the parameterization; its canvas is shared, so one follows the other.
        pictures: what stays, (B, C, H, W) or (1, C, H, W) in [0, 1].
        free: 1 where the image is free and 0 where it is fixed; (B, C, H, W), where axes of length 1 stand for all;
            (H, W) is a mask for all images.

    Returns:
        An ImageParam of the same shape.

    Raises:
        ValueError: pictures or mask do not fit the images; a mask outside [0, 1].

    Example:
        >>> from optvis.params import fft_image
        >>> hole = torch.zeros(16, 16)
        >>> hole[4:12, 4:12] = 1
        >>> inpainted = fixed_region(fft_image(16), torch.rand(1, 3, 16, 16), hole)
        >>> inpainted().shape
        torch.Size([1, 3, 16, 16])
    """
    mask = free.expand(1, 1, *free.shape) if free.dim() == 2 else free
    fixed = Fixed(pictures, mask)
    shape = _shape(image)
    for what, part in (("pictures are", pictures), ("the mask is", mask)):
        if any(side not in (1, whole) for side, whole in zip(part.shape, shape, strict=True)):
            raise ValueError(f"{what} {tuple(part.shape)}; these images are {shape}")
    return ImageParam(image.canvas, *image.maps, fixed)


def fixed_images(image: ImageParam, pictures: Mapping[int, Tensor]) -> ImageParam:
    """The same batch, of which some images stay given pictures: what coupled objectives compare the free ones with.

    Args:
        image: the parameterization; its canvas is shared, so one follows the other.
        pictures: (C, H, W) or (1, C, H, W) in [0, 1] by the place of the image in the batch.

    Returns:
        An ImageParam of the same shape.

    Raises:
        IndexError: no such image.
        ValueError: a picture of another shape.

    Example:
        >>> from optvis.params import fft_image
        >>> pair = fixed_images(fft_image(16, seeds=(0, 1)), {0: torch.zeros(3, 16, 16)})
        >>> pair().amax(dim=(1, 2, 3)) > 0.4
        tensor([False,  True])
    """
    batch, *one = _shape(image)
    kept = torch.zeros(batch, *one)
    free = torch.ones(batch, 1, 1, 1)
    for place, picture in pictures.items():
        if not -batch <= place < batch:
            raise IndexError(f"image {place} is to be fixed; there are {batch}, from 0")
        if tuple(picture.shape) not in (tuple(one), (1, *one)):
            raise ValueError(f"the picture for image {place} is {tuple(picture.shape)}; these images are {tuple(one)}")
        kept[place] = picture.detach().cpu()
        free[place] = 0
    return ImageParam(image.canvas, *image.maps, Fixed(kept, free))


@torch.no_grad()
def _shape(image: ImageParam) -> tuple[int, ...]:
    return tuple(image().shape)


__all__ = ["Fixed", "fixed_images", "fixed_region"]
