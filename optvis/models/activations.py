"""Activations of named layers, read from one forward pass; and the statistics of them that a network carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from operator import methodcaller
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike
from optvis.errors import suggest
from optvis.models.adapted.compiled import name_modules
from optvis.models.adapted.select import select_scores
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.hooks import Call, hook_modules, intercept, suspend_intercepts
from optvis.models.infer import as_classifier
from optvis.models.layers import describe_output, find_module, suggest_layer
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.axes import mark_channel_axis
from optvis.models.outputs.finite import check_finite
from optvis.models.outputs.tokens import view_layer
from optvis.models.run import run_network
from optvis.objectives import IMAGE, OUTPUT
from optvis.objectives.layout import INPUT, channels_first, name_call, name_tokens, split_tokens, takes_input

SAY_OUTPUT = "say which part holds scores, Classifier(..., output=key, index or function), or "


class _AllRead(BaseException):
    """Ends the forward pass. Not an Exception, so that a model's own `except Exception` cannot catch it."""


def activations(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layers: Sequence[str] | str,
    *,
    normalize: Normalizer | str = INFER,
    tokens: str | None = None,
) -> dict[str, Tensor]:
    """Read the outputs of named layers for images, from one forward pass that is cut after the last of them.

    Gradients flow to `images` where those are a tensor that requires them, never to the weights.

    Args:
        model: a network, or a Classifier.
        images: an image in any form that `load_image` takes, or a list of them.
        layers: names as in `layers(model)`, or one; "relu#1" is the second call of a module that is used twice;
            "" is the network's own output; "<image>" the images themselves; "bn1@input" what "bn1" takes.
        normalize: see `render`; by default the model's own.
        tokens: which tokens of a transformer's layers: "patches", the default, "class", "registers" or "all".

    Returns:
        Each layer's activations as the network gives them, (B, ...), on its device. A layer of tokens, (B, T, C), gives
        those that are meant: patches as a map (B, C, rows, columns), the class token (B, C), registers (B, T, C).

    Raises:
        KeyError: a layer that does not exist; the nearest names are given.
        ValueError: a layer that never ran, or that has no such tokens.
        TypeError: a layer whose output is no tensor; one that gives a tensor is named.

    Example:
        >>> from optvis import Classifier
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
        >>> activations(Classifier(net, None, 8), torch.rand(2, 3, 8, 8), ["0"])["0"].shape
        torch.Size([2, 4, 6, 6])
    """
    classifier = as_classifier(model, normalize)
    given, batch = [layers] if isinstance(layers, str) else layers, classifier.load_batch(images)
    names = {name: name if name == IMAGE else name_tokens(name, tokens) for name in given}
    with borrow(classifier.network), torch.set_grad_enabled(batch.requires_grad):
        inputs = classifier.preprocess(batch)
        found = read_activations(classifier.network, inputs, names.values(), images=batch, any_dtype=True)
        for full in names.values():
            check_order(classifier.network, full, found[full], inputs)
    return {name: found[full] for name, full in names.items()}


def read_channels(
    classifier: Classifier, images: ImageLike | Sequence[ImageLike], layer: str, channel_axis: int | None = None
) -> Tensor:
    """Read the activations of one layer like `activations`, with its channels on axis 1, (B, C, ...).

    Raises:
        TypeError: also a layer that gives no real numbers. NotFiniteError: they are NaN or infinite.
    """
    batch = classifier.load_batch(images)
    found = activations(classifier, batch, [layer])[layer]
    check_real(layer, found)
    with borrow(classifier.network), torch.no_grad():
        what = f"the activations of {layer!r} of {classifier.name}"
        check_finite(found, what, classifier.network, classifier.preprocess(batch))
    return channels_first(found, channel_axis)


