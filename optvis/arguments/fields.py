"""A mixin for frozen dataclasses with tensors: constructors check their axes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor

from optvis.arguments.axes import check_axes


class TensorFields:
    """A mixin for dataclasses whose constructor checks the axes of each tensor.

    A subclass whose fields have to fit each other in more than axes overrides `_check`.

    Attributes:
        TENSOR_FIELDS: the axes of each field that is a tensor, such as "B 3 H W", in which the same letter is the same
            size in all tensors; see `check_axes`. A field that is None is not checked.

    Example:
        >>> import torch
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Pair(TensorFields):
        ...     TENSOR_FIELDS: ClassVar = {"images": "B 3 H W", "scores": "B"}
        ...     images: torch.Tensor
        ...     scores: torch.Tensor
        >>> Pair(torch.rand(2, 3, 8, 8), torch.rand(5))
        Traceback (most recent call last):
        ValueError: scores has shape (5,); expected (B) with B = 2
    """

    TENSOR_FIELDS: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in self.TENSOR_FIELDS}
        tensors: dict[str, Tensor] = {name: value for name, value in values.items() if value is not None}
        self._check(check_axes(tensors, self.TENSOR_FIELDS))

    def _check(self, sizes: Mapping[str, int]) -> None:
        """Check what the axes of `TENSOR_FIELDS` do not say.

        Args:
            sizes: of the letters in `TENSOR_FIELDS`.

        Raises:
            ValueError: fields do not fit each other.
        """
