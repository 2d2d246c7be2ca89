"""The result of an activation grid: an icon for each position, groups of neurons and their maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from optvis.arguments import check_axes
from optvis.data.images import pad, resize
from optvis.features.groups import Groups
from optvis.formatting import format_count
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.pages.grid.html import grid_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.template import frame_page
from optvis.viz.result import Result
from optvis.viz.sheet import as_rgb, draw_sheet, stack_rows

if TYPE_CHECKING:
    from PIL import Image

GAP = 2  # pixels between the icons of a sheet
TOP_CHANNELS = 6  # of each cell of a page
MAX_FRAMES, FRAME_HEIGHT = 3, 760  # pages in a notebook, and the height of each in pixels
GROUP_SCALE = 2  # side of a group's icon and map, in sides of an icon


@dataclass(frozen=True, eq=False)
class ActivationGrid(Result):
    """An icon for each position of a layer, for one or several images; shows itself in a notebook.

    Args:
        images: resized and cropped to the network's size, (B, 3, H, W) in [0, 1], on the CPU.
        layer: name as in `layers(net)`.
        activations: of the layer, (B, C, h, w).
        icons: (B, h, w, 3, S, S) in [0, 1]; gray where nothing is active.
        present: where anything is active, (B, h, w) of bool.
        scores: the last score of each icon under its transforms, (B, h, w); NaN where there is none.
        recipe: everything that computed it, in JSON types.
        groups: K groups of neurons that icons share; None in a naive grid.
        group_icons: an icon of each group's direction, (K, 3, S, S).

    Example:
        >>> shape = 1, 2, 3
        >>> grid = ActivationGrid(
        ...     torch.rand(1, 3, 8, 8), "mixed3", torch.rand(1, 5, 2, 3), torch.rand(*shape, 3, 16, 16),
        ...     torch.ones(shape).bool(), torch.zeros(shape), {})
        >>> grid, grid.sheet().size
        (ActivationGrid('mixed3', 1 image, 2 × 3 icons of 16 px), (56, 38))
    """

    KIND = "activation grid"
    TENSOR_FIELDS: ClassVar = {
        "images": "B 3 H W",
        "activations": "B C h w",
        "icons": "B h w 3 S S",
        "present": "B h w: bool",
        "scores": "B h w",
        "group_icons": "K 3 S S",
    }
    TEXT_FIELDS = ("layer",)
    JSON_FIELDS: ClassVar = {"groups": tuple[str, int | None] | None}  # decomposition, and axis of the channels

    images: Tensor
    layer: str
    activations: Tensor
    icons: Tensor
    present: Tensor
    scores: Tensor
    recipe: Mapping[str, Any]
    groups: Groups | None = None
    group_icons: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> ActivationGrid:
        """The grid of one image, with the groups of all images."""
        row = range(len(self))[index]
        rows = slice(row, row + 1)
        names = ("images", "activations", "icons", "present", "scores")
        own = {name: getattr(self, name)[rows] for name in names}
        groups = None if self.groups is None else replace(self.groups, maps=self.groups.maps[rows])
        return replace(self, **own, groups=groups)

    def sheet(self, index: int = 0, *, gap: int = GAP) -> Image.Image:
        """Draw the icons of an image, each at its position, `gap` pixels apart; white where nothing is active."""
        return self._draw_icons(index, self.present[index].float(), gap)

    def sheet_by_strength(self, index: int = 0, *, gap: int = GAP) -> Image.Image:
        """Draw the icons of an image with areas in proportion to the norm of the activation, ‖a‖."""
        norms = torch.linalg.vector_norm(self.activations[index].float(), dim=0)
        return self._draw_icons(index, (norms / norms.max().clamp(min=torch.finfo(norms.dtype).tiny)).sqrt(), gap)

    def groups_sheet(self, index: int = 0) -> Image.Image:
        """Draw each group: its icon, its map over an image, and its share of activation; ValueError without groups."""
        if self.groups is None or self.group_icons is None:
            raise ValueError("this grid has no groups; compute it with groups=6")
        side = GROUP_SCALE * self.icons.shape[-1]
        photo = _resize_longer(self.images[index], side)
        extents = self.groups.maps.transpose(0, 1).flatten(1).abs().amax(1)
        maps = [
            overlay_heatmap(photo, values, float(extent))
            for values, extent in zip(self.groups.maps[index], extents, strict=True)
        ]
        icons = [pad(_resize_longer(icon, min(photo.shape[1:])), photo.shape[1:]) for icon in self.group_icons]
        texts = [f"group {number}: {100 * share:.0f} %" for number, share in enumerate(self.groups.shares.tolist())]
        tiles = torch.stack([tile for pair in zip(icons, maps, strict=True) for tile in pair])
        return draw_sheet(tiles, [label for text in texts for label in (text, "")], columns=2 if len(texts) < 4 else 4)

    def image(self) -> Image.Image:
        """The sheets of all images, one below the other."""
        sheets = [self.sheet(index) for index in range(len(self))]
        return sheets[0] if len(sheets) == 1 else stack_rows([[one] for one in sheets])

    def page_layer(
        self,
        index: int = 0,
        channel_icons: Mapping[int, Tensor] = MappingProxyType({}),
        attribution: Mapping[str, Tensor] = MappingProxyType({}),
        group_attribution: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> GridLayer:
        """The grid of one image as a page shows it.

        Args:
            index: which image.
            channel_icons: an icon by channel.
            attribution: of each position, (h, w), by the label of a class.
            group_attribution: of each group, (K,), by the label of a class.
        """
        a = self.activations[index].float()
        values, channels = a.topk(min(TOP_CHANNELS, len(a)), dim=0)
        groups = None
        if self.groups is not None and self.group_icons is not None:
            maps = self.groups.maps[index].clamp(min=0)
            groups = GridGroups(maps, as_rgb(self.group_icons), group_attribution)
        cells = as_rgb(self.icons[index]), self.present[index], torch.linalg.vector_norm(a, dim=0)
        best = channels.movedim(0, -1), values.movedim(0, -1)
        return GridLayer(self.layer, *cells, *best, channel_icons, attribution, groups)

    def html(self, index: int = 0) -> str:
        """A page of one image in one file, which loads nothing: the strongest channels and the groups of each position.

        `build_grid_page` adds channels' icons, attributions and more layers.
        """
        return compose_page([self], [self.page_layer(index)], index)

    def _repr_html_(self) -> str:
        pages = [self.html(index) for index in range(min(len(self), MAX_FRAMES))]
        return "".join(frame_page(page, "activation grid", FRAME_HEIGHT, scripts=True) for page in pages)

    def _check(self, sizes: Mapping[str, int]) -> None:
        if self.groups is not None:
            parts = {"maps": self.groups.maps, "directions": self.groups.directions}
            check_axes(parts, {"maps": "B K h w", "directions": "K C"}, sizes)

    def _tensors(self) -> dict[str, Tensor]:
        if self.groups is None or self.group_icons is None:
            return super()._tensors()
        return super()._tensors() | {"maps": self.groups.maps, "directions": self.groups.directions}

    def _json_values(self) -> dict[str, Any]:
        return {"groups": None if self.groups is None else [self.groups.decomposition, self.groups.channel_axis]}

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        groups = None
        if values["groups"] is not None:
            groups = Groups(values["layer"], tensors.pop("maps"), tensors.pop("directions"), *values["groups"])
        return super()._from_parts(tensors, values | {"groups": groups})

    def _draw_icons(self, index: int, shares: Tensor, gap: int) -> Image.Image:
        """Draw icons at their positions, each at a share (h, w) of its side."""
        icons = zip(self.icons[index].flatten(0, 1), shares.flatten().tolist(), strict=True)
        tiles = torch.stack([_shrink(icon, share) for icon, share in icons])
        return draw_sheet(tiles, columns=self.icons.shape[2], gap=gap)

    def __repr__(self) -> str:
        batch, height, width, _, side, _ = self.icons.shape
        count = format_count(batch, "image")
        groups = "" if self.groups is None else f", {len(self.groups)} groups"
        return f"ActivationGrid({self.layer!r}, {count}, {height} × {width} icons of {side} px{groups})"


def compose_page(
    grids: Sequence[ActivationGrid], layers: Sequence[GridLayer], index: int, title: str = "Activation grid"
) -> str:
    """One page of one image: the grids of some layers of a network, each with what the page shows of it."""
    first, names = grids[0], [grid.layer for grid in grids]
    network = first.recipe.get("network", "the network")
    what = f"{names[0]} of {network}" if len(names) == 1 else f"its layer of {network}, {' or '.join(names)},"
    lead = f"Each icon shows what {what} represents at this position of the image."
    recipes = {grid.layer: dict(grid.recipe) for grid in grids}
    return grid_html(GridPage(title, tuple(layers), as_rgb(first.images[index]), recipes, lead))


def _shrink(icon: Tensor, share: float) -> Tensor:
    """Shrink an icon to a share of its side, transparent around it, (3, S, S) -> (4, S, S)."""
    side = icon.shape[-1]
    smaller = round(share * side)
    tile = torch.zeros(4, side, side, dtype=torch.float32, device="cpu")
    if smaller:
        start = (side - smaller) // 2
        inside = slice(start, start + smaller)
        tile[:3, inside, inside] = resize(icon[None].float(), (smaller, smaller))[0]
        tile[3, inside, inside] = 1
    return tile


def _resize_longer(image: Tensor, side: int) -> Tensor:
    """Resize the longer side of an image (3, H, W)."""
    height, width = image.shape[1:]
    longer = max(height, width)
    size = max(1, round(height * side / longer)), max(1, round(width * side / longer))
    return resize(image[None].float(), size)[0]
