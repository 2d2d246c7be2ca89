"""The result of attribution: values by activation, channel, position or group, with plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.attribution.methods import group_parts, sum_over_positions
from optvis.attribution.pixels import expand_masks
from optvis.features.autoencoder_units import Features
from optvis.features.groups import Groups
from optvis.features.units import Channels
from optvis.formatting import format_count, format_number, format_table
from optvis.objectives import IMAGE
from optvis.objectives.autoencoder import require_autoencoder
from optvis.objectives.layout import channels_first
from optvis.viz.charts import plot_bars
from optvis.viz.figures import NEGATIVE, POSITIVE, caption_figure, house_style, new_figure
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.result import PlotResult
from optvis.viz.sheet import as_rgb, to_pil_image
from optvis.viz.tiles import plot_tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

UnitKind: TypeAlias = Literal["activations", "channels", "positions", "groups"]
SIGNS = (("raises it", POSITIVE), ("lowers it", NEGATIVE))  # what the colors of plots mean
PIXEL_QUANTILE = 0.99  # of the attributions of pixels: what gets the full color
ROW, TITLE, TILE, BARS = 2.4, 0.9, 2.2, 4.2  # inches: height of a row, of title and signs; width of an image, of bars


@dataclass(frozen=True, eq=False)
class Attribution(PlotResult):
    """How much each part of a layer contributes to a score.

    Where the parts are features of an autoencoder, they take the place of channels, and a file is loaded with
    `Attribution.load(path, sae=autoencoder)`; only `top` and `bottom` need it.

    Args:
        images: (B, 3, H, W) in [0, 1], on the CPU.
        layer: name as in `layers(net)`.
        units: what `values` are of: "activations" for methods with gradients, or the units that were ablated.
        objective: the score, as text.
        values: in units of the score; (B, ...) like the activations, or (B, C), (B, positions …), (B, K groups).
        activations: of the layer, (B, ...), on the CPU.
        scores: f(a), the scores of the images, (B,).
        baseline_scores: f(0), the scores with all activations of the layer at zero, (B,).
        recipe: everything that computed it, in JSON types.
        gradients: the factors of the activations in `values`, (B, ...); None of methods without gradients.
        channel_axis: axis of the channels in the layer's output.
        sae: the autoencoder whose features have the place of channels; None without one. It is not saved.
    """

    KIND = "attribution"
    TENSOR_FIELDS: ClassVar = {
        "images": "B D H W",
        "values": "B ...",
        "activations": "B ...: any",
        "scores": "B",
        "baseline_scores": "B",
        "gradients": "B ...",
    }
    TEXT_FIELDS = ("layer", "units", "objective")
    JSON_FIELDS: ClassVar = {"channel_axis": int | None}

    images: Tensor
    layer: str
    units: UnitKind
    objective: str
    values: Tensor
    activations: Tensor
    scores: Tensor
    baseline_scores: Tensor
    recipe: Mapping[str, Any]
    gradients: Tensor | None = None
    channel_axis: int | None = None
    sae: Any = None

    @classmethod
    def load(cls, path: str | Path, sae: Any = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the PNG, or of the tensors beside it.
            sae: the autoencoder, of an attribution to features.

        Raises:
            FileNotFoundError, ValueError: as in `Result.load`.
        """
        return cls._load(path, sae=sae)

    def _check(self, sizes: Mapping[str, int]) -> None:
        if self.units not in get_args(UnitKind):
            raise ValueError(f"units is {self.units!r}; expected one of {', '.join(get_args(UnitKind))}")
        axis, activations = self.channel_axis, self.activations
        if axis is not None and not -activations.dim() <= axis < activations.dim():
            raise ValueError(f"channel_axis is {axis} for activations of shape {tuple(activations.shape)}")
        if self.units == "activations" and self.values.shape != activations.shape:
            raise ValueError(f"values have shape {tuple(self.values.shape)}; expected {tuple(activations.shape)}")
        if self.gradients is not None and self.gradients.shape != activations.shape:
            raise ValueError(f"gradients have shape {tuple(self.gradients.shape)}; expected {tuple(activations.shape)}")

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def channels(self) -> Tensor:
        """The attribution of each channel, summed over positions, (B, C).

        Raises:
            ValueError: positions or groups were ablated.
        """
        if self.units == "activations":
            return sum_over_positions(self.values, self.channel_axis)
        return self._values_of("channels")

    @cached_property
    def positions(self) -> Tensor:
        """The attribution of each position, summed over channels, (B, H, W), or (B, T) for tokens.

        Raises:
            ValueError: channels or groups were ablated.
        """
        if self.units == "activations":
            return channels_first(self.values, self.channel_axis).sum(1)
        return self._values_of("positions")

    def by_group(self, groups: Groups) -> Tensor:
        """Compute the attribution of each group of neurons, Σ (map ⊗ direction) · gradient, (B, K).

        Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010.

        Args:
            groups: of the same images and layer, as in `ActivationGrid.groups`.

        Raises:
            ValueError: this attribution has no gradients (`method=Ablation(groups)` is exact and needs none), or the
                groups are of other images or another layer.
        """
        if self.gradients is None:
            raise ValueError(
                f"{self.recipe.get('attribution_method', 'its method')} has no gradients; use method=Ablation(groups)"
            )
        parts = group_parts(groups, self.layer, self.activations, self.channel_axis)
        return torch.stack([(part * self.gradients).flatten(1).sum(1) for part in parts], dim=1)

    def by_region(self, masks: Tensor) -> Tensor:
        """Sum the attribution of positions over regions, (B, K).

        Args:
            masks: as in `Occlusion`: a map of regions, (H, W) of integers, or masks (K, H, W), or (B, K, H, W).

        Raises:
            ValueError: masks of another size than the map of positions, or channels or groups were ablated.

        Example:
            >>> from optvis import attribute, load
            >>> from optvis.objectives import logit
            >>> image, halves = torch.rand(3, 96, 96), torch.arange(96).view(96, 1).expand(96, 96) // 48
            >>> attribute(load("demo"), image, "<image>", logit("owl"), method="saliency").by_region(halves).shape
            torch.Size([1, 2])
        """
        values = self.positions.unsqueeze(1)
        return (values * expand_masks(masks, values.shape).to(values)).flatten(2).sum(2)

    def top(self, count: int = 10) -> Channels | Features:
        """Select the channels, or features, with the largest positive attribution, on average over images.

        Args:
            count: how many at most; those with negative attribution are never among them.

        Raises:
            ValueError: count below 1; positions or groups were ablated; features whose autoencoder was not given when
                they were loaded.

        Example:
            >>> from optvis import attribute, load
            >>> from optvis.world import scene
            >>> from optvis.objectives import logit
            >>> ship = scene("container ship", seed=7).image
            >>> attribute(load("demo"), ship, "mixed5", logit("container ship")).top(3)
            Channels('mixed5', [..., ..., ...])
        """
        return self._select(self.channels.mean(0), count)

    def bottom(self, count: int = 10) -> Channels | Features:
        """Select those with the largest negative attribution, the most negative first; see `top`."""
        return self._select(-self.channels.mean(0), count)

    def table(self, count: int = 10) -> str:
        """Format the `top` and `bottom` channels, `count` of each at most, as a table."""
        if self.layer == IMAGE or self.units not in ("activations", "channels"):
            return self._title()
        mean = self.channels.mean(0)
        indices = [*_largest(mean, count), *reversed(_largest(-mean, count))]
        rows = [(str(index), format_number(float(mean[index]), signed=True)) for index in indices]
        return f"{self._title()}\n{format_table(('feature' if self._described else 'channel', 'attribution'), rows)}"

    def _title(self) -> str:
        score, baseline = float(self.scores.mean()), float(self.baseline_scores.mean())
        everything = "features" if self._described else "all"
        without = "of a black image" if self.layer == IMAGE else f"with {everything} of {self.layer} at zero"
        return f"{self.objective}: {score:+.4g}; {without} {baseline:+.4g}"

    @property
    def completeness_gap(self) -> Tensor:
        """How far the attributions are from adding up, `|Σ − (f(a) − f(0))| / |f(a) − f(0)|`, (B,).

        It is infinite or NaN where the score is the same without the layer, f(a) = f(0).
        """
        total = self.scores - self.baseline_scores
        return (self.values.flatten(1).sum(1) - total).abs() / total.abs()

    def overlay(self, index: int = 0, extent: float | None = None) -> Image.Image:
        """Draw the attribution of positions over an image: orange where positive, violet where negative.

        `optvis.viz.overlay_heatmap(images[index], positions[index])` gives it as a tensor.

        Args:
            index: which image.
            extent: the attribution that gets the full color; by default the largest absolute one of this image, and
                of "<image>" that of the 99th percentile, because few pixels have far more than all others.

        Returns:
            A Pillow image of the image's size, in color.

        Raises:
            ValueError: channels or groups were ablated; the positions are no map.
        """
        return to_pil_image(self._draw_overlay(index, extent))

    def _draw_overlay(self, index: int, extent: float | None = None) -> Tensor:
        """The same, (3, H, W) in [0, 1]."""
        values = self.positions[index]
        if values.dim() != 2:
            raise ValueError(f"positions of {self.layer!r} have shape {tuple(values.shape)}, no map; use .positions")
        if extent is None and self.layer == IMAGE:
            extent = float(np.quantile(values.abs().numpy(), PIXEL_QUANTILE)) or None
        return overlay_heatmap(self.images[index], values, extent)

    def figure(self, ax: Axes | None = None, *, top: int = 8, image: int | None = None) -> Figure:
        """Draw each image, its overlay and its `top` strongest channels, as far as the method attributes to them.

        Above them stand the question and what the colors mean.

        Args:
            ax: axes for the bars of one image alone, or its overlay where the method attributes to none; by default all
                is drawn in a new figure.
            top: how many channels, features or groups.
            image: which image; all by default, and the first on given axes.

        Raises:
            IndexError: an image that there is not.
        """
        rows = [image or 0] if image is not None or ax is not None else range(len(self))
        if ax is not None:
            return self._draw_bars(rows[0], top, ax) if self._has_bars else self._draw_tiles(rows[0], ax)
        tiles = (1 + self._has_map) * TILE
        widths = [tiles, BARS] if self._has_bars else [tiles]
        with house_style():
            figure = new_figure((max(sum(widths), 4.4), ROW * len(rows) + TITLE))
            grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
            for row, index in enumerate(rows):
                self._draw_tiles(index, figure.add_subplot(grid[row, 0]))
                if self._has_bars:
                    self._draw_bars(index, top, figure.add_subplot(grid[row, 1]))
            caption_figure(figure, self._question(), SIGNS)
        return figure

    def _question(self) -> str:
        what = "each pixel" if self.layer == IMAGE else f"{self._unit_names} of {self.layer}"
        how = self.recipe.get("attribution_description")
        return f"What makes {self.objective} high or low: {what}{f', {how}' if how else ''}"

    @property
    def _has_map(self) -> bool:
        return self.units in ("activations", "positions") and self.positions.dim() == 3

    @property
    def _has_bars(self) -> bool:
        return self.units != "positions" and self.layer != IMAGE

    def _draw_tiles(self, index: int, ax: Axes) -> Figure:
        """An image, and its overlay where there is a map."""
        tiles = [as_rgb(self.images[index]), *([self._draw_overlay(index)] if self._has_map else [])]
        return plot_tiles(torch.stack(tiles), columns=2, ax=ax)

    def _draw_bars(self, index: int, top: int, ax: Axes) -> Figure:
        """The strongest channels, features or groups of an image."""
        values = self.values[index] if self.units == "groups" else self.channels[index]
        best = values.abs().topk(min(top, len(values))).indices
        unit = "group" if self.units == "groups" else "feature" if self._described else "channel"
        return plot_bars(values[best].tolist(), [f"{unit} {number}" for number in best.tolist()], ax=ax)

    @property
    def _described(self) -> Mapping[str, Any] | None:
        """Which autoencoder's features have the place of channels; None without one."""
        return self.recipe.get("features")

    @property
    def _unit_names(self) -> str:
        is_channelwise = self.units in ("activations", "channels")
        return "features" if self._described and is_channelwise else self.units

    def _select(self, values: Tensor, count: int) -> Channels | Features:
        indices = _largest(values, count)
        if self._described is None:
            return Channels(self.layer, indices, channel_axis=self.channel_axis)
        require_autoencoder(self.sae, self._described, "the selection of features")
        found = Features(self.layer, self.sae, indices, channel_axis=self.channel_axis)
        found.autoencoder.check_described(self._described)
        return found

    def _values_of(self, units: UnitKind) -> Tensor:
        if self.units != units:
            cure = f"use method=Ablation({units!r}), or one with gradients"
            raise ValueError(f"this attribution is of {self.units}, not of {units}; {cure}")
        return self.values

    def __repr__(self) -> str:
        return (
            f"Attribution({format_count(len(self), 'image')}, {self.layer!r}, {self.objective}, of {self._unit_names})"
        )


def _largest(values: Tensor, count: int) -> list[int]:
    """The indices of the largest positive values, the largest first."""
    check_minimum(1, count=count)
    best = values.topk(min(count, len(values)))
    indices: list[int] = best.indices[best.values > 0].tolist()
    return indices
