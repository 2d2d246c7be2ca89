"""A second network, of another architecture: it judges renders of the demo classifier that it never saw."""

from __future__ import annotations

from torch import Tensor, nn

from optvis.models.embedded.labels import LABELS


class Residual(nn.Module):
    """Two convolutions beside a shortcut: (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def judge_network() -> nn.Sequential:
    """A small residual network with a maximum over positions, with random weights."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 7, 4, 3, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        Residual(24, 48, 1),
        Residual(48, 96, 2),
        Residual(96, 160, 2),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(160, len(LABELS)),
    )
