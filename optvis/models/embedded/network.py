"""The demo classifier: five stages of convolutions, global average pooling, one linear layer."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from optvis.data.files import utf8_path
from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS, resolve_labels
from optvis.models.normalize import Normalize

WEIGHTS = Path(__file__).with_name("demo.safetensors")
NORMALIZE = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
SIZE = 96  # pixels


def demo_network(num_classes: int = len(LABELS), *, batch_norm: bool = False) -> nn.Sequential:
    """The architecture, with random weights.

    Args:
        num_classes: number of outputs.
        batch_norm: with batch normalisation, for training; afterwards it is folded into the convolutions.
    """

    def stage(*widths: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
        layers = nn.Sequential()
        for in_channels, out_channels in pairwise(widths):
            convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=not batch_norm)
            layers.extend([convolution, *([nn.BatchNorm2d(out_channels)] if batch_norm else []), nn.ReLU(inplace=True)])
        return layers

    return nn.Sequential(
        OrderedDict(
            conv1=stage(3, 32, kernel=5, stride=2),
            pool1=nn.MaxPool2d(2),
            conv2=stage(32, 48),
            mixed3=stage(48, 80),
            pool3=nn.MaxPool2d(2),
            mixed4=stage(80, 128, 128),
            mixed5=stage(128, 192),
            mean=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            head=nn.Linear(192, num_classes),
        )
    )


def demo_classifier(*, trained: bool = True, num_classes: int = len(LABELS)) -> Classifier:
    """The classifier that `load("demo")` returns; untrained, its random weights are always the same."""
    labels = resolve_labels(trained, num_classes)
    network = _load_trained() if trained else _random_network(num_classes)
    return Classifier(network, NORMALIZE, SIZE, labels, name="demo")


def load_weights(file: Path) -> dict[str, Tensor]:
    """The weights of a file of float16, as float32."""
    from safetensors.torch import load_file

    with utf8_path(file) as path:
        return {name: weight.float() for name, weight in load_file(path).items()}


def _load_trained() -> nn.Module:
    with torch.device("meta"):
        network = demo_network()
    network.load_state_dict(load_weights(WEIGHTS), assign=True)
    return network.eval()


def _random_network(num_classes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return demo_network(num_classes).eval()
