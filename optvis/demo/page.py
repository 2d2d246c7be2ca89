"""The page in one HTML file: its content, and its HTML."""

from __future__ import annotations

from dataclasses import dataclass

from optvis.viz.pages.template import build_page


@dataclass(frozen=True)
class FigureTile:
    """A small image of a figure with the texts below it.

    Args:
        png: the image.
        alt: what it shows, for screen readers.
        title: its name.
        note: a few more words.
    """

    png: bytes
    alt: str
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """Images side by side, with the code that computes them.

    Args:
        file: name of the figure's PNG in the folder of the page.
        png: the whole figure as one image, for that file.
        tiles: its images one by one, for the page.
        columns: tiles in a row, in a wide and in a narrow window.
        caption: a text below it.
        code: a few lines of Python.
        heading: of a figure in a section with several.
    """

    file: str
    png: bytes
    tiles: tuple[FigureTile, ...]
    columns: tuple[int, int]
    caption: str
    code: str
    heading: str = ""


@dataclass(frozen=True)
class Content:
    """A section of the page: a heading, a text, figures."""

    heading: str
    text: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Page:
    """The whole page.

    Args:
        title: of the page.
        lead: a sentence or two below the title.
        contents: the sections, in order.
        setup: Python that runs before the code of a figure.
        command: the command that writes the page.
    """

    title: str
    lead: str
    contents: tuple[Content, ...]
    setup: str
    command: str


def to_html(page: Page) -> str:
    """Write the page as one HTML text with images and style in it; it has no scripts and loads nothing.

    Example:
        >>> text = to_html(Page("Ships & boats", "Two of them.", (), "import optvis", "optvis demo"))
        >>> "Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    shapes = {figure.columns for content in page.contents for figure in content.figures}
    rules = "".join(
        f".wide-{wide}.narrow-{narrow} {{ --wide: {wide}; --narrow: {narrow}; }}\n" for wide, narrow in sorted(shapes)
    )
    return build_page("demo/page.html", "demo", page, styles=("footer.css", "demo/demo.css"), rules=rules)
