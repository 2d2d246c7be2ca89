"""The judge: a second network, of another architecture, that classifies renderings of the demo classifier."""

from __future__ import annotations

from torch import Tensor, nn

from optvis.models.embedded.labels import LABELS


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut around them: (B, C, H, W) -> (B, C', H', W')."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


def judge_network() -> nn.Sequential:
    """A small residual network with max pooling over all positions and random weights."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 7, 4, 3, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU(inplace=True),
        ResidualBlock(24, 48, 1),
        ResidualBlock(48, 96, 2),
        ResidualBlock(96, 160, 2),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(160, len(LABELS)),
    )
