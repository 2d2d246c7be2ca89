"""What the script of a sheet reads: a list for each number of all tiles, so that 10,000 channels stay small."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

from optvis.viz.pages.microscope.page import Tile

Key = TypeVar("Key", bound=Hashable)


def describe_sheet(
    tiles: Sequence[Tile], columns: Mapping[str, str], class_labels: Mapping[int, str], class_folder: str
) -> dict[str, Any]:
    """List the numbers and texts of tiles, each text once.

    Args:
        tiles: of the sheet.
        columns: keys of the tiles' values.
        class_labels: of the classes that have pages, by index.
        class_folder: address of their pages' folder.

    Example:
        >>> tiles = [Tile(3, "owl", {"a": 1.5}, None), Tile(4, "owl", {"a": 2.5}, None)]
        >>> found = describe_sheet(tiles, {"a": ""}, {}, "")
        >>> found["labels"], found["label"], found["values"]
        (['owl'], [0, 0], {'a': [1.5, 2.5]})
    """
    labels, label = _number([tile.label for tile in tiles])
    layers, layer = _number([(tile.layer, tile.folder) for tile in tiles])
    sprites, sprite = _number(["" if tile.thumbnail is None else tile.thumbnail.file for tile in tiles])
    return {
        "labels": labels,
        "layers": [{"name": name, "folder": folder} for name, folder in layers],
        "sprites": sprites,
        "number": [tile.number for tile in tiles],
        "label": label,
        "layer": layer,
        "sprite": sprite,
        "index": [0 if tile.thumbnail is None else tile.thumbnail.index for tile in tiles],
        "values": {key: [tile.values.get(key, 0) for tile in tiles] for key in columns},
        "classes": [[index, name] for index, name in class_labels.items()],
        "class_folder": class_folder,
    }


def _number(keys: Sequence[Key]) -> tuple[list[Key], list[int]]:
    """Distinct keys in the order in which they come, and the place of each key among them.

    >>> _number(["a", "b", "a"])
    (['a', 'b'], [0, 1, 0])
    """
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return list(places), [places[key] for key in keys]
