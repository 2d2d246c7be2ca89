"""Judges: networks of other architectures and seeds that classify renderings of the demo classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from optvis.models.embedded.labels import LABELS
from optvis.models.embedded.network import demo_network


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


def separable_network() -> nn.Sequential:
    """Depthwise and pointwise convolutions with ReLU6 and average pooling, as in MobileNet, and random weights."""

    def block(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
        return [
            nn.Conv2d(in_channels, in_channels, 5, stride, 2, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        ]

    return nn.Sequential(
        nn.Conv2d(3, 32, 4, 4, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(inplace=True),
        *block(32, 64, 1),
        *block(64, 128, 2),
        *block(128, 256, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, len(LABELS)),
    )


#: Architectures of judges by name; "plain" is the demo classifier's own, for judges of another seed.
JUDGES: Mapping[str, Callable[[], nn.Sequential]] = {
    "residual": judge_network,
    "separable": separable_network,
    "plain": partial(demo_network, batch_norm=True),
}
