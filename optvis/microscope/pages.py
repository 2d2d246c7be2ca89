"""The pages of a microscope, from what its groups have stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from optvis.data.files import atomic_write
from optvis.microscope.groups import finished, picture_name, sprite_name
from optvis.microscope.numbers import network_name
from optvis.microscope.plan import Plan
from optvis.viz.pages.microscope.page import ChannelPage, channel_html
from optvis.viz.pages.microscope.sheet import LayerLink, SheetPage, Tile, index_html, sheet_html
from optvis.viz.pages.microscope.style import SHEET_SCRIPT, STYLE, TURN_SCRIPT, places_of

PHOTOS = "photographs"
SITE = ("index.html", "microscope.css", "sheet.js", "turn.js", PHOTOS)


def write_site(plan: Plan, folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write a page for each channel of the groups that are finished, the sheets, and the page to begin with."""
    _, style, sheet, turn, _ = SITE
    atomic_write(folder / style, (STYLE + places_of(plan.group)).encode())
    atomic_write(folder / sheet, SHEET_SCRIPT.encode())
    atomic_write(folder / turn, TURN_SCRIPT.encode())
    links = []
    for layer, name in plan.folders.items():
        groups = [(group, finished(folder / name, group)) for group in plan.groups(layer)]
        done = [(group, told["channels"]) for group, told in groups if told is not None]
        if done:
            _write_layer(plan, layer, folder / name, done, recipe)
        link = LayerLink(layer, name, len(plan.channels[layer]), sum(len(group) for group, _ in done))
        links.append((link, f"{name}/{sprite_name(done[0][0])}" if done else "", len(done[0][0]) if done else 0))
    atomic_write(folder / SITE[0], index_html(network_name(plan.classifier), links, recipe).encode())


def _write_layer(
    plan: Plan, layer: str, folder: Path, done: Sequence[tuple[Sequence[int], Sequence[Any]]], recipe: Mapping[str, Any]
) -> None:
    own = {key: value for key, value in recipe.items() if key != "channels"} | {"layer": layer}
    told = [one for _, group in done for one in group]
    around: dict[int, list[int | None]] = {one["channel"]: [None, None] for one in told}
    for before, after in pairwise(around):
        around[before][1], around[after][0] = after, before
    for one in told:
        atomic_write(folder / f"{one['channel']}.html", _page(plan, layer, one, around[one["channel"]], own).encode())
    tiles = [
        Tile(one["channel"], sprite_name(group), place, len(group), _best(one), _strength(one))
        for group, members in done
        for place, one in enumerate(members)
    ]
    page = SheetPage(network_name(plan.classifier), layer, tuple(tiles), len(plan.channels[layer]))
    atomic_write(folder / "index.html", sheet_html(page).encode())


def _page(
    plan: Plan, layer: str, told: Mapping[str, Any], around: Sequence[int | None], recipe: Mapping[str, Any]
) -> str:
    before, after = around
    return channel_html(
        ChannelPage(
            network_name(plan.classifier),
            layer,
            told,
            picture_name(told["channel"]),
            plan.drawing.size,
            f"../{PHOTOS}/",
            plan.classifier.size,
            before,
            after,
            recipe,
        )
    )


def _best(told: Mapping[str, Any]) -> str:
    """The class that a channel serves most, if any."""
    served = [one["label"] for one in told["classes"] if one["attribution"] > 0]
    return served[0] if served else ""


def _strength(told: Mapping[str, Any]) -> float:
    return max((one["value"] for one in told["photographs"]), default=0.0)
