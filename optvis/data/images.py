"""Photographs in any form, as a network's publisher wants them: the one way in."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

    from optvis.models.classifier import Classifier

Photo: TypeAlias = "str | os.PathLike[str] | Image.Image | np.ndarray[Any, Any] | Tensor"

ROUNDING = 1e-3  # floats may leave [0, 1] by this much, and are clipped
LONGEST_ASPECT = 50  # a longer strip would be enlarged to gigabytes


@dataclass(frozen=True)
class Framing:
    """How a publisher fits a photograph: resized so that it covers `resize`, then its centre cropped.

    Args:
        resize: the shorter side in pixels, or (height, width) where the aspect is not kept.
        crop: (height, width) in pixels.
        interpolation: "bilinear", "bicubic", "nearest", … as torchvision and Pillow name them.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    interpolation: str = "bilinear"

    def __call__(self, image: Any) -> Any:
        """A Pillow image, or a tensor (..., H, W), resized and cropped as the publisher does."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F

        mode = InterpolationMode(self.interpolation)
        size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
        return F.center_crop(F.resize(image, size, interpolation=mode, antialias=True), list(self.crop))


def photograph(source: Any, classifier: Classifier) -> Tensor:
    """Photographs as images for a network: resized and cropped as its publisher says, in [0, 1].

    Args:
        source: a path, a Pillow image, an (H, W, 3) uint8 array, a (3, H, W) or (B, 3, H, W) float tensor in
            [0, 1], or a list of such. Files are turned as their EXIF says; greyscale becomes RGB; what is
            transparent shows white. A tensor of the network's own size is taken as it is.
        classifier: whose network is asked.

    Returns:
        (B, 3, H, W) in [0, 1], on the network's device, of its dtype (float32 for half-precision networks).

    Raises:
        ValueError: a file that is no image, or a truncated or absurdly large one; a tensor of another shape or
            range, or with NaN in it.
        FileNotFoundError: no such file.
        TypeError: none of these forms.
    """
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("no photographs: the list is empty")
        return torch.cat([photograph(one, classifier) for one in source])
    image = _opened(source)
    if not isinstance(image, Tensor):
        return _tensor(classifier.framing(image)).unsqueeze(0).to(classifier.device, classifier.image_dtype)
    batch = (image if image.dim() == 4 else image.unsqueeze(0)).to(classifier.device, classifier.image_dtype)
    if tuple(batch.shape[2:]) == classifier.size:
        return batch
    framed: Tensor = classifier.framing(batch)
    return framed.clamp(0, 1)  # bicubic overshoots


def picture(source: Any, size: int | None = None) -> Tensor:
    """A photograph whole, as it is: not cropped for any network.

    Args:
        source: as in `photograph`.
        size: the longer side in pixels; its own by default.

    Returns:
        (B, 3, H, W) float32 in [0, 1].

    Raises:
        ValueError, FileNotFoundError, TypeError: as in `photograph`.

    Example:
        >>> picture(torch.zeros(3, 40, 80), size=20).shape
        torch.Size([1, 3, 10, 20])
    """
    if size is not None and size < 1:
        raise ValueError(f"size is {size}; expected 1 pixel or more")
    image = _opened(source)
    whole = image.float() if isinstance(image, Tensor) else _tensor(image)
    whole = whole if whole.dim() == 4 else whole.unsqueeze(0)
    if size is None:
        return whole
    longer = max(whole.shape[2:])
    fitted = [max(1, round(side * size / longer)) for side in whole.shape[2:]]
    return torch.nn.functional.interpolate(whole, fitted, mode="bilinear", antialias=True).clamp(0, 1)


def _opened(source: Any) -> Any:
    """A Pillow RGB image, or a float tensor (3, H, W) or (B, 3, H, W) in [0, 1]."""
    from PIL import Image

    if isinstance(source, str | os.PathLike):
        return _file(Path(source))
    if isinstance(source, Image.Image):
        return _rgb(source)
    if isinstance(source, np.ndarray):
        is_photo = source.dtype == np.uint8 and (
            source.ndim == 2 or (source.ndim == 3 and source.shape[2] in (1, 3, 4))
        )
        if is_photo and source.size:
            return _rgb(Image.fromarray(source.squeeze(2) if source.shape[2:] == (1,) else source))
        source = torch.from_numpy(np.ascontiguousarray(source)) if source.dtype.kind in "biufc" else source
    if isinstance(source, Tensor):
        return _checked(source)
    raise TypeError(
        f"a photograph is a path, a Pillow image, an (H, W, 3) uint8 array or a (3, H, W) or (B, 3, H, W) float "
        f"tensor in [0, 1]; got {type(source).__name__}{f' of {source.dtype}' if hasattr(source, 'dtype') else ''}"
    )


def _file(path: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give the path of an image file in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return _rgb(image)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no file {str(path)!r}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        raise ValueError(f"{str(path)!r} would unpack to more than {limit}; shrink it first") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{str(path)!r} is no image that Pillow can read") from error
    except PermissionError:
        raise
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{str(path)!r} is damaged or truncated: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    """Upright, RGB, on white where it is transparent."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    _check_aspect(image.size[1], image.size[0])
    if image.mode.startswith("I"):  # 16 bits a pixel
        image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _check_aspect(height: int, width: int) -> None:
    if max(height, width) > LONGEST_ASPECT * min(height, width):
        raise ValueError(f"a picture of {height} × {width} pixels is too long and narrow; crop it first")


def _tensor(image: Any) -> Tensor:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [0, 1]"""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _checked(image: Tensor) -> Tensor:
    shape = tuple(image.shape)
    if image.dim() not in (3, 4) or shape[-3] != 3 or 0 in shape:
        cure = "; move the channels first: permute(2, 0, 1)" if shape[-1:] == (3,) else ""
        raise ValueError(f"image tensor is {shape}; expected (3, H, W) or (B, 3, H, W){cure}")
    _check_aspect(*shape[-2:])
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise TypeError(f"image tensor is {image.dtype}; expected floats in [0, 1], or uint8")
    lowest, highest = float(image.detach().amin()), float(image.detach().amax())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise ValueError("image tensor holds NaN or infinite values; expected floats in [0, 1]")
    if lowest < -ROUNDING or highest > 1 + ROUNDING:
        cure = "divide by 255" if lowest >= 0 and 2 < highest <= 256 else "undo its normalisation"
        raise ValueError(f"image tensor runs from {lowest:g} to {highest:g}; expected [0, 1]: {cure}")
    return image.clamp(0, 1)


__all__ = ["Framing", "Photo", "photograph", "picture"]
