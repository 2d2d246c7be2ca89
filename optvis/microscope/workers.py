"""The work of a microscope as independent tasks: groups of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from optvis.features.receptive_field import receptive_fields
from optvis.microscope.effects import AblationSample
from optvis.microscope.groups import GroupBuilder
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.top_activations import TopActivations
from optvis.models.borrow import plain_mode

GroupTask = tuple[str, Sequence[int]]  # a layer, and channels of it


class GroupWorker:
    """Builds groups of any layers; what a layer's groups share is computed with the first of them.

    Args:
        plan: of the microscope.
        top: the images that activate the channels of each layer most.
    """

    def __init__(self, plan: MicroscopePlan, top: Mapping[str, TopActivations]) -> None:
        self.plan, self.top = plan, top
        self.builder: GroupBuilder | None = None

    @plain_mode()
    def __call__(self, task: GroupTask) -> dict[str, bytes]:
        """Build a group; return its files by name."""
        layer, channels = task
        if self.builder is None or self.builder.layer != layer:
            self.builder = self._prepare_layer(layer)
        return self.builder.build(channels)

    def _prepare_layer(self, layer: str) -> GroupBuilder:
        plan, classifier = self.plan, self.plan.classifier
        fields = receptive_fields(classifier, layer, channel_axis=plan.renderer.channel_axis)
        batches = plan.dataset.subset(plan.sample_indices()).batches(classifier.load_batch)
        images = torch.cat([batch for _, batch in batches])
        return GroupBuilder(plan, layer, self.top[layer], fields, AblationSample(classifier, images, layer))
