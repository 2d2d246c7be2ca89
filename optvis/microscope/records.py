"""The files of a microscope's numbers: what they hold, checked where an earlier run's are read again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optvis.data.schema import read_value

IMAGE_FILE = re.compile(r"\d{6,}\.webp")
Window = tuple[int, int, int, int]  # top, bottom, left, right in pixels


@dataclass(frozen=True)
class ImageRecord:
    """An image that activates a channel, as `describe_images` writes it."""

    file: str
    name: str
    activation: float
    window: Window
    box: Window
    predictions: tuple[str, ...]


@dataclass(frozen=True)
class ClassRecord:
    """A class and the channel's effect on it, as `describe_classes` writes it."""

    label: str
    attribution: float
    logit_drop: float


@dataclass(frozen=True)
class AblatedClass:
    """A class whose probability drops without the channel."""

    label: str
    probability_drop: float


@dataclass(frozen=True)
class AblationRecord:
    """What changes on the sample, as `describe_ablation` writes it."""

    images: int
    prediction_changes: int
    classes: tuple[AblatedClass, ...]


@dataclass(frozen=True)
class ChannelRecord:
    """All numbers and texts of a channel's page."""

    channel: int
    images: tuple[ImageRecord, ...]
    prediction_changes: int
    classes: tuple[ClassRecord, ...]
    ablation: AblationRecord


@dataclass(frozen=True)
class GroupRecord:
    """The file of a group."""

    channels: tuple[ChannelRecord, ...]


def is_group(value: Any, channels: Sequence[int]) -> bool:
    """Whether JSON holds the numbers of these channels, each of its type."""
    try:
        group: GroupRecord = read_value(GroupRecord, value)
    except ValueError:
        return False
    files = [image.file for record in group.channels for image in record.images]
    return [record.channel for record in group.channels] == list(channels) and all(map(IMAGE_FILE.fullmatch, files))
