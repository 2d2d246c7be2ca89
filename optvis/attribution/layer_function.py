"""One question put to the tail of a network again and again, for variations of a layer's activations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.models.tail import Tail
from optvis.objectives import Objective
from optvis.objectives.layout import channels_first, restore_layout

NUMBERS_AT_ONCE = 2**22  # activations that go through the tail together: 16 MB of float32, which caches like


@dataclass(frozen=True, eq=False)
class Inquiry:
    """A question about some images, as a function of one layer's activations.

    Args:
        tail: what comes after the layer, with its activations for B images.
        question: a score for each of them.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        rows: which of all images these are.
    """

    tail: Tail
    question: Objective
    channel_axis: int | None
    rows: slice

    @property
    def activations(self) -> Tensor:
        """The layer's, as the images gave them, (B, ...)."""
        return self.tail.activations

    @property
    def laid(self) -> Tensor:
        """The same with channels second, (B, C, ...)."""
        return channels_first(self.activations, self.channel_axis)

    def scores(self, variations: Tensor) -> Tensor:
        """The question's answers for variations of the activations, (K, B, ...) -> (K, B)."""
        with torch.no_grad():
            return self.answers(variations.flatten(0, 1)).view(variations.shape[:2])

    def gradients(self, variations: Tensor) -> Tensor:
        """Their derivatives by the activations, (K, B, ...) -> (K, B, ...).

        Raises:
            ValueError: the question does not depend on this layer.
        """
        start = variations.flatten(0, 1).detach().requires_grad_()
        with torch.enable_grad():
            answers = self.answers(start)
        (found,) = torch.autograd.grad(answers.sum(), start, allow_unused=True) if answers.requires_grad else (None,)
        if found is None:
            raise ValueError(
                f"{self.question} does not depend on layer {self.tail.layer!r}; ask about a layer behind it, or a logit"
            )
        return found.view(variations.shape)

    def parts(self, count: int) -> Iterator[Tensor]:
        """The numbers 0 … count − 1, as many at a time as variations should go through the tail together."""
        at_once = max(1, NUMBERS_AT_ONCE // max(1, self.activations.numel()))
        yield from torch.split(torch.arange(count, device=self.activations.device), at_once)

    def spread(self, weights: Tensor) -> Tensor:
        """A number for each channel, (K, B or 1, C), as something that multiplies variations, (K, B or 1, ...)."""
        spread = weights.view(*weights.shape, *[1] * (self.activations.dim() - 2)).to(self.activations.dtype)
        return torch.stack([restore_layout(one, self.activations, self.channel_axis) for one in spread])

    def spread_positions(self, weights: Tensor) -> Tensor:
        """A number for each position, (K, P), as something that multiplies variations, (K, 1, ...)."""
        spatial = self.laid.shape[2:]
        spread = weights.view(len(weights), 1, 1, *spatial).to(self.activations.dtype)
        return torch.stack([restore_layout(one, self.activations, self.channel_axis) for one in spread])

    def answers(self, activations: Tensor) -> Tensor:
        """The question's answers for K variations one after the other, (K · B, ...) -> (K · B,), differentiable."""
        question = self.question.repeat(len(activations) // len(self.activations))
        return question(self.tail.run(activations, self.question.layers))
