"""What a survey holds about the channels of a microscope: read from its store, in place of a pass over the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optvis.errors import suggest
from optvis.features.peaks import ChannelImages, TopImage
from optvis.microscope.channel_data import round_number
from optvis.microscope.top_activations import CLASSES, ExemplarChoice, merge_exemplars, rank_classes
from optvis.models.classifier import Classifier
from optvis.models.outputs.head import Head
from optvis.objectives import OUTPUT
from optvis.survey.result import Survey

STRATA = 8  # levels of the sample over a channel's range
LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)  # of the quantiles
BINS = 32  # steps of the histogram
TOP_CLASSES = 8  # how many with the largest mean
NO_CLASSES = "give class_images=0"
CURES: Mapping[str, str] = {  # of a recipe that differs, by its key
    "weights": "survey this network",
    "images": "give the images of the survey, or survey these",
    "dataset": "give the images of the survey, or survey these",
    "normalize": "give the network the same normalize",
    "dtype": "give the network the same dtype",
    "channel_axis": "give the same channel_axis",
    "target": "give its target as exemplar_class, or survey with this target",
}


def check_survey(survey: Survey, own: Mapping[str, Any], layers: Sequence[str], choice: ExemplarChoice) -> None:
    """Check that a survey is complete, and has what a microscope needs.

    Args:
        survey: of any network.
        own: of the microscope, what the survey's recipe must hold too.
        layers: of the microscope.
        choice: of its images.

    Raises:
        ValueError: it does not; the message says what the survey has, what was expected, and a cure.
    """
    problem = next(_find_problems(survey, own, layers, choice), None)
    if problem is not None:
        raise ValueError(f"the survey in {str(survey.store.folder)!r} {problem}")


def _find_problems(
    survey: Survey, own: Mapping[str, Any], layers: Sequence[str], choice: ExemplarChoice
) -> Iterator[str]:
    recipe, top = survey.manifest.recipe, choice.channel_images
    if not survey.complete:
        done = f"{survey.images:,} of {survey.manifest.images:,} images"
        yield f"has {done}; the same call of survey_channels continues"
    for name in own:
        if recipe.get(name) != own[name]:
            yield f"is another one: {name} is {recipe.get(name)!r} there and {own[name]!r} here; {CURES[name]}"
    for layer in layers:
        if layer not in survey.layers:
            near = suggest(layer, survey.layers, "see its .layers")
            yield f"has no layer {layer!r}; {near}; survey this layer too, or leave it out"
    if recipe["top"] < top:
        cure = f"survey with top={top}, or give top_images={recipe['top']}"
        yield f"has only the strongest {recipe['top']} images of each channel, not {top}; {cure}"
    if choice.class_images and choice.attributed_class is not None:
        yield f"has attributions, and the output chooses the images of classes; {NO_CLASSES}"
    if choice.class_images and OUTPUT not in survey.layers:
        yield f"has no layer {OUTPUT!r}, the output, to choose images of classes by; survey it too, or {NO_CLASSES}"


def select_exemplars(
    survey: Survey, layers: Sequence[str], choice: ExemplarChoice, head: Head
) -> dict[str, ChannelImages]:
    """Select the images of the pages, as `find_exemplars` finds them, from a survey that was checked.

    Args:
        survey: of the network.
        layers: of the microscope.
        choice: of its images.
        head: of the network.
    """
    found = {layer: merge_exemplars(None, survey.top(layer), choice, layer) for layer in layers}
    for indices, output in survey.each_shard(OUTPUT) if choice.class_images else ():
        ranked = rank_classes(head, output, indices.tolist())
        found[CLASSES] = merge_exemplars(found.get(CLASSES), ranked, choice, CLASSES)
    return found


@dataclass(frozen=True, eq=False)
class SurveyedLayer:
    """What a survey holds about all channels of a layer.

    Args:
        images: how many images it has.
        sample: images over the range of each channel, the weakest first.
        quantiles: at `LEVELS`, (C, levels).
        histogram: images in each of equal steps, (C, `BINS`).
        class_means: (classes, C); NaN where there is no image of the class; no rows where images have no labels.
        class_counts: images of each class, (classes,).
    """

    images: int
    sample: ChannelImages
    quantiles: Tensor
    histogram: Tensor
    class_means: Tensor
    class_counts: Tensor

    @classmethod
    def read(cls, survey: Survey, layer: str) -> SurveyedLayer:
        """Read a layer of a survey."""
        counts, quantiles = survey.histogram(layer, BINS), survey.quantiles(layer, LEVELS)
        means, class_counts = torch.empty(0, len(counts), device="cpu"), torch.empty(0, device="cpu")
        if survey.has_labels:
            means, class_counts = survey.class_means(layer)
        return cls(int(counts[0].sum()), read_sample(survey, layer), quantiles, counts, means, class_counts)

    def describe(self, channel: int, classifier: Classifier, sample: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """What a `SurveyRecord` holds, in JSON types.

        Args:
            channel: its number.
            classifier: its labels name the classes.
            sample: of the channel, as `describe_images` describes images.
        """
        quantiles = zip(LEVELS, self.quantiles[channel].tolist(), strict=True)
        return {
            "images": self.images,
            "sample": list(sample),
            "quantiles": [[level, round_number(value)] for level, value in quantiles],
            "histogram": self.histogram[channel].tolist(),
            "classes": self._describe_classes(channel, classifier),
        }

    def _describe_classes(self, channel: int, classifier: Classifier) -> list[dict[str, Any]]:
        """The classes with the largest means, largest first; of equal ones the earlier."""
        means = self.class_means[:, channel].nan_to_num(-torch.inf)
        order = means.argsort(descending=True, stable=True).tolist()
        return [
            {
                "index": k,
                "label": classifier.label(k),
                "mean": round_number(float(means[k])),
                "images": int(self.class_counts[k]),
            }
            for k in order[:TOP_CLASSES]
            if self.class_counts[k]
        ]


def read_sample(survey: Survey, layer: str) -> ChannelImages:
    """Read the images over the range of each channel of a layer, the strongest first."""
    return ChannelImages(**{name: tensor.flip(1) for name, tensor in vars(survey.sample(layer, STRATA)).items()})


def list_sample(sample: ChannelImages, channel: int) -> list[TopImage]:
    """The images of a sample, each once: a channel that is mostly silent has the same image at several levels."""
    return list(dict.fromkeys(sample.rows(channel)))
