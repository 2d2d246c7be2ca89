"""Patches: small pictures pasted onto larger ones, to see what they make a network say."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def paste(patch: Tensor, onto: Tensor, size: int, place: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """Images with a patch on each of them; what reaches over their edge is cut off.

    Args:
        patch: (4, h, w) in [0, 1]: red, green, blue and how much it covers; or (3, h, w), which covers all.
        onto: (3, H, W) or (B, 3, H, W) in [0, 1].
        size: the longer side of the patch as pasted, in pixels, at least 1.
        place: of the patch's centre, down and across, in shares of the image's height and width.

    Returns:
        images like `onto`, which is left as it is.

    Raises:
        ValueError: a shape or a size other than said.
        TypeError: bytes, which are to be divided by 255 first.

    Example:
        >>> red = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
        >>> paste(red, torch.zeros(3, 4, 4), size=2)[0]
        tensor([[0., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    _check_patch(patch)
    if not onto.is_floating_point():
        raise TypeError(f"onto is {onto.dtype}; expected floats in [0, 1]: divide by 255")
    if onto.ndim not in (3, 4) or onto.shape[-3] != 3:
        raise ValueError(f"onto has shape {tuple(onto.shape)}; expected (3, H, W) or (B, 3, H, W)")
    if size < 1:
        raise ValueError(f"size is {size}; expected at least 1 pixel")
    colours, cover = _resized(patch.to(onto), size)
    (top, left), (height, width) = _corner(place, onto, cover), cover.shape[-2:]
    rows, columns = _inside(top, height, onto.shape[-2]), _inside(left, width, onto.shape[-1])
    here = (..., slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
    pasted = onto.clone()
    pasted[here] = onto[here] * (1 - cover[..., rows, columns]) + colours[..., rows, columns]
    return pasted


def flat(patch: Tensor) -> Tensor:
    """A control patch (4, h, w): the same outline, filled with the patch's mean colour."""
    _check_patch(patch)
    colours, cover = patch[:3], patch[3:] if patch.shape[0] == 4 else torch.ones_like(patch[:1])
    mean = (colours * cover).sum((1, 2), keepdim=True) / cover.sum().clamp_min(1e-9)
    return torch.cat([mean.expand_as(colours), cover])


def _check_patch(patch: Tensor) -> None:
    if patch.ndim != 3 or patch.shape[0] not in (3, 4) or 0 in patch.shape:
        raise ValueError(f"patch has shape {tuple(patch.shape)}; expected (3, h, w) or (4, h, w)")
    if not patch.is_floating_point():
        raise TypeError(f"patch is {patch.dtype}; expected floats in [0, 1]: divide by 255")


def _resized(patch: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Colours times cover (3, h, w), and cover (1, h, w)."""
    cover = patch[3:] if patch.shape[0] == 4 else torch.ones_like(patch[:1])
    longer = max(patch.shape[-2:])
    sides = [max(1, round(side * size / longer)) for side in patch.shape[-2:]]
    whole = torch.cat([patch[:3] * cover, cover])[None]
    resized = F.interpolate(whole, sides, mode="bilinear", antialias=True, align_corners=False)[0]
    return resized[:3], resized[3:]


def _corner(place: tuple[float, float], onto: Tensor, cover: Tensor) -> tuple[int, int]:
    sides = zip(place, onto.shape[-2:], cover.shape[-2:], strict=True)
    top, left = (round(share * whole - side / 2) for share, whole, side in sides)
    return top, left


def _inside(start: int, length: int, whole: int) -> slice:
    """Which of the patch's rows or columns lie on the image."""
    first = min(max(0, -start), length)
    return slice(first, max(first, min(length, whole - start)))
