"""Activations of named layers, read from one forward pass that is cut after the last of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import methodcaller
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike
from optvis.models.borrow import borrow, run_network
from optvis.models.classifier import Classifier
from optvis.models.hooks import intercept
from optvis.models.infer import as_classifier
from optvis.models.layers import describe_output, find_module, suggest_layer
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import IMAGE


class _AllRead(BaseException):
    """Ends the forward pass. Not an Exception, so that a model's own `except Exception` cannot catch it."""


def activations(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layers: Sequence[str],
    *,
    normalize: Normalizer | str = INFER,
) -> dict[str, Tensor]:
    """Read the outputs of named layers for images, from one forward pass that is cut after the last of them.

    Gradients flow to `images` where those are a tensor that requires them, never to the weights.

    Args:
        model: a network, or a Classifier.
        images: an image in any form that `load_image` takes, or a list of them.
        layers: names as in `layers(model)`; "relu#1" is the second call of a module that is used twice;
            "" is the network's own output; "<image>" the images themselves.
        normalize: see `render`; by default what the model carries.

    Returns:
        Each layer's activations as the network gives them, (B, ...), on its device.

    Raises:
        KeyError: a layer that does not exist; the nearest names are given.
        ValueError: a layer that never ran.
        TypeError: a layer whose output is no tensor; one that gives a tensor is named.

    Example:
        >>> from optvis import Classifier
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        >>> activations(Classifier(net, None, 8), torch.rand(2, 3, 8, 8), ["0"])["0"].shape
        torch.Size([2, 4, 6, 6])
    """
    classifier = as_classifier(model, normalize)
    batch = classifier.load_batch(images)
    with borrow(classifier.network):
        found = read_activations(classifier.network, classifier.preprocess(batch), layers)
    return found | ({IMAGE: batch} if IMAGE in layers else {})


def read_activations(
    network: nn.Module,
    inputs: Tensor,
    layers: Iterable[str],
    *,
    whole: bool = False,
    differentiable: bool | None = None,
) -> dict[str, Tensor]:
    """Read activations of a borrowed network, like `activations`, from inputs that are preprocessed already.

    Args:
        network: a borrowed network.
        inputs: preprocessed images.
        layers: names as in `activations`.
        whole: run the forward pass to its end, whatever the network returns.
        differentiable: whether gradients of the activations are wanted; by default where the inputs require them.

    Raises:
        ValueError: also where the network computes a layer without gradients, and they are wanted.
    """
    has_gradients = torch.is_grad_enabled()
    differentiable = has_gradients and (inputs.requires_grad if differentiable is None else differentiable)
    calls = {name: find_module(network, name) for name in layers if name != IMAGE}
    found: dict[str, Any] = {}

    def store(names: Sequence[str], output: Any) -> None:
        for name in names:
            if differentiable:
                require_gradients(name)
            is_last = not whole and len(found) == len(calls) - 1
            # A layer that works in place may follow, and overwrite this output.
            found[name] = output if is_last or not isinstance(output, Tensor) else output.clone()
            if is_last:
                raise _AllRead

    groups = {call: [name for name in calls if calls[name] == call] for call in calls.values()}
    with suppress(_AllRead), intercept(network, {call: partial(store, names) for call, names in groups.items()}):
        if calls:
            run_network(network, inputs, found.clear)
    for name in calls:
        if name not in found:
            raise ValueError(f"layer {name!r} never ran in this forward pass; {suggest_layer(network, inputs, name)}")
        if not isinstance(found[name], Tensor):
            raise TypeError(
                f"layer {name!r} gives {describe_output(found[name])}, not a tensor; "
                f"{suggest_layer(network, inputs, name)}"
            )
        _check_batch(name, found[name], inputs)
        found[name] = found[name] if has_gradients else found[name].detach()
        _keep_layout(found[name])
    return found


def require_gradients(layer: str) -> None:
    """Raise ValueError where a layer that runs at the moment gets no gradients."""
    if not torch.is_grad_enabled():
        raise ValueError(
            f"the network computes layer {layer!r} without gradients, inside torch.no_grad() or in gradient "
            "checkpointing with use_reentrant=True; switch that off, or name a layer outside of it"
        )


def _check_batch(layer: str, a: Tensor, inputs: Tensor) -> None:
    if a.dim() == 0 or len(a) != len(inputs):
        rows = "no axis" if a.dim() == 0 else f"{len(a)} rows"
        raise ValueError(
            f"layer {layer!r} gives {rows} for {len(inputs)} images, {tuple(a.shape)}: "
            "its first axis is not the batch; use a layer whose first axis is, such as the block around it"
        )


def _keep_layout(a: Tensor) -> None:
    """Keep gradients channels last where activations are: a mixture slows every layer below."""
    if a.requires_grad and a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a.register_hook(methodcaller("contiguous", memory_format=torch.channels_last))  # type: ignore[no-untyped-call]


@contextmanager
def replace_output(network: nn.Module, layer: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, a layer returns what `change` makes of its output.

    Hooks that the layer has already see the new output too, so that what they store of it is the same. Where they
    return another output, `change` is called with that one again.

    Raises:
        KeyError: no such layer.
        TypeError: inside, a layer whose output is no tensor.
        ValueError: inside, a layer that the network computes without gradients, where gradients were on outside.
    """
    call, has_gradients = find_module(network, layer), torch.is_grad_enabled()
    new: list[Tensor] = []

    def replace(output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {layer!r} gives {describe_output(output)}, not a tensor; layers(net) lists those that do"
            )
        if has_gradients:
            require_gradients(layer)
        new[:] = [change(output)]
        return new[0]

    def replace_again(output: Any) -> Tensor | None:
        return None if output is new[0] else replace(output)

    with intercept(network, {call: replace}, prepend=True), intercept(network, {call: replace_again}):
        yield
