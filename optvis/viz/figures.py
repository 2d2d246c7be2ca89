"""Figures of matplotlib in one style, made without its global state, and their encoding as files.

matplotlib is imported where a figure is drawn: it takes half a second.
"""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from optvis.viz.sheet import NEGATIVE_COLOR, POSITIVE_COLOR, TEXT_COLOR, wrap_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

WIDTH, PANEL = 6.4, (6.4, 2.9)  # inches of a figure that is one plot: its width; both sides
LABEL_WIDTH = 2.2  # inches of the labels of rows, and of those beside lines
UNIT_WIDTH = 3.2  # inches of the name of an axis, which has two lines
DPI = 120  # of figures as pixels
FONT_SIZE = 9.0  # points
MAX_LETTERS = 1000  # of a text
MIME_TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
# Fonts for scripts that DejaVu Sans has no letters of, those that are installed.
OTHER_SCRIPTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic"),
    *("WenQuanYi Zen Hei", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS"),
)


def as_hex(color: tuple[int, int, int]) -> str:
    """A color of bytes as matplotlib and CSS write it.

    >>> as_hex((230, 97, 1))
    '#e66101'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)


INK, QUIET, RULE = as_hex(TEXT_COLOR), "#b0aca4", "#e4e0d8"  # texts; what is there to compare; lines behind
POSITIVE, NEGATIVE = as_hex(POSITIVE_COLOR), as_hex(NEGATIVE_COLOR)
# Okabe & Ito 2008 (jfly.uni-koeln.de/color), safe for colour-blind readers.
COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6e6e6e")
STYLE: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "white",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": FONT_SIZE,
    "figure.facecolor": "white",
    "figure.titlesize": FONT_SIZE,
    "font.size": FONT_SIZE,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "legend.borderaxespad": 0,
    "legend.fontsize": FONT_SIZE,
    "legend.frameon": False,
    "legend.handlelength": 1.2,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "optvis",
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": INK,
    "xtick.labelsize": FONT_SIZE,
    "ytick.color": INK,
    "ytick.labelsize": FONT_SIZE,
}
SQUARES = {"handlelength": 0.8, "handleheight": 0.8}  # in a legend of colors
_LOCK = RLock()  # matplotlib's settings are of the whole process


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the style of the package, and without warnings of letters that no font has; one thread at a time."""
    from matplotlib import rc_context

    settings: Any = {**STYLE, "font.family": font_families()}
    with _LOCK, rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph|constrained_layout not applied")
        yield


@cache
def font_families() -> list[str]:
    """The fonts of a figure: for each letter the first that has it."""
    from matplotlib.font_manager import fontManager

    installed = {entry.name for entry in fontManager.ttflist}
    return ["sans-serif", *(name for name in OTHER_SCRIPTS if name in installed)]


