"""AtlasBuilder: atlases of all classes, of one class and of two compared, from one sample of activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from optvis.atlas.class_mask import SELECTION, class_mask, sampled_class, select_samples
from optvis.atlas.comparison import CLASS_INDICES, Comparison
from optvis.atlas.exemplars import crop_exemplars
from optvis.atlas.icons import render_icons
from optvis.atlas.layout import lay_out, scale_differences
from optvis.atlas.levels import build_level, choose_levels, keep_occupied, resolve_levels
from optvis.atlas.options import DEFAULT_OPTIONS, AtlasOptions
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.sample_activations import sample_activations
from optvis.atlas.samples import Samples
from optvis.data.dataset import ImageDataset
from optvis.data.sources import as_dataset
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance

COARSEST, CLASS_COARSEST = 10, 5  # cells per side of the coarsest level, where there are points enough


@dataclass(frozen=True, eq=False)
class AtlasBuilder:
    """Builds atlases of a layer; all of them share one sample of activations.

    Args:
        model: a network, or a Classifier.
        images: a folder with its subfolders, a list, a tensor or a dataset, see `optvis.data.as_dataset`.
        layer: name as in `layers(net)`.
        samples: what `sample_activations` returned for the same images; computed by the first atlas if None.
        options: of the layout and the icons.
        seed: of positions, layout, noise and transforms.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        progress: whether to show progress bars.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> options = AtlasOptions(layout="tsne", size=16, steps=1)
        >>> builder = AtlasBuilder(load("demo"), Scenes(64), "mixed5", options=options, progress=False)
        >>> builder.all([3])
        ActivationAtlas('mixed5', 64 points, 3 × 3 cells, ... icons)
        >>> builder.of_class("wok", [2])
        ActivationAtlas('mixed5', ... points, 2 × 2 cells, ... icons)
    """

    model: nn.Module | Classifier
    images: Any
    layer: str
    samples: Samples | None = None
    options: AtlasOptions = DEFAULT_OPTIONS
    seed: int = 0
    _: KW_ONLY
    normalize: Normalizer | str = INFER
    channel_axis: int | None = None
    progress: bool = True

    @plain_mode()
    def all(self, levels: Sequence[int] | None = None) -> ActivationAtlas:
        """Build the atlas of all classes; see `activation_atlas`."""
        sizes, samples = resolve_levels(levels), self._samples
        points, layout = lay_out(samples.vectors, self.options.layout, seed=self.seed)
        return self._build("activation_atlas", samples, points, sizes, COARSEST, layout=layout)

    @plain_mode()
    def of_class(self, label: int | str, levels: Sequence[int] | None = None) -> ActivationAtlas:
        """Build the atlas of one class; see `class_atlas`."""
        sizes, samples, rank = resolve_levels(levels), self._samples, self.options.rank
        name = samples.labels[sampled_class(samples, label)]
        chosen = select_samples(samples, class_mask(samples, label, rank), f"contribute to {name!r}")
        points, layout = lay_out(chosen.vectors, self.options.layout, seed=self.seed)
        details: dict[str, Any] = {"layout": layout, "class": name, "rank": rank}
        title = f"Contributions to {name}"
        return self._build("class_atlas", chosen, points, sizes, CLASS_COARSEST, title=title, **details)

    @plain_mode()
    def compare(self, first: int | str, second: int | str, levels: Sequence[int] | None = None) -> Comparison:
        """Compare two classes; see `compare_classes`."""
        sizes, samples, rank = resolve_levels(levels), self._samples, self.options.rank
        left, right = sampled_class(samples, first), sampled_class(samples, second)
        names = samples.labels[left], samples.labels[right]
        if left == right:
            raise ValueError(f"class {names[0]!r} is compared with itself; name two classes")
        either = class_mask(samples, left, rank) | class_mask(samples, right, rank)
        chosen = select_samples(samples, either, f"contribute to {names[0]!r} or {names[1]!r}")
        down, layout = lay_out(chosen.vectors, self.options.layout, axes=1, seed=self.seed)
        across = scale_differences(chosen.attribution[:, right] - chosen.attribution[:, left])
        atlas = self._build(
            "compare_classes",
            chosen,
            torch.stack([across, down.squeeze(1)], dim=1),
            sizes,
            CLASS_COARSEST,
            ends=names,
            title=f"Differences between {names[0]} and {names[1]}",
            layout=f"the difference of attributions across; {layout} down",
            classes=list(names),
            rank=rank,
            **{CLASS_INDICES: [left, right]},
        )
        return Comparison(atlas, left, right)

    @cached_property
    def _classifier(self) -> Classifier:
        return as_classifier(self.model, self.normalize)

    @cached_property
    def _dataset(self) -> ImageDataset:
        return as_dataset(self.images)

    @cached_property
    def _samples(self) -> Samples:
        """The given samples, or new ones."""
        if self.samples is not None:
            self._check_samples(self.samples)
            return self.samples
        how: dict[str, Any] = {"seed": self.seed, "channel_axis": self.channel_axis, "progress": self.progress}
        return sample_activations(self._classifier, self._dataset, self.layer, **how)

    def _check_samples(self, samples: Samples) -> None:
        """Raise ValueError for samples of another layer, of another network, of other images, or of some classes."""
        if samples.layer != self.layer:
            raise ValueError(f"samples of {samples.layer!r} for an atlas of {self.layer!r}; expected the same layer")
        name = self._classifier.name
        network = samples.recipe.get("network", name)
        if network != name:
            raise ValueError(f"samples of the network {network!r} for an atlas of {name!r}; expected the same network")
        if SELECTION in samples.recipe:
            raise ValueError(
                f"these samples are only those that {samples.recipe[SELECTION]}; give all samples, or samples=None"
            )
        if tuple(self._dataset.names) != samples.names:
            raise ValueError(
                f"the samples are of {len(samples.names)} images, and these {len(self._dataset)} are not the same; "
                "give those that were sampled, or samples=None"
            )

    def _build(
        self,
        method: str,
        samples: Samples,
        points: Tensor,
        sizes: Sequence[int] | None,
        coarsest: int,
        *,
        ends: tuple[str, str] | None = None,
        title: str = "Activation atlas",
        **details: Any,
    ) -> ActivationAtlas:
        """Build the atlas of points (N, 2) in [0, 1], across and down.

        Args:
            method: the function that the atlas comes from.
            samples: N vectors.
            points: their places on the map.
            sizes: of the levels; None to choose them by the number of points.
            coarsest: cells per side of the coarsest of chosen levels, at most.
            ends: texts at the left and the right end of the map.
            title: of the page.
            details: entries of the recipe.
        """
        classifier, options = self._classifier, self.options
        min_points = options.choose_min_points(len(samples))
        chosen = choose_levels(len(samples), min_points, coarsest) if sizes is None else sizes
        every = [build_level(samples, points, size, options.nearest) for size in chosen]
        empty = keep_occupied(every, min_points, are_chosen=sizes is None)
        levels, icons = render_icons(
            classifier, empty, samples, options, seed=self.seed, channel_axis=self.channel_axis, progress=self.progress
        )
        rows = torch.cat([level.nearest.flatten() for level in levels])
        exemplars, unreadable = crop_exemplars(
            classifier, self._dataset, samples, rows, channel_axis=self.channel_axis, progress=self.progress
        )
        is_cut_short = len(exemplars) + unreadable < len(rows[rows >= 0].unique())  # type: ignore[no-untyped-call]
        recipe = provenance(
            classifier,
            method,
            layer=samples.layer,
            points=len(samples),
            levels=[level.size for level in levels],
            **details,
            nearest=options.nearest,
            min_points=min_points,
            size=options.size,
            steps=options.steps,
            power=options.power,
            damping=options.damping,
            seed=self.seed,
            unreadable=unreadable,
            interrupted=not samples.complete or bool(icons["interrupted"]) or is_cut_short,
            samples=dict(samples.recipe),
            icons=icons,
        )
        return ActivationAtlas(samples, points, levels, exemplars, min_points, recipe, ends, title)
