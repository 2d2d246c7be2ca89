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
from optvis.errors import suggest
from optvis.objectives import IMAGE


@dataclass(frozen=True, eq=False)
class FromCaptum:
    """A method of Captum that calls a function of inputs, with a layer's activations as the input: Shapley values, ….

    Captum (Kokhlikyan et al. 2020, arXiv:2009.07896) attributes the tail, a function of the activations, so nothing
    before the layer runs again. Methods that ablate features take whole channels as features, and squares of 16 pixels
    where the layer is "<image>", unless the options have a `feature_mask`. A feature's value is shared out among its
    activations, so that sums over channels, positions and regions are those of the features.

    These work: Saliency, InputXGradient, IntegratedGradients, GradientShap, FeatureAblation, Occlusion,
    ShapleyValueSampling, ShapleyValues, KernelShap and Lime. Methods that hook the modules of a network, such as
    DeepLift and GuidedBackprop, or permute the images of a batch, have nothing to work on here.

    Args:
        method: a class of `captum.attr` whose constructor needs a forward function alone, or a function that builds a
            method from one, `lambda forward: NoiseTunnel(Saliency(forward))`.
        options: keyword arguments of its `attribute`. It gets up to 16 images at a time; a `feature_mask` may have a
            row for each of all images.

    Raises:
        TypeError: a method of another kind; options that its `attribute` does not have, or lacks.

    Example:
        >>> from captum.attr import ShapleyValueSampling
        >>> FromCaptum(ShapleyValueSampling, {"n_samples": 10})
        FromCaptum(ShapleyValueSampling, {'n_samples': 10})
    """

    method: Any
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        method = self.method
        if isinstance(self.method, type):
            _check_method(self.method)
            _check_options(method, method.attribute, self.options, bound=1)

    @property
    def description(self) -> str:
        """How the values are found, for plots."""
        return f"by {self._name} of Captum"

    def values(self, layer_function: LayerFunction) -> Tensor:
        """Return the attribution of each activation, (B, ...): a feature's, divided by its number of activations."""
        method = self.method(layer_function.raw_scores)
        options = dict(self.options)
        _check_options(self.method, method.attribute, options)
        takes_features = "feature_mask" in inspect.signature(method.attribute).parameters
        if takes_features:
            options["feature_mask"] = _choose_features(layer_function, options.get("feature_mask"))
        start = layer_function.activations.detach().clone().requires_grad_()
        values: Tensor = method.attribute(start, **options).detach()
        if not takes_features or values.shape != start.shape:
            return values
        return values / _count_activations(options["feature_mask"], values)  # Captum gives each the whole value

    def __repr__(self) -> str:
        return f"FromCaptum({self._name}, {dict(self.options)!r})"

    @property
    def _name(self) -> str:
        return getattr(self.method, "__name__", str(self.method))


def _check_method(method: type) -> None:
    """Refuse a class that works on a network's modules, on a layer, or across the images of a batch."""
    needed = inspect.signature(method).parameters if callable(getattr(method, "attribute", None)) else {}
    required = [name for name, parameter in needed.items() if parameter.default is parameter.empty]
    if required != ["forward_func"] or "perm_func" in needed:
        names = ", ".join(required) or "no forward function"
        reason = "permutes the images of a batch" if "perm_func" in needed else f"needs {names}"
        raise TypeError(
            f"FromCaptum takes methods that need only a forward function, such as IntegratedGradients, GradientShap, "
            f"Occlusion or ShapleyValueSampling; {method.__name__} {reason}"
        )


def _check_options(method: Any, attribute: Any, options: Mapping[str, Any], bound: int = 0) -> None:
    """Refuse options that Captum's `attribute` does not have, and say which ones it lacks."""
    taken = dict(list(inspect.signature(attribute).parameters.items())[bound + 1 :])  # after self and inputs
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    name = getattr(method, "__name__", repr(method))
    for option in options:
        if option not in taken:
            listing = f"it has {', '.join(taken)}"
            raise TypeError(f"{name} has no option {option!r}; {suggest(option, taken, listing)}")
    required = [each for each, parameter in taken.items() if parameter.default is parameter.empty]
    lacking = [each for each in required if each not in options]
    if lacking:
        example = ", ".join(f"{each!r}: ..." for each in lacking)
        raise TypeError(f"{name} needs {', '.join(lacking)}: FromCaptum({name}, {{{example}}})")


def _count_activations(features: Tensor, values: Tensor) -> Tensor:
    """How many activations the feature of each has, in the shape of values, (B, ...)."""
    rows = features.to(values.device).expand(values.shape if len(features) > 1 else (1, *values.shape[1:]))
    return torch.stack([_count_equal(row) for row in rows]).expand_as(values)


def _count_equal(numbers: Tensor) -> Tensor:
    """How many numbers are equal to each."""
    found: tuple[Tensor, Tensor, Tensor] = numbers.unique(  # type: ignore[no-untyped-call]
        return_inverse=True, return_counts=True
    )
    return found[2][found[1]]


def _choose_features(layer_function: LayerFunction, given: Any) -> Tensor:
    """The number of the feature of each activation: as given, else its channel, or the square of a pixel."""
    a = layer_function.activations
    if given is not None:
        return layer_function.own_rows(given[0] if isinstance(given, tuple) else given, "feature_mask")
    if layer_function.tail.layer == IMAGE:
        return square_regions(SIDE, (a.shape[-2], a.shape[-1])).to(a.device).expand(1, a.shape[1], -1, -1)
    channels = torch.arange(layer_function.channels_first.shape[1], device=a.device)
    return layer_function.expand_channels(channels.view(1, 1, -1)).long()[0]
