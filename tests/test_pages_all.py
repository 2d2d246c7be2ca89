"""What holds for every kind of page: no text runs or breaks it, everybody can read it, and Firefox opens it too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .browser import Window, find_executable
from .firefox import FIREFOX, Firefox
from .page_members import PAGES

PLAIN = "container ship"
ARABIC, HEBREW = "سفينة حاويات 12", "אוניית מכולות"
SCRIPT = "window.obeyed = true"
HOSTILE = {
    "an element": f'<script>{SCRIPT}</script><img src=x onerror="{SCRIPT}">',
    "the end of one": f"</script></style></title></textarea>--><script>{SCRIPT}</script>",
    "an attribute": f'" onload="{SCRIPT}" autofocus onfocus="{SCRIPT}" x=\'',
    "a template": "{{ page.recipe }}{% raw %}${document.title}",
    "an override": "\u202egnp.exe",
    "much": "W" * 10_000,
    "half a pair": "caf\udce9",
    "names of JavaScript": "__proto__",
}
READY = """new Promise((done) => {
    const look = () => (document.querySelector(".tools[hidden], canvas[role][hidden]") ? setTimeout(look, 5) : done());
    look();
})"""
# Whatever a click would show: folded rows, the attribution to a class, whole images.
OPEN_ALL = """(() => {
    for (const each of document.querySelectorAll("details")) each.open = true;
    for (const each of document.querySelectorAll("select[name=class]")) {
        each.value = "0";
        each.dispatchEvent(new Event("change", { bubbles: true }));
    }
    for (const each of document.querySelectorAll(".whole input")) each.click();
})()"""
TAGS = "[...document.querySelectorAll('*')].map((each) => each.tagName + [...each.attributes].map((a) => a.name))"
# What stands behind a label on its line, and yet left of the label's end.
OUT_OF_ORDER = """[...document.querySelectorAll("bdi")].filter((label) => label.checkVisibility()).filter((label) => {
    const after = label.nextSibling, range = document.createRange();
    if (!after || !after.textContent.trim()) return false;
    range.selectNodeContents(after);
    const [one] = range.getClientRects(), places = [...label.getClientRects()], last = places.at(-1);
    return places.length === 1 && one && Math.abs(one.bottom - last.bottom) < 8 && one.left < last.right - 1;
}).map((label) => label.parentElement.outerHTML)"""


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Write a page with a text; return its path. The same page is written once."""
    return cache(lambda name, text: PAGES[name](tmp_path_factory.mktemp("page"), text))


def open_page(browser: Window, page: Path) -> None:
    """Open a page, wait until its script has run, and unfold it."""
    browser.open(page)
    browser.js(READY)
    browser.js(OPEN_ALL)


@pytest.fixture(scope="module")
def tags(browser, write):
    """The elements of a page with a plain text, each with the names of its attributes."""

    @cache
    def read(name: str) -> list[str]:
        open_page(browser, write(name, PLAIN))
        return list(browser.js(TAGS))

    return read


def found(browser: Window) -> tuple[list[str], list[str], list[str]]:
    """What went wrong."""
    return browser.thrown, browser.logged, browser.failed


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", PAGES)
def test_hostile_texts_are_displayed_and_nothing_runs_or_breaks(browser, write, tags, name, kind):
    browser.resize(1300)
    plain = tags(name)
    open_page(browser, write(name, HOSTILE[kind]))
    assert browser.js("window.obeyed") is None
    assert browser.js(TAGS) == plain
    shown = browser.js("document.documentElement.textContent.normalize()")
    assert HOSTILE[kind].replace("\udce9", "\ufffd") in shown
    assert browser.js(OUT_OF_ORDER) == []
    assert browser.js("document.documentElement.scrollWidth") <= 1300
    assert found(browser) == ([], [], [])


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_survive_the_numbers_beside_pages(write, kind):
    files = list(write("microscope", HOSTILE[kind]).parent.rglob("*.json"))
    assert len(files) == 5
    for file in files:
        numbers = json.loads(file.read_bytes().decode("utf-8"))
        assert numbers["network"] == HOSTILE[kind]
        assert json.dumps(numbers).count(json.dumps(HOSTILE[kind])) > 1


@pytest.mark.parametrize("name", PAGES)
def test_narrow_windows_show_long_texts_and_labels_from_right_to_left(browser, write, name):
    for text in (PLAIN, HEBREW, ARABIC, HOSTILE["much"]):
        browser.resize(360, 640, finger=True)
        open_page(browser, write(name, text))
        assert browser.js("document.documentElement.scrollWidth") <= 360, text[:20]
        assert browser.js(OUT_OF_ORDER) == []
        assert found(browser) == ([], [], [])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_and_use_a_page(browser, write, name, scheme):
    from axe_playwright_python.sync_playwright import Axe

    browser.resize(1300, color_scheme=scheme, reduced_motion="reduce")
    open_page(browser, write(name, PLAIN))
    faults = [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in Axe().run(browser.page).response["violations"]
        if fault["impact"] in ("moderate", "serious", "critical")
    ]
    assert faults == []


@pytest.mark.parametrize("name", PAGES)
def test_keys_reach_all_that_a_mouse_reaches(browser, write, name):
    browser.resize(1300)
    open_page(browser, write(name, PLAIN))
    reached = set()
    for _ in range(60):
        browser.press("Tab")
        here = browser.js(
            "[document.activeElement.tagName, document.activeElement.name ?? document.activeElement.className]"
        )
        reached.add(json.dumps(here))
    sought = "a[href], button:not(:disabled), input, select, summary, canvas[tabindex]"
    links = browser.js(f"[...document.querySelectorAll('{sought}')].filter((each) => each.checkVisibility())"
                       ".map((each) => [each.tagName, each.name ?? each.className])")  # fmt: skip
    assert {json.dumps(one) for one in links} <= reached


# In Firefox


@pytest.fixture(scope="module")
def firefox(tmp_path_factory) -> Iterator[Firefox]:
    executable = find_executable(*FIREFOX)
    if executable is None:
        pytest.skip("no Firefox on this machine's path")
    firefox = Firefox(executable, tmp_path_factory.mktemp("profile"))
    yield firefox
    firefox.close()


def test_firefox_tells_what_goes_wrong(firefox, tmp_path):
    page = tmp_path / "bad.html"
    policy = "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
    for text, error in (("<script>missing()</script>", "missing is not defined"), (f"{policy}<p style=x>", "blocked")):
        page.write_text(f"<!doctype html><meta charset=utf-8>{text}", encoding="utf-8")
        (said,) = firefox.open(page)
        assert error in said


@pytest.mark.parametrize("name", PAGES)
def test_firefox_opens_every_page(firefox, write, name):
    assert firefox.open(write(name, PLAIN)) == []
    assert firefox.js("document.title").endswith(" · optvis")
    assert firefox.js("document.querySelector('.tools[hidden]')") is None
    firefox.js(OPEN_ALL)
    assert firefox.open(write(name, HOSTILE["an element"])) == []
