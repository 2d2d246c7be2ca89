"""The page of an activation grid: it responds to mouse, touch and keys, loads nothing, and no text on it runs."""

from __future__ import annotations

import io
import json
import re
from base64 import b64decode
from dataclasses import replace

import pytest
import torch
from PIL import Image

from optvis.viz.pages import GridGroups, GridLayer, GridPage, grid_html
from optvis.viz.pages.sprites import icon_sheet_uri, sprite_uri

HOSTILE = "</script><script>document.title = 'obeyed'</script>\"'&<img src=x onerror=\"document.title = 'obeyed'\">"
ROWS, COLUMNS, TOP = 4, 5, 3
GENERATOR = torch.Generator().manual_seed(5)


def random_tensor(*shape):
    return torch.rand(shape, generator=GENERATOR)


def shades(*shape):
    """Icons of one colour each, 8 pixels a side; the colours lie far apart."""
    return (random_tensor(*shape, 3, 1, 1) * 4).round().div(4).expand(*shape, 3, 8, 8)


def build_layer(name="mixed4", rows=ROWS, columns=COLUMNS, labels=("beaver", "otter")):
    present = torch.ones(rows, columns, dtype=torch.bool)
    present[0, 1] = False
    return GridLayer(
        name,
        shades(rows, columns),
        present,
        random_tensor(rows, columns) * 9 + 1,
        torch.randint(0, 30, (rows, columns, TOP), generator=GENERATOR),
        random_tensor(rows, columns, TOP) * 4,
        {channel: icon for channel, icon in enumerate(shades(30)) if channel != 7},
        {label: random_tensor(rows, columns) - 0.4 for label in labels},
        GridGroups(
            random_tensor(2, rows, columns) - 0.1, shades(2), {label: random_tensor(2) - 0.5 for label in labels}
        ),
    )


def build_page(text="A lodge", labels=("beaver", "otter")):
    layers = (build_layer(labels=labels), build_layer(text, 8, 10, labels[:1]))
    return GridPage(text, layers, random_tensor(3, 32, 40), {"network": text, "steps": 3}, text)


@pytest.fixture(scope="module")
def page():
    return build_page()


