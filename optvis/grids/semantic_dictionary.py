"""Semantic dictionaries: the strongest channels at each position, each with its visualization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike
from optvis.models.activations import activations
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import channel
from optvis.objectives.layout import channels_first
from optvis.rendering.render import DEFAULT_STEPS, render
from optvis.viz.sheet import draw_sheet, encode_png, stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class SemanticDictionary:
    """What a layer says at each position of one image, in words that are pictures.

    Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010.

    Args:
        image: (3, H, W) in [0, 1], on the CPU.
        layer: whose channels are the words.
        indices: the strongest channels at each position, strongest first, (h, w, K).
        values: their activations, (h, w, K).
        pictures: what each of these channels looks for, (3, S, S) in [0, 1] by channel; none where it is never active.
        recipe: everything that made the pictures, in JSON's types.
    """

    image: Tensor
    layer: str
    indices: Tensor
    values: Tensor
    pictures: Mapping[int, Tensor]
    recipe: Mapping[str, Any]

    def at(self, y: int, x: int) -> Image.Image:
        """The channels at one position: pictures with number and activation, strongest first.

        Raises:
            IndexError: a position that the layer does not have.
        """
        height, width, _ = self.indices.shape
        if not (0 <= y < height and 0 <= x < width):
            raise IndexError(f"position ({y}, {x}) of {self.layer!r}, which has {height} × {width}")
        words = [(c, v) for c, v in zip(self.indices[y, x].tolist(), self.values[y, x].tolist(), strict=True) if v > 0]
        images = torch.stack([self.pictures[c] for c, _ in words]) if words else torch.ones(1, 3, *self._side)
        return draw_sheet(images, [f"{c}: {v:.3g}" for c, v in words], columns=max(1, len(words)))

    def sheet(self, rank: int = 0) -> Image.Image:
        """The image, and for each position the picture of its strongest channel, or of the next one.

        Args:
            rank: 0 for the strongest.

        Raises:
            IndexError: as many channels were not kept.
        """
        chosen, strengths = self.indices[:, :, rank].flatten(), self.values[:, :, rank].flatten()
        blank = torch.ones(3, *self._side)
        tiles = [self.pictures[c] if v > 0 else blank for c, v in zip(chosen.tolist(), strengths.tolist(), strict=True)]
        mosaic = draw_sheet(torch.stack(tiles), columns=self.indices.shape[1], gap=1)
        _, height, width = self.image.shape
        photo = to_pil_image(self.image).resize((mosaic.height * width // height, mosaic.height))
        return stack_rows([[photo, mosaic]])

    @property
    def _side(self) -> tuple[int, int]:
        shapes = [tuple(picture.shape[1:]) for picture in self.pictures.values()]
        return (shapes[0][0], shapes[0][1]) if shapes else (1, 1)

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        height, width, count = self.indices.shape
        return (
            f"SemanticDictionary({self.layer!r}, {height} × {width} positions, {count} channels each, "
            f"{len(self.pictures)} pictures)"
        )


def semantic_dictionary(
    model: nn.Module | Classifier,
    image: ImageLike,
    layer: str,
    *,
    top: int = 4,
    size: int = 64,
    steps: int = DEFAULT_STEPS,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> SemanticDictionary:
    """The strongest channels at each position of a photograph, each rendered once.

    Args:
        model: a network, or a Classifier.
        image: a photograph in any form that `load_image` takes.
        layer: name as in `layers(net)`.
        top: how many channels at each position, K.
        size: side of the channels' pictures in pixels.
        steps: updates of each.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layer's output; by default the second.
        seed: of noise and transforms.
        progress: show a progress bar.

    Raises:
        KeyError: a layer that does not exist.
        ValueError: a layer whose positions are no map; several images; `top` under 1.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> ship = scene("container ship", seed=7).image
        >>> semantic_dictionary(load("demo"), ship, "mixed5", top=1, size=32, steps=1, progress=False)
        SemanticDictionary('mixed5', 12 × 12 positions, 1 channels each, ... pictures)
    """
    if top < 1:
        raise ValueError(f"top is {top}; expected 1 or more")
    classifier = as_classifier(model, normalize)
    seen = classifier.load_batch(image)
    if len(seen) != 1:
        raise ValueError(f"{len(seen)} images; a dictionary is of one")
    found = channels_first(activations(classifier, seen, [layer])[layer], channel_axis)[0].cpu()
    if found.dim() != 3:
        raise ValueError(f"layer {layer!r} has no map of positions; name one that gives (B, C, H, W)")
    best = found.movedim(0, -1).topk(min(top, len(found)))
    used = sorted(set(best.indices[best.values > 0].tolist()))
    pictures, recipe = _pictures(classifier, layer, used, size, steps, channel_axis, seed, progress)
    return SemanticDictionary(seen[0].cpu(), layer, best.indices, best.values, pictures, recipe)


def _pictures(
    classifier: Classifier,
    layer: str,
    used: Sequence[int],
    size: int,
    steps: int,
    channel_axis: int | None,
    seed: int,
    progress: bool,
) -> tuple[dict[int, Tensor], Mapping[str, Any]]:
    if not used:
        return {}, {}
    objective = channel(layer, list(used), channel_axis=channel_axis)
    made = render(classifier, objective, size=size, steps=steps, seed=seed, progress=progress)
    return dict(zip(used, made.images, strict=False)), made.recipe


__all__ = ["SemanticDictionary", "semantic_dictionary"]
