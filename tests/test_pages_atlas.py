"""The page of an activation atlas: its map responds to mouse, touch and keys, and no text on it runs."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from optvis.viz.pages import AtlasLevel, AtlasPage, atlas_html

HOSTILE = "</script><script>document.title = 'obeyed'</script>\"'&<img src=x onerror=\"document.title = 'obeyed'\">"
SCRIPT_CLASS = "<script>alert(1)</script>"
SIZES, MIN_POINTS, TILE, LABELS = (5, 10, 20), 4, 16, ("beaver", "otter", "muskrat", "lodge")
MAP = ".map canvas"
GENERATOR = torch.Generator().manual_seed(11)


def random_tensor(*shape):
    return torch.rand(shape, generator=GENERATOR)


def shades(count):
    """Icons of one colour each; the colours lie far apart, and far from the background."""
    return (random_tensor(count, 3, 1, 1) * 3).round().div(4).expand(count, 3, TILE, TILE)


def islands(count=4000):
    """Points in [0, 1]²: row and column."""
    middles = torch.tensor([[0.2, 0.25], [0.3, 0.75], [0.7, 0.4], [0.85, 0.9]])
    which = torch.randint(0, 4, (count,), generator=GENERATOR)
    return (middles[which] + 0.07 * torch.randn(count, 2, generator=GENERATOR)).clamp(0, 1 - 1e-6)


def build_level(size, points, labels=4, exemplars=30):
    cells, counts = (points * size).long().unique(dim=0, return_counts=True)
    count = len(cells)
    nearest = torch.randint(-1, max(exemplars, 1), (count, 3 if exemplars else 0), generator=GENERATOR)
    attribution = torch.randn(count, labels, generator=GENERATOR)
    return AtlasLevel(size, cells, counts, shades(count), counts >= MIN_POINTS, attribution, nearest)


def build_page(text="A lodge", labels=LABELS, sizes=SIZES, exemplars=30, **others):
    points = islands()
    levels = tuple(build_level(size, points, len(labels), exemplars) for size in sizes)
    names = tuple(f"{text} {n // 2}" for n in range(exemplars))
    patches = shades(exemplars) if exemplars else torch.zeros(0, 3, 16, 16)
    recipe = {"network": text, "steps": 3}
    return AtlasPage(text, text, levels, labels, patches, names, MIN_POINTS, recipe, text, **others)


@pytest.fixture(scope="module")
def page():
    return build_page()


def read_data(text):
    """The data that the page's script reads."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


def round_values(a):
    return [float(f"{value:.3g}") for value in a.flatten().tolist()]


