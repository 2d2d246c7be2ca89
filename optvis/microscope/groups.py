"""One group of channels: drawn, asked, and written; its numbers last, which say that it is finished."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.data.files import atomic_write
from optvis.features.receptive_field import ReceptiveFields
from optvis.microscope.effects import Sample, effects
from optvis.microscope.numbers import classes, photographs, sampled
from optvis.microscope.output_dir import store, stored
from optvis.microscope.plan import Plan
from optvis.microscope.renderings import Pictures, pictures
from optvis.microscope.top_activations import Excited
from optvis.viz.sheet import to_pil_image

THUMBNAIL = 96  # pixels a side
QUALITY = 85  # of WebP, 0 to 100


@dataclass(frozen=True, eq=False)
class Bench:
    """What all groups of a layer need.

    Args:
        plan: of the microscope.
        layer: name.
        folder: of the layer.
        excited: the photographs that excite each channel.
        fields: receptive fields.
        sample: photographs on which channels are switched off.
    """

    plan: Plan
    layer: str
    folder: Path
    excited: Excited
    fields: ReceptiveFields
    sample: Sample

    def make(self, channels: Sequence[int]) -> None:
        """Draw, ask and write a group."""
        drawn = pictures(self.plan.classifier, self.layer, channels, self.plan.drawing)
        for place, channel in enumerate(channels):
            atomic_write(self.folder / picture_name(channel), webp(side_by_side(drawn.of(place))))
        atomic_write(self.folder / sprite_name(channels), webp(thumbnails(drawn)))
        told = [self.told(channel) for channel in channels]
        store(self.folder / numbers_name(channels), {"channels": told})

    def told(self, channel: int) -> dict[str, Any]:
        """All that a channel's page says."""
        plan, found = self.plan, self.excited.of(channel)
        effect = None
        if found:
            images = plan.album.load([photo for photo, *_ in found], plan.classifier.load_batch)
            effect = effects(plan.classifier, images, self.layer, channel, plan.drawing.channel_axis)
        labels = plan.classifier.labels
        after = self.sample.without(channel, plan.drawing.channel_axis)
        return {
            "channel": channel,
            "photographs": photographs(self.excited, channel, plan.album.names, self.fields, effect, labels),
            "changed": 0 if effect is None else effect.changed,
            "classes": [] if effect is None else classes(effect, labels),
            "sample": sampled(self.sample.before, after, labels),
        }


def finished(folder: Path, channels: Sequence[int]) -> Mapping[str, Any] | None:
    """A group's numbers, where it is all there."""
    names = [sprite_name(channels), *(picture_name(channel) for channel in channels)]
    told = stored(folder / numbers_name(channels))
    is_whole = isinstance(told, dict) and all((folder / name).is_file() for name in names)
    return told if is_whole else None


def picture_name(channel: int) -> str:
    """The file of a channel's six pictures."""
    return f"{channel}.webp"


def sprite_name(channels: Sequence[int]) -> str:
    """The file of a group's thumbnails.

    >>> sprite_name([8, 9, 15])
    'group-8-15.webp'
    """
    return f"group-{channels[0]}-{channels[-1]}.webp"


def numbers_name(channels: Sequence[int]) -> str:
    """The file of a group's numbers."""
    return f"group-{channels[0]}-{channels[-1]}.json"


def side_by_side(images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (3, H, N · W)"""
    return images.permute(1, 2, 0, 3).flatten(2)


def thumbnails(drawn: Pictures) -> Tensor:
    """All positives of a group in a row, and all negatives below, (3, 2 · s, K · s)."""
    rows = [_small(images) for images in (drawn.positive, drawn.negative)]
    return torch.cat([side_by_side(row) for row in rows], dim=1)


def webp(image: Tensor) -> bytes:
    """(3, H, W) in [0, 1] as a WebP file."""
    data = io.BytesIO()
    to_pil_image(image).save(data, "WEBP", quality=QUALITY)
    return data.getvalue()


def _small(images: Tensor) -> Tensor:
    if images.shape[-1] <= THUMBNAIL:
        return images
    resized = F.interpolate(images.float(), (THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True)
    return resized.clamp(0, 1)
