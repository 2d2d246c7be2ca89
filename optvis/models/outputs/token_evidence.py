"""What a transformer says of its tokens: how many come before the patches, and how the image is cut into these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from weakref import WeakKeyDictionary

from torch import nn

from optvis.errors import warn_user
from optvis.models.adapted.network import original_of

#: Names of the parameters that hold tokens before the patches: of classes, then of registers.
CLASS_TOKENS = frozenset(
    {"cls_token", "class_token", "class_embedding", "cls_embedding", "dist_token", "distillation_token"}
)
REGISTER_TOKENS = frozenset({"reg_token", "reg_tokens", "register_token", "register_tokens", "storage_tokens"})
#: Names of the modules that make patches of an image, in timm, torchvision and transformers.
PATCH_EMBEDDINGS = frozenset({"patch_embed", "patch_embedding", "patch_embeddings", "conv_proj"})
USUAL_PREFIXES = (1, 0, 2, 5, 4)  # a class token, none, one of distillation too, or four registers with and without one
MAX_HALVINGS = 4  # of the patches' grid, by networks with stages such as Swin

Grid = tuple[int, int]


@dataclass(frozen=True)
class TokenEvidence:
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
_EVIDENCE: WeakKeyDictionary[nn.Module, TokenEvidence | None] = WeakKeyDictionary()  # None: it says nothing


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


def suggest_prefix(tokens: int) -> str:
    """How to say how many of some tokens come before the patches: as many as leave a square of them, else 1.

    Example:
        >>> suggest_prefix(197), suggest_prefix(196), suggest_prefix(201)
        ('Classifier(..., prefix_tokens=1)', 'Classifier(..., prefix_tokens=0)', 'Classifier(..., prefix_tokens=5)')
    """
    fitting = [count for count in USUAL_PREFIXES if tokens > count and isqrt(tokens - count) ** 2 == tokens - count]
    return f"Classifier(..., prefix_tokens={(*fitting, 1)[0]})"


def read_evidence(network: nn.Module) -> TokenEvidence | None:
    """What a network says of its tokens; None where it says nothing."""
    original = original_of(network)
    if original not in _EVIDENCE:
        _EVIDENCE[original] = _collect_evidence(original)
    return _EVIDENCE[original]


def _collect_evidence(network: nn.Module) -> TokenEvidence | None:
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
    return TokenEvidence(classes, registers, settings, channels, own_grid, declared is not None)


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