def read_data(text):
    """The data that the page's script reads."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


def round_values(a):
    return [float(f"{value:.3g}") for value in a.flatten().tolist()]


def test_the_script_reads_the_numbers_of_the_page(page):
    data = read_data(grid_html(page))
    assert data["labels"] == ["beaver", "otter"]
    assert data["image"] == [32, 40]
    for layer, shown in zip(page.layers, data["layers"], strict=True):
        assert (shown["name"], shown["rows"], shown["columns"]) == (layer.layer, *layer.size)
        assert shown["strength"] == round_values(layer.strength)
        assert shown["present"] == layer.present.flatten().int().tolist()
        assert shown["channels"] == layer.channels.flatten(0, 1).tolist()
        assert shown["values"] == [round_values(cell) for cell in layer.values.flatten(0, 1)]
        assert shown["attribution"] == [
            round_values(layer.attribution[label]) if label in layer.attribution else None for label in data["labels"]
        ]
        assert shown["groups"]["maps"] == [round_values(each) for each in layer.groups.maps]
        named = set(layer.channels.flatten().tolist()) - {7}
        assert {int(channel) for channel in shown["icons"]} == named
        assert sorted(shown["icons"].values()) == list(range(len(named)))


def decode_uri(address):
    return Image.open(io.BytesIO(b64decode(address.partition(",")[2])))


def test_a_sprite_has_icons_in_rows_and_columns_and_missing_ones_are_transparent():
    icons, present = shades(2, 3), torch.tensor([[True, True, False], [True, True, True]])
    picture = decode_uri(sprite_uri(icons.where(present[..., None, None, None], torch.nan), present)).convert("RGBA")
    assert picture.size == (24, 16)
    for row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        *colour, alpha = picture.getpixel((8 * column + 4, 8 * row + 4))
        assert alpha == 255 * bool(present[row, column])
        expected = icons[row, column, :, 4, 4] * 255
        assert not alpha or (torch.tensor(colour) - expected).abs().max() < 12


def test_a_sheet_of_icons_is_nearly_square():
    icons = shades(5)
    picture = decode_uri(icon_sheet_uri(icons)).convert("RGB")
    assert picture.size == (24, 16)
    for place, icon in enumerate(icons):
        colour = torch.tensor(picture.getpixel((8 * (place % 3) + 4, 8 * (place // 3) + 4)))
        assert (colour - icon[:, 4, 4] * 255).abs().max() < 12


def test_a_large_page_stays_small():
    present = torch.ones(28, 28, dtype=torch.bool)
    a = random_tensor(28, 28)
    noise = random_tensor(28, 28, 3, 32, 32).repeat_interleave(2, -1).repeat_interleave(2, -2)
    channels = torch.randint(0, 512, (28, 28, 5), generator=GENERATOR)
    attribution = {f"class {n}": random_tensor(28, 28) for n in range(5)}
    layer = GridLayer("features", noise, present, a, channels, random_tensor(28, 28, 5), {}, attribution)
    assert len(grid_html(GridPage("large", (layer,), random_tensor(3, 224, 224), {}))) < 3e6


def test_icons_that_exceed_webp_are_refused():
    with pytest.raises(ValueError, match="make them smaller"):
        sprite_uri(torch.zeros(1, 1, 3, 1, 1).expand(1, 20, 3, 1, 1000), torch.ones(1, 20).bool())


BAD = [
    ("icons", torch.ones(ROWS, COLUMNS, 1, 8, 8), "icons has shape (4, 5, 1, 8, 8); expected (h, w, 3, s, s)"),
    ("icons", torch.ones(ROWS, COLUMNS, 3, 8, 9), "icons has shape (4, 5, 3, 8, 9); expected (h, w, 3, s, s)"),
    ("present", torch.ones(ROWS, COLUMNS), "present is float32; expected bool"),
    ("present", torch.ones(2, 2).bool(), "present has shape (2, 2); expected (h, w) with h = 4 with w = 5"),
    ("strength", -torch.ones(ROWS, COLUMNS), "at least 0; its smallest is -1"),
    ("strength", torch.full((ROWS, COLUMNS), torch.nan), "strength has NaN or infinite numbers"),
    ("channels", torch.ones(ROWS, COLUMNS, TOP), "channels is float32; expected int"),
    (
        "values",
        torch.ones(ROWS, COLUMNS, 1),
        "values has shape (4, 5, 1); expected (h, w, K) with h = 4 with w = 5 with K = 3",
    ),
    (
        "channel_icons",
        {1: torch.ones(3, 8, 8), 2: torch.ones(3, 9, 9)},
        "icon of channel 2 has shape (3, 9, 9); expected (3, t, t) with t = 8",
    ),
    ("channel_icons", {1: torch.ones(1, 8, 8)}, "icon of channel 1 has shape (1, 8, 8); expected (3, t, t)"),
    ("attribution", {"beaver": torch.ones(COLUMNS, ROWS)}, "attribution to 'beaver' has shape (5, 4); expected (h, w)"),
    ("groups", GridGroups(random_tensor(2, 3, 3), shades(2)), "maps of groups has shape (2, 3, 3); expected (N, h, w)"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_wrong_tensors_are_refused_by_name(page, name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(page.layers[0], **{name: value})


def test_groups_and_images_are_checked_too(page):
    with pytest.raises(ValueError, match="maps has NaN or infinite numbers"):
        GridGroups(random_tensor(2, 3, 3) / 0, shades(2))
    with pytest.raises(ValueError, match="attribution of groups to 'beaver'"):
        GridGroups(random_tensor(2, 3, 3), shades(2), {"beaver": random_tensor(3)})
    with pytest.raises(ValueError, match="image"):
        replace(page, image=random_tensor(1, 32, 40))
    with pytest.raises(ValueError, match="no layers; a page of a grid needs one or more"):
        replace(page, layers=())


def test_no_text_becomes_markup():
    plain, hostile = grid_html(build_page()), grid_html(build_page(HOSTILE, (HOSTILE, "__proto__")))
    assert re.findall(r"</?[a-zA-Z]\w*", hostile) == re.findall(r"</?[a-zA-Z]\w*", plain)
    assert read_data(hostile)["labels"] == [HOSTILE, "__proto__"]


# In a browser


@pytest.fixture(scope="module")
def file(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "grid.html"
    path.write_text(grid_html(page), encoding="utf-8")
    return path


@pytest.fixture
def wide(browser, file):
    """The page in a wide window, with a mouse."""
    browser.resize(1400)
    browser.open(file)
    yield browser
    assert browser.thrown == []


@pytest.fixture
def phone(browser, file):
    """The page on a phone, with a finger."""
    browser.resize(390, 480, finger=True)
    browser.open(file)
    yield browser
    assert browser.thrown == []


def cell(number):
    return f".layer:not([hidden]) .cell[data-cell='{number}']"


def text(browser, selector):
    return browser.js(f"document.querySelector({json.dumps(selector)}).innerText")


def selected_cell(browser):
    """The cell that grid and panel agree on."""
    number = browser.js("Number(document.querySelector('.layer:not([hidden]) [aria-selected=true]').dataset.cell)")
    columns = COLUMNS if browser.js("document.querySelector('.layer').hidden === false") else 10
    assert browser.js("document.querySelector('.panel h2').textContent") == (
        f"Row {number // columns}, column {number % columns}"
    )
    return number


def format_number(text):
    return float(text.replace("−", "-"))


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
    path = tmp_path / "hostile.html"
    path.write_text(grid_html(build_page(HOSTILE, (HOSTILE, "__proto__"))), encoding="utf-8")
    browser.resize(1400)
    browser.open(path)
    browser.js("{ const box = document.querySelector('select'); box.value = 0; "
               "box.dispatchEvent(new Event('change', { bubbles: true })); }")  # fmt: skip
    assert browser.js("document.title") == f"{HOSTILE} · optvis"
    assert browser.texts("h1, .lead, .layer + .layer h2") == [HOSTILE, HOSTILE, f"{HOSTILE} 8 × 10 cells"]
    assert browser.texts(".panel ul b") == [HOSTILE, "__proto__"]
    assert browser.texts("option")[1:] == [HOSTILE, "__proto__"]
    assert text(browser, ".legend p") == f"Attribution to {HOSTILE}"
    assert browser.js("document.querySelector('.frame.small img').src.startsWith('data:image/webp')")
    assert browser.js("document.scripts.length") == 2


def test_injected_scripts_do_not_run(wide):
    wide.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
    wide.wait(100)
    assert wide.js("document.title") == "A lodge · optvis"


@pytest.mark.parametrize(
    ("attempt", "directive"),
    [
        ("document.body.insertAdjacentHTML('beforeend', '<img src=http://x.invalid/>')", "img-src"),
        ("document.body.insertAdjacentHTML('beforeend', '<iframe src=http://x.invalid/></iframe>')", "frame-src"),
        ("fetch('http://x.invalid/').catch(() => 0)", "connect-src"),
    ],
)
def test_the_policy_blocks_resources(wide, attempt, directive):
    refused = wide.js(
        "new Promise((done) => { const tell = (event) => done(event.effectiveDirective);"
        f"addEventListener('securitypolicyviolation', tell); {attempt}; setTimeout(done, 3000); }})"
    )
    assert refused == directive


def test_each_cell_shows_its_icon(wide, page, tmp_path):
    wide.hover("h1")
    wide.js("scrollTo(0, 0)")
    picture = Image.open(wide.screenshot(tmp_path / "page.png")).convert("RGB")
    for number in range(ROWS * COLUMNS):
        place = wide.box(cell(number))
        colour = picture.getpixel((int(place["x"] + place["width"] / 4), int(place["y"] + place["height"] / 4)))
        row, column = divmod(number, COLUMNS)
        expected = page.layers[0].icons[row, column, :, 0, 0] * 255
        expected = expected if page.layers[0].present[row, column] else torch.tensor([252.0, 251, 248])
        assert (torch.tensor(colour) - expected).abs().max() < 16, number


def test_hovering_fills_the_panel(wide, page):
    layer = page.layers[0]
    for number in (0, 7, 19):
        row, column = divmod(number, COLUMNS)
        wide.hover(cell(number))
        assert selected_cell(wide) == number
        assert text(wide, ".where") == f"y {8 * row}–{8 * row + 8} px\nx {8 * column}–{8 * column + 8} px"
        assert text(wide, ".norm").startswith(f"norm {round_values(layer.strength[row, column])[0]:g}")
        assert wide.texts(".panel ol b") == [str(channel) for channel in layer.channels[row, column].tolist()]
        assert [format_number(each) for each in wide.texts(".panel ol data")] == round_values(layer.values[row, column])
        assert wide.texts(".panel ul b") == ["beaver", "otter"]
        expected = [round_values(layer.attribution[label][row, column])[0] for label in ("beaver", "otter")]
        assert [format_number(each) for each in wide.texts(".panel ul data")] == expected
        sides = wide.js("[...document.querySelectorAll('.panel ul i')].map((each) => each.className)")
        assert sides == ["less" if value < 0 else "more" for value in expected]


def test_channels_with_icons_show_them_and_others_do_not(wide, page, tmp_path):
    layer = page.layers[0]
    wide.js("scrollTo(0, 0)")  # before the mouse is laid on a cell, which it would leave
    wide.hover(cell(12))
    picture = Image.open(wide.screenshot(tmp_path / "page.png")).convert("RGB")
    for rank, channel in enumerate(layer.channels[2, 2].tolist(), 1):
        item = f".panel ol li:nth-child({rank})"
        assert wide.js(f"document.querySelectorAll('{item} .icon').length") == (channel in layer.channel_icons)
        if channel in layer.channel_icons:
            place = wide.box(f"{item} .icon")
            colour = picture.getpixel((int(place["x"] + place["width"] / 2), int(place["y"] + place["height"] / 2)))
            assert (torch.tensor(colour) - layer.channel_icons[channel][:, 0, 0] * 255).abs().max() < 16


def test_the_cell_is_outlined_on_the_image(wide):
    wide.hover(cell(13))
    frame, place = wide.box(".photo .frame"), wide.box(".photo .place")
    assert place["x"] - frame["x"] == pytest.approx(frame["width"] * 3 / COLUMNS, abs=0.5)
    assert place["y"] - frame["y"] == pytest.approx(frame["height"] * 2 / ROWS, abs=0.5)
    assert place["width"] == pytest.approx(frame["width"] / COLUMNS, abs=0.5)
    assert place["height"] == pytest.approx(frame["height"] / ROWS, abs=0.5)


def test_pointing_at_the_image_selects_the_cell_there(wide):
    for at, number in (((0.5, 0.1), 2), ((0.95, 0.95), 19), ((0.05, 0.6), 10)):
        wide.hover(".photo .frame", at)
        assert selected_cell(wide) == number
    wide.click(".photo .frame", (0.3, 0.3))
    wide.hover(".photo .frame", (0.9, 0.9))
    assert selected_cell(wide) == 6


def test_a_click_pins_and_escape_or_another_click_unpins(wide):
    wide.click(cell(8))
    wide.hover(cell(3))
    assert (selected_cell(wide), text(wide, ".pin")) == (8, "Pinned")
    wide.click(cell(4))
    wide.hover(cell(3))
    assert (selected_cell(wide), text(wide, ".pin")) == (4, "Pinned")
    wide.press("Escape")
    wide.hover(cell(2))
    assert (selected_cell(wide), text(wide, ".pin")) == (2, "")
    wide.click(cell(2))
    wide.click(cell(2))
    wide.hover(cell(3))
    assert selected_cell(wide) == 3


def focused_element(browser):
    return browser.js("document.activeElement.dataset.cell ?? document.activeElement.tagName")


def test_the_grid_is_one_tab_stop_and_arrow_keys_move_in_it(wide):
    wide.hover("h1")
    wide.js("document.querySelector('[name=gaps]').focus()")
    first = str(selected_cell(wide))
    wide.press("Tab")
    assert focused_element(wide) == first
    wide.press(*["ArrowUp"] * ROWS, *["ArrowLeft"] * COLUMNS)
    assert (focused_element(wide), selected_cell(wide)) == ("0", 0)
    wide.press("ArrowRight", "ArrowRight", "ArrowDown")
    assert (focused_element(wide), selected_cell(wide)) == ("7", 7)
    wide.press("Enter", "ArrowDown")
    assert (focused_element(wide), selected_cell(wide), text(wide, ".pin")) == ("12", 7, "Pinned")
    wide.press("Escape", "ArrowDown")
    assert (focused_element(wide), selected_cell(wide), text(wide, ".pin")) == ("17", 17, "")
    wide.press("Tab")
    assert focused_element(wide) == "BUTTON"
    wide.press("Shift+Tab")
    assert focused_element(wide) == "17"


def test_the_grid_has_labels_for_screen_readers(wide, page):
    assert wide.js("document.querySelectorAll('.layer:not([hidden]) [role=grid] > [role=row]').length") == ROWS
    found = wide.js("[...document.querySelectorAll('.layer:not([hidden]) [role=row] > [role=gridcell]')]"
                    ".map((each) => [each.ariaLabel, each.tabIndex])")  # fmt: skip
    channels = ", ".join(map(str, page.layers[0].channels[1, 2].tolist()))
    assert found[7][0] == f"row 1, column 2: channels {channels}"
    assert sorted(index for _, index in found) == [-1] * (ROWS * COLUMNS - 1) + [0]


def choose_class(browser, value):
    browser.js("{ const box = document.querySelector('select'); box.focus(); "
               f"box.value = '{value}'; box.dispatchEvent(new Event('change', {{ bubbles: true }})); }}")  # fmt: skip


def test_the_attribution_of_a_class_is_drawn_over_the_image(wide, page):
    assert wide.js("document.querySelector('canvas').hidden && document.querySelector('.legend').hidden")
    for place, label in enumerate(("beaver", "otter")):
        choose_class(wide, place)
        values = page.layers[0].attribution[label].flatten()
        most = values.abs().max()
        pixels = wide.js("(() => { const c = document.querySelector('canvas'); return [...c.getContext('2d')"
                         ".getImageData(0, 0, c.width, c.height).data]; })()")  # fmt: skip
        pixels = torch.tensor(pixels).view(-1, 4).float()
        assert (pixels[:, 3] - 230 * values.abs() / most).abs().max() < 2
        strong = values.abs() > most / 4
        assert torch.equal((pixels[:, 0] > pixels[:, 2])[strong], (values > 0)[strong])
        ends = [format_number(each) for each in wide.texts(".ends span")]
        assert ends == [-round_values(most)[0], 0, round_values(most)[0]]
        assert text(wide, ".legend p") == f"Attribution to {label}"
        shares = [format_number(each) for each in wide.texts(".layer:not([hidden]) .share")]
        assert shares == round_values(page.layers[0].groups.attribution[label])
    wide.click("input[name=layer][value='1'] + span")
    assert wide.js("document.querySelector('canvas').hidden")  # of the second layer only the first class is known
    choose_class(wide, 0)
    assert wide.js("document.querySelector('canvas').width") == 10


def test_another_layer_selects_the_same_position(wide):
    wide.click(cell(13))  # row 2 of 4, column 3 of 5
    wide.click("input[name=layer][value='1'] + span")
    assert wide.js("[...document.querySelectorAll('.layer')].map((each) => each.hidden)") == [True, False]
    assert selected_cell(wide) == 57  # row 5 of 8, column 7 of 10
    wide.click("input[name=layer][value='0'] + span")
    assert selected_cell(wide) == 13


def test_a_group_highlights_its_cells(wide, page):
    def opacities():
        return wide.js("[...document.querySelectorAll('.layer:not([hidden]) .cell .icon')]"
                       ".map((each) => Number(each.style.opacity || 1))")  # fmt: skip

    for group in (0, 1):
        wide.click(f".layer:not([hidden]) .groups button:nth-child({group + 1})")
        lit = page.layers[0].groups.maps[group].flatten()
        assert opacities() == pytest.approx((0.08 + 0.92 * lit.clamp(min=0) / lit.max()).tolist(), abs=0.01)
        pressed = wide.js("[...document.querySelectorAll('.layer:not([hidden]) .groups button')]"
                          ".map((each) => each.ariaPressed)")  # fmt: skip
        assert pressed == [str(n == group).lower() for n in (0, 1)]
    wide.click(".layer:not([hidden]) .groups button:nth-child(2)")
    assert opacities() == [1] * (ROWS * COLUMNS)


def test_icons_can_be_sized_by_activation_and_have_gaps(browser, file, page):
    browser.resize(1400, reduced_motion="reduce")
    browser.open(file)
    side = browser.box(cell(0))["width"]
    browser.click("[name=sized]")
    areas = torch.tensor([browser.box(f"{cell(n)} .icon")["width"] for n in range(ROWS * COLUMNS)]) ** 2 / side**2
    strength = page.layers[0].strength.flatten()
    assert (areas - strength / strength.max()).abs().max() < 0.01
    assert browser.js(f'getComputedStyle(document.querySelector("{cell(0)} .icon")).transitionDuration') == "0s"
    browser.click("[name=sized]")
    assert browser.box(f"{cell(3)} .icon")["width"] == pytest.approx(side, abs=0.05)
    browser.click("[name=gaps]")
    one, next_one = browser.box(cell(0)), browser.box(cell(1))
    assert next_one["x"] - one["x"] - one["width"] == pytest.approx(2, abs=0.05)


def test_a_tap_fills_the_panel_and_keeps_the_cell_visible(phone):
    assert not phone.js("document.querySelector('.panel').checkVisibility()")
    for number, down in ((16, 0.95), (4, 0.2), (12, 0.2)):  # the panel comes up under the first finger
        phone.tap(cell(number), (0.5, down))
        assert selected_cell(phone) == number
        assert text(phone, ".pin") == ""
        panel, place = phone.box(".panel"), phone.box(cell(number))
        assert panel["bottom"] <= 481
        assert place["bottom"] <= panel["top"] + 1
    phone.tap("[data-step='1 0']")
    phone.tap("[data-step='0 -1']")
    assert selected_cell(phone) == 16
    phone.tap(".photo .frame", (0.5, 0.1))
    assert selected_cell(phone) == 2
    phone.tap(".close")
    assert not phone.js("document.querySelector('.panel').checkVisibility()")


@pytest.mark.parametrize("widths", [(390, 320), (2000, 1180, 761)])
@pytest.mark.parametrize("name", ["short", "very-long-name-" * 12, "W" * 90])
def test_no_window_scrolls_sideways(browser, tmp_path, widths, name):
    path = tmp_path / "named.html"
    path.write_text(grid_html(build_page(name, (name, "otter"))), encoding="utf-8")
    browser.resize(widths[0], 640, finger=widths[0] < 760)
    browser.open(path)
    (browser.tap if widths[0] < 760 else browser.click)(cell(12))
    choose_class(browser, 0)
    for width in widths:
        browser.widen(width)
        assert browser.js("document.documentElement.scrollWidth") <= width
        inside = browser.js("[...document.querySelectorAll('.panel, .panel li, .tools label, .cells, .groups, h1')]"
                            ".map((each) => each.getBoundingClientRect().right)")  # fmt: skip
        assert max(inside) <= width


def test_dark_windows_get_a_dark_page(browser, file):
    shades = []
    for scheme in ("light", "dark"):
        browser.resize(1400, color_scheme=scheme)
        browser.open(file)
        shades.append(browser.js("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(252, 251, 248)", "rgb(23, 22, 20)"]


def test_without_scripts_the_page_shows_the_images(browser, file, page, tmp_path):
    browser.resize(1000, 1600, script=False)
    browser.open(file)
    picture = Image.open(browser.screenshot(tmp_path / "still.png")).convert("RGB")
    colours = torch.tensor([colour for _, colour in picture.getcolors(1 << 24)]).float()
    layer = page.layers[0]
    for icon in layer.icons[layer.present]:
        sought = icon[:, 0, 0] * 255
        assert (colours - sought).abs().amax(1).min() < 16
    assert browser.page.locator("noscript p").text_content().startswith("Without JavaScript")
