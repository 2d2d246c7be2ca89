"""What an activation grid gives back: an icon for each position, groups and their maps, and the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.features.groups import Groups
from optvis.grids.page import Explained, grid_page
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.result import Result
from optvis.viz.sheet import draw_sheet, stack_rows

if TYPE_CHECKING:
    from PIL import Image

    from optvis.attribution.result import Attribution
    from optvis.grids.semantic_dictionary import SemanticDictionary

GAP = 2  # pixels between the icons of a sheet
ENLARGED = 2  # a group's icon and map, in sides of an icon


def read_grouping(value: Any) -> tuple[str, int | None] | None:
    """How units were grouped: the decomposition and the axis of the channels; None without groups."""
    if value is None:
        return None
    decomposition, channel_axis = value
    return decomposition, channel_axis


@dataclass(frozen=True, eq=False)
class ActivationGrid(Result):
    """What a layer sees at each position of photographs: an icon for each; shows itself in a notebook.

    Args:
        images: the photographs as the network saw them, (B, 3, H, W) in [0, 1], on the CPU.
        layer: name as in `layers(net)`.
        activations: the layer's, (B, C, h, w).
        icons: (B, h, w, 3, S, S) in [0, 1]; grey where nothing is active.
        present: where anything is active, (B, h, w) of bool.
        scores: of each icon, as seen last through its transforms, (B, h, w); NaN where there is none.
        recipe: everything that made them, in JSON's types.
        groups: the neuron groups that icons share, K of them; None in a naive grid.
        group_icons: of each group's direction alone, (K, 3, S, S).

    Example:
        >>> shape = 1, 2, 3
        >>> made = ActivationGrid(
        ...     torch.rand(1, 3, 8, 8), "mixed3", torch.rand(1, 5, 2, 3), torch.rand(*shape, 3, 16, 16),
        ...     torch.ones(shape).bool(), torch.zeros(shape), {})
        >>> made, made.sheet().size
        (ActivationGrid('mixed3', 1 photograph, 2 × 3 icons of 16 px), (56, 38))
    """

    KIND = "activation grid"
    TENSOR_FIELDS: ClassVar = {"images": 4, "activations": 4, "icons": 6, "present": 3, "scores": 3, "group_icons": 4}
    TEXT_FIELDS = ("layer",)
    JSON_FIELDS: ClassVar = {"groups": read_grouping}

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

    def __getitem__(self, image: int) -> ActivationGrid:
        """The grid of one photograph; its groups are still those of all."""
        row = range(len(self))[image]
        rows = slice(row, row + 1)
        names = ("images", "activations", "icons", "present", "scores")
        own = {name: getattr(self, name)[rows] for name in names}
        groups = None if self.groups is None else replace(self.groups, maps=self.groups.maps[rows])
        return replace(self, **own, groups=groups)

    def sheet(self, image: int = 0, *, gap: int = GAP) -> Image.Image:
        """The icons of a photograph, each at its position; the paper shows where nothing is active.

        Args:
            image: which photograph.
            gap: pixels between icons.
        """
        return self._laid_out(image, self.present[image].float(), gap)

    def sheet_by_strength(self, image: int = 0, *, gap: int = GAP) -> Image.Image:
        """The icons of a photograph, each as large as its position is active: areas are in proportion to ‖a‖."""
        norms = torch.linalg.vector_norm(self.activations[image].float(), dim=0)
        return self._laid_out(image, (norms / norms.max().clamp(min=torch.finfo(norms.dtype).tiny)).sqrt(), gap)

    def groups_sheet(self, image: int = 0) -> Image.Image:
        """Each group: its icon, its map over a photograph, and its part of the layer's activation.

        Raises:
            ValueError: this grid is naive, without groups.
        """
        if self.groups is None or self.group_icons is None:
            raise ValueError("this grid has no groups; make it with groups=6")
        side = ENLARGED * self.icons.shape[-1]
        photo = _fitting(self.images[image], side)
        extents = self.groups.maps.transpose(0, 1).flatten(1).abs().amax(1)
        maps = [
            overlay_heatmap(photo, values, float(most))
            for values, most in zip(self.groups.maps[image], extents, strict=True)
        ]
        icons = [_on_paper(_fitting(icon, min(photo.shape[1:])), photo) for icon in self.group_icons]
        texts = [f"group {place}: {100 * share:.0f} %" for place, share in enumerate(self.groups.shares.tolist())]
        tiles = torch.stack([tile for pair in zip(icons, maps, strict=True) for tile in pair])
        labels = [text for pair in zip(texts, ("",) * len(texts), strict=True) for text in pair]
        return draw_sheet(tiles, labels, columns=2 if len(texts) < 4 else 4)

    def html(
        self,
        image: int = 0,
        *,
        attributions: Mapping[str, Attribution] = MappingProxyType({}),
        dictionary: SemanticDictionary | None = None,
    ) -> str:
        """A photograph, its icons and all that is known of each, as one page that loads nothing.

        Hover over a cell, tap it or walk there with the arrow keys. `grid_page` puts several layers on one page.

        Args:
            image: which photograph.
            attributions: by the label of the class that was asked, of the same photographs and layer.
            dictionary: pictures of the channels, see `semantic_dictionary`.

        Returns:
            The text of the page: `Path("grid.html").write_text(grid.html(), encoding="utf-8")`.

        Raises:
            ValueError: attributions or a dictionary of another layer.
        """
        return grid_page([Explained(self, attributions, dictionary)], image)

    def image(self) -> Image.Image:
        """The sheets of all photographs, one below the other."""
        sheets = [self.sheet(image) for image in range(len(self))]
        return sheets[0] if len(sheets) == 1 else stack_rows([[one] for one in sheets])

    def _tensors(self) -> dict[str, Tensor]:
        if self.groups is None or self.group_icons is None:
            return super()._tensors()
        return super()._tensors() | {"maps": self.groups.maps, "directions": self.groups.directions}

    def _json_values(self) -> dict[str, Any]:
        grouping = None if self.groups is None else [self.groups.decomposition, self.groups.channel_axis]
        return {"groups": grouping}

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        maps, directions = tensors.pop("maps", None), tensors.pop("directions", None)
        groups = None
        if maps is not None and directions is not None:
            groups = Groups(values["layer"], maps, directions, *values["groups"])
        return super()._from_parts(tensors, values | {"groups": groups})

    def _laid_out(self, image: int, sides: Tensor, gap: int) -> Image.Image:
        """Icons at their positions, each at a share (h, w) of its side."""
        icons = self.icons[image].flatten(0, 1)
        tiles = torch.stack([_shrunk(icon, share) for icon, share in zip(icons, sides.flatten().tolist(), strict=True)])
        return draw_sheet(tiles, columns=self.icons.shape[2], gap=gap)

    def __repr__(self) -> str:
        batch, height, width, _, side, _ = self.icons.shape
        count = "1 photograph" if batch == 1 else f"{batch} photographs"
        groups = "" if self.groups is None else f", {len(self.groups)} groups"
        return f"ActivationGrid({self.layer!r}, {count}, {height} × {width} icons of {side} px{groups})"


def _shrunk(icon: Tensor, share: float) -> Tensor:
    """(3, S, S) -> (4, S, S): at a share of its side in the middle, transparent around it."""
    side = icon.shape[-1]
    smaller = round(share * side)
    tile = torch.zeros(4, side, side)
    if smaller:
        start = (side - smaller) // 2
        inside = slice(start, start + smaller)
        tile[:3, inside, inside] = _resized(icon, (smaller, smaller))
        tile[3, inside, inside] = 1
    return tile


def _fitting(image: Tensor, side: int) -> Tensor:
    """(3, H, W) with its longer side of so many pixels."""
    height, width = image.shape[1:]
    longer = max(height, width)
    return _resized(image, (max(1, round(height * side / longer)), max(1, round(width * side / longer))))


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(image.shape[1:]) == size:
        return image
    return F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0].clamp(0, 1)


def _on_paper(image: Tensor, like: Tensor) -> Tensor:
    """A picture in the middle of white paper of another's size."""
    down, across = like.shape[1] - image.shape[1], like.shape[2] - image.shape[2]
    return F.pad(image, (across // 2, across - across // 2, down // 2, down - down // 2), value=1.0)


__all__ = ["ActivationGrid"]
