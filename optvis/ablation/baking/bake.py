"""A copy of a network that is blind for good: in its weights where they can say it, else by a module of its own."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import Flow
from optvis.ablation.baking.folding import Folding, affine
from optvis.ablation.baking.inserting import inserted, switch
from optvis.ablation.blinding import checked, network_of
from optvis.ablation.fills import Constant, Filled, Gaussian, Noise, Resampled, prepared
from optvis.ablation.switching import is_switched
from optvis.data.files import atomic_write, ensure_dir
from optvis.features.units import Channels, Units
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.layers import find_module, layers
from optvis.version import __version__

Model = TypeVar("Model", bound=nn.Module | Classifier)
Job: TypeAlias = tuple[Units, float | Tensor]  # units, and what stands where they were


def bake(net: Model, *units: Units, fill: Filled = 0.0) -> Model:
    """A copy of a network that answers as the blinded one does, without any hook; the network itself stays as it is.

    In eval mode, to rounding. The blindness goes into the weights of the convolution, linear layer or batch
    normalisation that gives the units, or of those that read them: through ReLU, pooling, dropout, flattening and
    concatenation where that is exact. Elsewhere, as behind a residual sum, a small module is put behind the layer.
    The copy is fit for torch.export, and carries what made it as `baked`.

    Args:
        net: a network, or a Classifier.
        units: what is switched off for good, see `blinded`.
        fill: what stands where they were: a number, a tensor (C,), a mapping, `Mean` or `Optimal`; see `blinded`.

    Returns:
        A network, or a Classifier that says in its name what it does without.

    Raises:
        KeyError, TypeError: as in `blinded`.
        IndexError, ValueError: a channel that the layer does not have, directions of another length.
        ValueError: noise or other images as fill, or units off in a range alone, which no weights can say; a layer
            that never runs; a network that is blinded just now.

    Example:
        >>> from optvis.features.units import Channels
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> blind = bake(net, Channels("1", [0, 2]))
        >>> blind[0].bias[[0, 2]].abs().max().item(), blind.baked["folded"]
        (0.0, ['1'])
    """
    network = network_of(net)
    checked(network, units)
    _bakeable(network, units, fill)
    fills = [_constant(filling) for filling in prepared(fill, net, units)]
    made = copy.deepcopy(network)
    with borrow(made), torch.no_grad():
        made, folded, added = _without(made, net, list(zip(units, fills, strict=True)))
    _trained_as(made, network)
    named = replace(net, network=made, name=_named(net, units)) if isinstance(net, Classifier) else made
    made.baked = {  # type: ignore[assignment]
        "network": net.name if isinstance(net, Classifier) else type(net).__name__,
        "units": [_told(one) for one in units],
        "fills": [value.tolist() if isinstance(value, Tensor) else value for value in fills],
        "folded": folded,
        "inserted": added,
        "optvis": __version__,
        "torch": torch.__version__,
    }
    return named  # type: ignore[return-value]


def save(net: nn.Module | Classifier, path: str | Path) -> Path:
    """Write a baked network's weights as safetensors, with what made them in the file; returns its path.

    Where all went into weights, `load(path, architecture=...)` puts them into the same architecture.

    Args:
        net: what `bake` gave.
        path: ends in .safetensors; its folder is made if need be.

    Raises:
        ValueError: a network that is not baked, or another suffix.
        OSError: the folder cannot be written.

    Warns:
        UserWarning: modules were put in, which an unbaked architecture does not have.
    """
    from safetensors.torch import save as written

    network, target = network_of(net), Path(path)
    recipe = getattr(network, "baked", None)
    if not isinstance(recipe, dict):
        raise ValueError("this network is not baked; save(bake(net, *units), path), or save its state_dict() yourself")
    if target.suffix.casefold() != ".safetensors":
        raise ValueError(f"weights are saved as safetensors: give a path ending in .safetensors, not {str(path)!r}")
    if recipe["inserted"]:
        names = ", ".join(map(repr, recipe["inserted"]))
        cure = "load the file into bake() of the same units"
        warnings.warn(f"modules were put behind {names}, which {recipe['network']} lacks: {cure}", stacklevel=2)
    ensure_dir(target.parent)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    return atomic_write(target, written(tensors, {"baked": json.dumps(recipe)}))


def _bakeable(network: nn.Module, units: Sequence[Units], fill: Filled) -> None:
    if is_switched(network):
        raise ValueError("the network is blinded just now; bake all units together, outside of the block")
    if isinstance(fill, Noise | Gaussian | Resampled):
        raise ValueError(f"{type(fill).__name__} is new in each pass, which no weights can say; use Mean, or blinded()")
    for one in units:
        if one.within is not None:
            raise ValueError(f"{one} is off in a range alone, which no weights can say; use blinded()")


def _constant(filling: Any) -> float | Tensor:
    values = filling.values if isinstance(filling, Constant) else None
    if isinstance(values, float) or (isinstance(values, Tensor) and values.dim() < 2):
        return values.double().cpu() if isinstance(values, Tensor) else values
    raise ValueError("fill differs between positions or passes; expected a number, or one a channel, (C,)")


def _without(
    made: nn.Module, net: nn.Module | Classifier, jobs: Sequence[Job]
) -> tuple[nn.Module, list[str], list[str]]:
    """The network without its units; the layers whose units went into weights, and those that got a module."""
    like = next((weight for weight in made.parameters() if weight.is_floating_point()), torch.empty(0))
    flow = _traced(made)
    if flow is None:
        return _followed(made, net, jobs, like)
    groups = _by_node(made, flow, jobs)
    folding = Folding(flow, set(groups))
    folded: list[str] = []
    added: list[str] = []
    for node, group in groups.items():
        edits = _folds(folding, node, group)
        for weight, values in [] if edits is None else edits:
            weight.copy_(values)
        names = list(dict.fromkeys(one.layer for one, _ in group))
        if edits is None:
            off = nn.Sequential(*(switch(*job, like) for job in group))
            place = next(place for place, given in flow.given.items() if given is node)
            made = inserted(made, place, flow.calls.get(place[0], 1), off)
        (added if edits is None else folded).extend(names)
    return made, folded, added


def _traced(network: nn.Module) -> Flow | None:
    try:
        return Flow(network)
    except Exception:  # whatever a forward pass does to something that is no tensor
        return None


def _by_node(made: nn.Module, flow: Flow, jobs: Sequence[Job]) -> dict[fx.Node, list[Job]]:
    """Units by what they are replaced in, in the order in which the network comes to them."""
    places = {place: order for order, place in enumerate(flow.given)}
    found = [(find_module(made, one.layer), (one, fill)) for one, fill in jobs]
    for place, (one, _) in found:
        if place not in places:
            raise ValueError(f"layer {one.layer!r} never runs as a module, or gives no tensor; see layers(net)")
    nodes = {node: order for order, node in enumerate(flow.graph.nodes)}
    found.sort(key=lambda job: (nodes[flow.given[job[0]]], places[job[0]]))
    groups: dict[fx.Node, list[Job]] = {}
    for place, job in found:
        groups.setdefault(flow.given[place], []).append(job)
    return groups


def _folds(folding: Folding, node: fx.Node, group: Sequence[Job]) -> list[tuple[Tensor, Tensor]] | None:
    channels, axes = folding.flow.channels(node), folding.flow.axes(node)
    if channels is None or axes is None:
        return None
    change = affine([one for one, _ in group], [fill for _, fill in group], channels, axes)
    return None if change is None else folding.at(node, change)


def _followed(
    made: nn.Module, net: nn.Module | Classifier, jobs: Sequence[Job], like: Tensor
) -> tuple[nn.Module, list[str], list[str]]:
    """A module behind each layer of a network that cannot be traced, in the order in which they finish."""
    ran = [row.name for row in layers(net)]
    names = {module: name for name, module in reversed(list(made.named_modules()))}
    found = []
    for one, fill in jobs:
        module, call = find_module(made, one.layer)
        name = names[module] + (f"#{call}" if call else "")
        if name not in ran:
            raise ValueError(f"layer {one.layer!r} never runs as a module; see layers(net)")
        found.append((ran.index(name), (module, call), switch(one, fill, like)))
    calls = {place[0]: sum(name.partition("#")[0] == names[place[0]] for name in ran) for _, place, _ in found}
    for order in sorted({order for order, *_ in found}):
        group = [(place, off) for when, place, off in found if when == order]
        made = inserted(made, group[0][0], calls[group[0][0][0]], nn.Sequential(*(off for _, off in group)))
    return made, [], list(dict.fromkeys(one.layer for one, _ in jobs))


def _trained_as(made: nn.Module, network: nn.Module) -> None:
    """Modules that took another's place are in its mode."""
    modes = {name: module.training for name, module in network.named_modules()}
    for name, module in made.named_modules():
        module.training = modes.get(name, module.training)


def _named(net: Classifier, units: Sequence[Units]) -> str:
    return f"{net.name} without {', '.join(map(repr, units))}" if units else net.name


def _told(units: Units) -> dict[str, Any]:
    """Units as JSON."""
    chosen = {"indices": list(units.indices)} if isinstance(units, Channels) else {"vectors": units.vectors.tolist()}
    return {"kind": type(units).__name__, "layer": units.layer, **chosen, "channel_axis": units.channel_axis}


__all__ = ["bake", "save"]
