"""Channels mapped to others, folded into the weights before a place in a network's graph, or behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import (
    BATCH_NORMS,
    CONVOLUTIONS,
    Flow,
    cat_axis,
    is_cat,
    is_flattening,
    is_in_place,
)
from optvis.features.units import Channels, Units

Edits: TypeAlias = list[tuple[Tensor, Tensor]]  # weights, and what is to be in them


@dataclass(frozen=True, eq=False)
class Affine:
    """a ↦ matrix · a + shift of the channels on one axis.

    Args:
        matrix: (C, C), float64.
        shift: (C,), float64.
        axis: of the channels, counted from 0.
        off: channels that it sets to their shift, (C,) of bool, where it leaves all others as they are; else None.
    """

    matrix: Tensor
    shift: Tensor
    axis: int
    off: Tensor | None

    def shifted(self, shift: Tensor) -> Affine:
        return Affine(self.matrix, shift, self.axis, self.off)

    def part(self, rows: slice) -> Affine:
        """Of some channels, where channels are switched off one by one."""
        if self.off is None:
            raise ValueError("channels that are mixed cannot be taken apart")
        return Affine(self.matrix[rows, rows], self.shift[rows], self.axis, self.off[rows])

    def among(self, before: int, behind: int) -> Affine:
        """The same, with so many channels before and behind that stay as they are."""
        matrix = torch.eye(before + len(self.matrix) + behind).to(self.matrix)
        matrix[before : before + len(self.matrix), before : before + len(self.matrix)] = self.matrix
        widened = torch.nn.functional.pad
        off = None if self.off is None else widened(self.off, (before, behind))
        return Affine(matrix, widened(self.shift, (before, behind)), self.axis, off)


def affine(units: Sequence[Units], fills: Sequence[float | Tensor], channels: int, axes: int) -> Affine | None:
    """What replacing units one after the other does to a layer's channels; None where their axes differ."""
    found = {(2 if axes == 3 else 1) if one.channel_axis is None else one.channel_axis % axes for one in units}
    if len(found) > 1:
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
    return Affine(matrix, shift, found.pop(), off if is_channelwise else None)


