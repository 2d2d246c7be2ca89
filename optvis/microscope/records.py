"""The files of a microscope's numbers: what they hold, checked where an earlier run's are read again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optvis.data.schema import read_value
from optvis.viz.pages.microscope.page import ClassChannel

IMAGE_FILE = re.compile(r"\d{6,}\.webp")
Window = tuple[int, int, int, int]  # top, bottom, left, right in pixels


@dataclass(frozen=True)
class ImageRecord:
    """An image of a channel, as `describe_images` writes it.

    Args:
        file: of the image, in the folder `images`.
        name: in the dataset.
        activation: of the channel, the largest over positions, or at the position that is shown.
        attribution: of the channel to the class that chooses the images; None where activations choose them.
        window: the part that is shown: top, bottom, left, right in pixels.
        box: the whole receptive field of the position, likewise.
        predictions: labels with and without the channel; none where the network has no classes.
    """

    file: str
    name: str
    activation: float
    attribution: float | None
    window: Window
    box: Window
    predictions: tuple[str, ...]


@dataclass(frozen=True)
class ClassRecord:
    """A class and the channel's effect on it, means over the images of the page, as `describe_classes` writes it.

    Args:
        index: of the class.
        label: of the class.
        attribution: gradient × activation of the class's logit, summed over positions.
        logit_drop: how much the logit drops without the channel.
    """

    index: int
    label: str
    attribution: float
    logit_drop: float


@dataclass(frozen=True)
class AblatedClass:
    """A class whose probability drops without the channel.

    Args:
        index: of the class.
        label: of the class.
        probability_drop: the mean over the sample.
    """

    index: int
    label: str
    probability_drop: float


@dataclass(frozen=True)
class AblationRecord:
    """What changes without the channel on a sample, the same for all channels, as `describe_ablation` writes it.

    Args:
        images: of the sample.
        prediction_changes: for how many of them the prediction changes.
        classes: whose probability drops most, largest drop first.
    """

    images: int
    prediction_changes: int
    classes: tuple[AblatedClass, ...]


@dataclass(frozen=True)
class InputRecord:
    """A channel of the previous layer that a channel is made of, as `describe_inputs` writes it.

    Args:
        channel: its number.
        contribution: gradient × activation of the later channel's activation, the mean over the page's images.
    """

    channel: int
    contribution: float


@dataclass(frozen=True)
class ClassMeanRecord:
    """A class of the survey's images.

    Args:
        index: of the class, in the data set.
        label: that the network has for this index.
        mean: of the channel's activation, or attribution, over the images of the class.
        images: how many the class has.
    """

    index: int
    label: str
    mean: float
    images: int


@dataclass(frozen=True)
class SurveyRecord:
    """What a survey holds about a channel over all images: attributions if it has a target, else activations.

    Args:
        images: how many images there are.
        sample: images over the range, the strongest first.
        quantiles: levels in [0, 1], each with its activation.
        histogram: how many images are in each of equal steps from the smallest activation to the largest.
        classes: with the largest mean, largest first; none where the images have no labels.
    """

    images: int
    sample: tuple[ImageRecord, ...]
    quantiles: tuple[tuple[float, float], ...]
    histogram: tuple[int, ...]
    classes: tuple[ClassMeanRecord, ...]


@dataclass(frozen=True)
class ChannelRecord:
    """All numbers and texts of a channel's page.

    Args:
        channel: its number.
        score: of the positive rendering, the mean over the last steps; 0 without steps.
        images: with the largest values, largest first.
        prediction_changes: for how many of these the prediction changes without the channel.
        classes: with the largest and the smallest attribution, largest first.
        ablation: what changes on the sample.
        inputs: channels of the previous layer, strongest first; none where there is no previous layer.
        survey: what it says of the channel; None where there is none.
    """

    channel: int
    score: float
    images: tuple[ImageRecord, ...]
    prediction_changes: int
    classes: tuple[ClassRecord, ...]
    ablation: AblationRecord
    inputs: tuple[InputRecord, ...]
    survey: SurveyRecord | None


@dataclass(frozen=True)
class GroupRecord:
    """The file of a group."""

    channels: tuple[ChannelRecord, ...]


@dataclass(frozen=True)
class ClassChannelsRecord:
    """The channels of one layer for one class, as `ClassBuilder` writes them.

    Args:
        index: of the class.
        images: on how many images of the class the numbers were measured.
        channels: with the largest absolute attribution, from the most positive to the most negative.
    """

    index: int
    images: int
    channels: tuple[ClassChannel, ...]


@dataclass(frozen=True)
class ClassGroupRecord:
    """The file of a group of classes."""

    classes: tuple[ClassChannelsRecord, ...]


def is_group(value: Any, channels: Sequence[int]) -> bool:
    """Whether JSON holds the numbers of these channels, each of its type."""
    try:
        group: GroupRecord = read_value(GroupRecord, value)
    except ValueError:
        return False
    images = [
        image
        for record in group.channels
        for image in (*record.images, *(() if record.survey is None else record.survey.sample))
    ]
    files = [image.file for image in images]
    return [record.channel for record in group.channels] == list(channels) and all(map(IMAGE_FILE.fullmatch, files))


def is_class_group(value: Any, classes: Sequence[int]) -> bool:
    """Whether JSON holds the numbers of these classes, each of its type."""
    try:
        group: ClassGroupRecord = read_value(ClassGroupRecord, value)
    except ValueError:
        return False
    return [record.index for record in group.classes] == list(classes)