def read_activations(
    network: nn.Module,
    inputs: Tensor,
    layers: Iterable[str],
    *,
    images: Tensor | None = None,
    whole: bool = False,
    differentiable: bool | None = None,
    any_dtype: bool = False,
) -> dict[str, Tensor]:
    """Read activations of a borrowed network, like `activations`, from inputs that are preprocessed already.

    Args:
        network: a borrowed network.
        inputs: preprocessed images.
        layers: names as in `activations`.
        images: what "<image>" stands for; by default that name is refused.
        whole: run the forward pass to its end, whatever the network returns.
        differentiable: whether gradients of the activations are wanted; by default where the inputs require them.
        any_dtype: whether layers may give integers, truth values and complex numbers too.

    Raises:
        ValueError: also where the network computes a layer without gradients, and they are wanted; "<image>" where it
            is no layer.
        TypeError: also a layer that gives no real numbers, unless `any_dtype`.
    """
    has_gradients = torch.is_grad_enabled()
    differentiable = has_gradients and (inputs.requires_grad if differentiable is None else differentiable)
    names = list(layers)
    if IMAGE in names and images is None:
        raise ValueError(f"{IMAGE!r} is no layer here, it stands for the images; name one that layers(network) lists")
    outputs = {name: split_tokens(name)[0] for name in names if name != IMAGE}
    calls = {name: find_module(network, output) for name, output in outputs.items()}
    found: dict[str, Any] = {}

    def store(names: Sequence[str], value: Any, copy: bool = True) -> None:
        for name in names:
            if differentiable:
                require_gradients(name)
            is_last = not whole and len(found) == len(calls) - 1
            # A layer that works in place may follow, and overwrite this.
            found[name] = value.clone() if copy and not is_last and isinstance(value, Tensor) else value
            if is_last:
                raise _AllRead

    def store_input(names: Sequence[str], copy: bool, values: tuple[Any, ...]) -> None:
        store(names, values[0] if values else None, copy)

    after: dict[Call, list[str]] = {}
    before: dict[Call, list[str]] = {}
    for name, call in calls.items():
        (before if takes_input(name) else after).setdefault(call, []).append(name)
    at_end = {call: partial(store, names) for call, names in after.items()}
    # BatchNorm's backward pass needs its input, so that no network that was trained overwrites it.
    at_begin = {call: partial(store_input, names, not keeps_statistics(call[0])) for call, names in before.items()}
    with suppress(_AllRead), intercept(network, at_end, before=at_begin):
        if calls:
            run_network(network, inputs, found.clear)
    for name in calls:
        if name not in found:
            raise ValueError(f"layer {name!r} never ran in this forward pass; {suggest_layer(network, inputs, name)}")
        if name == OUTPUT:
            found[name] = select_scores(found[name])
        if not isinstance(found[name], Tensor):
            raise TypeError(
                f"layer {name!r} gives {describe_output(found[name])}, not a tensor; "
                f"{SAY_OUTPUT if name == OUTPUT else ''}{suggest_layer(network, inputs, name)}"
            )
        _check_batch(name, found[name], inputs)
        if not any_dtype:
            check_real(name, found[name])
        found[name] = found[name] if has_gradients else found[name].detach()
        _keep_layout(found[name])
        module = network if takes_input(name) else calls[name][0]
        mark_channel_axis(network, module, outputs[name], found[name], input_size(inputs))
        found[name] = view_layer(network, name, found[name], input_size(inputs)).read(found[name])
    return found if images is None or IMAGE not in names else {**found, IMAGE: images}


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
            f"layer {split_tokens(layer)[0]!r} gives {rows} for {len(inputs)} images, {tuple(a.shape)}: "
            "its first axis is not the batch; use a layer whose first axis is, such as the block around it"
        )


def check_order(network: nn.Module, layer: str, a: Tensor, inputs: Tensor) -> None:
    """Raise ValueError for a layer (T, B, C) with as many tokens as images, as a pass of one image shows."""
    if len(inputs) > 1 and a.dim() == 3 and a.shape[1] == len(inputs):
        with suspend_intercepts(network), torch.no_grad():
            read_activations(network, inputs[:1], [layer], any_dtype=True)


