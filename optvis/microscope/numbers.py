"""What a channel's page says in words and numbers: photographs, classes, costs; in JSON's types."""

from __future__ import annotations

from typing import Any

import torch

from optvis.features.receptive_field import ReceptiveFields
from optvis.microscope.effects import Effects
from optvis.microscope.top_activations import Excited
from optvis.models.classifier import Classifier

FOR, AGAINST = 8, 4  # classes with the largest attribution, and with the least
LEAST = 0.01  # of the largest attribution: smaller ones are left out
LOST = 4  # classes that lose most on the sample
DIGITS = 6


def photographs(
    found: Excited, channel: int, names: Any, fields: ReceptiveFields, effects: Effects | None, labels: Any
) -> list[dict[str, Any]]:
    """The photographs that excite a channel: what each is called, where it was excited, what the network answers."""
    told = []
    for row, (photo, value, y, x) in enumerate(found.of(channel)):
        answers = [] if effects is None else [int(a[row].argmax()) for a in (effects.before, effects.after)]
        told.append({
            "file": photo_name(photo),
            "name": names[photo],
            "value": rounded(value),
            "window": list(fields.window(y, x)),
            "box": list(fields.box(y, x)),
            "answers": [label_of(labels, index) for index in answers],
        })  # fmt: skip
    return told


def classes(effects: Effects, labels: Any) -> list[dict[str, Any]]:
    """The classes that a channel serves most, and those that it speaks against, with what each loses without it."""
    mean, costs = effects.attribution.mean(0), effects.costs.mean(0)
    order = mean.argsort(descending=True, stable=True).tolist()
    least = LEAST * float(mean.abs().max())
    some = [k for k in order[:FOR] if mean[k] > least] + [k for k in order[-AGAINST:] if mean[k] < -least]
    return [
        {"label": label_of(labels, k), "attribution": rounded(float(mean[k])), "cost": rounded(float(costs[k]))}
        for k in some
    ]


def sampled(before: torch.Tensor, after: torch.Tensor, labels: Any) -> dict[str, Any]:
    """What switching a channel off changes on the sample: answers, and the classes that lose most probability."""
    lost = (before.softmax(1) - after.softmax(1)).mean(0)
    most = [k for k in lost.argsort(descending=True, stable=True).tolist()[:LOST] if lost[k] > 0]
    return {
        "of": len(before),
        "changed": int((before.argmax(1) != after.argmax(1)).sum()),
        "lost": [{"label": label_of(labels, k), "share": rounded(float(lost[k]))} for k in most],
    }


def photo_name(photo: int) -> str:
    """
    >>> photo_name(17)
    '000017.webp'
    """
    return f"{photo:06d}.webp"


def label_of(labels: Any, index: int) -> str:
    return labels[index] if index < len(labels) else f"class {index}"


def network_name(classifier: Classifier) -> str:
    return classifier.name if classifier.name else "network"


def rounded(value: float) -> float:
    """
    >>> rounded(0.123456789)
    0.123457
    """
    return float(f"{value:.{DIGITS}g}")
