"""activation_atlas(): from photographs to the map of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optvis.atlas.class_mask import CHOSEN
from optvis.atlas.exemplars import check_album, exemplars_of
from optvis.atlas.icons import Drawing
from optvis.atlas.layout import Layout, lay_out
from optvis.atlas.levels import checked_sizes, level_of
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.samples import Samples
from optvis.atlas.sampling import sample
from optvis.data.dataset import ImageDataset, as_dataset
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.transforms import STANDARD

LEVELS = (10, 20, 40)
FEWEST = 5  # points of a cell with an icon
ICON, STEPS, POWER = 64, 48, 2.0
DAMPING = 2.0  # with less, what is rare is drawn as noise; with more, what is everywhere is drawn into everything
PATCH, NEAREST = 40, 4


def activation_atlas(
    model: nn.Module | Classifier,
    pictures: Any,
    layer: str,
    *,
    samples: Samples | None = None,
    levels: Sequence[int] = LEVELS,
    layout: Layout = "auto",
    fewest: int = FEWEST,
    size: int = ICON,
    steps: int = STEPS,
    power: float = POWER,
    damping: float | None = DAMPING,
    transform: nn.Module | None = STANDARD,
    nearest: int = NEAREST,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> ActivationAtlas:
    """A map of all that a layer says about many photographs: vectors that are alike lie beside each other.

    One vector of each photograph is laid out on a square, which is divided into cells; the mean vector of each cell is
    drawn as an icon, and its mean attribution says which classes it serves. Ctrl-C while photographs are read goes on
    with those that were; while icons are drawn, or photographs are cut,
    it leaves the others out. The network is left exactly as it was.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        model: a network, or a Classifier.
        pictures: a folder with its subfolders, a list, a tensor or a dataset, see `optvis.data.dataset.album`.
        layer: name as in `layers(net)`.
        samples: what `sample` gave of the same pictures, which is done otherwise.
        levels: cells a side of each zoom level.
        layout: "auto", "umap", "tsne" or an object with `fit_transform`, see `optvis.atlas.lay_out`.
        fewest: points under which a cell gets no icon.
        size: side of an icon in pixels.
        steps: updates of each icon.
        power: p of `direction`: how much an icon must have of this vector and of no other.
        damping: of the whitening, see `optvis.objectives.whitening`; None asks for the vectors as they are.
        transform: between icon and network.
        nearest: how many photographs are kept of each cell, those whose vectors are nearest to its mean.
        seed: of positions, layout, noise and transforms.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        progress: show progress bars.

    Returns:
        An ActivationAtlas: a notebook shows it; `.save(folder)` writes a page to zoom into, pictures and samples.

    Raises:
        KeyError: no such layer; the nearest are named.
        ValueError: numbers out of range; no photographs, or others than the samples'; a silent layer.
        ImportError: UMAP was asked for and is not installed.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> activation_atlas(load("demo"), Scenes(48), "mixed5", levels=[3], layout="tsne", size=16, steps=1,
        ...                  progress=False)
        ActivationAtlas('mixed5', 48 points, 3 × 3 cells, ... icons)
    """
    sizes, source = checked_sizes(levels), as_dataset(pictures)
    drawing = Drawing(size, steps, power, damping, fewest, transform, seed, channel_axis, progress)
    classifier = as_classifier(model, normalize)
    drawn = samples_of(classifier, source, layer, samples, seed, channel_axis, progress)
    points, how = lay_out(drawn.vectors, layout, seed=seed)
    return Mapped(classifier, source, drawn, drawing, sizes, nearest).atlas(points, {"layout": how})


def samples_of(
    classifier: Classifier,
    source: ImageDataset,
    layer: str,
    samples: Samples | None,
    seed: int,
    channel_axis: int | None,
    progress: bool,
) -> Samples:
    """The samples that were given, or new ones.

    Raises:
        ValueError: samples of another layer or network, of other photographs, or of some classes only.
    """
    if samples is None:
        return sample(classifier, source, layer, seed=seed, channel_axis=channel_axis, progress=progress)
    if samples.layer != layer:
        raise ValueError(f"samples of {samples.layer!r} for an atlas of {layer!r}; take both of one layer")
    network = samples.recipe.get("network", classifier.name)
    if network != classifier.name:
        raise ValueError(f"samples of the network {network!r} for an atlas of {classifier.name!r}")
    if CHOSEN in samples.recipe:
        raise ValueError(
            f"these samples are only what {samples.recipe[CHOSEN]}; give those of an atlas of all classes, or none"
        )
    check_album(source, samples.names)
    return samples


@dataclass(frozen=True, eq=False)
class Mapped:
    """Points on a map on their way to an atlas.

    Args:
        classifier: whose network was sampled.
        source: the photographs.
        samples: of them, N.
        drawing: how icons are drawn.
        sizes: of the levels.
        nearest: photographs a cell.
    """

    classifier: Classifier
    source: ImageDataset
    samples: Samples
    drawing: Drawing
    sizes: tuple[int, ...]
    nearest: int

    def __post_init__(self) -> None:
        if self.nearest < 0:
            raise ValueError(f"nearest is {self.nearest}; expected 0 or more photographs a cell")

    def atlas(
        self,
        points: Tensor,
        told: dict[str, Any],
        *,
        ends: tuple[str, str] | None = None,
        title: str = "Activation atlas",
    ) -> ActivationAtlas:
        """The whole atlas of points (N, 2) in [0, 1].

        Args:
            points: across and down.
            told: what the recipe says of them.
            ends: what left and right stand for.
            title: of its page.
        """
        drawing, samples = self.drawing, self.samples
        plain = [level_of(samples, points, size, self.nearest) for size in self.sizes]
        levels, made = drawing.drawn(self.classifier, samples.layer, plain, samples.vectors)
        kept = torch.cat([level.nearest.flatten() for level in levels])
        exemplars = exemplars_of(
            self.classifier,
            self.source,
            samples,
            kept,
            PATCH,
            channel_axis=drawing.channel_axis,
            progress=drawing.progress,
        )
        recipe = {
            "network": self.classifier.name,
            "layer": samples.layer,
            "points": len(samples),
            "levels": list(self.sizes),
            **told,
            "fewest": drawing.fewest,
            "power": drawing.power,
            "damping": drawing.damping,
            "seed": drawing.seed,
            "interrupted": bool(
                made["interrupted"]
                or samples.recipe.get("interrupted", False)
                or bool((exemplars.places(kept) < 0)[kept >= 0].any())
            ),
            "samples": dict(samples.recipe),
            "icons": made,
        }
        return ActivationAtlas(samples, points, levels, exemplars, drawing.fewest, recipe, ends, title)


__all__ = ["activation_atlas"]
