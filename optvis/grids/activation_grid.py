"""Activation grids: what a layer sees at each position of a photograph, as an icon."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike
from optvis.features.groups import Groups, group
from optvis.grids.result import ActivationGrid
from optvis.grids.steps import GridAscent, RowSteps, check_forgetful
from optvis.models.activations import activations
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import layers
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives import Objective, direction
from optvis.objectives.layout import channels_first
from optvis.params import DecorrelatedColor, ImageParam, Sigmoid, Streams
from optvis.params.image_pool import ImagePool
from optvis.progress import progress_bar
from optvis.rendering.optimizers import OptimizerMaker, describe_optimizer
from optvis.rendering.runner import conclude, run
from optvis.rendering.setup import input_transform
from optvis.transforms import Compose, Crop, Jitter, Pad, Rotate, Scale

BORDER = 2  # pixels cut from each side of an icon in the end, as Lucid's notebook "Activation Grids" does (2018)
NOISE_BATCH_SIZE = 64  # icons that leave the pool together, so that memory does not grow with it
GREY = 0.5  # where there is no icon

# The moves of Lucid's standard chain; the crop at its end is the grid's own.
ICONS = Compose(Pad(0.5), Jitter(8), Scale([1 + (i - 5) / 50 for i in range(11)]), Rotate([*range(-10, 11), *[0] * 5]))


def activation_grid(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layer: str,
    *,
    groups: int = 6,
    decomposition: Any = "NMF",
    size: int = 64,
    steps: int = 256,
    cells: int = 64,
    power: float = 2.0,
    transform: nn.Module | None = ICONS,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker | None = None,
    seed: int = 0,
    redirect_steps: int = 2,
    channel_axis: int | None = None,
    progress: bool = True,
) -> ActivationGrid:
    """An icon for each position of a layer: an image that maximises the activation vector which a photograph has there.

    The vectors of all positions are split into a few groups of neurons, and an icon is a mixture of a picture of its
    own and of the pictures of its groups, so that neighbours which mean the same look the same (Olah et al., "The
    Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010). Each step moves a random few of all
    icons, so memory hardly grows with their number. Each group's own direction gets an icon as well. Ctrl-C stops
    early and returns what is there; the network is left exactly as it was.

    Args:
        model: a network, or a Classifier.
        images: a photograph in any form that `load_image` takes, or a list of them: their icons share one run.
        layer: name as in `layers(net)`; its output is (B, C, H, W).
        groups: how many, K; 0 makes the naive grid, in which each icon is alone and begins with noise of its own.
        decomposition: how groups are found, see `optvis.features.groups.group`.
        size: side of an icon in pixels. The canvas has 2 more on each side; the network sees a random crop of `size`.
        steps: how many, each of `cells` icons: every icon gets about steps · cells / (positions + K) updates.
        cells: how many icons a step moves.
        power: p of `direction`: 0 is the dot product with the vector, and shows whatever is loudest; 2 asks for what
            the vector has that others have not.
        transform: before the crop; None leaves only that. All icons of a step get the same draws.
        normalize: see `render`; by default what the model carries.
        optimizer: makes a torch optimizer that remembers nothing of an image; `RowSteps` of `optvis.grids.steps` by
            default.
        seed: of noise, transforms, the order of icons and the decomposition.
        redirect_steps: for how many updates of each icon ReLU gradients are redirected where it has none.
        channel_axis: axis of the channels in the layer's output; -1 where they lie last.
        progress: show a progress bar.

    Returns:
        An ActivationGrid with icons, groups and recipe; save it, or let a notebook show it.

    Raises:
        KeyError: no such layer, or no such decomposition; the nearest are named.
        ValueError: a layer without positions; activations that are all zero, or signed for NMF; numbers out of range;
            photographs as in `load_image`; an optimizer that remembers gradients.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds the grid until then.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()), None, 8)
        >>> activation_grid(net, torch.rand(3, 8, 8), "1", groups=2, size=12, steps=4, cells=8, progress=False)
        ActivationGrid('1', 1 photograph, 6 × 6 icons of 12 px, 2 groups)
    """
    _check(groups, size, steps, cells)
    if optimizer is not None:
        check_forgetful(optimizer)
    classifier = as_classifier(model, normalize)
    shown = classifier.load_batch(images)
    a = _activations(classifier, shown, layer, channel_axis)
    split = group(a, groups, layer=layer, decomposition=decomposition, seed=seed) if groups else None
    plan = _Plan(a, None if split is None else replace(split, channel_axis=channel_axis))
    chain = Compose(*([] if transform is None else [transform]), Crop(size))
    question = direction(layer, plan.vectors, power=power, channel_axis=channel_axis)
    icons = plan.pool(size + 2 * BORDER, cells, seed)
    maker = partial(RowSteps, turn=len(icons) / len(plan.weights)) if optimizer is None else optimizer
    turn = math.ceil(len(plan.weights) / len(icons))  # steps in which every icon is moved
    ascent = _ascent(classifier, question, icons, chain, maker, seed, redirect_steps * turn)
    recipe = provenance(
        classifier,
        "activation_grid",
        layer=layer,
        groups=groups,
        decomposition=None if split is None else split.decomposition,
        size=size,
        cells=cells,
        power=power,
        image=" ".join(repr(icons).split()),
        optimizer=describe_optimizer(maker),
        transform=" ".join(repr(ascent.chain).split()),
        steps=steps,
        redirect_steps=redirect_steps,
        seed=seed,
    )
    with progress_bar(total=steps, show=progress, unit="step", description="activation grid") as bar:
        stop = run(ascent.run(steps), bar)
    return conclude(stop, lambda interrupted: plan.grid(ascent, shown, recipe | {"interrupted": interrupted}))


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which icons there are: one for each position where anything is active, and one for each group."""

    activations: Tensor  # (B, C, h, w), float32, CPU
    groups: Groups | None

    @cached_property
    def present(self) -> Tensor:
        """Where anything is active, (B, h, w)."""
        return self.activations.ne(0).any(1)

    @property
    def vectors(self) -> Tensor:
        """What each icon is asked, (N, C): positions first, then groups."""
        asked = self.activations.movedim(1, -1)[self.present]
        return asked if self.groups is None else torch.cat([asked, self.groups.directions.to(asked)])

    @property
    def weights(self) -> Tensor:
        """How much of each group is in each icon, (N, K)."""
        if self.groups is None:
            return torch.zeros(int(self.present.sum()), 0)
        return torch.cat([self.groups.normalized_maps().movedim(1, -1)[self.present], torch.eye(len(self.groups))])

    def pool(self, side: int, cells: int, seed: int) -> ImageParam:
        """All icons at their start: alike where groups are shared, with noise of their own where not."""
        weights = self.weights
        count = len(weights)
        seeds = tuple(range(seed, seed + count)) if self.groups is None else (seed,) * count
        return ImageParam(ImagePool(side, seeds, weights, min(cells, count)), DecorrelatedColor(), Sigmoid())

    def grid(self, ascent: GridAscent, shown: Tensor, recipe: dict[str, Any]) -> ActivationGrid:
        """What has become of them."""
        places = self.present.flatten().nonzero().squeeze(1)
        count, scores, side = len(places), ascent.scores.cpu(), ascent.canvas.size[0] - 2 * BORDER
        icons = torch.full((self.present.numel(), 3, side, side), GREY)
        for rows, pictures in _pictures(ascent, range(count)):
            icons[places[rows]] = pictures
        last = torch.full((self.present.numel(),), torch.nan)
        last[places] = scores[:count].float()
        of_groups = [pictures for _, pictures in _pictures(ascent, range(count, len(scores)))]
        return ActivationGrid(
            shown.detach().cpu(),
            recipe["layer"],
            self.activations,
            icons.view(*self.present.shape, 3, side, side),
            self.present,
            last.view(self.present.shape),
            recipe,
            self.groups,
            torch.cat(of_groups) if of_groups else None,
        )


