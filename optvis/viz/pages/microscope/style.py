"""The style sheet of a microscope's pages."""

from __future__ import annotations

from optvis.viz.pages.assets import read_assets


def site_style(group: int) -> str:
    """The style sheet of all pages of a site, whose sprites hold so many thumbnails."""
    return read_assets("base.css", "tools.css", "footer.css", "microscope/microscope.css") + sprite_rules(group)


def sprite_rules(group: int) -> str:
    """The CSS that shows one thumbnail of a group's sprite.

    >>> sprite_rules(1)
    '.p0 img { left: 0%; }\\n'
    """
    return "".join(f".p{index} img {{ left: -{100 * index}%; }}\n".replace("-0%", "0%") for index in range(group))
