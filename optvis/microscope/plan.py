"""The plan of a microscope: layers, channels in fixed groups, options, and the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from optvis.arguments import check_minimum
from optvis.data.dataset import ImageDataset
from optvis.data.files import safe_file_name
from optvis.features.peaks import ChannelImages
from optvis.microscope.inputs import find_sources
from optvis.microscope.renderings import ChannelRenderer
from optvis.microscope.surveyed import check_survey
from optvis.microscope.top_activations import CLASSES, ExemplarChoice, list_predicted
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.classify import find_class
from optvis.models.provenance import digest_images, digest_weights, provenance
from optvis.objectives.layout import channels_first
from optvis.survey.result import Survey


@dataclass(frozen=True)
class MicroscopeOptions:
    """Sizes of a microscope's groups and samples, and which images it shows.

    Args:
        group_size: channels that are rendered together, and classes that are measured together; part of the recipe.
        top_images: images on the page of a channel.
        sample_size: images, evenly spaced in the dataset, on which every channel is switched off.
        class_images: images on the page of a class, those that are predicted as it with the largest margins; a class
            that is predicted for no image has no page. 0 for no pages of classes.
        class_channels: channels of each layer on the page of a class; each is switched off on the class's images.
        exemplar_class: label or index of a class: the images on the page of a channel are those with the largest
            attribution of the channel to it. By default they are those with the largest activation.
        survey: of this network and these images, or its folder: the images of channels and classes are read from it,
            without a pass over the images, and the page of a channel shows the whole range of its activations. It has
            all layers, `top_images` or more of each channel, and for pages of classes the output, layer "".

    Raises:
        ValueError: a number below 1, or `class_images` below 0.
    """

    group_size: int = 8
    top_images: int = 9
    sample_size: int = 64
    class_images: int = 6
    class_channels: int = 12
    exemplar_class: int | str | None = None
    survey: Survey | str | Path | None = None

    def __post_init__(self) -> None:
        check_minimum(1, group_size=self.group_size, top_images=self.top_images)
        check_minimum(1, sample_size=self.sample_size, class_channels=self.class_channels)
        check_minimum(0, class_images=self.class_images)


DEFAULT_OPTIONS = MicroscopeOptions()


@dataclass(frozen=True, eq=False)
class MicroscopePlan:
    """All that decides what the files of a microscope hold.

    Args:
        classifier: the network.
        dataset: the images.
        channels: of each layer, by its name.
        renderer: renders the channels.
        options: sizes of groups and samples.
    """

    classifier: Classifier
    dataset: ImageDataset
    channels: Mapping[str, Sequence[int]]
    renderer: ChannelRenderer
    options: MicroscopeOptions = DEFAULT_OPTIONS

    @property
    def network_name(self) -> str:
        """The name of the network on the pages."""
        return self.classifier.name if self.classifier.name else "network"

    @property
    def folders(self) -> dict[str, str]:
        """The folder of each layer, by the layer's name."""
        folders: dict[str, str] = {}
        for layer in self.channels:
            name = f"layer-{safe_file_name(layer) if layer else 'output'}"
            taken = {folder.casefold() for folder in folders.values()}
            choices = (name if n == 1 else f"{name}-{n}" for n in range(1, len(taken) + 2))
            folders[layer] = next(choice for choice in choices if choice.casefold() not in taken)
        return folders

    @cached_property
    def sources(self) -> dict[str, str | None]:
        """For each layer the last one before it that it is computed from; None where there is none."""
        return find_sources(self.classifier, list(self.channels))

    @cached_property
    def class_count(self) -> int:
        """How many classes the network has; 0 where they have no pages.

        Raises:
            ValueError: the network's output is not (B, classes).
        """
        gray = self.classifier.gray_image()
        count = self.classifier.logits(gray).shape[1]
        return count if self.options.class_images and self.classifier.read_head(gray).has_classes else 0

    @cached_property
    def attributed_class(self) -> int | None:
        """The index of the class whose attribution chooses the images; None where activations do.

        Raises:
            KeyError, IndexError: no such class.
            ValueError: the network has no classes.
        """
        label, classifier = self.options.exemplar_class, self.classifier
        if label is None:
            return None
        classifier.read_head(classifier.gray_image()).require_classes("exemplar_class")
        return find_class(classifier, label, "exemplar_class")

    @cached_property
    def digests(self) -> dict[str, Any]:
        """What the weights and the images are, in JSON types."""
        return {
            "weights": digest_weights(self.classifier),
            "images": len(self.dataset),
            "dataset": digest_images(self.dataset, self.classifier),
        }

    @cached_property
    def survey(self) -> Survey | None:
        """The survey from which the images are read; None where there is none.

        Raises:
            FileNotFoundError, ValueError: there is no such store, or it is one of another network, or of other images,
                layers or options.
        """
        given = self.options.survey
        if given is None:
            return None
        folder = given.store.folder if isinstance(given, Survey) else Path(given)
        found = Survey(folder.absolute())  # workers may have another working directory
        own = {
            **self.digests,
            "normalize": repr(self.classifier.normalize),
            "dtype": str(self.classifier.image_dtype),
            "channel_axis": self.renderer.channel_axis,
            "target": self.attributed_class,
        }
        check_survey(found, own, list(self.channels), self.choice)
        return found

    @property
    def choice(self) -> ExemplarChoice:
        """How images are chosen."""
        images, axis = self.options.class_images if self.class_count else 0, self.renderer.channel_axis
        return ExemplarChoice(self.options.top_images, images, self.attributed_class, axis)

    def groups(self, layer: str) -> list[list[int]]:
        """The channels of a layer in groups of `group_size`."""
        return self.divide(self.channels[layer])

    def class_groups(self, top: Mapping[str, ChannelImages]) -> list[list[int]]:
        """The classes that are predicted for some image, in groups of `group_size`.

        Args:
            top: the images of channels and classes.
        """
        return self.divide(list_predicted(top[CLASSES])) if CLASSES in top else []

    def divide(self, members: Sequence[int]) -> list[list[int]]:
        """Channels or classes in groups of `group_size`."""
        size = self.options.group_size
        return [list(members[start : start + size]) for start in range(0, len(members), size)]

    def sample_indices(self) -> list[int]:
        """The indices of the sample, evenly spaced in the dataset."""
        count = min(self.options.sample_size, len(self.dataset))
        return [n * len(self.dataset) // count for n in range(count)]

    def recipe(self) -> dict[str, Any]:
        """What two runs must have in common to share a folder, in JSON types."""
        return provenance(
            self.classifier,
            "build_microscope",
            **self.digests,
            channels={layer: list(channels) for layer, channels in self.channels.items()},
            **vars(self.renderer),
            **vars(self.options)
            | {"exemplar_class": self.attributed_class, "survey": self.survey and self.survey.digest},
        )


def resolve_channels(
    classifier: Classifier, layers: Sequence[str], channels: Iterable[int] | None, channel_axis: int | None
) -> dict[str, list[int]]:
    """List the channels of each layer: the given ones, or all.

    Raises:
        KeyError, TypeError: a layer does not exist, or its output is not a tensor; the message suggests another one.
        IndexError: a layer does not have one of the channels.
        ValueError: no layers or no channels.
    """
    if not layers:
        raise ValueError("no layers; name one or more, as layers(net) lists them")
    chosen = None if channels is None else sorted(set(channels))
    with borrow(classifier.network), torch.no_grad():
        pixels = classifier.preprocess(classifier.gray_image())
        activations = read_activations(classifier.network, pixels, layers)
    counts = {layer: channels_first(activations[layer], channel_axis).shape[1] for layer in layers}
    for layer, count in counts.items():
        unknown = [] if chosen is None else [channel for channel in chosen if not 0 <= channel < count]
        if unknown:
            raise IndexError(f"channel {unknown[0]} of {layer!r}, which has 0..{count - 1}")
    if chosen is not None and not chosen:
        raise ValueError("no channels; leave `channels` out for all")
    return {layer: list(range(count)) if chosen is None else chosen for layer, count in counts.items()}
