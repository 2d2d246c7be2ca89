"""survey_channels(): one pass over the images that records when each channel is active; it resumes if stopped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from optvis.arguments import check_minimum
from optvis.data.dataset import ImageDataset
from optvis.data.sources import as_dataset
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, resolve_engine, run_tasks
from optvis.errors import warn_user
from optvis.features.peaks import find_peaks
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.classify import find_class
from optvis.models.infer import as_classifier
from optvis.models.layers import layers as list_layers
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import digest_images, digest_weights, provenance
from optvis.progress import progress_bar
from optvis.survey.recorder import Recorder
from optvis.survey.result import Survey
from optvis.survey.store import Manifest, Store, digest_recipe

Shard = tuple[dict[str, Tensor], list[str]]  # its tensors, and what was wrong with images that cannot be read

SHARD_SIZE = 256  # images of a shard at most, if a batch has no more
PIXELS, MAX_BATCH = 2**19, 32  # of a batch at most: activations are read while they are in the processor's cache
TOP, SAMPLE_SIZE = 16, 64


@plain_mode()
def survey_channels(
    model: nn.Module | Classifier,
    images: Any,
    layers: str | Sequence[str] | None,
    output_dir: str | Path,
    *,
    target: int | str | None = None,
    top: int = TOP,
    sample_size: int = SAMPLE_SIZE,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    batch_size: int | None = None,
    engine: EngineLike = PROCESS,
    progress: bool = True,
) -> Survey:
    """Record the largest activation of each channel of some layers in each image, in one pass over the images.

    With a `target`, the attribution of each channel to the logit of this class is recorded instead: activation times
    gradient, summed over positions in float64. Its position is the one with the largest attribution.

    The store that it writes gives, for each channel, the images that activate it most, images spread over the range of
    its activations, quantiles, and means by class; see `Survey`. In memory are some shards and the strongest images, so
    that the data set may be of any size. Run a stopped call again: it resumes after the last complete shard, and ends
    with the same files.

    Args:
        model: a network, or a Classifier.
        images: in any form that `optvis.data.as_dataset` takes; the classes are those of its rows.
        layers: one name, or several, as `layers(net)` lists them; None for all whose output is a tensor of reals.
        output_dir: the folder of the store; created if needed.
        target: a class, by index or label, to whose logit channels are attributed; by default activations are recorded.
        top: how many of the strongest images of each channel are kept.
        sample_size: images, evenly spaced in the data set, from which a stratified sample of each channel is taken.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
        batch_size: images that go through the network together; by default a power of two up to 32.
        engine: what runs the network, see `optvis.engines.run_tasks`; a task is a shard, and the files are the same.
        progress: whether to show a progress bar.

    Raises:
        FileExistsError: the folder holds a store of another recipe, or other files.
        KeyError, TypeError: a layer that does not exist, or whose output is no tensor of real numbers.
        KeyError, IndexError: a class that does not exist.
        ValueError: no layers, no image that can be read, numbers below 1; NotFiniteError: NaN or infinite activations.

    Example:
        >>> import tempfile
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     survey = survey_channels(load(), Scenes(8), ["mixed4", "mixed5"], folder, top=3, progress=False)
        ...     survey, survey.top("mixed5").values.shape, survey.quantiles("mixed4", [0.5]).shape
        (Survey(2 layers, 320 channels, 8 of 8 images), torch.Size([192, 3]), torch.Size([128, 1]))
    """
    classifier, dataset = as_classifier(model, normalize), as_dataset(images).outside(output_dir)
    batch_size = choose_batch_size(classifier) if batch_size is None else batch_size
    numbers = {"top": top, "sample_size": sample_size, "batch_size": batch_size}
    check_minimum(1, **numbers)
    shard_size = batch_size * max(1, SHARD_SIZE // batch_size)
    shapes = measure_layers(classifier, layers, channel_axis)
    index = None if target is None else find_class(classifier, target, "target")
    recipe = provenance(
        classifier,
        "survey_channels",
        weights=digest_weights(classifier),
        images=len(dataset),
        dataset=digest_images(dataset, classifier),
        layers=list(shapes),
        channel_axis=channel_axis,
        target=index,
        shard_size=shard_size,
        **numbers,
    )
    store = Store.create(output_dir, Manifest(digest_recipe(recipe), recipe, shapes, len(dataset)))
    sample = [n * len(dataset) // min(sample_size, len(dataset)) for n in range(min(sample_size, len(dataset)))]
    channels = {layer: shape[0] for layer, shape in shapes.items()}
    create = partial(Recorder, classifier, channels, top, frozenset(sample), channel_axis, index)
    run = _ShardWorker(create, dataset, batch_size)
    _record_shards(store, run, shard_size, engine, progress)
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
        names = [row.name for row in list_layers(classifier) if row.is_per_image]
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


@dataclass(frozen=True, eq=False)
class _ShardWorker:
    """Records shards; in a worker each by itself.

    Args:
        create: makes a recorder.
        dataset: the images.
        batch_size: images that go through the network together.
    """

    create: Callable[[], Recorder]
    dataset: ImageDataset
    batch_size: int

    @plain_mode()
    def __call__(self, span: range) -> Shard:
        """The tensors of a shard, and what was wrong with each image that could not be read."""
        return self.record(self.create(), span, lambda _: None)

    def record(self, recorder: Recorder, span: range, update: Callable[[int], object]) -> Shard:
        """Record a shard with a recorder that may know earlier ones; `update` gets the number of images done."""
        failures: list[str] = []
        load = recorder.classifier.load_batch
        for indices, images in self.dataset.read_batches(span, load, self.batch_size, failures):
            recorder.add(indices, images)
            update(len(indices))
        return recorder.take_shard([self.dataset.label(index) for index in recorder.indices]), failures


def _record_shards(store: Store, worker: _ShardWorker, shard_size: int, engine: EngineLike, progress: bool) -> None:
    """Record the images after the last complete shard, or after the last before a damaged one."""
    recorder, dataset = worker.create(), worker.dataset
    first, failures = _resume(store, recorder)
    spans = dataset.ranges(shard_size, first)
    with progress_bar(total=len(dataset), show=progress, unit="img", description="survey") as bar:
        bar.update(first)
        if resolve_engine(engine) is None:
            shards: Generator[Shard, None, None] = (worker.record(recorder, span, bar.update) for span in spans)
        else:
            outcomes = run_tasks(worker, spans, engine, on_gpu=recorder.classifier.on_gpu)
            shards = _run_elsewhere(recorder, outcomes, bar.update)
        with closing(shards):  # also where one of them cannot be written
            for span, (tensors, wrong) in zip(spans, shards, strict=True):
                failures += wrong
                store.add(span.start, span.stop, tensors)
    if any(failures) or len(failures) == len(dataset):
        dataset.report_failures([text or "an image of an earlier call" for text in failures])


def _resume(store: Store, recorder: Recorder) -> tuple[int, list[str]]:
    """Give a recorder what complete shards hold; return the first image after them, and "" for each unreadable one."""
    damaged = store.remove_damaged()
    if damaged:
        warn_user(f"{damaged[0]} in {str(store.folder)!r} was damaged: it is recorded again, with all after it")
    first, failures = 0, list[str]()
    for record in store.shards():
        with store.open_shard(record) as file:
            recorder.resume(file.get_tensor("values").gather(0, file.get_tensor("top_rows").long()))
            failures += [""] * (record.stop - record.first - len(file.get_tensor("indices")))
        first = record.stop
    return first, failures


def _run_elsewhere(
    recorder: Recorder, outcomes: Generator[tuple[int, Shard], None, None], update: Callable[[int], object]
) -> Generator[Shard, None, None]:
    """The shards of workers, in order, as this process would have recorded them."""
    with closing(outcomes):  # the workers end with it
        for tensors, wrong in merge_in_order(outcomes):
            update(len(tensors["indices"]))
            yield recorder.take_over(tensors), wrong
