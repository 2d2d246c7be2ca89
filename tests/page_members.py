"""Every kind of page, small, with one text wherever a page shows somebody else's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from optvis.demo.page import Content, Figure, FigureTile, Page, to_html
from optvis.microscope.groups import concatenate, encode_webp
from optvis.viz.pages import (
    ChannelPage,
    IndexPage,
    LayerLink,
    SheetPage,
    Tile,
    atlas_html,
    channel_html,
    grid_html,
    index_html,
    sheet_html,
)
from optvis.viz.sheet import encode_png, to_pil_image

from . import test_pages_atlas, test_pages_grid, test_report

SIDE = 16  # of icons and thumbnails in pixels
GROUP = 4  # channels


def write_grid(folder: Path, text: str) -> Path:
    test_pages_grid.GENERATOR.manual_seed(0)
    page = test_pages_grid.build_page(text, (text, "otter"))
    return write(folder / "grid.html", grid_html(page))


def write_atlas(folder: Path, text: str) -> Path:
    test_pages_atlas.GENERATOR.manual_seed(0)
    page = test_pages_atlas.build_page(text, (text, "otter"), (5, 10), ends=(text, "wok"))
    return write(folder / "atlas.html", atlas_html(page))


def write_report(folder: Path, text: str) -> Path:
    report = test_report.build_report(text, text, f"{text} 2", warnings=(text,))
    return write(folder / "report.html", report.html())


def write_demo(folder: Path, text: str) -> Path:
    png = encode_png(to_pil_image(torch.full((3, SIDE, SIDE), 0.5)))
    figure = Figure("one.png", png, (FigureTile(png, text, text, text),) * 5, (8, 4), text, text, text)
    page = Page(text, text, (Content(text, text, (figure,)),), text, text)
    return write(folder / "demo.html", to_html(page))


def write_site(folder: Path, text: str) -> Path:
    """A microscope's first page; beside it the sheet of a layer, and the page of a channel."""
    layer = folder / "layer"
    icons = concatenate(torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)))
    for file in ("images/000003.webp", "layer/1.webp", "layer/group.webp"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(encode_webp(torch.cat([icons, icons], dim=1)))
    tiles = tuple(Tile(number, "group.webp", number, GROUP, text if number else "", number) for number in range(GROUP))
    write(layer / "index.html", sheet_html(SheetPage(text, text, tiles, GROUP)))
    classes = [
        {"label": text, "attribution": 2.0, "logit_drop": -1.5},
        {"label": "b", "attribution": 0, "logit_drop": 1},
    ]
    image = {
        "file": "000003.webp",
        "name": text,
        "activation": 7.5,
        "window": [4, 12, 8, 16],
        "predictions": [text, "b"],
    }
    sample = {"images": 64, "prediction_changes": 1, "classes": [{"label": text, "probability_drop": 0.021}]}
    record = {"channel": 1, "images": [image], "prediction_changes": 1, "classes": classes, "ablation": sample}
    page = ChannelPage(text, text, record, "1.webp", SIDE, "../images/", (SIDE, SIDE), 0, None, {"network": text})
    write(layer / "1.html", channel_html(page))
    links = (
        LayerLink(text, "layer", GROUP, GROUP, sprite="layer/group.webp", thumbnails=GROUP),
        LayerLink(text, "x", 8, 0),
    )
    return write(folder / "index.html", index_html(IndexPage(text, links, {"network": text})))


def write_sheet(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "layer" / "index.html"


def write_channel(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "layer" / "1.html"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


PAGES: dict[str, Callable[[Path, str], Path]] = {
    "grid": write_grid,
    "atlas": write_atlas,
    "report": write_report,
    "tour": write_demo,
    "microscope": write_site,
    "microscope's sheet": write_sheet,
    "microscope's channel": write_channel,
}
