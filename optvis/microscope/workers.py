"""The work of a microscope as independent tasks: groups of channels, and groups of classes, each at one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from optvis.features.receptive_field import receptive_fields
from optvis.microscope.classes import ClassBuilder, read_class_group
from optvis.microscope.effects import AblationSample
from optvis.microscope.groups import GroupBuilder, read_group
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.top_activations import CLASSES, TopActivations
from optvis.models.borrow import plain_mode


@dataclass(frozen=True)
class GroupTask:
    """A group to build.

    Args:
        layer: name.
        members: numbers of channels of the layer, or of classes.
        are_classes: which of the two.
    """

    layer: str
    members: Sequence[int]
    are_classes: bool = False

    def is_complete(self, folder: Path) -> bool:
        """Whether the files of the group are in the layer's folder."""
        read = read_class_group if self.are_classes else read_group
        return read(folder, self.members) is not None

    def __str__(self) -> str:
        return f"{'class' if self.are_classes else 'channel'} {self.members[0]} of {self.layer!r}"


class GroupWorker:
    """Builds groups of any layers; what a layer's groups share is computed with the first of them.

    Args:
        plan: of the microscope.
        top: the images of each layer's channels, and of the classes.
    """

    def __init__(self, plan: MicroscopePlan, top: Mapping[str, TopActivations]) -> None:
        self.plan, self.top = plan, top
        self.builder: GroupBuilder | None = None

    @plain_mode()
    def __call__(self, task: GroupTask) -> dict[str, bytes]:
        """Build a group; return its files by name."""
        if task.are_classes:
            return ClassBuilder(self.plan, task.layer, self.top[CLASSES]).build(task.members)
        if self.builder is None or self.builder.layer != task.layer:
            self.builder = self._prepare_layer(task.layer)
        return self.builder.build(task.members)

    def _prepare_layer(self, layer: str) -> GroupBuilder:
        plan, classifier = self.plan, self.plan.classifier
        fields = receptive_fields(classifier, layer, channel_axis=plan.renderer.channel_axis)
        batches = plan.dataset.subset(plan.sample_indices()).batches(classifier.load_batch)
        images = torch.cat([batch for _, batch in batches])
        return GroupBuilder(plan, layer, self.top[layer], fields, AblationSample(classifier, images, layer))
