"""Measure how soon the pages of a large microscope are there, in a browser, opened from a disk.

python tests/bench/microscope_pages.py                     10,000 channels of five layers
python tests/bench/microscope_pages.py --channels 50000

The channels, their numbers and thumbnails are made up; the pages are those that `build_microscope` writes. Printed are,
for the first page and for the sheet of a layer: the first paint, the time until the page's script has run, and the time
until tiles are drawn again after sorting, searching and scrolling to the end. Exit with 1 where a first paint takes a
second or more.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from playwright.sync_api import Browser, sync_playwright

from optvis.microscope.groups import concatenate, encode_webp
from optvis.microscope.site.pages import write_page
from optvis.viz.pages import IndexPage, LayerLink, SheetPage, Thumbnail, Tile, index_html, sheet_html
from optvis.viz.pages.microscope.page import CHANNEL_COLUMNS

CHANNELS, LAYERS, CLASSES, GROUP, SIDE, RUNS, LIMIT = 10_000, 5, 1000, 8, 96, 5, 1000  # the last in milliseconds
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PAINT = """new Promise((done) => {
    const look = () => {
        const paint = performance.getEntriesByName("first-contentful-paint")[0];
        if (paint) done(paint.startTime);
        else setTimeout(look, 10);
    };
    look();
})"""
READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
CHANGES = {
    "sorted": "const box = document.querySelector('[name=order]'); box.value = 'activation'; send(box)",
    "searched": "const box = document.querySelector('[name=query]'); box.value = 'class 7'; send(box)",
    "scrolled": "scrollTo(0, document.documentElement.scrollHeight); dispatchEvent(new Event('scroll'))",
}
TIMED = """new Promise((done) => {
    const send = (box) => box.dispatchEvent(new Event("input", { bubbles: true }));
    const start = performance.now();
    %s;
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""


def write_site(root: Path, channels: int) -> list[Path]:
    """Write the first page and the sheet of a layer; all groups of a layer have the same thumbnails."""
    rng, tiles = Random(0), []
    labels = {index: f"class {index}" for index in range(CLASSES)}
    sprite = encode_webp(concatenate(torch.rand(2 * GROUP, 3, SIDE, SIDE)))
    links = []
    for layer in range(LAYERS):
        folder = f"layer-mixed{layer}"
        (root / folder).mkdir()
        for channel in range(channels // LAYERS):
            first = channel // GROUP * GROUP
            file = f"{folder}/group-{first}-{first + GROUP - 1}.webp"
            if channel == first:
                (root / file).write_bytes(sprite)
            values = {key: round(rng.random(), 6) for key in CHANNEL_COLUMNS}
            thumbnail = Thumbnail(file, channel % GROUP, GROUP)
            tiles.append(
                Tile(channel, labels[rng.randrange(CLASSES)], values, thumbnail, f"{folder}/", f"mixed{layer}")
            )
        count = channels // LAYERS
        links.append(LayerLink(f"mixed{layer}", folder, count, count, "channel", f"{folder}/group-0-7.webp", GROUP))
    index = IndexPage("network", tuple(links), {}, tuple(tiles), labels)
    write_page(root / "index.html", index_html, index)
    (root / "sheet").mkdir()
    own = tuple(Tile(n, t.label, t.values, Thumbnail(f"../{t.thumbnail.file}", t.thumbnail.index, GROUP))
                for n, t in enumerate(tiles) if t.thumbnail is not None)  # fmt: skip
    write_page(root / "sheet" / "index.html", sheet_html, SheetPage("network", "all", own, len(own), "channel", labels))
    return [root / "index.html", root / "sheet" / "index.html"]


def measure(browser: Browser, page: Path) -> dict[str, float]:
    """Milliseconds of each event, the median of some windows."""
    found: dict[str, list[float]] = {"first paint": [], "ready": [], **{name: [] for name in CHANGES}}
    for _ in range(RUNS):
        window = browser.new_page(viewport={"width": 1300, "height": 900})
        window.goto(page.as_uri())
        found["first paint"].append(window.evaluate(PAINT))
        found["ready"].append(window.evaluate(READY))
        for name, change in CHANGES.items():
            found[name].append(window.evaluate(TIMED % change))
        window.close()
    return {name: statistics.median(values) for name, values in found.items()}


def find_chromium(which: Callable[[str], str | None] = shutil.which) -> str:
    """The path of a Chromium; SystemExit where there is none."""
    path = next(filter(None, map(which, CHROMIUM)), None)
    return path or sys.exit(f"no browser on the path; expected one of {', '.join(CHROMIUM)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    options = parser.parse_args()
    executable, slowest = find_chromium(), 0.0
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        pages = write_site(Path(folder), options.channels)
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for name, page in zip(("first page", "sheet"), pages, strict=True):
            times = measure(browser, page)
            slowest = max(slowest, times["first paint"])
            size = page.stat().st_size / 1e6
            print(f"{name} of {options.channels:,} channels, {size:.1f} MB: "
                  + ", ".join(f"{event} {time:.0f} ms" for event, time in times.items()))  # fmt: skip
        browser.close()
    print(f"slowest first paint {slowest:.0f} ms; limit {LIMIT} ms")
    sys.exit(0 if slowest < LIMIT else 1)


if __name__ == "__main__":
    main()