def _check(groups: int, size: int, steps: int, cells: int) -> None:
    for name, value, least in (("groups", groups, 0), ("size", size, 1), ("steps", steps, 0), ("cells", cells, 1)):
        if type(value) is not int or value < least:
            raise ValueError(f"{name} is {value!r}; expected a whole number, {least} or more")


def _activations(classifier: Classifier, shown: Tensor, layer: str, channel_axis: int | None) -> Tensor:
    """The layer's, (B, C, h, w), on the CPU.

    Raises:
        ValueError: it has no map of positions, or nothing is active in it.
    """
    with torch.no_grad():
        found = activations(classifier, shown, [layer])[layer]
    if found.dim() != 4:
        table = [row for row in layers(classifier) if row.is_tensor and row.output.count("×") == 3]
        cure = f"; {table[-1].name!r} is the last that has" if table else ""
        raise ValueError(f"layer {layer!r} gives {tuple(found.shape)}, without rows and columns of positions{cure}")
    a = channels_first(found, channel_axis).float().cpu().contiguous()
    if not bool(a.isfinite().all()) or not bool(a.any()):
        raise ValueError(f"the activations of {layer!r} are all zero, or not finite; choose other photographs")
    return a


def _ascent(
    classifier: Classifier,
    question: Objective,
    icons: ImageParam,
    chain: Compose,
    optimizer: OptimizerMaker,
    seed: int,
    redirect_steps: int,
) -> GridAscent:
    """Ready to begin."""
    icons.to(classifier.device, classifier.image_dtype)
    seeds = (seed,) * len(icons)
    ready = input_transform(classifier, icons, chain, seeds)
    moved = question.to(classifier.device, classifier.image_dtype)
    streams = Streams(seeds, "transform")
    return GridAscent(seed, classifier, moved, icons, ready, streams, optimizer, redirect_steps, None)


def _pictures(ascent: GridAscent, rows: range) -> Iterator[tuple[Tensor, Tensor]]:
    """Icons of a pool without their border, some at a time: their rows, and (R, 3, S, S), float32, on the CPU."""
    inside = slice(BORDER, -BORDER)
    for start in rows[::NOISE_BATCH_SIZE]:
        some = torch.arange(start, min(start + NOISE_BATCH_SIZE, rows.stop))
        yield some, ascent.pictures(some)[:, :, inside, inside].float().cpu()


__all__ = ["ICONS", "ActivationGrid", "activation_grid"]
