"""Plots: points stand where their numbers say, and names stand beside what they name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from optvis.viz.plots import COLORS, label_table, plot_curves
from optvis.viz.sheet import TEXT_COLOR


def places(picture, colour):
    """Rows and columns of the pixels of just this colour."""
    return np.nonzero((np.asarray(picture) == np.array(colour)).all(2))


@pytest.mark.parametrize("value", [0, 25, 50, 100])
def test_a_point_is_as_high_as_its_number(value):
    rows, columns = places(plot_curves([4, 8], {"a": [value, value]}, "title", (162, 300)), COLORS[0])
    line = rows[columns < 100]
    assert abs(line.mean() - (136 - value)) <= 1


def test_every_line_has_its_color_in_the_legend_and_stays_inside():
    many = {f"line {n}": [n, n] for n in range(5)}
    picture = plot_curves([1, 2], many, "title", (200, 300))
    for row in range(5):
        rows, columns = places(picture, COLORS[row])
        key = rows[columns > 250]
        assert abs((key.min() + key.max()) / 2 - (36 + 16 * row)) <= 5


def test_one_number_can_be_plotted():
    assert plot_curves([32], {"a": [40.0]}, "title", (120, 240)).size == (240, 120)


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
