"""Animations: frames encoded as GIF, WebP, APNG or MP4, and a written one, which plays in a notebook."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optvis.arguments import check_minimum
from optvis.data.own_files import EXIF_DESCRIPTION, PNG_KIND
from optvis.viz.video import encode_video, import_av

if TYPE_CHECKING:
    from PIL import Image

ANIMATION = "animation"  # what `read_kind` reads from its file
FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".mp4": "MP4"}
MIME_TYPES = {".gif": "image/gif", ".webp": "image/webp", ".png": "image/apng", ".apng": "image/apng"}


@dataclass(frozen=True)
class Animation:
    """A file that was written; `open`, `Path` and whatever takes a path take it, and a notebook plays it.

    Args:
        path: ends in .gif, .webp, .png, .apng or .mp4.

    Example:
        >>> str(Animation(Path("growing.gif")))
        'growing.gif'
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        data, suffix = b64encode(self.path.read_bytes()).decode(), self.path.suffix.casefold()
        if suffix == ".mp4":
            return f'<video src="data:video/mp4;base64,{data}" controls autoplay loop muted playsinline></video>'
        return f'<img src="data:{MIME_TYPES[suffix]};base64,{data}" alt="animation">'


def check_animation(suffix: str) -> None:
    """Check, before frames are made, that `encode_animation` can encode them.

    Raises:
        ValueError, ImportError: as there.
    """
    if suffix.casefold() not in FORMATS:
        raise ValueError(f"an animation is {', '.join(FORMATS)}; got {suffix!r}")
    if suffix.casefold() == ".mp4":
        import_av("an animation as .mp4")


def encode_animation(frames: Sequence[Image.Image], suffix: str, milliseconds: int) -> bytes:
    """Encode frames as GIF, WebP or APNG that repeats endlessly, or as MP4; the file says that it is of optvis.

    Args:
        frames: of one size.
        suffix: of the file, which names the format.
        milliseconds: duration of a frame, 1 or more.

    Raises:
        ValueError: another suffix, no frames, or no duration.
        ImportError: MP4 without PyAV, which the extra `optvis[video]` installs.
    """
    check_animation(suffix)
    check_minimum(1, milliseconds=milliseconds)
    name = FORMATS[suffix.casefold()]
    if not frames:
        raise ValueError("no frames: render with snapshots=range(steps), or at the steps that you want to see")
    if name == "MP4":
        return encode_video(frames, milliseconds, f"optvis {ANIMATION}")
    data = io.BytesIO()
    options = _animation_options(name)
    frames[0].save(data, name, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **options)
    return data.getvalue()


def _animation_options(name: str) -> dict[str, Any]:
    """Of Pillow's `save`: quality, and what the file holds, where each format has a place for that."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if name == "GIF":
        return {"comment": f"optvis {ANIMATION}".encode()}
    if name == "WEBP":
        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = f"optvis {ANIMATION}"
        return {"lossless": False, "quality": 90, "exif": exif}
    info = PngInfo()
    info.add_itxt(PNG_KIND, ANIMATION)
    return {"pnginfo": info}
