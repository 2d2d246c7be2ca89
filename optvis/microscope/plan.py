"""What a microscope is to hold: layers, channels in fixed groups, and the recipe that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from optvis.data.dataset import ImageDataset
from optvis.data.files import safe_file_name
from optvis.microscope.renderings import Drawing
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.objectives.layout import channels_first
from optvis.version import __version__

LOOKED_AT = 8  # photographs whose pixels a recipe knows


@dataclass(frozen=True, eq=False)
class Plan:
    """All that decides what a microscope's files hold.

    Args:
        classifier: the network.
        album: photographs.
        channels: of each layer, by its name.
        drawing: how pictures are drawn.
        group: how many channels are made together.
        top: photographs of each channel.
        sample: photographs on which every channel is switched off.
    """

    classifier: Classifier
    album: ImageDataset
    channels: Mapping[str, Sequence[int]]
    drawing: Drawing
    group: int
    top: int
    sample: int

    def __post_init__(self) -> None:
        for name, least in (("group", 1), ("top", 1), ("sample", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.drawing.size < 1 or self.drawing.steps < 0:
            raise ValueError(f"size is {self.drawing.size}, steps is {self.drawing.steps}; expected 1 and 0 or more")

    @property
    def folders(self) -> dict[str, str]:
        """The folder of each layer, by the layer's name."""
        found: dict[str, str] = {}
        for layer in self.channels:
            plain = f"layer-{safe_file_name(layer) if layer else 'output'}"
            taken = {folder.casefold() for folder in found.values()}
            choices = (plain if n == 1 else f"{plain}-{n}" for n in range(1, len(taken) + 2))
            found[layer] = next(choice for choice in choices if choice.casefold() not in taken)
        return found

    def groups(self, layer: str) -> list[list[int]]:
        """The layer's channels, so many at a time."""
        wanted = list(self.channels[layer])
        return [wanted[start : start + self.group] for start in range(0, len(wanted), self.group)]

    def sampled(self) -> list[int]:
        """Places in the album, evenly spread."""
        count = min(self.sample, len(self.album))
        return [place * len(self.album) // count for place in range(count)]

    def recipe(self) -> dict[str, Any]:
        """What two runs must have in common to share a folder, in JSON's types."""
        return {
            "network": self.classifier.name,
            "weights": _digest_of_weights(self.classifier),
            "normalize": repr(self.classifier.normalize),
            "photographs": len(self.album),
            "album": _digest_of_photographs(self.album, self.classifier),
            "channels": {layer: list(wanted) for layer, wanted in self.channels.items()},
            "channel_axis": self.drawing.channel_axis,
            "size": self.drawing.size,
            "steps": self.drawing.steps,
            "seed": self.drawing.seed,
            "group": self.group,
            "top": self.top,
            "sample": self.sample,
            "optvis": __version__,
            "torch": torch.__version__,
        }


def wanted_channels(
    classifier: Classifier, layers: Sequence[str], channels: Iterable[int] | None, channel_axis: int | None
) -> dict[str, list[int]]:
    """The channels of each layer: all that it has, or those that were named.

    Raises:
        KeyError, TypeError: a layer that does not exist, or gives no tensor; a better one is named.
        IndexError: a channel that a layer does not have.
        ValueError: no layers or no channels.
    """
    if not layers:
        raise ValueError("no layers; name one or more, as layers(net) lists them")
    named = None if channels is None else sorted(set(channels))
    inputs = torch.full((1, 3, *classifier.size), 0.5, device=classifier.device)
    with borrow(classifier.network), torch.no_grad():
        found = {
            layer: read_activations(classifier.network, classifier.preprocess(inputs), [layer])[layer]
            for layer in layers
        }
    counts = {layer: channels_first(a, channel_axis).shape[1] for layer, a in found.items()}
    for layer, count in counts.items():
        wrong = [] if named is None else [channel for channel in named if not 0 <= channel < count]
        if wrong:
            raise IndexError(f"channel {wrong[0]} of {layer!r}, which has 0..{count - 1}")
    if named is not None and not named:
        raise ValueError("no channels; leave them out for all")
    return {layer: list(range(count)) if named is None else named for layer, count in counts.items()}


def _digest_of_weights(classifier: Classifier) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(classifier.network.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _digest_of_photographs(album: ImageDataset, classifier: Classifier) -> str:
    """Of all names, and of the pixels of some."""
    found = hashlib.sha256("\n".join(album.names).encode())
    for place in sorted({n * len(album) // LOOKED_AT for n in range(LOOKED_AT)}):
        try:
            found.update(album.load([place], classifier.load_batch).cpu().contiguous().numpy().tobytes())
        except (ValueError, OSError):  # batches leave it out, and say so
            found.update(b"unreadable")
    return found.hexdigest()[:16]


__all__ = ["Plan", "wanted_channels"]
