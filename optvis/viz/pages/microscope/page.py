"""The content of a microscope's pages, and of the JSON files beside them: plain numbers and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CLASS_FOLDER = "classes"  # of the pages of classes
NUMBERS_KIND = "microscope numbers"  # what a JSON file says that it is
#: Numbers of channels on a sheet, and what the page calls them.
CHANNEL_COLUMNS: Mapping[str, str] = {
    "activation": "largest activation",
    "score": "score of the rendering",
    "attribution": "attribution to its class",
    "logit_drop": "logit drop of its class",
    "prediction_changes": "changed predictions",
    "probability_drop": "largest probability drop, 0 to 1",
}
#: Numbers of classes: of the channel with the largest attribution.
CLASS_COLUMNS: Mapping[str, str] = {
    "margin": "largest margin",
    "attribution": "attribution of its strongest channel",
    "logit_drop": "logit drop without it",
    "probability_drop": "probability drop without it, −1 to 1",
}


@dataclass(frozen=True)
class Thumbnail:
    """A part of an image of several thumbnails, side by side; positives in a row, negatives below.

    Args:
        file: address of the image, from the page.
        index: of the thumbnail in its row.
        count: how many thumbnails a row has.
    """

    file: str
    index: int
    count: int


@dataclass(frozen=True)
class ChannelLink:
    """A channel of another layer that a channel is made of, or that is made of it.

    Args:
        layer: name of the other layer.
        channel: its number.
        contribution: gradient × activation of the later one's activation.
        address: of its page; None where it has no page.
        thumbnail: None where it has no page.
    """

    layer: str
    channel: int
    contribution: float
    address: str | None = None
    thumbnail: Thumbnail | None = None


@dataclass(frozen=True)
class ChannelPage:
    """All that a channel's page shows.

    Args:
        network: its name.
        layer: name of the layer.
        record: what is stored about the channel: a `ChannelRecord` in JSON types.
        renderings: file of its six renderings, side by side.
        size: side of each in pixels.
        image_folder: address of the folder of images.
        image_size: (height, width) of an image in pixels.
        previous: the channel before this one, or None.
        next: the channel after this one, or None.
        recipe: everything that computed it, in JSON types.
        unit: what the page calls it, a noun.
        attributed_label: label of the class whose attribution chose the images; None where activations did.
        inputs: the channels of the previous layer that it is made of, strongest first.
        outputs: channels that are made of it, strongest first.
        class_folder: address of the folder of classes; "" where they have no pages.
        class_pages: the indices of the classes on this page that have pages.
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
    attributed_label: str | None = None
    inputs: tuple[ChannelLink, ...] = ()
    outputs: tuple[ChannelLink, ...] = ()
    class_folder: str = ""
    class_pages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tile:
    """A channel on a sheet, or a class.

    Args:
        number: of the channel or the class; its page is this number and ".html".
        label: of a channel, the class with the largest attribution; of a class, its own label; or "".
        values: by the keys of `CHANNEL_COLUMNS` or `CLASS_COLUMNS`.
        thumbnail: of the channel, or of the class's strongest channel; None for none.
        folder: address of the page's folder, "" or ending with "/".
        layer: name of the layer, where a sheet shows several.
    """

    number: int
    label: str
    values: Mapping[str, float]
    thumbnail: Thumbnail | None
    folder: str = ""
    layer: str = ""


@dataclass(frozen=True)
class SheetPage:
    """All that a layer's sheet shows.

    Args:
        network: its name.
        layer: name of the layer.
        tiles: of the finished channels.
        channels: how many the finished layer has.
        unit: what the page calls them, a noun.
        class_labels: of the classes that have pages, by index; none where they have none.
    """

    network: str
    layer: str
    tiles: tuple[Tile, ...]
    channels: int
    unit: str = "channel"
    class_labels: Mapping[int, str] = field(default_factory=dict)


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
        tiles: of the finished channels of all layers.
        class_labels: of the classes that have pages, by index; none where they have none.
    """

    network: str
    links: tuple[LayerLink, ...]
    recipe: Mapping[str, Any]
    tiles: tuple[Tile, ...] = ()
    class_labels: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassesPage:
    """The list of all classes.

    Args:
        network: its name.
        tiles: of the classes.
        recipe: everything that computed them, in JSON types.
    """

    network: str
    tiles: tuple[Tile, ...]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class ClassImage:
    """An image that is predicted as a class.

    Args:
        file: in the folder of images.
        name: in the dataset.
        margin: how far the class's logit leads the best other one; the logit itself where classes do not exclude each
            other.
    """

    file: str
    name: str
    margin: float


@dataclass(frozen=True)
class ClassChannel:
    """A channel's effect on a class; numbers are means over the class's images.

    Args:
        channel: its number.
        attribution: gradient × activation of the class's logit, summed over positions.
        logit_drop: how much the class's logit drops without the channel.
        probability_drop: how much its probability drops.
        prediction_changes: for how many of the images the prediction changes.
    """

    channel: int
    attribution: float
    logit_drop: float
    probability_drop: float
    prediction_changes: int


@dataclass(frozen=True)
class RankedChannel(ClassChannel):
    """A channel on the page of a class.

    Args:
        address: of its page; None where it has none yet.
        thumbnail: None where it has no page yet.
    """

    address: str | None = None
    thumbnail: Thumbnail | None = None


@dataclass(frozen=True)
class ClassLayer:
    """The channels of one layer on the page of a class.

    Args:
        layer: its name.
        images: on how many images of the class the numbers were measured.
        channels: from the most positive attribution to the most negative.
        unit: what the page calls them, a noun.
    """

    layer: str
    images: int
    channels: tuple[RankedChannel, ...]
    unit: str = "channel"


@dataclass(frozen=True)
class ClassPage:
    """All that the page of a class shows.

    Args:
        network: its name.
        index: of the class.
        label: of the class.
        images: predicted as it with the largest margins, largest first.
        image_folder: address of the folder of images.
        layers: the ranked channels of each layer.
        previous: index of the class before this one, or None.
        next: index of the class after this one, or None.
        recipe: everything that computed it, in JSON types.
    """

    network: str
    index: int
    label: str
    images: tuple[ClassImage, ...]
    image_folder: str
    layers: tuple[ClassLayer, ...]
    previous: int | None
    next: int | None
    recipe: Mapping[str, Any]


Page = ChannelPage | SheetPage | IndexPage | ClassesPage | ClassPage


def page_numbers(page: Page) -> dict[str, Any]:
    """What a page shows, in JSON types: the content of the JSON file beside it.

    Example:
        >>> page_numbers(IndexPage("demo", (), {}))
        {'kind': 'microscope numbers', 'page': 'IndexPage', 'network': 'demo', 'links': (), 'recipe': {}, ...}
    """
    return {"kind": NUMBERS_KIND, "page": type(page).__name__, **asdict(page)}
