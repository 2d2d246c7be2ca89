"""activation_grid(): an icon for each position of a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.arguments import check_minimum
from optvis.data.images import ImageLike
from optvis.features.groups import AUTO, group
from optvis.grids.ascent import IconAscent
from optvis.grids.icon_pool import IconPool
from optvis.grids.optimizer import SoftSignSGD, require_stateless
from optvis.grids.options import DEFAULT_ICONS, IconOptions
from optvis.grids.result import ActivationGrid
from optvis.models.activations import activations, check_real
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import suggest_map
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.provenance import provenance
from optvis.objectives import Objective, direction
from optvis.objectives.layout import channels_first, name_tokens
from optvis.progress import progress_bar
from optvis.rendering.optimizers import describe_optimizer
from optvis.rendering.runner import conclude, run
from optvis.transforms import Compose, Crop


@plain_mode()
def activation_grid(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layer: str,
    *,
    groups: int = 6,
    decomposition: Any = AUTO,
    icons: IconOptions = DEFAULT_ICONS,
    size: int = 64,
    steps: int = 256,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
    progress: bool = True,
) -> ActivationGrid:
    """Render an icon for each position of a layer: an image that maximises the activation vector of this position.

    The activation vectors of all positions are decomposed into a few groups of neurons. An icon is the sum of its own
    part and of parts that its groups share, so that positions with similar activations have similar icons (Olah et
    al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010). Each group's direction
    gets an icon as well. Each step updates a random batch of icons, so memory hardly grows with their number. Ctrl-C
    stops early and returns the icons so far; the network is left exactly as it was.

    On a CPU the defaults take minutes for a network of photographs: 256 steps of 0.57 s, on one core, for a layer of
    EfficientNet-Lite0. The time grows with steps · size²: `size=48, steps=64` takes a ninth of it, for a first look.

    Args:
        images: an image in any form that `load_image` takes, or a list of them, which share their groups.
        layer: name as in `layers(net)`; its output is (B, C, H, W).
        groups: how many, K; 0 for a naive grid, in which each icon is independent and starts from its own noise.
        decomposition: see `optvis.features.group`.
        icons: batch size, objective, transform and optimizer.
        size: side of an icon in pixels. The canvas has 2 more on each side; the network sees a random crop of `size`.
        steps: each updates a batch of icons: every icon gets about steps · batch_size / (positions + K) updates.
        seed: of noise, transforms, the order of icons and the decomposition.
        channel_axis: axis of the channels in the layer's output; -1 for channels last.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        model, normalize, progress: see `render`.

    Raises:
        KeyError: there is no such layer or decomposition; the nearest names are given.
        ValueError: a layer without positions; activations that are all zero, or negative for "NMF"; numbers out of
            range; images as in `load_image`; an optimizer with state.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds the grid until then.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()), None, 8)
        >>> activation_grid(net, torch.rand(3, 8, 8), "1", groups=2, size=12, steps=4, progress=False)
        ActivationGrid('1', 1 image, 6 × 6 icons of 12 px, 2 groups)
    """
    layer = name_tokens(layer, tokens)
    check_minimum(0, groups=groups, steps=steps)
    check_minimum(1, size=size)
    if icons.optimizer is not None:
        require_stateless(icons.optimizer)
    classifier = as_classifier(model, normalize)
    batch = classifier.load_batch(images)
    a = _read_map(classifier, batch, layer, channel_axis)
    found = group(a, groups, layer=layer, decomposition=decomposition, seed=seed) if groups else None
    pool = IconPool(a, None if found is None else replace(found, channel_axis=channel_axis))
    objective = direction(layer, pool.vectors, power=icons.power, channel_axis=channel_axis)
    ascent, options = _build_ascent(classifier, pool, objective, icons, size, seed)
    recipe = provenance(
        classifier,
        "activation_grid",
        layer=layer,
        groups=groups,
        decomposition=None if found is None else found.decomposition,
        size=size,
        **options,
        steps=steps,
        seed=seed,
    )
    with progress_bar(total=steps, show=progress, unit="step", description="activation grid") as bar:
        stop = run(ascent.run(steps), bar)
    recipe |= ascent.describe()
    return conclude(stop, lambda interrupted: pool.build_grid(ascent, batch, recipe | {"interrupted": interrupted}))


def _read_map(classifier: Classifier, images: Tensor, layer: str, channel_axis: int | None) -> Tensor:
    """Read the layer's activations, (B, C, h, w), on the CPU."""
    with torch.no_grad():
        output = activations(classifier, images, [layer])[layer]
    check_real(layer, output)
    if output.dim() != 4:
        what = f"layer {layer!r} gives {tuple(output.shape)}"
        cure = suggest_map(classifier, output.shape[1] if output.dim() == 3 else None)
        raise ValueError(f"{what}, without rows and columns of positions{cure}")
    a = channels_first(output, channel_axis).float().cpu().contiguous()
    with borrow(classifier.network):
        what = f"the activations of {layer!r} of {classifier.name}"
        check_finite(a, what, classifier.network, classifier.preprocess(images))
    if not bool(a.any()):
        raise ValueError(f"the activations of {layer!r} are all zero; choose other images")
    return a


def _build_ascent(
    classifier: Classifier, pool: IconPool, objective: Objective, icons: IconOptions, size: int, seed: int
) -> tuple[IconAscent, dict[str, Any]]:
    """Build the ascent of all icons; return it and its options for the recipe."""
    param = pool.build_param(size, icons.batch_size, seed, classifier.channels)
    default = partial(SoftSignSGD, share=len(param) / len(pool))
    optimizer = default if icons.optimizer is None else icons.optimizer
    steps_per_update = math.ceil(len(pool) / len(param))  # in which every icon is updated once
    transform = Compose(*([] if icons.transform is None else [icons.transform]), Crop(size))
    redirect_steps, seeds = icons.redirect_steps * steps_per_update, (seed,) * len(param)
    options = {
        "batch_size": icons.batch_size,
        "power": icons.power,
        "param": " ".join(repr(param).split()),
        "optimizer": describe_optimizer(optimizer),
    }
    ascent = IconAscent(classifier, objective, param, transform, optimizer, seeds, redirect_steps)
    chain = " ".join(repr(ascent.chain).split())
    return ascent, options | {"transform": chain, "redirect_steps": icons.redirect_steps}
