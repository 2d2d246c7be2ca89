"""Images in any form, as tensors: the one way in."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.arguments import check_minimum
from optvis.data.encoded import EncodedImage
from optvis.data.files import check_readable, is_dir, is_special
from optvis.data.folders import FORMATS, image_formats

if TYPE_CHECKING:
    from PIL import Image

#: An image in any form: a path, a PIL image, an array or a tensor.
ImageLike: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor"

RGB = 3  # channels
TOLERANCE = 1e-3  # floats may leave [0, 1] by this much, and are clipped
MAX_ASPECT_RATIO = 50  # a longer strip would be enlarged to gigabytes
NO_FILE = {errno.ENAMETOOLONG: "its name is too long", errno.ELOOP: "it is a link that leads to itself"}
MAX_PIXELS = 2**26  # of a file, whatever its compressed size: 256 MiB once decoded


def load_image(source: ImageLike, size: int | None = None, channels: int = RGB) -> Tensor:
    """Load an image whole, without cropping it for a network.

    Args:
        source: a path, a Pillow image, an (H, W, C) uint8 array, or a (C, H, W) or (B, C, H, W) tensor in [0, 1]; an
            (H, W) array or tensor is gray. EXIF orientation is applied; transparent pixels show white.
        size: the longer side in pixels; the image's own by default.
        channels: C. Gray becomes RGB where it is 3, and RGB gray where it is 1.

    Returns:
        (B, C, H, W) float32 in [0, 1].

    Raises:
        ValueError: a file that is no image, is truncated or absurdly large; a tensor of another shape or range, or
            with NaN in it.
        FileNotFoundError, PermissionError: no such file, or one that may not be read.
        TypeError: none of these forms.

    Example:
        >>> load_image(torch.zeros(3, 40, 80), size=20).shape
        torch.Size([1, 3, 10, 20])
    """
    check_minimum(1, size=size)
    image = _open(source, channels)
    whole = image.float() if isinstance(image, Tensor) else _to_tensor(image)
    whole = whole if whole.dim() == 4 else whole.unsqueeze(0)
    if size is None:
        return whole
    height, width = (max(1, round(side * size / max(whole.shape[2:]))) for side in whole.shape[2:])
    if height * width > MAX_PIXELS:
        raise ValueError(f"size is {size}, {height * width:,} pixels; expected at most {MAX_PIXELS:,}")
    return resize(whole, (height, width))


def resize(images: Tensor, size: Sequence[int]) -> Tensor:
    """Resize images (B, C, H, W) in [0, 1] to (height, width) in pixels, bilinear and antialiased.

    >>> resize(torch.ones(1, 3, 8, 8), (4, 6)).shape
    torch.Size([1, 3, 4, 6])
    """
    if tuple(images.shape[2:]) == tuple(size):
        return images
    return F.interpolate(images, list(size), mode="bilinear", antialias=True).clamp(0, 1)


def pad(image: Tensor, size: Sequence[int]) -> Tensor:
    """Pad an image (C, h, w) in [0, 1] with white on all sides, to (height, width) in pixels.

    >>> pad(torch.zeros(3, 2, 4), (4, 4)).mean(0).mean(1)
    tensor([1., 0., 0., 1.])
    """
    down, across = size[0] - image.shape[1], size[1] - image.shape[2]
    return F.pad(image, (across // 2, across - across // 2, down // 2, down - down // 2), value=1.0)


def load_batch(
    source: Any,
    crop: Callable[[Any], Any],
    size: tuple[int, int],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    channels: int = RGB,
) -> Tensor:
    """Load images as one batch of one size.

    Args:
        source: an image in any form that `load_image` takes, or a list of them. A tensor that has the size already
            is not cropped.
        crop: resizes and crops a Pillow image or a tensor (B, 3, H, W) to the size, e.g. a `ResizeCrop`.
        size: (height, width) of the batch in pixels.
        device: of the batch.
        dtype: of the batch.
        channels: C, as in `load_image`.

    Returns:
        (B, C, H, W) in [0, 1].

    Raises:
        ValueError, FileNotFoundError, TypeError: as in `load_image`; an empty list.
    """
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("no images: the list is empty")
        return torch.cat([load_batch(one, crop, size, device, dtype, channels) for one in source])
    image = _open(source, channels)
    if not isinstance(image, Tensor):
        return _to_tensor(crop(image)).unsqueeze(0).to(device, dtype)
    batch = (image if image.dim() == 4 else image.unsqueeze(0)).to(device, dtype)
    if tuple(batch.shape[2:]) == size:
        return batch
    fitted: Tensor = crop(batch)
    return fitted.clamp(0, 1)  # bicubic overshoots


def _open(source: Any, channels: int) -> Any:
    """Open any form as a Pillow image, RGB or gray, or as a float tensor (C, H, W) or (B, C, H, W) in [0, 1]."""
    from PIL import Image

    if isinstance(source, str | os.PathLike):
        return _match_mode(_read_file(Path(source)), channels)
    if isinstance(source, EncodedImage):
        with _clear_errors(repr(source.name)), Image.open(BytesIO(source.data), formats=image_formats()) as encoded:
            return _match_mode(_to_rgb(encoded), channels)
    if isinstance(source, Image.Image):
        file = getattr(source, "filename", "")
        with _clear_errors(repr(os.fsdecode(file)) if file else f"the {source.format or 'Pillow'} image"):
            return _match_mode(_to_rgb(source), channels)
    if isinstance(source, np.ndarray):
        is_bytes = source.dtype == np.uint8 and source.ndim in (2, 3) and source.size > 0
        depth = source.shape[2] if source.ndim == 3 else 1
        if is_bytes and channels not in (1, RGB) and depth == channels:
            return torch.from_numpy(np.ascontiguousarray(source)).permute(2, 0, 1).float() / 255
        if is_bytes and depth in (1, 3, 4):  # the same picture as in a file
            image = _to_rgb(Image.fromarray(source.squeeze(2) if source.shape[2:] == (1,) else source))
            return _match_mode(image, channels)
        if source.dtype.kind in "biufc":
            native = source.astype(source.dtype.newbyteorder("="), copy=False)  # files of scans are big-endian
            source = torch.from_numpy(np.ascontiguousarray(native))
    if isinstance(source, Tensor):
        return _match_channels(_check_tensor(source, channels), channels)
    raise TypeError(
        f"an image is a path, a Pillow image, an (H, W, 3) uint8 array or a (3, H, W) or (B, 3, H, W) float "
        f"tensor in [0, 1]; got {type(source).__name__}{f' of {source.dtype}' if hasattr(source, 'dtype') else ''}"
    )


def _read_file(path: Path) -> Any:
    from PIL import Image

    if is_dir(path):
        raise ValueError(f"{str(path)!r} is a folder; give the path of an image file in it")
    if is_special(path):  # opening a pipe would wait for ever
        raise ValueError(f"{str(path)!r} is a pipe or a device; give the path of an image file")
    check_readable(path)
    with _clear_errors(repr(str(path))), Image.open(path, formats=image_formats()) as image:
        return _to_rgb(image)


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Turn the many errors of Pillow's decoders into one sentence each."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no file {name}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise ValueError(f"{name} would unpack to more than {MAX_PIXELS:,} pixels; shrink it first") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{name} is no image of a known format ({', '.join(FORMATS)})") from error
    except (PermissionError, _UnusableImageError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_FILE:
            raise FileNotFoundError(f"no file {name}: {NO_FILE[error.errno]}") from error
        raise ValueError(f"{name} is damaged or truncated: {error}") from error


class _UnusableImageError(ValueError):
    """An image that was decoded, and cannot be used."""


def _to_rgb(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation, lay transparency over white, and convert to RGB."""
    from PIL import ExifTags, Image, ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError  # before any of them is decoded
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    _check_aspect(image.size[1], image.size[0])
    if image.mode == "F":
        levels = np.asarray(image)
        lowest, highest = float(levels.min()), float(levels.max())
        if not (lowest >= -TOLERANCE and highest <= 1 + TOLERANCE):
            raise _UnusableImageError(f"a float image runs from {lowest:g} to {highest:g}; expected [0, 1]: rescale it")
        image = Image.fromarray((levels.clip(0, 1) * 255).round().astype(np.uint8))
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(layer, mask=layer.getchannel("A"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _match_mode(image: Image.Image, channels: int) -> Image.Image:
    """Turn an RGB image into gray where the network takes that.

    Raises:
        ValueError: it takes neither.
    """
    if channels == RGB:
        return image
    if channels == 1:
        return image.convert("L")
    raise _UnusableImageError(
        f"a picture has {RGB} channels, and the network takes {channels}; give tensors ({channels}, H, W) in [0, 1]"
    )


def _match_channels(image: Tensor, channels: int) -> Tensor:
    """Repeat gray for RGB, and turn RGB into gray."""
    if image.shape[-3] == channels:
        return image
    if channels > 1:
        return image.expand(*image.shape[:-3], channels, -1, -1)
    from torchvision.transforms.functional import rgb_to_grayscale

    gray: Tensor = rgb_to_grayscale(image, channels)
    return gray


def _check_aspect(height: int, width: int) -> None:
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise _UnusableImageError(f"an image of {height} × {width} pixels is too long and narrow; crop it first")


def _to_tensor(image: Any) -> Tensor:
    """(H, W, 3) or (H, W) uint8 -> (C, H, W) float32 in [0, 1]"""
    levels = torch.from_numpy(np.array(image))
    colored = levels.unsqueeze(2) if levels.dim() == 2 else levels
    return colored.permute(2, 0, 1).float().div_(255)


def _check_tensor(image: Tensor, channels: int) -> Tensor:
    """(H, W), (C, H, W) or (B, C, H, W) -> (C, H, W) or (B, C, H, W) floats in [0, 1]; C may be 1 for 3, or 3 for 1."""
    image = image.unsqueeze(0) if image.dim() == 2 and channels in (1, RGB) else image
    shape, allowed = tuple(image.shape), (1, RGB) if channels in (1, RGB) else (channels,)
    if image.dim() not in (3, 4) or shape[-3] not in allowed or 0 in shape:
        cure = "; move the channels first: permute(2, 0, 1)" if shape[-1:] == (channels,) else ""
        raise ValueError(f"image tensor is {shape}; expected ({channels}, H, W) or (B, {channels}, H, W){cure}")
    _check_aspect(*shape[-2:])
    if image.dtype == torch.uint8:
        return image.float() / 255
    check_levels(image)
    return image.clamp(0, 1)


def check_levels(image: Tensor) -> None:
    """Raise where a tensor of images does not hold floats in [0, 1].

    Raises:
        TypeError: it holds no floats.
        ValueError: NaN, infinite values, or values outside [0, 1].
    """
    if not image.is_floating_point():
        raise TypeError(f"image tensor is {image.dtype}; expected floats in [0, 1], or uint8")
    lowest, highest = float(image.detach().amin()), float(image.detach().amax())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError("image tensor holds NaN or infinite values; expected floats in [0, 1]")
    if lowest < -TOLERANCE or highest > 1 + TOLERANCE:
        cure = "divide by 255" if lowest >= 0 and 2 < highest <= 256 else "undo its normalisation"
        raise ValueError(f"image tensor runs from {lowest:g} to {highest:g}; expected [0, 1]: {cure}")
