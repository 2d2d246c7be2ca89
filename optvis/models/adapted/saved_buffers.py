"""The buffers of a network as they were, with few operations however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64, torch.bool})


class SavedBuffers:
    """Copies of buffers; those of one device and dtype are copied and compared together.

    Args:
        buffers: of a network; those that were made in inference mode have no version, and are left out.
    """

    def __init__(self, buffers: Iterable[Tensor]) -> None:
        groups: dict[object, list[Tensor]] = {}
        for buffer in buffers:
            if not buffer.is_inference():
                is_plain = buffer.dtype in DTYPES and buffer.layout == torch.strided and not buffer.is_meta
                groups.setdefault((buffer.device, buffer.dtype) if is_plain else id(buffer), []).append(buffer)
        self.groups = [_Group(buffers) for buffers in groups.values()]

    @torch.no_grad()
    def restore(self) -> None:
        """Copy old values back into the buffers that were written; leave others alone, which autograd may need."""
        for group in self._list_changed():
            group.restore()

    @torch.no_grad()
    def are_same(self) -> bool:
        """Whether all buffers hold the numbers that they held."""
        return not self._list_changed()

    def _list_changed(self) -> list[_Group]:
        """The groups in which something was written.

        Operations written in C++, such as those of quantisation-aware training, write without counting a version, as
        does what writes through `.data`.
        """
        counted = [group for group in self.groups if group.is_counted]
        others = [group for group in self.groups if not group.is_counted and group.has_numbers]
        differ = [group.differs() for group in others]
        flags = torch.stack([flag.to(differ[0].device) for flag in differ]).tolist() if differ else []  # waits once
        return [*counted, *(group for group, flag in zip(others, flags, strict=True) if flag)]


class _Group:
    """Buffers of one device and dtype, and a copy of their numbers, one after the other; or a lone buffer."""

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        self.buffers, self.versions = buffers, [buffer._version for buffer in buffers]
        self.values = self._copy()

    @property
    def is_counted(self) -> bool:
        """Whether one has another version."""
        return any(buffer._version != version for buffer, version in zip(self.buffers, self.versions, strict=True))

    @property
    def has_numbers(self) -> bool:
        """Whether the buffers can be compared by number: of others, such as sparse ones, the version counts alone."""
        return self.buffers[0].layout == torch.strided and not self.buffers[0].is_meta

    def differs(self) -> Tensor:
        """Whether a number differs, as a tensor: the device is not waited for."""
        return self._copy().ne(self.values).any()

    def restore(self) -> None:
        """Copy back what differs, or has another version."""
        sizes = [buffer.numel() for buffer in self.buffers]
        parts = [self.values] if len(sizes) == 1 else torch.split(self.values, sizes)
        for buffer, version, part in zip(self.buffers, self.versions, parts, strict=True):
            values = part.view(buffer.shape) if self.has_numbers else part
            if buffer._version != version or (self.has_numbers and bool(buffer.ne(values).any())):
                buffer.copy_(values)

    def _copy(self) -> Tensor:
        if len(self.buffers) == 1:
            return self.buffers[0].clone()
        return torch.cat([buffer if buffer.dim() == 1 else buffer.reshape(-1) for buffer in self.buffers])
