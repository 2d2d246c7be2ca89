"""A network whose answers are known without asking it: 64 matched filters and a linear head, wired, not trained."""

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
SHARES = (1.0, 0.5, 0.25, -0.5)  # of filters 4k, 4k + 1, 4k + 2, 4k + 3 in class k
OUT_OF_REGISTER = 0.1  # half sides by which each colour channel is displaced


class Wired(nn.Module):
    """Matched filters, ReLU, a linear head: images (B, 3, 32, 32) in [0, 1] -> logits (B, 16).

    The filter of a template T in {0, 1} with N numbers has weights 2 (2T - 1) / N and bias -sum(2T - 1) / N. To an
    image x in [0, 1] it responds sum((2T - 1) (2x - 1)) / N = 1 - 2 mean|x - T|: 1 at its template and less
    everywhere else, 0 at grey, -1 at the negative.

    Args:
        pictures: the templates, (64, 3, 32, 32), 0 or 1.
    """

    def __init__(self, pictures: Tensor) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, FILTERS, SIDE)
        self.relu = nn.ReLU()
        self.flat = nn.Flatten()
        self.head = nn.Linear(FILTERS, CLASSES, bias=False)
        signs = 2 * pictures - 1
        self.filters.weight = nn.Parameter(2 * signs / signs[0].numel())
        self.filters.bias = nn.Parameter(-signs.mean((1, 2, 3)))
        self.head.weight = nn.Parameter(head_weights())

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.flat(self.relu(self.filters(images))))
        return logits


def wired(pictures: Tensor | None = None) -> Classifier:
    """The network of some templates, `templates()` by default, fed [0, 1] as it is."""
    network = Wired(templates() if pictures is None else pictures)
    return Classifier(network, None, SIDE, name="wired", fixed_size=True)


# The truth about wired(), without the network: of images in [0, 1], (B, 3, 32, 32)


def responses(images: Tensor) -> Tensor:
    """What each filter says before its ReLU, (B, 64)."""
    return 1 - 2 * (images.unsqueeze(1) - templates().to(images)).abs().mean((2, 3, 4))


def attribution(images: Tensor) -> Tensor:
    """What each filter adds to each logit, weight times activation, (B, 16, 64); the logits are the sums."""
    return head_weights().to(images) * responses(images).relu().unsqueeze(1)


def logit_drop(images: Tensor, off: Sequence[int]) -> Tensor:
    """By how much each logit falls when these filters are switched off, (B, 16)."""
    return attribution(images)[:, :, list(off)].sum(2)


def head_weights() -> Tensor:
    """(16, 64): four filters a class, each filter in one class alone."""
    return torch.kron(torch.eye(CLASSES), torch.tensor([SHARES]))


def correlation(images: Tensor, pictures: Tensor) -> Tensor:
    """Pearson's, of each image with its own picture over all pixels and colours, (B,)."""
    ours, own = ((each - each.mean((1, 2, 3), keepdim=True)).flatten(1) for each in (images, pictures))
    return F.cosine_similarity(ours, own)


# The templates: where a field over y (up) and x, from -1 to 1, is positive


def templates() -> Tensor:
    """The best image of each filter, (64, 3, 32, 32): two values a colour channel, 0 and 1.

    Eight pictures of eight kinds, printed out of register: the colour channels are displaced in three directions.
    """
    centres = (2 * torch.arange(SIDE, dtype=torch.float64) + 1) / SIDE - 1
    y, x = torch.meshgrid(-centres, centres, indexing="ij")
    pictures = []
    for kind in (stripes, checks, discs, rings, stars, polygons, spirals, blobs):
        for number in range(FILTERS // 8):
            angles = (number + 2 * math.pi / 3 * torch.arange(3, dtype=torch.float64)).view(3, 1, 1)
            field = kind(y - OUT_OF_REGISTER * angles.sin(), x - OUT_OF_REGISTER * angles.cos(), number)
            pictures.append(field > 0)
    return torch.stack(pictures).to(torch.get_default_dtype())


def green_negated(pictures: Tensor) -> Tensor:
    """The same pictures in green against magenta: colours that hardly occur in photographs."""
    return (pictures - torch.tensor([0.0, 1.0, 0.0]).view(3, 1, 1)).abs()


def stripes(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.sin((3 + 2 * (number % 2)) * along(math.pi / 8 * number, y, x) + 0.6)


def checks(y: Tensor, x: Tensor, number: int) -> Tensor:
    angle, pace = math.pi / 4 * (number % 2), 2 + 0.3 * number
    sides = along(angle, y, x), along(angle + math.pi / 2, y, x)
    return torch.sin(pace * sides[0] + 0.8) * torch.sin(pace * sides[1] + 0.8)


def discs(y: Tensor, x: Tensor, number: int) -> Tensor:
    return 0.45 + 0.04 * number - away(0.4, math.pi / 4 * number, y, x)


def rings(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.cos((3 + 0.75 * number) * away(0.3, math.pi / 4 * number, y, x))


def stars(y: Tensor, x: Tensor, number: int) -> Tensor:
    rim = 0.65 + 0.22 * torch.cos((3 + number % 4) * torch.atan2(x, y))
    return rim / (1 + 0.2 * (number // 4)) - torch.hypot(y, x)


def polygons(y: Tensor, x: Tensor, number: int) -> Tensor:
    corners = 3 + number % 3
    turns = [2 * math.pi * (side + number / 8) / corners for side in range(corners)]
    return 0.45 + 0.05 * (number // 3) - torch.stack([along(turn, y, x) for turn in turns]).amax(0)


def spirals(y: Tensor, x: Tensor, number: int) -> Tensor:
    return torch.sin((1 + number % 3) * torch.atan2(y, x) + (1.5 * number - 5.25) * torch.hypot(y, x))


def blobs(y: Tensor, x: Tensor, number: int) -> Tensor:
    """A sum of low frequencies; each colour channel has one of its own."""
    down, across = ([torch.cos(math.pi / 2 * wave * (place + 1)) for wave in range(4)] for place in (y, x))
    draws = torch.Generator().manual_seed(number)
    amounts = torch.randn(3, 4, 4, generator=draws, dtype=torch.float64)
    return torch.einsum("cvu,vcyx,ucyx->cyx", amounts, torch.stack(down), torch.stack(across))


def along(angle: float, y: Tensor, x: Tensor) -> Tensor:
    return math.cos(angle) * x + math.sin(angle) * y


def away(distance: float, angle: float, y: Tensor, x: Tensor) -> Tensor:
    """How far from a centre that lies so far from the middle in that direction."""
    return torch.hypot(x - distance * math.cos(angle), y - distance * math.sin(angle))
