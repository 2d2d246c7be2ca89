"""Videos: read frame by frame, and encoded."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.viz.sheet import BACKGROUND

if TYPE_CHECKING:
    from PIL import Image

# Of H.264: one quantiser for all blocks, and no frames predicted from later ones. With rate control ("crf"), which
# computes in floating-point numbers, or with such frames ("bf"), x264 rarely gave another file for the same images.
QUALITY = {"qp": "18", "preset": "medium", "threads": "1", "bf": "0"}


def read_video(path: str | Path, *, every: int = 1, count: int | None = None) -> Iterator[Tensor]:
    """Read the frames of a video one after the other, by PyAV: MP4, WebM, GIF and whatever FFmpeg reads.

    Args:
        path: of the file.
        every: take each frame whose number this divides.
        count: how many frames at most; all by default.

    Yields:
        (3, H, W) in [0, 1].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no video; every or count under 1.
        ImportError: without PyAV, which the extra `optvis[video]` installs.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 6), "red").save(f"{folder}/red.gif")
        ...     [frame.shape for frame in read_video(f"{folder}/red.gif")]
        [torch.Size([3, 6, 8])]
    """
    check_minimum(1, every=every, count=count)
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    return _read_frames(import_av("reading a video"), Path(path), every, count)


def _read_frames(av: ModuleType, path: Path, every: int, count: int | None) -> Iterator[Tensor]:
    try:
        with av.open(str(path)) as container:
            stop = None if count is None else (count - 1) * every + 1
            for frame in islice(container.decode(video=0), 0, stop, every):
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).movedim(2, 0).float() / 255
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{str(path)!r} is no video that can be read: {error}") from error


def encode_video(frames: Sequence[Image.Image], milliseconds: int, comment: str) -> bytes:
    """Encode frames as H.264 with even sides, which all browsers play; a white line makes an odd side even."""
    from PIL import ImageOps

    av, data = import_av("an animation as .mp4"), io.BytesIO()
    width, height = (side + side % 2 for side in frames[0].size)
    with av.open(data, "w", format="mp4") as container:
        container.metadata["comment"] = comment
        stream = container.add_stream("libx264", rate=Fraction(1000, milliseconds), options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            even = ImageOps.expand(frame.convert("RGB"), (0, 0, width - frame.width, height - frame.height), BACKGROUND)
            container.mux(stream.encode(av.VideoFrame.from_image(even)))
        container.mux(stream.encode())
    return data.getvalue()


def import_av(what: str) -> ModuleType:
    """PyAV.

    Raises:
        ImportError: it is not installed; the message says what needs it, and how to install it.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError(f"{what} needs PyAV: pip install 'optvis[video]'") from error
    return av
