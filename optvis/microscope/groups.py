"""A group of channels: render it, measure it, make its files; the numbers come last and mark the group as complete."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optvis.data.files import encode_json, read_json_or_none
from optvis.data.images import resize
from optvis.features.peaks import ChannelImages, TopImage
from optvis.features.receptive_field import ReceptiveFields
from optvis.microscope.channel_data import (
    describe_ablation,
    describe_classes,
    describe_images,
    describe_inputs,
    round_number,
)
from optvis.microscope.effects import AblationSample, Effects, measure_effects
from optvis.microscope.inputs import measure_inputs
from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.records import is_group
from optvis.microscope.renderings import ChannelRenderings
from optvis.microscope.surveyed import SurveyedLayer, list_sample
from optvis.models.activations import read_channels
from optvis.viz.sheet import as_rgb, to_pil_image

THUMBNAIL_SIZE = 96  # pixels a side
QUALITY = 85  # of WebP, 0 to 100


@dataclass(frozen=True, eq=False)
class GroupBuilder:
    """Builds the groups of a layer.

    Args:
        plan: of the microscope.
        layer: name.
        top: the images that activate each channel most.
        fields: receptive fields.
        sample: images on which channels are switched off.
        survey: what a survey says of the layer; None where there is none.
    """

    plan: MicroscopePlan
    layer: str
    top: ChannelImages
    fields: ReceptiveFields
    sample: AblationSample
    survey: SurveyedLayer | None = None

    def build(self, channels: Sequence[int]) -> dict[str, bytes]:
        """Render and measure a group; return its files by name, in the order in which to write them."""
        renderings = self.plan.renderer.render(self.plan.classifier, self.layer, channels)
        files = {
            rendering_file(channel): encode_webp(concatenate(renderings.views(index)))
            for index, channel in enumerate(channels)
        }
        files[thumbnails_file(channels)] = encode_webp(draw_thumbnails(renderings))
        rows = [self.describe(*each) for each in zip(channels, renderings.scores.tolist(), strict=True)]
        files[group_file(channels)] = encode_json({"channels": rows})
        return files

    def describe(self, channel: int, score: float) -> dict[str, Any]:
        """All numbers and texts of a channel's page, in JSON types: what a `ChannelRecord` holds."""
        classifier = self.plan.classifier
        images, shown = self._load(self.top.of_channel(channel))
        effects = self._effects(channel, images)
        after = self.sample.logits_without(channel, self.plan.renderer.channel_axis)
        return {
            "channel": channel,
            "score": round_number(score),
            "images": self._describe_images(channel, images, shown, effects),
            "prediction_changes": 0 if effects is None else effects.prediction_changes,
            "classes": [] if effects is None else describe_classes(classifier, effects),
            "ablation": describe_ablation(classifier, self.sample.head, self.sample.logits, after),
            "inputs": self._inputs(channel, images, shown),
            "survey": self._describe_survey(channel),
        }

    def _load(self, chosen: Sequence[TopImage]) -> tuple[list[Tensor], list[TopImage]]:
        """The images that can be read, (1, 3, H, W) each, and which these are."""
        indices = [index for index, *_ in chosen]
        readable = dict(self.plan.dataset.each_readable(indices, self.plan.classifier.load_batch))
        return list(readable.values()), [chosen[place] for place in readable]

    def _describe_images(
        self, channel: int, images: Sequence[Tensor], shown: Sequence[TopImage], effects: Effects | None
    ) -> list[dict[str, Any]]:
        """What an `ImageRecord` holds of each image."""
        activations, names = self._activations(channel, images, shown), self.plan.dataset.names
        return describe_images(self.plan.classifier, shown, names, self.fields, effects, activations)

    def _describe_survey(self, channel: int) -> dict[str, Any] | None:
        """What a `SurveyRecord` holds; None where there is no survey."""
        if self.survey is None:
            return None
        images, shown = self._load(list_sample(self.survey.sample, channel))
        sample = self._describe_images(channel, images, shown, None)
        return self.survey.describe(channel, self.plan.classifier, sample)

    def _activations(self, channel: int, images: Sequence[Tensor], shown: Sequence[TopImage]) -> list[float] | None:
        """Of the channel at the places that are shown; None where these are the values of the images."""
        if self.plan.attributed_class is None:
            return None
        axis = self.plan.renderer.channel_axis
        maps = [read_channels(self.plan.classifier, image, self.layer, axis)[0, channel] for image in images]
        return [float(a[y, x] if a.dim() == 2 else a.max()) for a, (_, _, y, x) in zip(maps, shown, strict=True)]

    def _inputs(self, channel: int, images: Sequence[Tensor], shown: Sequence[TopImage]) -> list[dict[str, Any]]:
        """Channels of the previous layer that the channel is made of on its images."""
        source = self.plan.sources[self.layer]
        if source is None or not images:
            return []
        places = [(y, x) for _, _, y, x in shown]
        axis = self.plan.renderer.channel_axis
        batch = torch.cat([*images])
        return describe_inputs(measure_inputs(self.plan.classifier, batch, (source, self.layer), channel, places, axis))

    def _effects(self, channel: int, images: Sequence[Tensor]) -> Effects | None:
        """Of a channel on its images; None where there are none, or the network has no classes."""
        if not images or not self.sample.head.has_classes:
            return None
        return measure_effects(
            self.plan.classifier, torch.cat([*images]), self.layer, channel, self.plan.renderer.channel_axis
        )


