"""The pages of a microscope, from the numbers of its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from optvis.data.files import atomic_write
from optvis.features.feature_network import name_units
from optvis.microscope.groups import read_group, rendering_file, thumbnails_file
from optvis.microscope.plan import MicroscopePlan
from optvis.viz.pages.microscope.html import channel_html, index_html, sheet_html
from optvis.viz.pages.microscope.page import ChannelPage, IndexPage, LayerLink, SheetPage, Tile

INDEX = "index.html"
IMAGES = "images"  # the folder of the images that activate channels most
SITE = (INDEX, IMAGES)


def write_site(plan: MicroscopePlan, folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write a page for each channel of the complete groups, a sheet for each layer, and the start page."""
    links = []
    for layer, name in plan.folders.items():
        groups = [(group, read_group(folder / name, group)) for group in plan.groups(layer)]
        complete = [(group, numbers["channels"]) for group, numbers in groups if numbers is not None]
        if complete:
            _write_layer(plan, layer, folder / name, complete, recipe)
        unit, shown = name_units(plan.classifier, layer)
        first = complete[0][0] if complete else []
        sprite = f"{name}/{thumbnails_file(first)}" if first else ""
        finished = sum(len(group) for group, _ in complete)
        links.append(LayerLink(shown, name, len(plan.channels[layer]), finished, unit, sprite, len(first)))
    atomic_write(folder / INDEX, index_html(IndexPage(plan.network_name, tuple(links), recipe)).encode())


def _write_layer(
    plan: MicroscopePlan,
    layer: str,
    folder: Path,
    complete: Sequence[tuple[Sequence[int], Sequence[Any]]],
    recipe: Mapping[str, Any],
) -> None:
    unit, shown = name_units(plan.classifier, layer)
    layer_recipe = {key: value for key, value in recipe.items() if key != "channels"} | {"layer": layer}
    channels = [channel for _, numbers in complete for channel in numbers]
    neighbours: dict[int, list[int | None]] = {channel["channel"]: [None, None] for channel in channels}
    for previous, following in pairwise(neighbours):
        neighbours[previous][1], neighbours[following][0] = following, previous
    for channel in channels:
        number = channel["channel"]
        before, after = neighbours[number]
        renderings, images = (rendering_file(number), plan.renderer.size), (f"../{IMAGES}/", plan.classifier.size)
        page = ChannelPage(plan.network_name, shown, channel, *renderings, *images, before, after, layer_recipe, unit)
        atomic_write(folder / f"{number}.html", channel_html(page).encode())
    tiles = [
        Tile(channel["channel"], thumbnails_file(group), index, len(group), _top_label(channel), _strength(channel))
        for group, numbers in complete
        for index, channel in enumerate(numbers)
    ]
    sheet = SheetPage(plan.network_name, shown, tuple(tiles), len(plan.channels[layer]), unit)
    atomic_write(folder / INDEX, sheet_html(sheet).encode())


def _top_label(channel: Mapping[str, Any]) -> str:
    """The class with the largest attribution; empty if none is positive."""
    labels = [row["label"] for row in channel["classes"] if row["attribution"] > 0]
    return labels[0] if labels else ""


def _strength(channel: Mapping[str, Any]) -> float:
    """The largest activation; 0 if no image activates the channel."""
    return max((row["activation"] for row in channel["images"]), default=0.0)
