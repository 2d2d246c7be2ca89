"""Other people's networks: how they are fed, their layers and activations, hooks, gradient overrides.

from optvis.models import Classifier, IMAGENET, layers

layers(Classifier(my_network, IMAGENET, 224, labels=my_labels))
"""

from optvis.arguments import check_package
from optvis.models.activations import activations, running_statistics
from optvis.models.classifier import Classifier
from optvis.models.classify import Classification, classify
from optvis.models.infer import as_classifier
from optvis.models.layers import Layer, LayerTable, layers
from optvis.models.normalize import IMAGENET, Normalize
from optvis.models.tail import Tail
from optvis.models.texts.zero_shot import zero_shot
from optvis.models.zoo.by_name import load

__all__ = [
    "IMAGENET",
    "Classification",
    "Classifier",
    "Layer",
    "LayerTable",
    "Normalize",
    "Tail",
    "activations",
    "as_classifier",
    "classify",
    "layers",
    "load",
    "running_statistics",
    "zero_shot",
]

check_package(__name__)
