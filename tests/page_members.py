"""Every kind of page, small, with one text wherever a page shows somebody else's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from optvis.demo.page import Content, Figure, FigureTile, Page, to_html
from optvis.microscope.groups import concatenate, encode_webp
from optvis.microscope.site.pages import write_page
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
    atlas_html,
    channel_html,
    class_html,
    classes_html,
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
    """A microscope's first page; beside it the sheet of a layer, the pages of a channel and of a class, and numbers."""
    layer, classes = folder / "layer", folder / "classes"
    classes.mkdir()
    icons = concatenate(torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)))
    for file in ("images/000003.webp", "layer/1.webp", "layer/group.webp"):
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(encode_webp(torch.cat([icons, icons], dim=1)))
    labels = {0: text, 1: "b"}
    tiles, listed = (
        tuple(
            Tile(number, text if number else "", {"activation": number}, Thumbnail(file, number, GROUP), prefix, name)
            for number in range(GROUP)
        )
        for file, prefix, name in (("group.webp", "", ""), ("layer/group.webp", "layer/", text))
    )
    write_page(layer / "index.html", sheet_html, SheetPage(text, text, tiles, GROUP, class_labels=labels))
    rows = [
        {"index": 0, "label": text, "attribution": 2.0, "logit_drop": -1.5},
        {"index": 1, "label": "b", "attribution": 0, "logit_drop": 1},
    ]
    image = {
        "file": "000003.webp",
        "name": text,
        "activation": 7.5,
        "attribution": 1.5,
        "window": [4, 12, 8, 16],
        "predictions": [text, "b"],
    }
    sample = {
        "images": 64,
        "prediction_changes": 1,
        "classes": [{"index": 0, "label": text, "probability_drop": 0.021}],
    }
    record = {"channel": 1, "score": 2.5, "images": [image], "prediction_changes": 1, "classes": rows}
    survey = {
        "images": 64,
        "sample": [image],
        "quantiles": [[0.0, -1.0], [1.0, 7.5]],
        "histogram": [60, 0, 4],
        "classes": [{"index": 0, "label": text, "mean": 2.5, "images": 3}],
    }
    record |= {"ablation": sample, "inputs": [{"channel": 2, "contribution": 0.5}], "survey": survey}
    recipe, thumbnail = {"network": text}, Thumbnail("../layer/group.webp", 1, GROUP)
    links = (ChannelLink(text, 1, 0.5, "../layer/1.html", thumbnail), ChannelLink(text, 9, -0.5))
    page = ChannelPage(
        *(text, text, record, "1.webp", SIDE, "../images/", (SIDE, SIDE), 0, None, recipe),
        attributed_label=text, inputs=links, outputs=links, class_folder="../classes/", class_pages=(0,),
    )  # fmt: skip
    write_page(layer / "1.html", channel_html, page)
    ranked = (RankedChannel(1, 1.5, -0.5, 0.25, 1, "../layer/1.html", thumbnail), RankedChannel(2, -1, 0, 0, 0))
    own = (ClassImage("000003.webp", text, 2.5),)
    of_class = ClassPage(text, 0, text, own, "../images/", (ClassLayer(text, 1, ranked),), None, 1, recipe)
    write_page(classes / "0.html", class_html, of_class)
    strongest = tuple(Tile(index, label, {"margin": 1.5}, thumbnail) for index, label in labels.items())
    write_page(classes / "index.html", classes_html, ClassesPage(text, strongest, recipe))
    layers = (
        LayerLink(text, "layer", GROUP, GROUP, sprite="layer/group.webp", thumbnails=GROUP),
        LayerLink(text, "x", 8, 0),
    )
    write_page(folder / "index.html", index_html, IndexPage(text, layers, recipe, listed, labels))
    return folder / "index.html"


def write_sheet(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "layer" / "index.html"


def write_channel(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "layer" / "1.html"


def write_class(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "classes" / "0.html"


def write_classes(folder: Path, text: str) -> Path:
    return write_site(folder, text).parent / "classes" / "index.html"


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
    "microscope's class": write_class,
    "microscope's classes": write_classes,
}
