"""Plots: numbers stand where they should, any text is a text, and matplotlib's own state stays as it was."""

from __future__ import annotations

import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from base64 import b64decode

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from optvis.viz import hinton, label_table, plot_bars, plot_counts, plot_histogram, plot_lines, plot_scatter, plot_tiles
from optvis.viz.figures import COLORS, NEGATIVE, POSITIVE, draw_pixels, encode_figure, svg_uri
from optvis.viz.sheet import TEXT_COLOR

SIGNS = [("rises", POSITIVE), ("falls", NEGATIVE)]


def seeded():
    return torch.Generator().manual_seed(0)


PLOTS = {
    "bars": lambda text, ax=None: plot_bars([1.0, -0.5], [text, "b"], title=text, unit=text, signs=SIGNS, ax=ax),
    "lines": lambda text, ax=None: plot_lines([0, 1], {text: [100, 50], "b": [0, 9]}, title=text, unit=text, ax=ax),
    "histogram": lambda text, ax=None: plot_histogram([0.0, 9.0], 90.0, name=text, title=text, unit=text, ax=ax),
    "scatter": lambda text, ax=None: plot_scatter([(0, 1)], (1, 1), name=text, title=text, units=(text, text), ax=ax),
    "counts": lambda text, ax=None: plot_counts([[3, 1]], [text], [text, "b"], title=text, units=(text, text), ax=ax),
    "tiles": lambda text, ax=None: plot_tiles(
        torch.rand(3, 3, 8, 9, generator=seeded()), [text, "", "c"], title=text, ax=ax
    ),
    "squares": lambda text, ax=None: hinton([[1.0, -1.0]], row_labels=[text], column_labels=["c", "d"]).figure(ax),
}
HOSTILE = "$x_1^{2$ \\frac{$ <script>&\"']]>--> two\nlines\r\x00\x1b\ud800\u202e 海船 \U0001f6a2"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("text", [HOSTILE, "W" * 10_000, ""], ids=["hostile", "long", "empty"])
@pytest.mark.parametrize("name", PLOTS)
def test_any_text_is_a_text(name, text):
    """Warnings are errors here: a letter that no font has is none."""
    root = ElementTree.fromstring(encode_figure(PLOTS[name](text), "svg"))
    assert {element.tag for element in root.iter()} & {f"{SVG}script", f"{SVG}foreignObject"} == set()
    if text:
        assert any((element.text or "").startswith(text[:8]) for element in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", PLOTS)
def test_bytes_are_the_same_again(name):
    assert encode_figure(PLOTS[name]("a"), "svg") == encode_figure(PLOTS[name]("a"), "svg")


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_figure_that_shows_itself_and_stays_inside(name):
    figure = PLOTS[name]("a label of some length that goes on " * 9)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    pixels = np.asarray(draw_pixels(figure))
    edges = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in edges)
    pdf = encode_figure(figure, "pdf")
    assert (b"/Subtype /Image" in pdf) is (name in ("tiles", "counts"))


@pytest.mark.parametrize("name", PLOTS)
def test_given_axes_are_drawn_on(name):
    figure = Figure()
    first, second = figure.subplots(1, 2)
    assert PLOTS[name]("$x$", first) is figure
    assert first.has_data()
    assert not second.has_data()
    assert figure.axes == [first, second]
    encode_figure(figure, "png")


def test_settings_of_the_user_stay_and_cannot_break_a_plot():
    with mpl.rc_context({"text.usetex": True, "svg.fonttype": "path", "font.family": "no such font", "figure.dpi": 50}):
        before = dict(mpl.rcParams)
        assert svg_uri(PLOTS["bars"]("$x_1$")).startswith("data:image/svg+xml;base64,")
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_the_figures_of_a_page_have_no_ground_of_their_own(plot):
    figure = plot("title")
    page = b64decode(svg_uri(figure).partition(",")[2]).decode()
    saved = encode_figure(figure, "svg").decode()
    assert page.count("fill: #ffffff") == 0 < saved.count("fill: #ffffff")