def new_figure(size: tuple[float, float]) -> Figure:
    """An empty figure of (width, height) in inches, which a notebook shows; pyplot knows nothing of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    setattr(figure, "_repr_png_", partial(encode_figure, figure, "png"))  # noqa: B010
    return figure


@contextmanager
def draw_on(ax: Axes | None, size: tuple[float, float]) -> Iterator[Axes]:
    """Draw in the style of the package on given axes, or on those of a new figure of (width, height) in inches."""
    with house_style():
        yield new_figure(size).add_subplot() if ax is None else ax


def figure_of(ax: Axes) -> Figure:
    """The figure that axes belong to, that of the page where they are in a part of it."""
    figure: Any = ax.figure
    while figure is not figure.figure:
        figure = figure.figure
    return figure  # type: ignore[no-any-return]


def encode_figure(
    figure: Figure, format: str, metadata: Mapping[str, Any] | None = None, *, transparent: bool = False
) -> bytes:
    """Encode a figure as "png", "svg" or "pdf": the same bytes for the same figure, without a date.

    Args:
        figure: to encode.
        format: one of the three.
        metadata: texts that the file holds, by the names that the format has for them.
        transparent: without the white ground.

    Example:
        >>> encode_figure(new_figure((2, 1)), "svg") == encode_figure(new_figure((2, 1)), "svg")
        True
    """
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
    data = io.BytesIO()
    with house_style():
        found = {**undated, **(metadata or {})}
        figure.savefig(data, format=format, dpi=DPI, metadata=found, transparent=transparent)
    return data.getvalue()


def draw_pixels(figure: Figure) -> Image.Image:
    """A figure as an image.

    >>> draw_pixels(new_figure((2, 1))).size
    (240, 120)
    """
    from PIL import Image

    with Image.open(io.BytesIO(encode_figure(figure, "png"))) as image:
        return image.convert("RGB")


def svg_uri(figure: Figure) -> str:
    """A figure as an address that holds it as SVG, for the source of an image in a page: nothing in it can run.

    The figure has no ground of its own, so that it stands on the page's, light or dark.
    """
    return f"data:{MIME_TYPES['svg']};base64,{b64encode(encode_figure(figure, 'svg', transparent=True)).decode()}"


def fit_text(text: str, inches: float, lines: int = 1, size: float = FONT_SIZE) -> str:
    """Break a text into lines that fit a width; "…" marks what is cut off, "�" a letter that cannot be shown.

    Args:
        text: of any letters.
        inches: the width.
        lines: how many at most.
        size: of the letters in points.

    Example:
        >>> fit_text("a title  of several words", 4.0)
        'a title of several words'
    """
    words = " ".join(text[:MAX_LETTERS].split())
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    with house_style():
        return "\n".join(wrap_text(shown, _Measure(size), inches * 72, lines))


class _Measure:
    """Widths of texts in points, as `wrap_text` asks for them."""

    def __init__(self, size: float) -> None:
        from matplotlib.font_manager import FontProperties, findfont, get_font

        self._font = get_font(findfont(FontProperties()))
        self._size = size

    def getlength(self, text: str) -> float:
        self._font.set_size(self._size, 72)
        self._font.set_text(text)
        return float(self._font.get_width_height()[0] / 64)


def set_labels(ax: Axes, side: str, places: Sequence[float], texts: Sequence[str], **how: Any) -> None:
    """Write texts at places of the axis "x" or "y"; `$` is a letter like any other."""
    axis = ax.xaxis if side == "x" else ax.yaxis
    axis.set_ticks(places, texts, parse_math=False, **how)


def add_title(ax: Axes, title: str, given: Axes | None) -> None:
    """Write a title above axes, over as many lines as it needs: across the figure where the axes are not `given`."""
    figure = figure_of(ax)
    if given is None:
        caption_figure(figure, title)
    else:
        text = fit_text(title, ax.get_position().width * figure.get_figwidth(), 3)
        ax.set_title(text, loc="left", parse_math=False)


def caption_figure(figure: Figure, title: str, signs: Sequence[tuple[str, str]] = ()) -> None:
    """Write a title above a figure, over as many lines as it needs, and below it what colors mean."""
    width = float(figure.get_figwidth())
    if title:
        figure.suptitle(fit_text(title, width - 0.2, 3), x=0.1 / width, ha="left", parse_math=False)
    if signs:
        without_math(figure.legend(handles=_patches(signs), loc="outside lower left", ncols=len(signs), **SQUARES))


def _patches(signs: Sequence[tuple[str, str]]) -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=color, label=text) for text, color in signs]


def without_math(legend: Any) -> None:
    """Write the texts of a legend as they are; `$` is a letter like any other."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def add_signs(ax: Axes, signs: Sequence[tuple[str, str]], below: float = 4.0) -> None:
    """Write below axes what colors mean.

    Args:
        ax: above them.
        signs: a text and a color each.
        below: the axes, in points.
    """
    from matplotlib.transforms import offset_copy

    place = offset_copy(ax.transAxes, fig=figure_of(ax), y=-below, units="points")
    options: dict[str, Any] = {
        "bbox_to_anchor": (0, 0),
        "bbox_transform": place,
        "ncols": len(signs),
    }
    without_math(ax.legend(handles=_patches(signs), loc="upper left", **options, **SQUARES))


def name_axis(axes: Axes, side: str, text: str, inches: float = UNIT_WIDTH) -> None:
    """Write what the axis "x" or "y" counts."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_label_text(fit_text(text, inches, 2), parse_math=False)


def as_columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """The x and the y of points, as matplotlib takes them."""
    return [x for x, _ in points], [y for _, y in points]
