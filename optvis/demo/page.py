"""The page in one HTML file: its content, and its HTML."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import escape

from optvis.version import __version__
from optvis.viz.pages.assets import read_assets
from optvis.viz.pages.document import format_header, html_frame

GENERATOR = "optvis demo"


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
        >>> "<h1>Ships &amp; boats</h1>" in text, "http" in text
        (True, False)
    """
    style = f"<style>{read_assets('demo/demo.css')}</style>"
    header, main = format_header(page.title, page.lead), map(_section, page.contents)
    return html_frame(GENERATOR, page.title, {}, [style], header, main, [_footer(page)])


def _section(content: Content) -> str:
    figures = "\n".join(map(_figure, content.figures))
    return f"<section><h2>{escape(content.heading)}</h2><p>{escape(content.text)}</p>\n{figures}</section>"


def _figure(figure: Figure) -> str:
    wide, narrow = figure.columns
    heading = f"<h3>{escape(figure.heading)}</h3>" if figure.heading else ""
    tiles = "\n".join(map(_tile, figure.tiles))
    caption = f'<p>{escape(figure.caption)} <span class="file">{escape(figure.file)}</span></p>{_code(figure.code)}'
    opening = f'{heading}<figure style="--wide: {wide}; --narrow: {narrow}">'
    return f"{opening}\n<ul>{tiles}</ul>\n<figcaption>{caption}</figcaption></figure>"


def _tile(tile: FigureTile) -> str:
    image = f'<img src="data:image/png;base64,{b64encode(tile.png).decode()}" alt="{escape(tile.alt)}">'
    title = f"<b>{escape(tile.title)}</b>" if tile.title else ""
    note = f"<span>{escape(tile.note)}</span>" if tile.note else ""
    return f"<li>{image}{title}{note}</li>"


def _footer(page: Page) -> str:
    return (
        f"<footer><h2>Reproduce it</h2><p>The whole page:</p>{_code(page.command)}"
        f"<p>One figure: run these lines, then the lines below the figure.</p>{_code(page.setup)}"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )


def _code(lines: str) -> str:
    return f"<pre><code>{escape(lines)}</code></pre>"
