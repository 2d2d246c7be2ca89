"""The pages of a microscope in a browser: opened from a disk, with a mouse, a finger, keys, and hostile texts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from optvis.data.files import encode_json
from optvis.microscope.groups import concatenate, encode_webp
from optvis.viz.pages import (
    ChannelLink,
    ChannelPage,
    ClassesPage,
    ClassImage,
    ClassLayer,
    ClassPage,
    IndexPage,
    LayerLink,
    RankedChannel,
    SheetPage,
    Thumbnail,
    Tile,
    channel_html,
    class_html,
    classes_html,
    index_html,
    page_numbers,
    sheet_html,
)

HOSTILE = "<script>alert(1)</script>"
LABELS = ("owl", HOSTILE, "beaver", "")
SIDE, GROUP, COUNT = 16, 8, 2048
SAMPLE = {
    "images": 64,
    "prediction_changes": 1,
    "classes": [{"index": 2, "label": "beaver", "probability_drop": 0.021}],
}
RECORD = {
    "channel": 9,
    "score": 3.5,
    "images": [
        {
            "file": "000003.webp",
            "name": HOSTILE,
            "activation": 7.5,
            "attribution": None,
            "window": [4, 12, 8, 16],
            "box": [0, 16, 4, 20],
            "predictions": ["beaver", "owl"],
        }
    ],
    "prediction_changes": 1,
    "classes": [
        {"index": 1, "label": HOSTILE, "attribution": 2.0, "logit_drop": 1.5},
        {"index": 0, "label": "owl", "attribution": -0.5, "logit_drop": 0.25},
    ],
    "ablation": SAMPLE,
    "inputs": [],
    "survey": None,
}
SPRITE = Thumbnail("../layer-mixed4/group-0-7.webp", 5, GROUP)
PAGE = ChannelPage(
    "demo",
    "mixed4",
    RECORD,
    "9.webp",
    SIDE,
    "../images/",
    (24, 24),
    8,
    10,
    {"network": "demo", "note": HOSTILE},
    inputs=(ChannelLink(HOSTILE, 5, 1.5, "../layer-mixed4/9.html", SPRITE), ChannelLink(HOSTILE, 6, -0.5)),
    outputs=(ChannelLink("mixed5", 7, 0.5, "../layer-mixed4/10.html", SPRITE),),
    class_folder="../classes/",
    class_pages=(1,),
)
RANKED = tuple(
    RankedChannel(
        number, 2.0 - number, number - 9.5, 0.01 * number, number % 3, f"../layer-mixed4/{number}.html", SPRITE
    )
    for number in (8, 9, 10)
)
CLASS = ClassPage(
    "demo", 1, HOSTILE, (ClassImage("000003.webp", HOSTILE, 7.5),), "../images/", (ClassLayer("mixed4", 4, RANKED),),
    0, None, {"network": "demo"},
)  # fmt: skip
FILES = ["index.html", "layer-mixed4/index.html", "layer-mixed4/9.html", "classes/index.html", "classes/1.html"]
NAMES = {1: HOSTILE, 2: "beaver"}


def shade(place):
    """A different color for each index."""
    return torch.tensor([place % 3 / 2, place // 3 % 3 / 2, place // 9 % 3 / 2]).view(3, 1, 1)


def squares(count, first=0):
    return torch.stack([shade(first + n).expand(3, SIDE, SIDE) for n in range(count)])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A layer of 2048 channels in a folder, with one sprite for all groups' files, and pages of three channels."""
    root = tmp_path_factory.mktemp("site")
    folder = root / "layer-mixed4"
    for path in (folder, root / "images", root / "classes"):
        path.mkdir()
    photo = torch.zeros(3, 24, 24)
    photo[0, 4:12, 8:16] = 1
    (root / "images" / "000003.webp").write_bytes(encode_webp(photo))
    (folder / "9.webp").write_bytes(encode_webp(concatenate(squares(6))))
    sprite = torch.cat([concatenate(squares(GROUP)), concatenate(squares(GROUP, 9))], dim=1)
    for start in range(0, COUNT, GROUP):
        (folder / f"group-{start}-{start + GROUP - 1}.webp").write_bytes(encode_webp(sprite))
    tiles = tuple(map(build_tile, range(COUNT)))
    sheet = SheetPage("demo", "mixed4", tiles, COUNT, class_labels=NAMES)
    (folder / "index.html").write_text(sheet_html(sheet), encoding="utf-8")
    for number in (8, 9, 10):
        page = replace(PAGE, record=RECORD | {"channel": number}, previous=number - 1, next=number + 1)
        (folder / f"{number}.html").write_text(channel_html(page), encoding="utf-8")
    sprite = "layer-mixed4/group-0-7.webp"
    links = (
        LayerLink("mixed4", "layer-mixed4", COUNT, COUNT, sprite=sprite, thumbnails=GROUP),
        LayerLink(HOSTILE, "layer-x", 8, 0),
    )
    tiles = tuple(replace(tile, thumbnail=replace(tile.thumbnail, file=sprite)) for tile in tiles)
    every = tuple(replace(tile, folder="layer-mixed4/", layer="mixed4") for tile in tiles[:12])
    every += tuple(replace(tile, folder="layer-x/", layer="other") for tile in tiles[:12])
    index = IndexPage("demo", links, {"network": HOSTILE}, every, NAMES)
    (root / "index.html").write_text(index_html(index), encoding="utf-8")
    (root / "classes" / "1.html").write_text(class_html(CLASS), encoding="utf-8")
    classes = ClassesPage("demo", (Tile(1, HOSTILE, {"margin": 2.0}, SPRITE), Tile(2, "b", {"margin": 3.0}, None)), {})
    (root / "classes" / "index.html").write_text(classes_html(classes), encoding="utf-8")
    return root


