"""The pages of a microscope as HTML texts: of channels, layers and classes, and the first one."""

from __future__ import annotations

from collections.abc import Iterable

from optvis.viz.pages.microscope.page import (
    CHANNEL_COLUMNS,
    CLASS_COLUMNS,
    CLASS_FOLDER,
    ChannelPage,
    ClassesPage,
    ClassPage,
    IndexPage,
    SheetPage,
    Thumbnail,
)
from optvis.viz.pages.microscope.sheet import describe_sheet
from optvis.viz.pages.template import IMAGES_BESIDE, build_page

VIEWS = ("Positive", "Negative", "Diverse 1", "Diverse 2", "Diverse 3", "Diverse 4")
STYLES = ("tools.css", "footer.css", "microscope/microscope.css", "microscope/sheet.css")
SHEET_SCRIPTS = ("microscope/sheet.js",)
KIND = "microscope"


def channel_html(page: ChannelPage) -> str:
    """The page of a channel; arrow keys lead to the next one and the one before.

    Example:
        >>> ablation = {"images": 2, "prediction_changes": 0, "classes": []}
        >>> record = {"channel": 3, "score": 0, "images": [], "prediction_changes": 0, "classes": [], "inputs": []}
        >>> record |= {"ablation": ablation, "survey": None}
        >>> page = ChannelPage("demo", "<b>", record, "3.webp", 32, "../images/", (8, 8), 2, None, {})
        >>> "Channel 3 of &lt;b&gt;" in channel_html(page)
        True
    """
    return build_page(
        "microscope/channel.html",
        KIND,
        page,
        styles=STYLES,
        rules=_thumbnail_rules(link.thumbnail for link in (*page.inputs, *page.outputs)),
        scripts=("microscope/turn.js",),
        images=IMAGES_BESIDE,
        record=page.record,
        views=VIEWS,
    )


def sheet_html(page: SheetPage) -> str:
    """The sheet of a layer: icons of its channels, sorted and filtered by their numbers.

    Example:
        >>> from optvis.viz.pages.microscope.page import Tile
        >>> tile = Tile(3, "owl", {}, Thumbnail("group-0-7.webp", 3, 8))
        >>> "1 of 16 channels" in sheet_html(SheetPage("demo", "<b>", (tile,), 16))
        True
    """
    return build_page(
        "microscope/sheet.html",
        KIND,
        page,
        styles=STYLES,
        rules=_thumbnail_rules(tile.thumbnail for tile in page.tiles),
        scripts=SHEET_SCRIPTS,
        data=describe_sheet(page.tiles, CHANNEL_COLUMNS, page.class_labels, f"../{CLASS_FOLDER}/"),
        images=IMAGES_BESIDE,
        columns=CHANNEL_COLUMNS,
    )


def index_html(page: IndexPage) -> str:
    """The first page, with links to the layers and a sheet of all channels.

    Example:
        >>> "demo</h1>" in index_html(IndexPage("demo", (), {}))
        True
    """
    strips = (Thumbnail(link.sprite, 0, link.thumbnails) for link in page.links)
    return build_page(
        "microscope/index.html",
        KIND,
        page,
        styles=STYLES,
        rules=_thumbnail_rules((*strips, *(tile.thumbnail for tile in page.tiles))),
        scripts=SHEET_SCRIPTS,
        data=describe_sheet(page.tiles, CHANNEL_COLUMNS, page.class_labels, f"{CLASS_FOLDER}/"),
        images=IMAGES_BESIDE,
        columns=CHANNEL_COLUMNS,
        class_folder=CLASS_FOLDER,
        recipe={key: value for key, value in page.recipe.items() if key != "channels"},
    )


def classes_html(page: ClassesPage) -> str:
    """The list of all classes, each with its strongest channel.

    Example:
        >>> from optvis.viz.pages.microscope.page import Tile
        >>> "1 class, each with" in classes_html(ClassesPage("demo", (Tile(3, "owl", {}, None),), {}))
        True
    """
    return build_page(
        "microscope/classes.html",
        KIND,
        page,
        styles=STYLES,
        rules=_thumbnail_rules(tile.thumbnail for tile in page.tiles),
        scripts=SHEET_SCRIPTS,
        data=describe_sheet(page.tiles, CLASS_COLUMNS, {}, ""),
        images=IMAGES_BESIDE,
        columns=CLASS_COLUMNS,
    )


def class_html(page: ClassPage) -> str:
    """The page of a class: its images, and its channels with what switching each off costs.

    Example:
        >>> "&lt;b&gt;</h1>" in class_html(ClassPage("demo", 0, "<b>", (), "../images/", (), None, 1, {}))
        True
    """
    rows = (row.thumbnail for layer in page.layers for row in layer.channels)
    return build_page(
        "microscope/class.html",
        KIND,
        page,
        styles=STYLES,
        rules=_thumbnail_rules(rows),
        scripts=("microscope/turn.js", "microscope/table.js"),
        images=IMAGES_BESIDE,
    )


def _thumbnail_rules(thumbnails: Iterable[Thumbnail | None]) -> str:
    """The CSS that shows each of a number of thumbnails, side by side in one image."""
    count = max((each.count for each in thumbnails if each is not None), default=0)
    return "".join(f".p{index} img {{ left: {-100 * index}%; }}\n" for index in range(count))
