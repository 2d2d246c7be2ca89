"""The content of an activation grid's page: plain tensors and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optvis.viz.pages.checks import check_axes, check_shape, icon_size


@dataclass(frozen=True, eq=False)
class GridGroups:
    """Neuron groups of a layer: where each is active, its icon and its attribution.

    Args:
        maps: (K, h, w), the strength of each group in each cell, 0 or less where it is inactive; only ratios within a
            group matter.
        icons: (K, 3, s, s) in [0, 1].
        attribution: (K,) by the label of each class.

    Raises:
        ValueError: another shape, a number that is not finite.

    Example:
        >>> len(GridGroups(torch.rand(6, 12, 12), torch.rand(6, 3, 48, 48), {"beaver": torch.randn(6)}))
        6
    """

    maps: Tensor
    icons: Tensor
    attribution: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_axes("maps of groups", self.maps, "(K, h, w)")
        check_shape("maps of groups", self.maps, tuple(self.maps.shape))
        check_shape("icons of groups", self.icons, (len(self.maps), 3, *icon_size(self.icons)))
        for label, values in self.attribution.items():
            check_shape(f"attribution of groups to {label!r}", values, (len(self.maps),))

    def __len__(self) -> int:
        return len(self.maps)


@dataclass(frozen=True, eq=False)
class GridLayer:
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
        >>> ones = torch.ones(2, 3)
        >>> top = torch.zeros(2, 3, 1)
        >>> layer = GridLayer("mixed4", torch.rand(2, 3, 3, 8, 8), ones.bool(), ones, top.long(), top)
        >>> layer.size
        (2, 3)
    """

    layer: str
    icons: Tensor
    present: Tensor
    strength: Tensor
    channels: Tensor
    values: Tensor
    channel_icons: Mapping[int, Tensor] = field(default_factory=dict)
    attribution: Mapping[str, Tensor] = field(default_factory=dict)
    groups: GridGroups | None = None

    def __post_init__(self) -> None:
        check_axes("icons", self.icons, "(h, w, 3, s, s)")
        size = self.size
        check_shape("icons", self.icons, (*size, 3, *icon_size(self.icons)), finite=False)
        check_shape("present", self.present, size)
        check_shape("strength", self.strength, size)
        check_shape("channels", self.channels, (*size, *self.channels.shape[2:3]))
        check_shape("values", self.values, tuple(self.channels.shape))
        for label, values in self.attribution.items():
            check_shape(f"attribution to {label!r}", values, size)
        _check_icons(self.channel_icons)
        if self.groups is not None:
            check_shape("maps of groups", self.groups.maps, (len(self.groups), *size))
        if self.channels.is_floating_point() or self.present.dtype != torch.bool:
            got = f"{self.channels.dtype} and {self.present.dtype}"
            raise ValueError(f"channels are integers and present is bool; got {got}")
        if bool((self.strength < 0).any()):
            raise ValueError(f"strength is a norm, at least 0; its smallest is {self.strength.min():.3g}")

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, (h, w)."""
        return self.icons.shape[0], self.icons.shape[1]


@dataclass(frozen=True, eq=False)
class GridPage:
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

    title: str
    layers: tuple[GridLayer, ...]
    image: Tensor
    recipe: Mapping[str, Any]
    lead: str = ""

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("no layers; a page of a grid needs one or more")
        check_axes("image", self.image, "(3, H, W)")
        check_shape("image", self.image, (3, *self.image.shape[1:]))

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes with an attribution in any layer."""
        labels = [label for layer in self.layers for label in layer.attribution]
        labels += [label for layer in self.layers if layer.groups is not None for label in layer.groups.attribution]
        return tuple(dict.fromkeys(labels))


def _check_icons(icons: Mapping[int, Tensor]) -> None:
    sides = {icon_size(icon) for icon in icons.values()}
    if len(sides) > 1:
        raise ValueError(f"icons of channels are of one size; got sides {sorted(side for side, _ in sides)}")
    for channel, icon in icons.items():
        check_shape(f"icon of channel {channel}", icon, (3, *icon_size(icon)))
