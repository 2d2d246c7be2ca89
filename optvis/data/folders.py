"""The one reader of image folders: which files in it are images."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from optvis.data.files import is_dir, is_file

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
        recursive: whether to read its subfolders as well.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it is a file, or holds no image.
    """
    root = Path(folder)
    if not (is_dir(root) or is_file(root)):
        raise FileNotFoundError(f"no folder {str(root)!r}")
    if not is_dir(root):
        cure = "unpack the archive first" if ".tar" in root.suffixes else "give the folder that holds the images"
        raise ValueError(f"{str(root)!r} is a file; {cure}")
    suffixes = image_suffixes()
    files = sorted(root.rglob("*") if recursive else root.iterdir())
    visible = [path for path in files if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    found = [path for path in visible if path.suffix.casefold() in suffixes and path.is_file()]
    if not found:
        cure = "expected files such as .jpg or .png in it"
        if any(path.suffix.casefold() == ".tar" for path in visible):
            cure = "it has archives beside other files: name them, as 'train-{000..015}.tar' or as a list"
        raise ValueError(f"no images in the folder {str(root)!r}; {cure}")
    return found
