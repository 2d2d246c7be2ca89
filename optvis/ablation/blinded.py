"""The context manager that ablates units: inside, a network runs without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from torch import Tensor, nn

from optvis.ablation.fills import FillLike, Replacement, resolve_fill
from optvis.features.units import Units
from optvis.models.activations import check_real
from optvis.models.borrow import lock
from optvis.models.classifier import Classifier
from optvis.models.hooks import is_intercepted
from optvis.models.layers import describe_output, find_module
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.replace import replace_layers

Model = TypeVar("Model", bound=nn.Module | Classifier)
PURPOSE = "ablation"


@contextmanager
def blinded(model: Model, *units: Units, fill: FillLike = None, normalize: Normalizer | str = INFER) -> Iterator[Model]:
    """Inside, run a network with some of its units switched off; outside, it is bit for bit the same as before.

    The model stays the same object, so every function of optvis works on the ablated network: render it, classify with
    it, take its gradients. No weight and no activation is written to: forward hooks return a new tensor in which the
    units are replaced. Several units of one layer are replaced one after the other, in the order given. Blocks nest:
    an inner block measures its fill while the units of the outer block are off. Call the network itself, not one of
    its modules: calls such as "relu#1" are counted from the start of its forward pass. The units are off in this
    thread; functions of optvis that use the network in another thread wait until the block is over.

    Args:
        model: a network, or a Classifier.
        units: what to switch off: Channels, Directions, Projections and Features of autoencoders, of any layers that
            `layers(model)` lists.
        fill: what replaces the units: a number; a tensor (C,), one number per channel or feature; a mapping of layers
            to either; a measured fill: `Mean`, `Noise`, `Gaussian`, `Resampled`, `Optimal`; or `Scaled`, which turns
            them down or up. By default 0, and of a Projection its own center.
        normalize: see `render`; by default the model's own. Only a fill that is measured on images needs it.

    Yields:
        `model` itself.

    Raises:
        KeyError: a layer that does not exist, or that the fill's mapping lacks.
        TypeError: units or a fill of another type; inside the block, a layer whose output is no tensor.
        ValueError: numbers of a fill that are not finite.
        IndexError, ValueError: inside the block, a channel or feature that does not exist, directions of another
            length, an autoencoder that does not fit the layer.
        NotFiniteError: a fill is measured on activations that are NaN or infinite.

    Example:
        >>> import torch
        >>> from optvis import Channels
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with blinded(net, Channels("1", [0, 2])) as same:
        ...     print(same(torch.rand(1, 3, 8, 8))[:, [0, 2]].abs().max().item(), same is net)
        0.0 True
    """
    network = bare_network(model)
    check_units(network, units)
    with replace_units(network, units, resolve_fill(fill, model, units, normalize)):
        yield model


def bare_network(model: nn.Module | Classifier) -> nn.Module:
    """The network of a Classifier, or the network itself; anything else is a TypeError."""
    network = model.network if isinstance(model, Classifier) else model
    if not isinstance(network, nn.Module):
        raise TypeError(f"model is a {type(network).__name__}; expected an nn.Module or a Classifier, e.g. load(name)")
    return network


def check_units(network: nn.Module, units: Sequence[Units]) -> None:
    """Check that units are Units (else TypeError), of layers that exist (else KeyError)."""
    for one in units:
        if not isinstance(one, Units):
            raise TypeError(
                f"units are {one!r}; expected Channels(layer, indices), Directions(layer, vectors) or "
                "Features(layer, sae, indices)"
            )
        find_module(network, one.layer)


@contextmanager
def replace_units(network: nn.Module, units: Sequence[Units], replacements: Sequence[Replacement]) -> Iterator[None]:
    """Inside, run the network with its units replaced; all hooks are removed on any exit."""
    pairs = zip(units, replacements, strict=True)
    changes = [(one.layer, partial(replace_each, [(one, replacement)])) for one, replacement in pairs]
    with lock(network), replace_layers(network, changes, purpose=PURPOSE, is_required=True):
        yield


def is_ablated(network: nn.Module) -> bool:
    """Whether hooks ablate units of a network at the moment."""
    return is_intercepted(network, PURPOSE)


def replace_each(group: Sequence[tuple[Units, Replacement]], output: Any) -> Tensor:
    """Replace units of one layer in its output, one after the other. TypeError: it is no tensor of real numbers."""
    for units, replacement in group:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {units.layer!r} gives {describe_output(output)}, not a tensor; "
                "layers(model) lists those that do"
            )
        check_real(units.layer, output)
        output = units.replace_by(output, replacement)
    return output  # type: ignore[no-any-return]
