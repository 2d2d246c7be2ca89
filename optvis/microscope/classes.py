"""A group of classes at a layer: rank channels by their attribution, and measure what switching each off costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import CachedNetwork
from optvis.data.files import encode_json, read_json_or_none
from optvis.features.peaks import ChannelImages
from optvis.microscope.channel_data import MIN_SHARE, round_number
from optvis.microscope.effects import attribute_classes, split_batches
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.records import is_class_group
from optvis.models.borrow import borrow
from optvis.objectives.layout import channels_first, pick, positions, restore_layout


@dataclass(frozen=True, eq=False)
class ClassBuilder:
    """Builds the groups of classes at a layer.

    Args:
        plan: of the microscope.
        layer: name.
        top: the images with the largest margin of each class.
    """

    plan: MicroscopePlan
    layer: str
    top: ChannelImages

    def build(self, classes: Sequence[int]) -> dict[str, bytes]:
        """Rank and measure the channels for each class of a group; return the group's one file by its name."""
        classifier = self.plan.classifier
        chosen = [(at, index) for at, k in enumerate(classes) for index, *_ in self.top.of_channel(k)]
        distinct = list(dict.fromkeys(index for _, index in chosen))
        readable = dict(self.plan.dataset.each_readable(distinct, classifier.load_batch))
        images = {distinct[place]: image for place, image in readable.items()}
        rows = [(at, index) for at, index in chosen if index in images]
        owners = torch.tensor([at for at, _ in rows], dtype=torch.long, device="cpu")
        counts = [int((owners == at).sum()) for at in range(len(classes))]
        channels: list[list[dict[str, Any]]] = [[] for _ in classes]
        if rows:
            batches = split_batches(classifier, torch.cat([images[index] for _, index in rows]), self.layer)
            channels = self._rank_and_measure(batches, owners, torch.tensor(classes, device="cpu"))
        found = [
            {"index": k, "images": count, "channels": rows if count else []}
            for k, count, rows in zip(classes, counts, channels, strict=True)
        ]
        return {class_group_file(classes): encode_json({"classes": found})}

    def _rank_and_measure(
        self, batches: Sequence[CachedNetwork], owners: Tensor, classes: Tensor
    ) -> list[list[dict[str, Any]]]:
        """The channels of each class; `owners` has the place of each image's class among the classes."""
        own = classes[owners]
        attribution = self._attribute(batches, own)
        means = torch.stack([attribution[owners == at].mean(0) for at in range(len(classes))])
        best = torch.stack([self._rank(mean) for mean in means])
        least = MIN_SHARE * means.gather(1, best).abs().amax(1)
        found: list[list[dict[str, Any]]] = [[] for _ in classes]
        for channels in best.T:
            costs = self._measure_costs(batches, own, channels[owners])
            for at, channel in enumerate(channels.tolist()):
                if abs(means[at, channel]) > least[at]:
                    found[at].append(_describe(channel, float(means[at, channel]), costs[owners == at]))
        return found

    def _measure_costs(self, batches: Sequence[CachedNetwork], own: Tensor, channels: Tensor) -> Tensor:
        """Of each image without a channel of its own: drop of the logit and of the probability, changes, (B, 3)."""
        head, before = batches[0].head, torch.cat([batch.before.float().cpu() for batch in batches])
        after = self._logits_without(batches, channels)
        changes = before.argmax(1) != after.argmax(1)
        pairs = (before, after), (head.confidences(before), head.confidences(after))
        return torch.stack([*(pick(one, own) - pick(other, own) for one, other in pairs), changes.float()], dim=1)

    def _attribute(self, batches: Sequence[CachedNetwork], own: Tensor) -> Tensor:
        """The attribution of each channel to the class of each image, (B, C)."""
        parts = torch.split(own, len(batches[0].before))
        found = [attribute_classes(batch, part) for batch, part in zip(batches, parts, strict=True)]
        axis = self.plan.renderer.channel_axis
        return torch.cat([positions(one, axis).sum(2).float().cpu() for one in found])

    def _rank(self, attribution: Tensor) -> Tensor:
        """The strongest of the layer's channels that have pages, from the most positive to the most negative."""
        listed = torch.tensor(self.plan.channels[self.layer], device="cpu")
        values = attribution[listed]
        count = min(self.plan.options.class_channels, len(listed))
        strongest = values.abs().argsort(descending=True, stable=True)[:count]
        order = values[strongest].argsort(descending=True, stable=True)
        return listed[strongest[order]]

    def _logits_without(self, batches: Sequence[CachedNetwork], channels: Tensor) -> Tensor:
        """The logits of all images, each without a channel of its own, (B, classes)."""
        parts = torch.split(channels, len(batches[0].before))
        found = []
        with borrow(self.plan.classifier.network), torch.no_grad():
            for batch, part in zip(batches, parts, strict=True):
                change = partial(switch_off, part, self.plan.renderer.channel_axis)
                found.append(batch.logits({self.layer: change}).float().cpu())
        return torch.cat(found)


def _describe(channel: int, attribution: float, costs: Tensor) -> dict[str, Any]:
    """What a `ClassChannel` holds, in JSON types."""
    logit_drop, probability_drop, _ = costs.mean(0).tolist()
    numbers = {"attribution": attribution, "logit_drop": logit_drop, "probability_drop": probability_drop}
    changes = int(costs[:, 2].sum())
    return {"channel": channel, **{name: round_number(value) for name, value in numbers.items()}} | {
        "prediction_changes": changes
    }


def switch_off(channels: Tensor, channel_axis: int | None, a: Tensor) -> Tensor:
    """A layer's activations without a channel of each image, whose numbers are (B,)."""
    values = channels_first(a, channel_axis).clone()
    values[torch.arange(len(values), device=a.device), channels.to(a.device)] = 0
    return restore_layout(values, a, channel_axis)


def read_class_group(folder: Path, classes: Sequence[int]) -> Mapping[str, Any] | None:
    """Read the numbers of a group of classes; None if the file is missing or damaged."""
    numbers = read_json_or_none(folder / class_group_file(classes))
    return numbers if is_class_group(numbers, classes) else None


def class_group_file(classes: Sequence[int]) -> str:
    """The file of a group of classes.

    >>> class_group_file([8, 9, 15])
    'classes-8-15.json'
    """
    return f"classes-{classes[0]}-{classes[-1]}.json"
