"""Affine maps of channels, folded into the weights before a node of a network's graph, or behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from optvis.ablation.baking.dataflow import BATCH_NORMS, CONVOLUTIONS, DataFlow, is_cat, is_flattening, is_in_place
from optvis.ablation.fills import Constant, Scaled, check_length
from optvis.features.projection import AffineUnits
from optvis.features.units import Channels

Job: TypeAlias = tuple[AffineUnits, Constant | Scaled]  # units, and what replaces them: factor · a + values
Edits: TypeAlias = list[tuple[Tensor, Tensor]]  # weights, and their new values


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """The affine map a ↦ matrix · a + shift of the channels on one axis.

    Args:
        matrix: (C, C), float64.
        shift: (C,), float64.
        axis: of the channels, counted from 0.
        off: where the map sets some channels to constants and keeps the others: which, (C,) of bool; else None.
    """

    matrix: Tensor
    shift: Tensor
    axis: int
    off: Tensor | None

    def restrict(self, rows: slice) -> ChannelMap:
        """The map of some of the channels; only for maps that switch channels off one by one."""
        if self.off is None:
            raise ValueError("a map that mixes channels cannot be restricted to some of them")
        return ChannelMap(self.matrix[rows, rows], self.shift[rows], self.axis, self.off[rows])

    def embed(self, before: int, behind: int) -> ChannelMap:
        """The map of more channels: those before and behind stay as they are."""
        matrix = torch.eye(before + len(self.matrix) + behind, dtype=torch.float32, device="cpu").to(self.matrix)
        own = slice(before, before + len(self.matrix))
        matrix[own, own] = self.matrix
        off = None if self.off is None else F.pad(self.off, (before, behind))
        return ChannelMap(matrix, F.pad(self.shift, (before, behind)), self.axis, off)


def build_channel_map(jobs: Sequence[Job], channels: int, axes: int) -> ChannelMap | None:
    """Build the map that replaces units of a layer one after the other; None if their channel axes differ."""
    axis = {(2 if axes == 3 else 1) if one.channel_axis is None else one.channel_axis % axes for one, _ in jobs}
    if len(axis) > 1:
        return None
    matrix = torch.eye(channels, dtype=torch.float64, device="cpu")
    shift = torch.zeros(channels, dtype=torch.float64, device="cpu")
    off = torch.zeros(channels, dtype=torch.bool, device="cpu")
    for one, fill in jobs:
        projection = one.projector(channels).cpu()
        keep = torch.eye(channels, dtype=torch.float64, device="cpu") - (1 - fill.factor) * projection
        if isinstance(fill.values, Tensor):
            check_length(len(fill.values), channels)
        constant = torch.as_tensor(fill.values, dtype=torch.float64, device="cpu").expand(channels)
        matrix, shift = keep @ matrix, keep @ shift + projection @ constant
        off |= projection.diagonal() == 1
    is_channelwise = all(isinstance(one, Channels) and fill.factor == 0 for one, fill in jobs)
    return ChannelMap(matrix, shift, axis.pop(), off if is_channelwise else None)


class WeightFolding:
    """Folds maps of channels into a network's weights.

    Args:
        flow: the network's graph.
        mapped: nodes whose outputs are mapped; a fold must not pass them, which would change the order of the maps.
    """

    def __init__(self, flow: DataFlow, mapped: set[fx.Node]) -> None:
        self.flow, self.mapped = flow, mapped

    def fold(self, node: fx.Node, change: ChannelMap) -> Edits | None:
        """New weights that map the channels of a node's output for all nodes that use it; None if there are none."""
        edits = self.fold_before(node, change)
        return self.fold_behind(node, change) if edits is None else edits

    def fold_before(self, node: fx.Node, change: ChannelMap) -> Edits | None:
        """New weights with which the node itself returns its channels mapped."""
        flow = self.flow
        linear, norm = flow.own_module(node, (*CONVOLUTIONS, nn.Linear)), flow.own_module(node, BATCH_NORMS)
        if linear is not None:
            return self.edit_rows(node, linear, change)
        if norm is not None:
            return _edit_norm_outputs(norm, change)
        if is_cat(node):
            return self.fold_parts(node, change)
        source = flow.source(node)
        if source is None or source in self.mapped or (is_flattening(flow, node) and not flow.is_single(source)):
            return None
        passes = self.passes(node, source, change)
        if change.off is not None and flow.is_pointwise(node):
            fixed = torch.where(change.off, flow.apply_pointwise(node, change.shift) == change.shift, True)
            passes = passes or bool(fixed.all())
        return self.fold_before(source, change) if passes else None

    def fold_behind(self, node: fx.Node, change: ChannelMap) -> Edits | None:
        """New weights with which all nodes that use a node map its channels."""
        users = list(node.users)
        if not users or (len(users) > 1 and any(is_in_place(self.flow, user) for user in users)):
            return None
        edits: Edits = []
        for user in users:
            own = self.fold_user(user, node, change)
            if own is None:
                return None
            edits += own
        return edits

    def fold_user(self, user: fx.Node, node: fx.Node, change: ChannelMap) -> Edits | None:
        """The same for one of the nodes that use it."""
        flow = self.flow
        if user.all_input_nodes != [node] and not is_cat(user):
            return None
        linear, norm = flow.own_module(user, (*CONVOLUTIONS, nn.Linear)), flow.own_module(user, BATCH_NORMS)
        if linear is not None:
            return self.edit_columns(node, linear, change)
        if norm is not None:
            return _edit_norm_inputs(norm, change)
        if user in self.mapped:
            return None
        if is_cat(user):
            return self.fold_whole(user, node, change)
        if self.passes(user, node, change):
            return self.fold_behind(user, change)
        if change.off is None or not flow.is_pointwise(user):
            return None
        shift = torch.where(change.off, flow.apply_pointwise(user, change.shift), 0.0)
        return self.fold_behind(user, replace(change, shift=shift))

    def passes(self, node: fx.Node, source: fx.Node, change: ChannelMap) -> bool:
        """Whether a map of a node's input has the same effect as the map of its output, whatever the weights."""
        flow = self.flow
        if flow.is_identity(node) or (is_flattening(flow, node) and change.axis == 1):
            return True
        keeps_shift = change.off is not None and (_is_max(flow, node) or not bool(change.shift.any()))
        is_exact = flow.is_averaging(node) or (flow.is_pooling(node) and keeps_shift)
        return is_exact and change.axis == 1 and flow.axes(source) == 4

    def edit_rows(self, node: fx.Node, layer: Any, change: ChannelMap) -> Edits | None:
        """New weights of a convolution or linear layer that returns the channels mapped."""
        axes = self.flow.axes(node)
        last = axes is not None and change.axis == axes - 1
        fits = len(change.shift) == len(layer.weight) and (last if isinstance(layer, nn.Linear) else change.axis == 1)
        if not fits or (change.off is None and getattr(layer, "groups", 1) > 1):
            return None
        matrix, shift = change.matrix.to(layer.weight.device), change.shift.to(layer.weight.device)
        edits = [(layer.weight, torch.tensordot(matrix, layer.weight.double(), 1))]
        if layer.bias is not None:
            return [*edits, (layer.bias, matrix @ layer.bias.double() + shift)]
        return None if bool(shift.any()) else edits

    def edit_columns(self, node: fx.Node, layer: Any, change: ChannelMap) -> Edits | None:
        """New weights of a convolution or linear layer that maps the channels of its input."""
        matrix, shift = change.matrix.to(layer.weight.device), change.shift.to(layer.weight.device)
        channels, weight = len(shift), layer.weight.detach().double()
        if isinstance(layer, nn.Linear):
            axes = self.flow.axes(node)
            if axes is None or change.axis != axes - 1 or weight.shape[1] % channels:
                return None
            weight = weight.unflatten(1, (channels, -1))
        elif layer.groups > 1 or change.axis != 1 or weight.shape[1] != channels or _has_border(layer, shift):
            return None
        edits = [(layer.weight, torch.einsum("oi...,ij->oj...", weight, matrix).reshape(layer.weight.shape))]
        added = torch.einsum("oi...,i->o", weight, shift)
        if layer.bias is not None:
            return [*edits, (layer.bias, layer.bias.double() + added)]
        return None if bool(added.any()) else edits

    def fold_parts(self, node: fx.Node, change: ChannelMap) -> Edits | None:
        """New weights that map each part of a concatenation by itself."""
        spans = self.spans(node, change)
        if spans is None or change.off is None:
            return None
        edits: Edits = []
        for part, rows in spans:
            if not bool(change.off[rows].any()):
                continue
            is_own = set(part.users) == {node} and part not in self.mapped
            own = self.fold_before(part, change.restrict(rows)) if is_own else None
            if own is None:
                return None
            edits += own
        return edits

    def fold_whole(self, user: fx.Node, node: fx.Node, change: ChannelMap) -> Edits | None:
        """New weights that map one part of a concatenation in all nodes that use the whole."""
        spans = self.spans(user, change)
        if spans is None:
            return None
        rows = dict(spans)[node]
        return self.fold_behind(user, change.embed(rows.start, spans[-1][1].stop - rows.stop))

    def spans(self, node: fx.Node, change: ChannelMap) -> list[tuple[fx.Node, slice]] | None:
        """The channels of each part of a concatenation; None if unknown, or not concatenated along channels."""
        parts, axes = list(node.args[0]), self.flow.axes(node)  # type: ignore[arg-type]
        axis: Any = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        counts = [self.flow.channels(part) if isinstance(part, fx.Node) else None for part in parts]
        known = [count for count in counts if count is not None]
        fits = len(known) == len(counts) == len(set(parts)) and axes is not None and isinstance(axis, int)
        if not fits or axes is None or axis % axes != change.axis:
            return None
        spans = [slice(end - count, end) for end, count in zip(accumulate(known), known, strict=True)]
        return list(zip(parts, spans, strict=True))


