"""Which axis of a layer's output holds the channels, by the evidence of its shape and of the network's modules."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from optvis.objectives.layout import mark_channels

_COUNTS: WeakKeyDictionary[nn.Module, tuple[frozenset[int], frozenset[int]]] = WeakKeyDictionary()


def mark_channel_axis(
    network: nn.Module, module: nn.Module, layer: str, a: Tensor, size: tuple[int, int] | None
) -> None:
    """Mark activations whose channel axis is certain, so that `channels_first` refuses another one.

    It is certain where two of three axes can be rows and columns of the images, the two others cannot, and modules make
    as many channels as the third axis has, on that side: convolutions and BatchNorm for (B, C, H, W), LayerNorm and
    Linear for (B, H, W, C).

    Args:
        network: in which the layer is.
        module: the layer's, whose modules are asked, or the network's where it has none of these.
        layer: its name, for the message.
        a: its output.
        size: rows and columns of the network's inputs in pixels; None where they are not known.
    """
    if a.dim() != 4 or size is None:
        return
    _, first, middle, last = a.shape
    is_first, is_last = is_grid((middle, last), size), is_grid((first, middle), size)
    if is_first == is_last:
        return
    counts = _count_channels(module)
    on_first, on_last = counts if any(counts) else _count_channels(network)
    if is_first and first in on_first and last not in on_last:
        mark_channels(a, 1, layer)
    if is_last and last in on_last and first not in on_first:
        mark_channels(a, 3, layer)


def is_grid(grid: Sequence[int], size: tuple[int, int]) -> bool:
    """Whether rows and columns may be those of an image of a size, (H, W), that a network has made smaller.

    Example:
        >>> is_grid((14, 14), (224, 224)), is_grid((7, 10), (64, 90)), is_grid((197, 64), (224, 224))
        (True, True, False)
    """
    if min(grid) < 1 or grid[0] > size[0] or grid[1] > size[1]:
        return False
    if size[0] == size[1]:
        return grid[0] == grid[1]
    return abs(grid[0] * size[1] / size[0] - grid[1]) <= 1


def _count_channels(root: nn.Module) -> tuple[frozenset[int], frozenset[int]]:
    """How many channels the modules inside make on axis 1, and how many on the last axis."""
    if root not in _COUNTS:
        on_first, on_last = set[int](), set[int]()
        for module in root.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                on_first.add(module.out_channels)
            elif isinstance(module, nn.BatchNorm2d):
                on_first.add(module.num_features)
            elif isinstance(module, nn.Linear):
                on_last.add(module.out_features)
            elif isinstance(module, nn.LayerNorm):
                on_last.add(module.normalized_shape[-1])
        _COUNTS[root] = frozenset(on_first), frozenset(on_last)
    return _COUNTS[root]