def build_tile(n):
    """A channel whose activation rises with its number, and whose score falls."""
    first = n // GROUP * GROUP
    thumbnail = Thumbnail(f"group-{first}-{first + GROUP - 1}.webp", n % GROUP, GROUP)
    return Tile(n, LABELS[n % 4], {"activation": n / 2, "score": -n, "prediction_changes": n % 5}, thumbnail)


@pytest.fixture
def wide(browser):
    browser.resize(1300)
    yield browser
    assert browser.thrown == []
    assert browser.logged == []


def wait_for_layout(browser):
    browser.wait(150)


def colour(browser, selector, path):
    browser.middle(selector)
    wait_for_layout(browser)
    x, y = browser.middle(selector)
    picture = Image.open(browser.screenshot(path)).convert("RGB")
    return torch.tensor(picture.getpixel((int(x), int(y)))) / 255


def wait_for(browser, page):
    """Wait until the browser has loaded a page, by the end of its address."""
    browser.page.wait_for_url(f"**/{page}")


@pytest.mark.parametrize("page", FILES)
def test_pages_load_only_the_sites_files_and_log_nothing(wide, site, page):
    wide.open(site / page)
    wait_for_layout(wide)
    asked = wide.asked
    assert all(url.startswith(site.as_uri()) for url in asked)
    assert wide.failed == []
    assert wide.js("getComputedStyle(document.body).backgroundColor") == "rgb(252, 251, 248)"


def test_hostile_texts_are_displayed_and_do_not_run(wide, site):
    wide.open(site / "layer-mixed4" / "9.html")
    assert wide.texts(".classes th[scope=row]") == [HOSTILE, "owl"]
    assert wide.js("document.querySelector('.photographs .photo').ariaLabel") == HOSTILE
    assert wide.js("document.scripts.length") == 1
    wide.open(site / "layer-mixed4" / "index.html")
    assert wide.texts(".tile .label")[1] == HOSTILE
    assert wide.js("document.scripts.length") == 2  # the numbers, and the page's own
    wide.open(site / "index.html")
    assert wide.texts(".layers b") == ["mixed4", HOSTILE]
    assert wide.js("document.scripts.length") == 2
    wide.open(site / "classes" / "1.html")
    assert wide.texts("h1") == [HOSTILE]
    assert wide.js("document.scripts.length") == 1


def test_injected_scripts_do_not_run(browser, site):
    browser.resize(1300)
    browser.open(site / "layer-mixed4" / "9.html")
    refused = browser.js(
        "new Promise((done) => { const tell = (event) => done(event.effectiveDirective);"
        "addEventListener('securitypolicyviolation', tell);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=http://x.invalid/>'); setTimeout(done, 3000); })"
    )
    assert refused == "img-src"


