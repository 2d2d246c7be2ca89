"""Captum's attribution methods, asked of the tail of a network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optvis.attribution.layer_function import Inquiry


@dataclass(frozen=True, eq=False)
class FromCaptum:
    """Any of Captum's methods for inputs, with a layer's activations as the input: Shapley values, GradientShap, ….

    Captum (Kokhlikyan et al. 2020, arXiv:2009.07896) is asked about the tail as a function of the activations, so
    nothing before the layer runs again. Methods that switch features off in turn take whole channels as features.

    Args:
        maker: a class of `captum.attr` whose `attribute` takes inputs, or a function that makes one of a forward
            function.
        options: keyword arguments of its `attribute`.

    Example:
        >>> from captum.attr import ShapleyValueSampling
        >>> FromCaptum(ShapleyValueSampling, {"n_samples": 10})
        FromCaptum(ShapleyValueSampling, {'n_samples': 10})
    """

    maker: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    def values(self, inquiry: Inquiry) -> Tensor:
        """The attribution of each activation, (B, ...); of a channel's positions, where it is one feature, its mean.

        Raises:
            TypeError: the method does not take inputs alone.
        """
        method = self.maker(inquiry.answers)
        options = dict(self.options)
        takes_features = "feature_mask" in inspect.signature(method.attribute).parameters
        if takes_features and "feature_mask" not in options:
            channels = torch.arange(inquiry.laid.shape[1], device=inquiry.activations.device)
            options["feature_mask"] = inquiry.spread(channels.view(1, 1, -1)).long()[0]
        start = inquiry.activations.detach().clone().requires_grad_()
        found: Tensor = method.attribute(start, **options).detach()
        return found / self._positions(inquiry) if takes_features else found

    def _positions(self, inquiry: Inquiry) -> int:
        """How many activations share a feature's value, each of which Captum gives the whole of it."""
        return 1 if "feature_mask" in self.options else inquiry.laid[0, 0].numel()

    def __repr__(self) -> str:
        return f"FromCaptum({getattr(self.maker, '__name__', self.maker)}, {dict(self.options)!r})"


__all__ = ["FromCaptum"]
