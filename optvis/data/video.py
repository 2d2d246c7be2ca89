"""Frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor


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
    if every < 1 or (count is not None and count < 1):
        raise ValueError(f"every is {every}, count is {count}; expected 1 or more")
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    return _read_frames(import_av("reading a video"), Path(path), every, count)


def _read_frames(av: ModuleType, path: Path, every: int, count: int | None) -> Iterator[Tensor]:
    try:
        with av.open(str(path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if count is not None and index >= count * every:
                    return
                if index % every == 0:
                    yield torch.from_numpy(frame.to_ndarray(format="rgb24")).movedim(2, 0).float() / 255
    except (av.error.FFmpegError, IndexError) as error:
        raise ValueError(f"{str(path)!r} is no video that can be read: {error}") from error


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
