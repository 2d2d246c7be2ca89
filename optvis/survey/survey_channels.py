"""survey_channels(): one pass over the images that says of all channels when they are active; stopped, it resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from optvis.data.dataset import ImageDataset
from optvis.data.sources import as_dataset
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import layers as list_layers
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import digest_images, digest_weights, provenance
from optvis.progress import progress_bar
from optvis.survey.peaks import find_peaks
from optvis.survey.recorder import Recorder
from optvis.survey.result import Survey
from optvis.survey.store import Manifest, Store, digest_recipe

SHARD_SIZE = 256
PIXELS, MAX_BATCH = 2**19, 32  # of a batch at most: activations are read while they are in the processor's cache
TOP, SAMPLE_SIZE = 16, 64


@plain_mode()
def survey_channels(
    model: nn.Module | Classifier,
    images: Any,
    output_dir: str | Path,
    layers: str | Sequence[str] | None = None,
    *,
    top: int = TOP,
    sample_size: int = SAMPLE_SIZE,
    shard_size: int = SHARD_SIZE,
    batch_size: int | None = None,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Survey:
    """Record the largest activation of each channel of some layers in each image, in one pass over the images.

    The store that it writes gives, for each channel, the images that activate it most, images spread over the range of
    its activations, quantiles, and means by class; see `Survey`. In memory are one shard and the strongest images, so
    that the data set may be of any size. Run a stopped call again: it resumes after the last complete shard, and ends
    with the same files.

    Args:
        model: a network, or a Classifier.
        images: in any form that `optvis.data.as_dataset` takes; the classes are those of its rows.
        output_dir: the folder of the store; created if needed.
        layers: one name, or several, as `layers(net)` lists them; by default all whose output is a tensor of reals.
        top: how many of the strongest images of each channel are kept.
        sample_size: images, evenly spaced in the data set, from which a stratified sample of each channel is taken.
        shard_size: images of a shard, a multiple of the batch size.
        batch_size: images that go through the network together; by default a power of two up to 32.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
        progress: whether to show a progress bar.

    Raises:
        FileExistsError: the folder holds a store of another recipe, or other files.
        KeyError, TypeError: a layer that does not exist, or whose output is no tensor of real numbers.
        ValueError: no layers, no image that can be read, numbers below 1; NotFiniteError: NaN or infinite activations.

    Example:
        >>> import tempfile
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     survey = survey_channels(load(), Scenes(8), folder, ["mixed4", "mixed5"], top=3, progress=False)
        ...     survey, survey.top("mixed5").values.shape, survey.quantiles("mixed4", [0.5]).shape
        (Survey(2 layers, 320 channels, 8 of 8 images), torch.Size([192, 3]), torch.Size([128, 1]))
    """
    classifier, dataset = as_classifier(model, normalize), as_dataset(images)
    batch_size = choose_batch_size(classifier) if batch_size is None else batch_size
    numbers = {"top": top, "sample_size": sample_size, "batch_size": batch_size, "shard_size": shard_size}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; expected 1 or more")
    if shard_size % batch_size:
        raise ValueError(f"shard_size is {shard_size}; expected a multiple of batch_size, {batch_size}")
    shapes = measure_layers(classifier, layers, channel_axis)
    recipe = provenance(
        classifier,
        "survey_channels",
        weights=digest_weights(classifier),
        images=len(dataset),
        dataset=digest_images(dataset, classifier),
        layers=list(shapes),
        channel_axis=channel_axis,
        **numbers,
    )
    store = Store.create(output_dir, Manifest(digest_recipe(recipe), recipe, shapes, len(dataset)))
    sample = [n * len(dataset) // min(sample_size, len(dataset)) for n in range(min(sample_size, len(dataset)))]
    recorder = Recorder(classifier, {layer: shape[0] for layer, shape in shapes.items()}, top, sample, channel_axis)
    _record_shards(store, recorder, dataset, shard_size, batch_size, progress)
    return Survey(store)


def choose_batch_size(classifier: Classifier) -> int:
    """How many images go through a network together: a power of two, so that shards are whole batches."""
    fitting = max(1, PIXELS // (classifier.size[0] * classifier.size[1]))
    return min(MAX_BATCH, 1 << (fitting.bit_length() - 1))


def measure_layers(
    classifier: Classifier, layers: str | Sequence[str] | None, channel_axis: int | None
) -> dict[str, tuple[int, int, int]]:
    """Channels, rows and columns of each layer; of all that give real numbers, where none are named.

    Raises:
        KeyError, TypeError, ValueError: see `survey_channels`.
    """
    names: Sequence[str] = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers or ()))
    if layers is None:
        names = [row.name for row in list_layers(classifier) if row.is_tensor]
    with borrow(classifier.network), torch.no_grad():
        inputs = classifier.preprocess(classifier.gray_image())
        found = read_activations(classifier.network, inputs, names, any_dtype=layers is None)
    chosen = {name: a for name, a in found.items() if a.is_floating_point() and a.numel() and a.dim() > 1}
    if not chosen:
        raise ValueError("no layers; name one or more, as layers(net) lists them")
    shapes = {}
    for name, a in chosen.items():
        peaks, _, grid = find_peaks(a, channel_axis)
        shapes[name] = peaks.shape[1], *grid
    return shapes


def _record_shards(
    store: Store, recorder: Recorder, dataset: ImageDataset, shard_size: int, batch_size: int, progress: bool
) -> None:
    """Record the images after the last complete shard."""
    done, failures = store.shards(), list[str]()
    for record in done:
        with store.open_shard(record) as file:
            recorder.resume(file.get_tensor("values").gather(0, file.get_tensor("top_rows").long()))
            failures += [""] * (record.stop - record.first - len(file.get_tensor("indices")))
    first = done[-1].stop if done else 0
    with progress_bar(total=len(dataset), show=progress, unit="img", description="survey") as bar:
        bar.update(first)
        for start in range(first, len(dataset), shard_size):
            span, wrong = range(len(dataset))[start : start + shard_size], list[str]()
            for indices, images in dataset.read_batches(span, recorder.classifier.load_batch, batch_size, wrong):
                recorder.add(indices, images)
                bar.update(len(indices))
            failures += wrong
            store.add(span.start, span.stop, recorder.take_shard([dataset.label(index) for index in recorder.indices]))
    if any(failures) or len(failures) == len(dataset):
        dataset.report_failures([text or "an image of an earlier call" for text in failures])