def read_group(folder: Path, channels: Sequence[int]) -> Mapping[str, Any] | None:
    """Read the numbers of a group; None if one of its files is missing or damaged."""
    names = [thumbnails_file(channels), *(rendering_file(channel) for channel in channels)]
    numbers = read_json_or_none(folder / group_file(channels))
    is_complete = is_group(numbers, channels) and all(is_whole_webp(folder / name) for name in names)
    return numbers if is_complete else None


def rendering_file(channel: int) -> str:
    """The file of a channel's six renderings."""
    return f"{channel}.webp"


def thumbnails_file(channels: Sequence[int]) -> str:
    """The file of a group's thumbnails.

    >>> thumbnails_file([8, 9, 15])
    'group-8-15.webp'
    """
    return f"group-{channels[0]}-{channels[-1]}.webp"


def group_file(channels: Sequence[int]) -> str:
    """The file of a group's numbers."""
    return f"group-{channels[0]}-{channels[-1]}.json"


def concatenate(images: Tensor) -> Tensor:
    """Put images side by side, (N, 3, H, W) -> (3, H, N · W)."""
    return images.permute(1, 2, 0, 3).flatten(2)


def draw_thumbnails(renderings: ChannelRenderings) -> Tensor:
    """Put a group's positives in a row, and its negatives below, (3, 2 · s, K · s)."""
    rows = [_shrink(images) for images in (renderings.positive, renderings.negative)]
    return torch.cat([concatenate(row) for row in rows], dim=1)


def encode_webp(image: Tensor) -> bytes:
    """Encode an image (C, H, W) in [0, 1] as WebP."""
    data = io.BytesIO()
    to_pil_image(as_rgb(image)).save(data, "WEBP", quality=QUALITY)
    return data.getvalue()


def is_whole_webp(file: Path) -> bool:
    """Whether a WebP file is there and has the size that it states; after a power failure it may be empty."""
    try:
        with file.open("rb") as opened:
            head = opened.read(8)
        return head[:4] == b"RIFF" and 8 + int.from_bytes(head[4:], "little") == file.stat().st_size
    except OSError:
        return False


def _shrink(images: Tensor) -> Tensor:
    if images.shape[-1] <= THUMBNAIL_SIZE:
        return images
    return resize(images.float(), (THUMBNAIL_SIZE, THUMBNAIL_SIZE))
