"""The pages of a microscope as HTML texts: one for each channel, one for each layer, and the first one."""

from __future__ import annotations

from optvis.viz.pages.microscope.page import ChannelPage, IndexPage, SheetPage
from optvis.viz.pages.template import IMAGES_BESIDE, build_page

VIEWS = ("Positive", "Negative", "Diverse 1", "Diverse 2", "Diverse 3", "Diverse 4")
STYLES = ("tools.css", "footer.css", "microscope/microscope.css")
KIND = "microscope"


def channel_html(page: ChannelPage) -> str:
    """The page of a channel; arrow keys lead to the next one and the one before.

    Example:
        >>> ablation = {"images": 2, "prediction_changes": 0, "classes": []}
        >>> record = {"channel": 3, "images": [], "prediction_changes": 0, "classes": [], "ablation": ablation}
        >>> page = ChannelPage("demo", "<b>", record, "3.webp", 32, "../images/", (8, 8), 2, None, {})
        >>> "Channel 3 of &lt;b&gt;" in channel_html(page)
        True
    """
    return build_page(
        "microscope/channel.html",
        KIND,
        page,
        styles=STYLES,
        scripts=("microscope/turn.js",),
        images=IMAGES_BESIDE,
        record=page.record,
        views=VIEWS,
    )


def sheet_html(page: SheetPage) -> str:
    """The sheet of a layer: icons of its channels, by number, strongest class or activation.

    Example:
        >>> from optvis.viz.pages.microscope.page import Tile
        >>> page = SheetPage("demo", "<b>", (Tile(3, "group-0-7.webp", 3, 8, "owl", 1.5),), 16)
        >>> "1 of 16 channels" in sheet_html(page)
        True
    """
    rules = _thumbnail_rules(max((tile.count for tile in page.tiles), default=0))
    scripts = ("microscope/sheet.js",)
    return build_page(
        "microscope/sheet.html", KIND, page, styles=STYLES, rules=rules, scripts=scripts, images=IMAGES_BESIDE
    )


def index_html(page: IndexPage) -> str:
    """The first page, with links to the layers.

    Example:
        >>> "demo</h1>" in index_html(IndexPage("demo", (), {}))
        True
    """
    rules = _thumbnail_rules(max((link.thumbnails for link in page.links), default=0))
    recipe = {key: value for key, value in page.recipe.items() if key != "channels"}
    return build_page(
        "microscope/index.html", KIND, page, styles=STYLES, rules=rules, images=IMAGES_BESIDE, recipe=recipe
    )


def _thumbnail_rules(count: int) -> str:
    """The CSS that shows each of a number of thumbnails, side by side in one image."""
    return "".join(f".p{index} img {{ left: {-100 * index}%; }}\n" for index in range(count))
