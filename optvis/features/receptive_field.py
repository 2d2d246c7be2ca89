"""Receptive fields: the pixels that a position of a layer depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optvis.arguments import check_axes
from optvis.data.images import resize
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.linear import linearize
from optvis.objectives.layout import channels_first, name_tokens

BATCH_SIZE = 16  # positions whose gradients are computed together

Box = tuple[int, int, int, int]  #: top, bottom, left, right in pixels; the first inside, the second outside


@dataclass(frozen=True)
class ReceptiveFields:
    """The receptive field of each position of a layer, in an image of the network's size.

    Args:
        rows: first row of pixels, and the one after the last, for each row of positions.
        columns: likewise for columns.
        size: (height, width) of the image in pixels.
    """

    rows: tuple[tuple[int, int], ...]
    columns: tuple[tuple[int, int], ...]
    size: tuple[int, int]

    @property
    def max_side(self) -> int:
        """The longer side of the largest receptive field, in pixels."""
        return max(end - start for start, end in (*self.rows, *self.columns))

    def box(self, y: int, x: int) -> Box:
        """The receptive field of the position in row y and column x, cut off at the image's edges; or an IndexError."""
        self._check_position(y, x)
        return *self.rows[y], *self.columns[x]

    def window(self, y: int, x: int, share: float = 0.5) -> Box:
        """A square around the centre of a position, moved into the image where it reaches over an edge.

        The pixels in the middle of a receptive field have the largest effect, those at its edge hardly any (Luo et al.
        2016, arXiv:1701.04128).

        Args:
            y, x: row and column of the position; an IndexError for one that the layer does not have.
            share: side of the square, as a share of the largest receptive field's.
        """
        self._check_position(y, x)
        ends = []
        for index, whole, fields in zip((y, x), self.size, (self.rows, self.columns), strict=True):
            side = min(max(1, round(share * self.max_side)), whole)
            center = (index + 0.5) * whole / len(fields)
            start = min(max(0, round(center - side / 2)), whole - side)
            ends += [start, start + side]
        top, bottom, left, right = ends
        return top, bottom, left, right

    def _check_position(self, y: int, x: int) -> None:
        if not (0 <= y < len(self.rows) and 0 <= x < len(self.columns)):
            raise IndexError(f"position ({y}, {x}) of a layer with {len(self.rows)} × {len(self.columns)}")


@plain_mode()
def receptive_fields(
    model: nn.Module | Classifier,
    layer: str,
    *,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> ReceptiveFields:
    """Measure the receptive field of each position of a layer with gradients.

    A pixel belongs to the receptive field where the gradient of the position, with activation functions left out, is
    not zero. A layer without a map of positions has one position, whose field is the whole image. Rows and columns are
    assumed to be independent.

    Args:
        layer: name as in `layers(net)`.
        model, normalize: see `render`.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        ValueError: a layer through which no gradient flows.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), None, 8)
        >>> receptive_fields(net, "2").box(0, 1)
        (0, 3, 1, 5)
    """
    layer = name_tokens(layer, tokens)
    classifier = as_classifier(model, normalize)
    size = classifier.size
    start = classifier.preprocess(classifier.noise_image())
    with borrow(classifier.network), torch.no_grad():
        shape = channels_first(read_activations(classifier.network, start, [layer])[layer], channel_axis).shape
    if len(shape) != 4:
        return ReceptiveFields(((0, size[0]),), ((0, size[1]),), size)
    height, width = shape[2:]
    diagonal = range(max(height, width))
    masks = torch.cat([
        _field_masks(classifier, start, layer, channel_axis, [(min(n, height - 1), min(n, width - 1)) for n in batch])
        for batch in (diagonal[first : first + BATCH_SIZE] for first in diagonal[::BATCH_SIZE])
    ])  # fmt: skip
    rows, columns = masks.any(2), masks.any(1)
    return ReceptiveFields(
        tuple(_extent(row) for row in rows[:height]), tuple(_extent(column) for column in columns[:width]), size
    )


def crop(image: Tensor, box: Box, size: int) -> Tensor:
    """Crop an image (3, H, W) and resize its longer side to `size` pixels, (3, h, w).

    Raises:
        ValueError: a box that is empty or reaches outside, or a size under 1.
    """
    check_axes({"image": image}, "C H W")
    _, height, width = image.shape
    top, bottom, left, right = box
    if not (0 <= top < bottom <= height and 0 <= left < right <= width and size >= 1):
        raise ValueError(
            f"the box is {box}, size {size}; expected top < bottom and left < right in an image of {height} × {width} "
            "pixels, and a size of 1 or more"
        )
    part = image[None, :, top:bottom, left:right]
    longer = max(part.shape[2:])
    sides = [max(1, math.floor(side * size / longer + 0.5)) for side in part.shape[2:]]
    return resize(part, sides)[0]


def _field_masks(
    classifier: Classifier, start: Tensor, layer: str, channel_axis: int | None, positions: list[tuple[int, int]]
) -> Tensor:
    """Compute which pixels each position depends on, (N, H, W) of bool."""
    images = start.repeat(len(positions), 1, 1, 1).requires_grad_()
    with borrow(classifier.network), torch.enable_grad(), linearize():
        a = channels_first(read_activations(classifier.network, images.clone(), [layer])[layer], channel_axis)
        # Different weights, so that channels do not cancel.
        weighted = torch.einsum(
            "bchw,c->bhw", a, torch.linspace(1, 2, a.shape[1], dtype=torch.float32, device="cpu").to(a).sin()
        )
        total = torch.stack([weighted[row, y, x] for row, (y, x) in enumerate(positions)]).sum()
        if not total.requires_grad:
            raise ValueError(
                f"layer {layer!r} has no gradient: an operation before it cannot be differentiated, so that its "
                "receptive field cannot be measured; choose a layer before that operation"
            )
        (gradient,) = torch.autograd.grad(total, images)
    return gradient.ne(0).any(1).cpu()


def _extent(mask: Tensor) -> tuple[int, int]:
    """The first index that is True, and the one after the last; the whole range where none is."""
    indices = mask.nonzero().flatten().tolist()
    return (indices[0], indices[-1] + 1) if indices else (0, len(mask))
