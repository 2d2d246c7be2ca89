"""A network whose outputs are known exactly: 64 matched filters and a linear head, with constructed weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis import Classifier

SIDE = 32
FILTERS = 64
CLASSES = 16
CLASS_WEIGHTS = (1.0, 0.5, 0.25, -0.5)  # of filters 4k, 4k + 1, 4k + 2, 4k + 3 in class k
COLOR_OFFSET = 0.1  # half sides by which each colour channel is shifted


class TemplateNetwork(nn.Module):
    """Matched filters, ReLU, a linear head: images (B, 3, 32, 32) in [0, 1] -> logits (B, 16).

    The filter of a template T in {0, 1} with N numbers has weights 2 (2T - 1) / N and bias -sum(2T - 1) / N. Its
    response to an image x in [0, 1] is sum((2T - 1) (2x - 1)) / N = 1 - 2 mean|x - T|: 1 for its template and less
    for every other image, 0 for grey, -1 for the negative.
    """

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, FILTERS, SIDE)
        self.relu = nn.ReLU()
        self.flat = nn.Flatten()
        self.head = nn.Linear(FILTERS, CLASSES, bias=False)
        signs = 2 * templates() - 1
        self.filters.weight = nn.Parameter(2 * signs / signs[0].numel())
        self.filters.bias = nn.Parameter(-signs.mean((1, 2, 3)))
        self.head.weight = nn.Parameter(head_weights())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.flat(self.relu(self.filters(images))))
        return logits


def template_classifier() -> Classifier:
    """The classifier of `templates()`; its input in [0, 1] is not normalized."""
    return Classifier(TemplateNetwork(), None, SIDE, name="template network", fixed_size=True)


# Outputs of template_classifier() without the network, for images (B, 3, 32, 32) in [0, 1]


def responses(images: Tensor) -> Tensor:
    """Output of each filter before its ReLU, (B, 64)."""
    return 1 - 2 * (images.unsqueeze(1) - templates().to(images)).abs().mean((2, 3, 4))


def attribution(images: Tensor) -> Tensor:
    """What each filter adds to each logit, weight times activation, (B, 16, 64); the logits are the sums."""
    return head_weights().to(images) * responses(images).relu().unsqueeze(1)


def logit_drop(images: Tensor, off: Sequence[int]) -> Tensor:
    """The drop of each logit when these filters are switched off, (B, 16)."""
    return attribution(images)[:, :, list(off)].sum(2)


def head_weights() -> Tensor:
    """(16, 64): four filters a class, each filter in one class only."""
    return torch.kron(torch.eye(CLASSES), torch.tensor([CLASS_WEIGHTS]))


def correlation(images: Tensor, others: Tensor) -> Tensor:
    """Pearson correlation of each image with the other of the same index, over all pixels and colours, (B,)."""
    first, second = ((each - each.mean((1, 2, 3), keepdim=True)).flatten(1) for each in (images, others))
    return F.cosine_similarity(first, second)


# The templates: 1 where a field over y (up) and x, from -1 to 1, is positive


def templates() -> Tensor:
    """The image with the largest response of each filter, (64, 3, 32, 32): 0 or 1.

    Eight images of each of eight shapes. The colour channels are shifted in three directions.
    """
    centres = (2 * torch.arange(SIDE, dtype=torch.float64) + 1) / SIDE - 1
    y, x = torch.meshgrid(-centres, centres, indexing="ij")
    images = []
    for shape in (stripes, checks, discs, rings, stars, polygons, spirals, blobs):
        for number in range(FILTERS // 8):
            angles = (number + 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)).view(3, 1, 1)
            field = shape(y - COLOR_OFFSET * angles.sin(), x - COLOR_OFFSET * angles.cos(), number)
            images.append(field > 0)
    return torch.stack(images).to(torch.get_default_dtype())


def stripes(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.sin((3 + 2 * (number % 2)) * project(math.pi / 8 * number, y, x) + 0.6)


def checks(y: Tensor, x: Tensor, number: int) -> Tensor:
    angle, frequency = math.pi / 4 * (number % 2), 2 + 0.3 * number
    sides = project(angle, y, x), project(angle + math.pi / 2, y, x)
    return torch.sin(frequency * sides[0] + 0.8) * torch.sin(frequency * sides[1] + 0.8)


def discs(y: Tensor, x: Tensor, number: int) -> Tensor:
    return 0.45 + 0.04 * number - distance(0.4, math.pi / 4 * number, y, x)


def rings(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.cos((3 + 0.75 * number) * distance(0.3, math.pi / 4 * number, y, x))


def stars(y: Tensor, x: Tensor, number: int) -> Tensor:
    rim = 0.65 + 0.22 * torch.cos((3 + number % 4) * torch.atan2(x, y))
    return rim / (1 + 0.2 * (number // 4)) - torch.hypot(y, x)


def polygons(y: Tensor, x: Tensor, number: int) -> Tensor:
    corners = 3 + number % 3
    angles = [2 * math.pi * (side + number / 8) / corners for side in range(corners)]
    return 0.45 + 0.05 * (number // 3) - torch.stack([project(angle, y, x) for angle in angles]).amax(0)


def spirals(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.sin((1 + number % 3) * torch.atan2(y, x) + (1.5 * number - 5.25) * torch.hypot(y, x))


def blobs(y: Tensor, x: Tensor, number: int) -> Tensor:
    """A sum of low frequencies, with random amplitudes for each colour channel."""
    down, across = ([torch.cos(math.pi / 2 * wave * (axis + 1)) for wave in range(4)] for axis in (y, x))
    generator = torch.Generator().manual_seed(number)
    amplitudes = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    return torch.einsum("cvu,vcyx,ucyx->cyx", amplitudes, torch.stack(down), torch.stack(across))


def project(angle: float, y: Tensor, x: Tensor) -> Tensor:
    """The coordinate along a direction."""
    return math.cos(angle) * x + math.sin(angle) * y


def distance(radius: float, angle: float, y: Tensor, x: Tensor) -> Tensor:
    """Distance from the point at polar coordinates (radius, angle)."""
    return torch.hypot(x - radius * math.cos(angle), y - radius * math.sin(angle))