def test_pyplot_is_not_imported():
    code = (
        "import sys, optvis\n"
        "from optvis.viz import plot_bars, encode_figure\n"
        "assert 'matplotlib' not in sys.modules\n"
        "encode_figure(plot_bars([1.0], ['a']), 'pdf')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "False\n"


def test_bars_are_as_long_as_their_numbers_and_have_their_signs_colors():
    values = [2.0, -0.5, 0.0, float("nan")]
    (axes,) = plot_bars(values, list("abcd")).axes
    assert [bar.get_width() for bar in axes.patches] == [2.0, -0.5, 0.0, 0.0]
    colors = [mpl.colors.to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert colors[:2] == [POSITIVE, NEGATIVE]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a  +2", "b  −0.5", "c  +0", "d  +nan"]


def test_lines_have_their_numbers_their_colors_and_their_names():
    nan = float("nan")
    bands = {"up": [(0, 10), (nan, nan), (90, 100)]}
    lines = {"up": [0, nan, 100], "down": [100, 50, 0], "none": [nan] * 3}
    (axes,) = plot_lines([0, 4, 8], lines, bands=bands, dotted={"up": [1, 2, 3]}).axes
    assert len(axes.collections) == 1
    found = {line.get_label(): line for line in axes.lines}
    assert found["up"].get_xydata().tolist() == [[0, 0], [8, 100]]
    assert found["down"].get_ydata().tolist() == [100, 50, 0]
    assert [found[name].get_color() for name in lines] == list(COLORS[:3])
    assert found["up"].get_zorder() > found["down"].get_zorder()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)
    assert axes.get_ylim() == (0, 100)


@pytest.mark.parametrize("x", [[3], [0, 0]])
def test_one_number_no_line_and_many_lines_can_be_plotted(x):
    for lines in ({}, {"a": [40.0] * len(x)}, {str(n): [n] * len(x) for n in range(40)}):
        encode_figure(plot_lines(x, lines), "png")
    (axes,) = plot_lines(x, {str(n): [n] * len(x) for n in range(40)}).axes
    assert axes.get_legend().get_texts()[-1].get_text() == "34 others"


def test_lines_of_another_length_and_bars_without_labels_are_told():
    with pytest.raises(ValueError, match="the line"):
        plot_lines([0, 1], {"a": [1.0]})
    with pytest.raises(ValueError, match="the band 'a' has 1 entries for 2"):
        plot_lines([0, 1], {"a": [1.0, 2.0]}, bands={"a": [(0.0, 1.0)]})
    with pytest.raises(ValueError, match="the dotted line 'b' belongs to no line; there are 'a'"):
        plot_lines([0], {"a": [1.0]}, dotted={"b": [1.0]})
    with pytest.raises(ValueError, match="x is empty"):
        plot_lines([], {})
    with pytest.raises(ValueError, match="labels"):
        plot_bars([1.0], [])


def test_a_histogram_counts_and_marks_the_one_among_many():
    for own in (-100.0, -25.0, 0.0, 50.0, 75.0, 100.0):
        (axes,) = plot_histogram([0.0, 0.0, own, own, own], own).axes
        middles = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in axes.patches}
        (mark,) = axes.lines
        x = mark.get_xdata()[0]
        assert middles[x] == (5 if own == 0 else 3)
        assert middles[2.0] == (5 if own == 0 else 2)
        assert axes.get_xlim()[0] < x < axes.get_xlim()[1]
        lowest = min(own, 0)
        assert axes.get_xticklabels()[0].get_text() == f"{lowest:g}".replace("-", "−")
        assert axes.get_xticks()[0] == 4 * math.floor(lowest / 4) + 2


def test_areas_of_squares_are_absolute_values():
    values = torch.tensor([[1.0, -0.25], [0.0, 4.0]])
    (axes,) = hinton(values, extent=1.0).figure().axes
    (squares,) = axes.collections
    sides = [float(np.ptp(path.vertices[:, 0])) for path in squares.get_paths()]
    assert sides == pytest.approx([0.96, 0.48, 0.96])
    assert [mpl.colors.to_hex(color) for color in squares.get_facecolors()] == [POSITIVE, NEGATIVE, POSITIVE]


def places(picture, colour):
    """Rows and columns of the pixels of just this colour."""
    return np.nonzero((np.asarray(picture) == np.array(colour)).all(2))


def test_labels_are_before_rows_and_above_columns():
    blank = Image.new("RGB", (100, 60), (1, 2, 3))
    framed = label_table(blank, ["one", "two", "three"], ["a", "b"])
    rows, columns = places(framed, (1, 2, 3))
    (top, bottom), (left, right) = (rows.min(), rows.max() + 1), (columns.min(), columns.max() + 1)
    assert (right - left, bottom - top) == blank.size
    dark = (np.asarray(framed).astype(int).sum(2) < 3 * max(TEXT_COLOR) + 60) & (np.asarray(framed) != (1, 2, 3)).any(2)
    for row in range(3):
        assert dark[top + 20 * row : top + 20 * row + 20, :left].any()
    for column in range(2):
        assert dark[:top, left + 50 * column : left + 50 * column + 50].any()
    assert not dark[bottom:].any()
    assert not dark[:, right:].any()
