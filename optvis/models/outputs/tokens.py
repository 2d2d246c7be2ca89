"""What the axes of tokens mean: which of a transformer's tokens are patches, and where in the image they are.

This file is the one place that knows it. A layer that gives tokens, (B, T, C), is read as a map of its patches,
(B, C, rows, columns), like a convolution's; the class token and the registers are read by name, "blocks.3@class".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optvis.models.outputs.attention import find_projection
from optvis.models.outputs.token_evidence import Grid, read_evidence, suggest_prefix
from optvis.objectives.layout import ALL, CLASS, HEADS, INPUT, PATCHES, REGISTERS, mark_channels, split_tokens


@dataclass(frozen=True)
class TokenLayout:
    """The order of a layer's tokens: classes, registers, then patches row by row.

    Args:
        classes: number of class tokens, a distillation token included.
        registers: number of registers.
        grid: rows and columns of patches.

    Example:
        >>> layout = TokenLayout(1, 2, (2, 3))
        >>> tokens = torch.arange(9.0).view(1, 9, 1)
        >>> layout.select(tokens, "patches")
        tensor([[[[3., 4., 5.],
                  [6., 7., 8.]]]])
        >>> layout.select(tokens, "class"), layout.select(tokens, "registers").flatten()
        (tensor([[0.]]), tensor([1., 2.]))
    """

    classes: int
    registers: int
    grid: Grid

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches."""
        return self.classes + self.registers

    def span(self, tokens: str) -> tuple[int, int | None]:
        """The first of some tokens, and the one after the last; None for the end."""
        spans = {PATCHES: (self.prefix, None), CLASS: (0, self.classes), REGISTERS: (self.classes, self.prefix)}
        return spans.get(tokens, (0, None))

    def select(self, a: Tensor, tokens: str) -> Tensor:
        """Select tokens of a layer, (B, T, C).

        Returns:
            Patches (B, C, rows, columns); the class token (B, C), or several (B, T, C); registers (B, T, C); all
            (B, T, C), as they are.

        Raises:
            ValueError: the layer has no such tokens.
        """
        if tokens == ALL:
            return a
        first, last = self.span(tokens)
        if tokens == PATCHES:
            return a[:, first:].mT.reshape(len(a), a.shape[2], *self.grid)
        if first == last:
            what = "is no class token" if tokens == CLASS else "are no registers"
            raise ValueError(
                f"there {what}: the layer gives {self.classes} class tokens, {self.registers} registers and "
                f"{self.grid[0]} × {self.grid[1]} patches"
            )
        return a[:, 0] if tokens == CLASS and self.classes == 1 else a[:, first:last]

    def restore(self, chosen: Tensor, a: Tensor, tokens: str) -> Tensor:
        """Put tokens back among the others: the inverse of `select`, (B, T, C).

        Args:
            chosen: as `select(a, tokens)` returns them.
            a: the layer's output, which has the other tokens.
        """
        if tokens == ALL:
            return chosen
        chosen = chosen.flatten(2).mT if tokens == PATCHES else chosen
        return replace_span(a, self.span(tokens), chosen.unsqueeze(1) if chosen.dim() == 2 else chosen)


def replace_span(a: Tensor, span: tuple[int, int | None], new: Tensor) -> Tensor:
    """Replace some successive tokens of (B, T, C)."""
    first, last = span
    rest = [] if last is None else [a[:, last:]]
    return torch.cat([a[:, :first], new, *rest], 1)


@dataclass(frozen=True)
class LayerView:
    """How a layer's output is read, and put back.

    Args:
        layer: its name, with the tokens that are meant.
        layout: of its tokens; None where it gives none, and is read as it is.
        tokens: which are meant.
        heads: number of heads that the channels are split into, (B, heads, ...); 0 for none.
    """

    layer: str
    layout: TokenLayout | None
    tokens: str
    heads: int = 0

    def read(self, a: Tensor) -> Tensor:
        """What the library sees of a layer's output; a map of patches is marked as one with channels on axis 1."""
        selects = self.layout is not None and self.tokens != ALL
        found = self.layout.select(a, self.tokens) if self.layout is not None and selects else a
        if self.heads:
            first = found.movedim(-1, 1) if not (selects and self.tokens == PATCHES) else found
            return first.reshape(len(a), self.heads, -1, *first.shape[2:])
        if selects and self.tokens == PATCHES:
            mark_channels(found, 1, self.layer)
        return found

    def restore(self, found: Tensor, a: Tensor) -> Tensor:
        """What the layer returns instead of `a`, where the library sees `found` instead of `read(a)`."""
        if self.heads:
            first = found.flatten(1, 2)
            is_map = self.layout is not None and self.tokens == PATCHES
            found = first if is_map else first.movedim(1, -1)
        return found if self.layout is None else self.layout.restore(found, a, self.tokens)


def view_layer(network: nn.Module, layer: str, a: Tensor, size: Grid | None) -> LayerView:
    """Find out how a layer's output is read.

    Args:
        network: in which the layer is.
        layer: its name, which may end in the tokens that are meant.
        a: its output.
        size: rows and columns of the network's input in pixels; None where they are not known.

    Raises:
        ValueError: the name asks for tokens, and the layer gives none that are known.
    """
    name, tokens = split_tokens(layer)
    heads = find_projection(network, name)[1] if name.endswith(HEADS) else 0
    layout = find_layout(network, a, size) if a.dim() == 3 and tokens != ALL else None
    if layout is None and tokens not in (None, ALL):
        raise ValueError(
            f"layer {name!r} gives {tuple(a.shape)}, which are no tokens of known places, so it has no {tokens!r}; "
            f"where they are tokens, say how many come before the patches: {suggest_prefix(a.shape[1])}"
        )
    return LayerView(layer, layout, PATCHES if tokens is None else tokens, heads)


def whole_layer(network: nn.Module, layer: str) -> str:
    """The name under which `read_activations` gives a layer's whole output, as the network computes it."""
    name, _ = split_tokens(layer)
    return f"{find_projection(network, name)[0]}{INPUT}@{ALL}" if name.endswith(HEADS) else f"{name}@{ALL}"


def find_layout(network: nn.Module, a: Tensor, size: Grid | None) -> TokenLayout | None:
    """The layout of tokens (B, T, C) that a layer gives; None where the network says nothing of them that fits.

    Networks say it by the parameters that hold their class tokens and registers, and by the module that makes patches.
    The number of tokens has to fit; layers before the prefix is added have patches alone. Where a later stage has fewer
    patches, it has other channels; fewer with the same channels are a part of them, as in a masked autoencoder, and no
    map.
    """
    evidence = read_evidence(network)
    if evidence is None:
        return None
    count = a.shape[1]
    for classes, registers in dict.fromkeys(
        [(evidence.classes, evidence.registers), (0, 0), (evidence.classes, 0), (0, evidence.registers)]
    ):
        for grid in evidence.grids(size, count - classes - registers, a.shape[2]):
            if grid[0] * grid[1] == count - classes - registers:
                return TokenLayout(classes, registers, grid)
    return None
