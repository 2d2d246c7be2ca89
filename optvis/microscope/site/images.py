"""The files of the images on the pages, one for each image that activates some channel or class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from optvis.data.files import atomic_write, ensure_dir
from optvis.microscope.channel_data import image_file
from optvis.microscope.groups import encode_webp, is_whole_webp
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.site.contents import LayerContents, read_exemplars
from optvis.microscope.site.output_dir import IMAGES
from optvis.microscope.top_activations import CLASSES


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
