"""The content of a microscope's pages: plain numbers and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ChannelPage:
    """All that a channel's page shows.

    Args:
        network: its name.
        layer: name of the layer.
        record: what is stored about the channel.
        renderings: file of its six renderings, side by side.
        size: side of each in pixels.
        image_folder: address of the folder of images.
        image_size: (height, width) of an image in pixels.
        previous: the channel before this one, or None.
        next: the channel after this one, or None.
        recipe: everything that computed it, in JSON types.
        unit: what the page calls it, a noun.
    """

    network: str
    layer: str
    record: Mapping[str, Any]
    renderings: str
    size: int
    image_folder: str
    image_size: tuple[int, int]
    previous: int | None
    next: int | None
    recipe: Mapping[str, Any]
    unit: str = "channel"


@dataclass(frozen=True)
class Tile:
    """A channel on a sheet.

    Args:
        channel: its number.
        sprite: file of its group's thumbnails: positives in a row, negatives below.
        index: of its own thumbnail among them.
        count: how many there are.
        label: the class with the largest attribution, or "".
        strength: its largest activation.
    """

    channel: int
    sprite: str
    index: int
    count: int
    label: str
    strength: float


@dataclass(frozen=True)
class SheetPage:
    """All that a layer's sheet shows.

    Args:
        network: its name.
        layer: name of the layer.
        tiles: of the finished channels.
        channels: how many the finished layer has.
        unit: what the page calls them, a noun.
    """

    network: str
    layer: str
    tiles: tuple[Tile, ...]
    channels: int
    unit: str = "channel"


@dataclass(frozen=True)
class LayerLink:
    """A layer on the first page.

    Args:
        layer: its name.
        folder: of its pages.
        channels: how many the finished layer has.
        finished: how many are finished.
        unit: what the page calls them, a noun.
        sprite: address of the thumbnails of its first group, or "".
        thumbnails: how many these are.
    """

    layer: str
    folder: str
    channels: int
    finished: int
    unit: str = "channel"
    sprite: str = ""
    thumbnails: int = 0


@dataclass(frozen=True)
class IndexPage:
    """All that the first page shows.

    Args:
        network: its name.
        links: the layers.
        recipe: everything that computed them, in JSON types.
    """

    network: str
    links: tuple[LayerLink, ...]
    recipe: Mapping[str, Any]
