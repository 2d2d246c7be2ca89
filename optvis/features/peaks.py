"""Where each channel is most active: its largest activation, the place of it, and the images of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from optvis.arguments import TensorFields
from optvis.data.schema import read_value
from optvis.objectives.layout import channels_first

Locate = Callable[[Tensor, Tensor], Tensor]
TopImage = tuple[int, float, int, int]  # index, value, row and column


@dataclass(frozen=True)
class ChannelImagesRecord:
    """The tensors of `ChannelImages` as JSON holds them."""

    values: tuple[tuple[float, ...], ...]
    indices: tuple[tuple[int, ...], ...]
    positions: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, eq=False)
class ChannelImages(TensorFields):
    """N images of each of C channels, in order.

    Args:
        values: largest activation over positions, or attribution, (C, N).
        indices: of the images in the dataset, (C, N).
        positions: row and column of that activation, of equal ones the first, (C, N, 2); where the layer has no map,
            its positions are in a row.
    """

    TENSOR_FIELDS: ClassVar = {"values": "C N", "indices": "C N: int", "positions": "C N 2: int"}

    values: Tensor
    indices: Tensor
    positions: Tensor

    def merge(self, other: ChannelImages, top: int) -> ChannelImages:
        """The strongest of both, strongest first; of equal ones those of this object come first."""
        values = torch.cat([self.values, other.values], dim=1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :top]
        indices = torch.cat([self.indices, other.indices], dim=1).gather(1, order)
        positions = torch.cat([self.positions, other.positions], dim=1)
        rows = order.unsqueeze(2).expand(-1, -1, 2)
        return ChannelImages(values.gather(1, order), indices, positions.gather(1, rows))

    def of_channel(self, channel: int) -> list[TopImage]:
        """Index, value, row and column of each image whose value is above zero."""
        return [row for row in self.rows(channel) if row[1] > 0]

    def rows(self, channel: int) -> list[TopImage]:
        """Index, value, row and column of each image."""
        tensors = (self.indices, self.values, self.positions)
        rows = zip(*(tensor[channel].tolist() for tensor in tensors), strict=True)
        return [(index, value, *position) for index, value, position in rows]

    def to_dict(self) -> dict[str, Any]:
        """The tensors as JSON lists."""
        return {name: tensor.tolist() for name, tensor in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChannelImages:
        """Build from what `to_dict` returned.

        Raises:
            ValueError: it is something else.
        """
        record: ChannelImagesRecord = read_value(ChannelImagesRecord, values)
        return cls(
            torch.tensor(record.values, dtype=torch.float32, device="cpu"),
            torch.tensor(record.indices, dtype=torch.long, device="cpu"),
            torch.tensor(record.positions, dtype=torch.long, device="cpu"),
        )


def split_places(places: Tensor, width: int) -> Tensor:
    """Rows and columns, (C, N, 2), of places (N, C) that are counted row by row.

    >>> split_places(torch.tensor([[5]]), 3)
    tensor([[[1, 2]]])
    """
    return torch.stack([places // width, places % width], -1).movedim(1, 0).contiguous()


def find_peaks(a: Tensor, channel_axis: int | None = None) -> tuple[Tensor, Locate, tuple[int, int]]:
    """Find the largest activation of each channel in each image of a batch.

    A map with channels last in memory is read once, row by row; the place is then looked for in the best row alone, and
    only where it is asked for.

    Args:
        a: activations of a layer, in any layout.
        channel_axis: see `channels_first`.

    Returns:
        The values (B, C), float32; a function of images and channels, both (N,), that gives the positions (N,), row by
        row, of equal ones the first; and the rows and columns of positions, (1, 1) where there are none.

    Example:
        >>> values, locate, grid = find_peaks(torch.tensor([[[[0.0, 2.0], [2.0, 1.0]]]]))
        >>> values, locate(torch.tensor([0]), torch.tensor([0])), grid
        (tensor([[2.]]), tensor([1]), (2, 2))
    """
    a = channels_first(a, channel_axis)
    if a.dim() == 2:
        return a.float().cpu(), lambda images, _: torch.zeros_like(images), (1, 1)
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        rows = a.permute(0, 2, 3, 1).amax(2)  # (B, H, C)
        values = rows.amax(1)

        def locate(images: Tensor, channels: Tensor) -> Tensor:
            y = _first_largest(rows[images, :, channels])
            return y * a.shape[3] + _first_largest(a[images, channels, y])

        return values.float().cpu(), locate, (a.shape[2], a.shape[3])
    flat = a.flatten(2)
    grid = (a.shape[2], a.shape[3]) if a.dim() == 4 else (1, flat.shape[2])
    return flat.amax(2).float().cpu(), lambda images, channels: _first_largest(flat[images, channels]), grid


def find_totals(a: Tensor, channel_axis: int | None = None) -> tuple[Tensor, Locate]:
    """Add up the attributions of each channel in each image of a batch, in float64, and find the largest.

    Args:
        a: attributions of a layer, in any layout.
        channel_axis: see `channels_first`.

    Returns:
        The sums over positions (B, C), float32; and a function as `find_peaks` returns it.

    Example:
        >>> values, locate = find_totals(torch.tensor([[[[0.0, -2.0], [2.0, 1.0]]]]))
        >>> values, locate(torch.tensor([0]), torch.tensor([0]))
        (tensor([[1.]]), tensor([2]))
    """
    a = channels_first(a, channel_axis)
    flat = a.flatten(2) if a.dim() > 2 else a.unsqueeze(2)
    return flat.double().sum(2).float().cpu(), lambda images, channels: _first_largest(flat[images, channels])


def _first_largest(rows: Tensor) -> Tensor:
    """The first place of the largest number of each row."""
    return torch.from_numpy(np.argmax(rows.float().cpu().numpy(), axis=1))
