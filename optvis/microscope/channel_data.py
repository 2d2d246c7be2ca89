"""The numbers and texts of a channel's page, in JSON types: images, classes, ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from optvis.features.peaks import TopImage
from optvis.features.receptive_field import ReceptiveFields
from optvis.microscope.effects import Effects, count_changes
from optvis.models.classifier import Classifier
from optvis.models.outputs.head import Head

TOP_CLASSES, BOTTOM_CLASSES = 8, 4  # how many with the largest attribution, and with the smallest
MIN_SHARE = 0.01  # of the largest absolute attribution; classes below it are left out
TOP_INPUTS = 8  # how many channels of the previous layer
ABLATION_CLASSES = 4  # how many classes whose probability drops most on the sample
DIGITS = 6


def describe_images(
    classifier: Classifier,
    top: Sequence[TopImage],
    names: Sequence[str],
    fields: ReceptiveFields,
    effects: Effects | None,
    activations: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """Describe the images of a channel.

    Args:
        classifier: its labels name the predictions.
        top: index, value, row and column of each, as `ChannelImages.of_channel` gives them.
        names: of all images.
        fields: receptive fields of the layer.
        effects: of the channel on these images.
        activations: of the channel, where the values are attributions; by default the values are activations.

    Returns:
        For each image what an `ImageRecord` holds.
    """
    rows, has_map = [], len(fields.rows) * len(fields.columns) > 1
    for row, (index, value, y, x) in enumerate(top):
        place = (y, x) if has_map else (0, 0)
        predictions = [] if effects is None else [int(a[row].argmax()) for a in (effects.before, effects.after)]
        rows.append({
            "file": image_file(index),
            "name": names[index],
            "activation": round_number(value if activations is None else activations[row]),
            "attribution": None if activations is None else round_number(value),
            "window": list(fields.window(*place)),
            "box": list(fields.box(*place)),
            "predictions": [classifier.label(prediction) for prediction in predictions],
        })  # fmt: skip
    return rows


def describe_classes(classifier: Classifier, effects: Effects) -> list[dict[str, Any]]:
    """List the classes with the largest and the smallest mean attribution, and how much their logits drop."""
    mean, drop = effects.attribution.mean(0), effects.drop.mean(0)
    order = mean.argsort(descending=True, stable=True).tolist()
    least = MIN_SHARE * float(mean.abs().max())
    chosen = [k for k in order[:TOP_CLASSES] if mean[k] > least]
    chosen += [k for k in order[-BOTTOM_CLASSES:] if mean[k] < -least]
    numbers = {"attribution": mean, "logit_drop": drop}
    return [
        {"index": k, "label": classifier.label(k)} | {name: round_number(float(a[k])) for name, a in numbers.items()}
        for k in chosen
    ]


def describe_ablation(classifier: Classifier, head: Head, before: Tensor, after: Tensor) -> dict[str, Any]:
    """Describe what switching a channel off changes on the sample.

    Args:
        classifier: its labels name the classes.
        head: of the network; without classes there are no probabilities.
        before: logits, (B, classes).
        after: logits without the channel, (B, classes).

    Returns:
        The number of images, for how many the prediction changes, and the classes whose probability drops most.
    """
    if not head.has_classes:
        return {"images": len(before), "prediction_changes": 0, "classes": []}
    drop = (head.confidences(before) - head.confidences(after)).mean(0)
    chosen = [k for k in drop.argsort(descending=True, stable=True).tolist()[:ABLATION_CLASSES] if drop[k] > 0]
    classes = [
        {"index": k, "label": classifier.label(k), "probability_drop": round_number(float(drop[k]))} for k in chosen
    ]
    return {"images": len(before), "prediction_changes": count_changes(before, after), "classes": classes}


def describe_inputs(contributions: Tensor) -> list[dict[str, Any]]:
    """List the channels that contribute most, of either sign, strongest first.

    Args:
        contributions: of each channel, (C,).
    """
    order = contributions.abs().argsort(descending=True, stable=True).tolist()[:TOP_INPUTS]
    least = MIN_SHARE * float(contributions.abs().max())
    return [
        {"channel": k, "contribution": round_number(float(contributions[k]))}
        for k in order
        if abs(contributions[k]) > least
    ]


def image_file(index: int) -> str:
    """The file of an image.

    >>> image_file(17)
    '000017.webp'
    """
    return f"{index:06d}.webp"


def round_number(value: float) -> float:
    """Round to six significant digits.

    >>> round_number(0.123456789)
    0.123457
    """
    return float(f"{value:.{DIGITS}g}")
