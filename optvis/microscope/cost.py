"""estimate_cost(): what a microscope and a survey of a network cost, from throughput that is measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from optvis.arguments import check_minimum
from optvis.data.sources import as_dataset
from optvis.features.peaks import ChannelImages
from optvis.formatting import format_count
from optvis.microscope.plan import DEFAULT_OPTIONS, MicroscopeOptions, MicroscopePlan
from optvis.microscope.renderings import STEPS, ChannelRenderer, resolve_size
from optvis.microscope.tasks import ChannelGroup, ClassGroup, GroupTask, GroupWorker
from optvis.microscope.top_activations import CLASSES, find_exemplars
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.survey.survey_channels import measure_layers, survey_channels

MEASURED_LAYERS = 3  # the first, the middle and the last of all; their mean stands for the others
MEASURED_IMAGES = 32
BYTES = 4  # of an activation in a store


@dataclass(frozen=True)
class SweepCost:
    """What a microscope and a survey cost; times are those of one worker like the one that was measured.

    Args:
        layers: how many layers.
        channels: of all layers together.
        groups: of channels.
        images: of the data set.
        seconds_per_group: to render and measure a group.
        seconds_per_image: of a survey of all layers.
        bytes_per_group: of a group's files.
        device: on which it was measured.
        threads: of torch.
        class_groups: of classes, one group at each layer counts once.
        seconds_per_class_group: to rank and measure the channels of a layer for a group of classes.

    Example:
        >>> cost = SweepCost(1, 16, 2, 100, 3600.0, 0.5, 100_000, "cpu", 1, 4, 1.5)
        >>> print(cost.table([1, 2]))
        16 channels of 1 layer in 2 groups, 4 groups of classes, 100 images; measured on cpu, 1 thread
        a group 3.6e+03 s, a group of classes 1.5 s, an image 0.5 s
        workers  microscope    survey
              1         2 h      50 s
              2      60 min      25 s
        storage: microscope 0.2 MB, survey 0.0 MB
    """

    layers: int
    channels: int
    groups: int
    images: int
    seconds_per_group: float
    seconds_per_image: float
    bytes_per_group: int
    device: str
    threads: int
    class_groups: int = 0
    seconds_per_class_group: float = 0.0

    def seconds(self, workers: int) -> tuple[float, float]:
        """Of the microscope's groups and of the survey's pass, on so many workers; a group is not divided.

        Raises:
            ValueError: no workers.
        """
        check_minimum(1, workers=workers)
        rounds, class_rounds = -(-self.groups // workers), -(-self.class_groups // workers)
        microscope = rounds * self.seconds_per_group + class_rounds * self.seconds_per_class_group
        return microscope, self.images * self.seconds_per_image / workers

    def table(self, workers: Sequence[int]) -> str:
        """The times on some numbers of workers, and the storage, as a text."""
        lines = [
            f"{format_count(self.channels, 'channel')} of {format_count(self.layers, 'layer')} in "
            f"{format_count(self.groups, 'group')}, {self.class_groups:,} groups of classes, "
            f"{format_count(self.images, 'image')}; measured on {self.device}, {format_count(self.threads, 'thread')}",
            f"a group {self.seconds_per_group:.3g} s, a group of classes {self.seconds_per_class_group:.3g} s, "
            f"an image {self.seconds_per_image:.3g} s",
            f"{'workers':>7}{'microscope':>12}{'survey':>10}",
            *(f"{n:>7}{_format(self.seconds(n)[0]):>12}{_format(self.seconds(n)[1]):>10}" for n in workers),
            f"storage: microscope {self.groups * self.bytes_per_group / 1e6:,.1f} MB, "
            f"survey {self.images * self.channels * BYTES / 1e6:,.1f} MB",
        ]
        return "\n".join(lines)


@plain_mode()
def estimate_cost(
    model: nn.Module | Classifier,
    layers: str | Sequence[str] | None = None,
    *,
    images: int,
    size: int | None = None,
    steps: int = STEPS,
    options: MicroscopeOptions = DEFAULT_OPTIONS,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
) -> SweepCost:
    """Measure a group of each of three layers and a survey of some images of noise, and extrapolate.

    Args:
        model: a network, or a Classifier, on the device to estimate for.
        layers: names as in `layers(net)`; all by default.
        images: how many the data set has.
        size, steps, options: as in `build_microscope`.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.

    Raises:
        ValueError: no images; otherwise as in `build_microscope`.
    """
    check_minimum(1, images=images)
    classifier = as_classifier(model, normalize)
    counts = {layer: shape[0] for layer, shape in measure_layers(classifier, layers, channel_axis).items()}
    noise = _draw_noise(classifier)
    channels = {layer: list(range(counts[layer])) for layer in _choose_layers(list(counts))}
    renderer = ChannelRenderer(resolve_size(classifier, size), steps, 0, channel_axis)
    own = replace(options, survey=None)  # which would be of other images
    plan = MicroscopePlan(classifier, as_dataset(noise), channels, renderer, own)
    top = find_exemplars(classifier, plan.dataset, list(channels), plan.choice) | _place_classes(plan)
    class_groups = plan.divide(range(min(plan.class_count, images)))
    seconds, sizes, class_seconds = [], [], list[float]()
    for layer in channels:
        worker, task = GroupWorker(plan, top), ChannelGroup(layer, plan.groups(layer)[0])
        sizes.append(sum(map(len, worker(task).values())))  # what the groups of a layer share is computed with it
        seconds.append(_time(worker, task))
        class_seconds += [_time(worker, ClassGroup(layer, group)) for group in class_groups[:1]]
    return SweepCost(
        layers=len(counts),
        channels=sum(counts.values()),
        groups=sum(-(-count // options.group_size) for count in counts.values()),
        images=images,
        seconds_per_group=sum(seconds) / len(seconds),
        seconds_per_image=_time_survey(classifier, noise, list(counts), channel_axis) / len(noise),
        bytes_per_group=sum(sizes) // len(sizes),
        device=str(classifier.device),
        threads=torch.get_num_threads(),
        class_groups=len(counts) * len(class_groups),
        seconds_per_class_group=sum(class_seconds) / max(1, len(class_seconds)),
    )


def _draw_noise(classifier: Classifier) -> Tensor:
    """Images of noise, (32, C, H, W) in [0, 1]."""
    shape = (MEASURED_IMAGES, classifier.channels, *classifier.size)
    return torch.rand(shape, generator=torch.Generator("cpu").manual_seed(0), dtype=torch.float32, device="cpu")


def _choose_layers(names: Sequence[str]) -> list[str]:
    """The first, the middle and the last, each once."""
    places = (place * (len(names) - 1) // (MEASURED_LAYERS - 1) for place in range(MEASURED_LAYERS))
    return [names[place] for place in dict.fromkeys(places)]


def _place_classes(plan: MicroscopePlan) -> dict[str, ChannelImages]:
    """The images of classes, as if each class were predicted for some of the images; none without classes."""
    if not plan.class_count:
        return {}
    count = min(plan.options.class_images, len(plan.dataset))
    indices = torch.arange(plan.class_count * count, device="cpu").view(-1, count) % len(plan.dataset)
    values = torch.ones(indices.shape, dtype=torch.float32, device="cpu")
    return {CLASSES: ChannelImages(values, indices, indices.new_zeros(*indices.shape, 2))}


def _time(worker: GroupWorker, task: GroupTask) -> float:
    """The seconds of a task."""
    start = time.perf_counter()
    worker(task)
    return time.perf_counter() - start


def _time_survey(classifier: Classifier, noise: Tensor, names: Sequence[str], channel_axis: int | None) -> float:
    """The seconds of a survey, the second time."""
    seconds = 0.0
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            survey_channels(classifier, noise, names, folder, channel_axis=channel_axis, progress=False)
            seconds = time.perf_counter() - start
    return seconds


def _format(seconds: float) -> str:
    """A time in a unit that fits.

    >>> _format(90), _format(600), _format(7200), _format(400_000)
    ('90 s', '10 min', '2 h', '4.6 days')
    """
    for limit, length, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 86_400:.2g} days"
