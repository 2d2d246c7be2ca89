"""Files that say what optvis has written to them: only those are overwritten."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optvis.data.files import atomic_write_all

KIND = "kind"  # the key of what a file holds: in JSON, and in the header of a safetensors file
OWN = "optvis: "  # what stands before it in an SVG and a PDF
TEXT_KIND = "Written by optvis: "  # how the last line of a text begins, before it
PNG_KIND = "optvis.kind"  # the same in a text chunk of a PNG
DESCRIPTION = re.compile(rf"<dc:description>{OWN}([^<]*)</dc:description>")  # in an SVG
SUBJECT = re.compile(rf"/Subject \({OWN}([^()]*)\)".encode())  # in a PDF
COMMENT = re.compile(rb"\xa9cmt.{4}data.{8}optvis (\w+)", re.DOTALL)  # in an MP4
GENERATOR = re.compile(r'<meta name="generator" content="optvis ([^"]*) [^" ]+">')
HEAD_BYTES = 2048  # of a page, in which its generator stands
MAX_HEADER_BYTES = 100_000_000  # of a safetensors file, as the format has it
EXIF_DESCRIPTION = 0x010E
MAX_VALUE_LENGTH = 80  # characters of both values in an error message


def write_own_files(files: Mapping[Path, tuple[str, bytes]]) -> None:
    """Write files that belong together, unless one of them is another program's; see `atomic_write_all`.

    Args:
        files: for each path what the file holds, as `read_kind` will read it, and its bytes.

    Raises:
        FileExistsError: see `check_own_files`; nothing has been written then.
        OSError: a file cannot be written.
    """
    check_own_files({path: kind for path, (kind, _) in files.items()})
    atomic_write_all({path: data for path, (_, data) in files.items()})


def check_own_files(kinds: Mapping[Path, str]) -> None:
    """Check that files may be written, before the work that makes them.

    Args:
        kinds: for each path what will be written there.

    Raises:
        FileExistsError: a file is there, and holds something else.
    """
    for path, kind in kinds.items():
        if os.path.lexists(path) and read_kind(path) != kind:
            raise FileExistsError(
                f"{str(path)!r} exists and is no {kind} that optvis wrote; "
                "give another path, on the command line with --out, or move the file"
            )


def refuse_taken(taken: Sequence[Path], what: str) -> None:
    """Refuse a folder in which something would be begun, because of files that belong to something else.

    Args:
        taken: the files, looked for before it was seen that nothing had been begun, as another process may begin it.
        what: would be begun, a noun.

    Raises:
        FileExistsError: there are some; the message names the first.
    """
    if taken:
        cure = "choose another folder, or move the file"
        raise FileExistsError(f"{str(taken[0])!r} exists and was not written by a {what}; {cure}")


def check_same_recipe(what: str, folder: Path, stored: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that what lies in a folder has the recipe of what will be written there.

    Args:
        what: lies there, a noun.
        folder: where.
        stored: its recipe, as JSON has it.
        own: the other recipe, in JSON types.

    Raises:
        FileExistsError: an entry of the other recipe differs.
    """
    for key, here in json.loads(json.dumps(dict(own))).items():
        if stored.get(key) != here:
            values = str(stored.get(key)), str(here)
            is_short = sum(map(len, values)) < MAX_VALUE_LENGTH
            difference = f"{key} is {values[0]} there and {values[1]} here" if is_short else f"`{key}` differs"
            raise FileExistsError(
                f"the {what} in {str(folder)!r} has another recipe: {difference}; choose another folder, or delete it"
            )


def remove_old_files(folder: Path, pattern: str, kinds: set[str], keep: set[Path]) -> None:
    """Remove what an earlier result of another shape has left in a folder.

    Args:
        folder: of the results.
        pattern: of names.
        kinds: what the files hold, by `read_kind`; other files stay.
        keep: files that belong to the new result.
    """
    for path in sorted(folder.glob(pattern)):
        if path not in keep and read_kind(path) in kinds:
            path.unlink()


def read_kind(path: Path) -> str | None:
    """What optvis has written to a file, as the file itself says; None for any other file."""
    read = READERS.get(path.suffix.casefold())
    try:
        return None if read is None or not path.is_file() else read(path)
    except Exception:  # a file of another program may hold anything
        return None


def _kind_of_page(path: Path) -> str | None:
    with path.open("rb") as page:
        found = GENERATOR.search(page.read(HEAD_BYTES).decode(errors="replace"))
    return None if found is None else f"{found[1]} page"


def _kind_of_tensors(path: Path) -> str | None:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size)) if size <= MAX_HEADER_BYTES else {}
    return _text(header.get("__metadata__", {}).get(KIND))


def _kind_of_json(path: Path) -> str | None:
    return _text(json.loads(path.read_text(encoding="utf-8")).get(KIND))


def _kind_of_text(path: Path) -> str | None:
    *_, last = path.read_text(encoding="utf-8").splitlines()
    return last.removeprefix(TEXT_KIND) if last.startswith(TEXT_KIND) else None


def _kind_of_svg(path: Path) -> str | None:
    with path.open("rb") as file:
        found = DESCRIPTION.search(file.read(HEAD_BYTES).decode(errors="replace"))
    return None if found is None else found[1]


def _kind_of_pdf(path: Path) -> str | None:
    data = path.read_bytes()
    found = SUBJECT.search(data) if data.startswith(b"%PDF") else None
    return None if found is None else found[1].decode()


def _kind_of_video(path: Path) -> str | None:
    data = path.read_bytes()
    found = COMMENT.search(data) if data[4:8] == b"ftyp" else None
    return None if found is None else found[1].decode()


def _kind_of_image(path: Path) -> str | None:
    from PIL import Image

    with Image.open(path, formats=["PNG", "GIF", "WEBP"]) as image:
        if image.format == "GIF":
            return _text(image.info["comment"].decode()).removeprefix("optvis ")
        if image.format == "WEBP":
            return _text(image.getexif()[EXIF_DESCRIPTION]).removeprefix("optvis ")
        return _text(image.info[PNG_KIND])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return str(value)


READERS: Mapping[str, Callable[[Path], str | None]] = {
    ".html": _kind_of_page,
    ".safetensors": _kind_of_tensors,
    ".json": _kind_of_json,
    ".txt": _kind_of_text,
    ".svg": _kind_of_svg,
    ".pdf": _kind_of_pdf,
    ".mp4": _kind_of_video,
    **dict.fromkeys((".png", ".apng", ".gif", ".webp"), _kind_of_image),
}