def _edit_norm_outputs(norm: Any, change: ChannelMap) -> Edits | None:
    """New weights of a batch normalisation that returns some channels constant."""
    if change.off is None or change.axis != 1 or norm.weight is None or len(norm.weight) != len(change.off):
        return None
    off, shift = change.off.to(norm.weight.device), change.shift.to(norm.weight)
    return [(norm.weight, torch.where(off, 0.0, norm.weight)), (norm.bias, torch.where(off, shift, norm.bias))]


def _edit_norm_inputs(norm: Any, change: ChannelMap) -> Edits | None:
    """New weights of a batch normalisation for which some channels of its input are constant."""
    if change.off is None or norm.running_mean is None or norm.weight is None or len(norm.weight) != len(change.off):
        return None
    shift = change.shift.to(norm.weight.device)
    centered = (shift - norm.running_mean.double()) / (norm.running_var.double() + norm.eps).sqrt()
    return _edit_norm_outputs(norm, replace(change, shift=norm.weight.double() * centered + norm.bias.double()))


def _has_border(layer: Any, shift: Tensor) -> bool:
    """Whether a convolution pads with zeros, which the map would not leave at zero."""
    padding = layer.padding if isinstance(layer.padding, str) else any(layer.padding)
    return bool(shift.any()) and padding not in (False, "valid")


def _is_max(flow: DataFlow, node: fx.Node) -> bool:
    return flow.is_pooling(node) and not flow.is_averaging(node) and not isinstance(flow.module(node), nn.AvgPool2d)
