"""The bare networks of the benchmarks: up to a layer, frozen, and without optvis."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision import models


@dataclass(frozen=True)
class Row:
    """One line of the table: a network, and the layer at which it ends."""

    network: str
    layer: str
    cut: Callable[[nn.Module], nn.Sequential]


def squeezenet_to(last: int) -> Callable[[nn.Module], nn.Sequential]:
    return lambda net: nn.Sequential(*list(net.features)[: last + 1])


def resnet_to_layer3(net: nn.Module) -> nn.Sequential:
    return nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)


def googlenet_to_4a(net: nn.Module) -> nn.Sequential:
    stem = (net.conv1, net.maxpool1, net.conv2, net.conv3, net.maxpool2)
    return nn.Sequential(*stem, net.inception3a, net.inception3b, net.maxpool3, net.inception4a)


ROWS = (
    Row("squeezenet1_0", "features.9", squeezenet_to(9)),
    Row("squeezenet1_0", "features.12", squeezenet_to(12)),
    Row("resnet18", "layer3", resnet_to_layer3),
    Row("googlenet", "inception4a", googlenet_to_4a),
)


def network(name: str) -> nn.Module:
    """A torchvision network with random weights: speed does not depend on them."""
    torch.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    return models.get_model(name, weights=None, **options).eval()


def bare_step(cut: nn.Module, batch: int, side: int) -> Callable[[], Tensor]:
    """Forward and backward to the input of a cut, frozen network on channels_last input, and nothing else."""
    for weight in cut.parameters():
        weight.requires_grad_(False)
    images = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> Tensor:
        (gradient,) = torch.autograd.grad(cut(images).sum(), images)
        return gradient

    return step
