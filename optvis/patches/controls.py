"""Control patches: the outline of a patch with other content."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.data.images import resize
from optvis.patches.paste import check_patch, split_alpha

CELLS = 16  # along the longer side of a shuffled patch


def flat_patch(patch: Tensor) -> Tensor:
    """A control patch (4, h, w): the same outline, filled with the patch's mean color."""
    check_patch(patch)
    colors, alpha = split_alpha(patch)
    mean = (colors * alpha).sum((1, 2), keepdim=True) / alpha.sum().clamp_min(1e-9)
    return torch.cat([mean.expand_as(colors), alpha])


def shuffle_patch(patch: Tensor, seed: int = 0) -> Tensor:
    """A control patch (4, h, w): the same outline and colors, in another order, which `seed` determines.

    The patch is divided into coarse cells, 16 along its longer side; the cells that it covers are permuted.

    Example:
        >>> shuffle_patch(torch.rand(4, 32, 32)).shape
        torch.Size([4, 32, 32])
    """
    check_patch(patch, channels=(4,))
    sides = [max(1, round(side * CELLS / max(patch.shape[1:]))) for side in patch.shape[1:]]
    premultiplied = torch.cat([patch[:3] * patch[3:], patch[3:]])[None]
    coarse = F.interpolate(premultiplied, sides, mode="area")[0].flatten(1)
    colors, alpha = coarse[:3] / coarse[3:].clamp_min(1e-6), coarse[3]
    inside = (alpha >= 0.5 * alpha.max()).nonzero().flatten()
    order = inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(seed), device="cpu")]
    mixed = (colors * alpha).sum(1, keepdim=True).div(alpha.sum()).expand_as(colors).clone()  # the mean at the edge
    mixed[:, inside] = colors[:, order]
    enlarged = F.interpolate(mixed.view(1, 3, *sides), patch.shape[1:], mode="nearest")[0]
    return torch.cat([enlarged.clamp(0, 1), patch[3:]])


def crop_into_outline(patch: Tensor, image: Tensor, generator: torch.Generator) -> Tensor:
    """A control patch (4, h, w): a random crop of half the size of an image, in the patch's outline."""
    sides = [max(1, side // 2) for side in image.shape[1:]]
    shares = torch.rand(2, generator=generator, dtype=torch.float32, device="cpu").tolist()
    top, left = (int(share * (whole - side)) for share, whole, side in zip(shares, image.shape[1:], sides, strict=True))
    part = image[None, :, top : top + sides[0], left : left + sides[1]]
    return torch.cat([resize(part, patch.shape[1:])[0], patch[3:]])