class Folding:
    """Where in a network's weights a map of channels can go.

    Args:
        flow: the network's graph.
        taken: nodes whose outputs are mapped themselves; no fold may pass them, or the order would be lost.
    """

    def __init__(self, flow: Flow, taken: set[fx.Node]) -> None:
        self.flow, self.taken = flow, taken

    def at(self, node: fx.Node, change: Affine) -> Edits | None:
        """New weights with which a node's readers see its channels mapped; None where no weights do."""
        edits = self.before(node, change)
        return self.behind(node, change) if edits is None else edits

    def before(self, node: fx.Node, change: Affine) -> Edits | None:
        """New weights with which a node itself gives its channels mapped."""
        flow = self.flow
        linear, norm = flow.own(node, (*CONVOLUTIONS, nn.Linear)), flow.own(node, BATCH_NORMS)
        if linear is not None:
            return self.rows(node, linear, change)
        if norm is not None:
            return _scaled(norm, change)
        if is_cat(node):
            return self.parts(node, change)
        source = flow.source(node)
        if source is None or source in self.taken:
            return None
        if flow.is_passing(node) or (flow.is_averaging(node) and self.on_map(source, change)):
            return self.before(source, change)
        if is_flattening(flow, node) and flow.is_single(source) and change.axis == 1:
            return self.before(source, change)
        if change.off is None:
            return None
        if flow.is_pointwise(node):
            fixed = torch.where(change.off, flow.applied(node, change.shift) == change.shift, True)
            return self.before(source, change) if bool(fixed.all()) else None
        if flow.is_pooling(node) and (_is_max(flow, node) or not bool(change.shift.any())):
            return self.before(source, change) if self.on_map(source, change) else None
        return None

    def behind(self, node: fx.Node, change: Affine) -> Edits | None:
        """New weights with which everything that reads a node sees its channels mapped."""
        users = list(node.users)
        if not users or (len(users) > 1 and any(is_in_place(self.flow, user) for user in users)):
            return None
        edits: Edits = []
        for user in users:
            some = self.read_by(user, node, change)
            if some is None:
                return None
            edits += some
        return edits

    def read_by(self, user: fx.Node, node: fx.Node, change: Affine) -> Edits | None:
        """The same for one of the readers."""
        flow = self.flow
        if user.all_input_nodes != [node] and not is_cat(user):
            return None
        linear, norm = flow.own(user, (*CONVOLUTIONS, nn.Linear)), flow.own(user, BATCH_NORMS)
        if linear is not None:
            return self.columns(node, linear, change)
        if norm is not None:
            return _set(norm, change)
        if user in self.taken:
            return None
        if is_cat(user):
            return self.joined(user, node, change)
        if flow.is_passing(user) or (flow.is_averaging(user) and self.on_map(node, change)):
            return self.behind(user, change)
        if is_flattening(flow, user) and change.axis == 1:
            return self.behind(user, change)
        if change.off is None:
            return None
        if flow.is_pointwise(user):
            return self.behind(user, change.shifted(torch.where(change.off, flow.applied(user, change.shift), 0.0)))
        if flow.is_pooling(user) and (_is_max(flow, user) or not bool(change.shift.any())):
            return self.behind(user, change) if self.on_map(node, change) else None
        return None

    def rows(self, node: fx.Node, layer: Any, change: Affine) -> Edits | None:
        """New weights of a convolution or linear layer that gives the channels mapped."""
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

    def columns(self, node: fx.Node, layer: Any, change: Affine) -> Edits | None:
        """New weights of a convolution or linear layer that reads its channels mapped."""
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

    def parts(self, node: fx.Node, change: Affine) -> Edits | None:
        """Each part of a concatenation by itself."""
        spans = self.spans(node, change)
        if spans is None or change.off is None:
            return None
        edits: Edits = []
        for part, rows in spans:
            own = set(part.users) == {node} and part not in self.taken
            some = self.before(part, change.part(rows)) if own and bool(change.off[rows].any()) else None
            if some is None and bool(change.off[rows].any()):
                return None
            edits += [] if some is None else some
        return edits

    def joined(self, user: fx.Node, node: fx.Node, change: Affine) -> Edits | None:
        """A part of a concatenation, in all that reads the whole."""
        spans = self.spans(user, change)
        if spans is None:
            return None
        total = spans[-1][1].stop
        rows = next(rows for part, rows in spans if part is node)
        return self.behind(user, change.among(rows.start, total - rows.stop))

    def spans(self, node: fx.Node, change: Affine) -> list[tuple[fx.Node, slice]] | None:
        """Which channels of a concatenation are whose."""
        parts, axes, axis = list(node.args[0]), self.flow.axes(node), cat_axis(node)  # type: ignore[arg-type]
        counts = [self.flow.channels(part) if isinstance(part, fx.Node) else None for part in parts]
        known = [count for count in counts if count is not None]
        fits = len(known) == len(counts) == len(set(parts)) and axes is not None and isinstance(axis, int)
        if not fits or axes is None or axis % axes != change.axis:
            return None
        ends = [sum(known[: place + 1]) for place in range(len(known))]
        spans = [slice(end - count, end) for end, count in zip(ends, known, strict=True)]
        return list(zip(parts, spans, strict=True))

    def on_map(self, node: fx.Node, change: Affine) -> bool:
        """Whether the channels are those of maps (B, C, H, W)."""
        return change.axis == 1 and self.flow.axes(node) == 4


def _scaled(norm: Any, change: Affine) -> Edits | None:
    """New weights of a batch normalisation that gives some channels constant."""
    if change.off is None or change.axis != 1 or norm.weight is None or len(norm.weight) != len(change.off):
        return None
    off, shift = change.off.to(norm.weight.device), change.shift.to(norm.weight)
    return [(norm.weight, torch.where(off, 0.0, norm.weight)), (norm.bias, torch.where(off, shift, norm.bias))]


def _set(norm: Any, change: Affine) -> Edits | None:
    """New weights of a batch normalisation that reads some channels as constant."""
    if change.off is None or norm.running_mean is None or norm.weight is None or len(norm.weight) != len(change.off):
        return None
    shift = change.shift.to(norm.weight.device)
    centred = (shift - norm.running_mean.double()) / (norm.running_var.double() + norm.eps).sqrt()
    return _scaled(norm, change.shifted(norm.weight.double() * centred + norm.bias.double()))


def _has_border(layer: Any, shift: Tensor) -> bool:
    """Whether a convolution meets zeros outside the image where the map would have put others."""
    padding = layer.padding if isinstance(layer.padding, str) else any(layer.padding)
    return bool(shift.any()) and padding not in (False, "valid")


def _is_max(flow: Flow, node: fx.Node) -> bool:
    return flow.is_pooling(node) and not flow.is_averaging(node) and not isinstance(flow.module(node), nn.AvgPool2d)
