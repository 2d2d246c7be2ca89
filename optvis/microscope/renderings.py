"""Six renderings of each channel: a positive one, a negative one, and four diverse ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from optvis.arguments import TensorFields, check_minimum
from optvis.features.feature_network import channel_objective
from optvis.interrupts import ignore_warnings
from optvis.models.classifier import Classifier
from optvis.models.overrides.relu import open_relu
from optvis.objectives import After, Objective, diversity
from optvis.rendering.recipes import SLOW_ADAM, VIEW_SHARE, WHOLE_VIEW
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.transforms import Stages, natural_crops

OPTIMIZER = partial(SLOW_ADAM, lr=0.25, halving=20.0)  # "fast" for half of its steps
STEPS = 32  # updates of a rendering by default
MAX_SIZE = 128  # side of a rendering in pixels by default, where the network's input is larger
DIVERSE_COUNT = 4  # renderings of a channel that are compared with each other
DIVERSITY_WEIGHT = 0.5  # four identical images lose this share of the channel's own score
DIVERSITY_START = 9  # first step with the diversity term; until then redirected gradients wake dead channels
REDIRECT_STEPS = 8  # steps with redirected gradients; with 5, four of 64 diverse images excited nothing
#: Views without noise: few steps do not average it out. At first they have half of the pixels, as in `COARSE_TO_FINE`.
VIEWS = Stages({0: natural_crops(VIEW_SHARE, 0.0), 18: natural_crops(VIEW_SHARE, 0.0, at_least=WHOLE_VIEW)})
MEAN_STEPS = 4  # a channel's own score is the mean over so many last steps


@dataclass(frozen=True, eq=False)
class ChannelRenderings(TensorFields):
    """Renderings of K channels.

    Args:
        positive: maximise each channel, (K, 3, H, W) in [0, 1].
        negative: minimise each channel, (K, 3, H, W).
        diverse: four different images that maximise each channel, (K, 4, 3, H, W).
        scores: of each channel in its positive rendering, the mean over the last steps, (K,); 0 without steps.
    """

    TENSOR_FIELDS: ClassVar = {"positive": "K C H W", "negative": "K C H W", "diverse": "K 4 C H W", "scores": "K"}

    positive: Tensor
    negative: Tensor
    diverse: Tensor
    scores: Tensor

    def views(self, index: int) -> Tensor:
        """All six of one channel by its index among the K, (6, 3, H, W)."""
        return torch.stack([self.positive[index], self.negative[index], *self.diverse[index]])


@dataclass(frozen=True)
class ChannelRenderer:
    """Renders channels of a layer.

    Args:
        size: side of a rendering in pixels.
        steps: updates of each.
        seed: of noise and transforms; the four diverse renderings use the next four seeds.
        channel_axis: axis of the channels in a layer's output; by default the second, or the last of three.

    Raises:
        ValueError: a size below 1, or negative steps.
    """

    size: int
    steps: int
    seed: int = 0
    channel_axis: int | None = None

    def __post_init__(self) -> None:
        check_minimum(1, size=self.size)
        check_minimum(0, steps=self.steps)

    def render(self, classifier: Classifier, layer: str, channels: Sequence[int]) -> ChannelRenderings:
        """Render six images of each channel, all channels in one batch.

        A channel behind a ReLU cannot fall below zero. Its negative is rendered with gradients that pass through the
        ReLU, so that the image minimises the ReLU's input. From the ninth step on, the diverse renderings lose half of
        the channel's own score times their mean similarity; see `diversity`.

        Args:
            classifier: the network.
            layer: name as in `layers(net)`.
            channels: K of them.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
        """
        objective = channel_objective(classifier, layer, channels, self.channel_axis)
        positive = self._render(classifier, objective, self.seed, REDIRECT_STEPS)
        different = diverse_objective(classifier, layer, channels, positive.scores, self.channel_axis)
        # The positive images have said which channels are never excited; a score below an opened ReLU stays 0.
        with ignore_warnings(UserWarning, r".*had the same score at all"):
            with open_relu():
                negative = self._render(classifier, -1.0 * objective, self.seed, 0)
            diverse = self._render(classifier, different, self.seed + 1, REDIRECT_STEPS)
        groups = diverse.images.reshape(-1, DIVERSE_COUNT, *diverse.images.shape[1:])
        last = positive.scores[-MEAN_STEPS:]
        scores = last.double().mean(0) if len(last) else torch.zeros(len(channels), dtype=torch.float64, device="cpu")
        return ChannelRenderings(positive.images, negative.images, groups, scores.float().cpu())

    def _render(self, classifier: Classifier, objective: Objective, seed: int, redirect_steps: int) -> Rendering:
        options: dict[str, Any] = {"steps": self.steps, "seed": seed, "redirect_steps": redirect_steps}
        options |= {"recipe": "fast", "transform": VIEWS, "optimizer": OPTIMIZER, "size": self.size, "progress": False}
        rendering = render(classifier, objective, **options)
        if not rendering.complete:  # an incomplete rendering is of no use here
            raise KeyboardInterrupt
        return rendering


def resolve_size(classifier: Classifier, size: int | None) -> int:
    """The side of a rendering in pixels, where it is given; else the network's own, 128 at most."""
    return min(MAX_SIZE, *classifier.size) if size is None else size


def diverse_objective(
    classifier: Classifier, layer: str, channels: Sequence[int], scores: Tensor, channel_axis: int | None
) -> Objective:
    """Build the objective of four diverse images of each channel.

    Args:
        classifier: the network.
        layer: name as in `layers(net)`.
        channels: K of them.
        scores: of their positive renderings, (T, K).
        channel_axis: axis of the channels in the layer's output.

    Returns:
        An objective for 4 K images, those of a channel one after the other.
    """
    own = scores[-MEAN_STEPS:].abs().double().mean(0) if len(scores) else scores.new_ones(len(channels))
    weight = (DIVERSITY_WEIGHT / (DIVERSE_COUNT - 1) * own).repeat_interleave(DIVERSE_COUNT)
    repeated = [number for number in channels for _ in range(DIVERSE_COUNT)]
    each = channel_objective(classifier, layer, repeated, channel_axis)
    similarity = diversity(layer, group_size=DIVERSE_COUNT, channel_axis=channel_axis) * After(DIVERSITY_START)
    return each - weight * similarity
