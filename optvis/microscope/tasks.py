"""The work of a microscope as independent tasks, groups of channels and of classes, each at one layer; parts of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from optvis.features.peaks import ChannelImages
from optvis.features.receptive_field import receptive_fields
from optvis.microscope.classes import ClassBuilder, read_class_group
from optvis.microscope.effects import AblationSample
from optvis.microscope.groups import GroupBuilder, read_group
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.surveyed import SurveyedLayer
from optvis.microscope.top_activations import CLASSES
from optvis.models.borrow import plain_mode

FINISH: Literal["finish"] = "finish"

#: (3, 16) is the third of sixteen parts; "finish" is the last step, after all parts; None is the whole.
Part: TypeAlias = tuple[int, int] | Literal["finish"] | None


@dataclass(frozen=True)
class GroupTask(ABC):
    """A group to build.

    Args:
        layer: name.
        members: numbers of channels of the layer, or of classes.
    """

    layer: str
    members: Sequence[int]

    @abstractmethod
    def is_complete(self, folder: Path) -> bool:
        """Whether the files of the group are in the layer's folder."""


class ChannelGroup(GroupTask):
    """A group of a layer's channels."""

    def is_complete(self, folder: Path) -> bool:
        return read_group(folder, self.members) is not None

    def __str__(self) -> str:
        return f"channel {self.members[0]} of {self.layer!r}"


class ClassGroup(GroupTask):
    """A group of classes, for which a layer's channels are measured."""

    def is_complete(self, folder: Path) -> bool:
        return read_class_group(folder, self.members) is not None

    def __str__(self) -> str:
        return f"class {self.members[0]} of {self.layer!r}"


class GroupWorker:
    """Builds groups of any layers; what a layer's groups share is computed with the first of them.

    Args:
        plan: of the microscope.
        top: the images of each layer's channels, and of the classes.
    """

    def __init__(self, plan: MicroscopePlan, top: Mapping[str, ChannelImages]) -> None:
        self.plan, self.top = plan, top
        self.builder: GroupBuilder | None = None

    @plain_mode()
    def __call__(self, task: GroupTask) -> dict[str, bytes]:
        """Build a group; return its files by name."""
        if isinstance(task, ClassGroup):
            return ClassBuilder(self.plan, task.layer, self.top[CLASSES]).build(task.members)
        if self.builder is None or self.builder.layer != task.layer:
            self.builder = self._prepare_layer(task.layer)
        return self.builder.build(task.members)

    def _prepare_layer(self, layer: str) -> GroupBuilder:
        plan, classifier = self.plan, self.plan.classifier
        fields = receptive_fields(classifier, layer, channel_axis=plan.renderer.channel_axis)
        batches = plan.dataset.subset(plan.sample_indices()).batches(classifier.load_batch)
        images = torch.cat([batch for _, batch in batches])
        survey = None if plan.survey is None else SurveyedLayer.read(plan.survey, layer)
        return GroupBuilder(plan, layer, self.top[layer], fields, AblationSample(classifier, images, layer), survey)


def list_groups(plan: MicroscopePlan, top: Mapping[str, ChannelImages]) -> list[GroupTask]:
    """List all groups: of channels, layer by layer, and then of the classes that are predicted for some image.

    Args:
        plan: of the microscope.
        top: the images of channels and classes.
    """
    classes = plan.class_groups(top)
    channel_groups = [ChannelGroup(layer, group) for layer in plan.channels for group in plan.groups(layer)]
    return [*channel_groups, *(ClassGroup(layer, group) for layer in plan.channels for group in classes)]


def check_part(part: Part) -> None:
    """Raise ValueError for a part that does not exist."""
    if part is not None and part != FINISH and (isinstance(part, str) or not 1 <= part[0] <= part[1]):
        raise ValueError(f"part is {part!r}; expected (3, 16) for the third of sixteen, or 'finish'")


def select_part(groups: Sequence[GroupTask], part: Part) -> list[GroupTask]:
    """Select the groups of a part that exists.

    Neighbouring groups are in different parts, so that parts take about as long as each other.
    """
    return list(groups) if part is None or isinstance(part, str) else list(groups[part[0] - 1 :: part[1]])
