"""Many icons in one image, and images as data URIs."""

from __future__ import annotations

import io
import math
from base64 import b64encode
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from optvis.viz.sheet import to_pil_image

if TYPE_CHECKING:
    from PIL import Image

MAX_SIDE = 16383  # pixels a side that WebP allows (RFC 9649)
QUALITY = 80  # of WebP, 0 to 100: 28 × 28 icons of 64 pixels take about 2 MB in the page, and 3 MB where all is noise


def sprite_uri(icons: Tensor, present: Tensor) -> str:
    """Icons edge to edge in rows and columns, as the data URI of one image.

    Args:
        icons: (h, w, 3, s, s) in [0, 1].
        present: (h, w), bool; the others are transparent.

    Raises:
        ValueError: the image would be larger than WebP allows.

    Example:
        >>> sprite_uri(torch.rand(2, 3, 3, 8, 8), torch.ones(2, 3).bool())[:23]
        'data:image/webp;base64,'
    """
    height, width = icons.shape[0] * icons.shape[3], icons.shape[1] * icons.shape[4]
    check_sprite_size(height, width)
    mask = present.to(icons.device)[..., None, None, None].expand(*icons.shape[:2], 1, *icons.shape[3:])
    colors = icons.where(mask, torch.zeros((), dtype=icons.dtype, device=icons.device))
    parts = colors if bool(present.all()) else torch.cat([colors, mask.to(icons.dtype)], dim=2)
    return data_uri(to_pil_image(parts.permute(2, 0, 3, 1, 4).reshape(-1, height, width)))


def check_sprite_size(height: int, width: int) -> None:
    """Check that an image of this size can be encoded.

    Raises:
        ValueError: it is larger than WebP allows.
    """
    if max(height, width) > MAX_SIDE:
        size = f"{height} × {width} pixels"
        raise ValueError(f"icons side by side take {size}; WebP allows {MAX_SIDE}; make them smaller")


def sheet_shape(count: int) -> tuple[int, int]:
    """Rows and columns, nearly square, that hold a number of icons."""
    columns = math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns


def icon_sheet_uri(icons: Tensor) -> str:
    """(N, 3, s, s) in rows and columns of `sheet_shape`, as the data URI of one image."""
    rows, columns = sheet_shape(len(icons))
    padded = torch.cat([icons, icons.new_zeros(rows * columns - len(icons), *icons.shape[1:])])
    present = torch.ones(rows, columns, dtype=torch.bool, device="cpu")
    return sprite_uri(padded.reshape(rows, columns, *icons.shape[1:]), present)


def data_uri(image: Image.Image) -> str:
    """An image as WebP in a data URI."""
    data = io.BytesIO()
    image.save(data, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{b64encode(data.getvalue()).decode()}"
