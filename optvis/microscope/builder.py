"""microscope(): a static site with a page for each channel, made in groups, which a stopped run goes on with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from optvis.data.dataset import as_dataset
from optvis.data.files import atomic_write, ensure_dir
from optvis.features.receptive_field import receptive_fields
from optvis.microscope.effects import Sample, check_logits
from optvis.microscope.groups import Bench, finished, webp
from optvis.microscope.numbers import photo_name
from optvis.microscope.output_dir import claimed, store, stored
from optvis.microscope.pages import PHOTOS, SITE, write_site
from optvis.microscope.plan import Plan, wanted_channels
from optvis.microscope.renderings import Drawing
from optvis.microscope.top_activations import Excited, excited, from_told
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.progress import progress_bar

STEPS = 32
LARGEST = 128  # pixels a side, where the network's own input is larger
EXCITED = "excited.json"


def microscope(
    model: nn.Module | Classifier,
    layers: str | Sequence[str],
    images: Any,
    path: str | Path,
    *,
    channels: Iterable[int] | None = None,
    size: int | None = None,
    steps: int = STEPS,
    group: int = 8,
    top: int = 9,
    sample: int = 64,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Path:
    """Write a static site of layers: a sheet of all channels, and a page for each of them.

    A channel's page shows what it is for, what it is against, four diverse pictures (Olah et al., "Feature
    Visualization", Distill 2017, doi:10.23915/distill.00007), the photographs that excite it most with the patch that
    it saw, the classes that it serves, and what the answers lose without it. Channels are made in fixed groups. A run
    that was stopped goes on, when it is started again, with the first group that is not finished, and ends with the
    same files.

    Args:
        model: a network whose output is a score per class, or a Classifier.
        layers: one name, or several, as in `layers(net)`.
        images: photographs in any form that `as_dataset` takes; they are read a batch at a time.
        path: of the folder; made if need be.
        channels: of each layer; all by default.
        size: side of the pictures in pixels; 128 by default, or the network's own where that is less.
        steps: updates of each picture.
        group: channels that are made together; part of the recipe.
        top: photographs of each channel.
        sample: photographs, evenly spread, on which every channel is switched off.
        seed: of noise and transforms; the diverse pictures have the four next.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
        progress: show a progress bar.

    Returns:
        The path of the page to begin with.

    Raises:
        FileExistsError: the folder holds files of another's, or a microscope by another recipe.
        KeyError, TypeError, IndexError, ValueError: layers, channels or numbers that do not fit the network.
        KeyboardInterrupt: after Ctrl-C; what is finished can be looked at.

    Example:
        >>> import tempfile
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = microscope(load(), "mixed4", Scenes(4), folder, channels=[17], size=32, steps=2, progress=False)
        ...     page.name, (page.parent / "layer-mixed4" / "17.html").exists()
        ('index.html', True)
    """
    classifier = as_classifier(model, normalize)
    side = min(LARGEST, *classifier.size) if size is None else size
    names = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
    wanted = wanted_channels(classifier, names, channels, channel_axis)
    drawing = Drawing(side, steps, seed, channel_axis)
    plan = Plan(classifier, as_dataset(images), wanted, drawing, group, top, sample)
    recipe = plan.recipe()
    folder = claimed(path, recipe, [*SITE, *plan.folders.values()])
    try:
        _made(plan, folder, progress)
    except KeyboardInterrupt:
        write_site(plan, folder, recipe)
        raise
    write_site(plan, folder, recipe)
    return folder / SITE[0]


def _made(plan: Plan, folder: Path, progress: bool) -> None:
    total = sum(len(plan.groups(layer)) for layer in plan.channels)
    with progress_bar(total=total, show=progress, unit="group", description="microscope") as bar:
        found = _excited(plan, folder)
        for layer, name in plan.folders.items():
            missing = [group for group in plan.groups(layer) if finished(folder / name, group) is None]
            bar.update(len(plan.groups(layer)) - len(missing))
            if missing:
                bench = _bench(plan, layer, folder / name, found[layer])
                for group in missing:
                    bench.make(group)
                    bar.update()


def _excited(plan: Plan, folder: Path) -> Mapping[str, Excited]:
    """The photographs that excite each channel, and small copies of them: read, or found and written."""
    files = {layer: ensure_dir(folder / name) / EXCITED for layer, name in plan.folders.items()}
    told = {layer: stored(file) for layer, file in files.items()}
    if any(one is None for one in told.values()):
        axis = plan.drawing.channel_axis
        found = excited(plan.classifier, plan.album, list(plan.channels), plan.top, axis)
        _write_photographs(plan, ensure_dir(folder / PHOTOS), found)
        for layer, file in files.items():
            store(file, found[layer].told())
        return found
    return {layer: from_told(one) for layer, one in told.items()}


def _write_photographs(plan: Plan, folder: Path, found: Mapping[str, Excited]) -> None:
    rows = [found[layer].of(channel) for layer, wanted in plan.channels.items() for channel in wanted]
    for photo in sorted({photo for row in rows for photo, *_ in row}):
        image = plan.album.load([photo], plan.classifier.load_batch)[0]
        atomic_write(folder / photo_name(photo), webp(image))


def _bench(plan: Plan, layer: str, folder: Path, found: Excited) -> Bench:
    classifier, axis = plan.classifier, plan.drawing.channel_axis
    fields = receptive_fields(classifier, layer, channel_axis=axis)
    images = torch.cat([some for _, some in plan.album.subset(plan.sampled()).batches(classifier.load_batch)])
    with borrow(classifier.network):
        sample = Sample(classifier, images, layer)
    check_logits(sample.before)
    return Bench(plan, layer, folder, found, fields, sample)


__all__ = ["STEPS", "microscope"]
