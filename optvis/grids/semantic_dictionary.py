"""Semantic dictionaries: the strongest channels at each position, each with an icon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from optvis.arguments import check_axes, check_minimum
from optvis.data.images import ImageLike
from optvis.models.activations import read_channels
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import suggest_map
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives import channel
from optvis.objectives.layout import name_tokens
from optvis.rendering.recipes import ICON_STEPS
from optvis.rendering.render import render
from optvis.viz.result import Result
from optvis.viz.sheet import as_rgb, draw_sheet, stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class SemanticDictionary(Result):
    """The strongest channels of a layer at each position of one image, with an icon of each channel.

    Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010.

    Args:
        input_image: (3, H, W) in [0, 1], on the CPU.
        layer: name as in `layers(net)`.
        indices: the strongest channels at each position, strongest first, (h, w, K).
        values: their activations, (h, w, K).
        icons: an image that maximises the channel, (3, S, S) in [0, 1] by channel; of channels with a value above 0.
        recipe: everything that computed it, in JSON types.
    """

    KIND = "semantic dictionary"
    TENSOR_FIELDS: ClassVar = {"input_image": "3 H W", "indices": "h w K: int", "values": "h w K"}
    TEXT_FIELDS = ("layer",)

    input_image: Tensor
    layer: str
    indices: Tensor
    values: Tensor
    icons: Mapping[int, Tensor]
    recipe: Mapping[str, Any]

    def at(self, y: int, x: int) -> Image.Image:
        """Draw the channels at one position: icons with index and activation, strongest first.

        Raises:
            IndexError: a position that the layer does not have.
        """
        height, width, _ = self.indices.shape
        if not (0 <= y < height and 0 <= x < width):
            raise IndexError(f"position ({y}, {x}) of {self.layer!r}, which has {height} × {width}")
        pairs = zip(self.indices[y, x].tolist(), self.values[y, x].tolist(), strict=True)
        active = [(index, value) for index, value in pairs if value > 0]
        icons = torch.stack([self.icons[index] for index, _ in active]) if active else self._blank.unsqueeze(0)
        return draw_sheet(icons, [f"{index}: {value:.3g}" for index, value in active], columns=max(1, len(active)))

    def sheet(self, rank: int = 0) -> Image.Image:
        """Draw the image, and for each position the icon of its strongest channel, or of a weaker one.

        Args:
            rank: 0 for the strongest channel, 1 for the next one; an IndexError for K or more.
        """
        indices, values = self.indices[:, :, rank].flatten().tolist(), self.values[:, :, rank].flatten().tolist()
        pairs = zip(indices, values, strict=True)
        tiles = torch.stack([self.icons[index] if value > 0 else self._blank for index, value in pairs])
        mosaic = draw_sheet(tiles, columns=self.indices.shape[1], gap=1)
        _, height, width = self.input_image.shape
        image = to_pil_image(self.input_image).resize((mosaic.height * width // height, mosaic.height))
        return stack_rows([[image, mosaic]])

    def image(self) -> Image.Image:
        """The sheet of the strongest channels."""
        return self.sheet()

    @property
    def _blank(self) -> Tensor:
        """White, of the size of an icon."""
        return torch.ones_like(next(iter(self.icons.values()), torch.empty(3, 1, 1, dtype=torch.float32, device="cpu")))

    def _check(self, sizes: Mapping[str, int]) -> None:
        missing = set(self.indices[self.values > 0].tolist()) - self.icons.keys()
        if missing:
            raise ValueError(f"icons lack channel {min(missing)}, which is active")

    def _tensors(self) -> dict[str, Tensor]:
        if not self.icons:
            return super()._tensors()
        icons = {
            "icons": torch.stack(list(self.icons.values())),
            "icon_channels": torch.tensor(list(self.icons), device="cpu"),
        }
        return super()._tensors() | icons

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        icons = tensors.pop("icons", torch.empty(0, 3, 1, 1, dtype=torch.float32, device="cpu"))
        indices = tensors.pop("icon_channels", torch.empty(0, dtype=torch.long, device="cpu"))
        check_axes({"icons": icons, "icon_channels": indices}, {"icons": "N 3 S S", "icon_channels": "N: int"})
        channels = indices.tolist()
        return super()._from_parts(tensors, values | {"icons": dict(zip(channels, icons, strict=True))})

    def __repr__(self) -> str:
        height, width, count = self.indices.shape
        content = f"{height} × {width} positions, {count} channels each, {len(self.icons)} icons"
        return f"SemanticDictionary({self.layer!r}, {content})"


@plain_mode()
def semantic_dictionary(
    model: nn.Module | Classifier,
    image: ImageLike,
    layer: str,
    *,
    top: int = 4,
    size: int = 64,
    steps: int = ICON_STEPS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
    progress: bool = True,
) -> SemanticDictionary:
    """Find the strongest channels at each position of an image, and render an icon of each of them.

    Args:
        image: an image in any form that `load_image` takes.
        layer: name as in `layers(net)`.
        top: how many channels at each position, K.
        size: side of an icon in pixels.
        steps: updates of each icon.
        seed: of noise and transforms.
        channel_axis: axis of the channels in the layer's output; by default the second.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        model, normalize, progress: see `render`.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        ValueError: a layer without a map of positions; several images; `top` below 1. NotFiniteError: activations are
            NaN or infinite.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> ship = scene("container ship", seed=7).image
        >>> semantic_dictionary(load("demo"), ship, "mixed5", top=1, size=32, steps=1, progress=False)
        SemanticDictionary('mixed5', 12 × 12 positions, 1 channels each, ... icons)
    """
    layer = name_tokens(layer, tokens)
    check_minimum(1, top=top)
    classifier = as_classifier(model, normalize)
    batch = classifier.load_batch(image)
    if len(batch) != 1:
        raise ValueError(f"{len(batch)} images; a dictionary is of one")
    a = read_channels(classifier, batch, layer, channel_axis)[0].cpu()
    if a.dim() != 3:
        cure = suggest_map(classifier, a.shape[1] if a.dim() == 2 else None)
        raise ValueError(f"layer {layer!r} has no rows and columns of positions{cure}")
    best = a.movedim(0, -1).topk(min(top, len(a)))
    active = sorted(set(best.indices[best.values > 0].tolist()))
    icons: dict[int, Tensor] = {}
    options: dict[str, Any] = {"interrupted": False}
    if active:
        objective = channel(layer, active, channel_axis=channel_axis)
        rendering = render(classifier, objective, recipe="icon", size=size, steps=steps, seed=seed, progress=progress)
        icons = dict(zip(active, as_rgb(rendering.images), strict=False))  # fewer images after Ctrl-C
        options = {name: rendering.recipe[name] for name in ("param", "transform", "optimizer", "interrupted")}
    recipe = provenance(
        classifier, "semantic_dictionary", layer=layer, top=top, size=size, steps=steps, seed=seed, **options
    )
    return SemanticDictionary(as_rgb(batch[0].cpu()), layer, best.indices, best.values, icons, recipe)
