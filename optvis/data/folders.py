"""The one reader of image folders: which files in it are images."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from optvis.data.files import check_readable, is_dir, is_file
from optvis.errors import warn_user

# Formats that Pillow decodes by itself. Others may start another program (EPS: Ghostscript) or are no images (PDF).
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")


def image_formats() -> tuple[str, ...]:
    """Return those of these formats that the installed Pillow can decode."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def image_suffixes() -> Collection[str]:
    """Return the file suffixes of these formats, lower case with the dot, such as ".jpg" and ".jfif"."""
    from PIL import Image

    known = image_formats()
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in known}


def list_images(folder: str | os.PathLike[str], *, recursive: bool = False) -> list[Path]:
    """List the image files of a folder, sorted by name; hidden files and folders are left out.

    Args:
        folder: the folder.
        recursive: whether to read its subfolders as well. Links to folders are not followed, with a warning.

    Raises:
        FileNotFoundError: no such folder.
        PermissionError: it, or one of its subfolders, may not be read.
        ValueError: it is a file, or holds no image.
    """
    root = Path(folder)
    if not (is_dir(root) or is_file(root)):
        raise FileNotFoundError(f"no folder {str(root)!r}")
    if not is_dir(root):
        cure = "unpack the archive first" if ".tar" in root.suffixes else "give the folder that holds the images"
        raise ValueError(f"{str(root)!r} is a file; {cure}")
    suffixes = image_suffixes()
    check_readable(root)
    visible = sorted(_list_files(root, recursive))
    found = [path for path in visible if path.suffix.casefold() in suffixes and path.is_file()]
    if not found:
        cure = "expected files such as .jpg or .png in it"
        if any(path.suffix.casefold() == ".tar" for path in visible):
            cure = "it has archives beside other files: name them, as 'train-{000..015}.tar' or as a list"
        raise ValueError(f"no images in the folder {str(root)!r}; {cure}")
    return found


def _list_files(folder: Path, recursive: bool) -> list[Path]:
    """The files of a folder whose names begin with no dot, and of its subfolders."""
    found, links = list[Path](), list[str]()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        for path in [Path(place) / name for name in folders]:
            if path.is_symlink():
                links.append(repr(str(path)))
            else:
                check_readable(path)
        found += [Path(place) / name for name in files if not name.startswith(".")]
    if links:
        cure = "give a list of files to read those behind them"
        warn_user(f"links to folders are not followed, {len(links)} here, the first {links[0]}; {cure}")
    return found