def check_real(layer: str, a: Tensor) -> None:
    """Raise where a layer gives no real numbers: TypeError for other dtypes, ValueError for none at all."""
    layer = split_tokens(layer)[0]
    if not a.is_floating_point():
        dtype = str(a.dtype).removeprefix("torch.")
        raise TypeError(
            f"layer {layer!r} gives {dtype}, which has no means and gradients; expected floating-point numbers: choose "
            "a layer before or behind it"
        )
    if not a.numel():
        raise ValueError(f"layer {layer!r} gives no numbers, {tuple(a.shape)}; choose another layer")


def _keep_layout(a: Tensor) -> None:
    """Keep gradients channels last where activations are: a mixture slows every layer below."""
    if a.requires_grad and a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a.register_hook(methodcaller("contiguous", memory_format=torch.channels_last))  # type: ignore[no-untyped-call]


def input_size(inputs: Tensor) -> tuple[int, int] | None:
    """Rows and columns of a network's inputs, (B, C, H, W); None of others."""
    return (inputs.shape[2], inputs.shape[3]) if inputs.dim() == 4 else None


def keeps_statistics(module: nn.Module) -> bool:
    """Whether a module keeps running statistics: BatchNorm of any kind, frozen and fused with an activation included.

    Example:
        >>> keeps_statistics(nn.BatchNorm2d(4)), keeps_statistics(nn.BatchNorm2d(4, track_running_stats=False))
        (True, False)
    """
    return {"running_mean", "running_var"} <= {name for name, _ in module.named_buffers(recurse=False)}


def running_statistics(classifier: Classifier, layers: Sequence[str] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
    """Read the running mean and variance of BatchNorm layers, of each call that one forward pass makes of them.

    Layers are left out that do not run in eval mode, and those whose first axis is not the batch.

    Args:
        classifier: the network.
        layers: names of BatchNorm layers; all by default, in the order in which they run.

    Returns:
        By the name of each layer's input, "bn1@input": the mean and the variance of each channel, both (C,).

    Raises:
        ValueError: no such layer runs.
        KeyError: a name that is none of them.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        >>> mean, variance = running_statistics(Classifier(net, None, 8))["1@input"]
        >>> mean, variance
        (tensor([0., 0., 0., 0.]), tensor([1., 1., 1., 1.]))
    """
    found = {name: _copy_statistics(module) for name, module in _find_calls(classifier).items()}
    if not found:
        raise ValueError(
            f"batchnorm_statistics needs running statistics, and no BatchNorm layer of {classifier.name} keeps any; "
            "measure statistics on your own images: activation_statistics(measure_statistics(net, images))"
        )
    names = list(found) if layers is None else [name.removesuffix(INPUT) + INPUT for name in layers]
    for name in names:
        if name not in found:
            known = [one.removesuffix(INPUT) for one in found]
            layer = name.removesuffix(INPUT)
            listing = f"the first is {known[0]!r}, the last {known[-1]!r}"
            raise KeyError(f"{layer!r} is no BatchNorm layer with running statistics; {suggest(layer, known, listing)}")
    return {name: found[name] for name in names}


def _find_calls(classifier: Classifier) -> dict[str, nn.Module]:
    """Run one image, and list the calls of modules with running statistics by the names of their inputs."""
    modules = {module: name for module, name in name_modules(classifier.network).items() if keeps_statistics(module)}
    calls: Counter[nn.Module] = Counter()
    found: dict[str, nn.Module] = {}

    def note(module: nn.Module, inputs: Any) -> None:
        name = name_call(modules[module], calls[module])
        calls[module] += 1
        if inputs and isinstance(inputs[0], Tensor) and len(inputs[0]) == 1:
            found[name + INPUT] = module

    if modules:
        image = classifier.gray_image()
        with borrow(classifier.network), torch.no_grad(), hook_modules(modules, before=note):
            classifier.network(classifier.preprocess(image))
    return found


def _copy_statistics(module: nn.Module) -> tuple[Tensor, Tensor]:
    buffers = dict(module.named_buffers(recurse=False))
    return buffers["running_mean"].detach().cpu().clone(), buffers["running_var"].detach().cpu().clone()
