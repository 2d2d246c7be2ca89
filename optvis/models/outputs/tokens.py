"""What the axes of tokens mean: which of a transformer's tokens are patches, and where in the image they are.

This file is the one place that knows it. A layer that gives tokens, (B, T, C), is read as a map of its patches,
(B, C, rows, columns), like a convolution's; the class token and the registers are read by name, "blocks.3@class".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from optvis.errors import warn_user
from optvis.models.adapted.network import original_of
from optvis.models.hooks import intercept
from optvis.models.outputs.attention import find_projection
from optvis.models.outputs.axes import mark_channel_axis
from optvis.objectives.layout import ALL, CLASS, HEADS, INPUT, PATCHES, REGISTERS, mark_channels, split_tokens

#: Names of the parameters that hold tokens before the patches: of classes, then of registers.
CLASS_TOKENS = frozenset(
    {"cls_token", "class_token", "class_embedding", "cls_embedding", "dist_token", "distillation_token"}
)
REGISTER_TOKENS = frozenset({"reg_token", "reg_tokens", "register_token", "register_tokens", "storage_tokens"})
#: Names of the modules that make patches of an image, in timm, torchvision and transformers.
PATCH_EMBEDDINGS = frozenset({"patch_embed", "patch_embedding", "patch_embeddings", "conv_proj"})
MAX_HALVINGS = 4  # of the patches' grid, by networks with stages such as Swin

Grid = tuple[int, int]


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


def has_tokens(network: nn.Module) -> bool:
    """Whether a network says anything of tokens."""
    return _read_evidence(network) is not None


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
            "where they are tokens, say how many come before the patches: Classifier(..., prefix_tokens=1)"
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
    evidence = _read_evidence(network)
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


@dataclass(frozen=True)
class _Evidence:
    """What a network says of its tokens.

    Args:
        classes, registers: how many tokens come before the patches.
        convolution: the first of the patches' embedding: kernel, stride, padding and dilation of rows and columns.
        channels: that the patches' embedding makes.
        own_grid: patches of an image of the network's own size.
        is_declared: whether the caller has said how many tokens come first.
    """

    classes: int
    registers: int
    convolution: tuple[tuple[int, int, int, int], tuple[int, int, int, int]] | None
    channels: int | None
    own_grid: Grid | None
    is_declared: bool

    def grids(self, size: Grid | None, patches: int, channels: int) -> Iterator[Grid]:
        """Possible rows and columns of patches, of so many channels, the likeliest first."""
        if patches < 1:
            return
        whole = [] if size is None else list(self._grids_of(size))
        whole += [] if self.own_grid is None else [self.own_grid]
        for grid in whole:
            yield from [grid] if channels == self.channels else _halve(grid)
        side = round(patches**0.5)
        if self.is_declared or size is None:
            yield side, side

    def _grids_of(self, size: Grid) -> Iterator[Grid]:
        if self.convolution is None:
            return
        exact = tuple(
            (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for length, (kernel, stride, padding, dilation) in zip(size, self.convolution, strict=True)
        )
        padded = tuple(-(-length // stride) for length, (_, stride, _, _) in zip(size, self.convolution, strict=True))
        yield from dict.fromkeys(((exact[0], exact[1]), (padded[0], padded[1])))


def _halve(grid: Grid) -> Iterator[Grid]:
    """A grid, and those of later stages of a network that halves it."""
    found = {grid: None}
    current = [grid]
    for _ in range(MAX_HALVINGS):
        current = [
            (max(1, (rows + up) // 2), max(1, (columns + up) // 2)) for rows, columns in current for up in (1, 0)
        ]
        found |= dict.fromkeys(current)
    yield from found


_PREFIX_TOKENS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_EVIDENCE: WeakKeyDictionary[nn.Module, _Evidence | None] = WeakKeyDictionary()  # None: it says nothing


def set_prefix_tokens(network: nn.Module, count: int) -> None:
    """Say how many tokens of a network come before its patches: the class token, then registers.

    Raises:
        ValueError: a negative number.
    """
    if count < 0:
        raise ValueError(f"prefix_tokens is {count!r}; expected the number of tokens before the patches, 0 or more")
    original = original_of(network)
    if _PREFIX_TOKENS.get(original, count) != count:
        warn_user(
            f"prefix_tokens={count} replaces the {_PREFIX_TOKENS[original]} that another Classifier of this "
            f"{type(original).__name__} has declared: both read it with {count} from now on; declare one number, or "
            "copy the network"
        )
    _PREFIX_TOKENS[original] = count
    _EVIDENCE.pop(original, None)


def _read_evidence(network: nn.Module) -> _Evidence | None:
    original = original_of(network)
    if original not in _EVIDENCE:
        _EVIDENCE[original] = _collect_evidence(original)
    return _EVIDENCE[original]


def _collect_evidence(network: nn.Module) -> _Evidence | None:
    declared, embedding = _PREFIX_TOKENS.get(network), _find_embedding(network)
    if declared is None and embedding is None:
        return None
    classes, registers = _count_tokens(network, CLASS_TOKENS), _count_tokens(network, REGISTER_TOKENS)
    total = getattr(network, "num_prefix_tokens", None) if declared is None else declared
    if isinstance(total, int):
        registers = registers if declared is None else max(0, declared - 1)
        classes = max(0, total - registers)
    own_grid = getattr(embedding, "grid_size", None)
    is_grid = isinstance(own_grid, tuple) and len(own_grid) == 2
    own_grid, one = own_grid if is_grid else None, _find_convolution(embedding)
    settings, channels = (None, None) if one is None else (_read_convolution(one), one.out_channels)
    return _Evidence(classes, registers, settings, channels, own_grid, declared is not None)


def _find_embedding(network: nn.Module) -> nn.Module | None:
    """The module that makes patches of the image."""
    named = ((name.rpartition(".")[2], module) for name, module in network.named_modules())
    return next((m for name, m in named if name in PATCH_EMBEDDINGS or type(m).__name__ == "PatchEmbed"), None)


def _find_convolution(embedding: nn.Module | None) -> nn.Conv2d | None:
    """The convolution that makes patches; None where there is none, or several."""
    found = [] if embedding is None else [each for each in embedding.modules() if isinstance(each, nn.Conv2d)]
    return found[0] if len(found) == 1 else None


def _read_convolution(one: nn.Conv2d) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Kernel, stride, padding and dilation of rows and of columns."""
    paddings = (0, 0) if isinstance(one.padding, str) else one.padding
    rows, columns = (
        (one.kernel_size[axis], one.stride[axis], int(paddings[axis]), one.dilation[axis]) for axis in (0, 1)
    )
    return rows, columns


