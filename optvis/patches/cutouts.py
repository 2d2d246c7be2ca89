"""Patches from anywhere: a file with alpha, a tensor, a piece of a photograph with soft edges."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.data.images import load_image

CELLS = 16  # along the longer side of a shuffled patch


def cutout(source: Any) -> Tensor:
    """A patch from a file, which keeps its transparency, or from a tensor.

    Args:
        source: path of an image, or a tensor (3, h, w) or (4, h, w) in [0, 1].

    Returns:
        (4, h, w) in [0, 1]: red, green, blue and how much it covers.

    Raises:
        ValueError: a tensor of another shape or range, or with NaN in it; a patch that covers nothing; a file that
            is no image.
        FileNotFoundError: no such file.

    Example:
        >>> cutout(torch.zeros(3, 8, 8)).shape
        torch.Size([4, 8, 8])
    """
    patch = _file(Path(source)) if isinstance(source, str | os.PathLike) else source
    if not isinstance(patch, Tensor):
        raise TypeError(f"a patch is a path or a tensor (4, h, w); got {type(patch).__name__}")
    if patch.dim() != 3 or len(patch) not in (3, 4) or 0 in patch.shape:
        raise ValueError(f"patch has shape {tuple(patch.shape)}; expected (3, h, w) or (4, h, w)")
    if not patch.is_floating_point():
        raise TypeError(f"patch is {patch.dtype}; expected floats in [0, 1]: divide by 255")
    if not bool(((patch >= 0) & (patch <= 1)).all()):
        raise ValueError("patch holds NaN, or leaves [0, 1]; divide bytes by 255")
    whole = patch if len(patch) == 4 else torch.cat([patch, torch.ones_like(patch[:1])])
    if not bool((whole[3] > 0).any()):
        raise ValueError("patch is transparent everywhere; it covers nothing")
    return whole.detach().float().cpu()


def cut(image: Any, box: tuple[int, int, int, int], *, soft: float = 0.2) -> Tensor:
    """A piece of a photograph in an oval outline that fades, so that no hard edge is pasted with it.

    Args:
        image: in any form that `picture` takes; one.
        box: (top, bottom, left, right) in pixels; the first inside, the second outside.
        soft: the share of the way from rim to centre over which it fades; 0 is a hard oval.

    Returns:
        (4, h, w) in [0, 1].

    Raises:
        ValueError: a box that is empty or leaves the image; soft outside [0, 1].

    Example:
        >>> cut(torch.ones(3, 20, 20), (5, 15, 5, 15))[3].amax()
        tensor(1.)
    """
    whole = load_image(image)[0]
    top, bottom, left, right = box
    if not (0 <= top < bottom <= whole.shape[1] and 0 <= left < right <= whole.shape[2]):
        raise ValueError(f"box {box} of an image of {whole.shape[1]} × {whole.shape[2]}; (top, bottom, left, right)")
    if not 0 <= soft <= 1:
        raise ValueError(f"soft is {soft}; expected 0 to 1")
    down, across = (2 * (torch.arange(side) + 0.5) / side - 1 for side in (bottom - top, right - left))
    inward = 1 - torch.hypot(down[:, None], across[None])
    cover = (inward / soft).clamp(0, 1) if soft else (inward >= 0).float()
    return torch.cat([whole[:, top:bottom, left:right], cover[None]])


def shuffled(patch: Tensor, seed: int = 0) -> Tensor:
    """A control patch: the same outline and colours, in another order.

    The patch is made of coarse cells, 16 along its longer side; those that it covers change places.

    Args:
        patch: (4, h, w) in [0, 1].
        seed: of the order.

    Example:
        >>> shuffled(torch.rand(4, 32, 32)).shape
        torch.Size([4, 32, 32])
    """
    sides = [max(1, round(side * CELLS / max(patch.shape[1:]))) for side in patch.shape[1:]]
    weighed = torch.cat([patch[:3] * patch[3:], patch[3:]])[None]
    coarse = F.interpolate(weighed, sides, mode="area")[0].flatten(1)
    colours, cover = coarse[:3] / coarse[3:].clamp_min(1e-6), coarse[3]
    inside = (cover >= 0.5 * cover.max()).nonzero().flatten()
    order = inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(seed))]
    mixed = (colours * cover).sum(1, keepdim=True).div(cover.sum()).expand_as(colours).clone()  # the mean at the rim
    mixed[:, inside] = colours[:, order]
    enlarged = F.interpolate(mixed.view(1, 3, *sides), patch.shape[1:], mode="nearest")[0]
    return torch.cat([enlarged.clamp(0, 1), patch[3:]])


def _file(path: Path) -> Tensor:
    """(3, h, w), or (4, h, w) where it has transparency."""
    from PIL import Image, ImageOps

    rgb = load_image(path)[0]  # refuses what is no image
    with Image.open(path) as image:
        if not image.has_transparency_data:
            return rgb
        levels = np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    return torch.from_numpy(levels).permute(2, 0, 1).float() / 255


__all__ = ["cut", "cutout", "shuffled"]