def test_each_of_six_renderings_is_cut_out_of_their_file(wide, site, tmp_path):
    wide.open(site / "layer-mixed4" / "9.html")
    for place in range(6):
        found = colour(wide, f".views figure:nth-child({place + 1}) svg", tmp_path / "page.png")
        assert (found - shade(place).flatten()).abs().max() < 0.15
    assert wide.texts(".views figcaption")[:3] == ["Positive", "Negative", "Diverse 1"]


def test_the_patch_is_replaced_by_the_whole_image_on_demand(wide, site, tmp_path):
    wide.open(site / "layer-mixed4" / "9.html")
    wide.hover("h1")
    assert colour(wide, ".patch", tmp_path / "page.png")[0] > 0.85
    assert wide.box(".photo")["width"] == 0
    wide.hover(".photographs figure")
    assert (wide.box(".patch")["width"], wide.box(".photo")["width"] > 50) == (0, True)
    frame, photo = wide.box(".photo rect"), wide.box(".photo")
    assert frame["x"] - photo["x"] == pytest.approx(photo["width"] / 3, abs=3)
    assert frame["width"] == pytest.approx(photo["width"] / 3, abs=5)
    wide.hover("h1")
    wide.click(".whole")
    assert wide.box(".photo")["width"] > 50
    wide.click(".whole")
    assert wide.box(".photo")["width"] == 0


def test_a_tap_shows_the_whole_image_too(browser, site):
    browser.resize(390, 800, finger=True)
    browser.open(site / "layer-mixed4" / "9.html")
    browser.tap(".photographs figure")
    browser.js("document.querySelector('.photographs figure').focus()")
    assert browser.box(".photo")["width"] > 50


def test_bars_are_in_proportion_to_their_numbers(wide, site):
    wide.open(site / "layer-mixed4" / "9.html")
    assert wide.texts(".classes tbody td:nth-child(3)") == ["+2", "−0.5"]
    assert wide.texts(".classes tbody td:nth-child(5)") == ["+1.5", "+0.25"]
    bars = wide.js("[...document.querySelectorAll('.classes .bar rect')]"
                   ".map((each) => [each.className.baseVal, each.width.baseVal.value])")  # fmt: skip
    assert bars == [["more", 50], ["more", 37.5], ["less", 12.5], ["more", 6.25]]
    assert "1 of 64 images" in wide.texts(".ablation p")[0]
    assert wide.texts(".ablation th:last-child")[0] == "Probability drop, percentage points"
    assert wide.texts(".ablation td:last-child") == ["+2.1"]


def test_arrow_keys_lead_to_the_neighbors_and_escape_to_the_sheet(wide, site):
    wide.open(site / "layer-mixed4" / "9.html")
    wide.press("ArrowRight")
    wait_for(wide, "10.html")
    wide.press("ArrowLeft")
    wait_for(wide, "9.html")
    wide.press("Escape")
    wait_for(wide, "layer-mixed4/index.html")


