"""The labels of classes in any form: texts, a dict by index, or a file with one on each line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from optvis.data.files import check_readable, is_file

#: Labels of classes: texts in order, a dict of them by index, or the path of a text file with one on each line.
LabelsLike: TypeAlias = Sequence[str] | Mapping[int, str] | Mapping[str, str] | str | os.PathLike[str]


def list_labels(labels: LabelsLike) -> tuple[str, ...]:
    """List the labels of classes, in the order of the classes.

    Args:
        labels: a text per class; a dict by index, as `config.id2label` of Hugging Face's networks, where the indices
            may be texts; or the path of a text file with a label on each line.

    Raises:
        ValueError: a dict whose keys are not 0 to n − 1; otherwise as in `read_labels`.
        FileNotFoundError: there is no such file.

    Example:
        >>> list_labels({1: "dog", 0: "cat"}), list_labels(["cat", "dog"])
        (('cat', 'dog'), ('cat', 'dog'))
    """
    if isinstance(labels, str | os.PathLike):
        return tuple(read_labels(Path(labels)))
    return _sort_labels(labels) if isinstance(labels, Mapping) else tuple(labels)


def _sort_labels(labels: Mapping[int, str] | Mapping[str, str]) -> tuple[str, ...]:
    by_key = {str(key).strip(): text for key, text in labels.items()}
    indices = range(len(labels))
    unknown = [key for key in map(str, indices) if key not in by_key]
    if unknown:
        raise ValueError(
            f"labels by index lack {unknown[0]}; expected the keys 0 to {len(labels) - 1} for {len(labels)} labels, "
            "or a list of texts"
        )
    return tuple(by_key[str(index)] for index in indices)


def read_labels(path: Path) -> list[str]:
    """Read a file with a label on each line; empty lines at the end do not count.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no text in UTF-8, or has no label or an empty line among labels.
    """
    if not is_file(path):
        raise FileNotFoundError(
            f"no file {str(path)!r} with labels; give a text file with one label on each line, or "
            "one text for each class"
        )
    check_readable(path)
    try:
        labels = [line.strip() for line in path.read_text(encoding="utf-8-sig").rstrip().splitlines()]
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no text in UTF-8; expected one label on each line") from error
    if not all(labels) or not labels:
        raise ValueError(
            f"{str(path)!r} has an empty line {1 + labels.index('') if labels else 1}; expected one label on each line"
        )
    return labels
