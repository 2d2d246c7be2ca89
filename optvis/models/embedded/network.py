"""The classifier of the embedded world: five stages of convolutions, a mean over positions, one linear layer."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from optvis.models.classifier import Classifier, Normalize
from optvis.models.embedded.labels import LABELS

WEIGHTS = Path(__file__).with_name("demo.safetensors")
NORMALIZE = Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
SIZE = 96  # pixels


def demo_network(classes: int = len(LABELS), *, trainable: bool = False) -> nn.Sequential:
    """The architecture, with random weights.

    Args:
        classes: how many outputs.
        trainable: with batch normalisation, which is folded into the convolutions once they are trained.
    """

    def stage(*widths: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
        layers = nn.Sequential()
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=not trainable)
            layers.extend([convolution, *([nn.BatchNorm2d(after)] if trainable else []), nn.ReLU(inplace=True)])
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
            head=nn.Linear(192, classes),
        )
    )


def demo_classifier(*, trained: bool = True, num_classes: int = len(LABELS)) -> Classifier:
    """The trained network, as `load("demo")` gives it; or with random weights, the same each time."""
    labels = LABELS if num_classes == len(LABELS) else ()
    return Classifier(_stored() if trained else _random(num_classes), NORMALIZE, SIZE, labels, name="demo")


def _stored() -> nn.Module:
    from safetensors.torch import load_file

    with torch.device("meta"):
        network = demo_network()
    state = {name: weight.float() for name, weight in load_file(WEIGHTS).items()}
    network.load_state_dict(state, assign=True)
    return network.eval()


def _random(classes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return demo_network(classes).eval()
