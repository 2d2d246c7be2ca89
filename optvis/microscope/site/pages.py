"""The pages of a microscope, and the JSON files beside them, from the numbers of its groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from optvis.data.files import atomic_write, encode_json
from optvis.microscope.groups import rendering_file
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.site.class_pages import write_classes
from optvis.microscope.site.contents import LayerContents, read_contents, restore_images
from optvis.microscope.site.output_dir import IMAGES, INDEX
from optvis.viz.pages.microscope.html import channel_html, index_html, sheet_html
from optvis.viz.pages.microscope.page import (
    CLASS_FOLDER,
    ChannelLink,
    ChannelPage,
    IndexPage,
    LayerLink,
    Page,
    SheetPage,
    Tile,
    page_numbers,
)

SITE = (INDEX, "index.json", IMAGES, CLASS_FOLDER)
MAX_OUTPUTS = 8  # channels of later layers on a page
AnyPage = TypeVar("AnyPage", bound=Page)


def write_site(plan: MicroscopePlan, folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write a page for each channel of the complete groups and each class, a sheet for each layer, and the start page.

    Beside each page there is a JSON file of the same name, with what the page shows. Images that are not there any more
    are written again.
    """
    contents = read_contents(plan, folder)
    restore_images(plan, folder, contents)
    labels = write_classes(plan, folder, contents, recipe, write_page)
    tiles: list[Tile] = []
    for layer in contents:
        if layer.channels:
            tiles += _write_layer(plan, folder, layer, contents, labels, recipe)
    links = tuple(_link(plan, layer) for layer in contents)
    page = IndexPage(plan.network_name, links, recipe, tuple(tiles), labels)
    write_page(folder / INDEX, index_html, page)


def write_page(path: Path, to_html: Callable[[AnyPage], str], page: AnyPage) -> None:
    """Write a page, and its numbers beside it."""
    atomic_write(path.with_suffix(".json"), encode_json(page_numbers(page)))
    atomic_write(path, to_html(page).encode())


def _write_layer(
    plan: MicroscopePlan,
    folder: Path,
    layer: LayerContents,
    contents: Sequence[LayerContents],
    labels: Mapping[int, str],
    recipe: Mapping[str, Any],
) -> list[Tile]:
    """Write the pages of a layer's channels and its sheet; return the tiles of the start page."""
    own_recipe = {key: value for key, value in recipe.items() if key != "channels"} | {"layer": layer.layer}
    before, after = _neighbors(list(layer.channels))
    inputs, outputs = _inputs(layer, contents), _outputs(layer, contents)
    for number, record in layer.channels.items():
        page = ChannelPage(
            network=plan.network_name,
            layer=layer.shown,
            record=record,
            renderings=rendering_file(number),
            size=plan.renderer.size,
            image_folder=f"../{IMAGES}/",
            image_size=plan.classifier.size,
            previous=before.get(number),
            next=after.get(number),
            recipe=own_recipe,
            unit=layer.unit,
            attributed_label=None if plan.attributed_class is None else plan.classifier.label(plan.attributed_class),
            inputs=inputs[number],
            outputs=outputs.get(number, ()),
            class_folder=f"../{CLASS_FOLDER}/" if labels else "",
            class_pages=tuple(k for k in _list_classes(record) if k in labels),
        )
        write_page(folder / layer.folder / f"{number}.html", channel_html, page)
    return _write_sheet(plan, folder, layer, labels)


def _write_sheet(plan: MicroscopePlan, folder: Path, layer: LayerContents, labels: Mapping[int, str]) -> list[Tile]:
    """Write the sheet of a layer; return the tiles of the start page."""
    tiles = [_tile(layer, number, record) for number, record in layer.channels.items()]
    sheet = SheetPage(plan.network_name, layer.shown, tuple(tiles), len(plan.channels[layer.layer]), layer.unit, labels)
    write_page(folder / layer.folder / INDEX, sheet_html, sheet)
    prefix = f"{layer.folder}/"
    return [
        replace(tile, folder=prefix, layer=layer.shown or "(output)", thumbnail=layer.thumbnail(tile.number, prefix))
        for tile in tiles
    ]


def _list_classes(record: Mapping[str, Any]) -> list[int]:
    """The indices of the classes that a channel's page names, sorted."""
    rows = [*record["classes"], *record["ablation"]["classes"], *(record["survey"] or {"classes": ()})["classes"]]
    return sorted({row["index"] for row in rows})


def _neighbors(numbers: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """The channel before each channel, and the one after it.

    >>> _neighbors([3, 5, 7])
    ({5: 3, 7: 5}, {3: 5, 5: 7})
    """
    pairs = list(pairwise(numbers))
    return {following: one for one, following in pairs}, dict(pairs)


def _link_channel(layer: LayerContents, channel: int, contribution: float) -> ChannelLink:
    prefix = f"../{layer.folder}/"
    places = layer.address(channel, prefix), layer.thumbnail(channel, prefix)
    return ChannelLink(layer.shown, channel, contribution, *places)


def _inputs(layer: LayerContents, contents: Sequence[LayerContents]) -> dict[int, tuple[ChannelLink, ...]]:
    """For each channel of a layer those that it is made of, strongest first."""
    source = next((one for one in contents if one.layer == layer.source), None)
    return {
        number: () if source is None else tuple(_link_channel(source, **one) for one in record["inputs"])
        for number, record in layer.channels.items()
    }


def _outputs(layer: LayerContents, contents: Sequence[LayerContents]) -> dict[int, tuple[ChannelLink, ...]]:
    """For each channel of a layer those that are made of it, strongest first."""
    found: dict[int, list[ChannelLink]] = {}
    for later in contents:
        if later.source == layer.layer:
            for number, record in later.channels.items():
                for one in record["inputs"]:
                    found.setdefault(one["channel"], []).append(_link_channel(later, number, one["contribution"]))
    return {
        number: tuple(sorted(links, key=lambda link: -abs(link.contribution))[:MAX_OUTPUTS])
        for number, links in found.items()
    }


def _tile(layer: LayerContents, number: int, record: Mapping[str, Any]) -> Tile:
    """A channel on the sheet of its layer: its label is the class with the largest attribution, if one is positive."""
    best = next((row for row in record["classes"] if row["attribution"] > 0), None)
    ablation = record["ablation"]
    values = {
        "activation": max((row["activation"] for row in record["images"]), default=0.0),
        "score": record["score"],
        "attribution": 0.0 if best is None else best["attribution"],
        "logit_drop": 0.0 if best is None else best["logit_drop"],
        "prediction_changes": ablation["prediction_changes"],
        "probability_drop": max((row["probability_drop"] for row in ablation["classes"]), default=0.0),
    }
    return Tile(number, "" if best is None else best["label"], values, layer.thumbnail(number, ""))


def _link(plan: MicroscopePlan, layer: LayerContents) -> LayerLink:
    """A layer on the start page."""
    total, finished = len(plan.channels[layer.layer]), len(layer.channels)
    first = layer.thumbnail(layer.groups[0][0], f"{layer.folder}/") if layer.groups else None
    strip = ("", 0) if first is None else (first.file, first.count)
    return LayerLink(layer.shown, layer.folder, total, finished, layer.unit, *strip)
