"""What the pages of a microscope show: the numbers of all complete groups, read from its folder, and the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from optvis.arguments import check_range
from optvis.data.files import atomic_write, ensure_dir, read_json_or_none
from optvis.features.feature_network import name_units
from optvis.features.peaks import ChannelImages
from optvis.microscope.channel_data import image_file
from optvis.microscope.classes import read_class_group
from optvis.microscope.groups import encode_webp, is_whole_webp, read_group, thumbnails_file
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.site.output_dir import IMAGES, TOP_ACTIVATIONS
from optvis.microscope.top_activations import CLASSES
from optvis.viz.pages.microscope.page import CLASS_FOLDER, Thumbnail


@dataclass(frozen=True, eq=False)
class LayerContents:
    """What is complete of a layer.

    Args:
        layer: name as in `layers(net)`.
        shown: its name on the pages.
        unit: what the pages call its channels.
        folder: name of the folder of its pages.
        source: name of the layer that its channels are made of; None where there is none.
        channels: of all complete groups, by their numbers: what a `ChannelRecord` holds.
        groups: the complete groups of channels.
        classes: of all complete groups, by their indices: what a `ClassChannelsRecord` holds.
    """

    layer: str
    shown: str
    unit: str
    folder: str
    source: str | None
    channels: Mapping[int, Mapping[str, Any]]
    groups: Sequence[Sequence[int]]
    classes: Mapping[int, Mapping[str, Any]]

    @cached_property
    def places(self) -> Mapping[int, Thumbnail]:
        """The thumbnail of each channel, from a page of the same folder."""
        return {
            channel: Thumbnail(thumbnails_file(group), index, len(group))
            for group in self.groups
            for index, channel in enumerate(group)
        }

    def thumbnail(self, channel: int, prefix: str) -> Thumbnail | None:
        """The thumbnail of a channel; None where it has no page.

        Args:
            channel: its number.
            prefix: address of the layer's folder, ending with "/".
        """
        place = self.places.get(channel)
        return None if place is None else Thumbnail(prefix + place.file, place.index, place.count)

    def address(self, channel: int, prefix: str) -> str | None:
        """The address of a channel's page; None where it has none."""
        return f"{prefix}{channel}.html" if channel in self.places else None


def exemplar_files(plan: MicroscopePlan, folder: Path) -> dict[str, Path]:
    """The file of each layer's images, by its name, and by `CLASSES` that of the classes."""
    folders = plan.folders | ({CLASSES: CLASS_FOLDER} if plan.class_count else {})
    return {name: folder / own / TOP_ACTIVATIONS for name, own in folders.items()}


def read_exemplars(plan: MicroscopePlan, folder: Path) -> dict[str, ChannelImages]:
    """The images of channels and classes, from all files that are neither missing nor damaged."""
    found = {name: _read_top_activations(plan, name, file) for name, file in exemplar_files(plan, folder).items()}
    return {name: top for name, top in found.items() if top is not None}


def _read_top_activations(plan: MicroscopePlan, name: str, file: Path) -> ChannelImages | None:
    """What an earlier run wrote; None if the file is missing, damaged, or of other images or channels."""
    try:
        top = ChannelImages.from_dict(read_json_or_none(file))
        check_range("indices", top.indices, 0, len(plan.dataset))
        numbers = [plan.class_count - 1] if name == CLASSES else plan.channels[name]
        check_range("channels", torch.tensor(numbers, device="cpu"), 0, len(top.values))
    except ValueError:
        return None
    return top


def read_contents(plan: MicroscopePlan, folder: Path) -> list[LayerContents]:
    """Read what is complete of each layer of a microscope."""
    classes = plan.class_groups(read_exemplars(plan, folder))
    return [_read_layer(plan, layer, folder / name, classes) for layer, name in plan.folders.items()]


def _read_layer(plan: MicroscopePlan, layer: str, folder: Path, class_groups: Sequence[Sequence[int]]) -> LayerContents:
    found = [(group, read_group(folder, group)) for group in plan.groups(layer)]
    complete = [(group, numbers["channels"]) for group, numbers in found if numbers is not None]
    channels = {one["channel"]: one for _, numbers in complete for one in numbers}
    read = [read_class_group(folder, group) for group in class_groups]
    classes = {one["index"]: one for numbers in read if numbers is not None for one in numbers["classes"]}
    unit, shown = name_units(plan.classifier, layer)
    source = plan.sources[layer]
    return LayerContents(layer, shown, unit, folder.name, source, channels, [group for group, _ in complete], classes)


def write_images(plan: MicroscopePlan, folder: Path, indices: Iterable[int]) -> None:
    """Write the files of images that are missing or damaged; images that cannot be read are left out with a warning."""
    place = ensure_dir(folder / IMAGES)
    missing = [index for index in sorted(set(indices)) if not is_whole_webp(place / image_file(index))]
    for at, image in plan.dataset.each_readable(missing, plan.classifier.load_batch):
        atomic_write(place / image_file(missing[at]), encode_webp(image[0]))


def restore_images(plan: MicroscopePlan, folder: Path, contents: Sequence[LayerContents]) -> None:
    """Write the images that pages are about to show, and that are not there any more."""
    classes = read_exemplars(plan, folder).get(CLASSES)
    rows = [] if classes is None else [row for k in range(plan.class_count) for row in classes.of_channel(k)]
    write_images(plan, folder, [*_list_shown(contents), *(index for index, *_ in rows)])


def _list_shown(contents: Sequence[LayerContents]) -> Iterator[int]:
    """The indices of the images of all complete groups."""
    for layer in contents:
        for record in layer.channels.values():
            sample = record["survey"]["sample"] if record["survey"] else []
            yield from (int(Path(image["file"]).stem) for image in (*record["images"], *sample))