def test_a_sheet_of_thousands_loads_only_the_visible_thumbnails(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    wait_for_layout(wide)
    loaded = wide.js("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert loaded < 5000
    asked = [url for url in wide.asked if url.endswith(".webp")]
    assert 0 < len(asked) < COUNT // GROUP
    assert (site / "layer-mixed4" / "index.html").stat().st_size < 800_000


def test_a_sheet_of_thousands_has_only_the_tiles_near_the_window(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    whole = wide.js("document.documentElement.scrollHeight")
    assert 20 < len(wide.texts(".tile")) < 400
    for share in (0.3, 0.7, 1):
        wide.js(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        wait_for_layout(wide)
        assert len(wide.texts(".tile")) < 400
        shown = wide.js("[...document.querySelectorAll('.tile')].map((each) => [Number(each.dataset.channel), "
                        "each.getBoundingClientRect().top, each.getBoundingClientRect().bottom])")  # fmt: skip
        assert shown[0][1] < 0 or share == 0
        assert shown[-1][2] > wide.js("innerHeight") or shown[-1][0] == COUNT - 1
    assert shown[-1][0] == COUNT - 1
    assert abs(wide.js("document.documentElement.scrollHeight") - whole) < 4


def test_a_printed_sheet_has_all_tiles(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    wide.js("dispatchEvent(new Event('beforeprint'))")
    assert len(wide.texts(".tile")) == COUNT
    wide.js("dispatchEvent(new Event('afterprint'))")
    assert len(wide.texts(".tile")) < 400


def test_each_tile_shows_its_own_part_of_the_sprite(wide, site, tmp_path):
    wide.open(site / "layer-mixed4" / "index.html")
    for number in (0, 7, 13):
        wide.js("scrollTo(0, 0)")
        found = colour(wide, f"[data-channel='{number}'] i", tmp_path / "page.png")
        assert (found - shade(number % GROUP).flatten()).abs().max() < 0.15
    wide.click("[name=negative]")
    found = colour(wide, "[data-channel='5'] i", tmp_path / "page.png")
    assert (found - shade(9 + 5).flatten()).abs().max() < 0.15


def count_matches(browser, text):
    browser.js(f"{{ const box = document.querySelector('[name=query]'); box.value = {json.dumps(text)}; box.focus(); "
               "box.dispatchEvent(new Event('input', { bubbles: true })); }")  # fmt: skip
    return int((browser.text("output") or f"{COUNT} of").split(" of ")[0].split()[0])


def test_channels_are_found_by_number_and_by_class(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    assert count_matches(wide, "OWL") == COUNT // 4
    assert wide.texts("output") == [f"{COUNT // 4} of {COUNT}"]
    assert count_matches(wide, "<script>") == COUNT // 4
    assert count_matches(wide, "99") == sum(str(n).startswith("99") for n in range(COUNT))
    assert count_matches(wide, "no such class") == 0
    assert count_matches(wide, "") == COUNT
    assert count_matches(wide, "9") > 1
    wide.press("Enter")
    wait_for(wide, "9.html")


def test_channels_are_ordered_by_number_class_or_activation(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")

    def first(order):
        wide.js(f"{{ const box = document.querySelector('[name=order]'); box.value = '{order}'; "
                "box.dispatchEvent(new Event('input', { bubbles: true })); }")  # fmt: skip
        return wide.js("[...document.querySelectorAll('.tile')].slice(0, 2).map((each) => each.dataset.channel)")

    assert first("activation") == [str(COUNT - 1), str(COUNT - 2)]
    assert first("score") == ["0", "1"]
    assert first("prediction_changes") == ["4", "9"]
    assert first("label") in (["1", "5"], ["2", "6"])
    wide.click("[name=reverse]")
    assert wide.texts(".tile .label")[0] == ""
    wide.click("[name=reverse]")
    assert first("number") == ["0", "1"]


def choose(browser, name, value):
    browser.js(f"{{ const box = document.querySelector('[name={name}]'); box.value = {json.dumps(str(value))}; "
               "box.dispatchEvent(new Event('input', { bubbles: true })); }")  # fmt: skip


def test_channels_are_filtered_by_any_number_and_found_at_the_same_address(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    assert wide.box("[name=least]")["width"] == 0
    choose(wide, "by", "activation")
    choose(wide, "least", 10)
    choose(wide, "most", 20)
    assert wide.text("output") == f"21 of {COUNT}"
    choose(wide, "order", "score")
    choose(wide, "query", "owl")
    address, shown = wide.js("location.href"), wide.texts(".tile b")
    assert shown == ["20", "24", "28", "32", "36", "40"]
    wide.js(f"location.href = {json.dumps((site / 'index.html').as_uri())}")
    wait_for(wide, "index.html")
    wide.page.goto(address)
    assert wide.texts(".tile b") == shown
    assert wide.js("document.querySelector('[name=query]').value") == "owl"
    choose(wide, "query", "")
    for name in ("by", "least", "most"):
        choose(wide, name, "")
    choose(wide, "order", "number")
    assert "#" not in wide.js("location.href")


def test_the_first_page_finds_channels_of_all_layers_and_classes(wide, site):
    wide.open(site / "index.html")
    assert wide.texts(".lead")[0].startswith("What each channel of these layers responds to: its picture was computed")
    choose(wide, "query", "other 3")
    assert wide.texts(".tile b") == ["3"]
    choose(wide, "query", "other:1")
    assert wide.texts(".tile b") == ["1", "10", "11"]
    choose(wide, "query", "beaver")
    assert wide.texts(".found a") == ["beaver"]
    assert wide.js("document.querySelector('.found a').href").endswith("/classes/2.html")
    assert wide.texts(".tile .layer") == ["mixed4"] * 3 + ["other"] * 3


def test_a_channel_leads_to_those_that_it_is_made_of_and_to_classes(wide, site):
    wide.open(site / "layer-mixed4" / "9.html")
    assert wide.texts(".made:first-child b") == ["5", "6"]
    assert wide.texts(".made:first-child .more, .made:first-child .less") == ["+1.5", "−0.5"]
    assert "empty box is a channel without a page" in wide.texts(".note")[0]
    assert "no page" in wide.js("document.querySelector('.made span.tile').title")
    links = wide.js("[...document.querySelectorAll('.made a, .classes a')].map((each) => each.getAttribute('href'))")
    assert links == [f"../layer-mixed4/{n}.html" for n in (9, 10)] + ["../classes/1.html"]  # 0 has no page


def test_the_page_of_a_class_ranks_channels_and_sorts_them_by_any_column(wide, site):
    wide.open(site / "classes" / "1.html")
    rows = ".ranks tbody a"
    assert wide.texts(".ranks thead th")[2:4] == ["Logit drop", "Probability drop, percentage points"]
    assert wide.texts(rows) == ["8", "9", "10"]
    assert [text.strip() for text in wide.texts(".ranks tbody tr:first-child td")] == ["−6", "−1.5", "+8", "2 of 4"]
    for column, order in ((3, ["10", "9", "8"]), (5, ["8", "10", "9"]), (2, ["8", "9", "10"])):
        wide.click(f".ranks thead th:nth-child({column}) button")
        assert wide.texts(rows) == order
    wide.click(".ranks thead th:nth-child(2) button")
    assert wide.texts(rows) == ["10", "9", "8"]
    assert wide.js("document.querySelector('[aria-sort]').ariaSort") == "ascending"
    wide.press("Escape")
    wait_for(wide, "classes/index.html")
    assert wide.texts(".tile .label") == [HOSTILE, "b"]
    choose(wide, "order", "margin")
    assert wide.texts(".tile b") == ["2", "1"]


@pytest.mark.parametrize("page", [PAGE, CLASS], ids=["channel", "class"])
def test_the_numbers_of_a_page_survive_json(page):
    numbers = json.loads(encode_json(page_numbers(page)))
    assert HOSTILE in json.dumps(numbers)
    assert numbers["kind"] == "microscope numbers"
    assert {"kind", "page", *vars(page)} == numbers.keys()


def test_arrow_keys_move_on_the_sheet(wide, site):
    wide.open(site / "layer-mixed4" / "index.html")
    wide.js("document.querySelector('.tile').focus()")
    across = wide.js("getComputedStyle(document.querySelector('.tiles')).gridTemplateColumns.split(' ').length")
    wide.press("ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp")
    assert wide.js("document.activeElement.dataset.channel") == str(1 + across)


@pytest.mark.parametrize("widths", [(390, 320), (2000, 761)])
@pytest.mark.parametrize("page", FILES)
def test_no_window_scrolls_sideways(browser, site, widths, page):
    browser.resize(widths[0], 640, finger=widths[0] < 760)
    browser.open(site / page)
    for width in widths:
        browser.widen(width)
        assert browser.js("document.documentElement.scrollWidth") <= width


def test_dark_windows_get_dark_pages(browser, site):
    browser.resize(1300, color_scheme="dark")
    browser.open(site / "layer-mixed4" / "index.html")
    assert browser.js("getComputedStyle(document.body).backgroundColor") == "rgb(23, 22, 20)"


def test_without_scripts_the_sheet_has_all_channels(browser, site):
    browser.resize(1300, script=False)
    browser.open(site / "layer-mixed4" / "index.html")
    assert browser.page.locator("a.tile[href='2047.html']").count() == 1
