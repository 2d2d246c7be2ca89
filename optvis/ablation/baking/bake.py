"""`bake`: a copy of a network without some units, in its weights where possible, else with inserted modules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import DataFlow
from optvis.ablation.baking.modules import OffModules, build_off_module, insert_module
from optvis.ablation.baking.weight_folding import Edits, Job, WeightFolding, build_channel_map
from optvis.ablation.blinded import bare_network, check_units, is_ablated
from optvis.ablation.fills import (
    Constant,
    FillLike,
    Gaussian,
    Noise,
    Replacement,
    Resampled,
    Scaled,
    resolve_fill,
)
from optvis.ablation.units_json import units_to_json
from optvis.data.files import ensure_dir
from optvis.data.own_files import KIND, write_own_files
from optvis.errors import warn_user
from optvis.features.feature_network import FeatureNetwork
from optvis.features.projection import AffineUnits
from optvis.features.units import Units
from optvis.models.activations import input_size, read_activations
from optvis.models.borrow import borrow, lock, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier, infer_classifier
from optvis.models.layers import find_module, layers
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.token_evidence import read_evidence
from optvis.models.outputs.tokens import view_layer, whole_layer
from optvis.models.provenance import provenance
from optvis.objectives.autoencoder import copy_detached
from optvis.objectives.layout import channels_first, name_call, takes_input
from optvis.viz.tensor_file import encode_tensors

Model = TypeVar("Model", bound=nn.Module | Classifier)
Spans: TypeAlias = Mapping[str, tuple[int, int | None]]
SUFFIX = ".safetensors"
BAKED_KIND = "baked network"  # what `read_kind` reads from the file


@plain_mode()
def bake(model: Model, *units: Units, fill: FillLike = None, normalize: Normalizer | str = INFER) -> Model:
    """Copy a network without some units: the copy computes what the `blinded` network does, without any hook.

    The results are equal in eval mode, up to rounding. The ablation goes into the weights of the convolution, linear
    layer or batch normalisation that computes the units, or of those that use them: through ReLU, pooling, dropout,
    flattening and concatenation where that is exact. Elsewhere, as behind a residual sum, a small module is inserted
    behind the layer. The copy can be exported with torch.export. Its attribute `baked` holds the recipe.

    Args:
        model: a network, or a Classifier. It is not changed.
        units: what to switch off, see `blinded`.
        fill: what replaces the units: a number, a tensor (C,), a mapping, `Mean`, `Optimal` or `Scaled`; see `blinded`.
        normalize: see `render`; by default the model's own. Only a fill that is measured on images needs it.

    Returns:
        A network, or a Classifier whose name lists the units.

    Raises:
        KeyError, TypeError: as in `blinded`.
        IndexError, ValueError: a channel that the layer does not have, directions of another length.
        ValueError: noise or other images as fill, features of an autoencoder, or units that are off `within` a range,
            which weights cannot express; a layer that never runs; a network inside a `blinded` block, or from
            `expose_features`.

    Example:
        >>> from optvis import Channels
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> baked = bake(net, Channels("1", [0, 2]))
        >>> baked[0].bias[[0, 2]].abs().max().item(), baked.baked["folded"]
        (0.0, ['1'])
    """
    network = bare_network(model)
    check_units(network, units)
    with lock(network):  # another thread may have it in eval mode, or without units
        own = _check_bakeable(network, units, fill)
        fills = [_check_affine(replacement) for replacement in resolve_fill(fill, model, units, normalize)]
        baked = copy_detached(network)
        spans = _find_spans(model, own, normalize)
    with borrow(baked), torch.no_grad():
        baked, folded, inserted = _remove_units(baked, model, list(zip(own, fills, strict=True)), spans)
    _copy_training_modes(network, baked)
    baked.baked = provenance(  # type: ignore[assignment]
        _describe_model(model, normalize),
        "bake",
        units=[units_to_json(one) for one in units],
        fills=list(map(_fill_to_json, fills)),
        folded=folded,
        inserted=inserted,
    )
    if isinstance(model, Classifier):
        name = f"{model.name} without {', '.join(map(repr, units))}" if units else model.name
        return replace(model, network=baked, name=name)
    return baked  # type: ignore[return-value]


def save_baked(model: nn.Module | Classifier, path: str | Path) -> Path:
    """Save a baked network's weights as safetensors, with the recipe in the file.

    Where all units went into weights, `load(path, architecture=...)` loads the file into the same architecture.

    Args:
        model: what `bake` returned.
        path: ends in .safetensors; missing folders are created.

    Returns:
        The path.

    Raises:
        ValueError: a network that is not baked, or another suffix.
        FileExistsError: the file exists and holds no baked network.
        OSError: the folder cannot be written.

    Warns:
        UserWarning: the network has inserted modules, which the original architecture lacks.
    """
    network, target = bare_network(model), Path(path)
    recipe = getattr(network, "baked", None)
    if not isinstance(recipe, dict):
        raise ValueError(
            "this network is not baked; save_baked(bake(model, *units), path), or save its state_dict() yourself"
        )
    if target.suffix.casefold() != SUFFIX:
        raise ValueError(f"weights are saved as safetensors: give a path ending in {SUFFIX}, not {str(path)!r}")
    if recipe["inserted"]:
        names = ", ".join(map(repr, recipe["inserted"]))
        cure = "to read the file, bake the same units again and load_state_dict() it into that network"
        warn_user(f"modules were inserted behind {names}, which {recipe['network']} lacks: {cure}")
    ensure_dir(target.parent)
    weights = encode_tensors(network.state_dict(), {"baked": json.dumps(recipe), KIND: BAKED_KIND})
    write_own_files({target: (BAKED_KIND, weights)})
    return target


def _check_bakeable(network: nn.Module, units: Sequence[Units], fill: FillLike) -> list[AffineUnits]:
    """Return the units, or raise ValueError where weights cannot express them or their fill."""
    own: list[AffineUnits] = []
    if isinstance(network, FeatureNetwork):
        raise ValueError(
            "the network has the codes of an autoencoder as a layer, which weights cannot express; bake the network "
            "itself, or use blinded()"
        )
    if is_ablated(network):
        raise ValueError("the network is inside a blinded() block; bake all units together, outside of the block")
    if isinstance(fill, Noise | Gaussian | Resampled):
        raise ValueError(
            f"{type(fill).__name__} is drawn anew in each pass, which weights cannot express; use Mean, or blinded()"
        )
    for one in units:
        if not isinstance(one, AffineUnits):
            raise ValueError(f"{one} needs its autoencoder in each pass, which weights cannot express; use blinded()")
        if takes_input(one.layer):
            raise ValueError(f"{one} are in what a module takes, where nothing can be inserted; use blinded()")
        if one.within is not None:
            raise ValueError(f"{one} is off within a range only, which weights cannot express; use blinded()")
        own.append(one)
    return own


def _check_affine(replacement: Replacement) -> Constant | Scaled:
    if isinstance(replacement, Scaled):
        return replacement
    values = replacement.values if isinstance(replacement, Constant) else None
    if isinstance(values, float) or (isinstance(values, Tensor) and values.dim() < 2):
        return Constant(values.double().cpu() if isinstance(values, Tensor) else values)
    raise ValueError("fill differs between positions or passes; expected a number, or one per channel, (C,)")


def _fill_to_json(fill: Constant | Scaled) -> Any:
    if isinstance(fill, Scaled):
        return {"factor": float(fill.factor)}
    return fill.values.tolist() if isinstance(fill.values, Tensor) else fill.values


def _find_spans(model: nn.Module | Classifier, units: Sequence[AffineUnits], normalize: Normalizer | str) -> Spans:
    """The tokens that units are replaced in, by layer, where these are not all positions of the layer.

    Raises:
        ValueError: a layer whose channels are certainly on another axis than that of its units.
    """
    network = bare_network(model)
    may_be_last = any(isinstance(module, nn.LayerNorm) for module in network.modules())
    if not units or not (read_evidence(network) is not None or may_be_last):
        return {}
    classifier, names = _describe_model(model, normalize), {one.layer for one in units}
    raw = {name: whole_layer(network, name) for name in names}
    with borrow(classifier.network), torch.no_grad():
        inputs = classifier.preprocess(classifier.gray_image())
        found = read_activations(classifier.network, inputs, raw.values())
        for one in units:
            if found[raw[one.layer]].dim() == 4:
                channels_first(found[raw[one.layer]], one.channel_axis)
    views = [view_layer(classifier.network, name, found[raw[name]], input_size(inputs)) for name in names]
    return {view.layer: view.layout.span(view.tokens) for view in views if view.layout is not None}


def _remove_units(
    baked: nn.Module, model: nn.Module | Classifier, jobs: Sequence[Job], spans: Spans
) -> tuple[nn.Module, list[str], list[str]]:
    """Return the network without the units, the layers folded into weights, and those with inserted modules."""
    like = next(
        (weight for weight in baked.parameters() if weight.is_floating_point()),
        torch.empty(0, dtype=torch.float32, device="cpu"),
    )
    try:
        flow = DataFlow(baked)
    except Exception:  # a forward pass may raise anything for something that is no tensor
        return _insert_modules(baked, model, jobs, like, spans)
    groups = _group_by_node(baked, flow, jobs)
    folding = WeightFolding(flow, set(groups))
    folded: list[str] = []
    inserted: list[str] = []
    for node, group in groups.items():
        edits = None if any(one.layer in spans for one, _ in group) else _fold(folding, node, group)
        for weight, values in edits or ():
            weight.copy_(values)
        names = list(dict.fromkeys(one.layer for one, _ in group))
        if edits is None:
            off = OffModules(*(build_off_module(*job, like, spans.get(job[0].layer)) for job in group))
            place = next(place for place, output in flow.outputs.items() if output is node)
            baked = insert_module(baked, place, flow.calls.get(place[0], 1), off)
        (inserted if edits is None else folded).extend(names)
    return baked, folded, inserted


def _group_by_node(baked: nn.Module, flow: DataFlow, jobs: Sequence[Job]) -> dict[fx.Node, list[Job]]:
    """Units by the node that they are replaced in, in the order in which the nodes run."""
    places = {place: order for order, place in enumerate(flow.outputs)}
    located = [(find_module(baked, one.layer), (one, fill)) for one, fill in jobs]
    for place, (one, _) in located:
        if place not in places:
            raise ValueError(f"layer {one.layer!r} never runs as a module, or gives no tensor; see layers(model)")
    nodes = {node: order for order, node in enumerate(flow.graph.nodes)}
    located.sort(key=lambda item: (nodes[flow.outputs[item[0]]], places[item[0]]))
    groups: dict[fx.Node, list[Job]] = {}
    for place, job in located:
        groups.setdefault(flow.outputs[place], []).append(job)
    return groups


def _fold(folding: WeightFolding, node: fx.Node, group: Sequence[Job]) -> Edits | None:
    channels, axes = folding.flow.channels(node), folding.flow.axes(node)
    if channels is None or axes is None:
        return None
    change = build_channel_map(group, channels, axes)
    return None if change is None else folding.fold(node, change)


def _insert_modules(
    baked: nn.Module, model: nn.Module | Classifier, jobs: Sequence[Job], like: Tensor, spans: Spans
) -> tuple[nn.Module, list[str], list[str]]:
    """Insert a module behind each layer of a network that cannot be traced, in the order in which they finish."""
    order = [row.name for row in layers(model)]
    names = {module: name for name, module in reversed(list(baked.named_modules()))}
    located = []
    for one, fill in jobs:
        module, call = find_module(baked, one.layer)
        name = name_call(names[module], call)
        if name not in order:
            raise ValueError(f"layer {one.layer!r} never runs as a module; see layers(model)")
        off = build_off_module(one, fill, like, spans.get(one.layer))
        located.append((order.index(name), (module, call), off))
    calls = {place[0]: sum(name.partition("#")[0] == names[place[0]] for name in order) for _, place, _ in located}
    for index in sorted({index for index, *_ in located}):
        group = [(place, off) for own, place, off in located if own == index]
        place = group[0][0]
        baked = insert_module(baked, place, calls[place[0]], OffModules(*(off for _, off in group)))
    return baked, [], list(dict.fromkeys(one.layer for one, _ in jobs))


def _copy_training_modes(network: nn.Module, baked: nn.Module) -> None:
    """Put modules that replaced others into the mode of those."""
    modes = {name: module.training for name, module in network.named_modules()}
    for name, module in baked.named_modules():
        module.training = modes.get(name, module.training)


def _describe_model(model: nn.Module | Classifier, normalize: Normalizer | str) -> Classifier:
    """The model as a Classifier; a bare network of unknown normalisation has none, since baking needs no images."""
    is_unknown = isinstance(model, nn.Module) and isinstance(normalize, str) and infer_classifier(model) is None
    return Classifier(model, None) if is_unknown else as_classifier(model, normalize)  # type: ignore[arg-type]
