"""ChannelMap maps of channels, folded into the weights before a node of a network's graph, or behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import (
    BATCH_NORMS,
    CONVOLUTIONS,
    DataFlow,
    cat_axis,
    is_cat,
    is_flattening,
    is_in_place,
)
from optvis.features.units import Channels, Units

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

    def with_shift(self, shift: Tensor) -> ChannelMap:
        """The same map with another shift."""
        return ChannelMap(self.matrix, shift, self.axis, self.off)

    def restrict(self, rows: slice) -> ChannelMap:
        """The map of some of the channels; only for maps that switch channels off one by one."""
        if self.off is None:
            raise ValueError("a map that mixes channels cannot be restricted to some of them")
        return ChannelMap(self.matrix[rows, rows], self.shift[rows], self.axis, self.off[rows])

    def embed(self, before: int, behind: int) -> ChannelMap:
        """The map of more channels: those before and behind stay as they are."""
        matrix = torch.eye(before + len(self.matrix) + behind).to(self.matrix)
        matrix[before : before + len(self.matrix), before : before + len(self.matrix)] = self.matrix
        pad = torch.nn.functional.pad
        off = None if self.off is None else pad(self.off, (before, behind))
        return ChannelMap(matrix, pad(self.shift, (before, behind)), self.axis, off)


def build_channel_map(
    units: Sequence[Units], fills: Sequence[float | Tensor], channels: int, axes: int
) -> ChannelMap | None:
    """Build the map that replaces units of a layer one after the other; None if their channel axes differ."""
    axis = {(2 if axes == 3 else 1) if one.channel_axis is None else one.channel_axis % axes for one in units}
    if len(axis) > 1:
        return None
    matrix, shift = torch.eye(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    off = torch.zeros(channels, dtype=torch.bool)
    for one, fill in zip(units, fills, strict=True):
        basis = one.basis(channels).cpu()
        projection = basis.T @ basis
        keep = torch.eye(channels, dtype=torch.float64) - projection
        constant = torch.as_tensor(fill, dtype=torch.float64, device="cpu").expand(channels)
        matrix, shift = keep @ matrix, keep @ shift + projection @ constant
        off |= projection.diagonal() == 1
    is_channelwise = all(isinstance(one, Channels) for one in units)
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
        if source is None or source in self.mapped:
            return None
        if flow.is_identity(node) or (flow.is_averaging(node) and self.is_on_map(source, change)):
            return self.fold_before(source, change)
        if is_flattening(flow, node) and flow.is_single(source) and change.axis == 1:
            return self.fold_before(source, change)
        if change.off is None:
            return None
        if flow.is_pointwise(node):
            fixed = torch.where(change.off, flow.apply_pointwise(node, change.shift) == change.shift, True)
            return self.fold_before(source, change) if bool(fixed.all()) else None
        if flow.is_pooling(node) and (_is_max(flow, node) or not bool(change.shift.any())):
            return self.fold_before(source, change) if self.is_on_map(source, change) else None
        return None

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
        if flow.is_identity(user) or (flow.is_averaging(user) and self.is_on_map(node, change)):
            return self.fold_behind(user, change)
        if is_flattening(flow, user) and change.axis == 1:
            return self.fold_behind(user, change)
        if change.off is None:
            return None
        if flow.is_pointwise(user):
            return self.fold_behind(
                user, change.with_shift(torch.where(change.off, flow.apply_pointwise(user, change.shift), 0.0))
            )
        if flow.is_pooling(user) and (_is_max(flow, user) or not bool(change.shift.any())):
            return self.fold_behind(user, change) if self.is_on_map(node, change) else None
        return None

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
        total = spans[-1][1].stop
        rows = next(rows for part, rows in spans if part is node)
        return self.fold_behind(user, change.embed(rows.start, total - rows.stop))

    def spans(self, node: fx.Node, change: ChannelMap) -> list[tuple[fx.Node, slice]] | None:
        """The channels of each part of a concatenation; None if unknown, or not concatenated along channels."""
        parts, axes, axis = list(node.args[0]), self.flow.axes(node), cat_axis(node)  # type: ignore[arg-type]
        counts = [self.flow.channels(part) if isinstance(part, fx.Node) else None for part in parts]
        known = [count for count in counts if count is not None]
        fits = len(known) == len(counts) == len(set(parts)) and axes is not None and isinstance(axis, int)
        if not fits or axes is None or axis % axes != change.axis:
            return None
        ends = [sum(known[: place + 1]) for place in range(len(known))]
        spans = [slice(end - count, end) for end, count in zip(ends, known, strict=True)]
        return list(zip(parts, spans, strict=True))

    def is_on_map(self, node: fx.Node, change: ChannelMap) -> bool:
        """Whether the channels are those of maps (B, C, H, W)."""
        return change.axis == 1 and self.flow.axes(node) == 4


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
    return _edit_norm_outputs(norm, change.with_shift(norm.weight.double() * centered + norm.bias.double()))


def _has_border(layer: Any, shift: Tensor) -> bool:
    """Whether a convolution pads with zeros, which the map would not leave at zero."""
    padding = layer.padding if isinstance(layer.padding, str) else any(layer.padding)
    return bool(shift.any()) and padding not in (False, "valid")


def _is_max(flow: DataFlow, node: fx.Node) -> bool:
    return flow.is_pooling(node) and not flow.is_averaging(node) and not isinstance(flow.module(node), nn.AvgPool2d)
