"""Six pictures of each channel: what it is for, what it is against, and four different ways to excite it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.models.classifier import Classifier
from optvis.models.overrides.relu import open_relu
from optvis.objectives import After, Objective, channel, diversity
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.transforms.presets import COARSE_TO_FINE

DIVERSE = 4  # pictures that are compared with each other
APART = 0.5  # of a channel's own score: what four images lose that are all alike
FIRST_APART = 6  # the step from which they are compared; until then redirected gradients bring silent ones to life
WAKING = 5  # steps with redirected gradients, which cost more than others
LAST = 4  # steps whose mean is a channel's own score


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn.

    Args:
        size: side in pixels.
        steps: updates of each.
        seed: of their noise and transforms; the four diverse ones have the four next.
        channel_axis: axis of the channels in a layer's output; by default the second, or the last of three.
    """

    size: int
    steps: int
    seed: int
    channel_axis: int | None = None

    def drawn(self, classifier: Classifier, objective: Objective, seed: int, redirect: int) -> Rendering:
        """Pictures of an objective.

        Raises:
            KeyboardInterrupt: after Ctrl-C: what is not finished is of no use.
        """
        made = render(
            classifier,
            objective,
            size=self.size,
            steps=self.steps,
            seed=seed,
            redirect=redirect,
            transform=COARSE_TO_FINE,
            progress=False,
        )
        if made.recipe["interrupted"]:
            raise KeyboardInterrupt
        return made


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of some channels.

    Args:
        positive: what excites each most, (K, 3, H, W) in [0, 1].
        negative: what each is against, (K, 3, H, W).
        diverse: four ways to excite each, (K, 4, 3, H, W).
    """

    positive: Tensor
    negative: Tensor
    diverse: Tensor

    def of(self, place: int) -> Tensor:
        """All six of one of the channels, (6, 3, H, W)."""
        return torch.stack([self.positive[place], self.negative[place], *self.diverse[place]])


def pictures(classifier: Classifier, layer: str, channels: Sequence[int], drawing: Drawing) -> Pictures:
    """Draw six pictures of each channel; as many as this are in a batch.

    A channel behind a ReLU cannot fall below zero, so its negative is drawn with gradients that pass through it: what
    it is pushed to is the least of what goes into the ReLU. The diverse ones lose, from the sixth step on, half of the
    channel's own score times their mean likeness; see `diversity`.

    Args:
        classifier: whose network is asked.
        layer: name as in `layers(net)`.
        channels: K of them.
        drawing: how.
    """
    one = channel(layer, channels, channel_axis=drawing.channel_axis)
    positive = drawing.drawn(classifier, one, drawing.seed, WAKING)
    with open_relu():
        negative = drawing.drawn(classifier, -1.0 * one, drawing.seed, 0)
    four = diverse_question(layer, channels, positive.scores, drawing.channel_axis)
    diverse = drawing.drawn(classifier, four, drawing.seed + 1, WAKING)
    return Pictures(positive.images, negative.images, torch.stack(torch.split(diverse.images, DIVERSE)))


def diverse_question(layer: str, channels: Sequence[int], scores: Tensor, channel_axis: int | None) -> Objective:
    """What four pictures of each channel are asked.

    Args:
        layer: name as in `layers(net)`.
        channels: K of them.
        scores: of their positive pictures, (T, K).
        channel_axis: axis of the channels in the layer's output.

    Returns:
        An objective for 4 K images, those of a channel one after the other.
    """
    own = scores[-LAST:].abs().double().mean(0) if len(scores) else scores.new_ones(len(channels))
    weight = (APART / (DIVERSE - 1) * own).repeat_interleave(DIVERSE)
    each = channel(layer, [c for c in channels for _ in range(DIVERSE)], channel_axis=channel_axis)
    return each - weight * (diversity(layer, group_size=DIVERSE, channel_axis=channel_axis) * After(FIRST_APART))
