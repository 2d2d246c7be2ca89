"""A network with the codes of an autoencoder as one more layer, for everything that takes layers and channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.activations import read_activations
from optvis.models.adapted.network import AdaptedNetwork
from optvis.models.borrow import borrow, lock
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import find_module
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.replace import replace_output
from optvis.objectives import Objective, channel, feature
from optvis.objectives.autoencoder import Autoencoder
from optvis.objectives.layout import ALL, REGISTERS, channels_first, name_tokens, restore_layout, split_tokens

CODES = "codes"  # the layer's name by default
FEATURES = "<features>"  # its name inside functions that take an autoencoder; no layer of a network has it


class Codes(nn.Module):
    """The layer of the codes: it returns what it takes. Its buffer says which autoencoder they come from."""

    digest: Tensor

    def __init__(self, autoencoder: Autoencoder, device: torch.device) -> None:
        super().__init__()
        number = list(bytes.fromhex(autoencoder.digest() or ""))
        self.register_buffer("digest", torch.tensor(number, dtype=torch.uint8, device=device))

    def forward(self, codes: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        return codes


class FeatureNetwork(AdaptedNetwork):
    """A network in which the codes of a layer's activations pass through a layer of their own.

    Where that layer returns other codes than it took, the original layer returns x + decode(new codes) − decode(codes);
    else the network computes what it computes without. See `expose_features`.

    Args:
        network: the network, adapted or not.
        layer: name of the layer that is encoded.
        autoencoder: of its activations.
        name: of the layer of codes.
        channel_axis: axis of the channels in the layer's output.
        device: of the network.
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        autoencoder: Autoencoder,
        name: str,
        channel_axis: int | None,
        device: torch.device,
    ) -> None:
        super().__init__(
            network, output=getattr(network, "output", None) if isinstance(network, AdaptedNetwork) else None
        )
        codes = Codes(autoencoder, device)
        vars(self).update(_layer=layer, _autoencoder=autoencoder, _codes=codes, _channel_axis=channel_axis)
        self.add_layers({name: codes})

    def forward(self, inputs: Tensor) -> Any:
        """Call the network; its layer passes through the layer of codes."""
        network = vars(self)["original"]
        with lock(network), replace_output(network, self._layer, self._pass_codes):
            return network(inputs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FeatureNetwork:
        """Move the autoencoder with the network; `to`, `double` and their like call this."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        weight = next((one for one in self.parameters() if one.is_floating_point()), None)
        if weight is not None:
            self._autoencoder.move(weight)
        return self

    def _pass_codes(self, a: Tensor) -> Tensor:
        axis = self._channel_axis
        codes = self._autoencoder.encode(a, axis)
        found = restore_layout(codes, a, axis)
        new = self._codes(found)
        return a if new is found else self._autoencoder.replace_codes(a, codes, channels_first(new, axis), axis)


def expose_features(
    model: nn.Module | Classifier,
    layer: str,
    sae: Any,
    *,
    name: str = CODES,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
) -> Classifier:
    """Return a network with the features of a layer's autoencoder as the channels of one more layer.

    It computes the same as the network, which stays as it is and whose weights and layers it shares. All functions that
    take layers and channels work on the features under the name of the new layer: `attribute`, `find_units`,
    `activation_grid`, `activation_atlas`, `build_microscope`. A change of the codes changes the original layer's output
    by what the change decodes to, as with `Features`. Only `bake` refuses it.

    Args:
        model: a network, or a Classifier.
        layer: name as in `layers(model)`.
        sae: the autoencoder, see `Features`; it is copied, as it is now.
        name: of the layer of codes.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layer's output, and of the features in that of the codes; by default
            the second, or the last of three.

    Raises:
        KeyError: no such layer.
        TypeError: an object without `encode` and `decode`; a layer whose output is no tensor.
        ValueError: a name that a layer of the network has already, or no name; an autoencoder that does not fit.

    Example:
        >>> from optvis import attribute, load
        >>> from optvis.objectives import logit
        >>> class Signs:
        ...     def encode(self, x):
        ...         return torch.cat([x.relu(), (-x).relu()], 1)
        ...     def decode(self, z):
        ...         return z[:, :192] - z[:, 192:]
        >>> net = expose_features(load("demo"), "mixed5", Signs())
        >>> attribute(net, torch.rand(3, 96, 96), "codes", logit("owl"), progress=False).channels.shape
        torch.Size([1, 384])
    """
    classifier = as_classifier(model, normalize)
    network = classifier.network
    find_module(network, layer)
    if not name or set(name) & set(".#@") or name in dict(network.named_children()):
        raise ValueError(f"name is {name!r}; expected a name without '.', '#' and '@' that no layer of the network has")
    exposed = FeatureNetwork(network, layer, Autoencoder(sae, layer), name, channel_axis, classifier.device)
    inputs = classifier.preprocess(classifier.gray_image())
    with borrow(exposed), torch.no_grad():
        read_activations(exposed, inputs, [name])
    return replace(classifier, network=exposed, name=f"{classifier.name} with features of {layer}")


def name_features(layer: str) -> str:
    """The name of a layer's codes inside functions that take an autoencoder: of all its tokens, where it is a row.

    >>> name_features("blocks.3"), name_features("blocks.3@all")
    ('<features>', '<features>@all')
    """
    return name_tokens(FEATURES, ALL) if split_tokens(layer)[1] in (ALL, REGISTERS) else FEATURES


def name_units(classifier: Classifier, layer: str) -> tuple[str, str]:
    """What the channels of a layer are called, and of which layer: features of the layer that was encoded.

    >>> from optvis import load
    >>> name_units(load("demo"), "mixed4")
    ('channel', 'mixed4')
    """
    own = _encoded(classifier, layer)
    return ("channel", layer) if own is None else ("feature", own[0])


def channel_objective(
    classifier: Classifier, layer: str, channels: Sequence[int], channel_axis: int | None = None
) -> Objective:
    """`channel` of a layer; of a layer of codes `feature`, whose gradients reach features that are off."""
    own = _encoded(classifier, layer)
    if own is None:
        return channel(layer, channels, channel_axis=channel_axis)
    return feature(own[0], own[1], channels, channel_axis=channel_axis)


def _encoded(classifier: Classifier, layer: str) -> tuple[str, Autoencoder] | None:
    """The layer whose codes a layer has, and its autoencoder; None of any other layer."""
    network = classifier.network
    while isinstance(network, AdaptedNetwork):
        own = vars(network)
        if isinstance(network, FeatureNetwork) and own["_modules"].get(layer) is own["_codes"]:
            return own["_layer"], own["_autoencoder"]
        network = own["original"]
    return None


def describe_features(classifier: Classifier) -> dict[str, Any]:
    """Say which autoencoder a network from `expose_features` has, in JSON types."""
    described: dict[str, Any] = vars(classifier.network)["_autoencoder"].describe()
    return described
