"""The content of an activation grid's page: plain tensors and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from optvis.arguments import TensorFields, check_axes


@dataclass(frozen=True, eq=False)
class GridGroups(TensorFields):
    """Neuron groups of a layer: where each is active, its icon and its attribution.

    Args:
        maps: (K, h, w), the strength of each group in each cell, 0 or less where it is inactive; only ratios within a
            group matter.
        icons: (K, 3, s, s) in [0, 1].
        attribution: (K,) by the label of each class.

    Raises:
        ValueError: another shape, a number that is not finite.

    Example:
        >>> import torch
        >>> len(GridGroups(torch.rand(6, 12, 12), torch.rand(6, 3, 48, 48), {"beaver": torch.randn(6)}))
        6
    """

    TENSOR_FIELDS: ClassVar = {"maps": "K h w: finite float", "icons": "K 3 s s: finite float"}

    maps: Tensor
    icons: Tensor
    attribution: Mapping[str, Tensor] = field(default_factory=dict)

    def _check(self, sizes: Mapping[str, int]) -> None:
        check_axes(
            {f"attribution of groups to {label!r}": a for label, a in self.attribution.items()},
            "K: finite float",
            sizes,
        )

    def __len__(self) -> int:
        return len(self.maps)


@dataclass(frozen=True, eq=False)
class GridLayer(TensorFields):
    """A layer's grid: h × w cells, row by row, each over its own part of the image.

    Args:
        layer: its name.
        icons: (h, w, 3, s, s) in [0, 1]; cells without an icon may hold anything.
        present: (h, w), bool: which cells have an icon.
        strength: (h, w), the norm of the activation in each cell, at least 0.
        channels: (h, w, K), integers: the strongest channels of each cell, strongest first.
        values: (h, w, K): their activations.
        channel_icons: (3, t, t) in [0, 1] by channel, all of one size; those not in `channels` are left out.
        attribution: (h, w), signed, by the label of each class.
        groups: the neuron groups, or None.

    Raises:
        ValueError: another shape, a number that is not finite, a strength below 0.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 3)
        >>> top = torch.zeros(2, 3, 1)
        >>> layer = GridLayer("mixed4", torch.rand(2, 3, 3, 8, 8), ones.bool(), ones, top.long(), top)
        >>> layer.size
        (2, 3)
    """

    TENSOR_FIELDS: ClassVar = {
        "icons": "h w 3 s s",
        "present": "h w: bool",
        "strength": "h w: finite float",
        "channels": "h w K: int",
        "values": "h w K: finite float",
    }

    layer: str
    icons: Tensor
    present: Tensor
    strength: Tensor
    channels: Tensor
    values: Tensor
    channel_icons: Mapping[int, Tensor] = field(default_factory=dict)
    attribution: Mapping[str, Tensor] = field(default_factory=dict)
    groups: GridGroups | None = None

    def _check(self, sizes: Mapping[str, int]) -> None:
        shape = {side: sizes[side] for side in "hw"}
        check_axes(
            {f"attribution to {label!r}": a for label, a in self.attribution.items()}, "h w: finite float", shape
        )
        check_axes({f"icon of channel {one}": icon for one, icon in self.channel_icons.items()}, "3 t t: finite float")
        if self.groups is not None:
            check_axes({"maps of groups": self.groups.maps}, "N h w", shape)
        if bool((self.strength < 0).any()):
            raise ValueError(f"strength is a norm, at least 0; its smallest is {self.strength.min():.3g}")

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, (h, w)."""
        return self.icons.shape[0], self.icons.shape[1]


@dataclass(frozen=True, eq=False)
class GridPage(TensorFields):
    """All that the page shows: an image, and the grids of one layer or several.

    Args:
        title: of the page.
        layers: one or more, in the order of the choice.
        image: (3, H, W) in [0, 1], the network's input. A cell in row r and column c of h × w lies over its pixels
            r·H/h to (r+1)·H/h from the top and c·W/w to (c+1)·W/w from the left.
        recipe: everything that computed it, in JSON types.
        lead: a sentence below the title, or none.

    Raises:
        ValueError: no layers, or an image of another shape.

    Example:
        >>> import torch
        >>> from optvis.viz.pages import grid_html
        >>> cells = torch.ones(2, 2)
        >>> top = torch.tensor([[[3], [1]], [[4], [1]]])
        >>> layer = GridLayer(
        ...     "mixed4", torch.rand(2, 2, 3, 8, 8), cells.bool(), cells, top, top / 2, attribution={"beaver": -cells}
        ... )
        >>> page = GridPage("A beaver at its lodge", (layer,), torch.rand(3, 16, 16), {"network": "demo"})
        >>> grid_html(page).count("<script")
        2
    """

    TENSOR_FIELDS: ClassVar = {"image": "3 H W: finite float"}

    title: str
    layers: tuple[GridLayer, ...]
    image: Tensor
    recipe: Mapping[str, Any]
    lead: str = ""

    def _check(self, sizes: Mapping[str, int]) -> None:
        if not self.layers:
            raise ValueError("no layers; a page of a grid needs one or more")

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes with an attribution in any layer."""
        labels = [label for layer in self.layers for label in layer.attribution]
        labels += [label for layer in self.layers if layer.groups is not None for label in layer.groups.attribution]
        return tuple(dict.fromkeys(labels))
