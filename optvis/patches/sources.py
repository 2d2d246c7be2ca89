"""Patches from files and tensors, and patches cut from images with soft edges."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optvis.data.folders import image_formats
from optvis.data.images import load_image
from optvis.patches.paste import check_patch, split_alpha


def load_patch(source: Any) -> Tensor:
    """Load a patch from a file, with its transparency, or check a tensor.

    Args:
        source: path of an image, or a tensor (3, h, w) or (4, h, w) in [0, 1].

    Returns:
        (4, h, w) in [0, 1]: red, green, blue and alpha.

    Raises:
        ValueError: a tensor of another shape or range, or with NaN; a patch that is transparent everywhere; a file
            that is no image.
        TypeError: neither a path nor a tensor of floats.
        FileNotFoundError: there is no such file.

    Example:
        >>> load_patch(torch.zeros(3, 8, 8)).shape
        torch.Size([4, 8, 8])
    """
    patch = _load_file(Path(source)) if isinstance(source, str | os.PathLike) else source
    if not isinstance(patch, Tensor):
        raise TypeError(f"a patch is a path or a tensor (4, h, w); got {type(patch).__name__}")
    check_patch(patch)
    if not bool(((patch >= 0) & (patch <= 1)).all()):
        raise ValueError("patch has NaN, or values outside [0, 1]; divide bytes by 255")
    rgba = torch.cat(split_alpha(patch))
    if not bool((rgba[3] > 0).any()):
        raise ValueError("patch is transparent everywhere; it covers nothing")
    return rgba.detach().float().cpu()


def cut_patch(image: Any, box: tuple[int, int, int, int], *, softness: float = 0.2) -> Tensor:
    """Cut an oval patch with soft edges out of an image, so that no hard edge is pasted with it.

    Args:
        image: one image in any form that `load_image` takes.
        box: (top, bottom, left, right) in pixels; the first inside, the second outside.
        softness: width of the soft edge as a share of the radius; 0 is a hard oval.

    Returns:
        (4, h, w) in [0, 1].

    Raises:
        ValueError: a box that is empty or leaves the image; softness outside [0, 1].

    Example:
        >>> cut_patch(torch.ones(3, 20, 20), (5, 15, 5, 15))[3].amax()
        tensor(1.)
    """
    pixels = load_image(image)[0]
    top, bottom, left, right = box
    if not (0 <= top < bottom <= pixels.shape[1] and 0 <= left < right <= pixels.shape[2]):
        raise ValueError(f"box {box} of an image of {pixels.shape[1]} × {pixels.shape[2]}; (top, bottom, left, right)")
    if not 0 <= softness <= 1:
        raise ValueError(f"softness is {softness}; expected 0 to 1")
    sides = (bottom - top, right - left)
    down, across = (2 * (torch.arange(side, dtype=torch.float32, device="cpu") + 0.5) / side - 1 for side in sides)
    inward = 1 - torch.hypot(down[:, None], across[None])
    alpha = (inward / softness).clamp(0, 1) if softness else (inward >= 0).float()
    return torch.cat([pixels[:, top:bottom, left:right], alpha[None]])


def _load_file(path: Path) -> Tensor:
    """(3, h, w), or (4, h, w) where the file has transparency."""
    from PIL import Image, ImageOps

    rgb = load_image(path)[0]  # raises for a file that is no image
    with Image.open(path, formats=image_formats()) as image:
        if not image.has_transparency_data:
            return rgb
        levels = np.array(ImageOps.exif_transpose(image).convert("RGBA"))
    return torch.from_numpy(levels).permute(2, 0, 1).float() / 255
