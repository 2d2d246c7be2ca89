"""activation_atlas(), class_atlas() and compare_classes(): an atlas in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from optvis.atlas.builder import AtlasBuilder
from optvis.atlas.comparison import Comparison
from optvis.atlas.options import DEFAULT_OPTIONS, AtlasOptions
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.samples import Samples
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives.layout import name_tokens


@plain_mode()
def activation_atlas(
    model: nn.Module | Classifier,
    images: Any,
    layer: str,
    *,
    samples: Samples | None = None,
    levels: Sequence[int] | None = None,
    options: AtlasOptions = DEFAULT_OPTIONS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
    progress: bool = True,
) -> ActivationAtlas:
    """Build an atlas of a layer: activation vectors of many images, similar ones beside each other.

    Takes one vector of each image, lays the vectors out on a square, and divides the square into cells. Renders the
    mean vector of each cell as an icon; its mean attribution shows to which classes it contributes. Ctrl-C while images
    are loaded continues with those that were; while icons are rendered or patches are cropped, it leaves the others
    out. The network is not changed.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        model: a network, or a Classifier.
        images: a folder with its subfolders, a list, a tensor or a dataset, see `optvis.data.as_dataset`.
        layer: name as in `layers(net)`.
        samples: what `sample_activations` returned for the same images; computed if None.
        levels: cells per side of each zoom level; by default 10, 20 and 40, of classes 5, 10 and 20, and fewer where
            there are few points.
        options: of the layout and the icons, see `AtlasOptions`.
        seed: of positions, layout, noise and transforms.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        progress: whether to show progress bars.

    Returns:
        An ActivationAtlas: a notebook shows it, `.save(folder)` writes an interactive page.

    Raises:
        KeyError: no such layer; the message names the nearest.
        ValueError: numbers out of range; no images, or others than the samples'; all activations are zero; no cell
            holds enough points for an icon.
        ImportError: UMAP is not installed and was requested.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> options = AtlasOptions(layout="tsne", size=16, steps=1)
        >>> activation_atlas(load("demo"), Scenes(48), "mixed5", levels=[3], options=options, progress=False)
        ActivationAtlas('mixed5', 48 points, 3 × 3 cells, ... icons)
    """
    layer = name_tokens(layer, tokens)
    return AtlasBuilder(
        model, images, layer, samples, options, seed, normalize=normalize, channel_axis=channel_axis, progress=progress
    ).all(levels)


@plain_mode()
def class_atlas(
    model: nn.Module | Classifier,
    images: Any,
    layer: str,
    label: int | str,
    *,
    samples: Samples | None = None,
    levels: Sequence[int] | None = None,
    options: AtlasOptions = DEFAULT_OPTIONS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> ActivationAtlas:
    """Build an atlas of one class: of the vectors that contribute to its score, see `class_mask`.

    Args:
        model: a network, or a Classifier.
        images: of all classes, as in `activation_atlas`.
        layer: name as in `layers(net)`; "blocks.5@class" is the class token of a transformer's layer.
        label: label or index of the class.
        samples, levels, options, seed: as in `activation_atlas`.
        normalize, channel_axis, progress: as in `activation_atlas`.

    Raises:
        KeyError, IndexError: no such class or layer.
        ValueError: no vector contributes to the class; as in `activation_atlas`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> options = AtlasOptions(layout="tsne", size=16, steps=1)
        >>> class_atlas(load("demo"), Scenes(64), "mixed5", "wok", levels=[2], options=options, progress=False)
        ActivationAtlas('mixed5', ... points, 2 × 2 cells, ... icons)
    """
    return AtlasBuilder(
        model, images, layer, samples, options, seed, normalize=normalize, channel_axis=channel_axis, progress=progress
    ).of_class(label, levels)


@plain_mode()
def compare_classes(
    model: nn.Module | Classifier,
    images: Any,
    layer: str,
    first: int | str,
    second: int | str,
    *,
    samples: Samples | None = None,
    levels: Sequence[int] | None = None,
    options: AtlasOptions = DEFAULT_OPTIONS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Compare two classes: an atlas of the vectors that contribute to either, by the difference of their attributions.

    Across, the signed root of the difference: `first` to the left, `second` to the right, no difference in the middle.
    Down, a layout on one axis: similar vectors are at the same height.

    Args:
        model: a network, or a Classifier.
        images: of all classes, as in `activation_atlas`.
        layer: name as in `layers(net)`; "blocks.5@class" is the class token of a transformer's layer.
        first: label or index of a class.
        second: of another class.
        samples, levels, options, seed: as in `activation_atlas`.
        normalize, channel_axis, progress: as in `activation_atlas`.

    Returns:
        A Comparison: `.top(5)` lists the cells that differ most, `.atlas` is the whole atlas.

    Raises:
        KeyError, IndexError: no such class or layer.
        ValueError: the same class twice; no vector contributes to either; as in `activation_atlas`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> options = AtlasOptions(layout="tsne", size=16, steps=1)
        >>> compare_classes(load("demo"), Scenes(64), "mixed5", "frying pan", "wok", levels=[2], options=options,
        ...                 progress=False)
        Comparison('frying pan', 'wok', ActivationAtlas('mixed5', ... points, 2 × 2 cells, ... icons))
    """
    return AtlasBuilder(
        model, images, layer, samples, options, seed, normalize=normalize, channel_axis=channel_axis, progress=progress
    ).compare(first, second, levels)
