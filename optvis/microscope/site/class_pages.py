"""The pages of classes: the channels of each layer, ranked, with what switching each off costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optvis.data.files import ensure_dir
from optvis.microscope.channel_data import image_file, round_number
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.site.contents import LayerContents, read_exemplars
from optvis.microscope.site.output_dir import IMAGES, INDEX
from optvis.microscope.top_activations import CLASSES
from optvis.viz.pages.microscope.html import class_html, classes_html
from optvis.viz.pages.microscope.page import (
    CLASS_FOLDER,
    ClassesPage,
    ClassImage,
    ClassLayer,
    ClassPage,
    RankedChannel,
    Tile,
)

WritePage = Callable[[Path, Callable[[Any], str], Any], None]


def write_classes(
    plan: MicroscopePlan,
    folder: Path,
    contents: Sequence[LayerContents],
    recipe: Mapping[str, Any],
    write_page: WritePage,
) -> dict[int, str]:
    """Write a page for each class that is complete at some layer, and the list of them; return their labels."""
    indices = [k for k in range(plan.class_count) if any(k in layer.classes for layer in contents)]
    if not indices:
        return {}
    labels = {k: plan.classifier.label(k) for k in indices}
    own = {key: value for key, value in recipe.items() if key != "channels"}
    place, top = ensure_dir(folder / CLASS_FOLDER), read_exemplars(plan, folder)[CLASSES]
    tiles = []
    for at, k in enumerate(indices):
        layers = tuple(_rank(layer, k) for layer in contents if layer.classes.get(k, {}).get("channels"))
        images = tuple(
            ClassImage(image_file(index), plan.dataset.names[index], round_number(margin))
            for index, margin, *_ in top.of_channel(k)
            if (folder / IMAGES / image_file(index)).exists()
        )
        before, after = (indices[n] if 0 <= n < len(indices) else None for n in (at - 1, at + 1))
        page = ClassPage(plan.network_name, k, labels[k], images, f"../{IMAGES}/", layers, before, after, own)
        write_page(place / f"{k}.html", class_html, page)
        tiles.append(_tile(page))
    write_page(place / INDEX, classes_html, ClassesPage(plan.network_name, tuple(tiles), own))
    return labels


def _rank(layer: LayerContents, index: int) -> ClassLayer:
    """The channels of a layer on the page of a class."""
    prefix, record = f"../{layer.folder}/", layer.classes[index]
    rows = tuple(
        RankedChannel(
            **row, address=layer.address(row["channel"], prefix), thumbnail=layer.thumbnail(row["channel"], prefix)
        )
        for row in record["channels"]
    )
    return ClassLayer(layer.shown, record["images"], rows, layer.unit)


def _tile(page: ClassPage) -> Tile:
    """A class in the list: its thumbnail is that of the channel with the largest attribution of all layers."""
    margin = max((image.margin for image in page.images), default=0.0)
    rows = [row for layer in page.layers for row in layer.channels]
    if not rows:
        return Tile(page.index, page.label, {"margin": margin}, None)
    best = max(rows, key=lambda row: row.attribution)
    values = {name: getattr(best, name) for name in ("attribution", "logit_drop", "probability_drop")}
    return Tile(page.index, page.label, {"margin": margin} | values, best.thumbnail)
