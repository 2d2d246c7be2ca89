"""An objective as a function of one layer's activations, evaluated through the tail of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.attribution.image_tail import ImageTail
from optvis.formatting import format_count
from optvis.models.layers import explain_no_gradient
from optvis.models.tail import Tail
from optvis.objectives import Objective
from optvis.objectives.layout import channels_first, restore_layout


@dataclass(frozen=True, eq=False)
class LayerFunction:
    """The score of some images as a function of one layer's activations; methods of attribution evaluate it.

    Variations are K versions of the layer's activations for the same B images, stacked to (K, B, ...).

    Args:
        tail: the network behind the layer, with the layer's activations for B images; the whole of it, with the images,
            for the layer "<image>".
        objective: a score for each of them.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        rows: where these images lie among all images.
        images: how many these all are.
    """

    tail: Tail | ImageTail
    objective: Objective
    channel_axis: int | None
    rows: slice
    images: int

    @property
    def activations(self) -> Tensor:
        """The layer's output for the images, (B, ...)."""
        return self.tail.activations

    @property
    def channels_first(self) -> Tensor:
        """The same with channels on the second axis, (B, C, ...)."""
        return channels_first(self.activations, self.channel_axis)

    def scores(self, variations: Tensor) -> Tensor:
        """Evaluate the objective at variations of the activations, (K, B, ...) -> (K, B)."""
        with torch.no_grad():
            return self.raw_scores(variations.flatten(0, 1)).view(variations.shape[:2])

    def gradients(self, variations: Tensor) -> Tensor:
        """Differentiate the scores by the variations, (K, B, ...) -> (K, B, ...)."""
        start = variations.flatten(0, 1).detach().requires_grad_()
        with torch.enable_grad():
            scores = self.raw_scores(start)
        (gradient,) = torch.autograd.grad(scores.sum(), start, allow_unused=True)
        if gradient is None:
            raise ValueError(self._explain_no_gradient())
        return gradient.view(variations.shape)

    def own_rows(self, values: Tensor, name: str) -> Tensor:
        """Select these images' rows of values that have one for each of all images, or one for all, (1, ...).

        Args:
            values: (images, ...) or (1, ...).
            name: what error messages call them.

        Raises:
            ValueError: another number of rows.
        """
        if len(values) not in (1, self.images):
            count = format_count(self.images, "image")
            raise ValueError(
                f"{name} of shape {tuple(values.shape)} for {count}; expected {self.images} on the first axis, or 1"
            )
        return values if len(values) == 1 else values[self.rows]

    def batches(self, count: int) -> Iterator[Tensor]:
        """Split the numbers 0 … count − 1 into batches of as many variations as fit into one pass through the tail."""
        if count:
            yield from torch.split(torch.arange(count, device=self.activations.device), self.tail.variations_per_pass)

    def expand_channels(self, weights: Tensor) -> Tensor:
        """Shape one number per channel, (K, B or 1, C), so that it multiplies variations, (K, B or 1, ...)."""
        expanded = weights.view(*weights.shape, *[1] * (self.activations.dim() - 2)).to(self.activations.dtype)
        return self.restore_layout(expanded)

    def expand_positions(self, weights: Tensor) -> Tensor:
        """Shape one number per position, (K, P), so that it multiplies variations, (K, 1, ...)."""
        spatial = self.channels_first.shape[2:]
        return self.restore_layout(weights.view(len(weights), 1, 1, *spatial).to(self.activations.dtype))

    def restore_layout(self, variations: Tensor) -> Tensor:
        """Move the channels of variations, (K, B or 1, C, ...), to the axis on which the layer has them."""
        return torch.stack([restore_layout(one, self.activations, self.channel_axis) for one in variations])

    def raw_scores(self, activations: Tensor) -> Tensor:
        """Evaluate K concatenated variations, (K · B, ...) -> (K · B,); differentiable.

        ValueError: gradients are wanted, and the objective does not depend on the layer.
        """
        objective = self.objective.repeat(len(activations) // len(self.activations))
        scores = objective(self.tail.run(activations, self.objective.layers))
        if activations.requires_grad and torch.is_grad_enabled() and not scores.requires_grad:
            raise ValueError(self._explain_no_gradient())
        return scores

    def _explain_no_gradient(self) -> str:
        reason = explain_no_gradient(self.tail.network)
        cure = reason or (
            "; name an objective of a later layer, or a logit, unless the network itself breaks the gradient, by "
            "torch.no_grad(), .detach() or rounding"
        )
        effect = "has no gradient in" if reason else "does not depend on"
        return f"{self.objective} {effect} layer {self.tail.layer!r}{cure}"


def widen(values: Tensor) -> Tensor:
    """Numbers in float32 at least, in which sums of half-precision ones lose nothing.

    >>> widen(torch.ones(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
