"""Image files of many formats, damaged, and given to everything that reads images."""

from __future__ import annotations

import functools
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from optvis import classify, load_image
from optvis.data import as_dataset, list_images
from optvis.patches import load_patch

from .values import SIZE, tiny_classifier

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "DDS", "EPS", "IM", "ICO", "TGA", "JPEG2000",
           "PCX", "SGI", "PDF", "MPO", "XBM")  # fmt: skip
MODES = ("RGB", "L", "P", "RGBA", "CMYK", "1", "I;16", "F", "LA")
BEGINNINGS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n",
    b"",
    b"\0" * 64,
    b"GIF89a",
    b"P6 99999999 99999999 255\n",
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"BM" + b"\xff" * 60,
    b"II*\0",
)


@functools.cache
def encoded() -> list[bytes]:
    """Small images in each format and mode that Pillow writes."""
    found = []
    noise = Image.effect_noise((40, 24), 80)
    for name in FORMATS:
        for mode in MODES:
            buffer = io.BytesIO()
            try:
                _convert(noise, mode).save(buffer, name)
            except (OSError, ValueError, KeyError):
                continue
            found.append(buffer.getvalue())
    return found


def _convert(image: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return image.convert("I").convert(mode)
    return image.convert("L" if mode == "LA" else "RGB").convert(mode)


def draw_image(data: Any) -> tuple[Callable[[], Any], str]:
    """A damaged image file, under any name, and what reads it."""
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    content = bytearray(dice.choice(encoded()))
    how = dice.randrange(6)
    if how == 0:
        content = content[: dice.randrange(len(content))]
    elif how in (1, 2):
        for _ in range(dice.choice((1, 4, 30))):
            content[dice.randrange(min(len(content), dice.choice((40, 10**9))))] = dice.randrange(256)
    elif how == 3:
        place = dice.randrange(len(content))
        content[place:place] = dice.randbytes(dice.choice((1, 8, 200)))
    elif how == 4:
        content = bytearray(dice.choice(BEGINNINGS)) + content[dice.randrange(len(content)) :]
    Path("folder").mkdir()
    path = Path("folder") / dice.choice(("a.jpg", "a.png", "a.tiff", "a.webp", "a.bmp", "a.ppm", "a.gif", "a.avif"))
    path.write_bytes(content)
    name = dice.choice(sorted(READERS))
    return functools.partial(
        READERS[name], path
    ), f"{name} of {path.name}, {len(content)} bytes {bytes(content[:12])!r}"


def _from_pillow(path: Path) -> None:
    """Read an image that Pillow has opened, and decodes later; what Pillow itself does not open is no matter here."""
    try:
        image = Image.open(path, formats=[name for name in Image.OPEN if name != "EPS"] or None)
    except Exception:
        return
    load_image(image)


READERS: dict[str, Callable[[Path], Any]] = {
    "load_image": load_image,
    "an image of Pillow": _from_pillow,
    "classify": lambda path: classify(tiny_classifier(), path, top=1),
    "a folder": lambda path: [*as_dataset(path.parent).batches(tiny_classifier().load_batch, 2)],
    "list_images": lambda path: list_images(path.parent),
    "load_patch": load_patch,
    "small": lambda path: load_image(path, size=SIZE),
}