def test_the_script_reads_the_numbers_of_the_page(page):
    data = read_data(atlas_html(page))
    assert (data["labels"], data["min_points"], data["points"]) == (list(LABELS), MIN_POINTS, 4000)
    assert [data["names"][place] for place in data["from"]] == list(page.names)
    assert len(data["names"]) == 15
    for level, written in zip(page.levels, data["levels"], strict=True):
        assert [[cell // level.size, cell % level.size] for cell in written["cells"]] == level.cells.tolist()
        assert written["counts"] == level.counts.tolist()
        assert written["present"] == level.present.int().tolist()
        assert written["attribution"] == [round_values(cell) for cell in level.attribution]
        assert written["nearest"] == [[place for place in cell if place >= 0] for cell in level.nearest.tolist()]
        assert written["full"] == pytest.approx(np.percentile(level.counts[level.present].numpy(), 95))


def decode_image(text, name):
    address = re.search(f'<img id="{name}" src="([^"]*)"', text)[1]
    return Image.open(io.BytesIO(b64decode(address.partition(",")[2])))


def test_icons_are_in_their_cells_and_other_cells_are_transparent(page):
    text = atlas_html(page)
    for place, level in enumerate(page.levels):
        picture = decode_image(text, f"level-{place}").convert("RGBA")
        assert picture.size == (TILE * level.size, TILE * level.size)
        found = {
            (row, column)
            for row in range(level.size)
            for column in range(level.size)
            if picture.getpixel((TILE * column + 8, TILE * row + 8))[3]
        }
        assert found == {tuple(cell) for cell in level.cells[level.present].tolist()}
        for (row, column), icon in zip(level.cells[level.present].tolist(), level.icons[level.present], strict=True):
            colour = torch.tensor(picture.getpixel((TILE * column + 8, TILE * row + 8))[:3])
            assert (colour - icon[:, 8, 8] * 255).abs().max() < 24


def test_cells_without_an_icon_may_hold_anything(page):
    level = page.levels[2]
    assert not level.present.all()
    kept = level.present[:, None, None, None]
    hollow = replace(page, levels=(*page.levels[:2], replace(level, icons=level.icons.where(kept, torch.nan))))
    assert atlas_html(hollow) == atlas_html(page)


def test_a_large_page_stays_small():
    counts = torch.full((1600,), 9)
    cells = torch.cartesian_prod(torch.arange(40), torch.arange(40))
    icons = random_tensor(1600, 3, 24, 24).repeat_interleave(2, -1).repeat_interleave(2, -2)
    nearest = torch.randint(0, 4000, (1600, 8), generator=GENERATOR)
    level = AtlasLevel(40, cells, counts, icons, counts > 0, torch.randn(1600, 16, generator=GENERATOR), nearest)
    patches = random_tensor(4000, 3, 10, 10).repeat_interleave(4, -1).repeat_interleave(4, -2)
    names = tuple(f"{n}.jpg" for n in range(4000))
    labels = tuple(f"class {n}" for n in range(16))
    assert len(atlas_html(AtlasPage("large", "mixed5", (level,), labels, patches, names, 5, {}))) < 6e6


def test_icons_that_exceed_webp_are_refused(page):
    level = page.levels[2]
    wide = replace(level, size=1100)
    with pytest.raises(ValueError, match="make them smaller"):
        atlas_html(replace(page, levels=(wide,)))


COUNT = 2
BAD_LEVELS = [
    ("cells", torch.zeros(COUNT, 3).long(), "cells has shape (2, 3); expected (M, 2)"),
    ("cells", torch.zeros(0, 2).long(), "counts has shape (2,); expected (M) with M = 0"),
    ("cells", torch.zeros(COUNT, 2), "cells is float32; expected int"),
    ("cells", torch.tensor([[0, 1], [0, 5]]), "cells has numbers from 0 to 5; expected 0..4"),
    ("cells", torch.tensor([[0, -1], [0, 2]]), "cells has numbers from -1 to 2; expected 0..4"),
    ("cells", torch.tensor([[1, 1], [1, 1]]), "two of the cells have the same row and column"),
    ("counts", torch.tensor([3, 0]), "got a count of 0"),
    ("counts", torch.tensor([3.0, 1.0]), "counts is float32; expected int"),
    ("counts", torch.tensor([3]), "counts has shape (1,); expected (M) with M = 2"),
    ("icons", torch.ones(COUNT, 3, 8, 9), "icons has shape (2, 3, 8, 9); expected (M, 3, s, s)"),
    ("icons", torch.full((COUNT, 3, 8, 8), torch.nan), "icons has NaN or infinite numbers"),
    ("present", torch.ones(COUNT), "present is float32; expected bool"),
    ("present", torch.ones(3).bool(), "present has shape (3,); expected (M) with M = 2"),
    ("attribution", torch.full((COUNT, 1), torch.inf), "attribution has NaN or infinite numbers"),
    ("attribution", torch.ones(3, 1), "attribution has shape (3, 1); expected (M, K) with M = 2"),
    ("nearest", torch.ones(COUNT, 1), "nearest is float32; expected int"),
    ("nearest", torch.ones(3, 1).long(), "nearest has shape (3, 1); expected (M, J) with M = 2"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_LEVELS)
def test_wrong_tensors_of_a_level_are_refused_by_name(name, value, message):
    cells, counts = torch.tensor([[0, 1], [4, 4]]), torch.tensor([9, 1])
    level = AtlasLevel(5, cells, counts, shades(2), counts > 4, random_tensor(2, 3), torch.zeros(2, 1).long())
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(level, **{name: value})


BAD_PAGES = [
    (lambda page: {"levels": ()}, "no levels; a page of an atlas needs one or more"),
    (lambda page: {"levels": page.levels[::-1]}, "from coarse to fine; got sizes [20, 10, 5]"),
    (lambda page: {"levels": page.levels[:1] * 2}, "from coarse to fine; got sizes [5, 5]"),
    (lambda page: {"levels": (page.levels[0], build_level(10, islands(7)))}, "the same points; got [7, 4000] of them"),
    (
        lambda page: {"labels": LABELS[:3]},
        "attribution at the level of size 5 has shape (23, 4); expected (M, K) with K = 3",
    ),
    (lambda page: {"names": page.names[:9]}, "names has 9 entries for 30 exemplars"),
    (
        lambda page: {"names": ("a",), "exemplars": shades(1)},
        "nearest at the level of size 5 has numbers from",
    ),
]


@pytest.mark.parametrize(("change", "message"), BAD_PAGES, ids=[message for _, message in BAD_PAGES])
def test_wrong_parts_of_a_page_are_refused_by_name(page, change, message):
    message = message.replace("(23,", f"({len(page.levels[0].cells)},")
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(page, **change(page))


def test_no_text_becomes_markup():
    plain = atlas_html(build_page(ends=("left", "right")))
    hostile = atlas_html(build_page(HOSTILE, (HOSTILE, "__proto__", SCRIPT_CLASS, "d"), ends=(HOSTILE, SCRIPT_CLASS)))
    assert re.findall(r"</?[a-zA-Z]\w*", hostile) == re.findall(r"</?[a-zA-Z]\w*", plain)
    assert read_data(hostile)["labels"] == [HOSTILE, "__proto__", SCRIPT_CLASS, "d"]


# In a browser


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "atlas.html"
    path.write_text(atlas_html(page), encoding="utf-8")
    return path


def open_page(browser, path):
    """Open a page and wait until its map is drawn."""
    browser.open(path)
    browser.js("new Promise((done) => { const look = () => (document.body.classList.contains('ready') "
               "? done() : setTimeout(look, 5)); look(); })")  # fmt: skip
    frames(browser)


def frames(browser):
    browser.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture
def wide(browser, file):
    """The page in a wide window, with a mouse, without animations."""
    browser.resize(1400, reduced_motion="reduce", color_scheme="light")
    open_page(browser, file)
    yield browser
    assert browser.thrown == []


@pytest.fixture
def phone(browser, file):
    """The page on a phone, with a finger."""
    browser.resize(390, 844, finger=True, reduced_motion="reduce", color_scheme="light")
    open_page(browser, file)
    yield browser
    assert browser.thrown == []


def hidden(browser, selector):
    return browser.js(f"!document.querySelector({json.dumps(selector)}).checkVisibility()")


def format_number(text):
    return float(text.replace("−", "-"))


def selected_cell(browser):
    """Size of the level, row and column that the panel describes."""
    row, column, size = map(
        int, re.fullmatch(r"row (\d+), column (\d+) of (\d+) × \3", browser.text(".where")).groups()
    )
    return size, row, column


def visible_level(browser):
    """The size of the level that is visible."""
    return int(re.search(r"of (\d+) × \1 cells", browser.text(".level"))[1])


def cell_center(size, row, column):
    """The middle of a cell, by its share of the whole map."""
    return (column + 0.5) / size, (row + 0.5) / size


def level_of(page, size):
    return next(level for level in page.levels if level.size == size)


def number(page, size, row, column):
    cells = level_of(page, size).cells
    return int((cells == torch.tensor([row, column])).all(1).nonzero())


def picture_of(browser, tmp_path):
    """What the canvas shows, (side, side, 3)."""
    frames(browser)
    place = browser.box(MAP)
    picture = Image.open(browser.screenshot(tmp_path / "map.png")).convert("RGB")
    corner = round(place["x"]), round(place["y"])
    side = round(place["width"])
    return np.asarray(picture.crop((*corner, corner[0] + side, corner[1] + side))).astype(float)


def background(browser):
    return [float(each) for each in re.findall(r"\d+", browser.js("getComputedStyle(document.querySelector('.map'))"
                                                                ".backgroundColor"))]  # fmt: skip


def test_the_page_loads_logs_and_stores_nothing(wide, tmp_path):
    asked = {url.partition(":")[0] for url in wide.asked}
    assert asked == {"file"}
    assert wide.logged == []
    names = wide.js("Object.keys(window)")
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html>", encoding="utf-8")
    wide.open(blank)
    assert set(names) <= set(wide.js("Object.keys(window)"))


def test_hostile_texts_are_displayed_and_do_not_run(browser, tmp_path):
    labels = (SCRIPT_CLASS, HOSTILE, "__proto__")
    path = tmp_path / "hostile.html"
    path.write_text(atlas_html(build_page(HOSTILE, labels, ends=(HOSTILE, SCRIPT_CLASS))), encoding="utf-8")
    browser.resize(1400, reduced_motion="reduce")
    open_page(browser, path)
    assert browser.js("document.title") == f"{HOSTILE} · optvis"
    assert browser.texts("h1, .lead") == [HOSTILE, HOSTILE]
    assert browser.texts("option")[1:] == list(labels)
    assert browser.texts(".axis span") == [f"← {HOSTILE}", f"{SCRIPT_CLASS} →"]
    seen = set()
    browser.js(f"document.querySelector('{MAP}').focus()")
    for key in ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"] * 5:
        browser.press(key)
        frames(browser)
        seen |= {browser.text(".tag"), *browser.texts(".lists b"), *browser.texts(".near span")}
    assert seen - {f"{HOSTILE} {n}" for n in range(15)} >= set(labels)
    choose_class(browser, 0)
    assert browser.text(".legend p") == f"Mean attribution to {SCRIPT_CLASS}"
    assert browser.js("document.scripts.length") == 2
    assert browser.thrown == []
    assert browser.logged == []


def test_the_policy_blocks_other_scripts(wide):
    wide.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
    refused = wide.js(
        "new Promise((done) => { addEventListener('securitypolicyviolation', (no) => done(no.effectiveDirective));"
        "document.body.insertAdjacentHTML('beforeend', '<img src=http://x.invalid/>'); setTimeout(done, 3000); })"
    )
    assert (refused, wide.js("document.title")) == ("img-src", "A lodge · optvis")


def test_filled_cells_show_their_icons_edge_to_edge(wide, page, tmp_path):
    wide.click("[name=filled]")
    picture, level = picture_of(wide, tmp_path), level_of(page, visible_level(wide))
    side = len(picture) / level.size
    for (row, column), icon, present in zip(level.cells.tolist(), level.icons, level.present.tolist(), strict=True):
        if present and (level.size, row, column) != selected_cell(wide):
            for share in (0.15, 0.85):
                colour = picture[int((row + share) * side), int((column + share) * side)]
                assert np.abs(colour - icon[:, 0, 0].numpy() * 255).max() < 24, (row, column)
    empty = {(r, c) for r in range(level.size) for c in range(level.size)} - {tuple(x) for x in level.cells.tolist()}
    assert len(empty) > 20
    for row, column in empty:
        assert picture[int((row + 0.5) * side), int((column + 0.5) * side)].tolist() == background(wide)


def test_icons_are_sized_by_the_counts_of_their_cells(wide, page, tmp_path):
    picture, level = picture_of(wide, tmp_path), level_of(page, visible_level(wide))
    side = len(picture) / level.size
    full = np.percentile(level.counts[level.present].numpy(), 95)
    ground, checked = np.array(background(wide)), set()
    for (row, column), count, present in zip(
        level.cells.tolist(), level.counts.tolist(), level.present.tolist(), strict=True
    ):
        if (level.size, row, column) == selected_cell(wide):
            continue
        edges = [round(edge * side) for edge in (row, row + 1, column, column + 1)]
        cell = picture[edges[0] + 2 : edges[1] - 2, edges[2] + 2 : edges[3] - 2]
        line = (np.abs(cell - ground).max(-1) > 8)[len(cell) // 2].sum()
        sized = 0.96 * side * min(1, max(np.sqrt(count / full), 16 / side / 0.96))
        assert line == pytest.approx(min(sized, len(cell)) if present else 2 * 0.06 * side, abs=2.5), (row, column)
        checked.add(present)
    assert checked == {True, False}


def test_hovering_fills_the_panel(wide, page):
    level = page.levels[1]
    assert visible_level(wide) == level.size == 10
    for cell in [0, len(level.cells) // 2, len(level.cells) - 1, int(level.present.logical_not().nonzero()[0])]:
        row, column = level.cells[cell].tolist()
        wide.hover(MAP, cell_center(10, row, column))
        frames(wide)
        assert selected_cell(wide) == (10, row, column)
        values, count = level.attribution[cell], int(level.counts[cell])
        best = LABELS[int(values.argmax())] if values.max() > 0 else f"Row {row}, column {column}"
        assert wide.text("h2") == best
        few = f"{count} point{'s' * (count != 1)}, too few for an icon (at least {MIN_POINTS})"
        if level.present[cell]:
            assert wide.text(".count") == f"{count} points, {count / 40:.3g} % of all"
            assert wide.text(".tag") == (best if values.max() > 0 else f"{count} points")
        else:
            assert wide.text(".count") == wide.text(".tag") == few
        for selector, sign, limit in ((".for", 1, 5), (".against", -1, 3)):
            order = [n for n in (sign * values).argsort(descending=True).tolist() if sign * values[n] > 0][:limit]
            assert wide.texts(f"{selector} b") == [LABELS[n] for n in order]
            assert [format_number(each) for each in wide.texts(f"{selector} data")] == round_values(values[order])
        near = [place for place in level.nearest[cell].tolist() if place >= 0]
        assert wide.texts(".near span") == [page.names[place] for place in near]


def colour_within(browser, selector):
    """Of the middle of a canvas."""
    return browser.js(f"[...document.querySelector({json.dumps(selector)}).getContext('2d')"
                      ".getImageData(8, 8, 1, 1).data].slice(0, 3)")  # fmt: skip


def test_the_panel_shows_the_icon_and_the_nearest_images(wide, page):
    level = page.levels[1]
    for cell in level.present.nonzero().flatten()[::7].tolist():
        wide.hover(MAP, cell_center(10, *level.cells[cell].tolist()))
        assert np.abs(np.array(colour_within(wide, ".large")) - level.icons[cell, :, 0, 0].numpy() * 255).max() < 24
        near = [place for place in level.nearest[cell].tolist() if place >= 0]
        for rank, place in enumerate(near, 1):
            colour = colour_within(wide, f".near li:nth-child({rank}) canvas")
            assert np.abs(np.array(colour) - page.exemplars[place, :, 0, 0].numpy() * 255).max() < 24


def test_empty_places_keep_the_selection(wide, page):
    row, column = page.levels[1].cells[0].tolist()
    wide.hover(MAP, cell_center(10, row, column))
    wide.hover(MAP, cell_center(10, 9, 0))
    frames(wide)
    assert [9, 0] not in page.levels[1].cells.tolist()
    assert (selected_cell(wide), hidden(wide, ".tag")) == ((10, row, column), True)


def test_a_click_pins_and_escape_or_another_click_unpins(wide, page):
    one, other, third = (tuple(page.levels[1].cells[n].tolist()) for n in (0, 9, 20))
    wide.click(MAP, cell_center(10, *one))
    wide.hover(MAP, cell_center(10, *other))
    assert (selected_cell(wide), wide.text(".pin")) == ((10, *one), "Pinned")
    frames(wide)
    assert wide.text(".tag") != ""
    wide.click(MAP, cell_center(10, *other))
    wide.hover(MAP, cell_center(10, *third))
    assert selected_cell(wide) == (10, *other)
    wide.press("Escape")
    wide.hover(MAP, cell_center(10, *one))
    assert (selected_cell(wide), wide.text(".pin")) == ((10, *one), "")
    wide.click(MAP, cell_center(10, *third))
    wide.click(MAP, cell_center(10, 9, 0))
    wide.hover(MAP, cell_center(10, *one))
    assert selected_cell(wide) == (10, *one)


def test_the_wheel_zooms_at_the_mouse(wide, page):
    level = page.levels[2]
    cell = level.cells[int(level.counts.argmax())]
    at = cell_center(20, *cell.tolist())
    wide.hover(MAP, at)
    assert selected_cell(wide) == (10, *(cell // 2).tolist())
    levels = [visible_level(wide)]
    for _ in range(6):
        wide.wheel(MAP, at, -150)
        frames(wide)
        levels.append(visible_level(wide))
        assert selected_cell(wide) == (levels[-1], *(cell * levels[-1] // 20).tolist())
    assert levels == sorted(levels)
    assert levels[-1] == 20
    for _ in range(8):
        wide.wheel(MAP, at, 300)
    frames(wide)
    assert visible_level(wide) == 10
    assert wide.js("document.querySelector('[data-zoom=\"0\"]').disabled")


def test_the_wheel_scrolls_the_page_where_the_map_is_whole(wide):
    wide.page.set_viewport_size({"width": 1400, "height": 500})
    wide.wheel(MAP, (0.5, 0.5), -100)
    frames(wide)
    before = wide.js("scrollY")
    wide.wheel(MAP, (0.5, 0.5), 100)
    assert wide.js("new Promise((done) => setTimeout(() => done(scrollY), 300))") == before
    for _ in range(4):
        wide.wheel(MAP, (0.5, 0.5), 100)
    assert wide.js("new Promise((done) => setTimeout(() => done(scrollY), 300))") != before


def test_dragging_moves_the_map_and_pins_nothing(wide, page):
    wide.wheel(MAP, (0.5, 0.5), -500)
    frames(wide)
    assert visible_level(wide) == 20
    level = page.levels[2]
    found = None
    for share in np.linspace(0.2, 0.6, 9):
        wide.hover(MAP, (float(share), 0.4))
        if selected_cell(wide) != found and not hidden(wide, ".tag"):
            found, start = selected_cell(wide), (float(share), 0.4)
    wide.hover(MAP, start)
    found = selected_cell(wide)
    side = wide.box(MAP)["width"]
    wide.drag(MAP, start, (0.2 * side, 0.1 * side))
    wide.hover(MAP, (start[0] + 0.2, 0.5))
    assert (selected_cell(wide), wide.text(".pin")) == (found, "")
    assert list(found[1:]) in level.cells.tolist()
    wide.drag(MAP, (0.1, 0.1), (5 * side, 5 * side))  # no farther than its edge
    wide.js("document.querySelector('[data-zoom=\"0\"]').click()")
    assert visible_level(wide) == 10


def expected_neighbor(level, cell, down, right):
    """The nearest cell ahead within 45°, else the nearest ahead, else the same: by a naive loop."""
    row, column = level.cells[cell].tolist()
    for slope in (1, 1e9):
        best = None
        for other, (r, c) in enumerate(level.cells.tolist()):
            along = (r - row) * down + (c - column) * right
            across = abs((r - row) * right) + abs((c - column) * down)
            if along > 0 and across <= slope * along:
                rank = (along**2 + across**2, across, other)
                best = rank if best is None or rank < best else best
        if best is not None:
            return best[2]
    return cell


def test_arrow_keys_move_from_cell_to_cell(wide, page):
    level = page.levels[1]
    cell = number(page, *selected_cell(wide))
    wide.js("document.querySelector('[data-zoom=\"2\"]').focus()")
    wide.press("Tab")
    wide.js(f"document.querySelector('{MAP}').focus()")
    ways = {"ArrowUp": (-1, 0), "ArrowDown": (1, 0), "ArrowLeft": (0, -1), "ArrowRight": (0, 1)}
    visited = set()
    for key in (
        ["ArrowUp"] * 6 + ["ArrowRight"] * 8 + ["ArrowDown"] * 9 + ["ArrowLeft"] * 9 + ["ArrowUp", "ArrowRight"] * 3
    ):
        wide.press(key)
        cell = expected_neighbor(level, cell, *ways[key])
        assert selected_cell(wide) == (10, *level.cells[cell].tolist()), key
        visited.add(cell)
    assert len(visited) > 15
    row, column = level.cells[cell].tolist()
    heard = wide.text(".announcement")
    assert heard.startswith(f"row {row}, column {column}: {int(level.counts[cell])} point")
    wide.press("Enter")
    assert wide.text(".pin") == "Pinned"
    wide.press("Escape")
    assert wide.text(".pin") == ""


def test_keys_zoom_and_the_map_follows_the_selection(wide, page):
    wide.js(f"document.querySelector('{MAP}').focus()")
    start = selected_cell(wide)
    wide.press("+", "+")
    frames(wide)
    assert (visible_level(wide), selected_cell(wide)) == (20, start)
    level = page.levels[2]
    middle = torch.tensor([start[1] * 2 + 0.5, start[2] * 2 + 0.5])
    for key in ["ArrowLeft"] * 12:
        wide.press(key)
        frames(wide)
        size, row, column = selected_cell(wide)
        assert size == 20
        frame, tag = wide.box(MAP), wide.box(".tag")
        assert frame["left"] <= tag["left"] <= tag["right"] <= frame["right"]
    nearest = int((level.cells - middle).norm(dim=1).argmin())
    for _ in range(12):
        nearest = expected_neighbor(level, nearest, 0, -1)
    assert [row, column] == level.cells[nearest].tolist()
    wide.hover(MAP, (0.5, 0.5))
    wide.press("-", "-")
    frames(wide)
    assert visible_level(wide) == 10
    wide.press("+", "0")
    frames(wide)
    assert wide.js("document.querySelector('[data-zoom=\"0\"]').disabled")


def test_shift_and_arrow_keys_pan_the_map(wide, page, tmp_path):
    wide.js(f"document.querySelector('{MAP}').focus()")
    wide.wheel(MAP, (0.5, 0.5), -500)
    wide.click("[name=filled]")
    wide.js(f"document.querySelector('{MAP}').focus()")
    before = picture_of(wide, tmp_path)
    where = selected_cell(wide)
    wide.press("Shift+ArrowRight")
    after = picture_of(wide, tmp_path)
    step = round(len(before) / 5)
    assert selected_cell(wide) == where
    same = np.abs(before[100:-100, step + 60 : -60] - after[100:-100, 60 : -step - 60]).max(-1) < 40
    assert same.mean() > 0.9
    assert (np.abs(before - after).max(-1) < 40).mean() < 0.9


def test_the_map_has_a_label_and_is_one_tab_stop(wide):
    found = wide.js(
        f"(({{ role, ariaLabel, tabIndex }}) => [role, ariaLabel, tabIndex])(document.querySelector('{MAP}'))"
    )
    assert found == ["application", "activation atlas of A lodge", 0]
    wide.js("document.querySelector('[name=filled]').focus()")
    stops = []
    for _ in range(4):
        wide.press("Tab")
        stops.append(wide.js("document.activeElement.tagName"))
    assert "CANVAS" in stops
    assert stops.index("CANVAS") == 1  # after the one zoom button that can be pressed


def test_buttons_zoom_smoothly_and_levels_fade(browser, file):
    browser.resize(1400, reduced_motion="no-preference")
    open_page(browser, file)
    browser.click("[data-zoom='2']")
    browser.wait(500)
    assert visible_level(browser) == 20
    browser.click("[data-zoom='0']")
    browser.wait(500)
    assert (visible_level(browser), browser.js("document.querySelector('[data-zoom=\"0\"]').disabled")) == (10, True)
    assert browser.thrown == []


def choose_class(browser, value):
    browser.js("{ const box = document.querySelector('select'); "
               f"box.value = '{value}'; box.dispatchEvent(new Event('change', {{ bubbles: true }})); }}")  # fmt: skip


def test_the_attribution_of_a_class_colors_the_cells(wide, page, tmp_path):
    assert hidden(wide, ".legend")
    wide.click("[name=filled]")
    plain = picture_of(wide, tmp_path)
    level = page.levels[1]
    side = len(plain) / 10
    for label in (0, 2):
        choose_class(wide, label)
        values, picture = level.attribution[:, label], picture_of(wide, tmp_path)
        most = values.abs().max()
        for (row, column), value, icon, present in zip(
            level.cells.tolist(), values.tolist(), level.icons, level.present.tolist(), strict=True
        ):
            bright = 0.1 < float(icon[:, 0, 0].mean()) < 0.9
            if present and bright and abs(value) > most / 3 and (10, row, column) != selected_cell(wide):
                red, _, blue = picture[int((row + 0.3) * side), int((column + 0.3) * side)]
                assert (red > blue) == (value > 0), (row, column)
        assert [format_number(each) for each in wide.texts(".legend .ends span")] == [
            -round_values(most)[0],
            0,
            round_values(most)[0],
        ]
        assert wide.text(".legend p") == f"Mean attribution to {LABELS[label]}"
        assert wide.texts(".lists .selected b") == [LABELS[label]]
    choose_class(wide, "")
    assert np.abs(picture_of(wide, tmp_path) - plain).max() == 0


def test_the_page_says_how_many_points_have_no_icon(wide, page):
    for size in (10, 20):
        level = level_of(page, size)
        few = level.counts[~level.present]
        assert wide.text(".level") == (
            f"4,000 points in {len(level.cells)} of {size} × {size} cells. {len(few)} cells with too few for an icon "
            f"(at least {MIN_POINTS}) hold {int(few.sum())} of them."
        )
        wide.click("[data-zoom='2']")
        frames(wide)


def test_the_ends_of_a_comparison_are_at_the_edges(browser, tmp_path):
    path = tmp_path / "versus.html"
    path.write_text(atlas_html(build_page(ends=("frying pan", "wok"))), encoding="utf-8")
    browser.resize(1400)
    open_page(browser, path)
    assert browser.texts(".axis span") == ["← frying pan", "wok →"]
    frame = browser.box(MAP)
    assert browser.box(".axis span:first-child")["left"] == pytest.approx(frame["left"], abs=1)
    assert browser.box(".axis span:last-child")["right"] == pytest.approx(frame["right"], abs=1)


def test_a_tap_fills_the_panel_and_keeps_the_cell_visible(phone, page):
    assert visible_level(phone) == 5
    assert hidden(phone, ".panel")
    level = page.levels[0]
    for cell in (len(level.cells) - 1, 0, len(level.cells) // 2):
        row, column = level.cells[cell].tolist()
        phone.tap(MAP, cell_center(5, row, column))
        frames(phone)
        assert (selected_cell(phone), phone.text(".pin"), hidden(phone, ".tag")) == ((5, row, column), "", False)
        assert phone.box(MAP)["top"] + (row + 1) / 5 * phone.box(MAP)["height"] <= phone.box(".panel")["top"] + 1
        phone.wait(400)
    for step, way in (("1 0", (1, 0)), ("0 -1", (0, -1))):
        phone.tap(f"[data-step='{step}']")
        cell = expected_neighbor(level, cell, *way)
        assert selected_cell(phone) == (5, *level.cells[cell].tolist())
    phone.tap(".close")
    assert hidden(phone, ".panel")


def test_a_double_tap_zooms(phone):
    phone.double_tap(MAP, (0.3, 0.3))
    frames(phone)
    assert visible_level(phone) == 10


def test_two_fingers_zoom_and_one_pans(phone, page):
    row, column = page.levels[0].cells[int(page.levels[0].counts.argmax())].tolist()
    x, y = cell_center(5, row, column)

    def around(x, y):
        """The cells above and left of a place, and below and right of it."""
        found = []
        for aside in (-0.015, 0.015):
            phone.wait(400)  # a double tap would zoom
            phone.tap(MAP, (x + aside, y + aside))
            found.append(selected_cell(phone))
            phone.tap(".close")
        return found

    phone.fingers(MAP, *([(x + sign * far, y + sign * far) for far in (0.05, 0.06, 0.08, 0.1)] for sign in (-1, 1)))
    corner = [(10, 2 * row, 2 * column), (10, 2 * row + 1, 2 * column + 1)]
    assert around(x, y) == corner  # the point between the fingers stays there
    phone.middle(MAP)
    before = phone.js("scrollY")
    away = (0.06 if x > 0.5 else -0.06), (0.03 if y > 0.5 else -0.03)
    phone.fingers(MAP, [(x + share * away[0], y + share * away[1]) for share in (0, 0.3, 0.7, 1)])
    assert phone.js("scrollY") == before
    assert around(x + away[0], y + away[1]) == corner


@pytest.mark.parametrize("widths", [(390, 320), (2000, 761)])
@pytest.mark.parametrize("name", ["very-long-name-" * 12, "W" * 90])
def test_no_window_scrolls_sideways(browser, tmp_path, widths, name):
    path = tmp_path / "named.html"
    page = build_page(name, (name, "otter"), (5, 10), ends=(name, name))
    path.write_text(atlas_html(page), encoding="utf-8")
    browser.resize(widths[0], 640, finger=widths[0] < 760)
    open_page(browser, path)
    (browser.tap if widths[0] < 760 else browser.click)(MAP, cell_center(5, *page.levels[0].cells[0].tolist()))
    choose_class(browser, 0)
    for width in widths:
        browser.widen(width)
        frames(browser)
        assert browser.js("document.documentElement.scrollWidth") <= width
        inside = browser.js("[...document.querySelectorAll('.panel, .panel li, .tools label, .zoom, .map, .axis, h1')]"
                            ".map((each) => each.getBoundingClientRect().right)")  # fmt: skip
        assert max(inside) <= width


@pytest.mark.parametrize("sizes", [(1,), (3,)])
@pytest.mark.parametrize("known", [(), LABELS])
def test_small_atlases_are_whole_pages(browser, tmp_path, sizes, known):
    path = tmp_path / "small.html"
    path.write_text(atlas_html(build_page("small", known, sizes, exemplars=0)), encoding="utf-8")
    browser.resize(1400)
    open_page(browser, path)
    size, row, column = selected_cell(browser)
    assert size == sizes[0] == visible_level(browser)
    assert hidden(browser, ".near")
    assert browser.texts("option")[1:] == list(known)
    assert known or browser.text("h2") == f"Row {row}, column {column}"
    browser.hover(MAP, (0.5, 0.5))
    browser.wheel(MAP, (0.5, 0.5), -300)
    frames(browser)
    assert browser.thrown == browser.logged == []


def test_the_fullest_cell_is_selected_first(wide, page):
    level = page.levels[1]
    assert int(level.counts[number(page, *selected_cell(wide))]) == int(level.counts.max())


def test_a_map_that_was_hidden_is_drawn_again(wide, page, tmp_path):
    before = picture_of(wide, tmp_path)
    for display in ("none", ""):
        wide.js(f"document.querySelector('main').style.display = '{display}'")
        frames(wide)
        frames(wide)
    assert np.abs(picture_of(wide, tmp_path) - before).max() == 0


def test_dark_windows_get_a_dark_map(browser, file, tmp_path):
    grounds = []
    for scheme in ("light", "dark"):
        browser.resize(1400, color_scheme=scheme)
        open_page(browser, file)
        grounds.append(picture_of(browser, tmp_path)[-8, 8].tolist())
    assert grounds == [[244, 241, 234], [32, 30, 27]]


def test_without_scripts_the_page_shows_one_level(browser, file, page, tmp_path):
    browser.resize(1000, 1400, script=False, color_scheme="light")
    browser.open(file)
    picture = Image.open(browser.screenshot(tmp_path / "still.png")).convert("RGB")
    colours = torch.tensor([colour for _, colour in picture.getcolors(1 << 24)]).float()
    level = page.levels[1]
    for icon in level.icons[level.present]:
        assert (colours - icon[:, 0, 0] * 255).abs().amax(1).min() < 24
    assert browser.page.locator("noscript p").text_content().startswith("Without JavaScript")
