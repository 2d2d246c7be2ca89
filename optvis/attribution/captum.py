"""Captum's attribution methods, applied to the tail of a network."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optvis.attribution.layer_function import LayerFunction
from optvis.attribution.pixels import SIDE, square_regions
from optvis.objectives import IMAGE


@dataclass(frozen=True, eq=False)
class FromCaptum:
    """Any of Captum's methods for inputs, with a layer's activations as the input: Shapley values, GradientShap, ….

    Captum (Kokhlikyan et al. 2020, arXiv:2009.07896) attributes the tail, a function of the activations, so nothing
    before the layer runs again. Methods that ablate features take whole channels as features, and squares of 16 pixels
    where the layer is "<image>", unless the options have a `feature_mask`.

    Args:
        method: a class of `captum.attr` whose `attribute` takes inputs, or a function that builds one from a forward
            function.
        options: keyword arguments of its `attribute`.

    Example:
        >>> from captum.attr import ShapleyValueSampling
        >>> FromCaptum(ShapleyValueSampling, {"n_samples": 10})
        FromCaptum(ShapleyValueSampling, {'n_samples': 10})
    """

    method: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    def values(self, layer_function: LayerFunction) -> Tensor:
        """Return the attribution of each activation, (B, ...): a feature's, divided by its number of activations."""
        method = self.method(layer_function.raw_scores)
        options = dict(self.options)
        takes_features = "feature_mask" in inspect.signature(method.attribute).parameters
        if takes_features and "feature_mask" not in options:
            options["feature_mask"] = _choose_features(layer_function)
        start = layer_function.activations.detach().clone().requires_grad_()
        values: Tensor = method.attribute(start, **options).detach()
        if not takes_features or "feature_mask" in self.options:
            return values
        features = options["feature_mask"].expand_as(values[:1])
        counts = features.flatten().bincount()[features]
        return values.div(counts)  # Captum gives each activation the whole value

    def __repr__(self) -> str:
        return f"FromCaptum({getattr(self.method, '__name__', self.method)}, {dict(self.options)!r})"


def _choose_features(layer_function: LayerFunction) -> Tensor:
    """The number of the feature of each activation: its channel, or the square of a pixel."""
    a = layer_function.activations
    if layer_function.tail.layer == IMAGE:
        return square_regions(SIDE, (a.shape[-2], a.shape[-1])).to(a.device).expand(1, a.shape[1], -1, -1)
    channels = torch.arange(layer_function.channels_first.shape[1], device=a.device)
    return layer_function.expand_channels(channels.view(1, 1, -1)).long()[0]