def _count_tokens(network: nn.Module, names: frozenset[str]) -> int:
    """How many tokens the parameters of some names hold, each of the last axis."""
    found = {
        id(weight): weight.numel() // weight.shape[-1]
        for name, weight in network.named_parameters()
        if name.rpartition(".")[2] in names and weight.dim()
    }
    return sum(found.values())


@contextmanager
def note_size(network: nn.Module) -> Iterator[Callable[[], Grid | None]]:
    """Inside, note the size of a network's input; yields a function that returns it, (H, W), or None."""
    sizes: list[Grid] = []

    def note(values: tuple[Any, ...]) -> None:
        sizes[:] = [(a.shape[2], a.shape[3]) for a in values[:1] if isinstance(a, Tensor) and a.dim() == 4]

    roots = dict.fromkeys((network, original_of(network)))
    with intercept(network, {}, before={(root, 0): note for root in roots}):
        yield lambda: sizes[0] if sizes else None


def change_view(
    network: nn.Module,
    module: nn.Module,
    layer: str,
    change: Callable[[Any], Any],
    read_size: Callable[[], Grid | None],
    output: Any,
) -> Any:
    """Apply a change to what the library sees of a layer's output; what is no tensor goes to the change as it is.

    Args:
        network: in which the layer is.
        module: the layer's, or the network.
        layer: its name, which may end in the tokens that are meant.
        change: a function of what `read_activations` would read.
        read_size: see `note_size`.
        output: of the layer.

    Returns:
        The layer's whole output.
    """
    if not isinstance(output, Tensor):
        return change(output)
    size = read_size()
    mark_channel_axis(network, module, split_tokens(layer)[0], output, size)
    view = view_layer(network, layer, output, size)
    seen = view.read(output)
    new = change(seen)
    return output if new is seen else view.restore(new, output)
