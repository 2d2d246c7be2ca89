"""Many small pictures in one, inside the page."""

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

LARGEST = 16383  # pixels a side: what WebP holds (RFC 9649)
QUALITY = 80  # of WebP, 0 to 100: 28 × 28 icons of 64 pixels take about 2 MB in the page, and 3 MB where all is noise


def sprite(icons: Tensor, present: Tensor) -> str:
    """Icons edge to edge in rows and columns, as the data URI of one picture.

    Args:
        icons: (h, w, 3, s, s) in [0, 1].
        present: (h, w), bool; the others are left transparent.

    Raises:
        ValueError: the picture would be larger than WebP holds.

    Example:
        >>> sprite(torch.rand(2, 3, 3, 8, 8), torch.ones(2, 3).bool())[:23]
        'data:image/webp;base64,'
    """
    height, width = icons.shape[0] * icons.shape[3], icons.shape[1] * icons.shape[4]
    check_fits(height, width)
    seen = present.to(icons.device)[..., None, None, None].expand(*icons.shape[:2], 1, *icons.shape[3:])
    shown = icons.where(seen, torch.zeros((), dtype=icons.dtype, device=icons.device))
    parts = shown if bool(present.all()) else torch.cat([shown, seen.to(icons.dtype)], dim=2)
    return data_uri(to_pil_image(parts.permute(2, 0, 3, 1, 4).reshape(-1, height, width)))


def check_fits(height: int, width: int) -> None:
    """Whether a picture of so many pixels can be written.

    Raises:
        ValueError: it is larger than WebP holds.
    """
    if max(height, width) > LARGEST:
        raise ValueError(f"icons side by side take {height} × {width} pixels; WebP holds {LARGEST}; make them smaller")


def nearly_square(count: int) -> tuple[int, int]:
    """Rows and columns that hold so many."""
    columns = math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns


def packed(icons: Tensor) -> str:
    """(N, 3, s, s) in rows and columns of `nearly_square`, as a data URI."""
    rows, columns = nearly_square(len(icons))
    padded = torch.cat([icons, icons.new_zeros(rows * columns - len(icons), *icons.shape[1:])])
    present = torch.ones(rows, columns, dtype=torch.bool)
    return sprite(padded.reshape(rows, columns, *icons.shape[1:]), present)


def data_uri(picture: Image.Image) -> str:
    """A picture as WebP, written into an address."""
    data = io.BytesIO()
    picture.save(data, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{b64encode(data.getvalue()).decode()}"
