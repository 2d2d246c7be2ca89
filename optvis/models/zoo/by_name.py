"""Load networks by name or file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from optvis.data.labels import LabelsLike, list_labels
from optvis.models.classifier import Classifier
from optvis.models.infer import with_input
from optvis.models.normalize import INFER, Normalizer
from optvis.models.zoo.build import DEFAULT, check_default
from optvis.models.zoo.efficientnet_lite import WEIGHTS, load_efficientnet_lite
from optvis.models.zoo.hugging_face import HUGGING_FACE, load_hugging_face
from optvis.models.zoo.timm_networks import TIMM_NAMES, load_timm
from optvis.models.zoo.torchvision_networks import load_torchvision
from optvis.models.zoo.weight_file import WEIGHT_FILES, load_weight_file

DEMO, DEMO_VIT = "demo", "demo-vit"


def load(
    name: str | os.PathLike[str] = DEMO,
    *,
    weights: str | None = DEFAULT,
    architecture: str | nn.Module | None = None,
    labels: LabelsLike | None = None,
    size: int | tuple[int, int] | None = None,
    normalize: Normalizer | str = INFER,
) -> Classifier:
    """Load a classifier by name, with the preprocessing and labels it was published with.

    Args:
        name: "demo", the small classifier that lies in the package (`optvis.models.embedded`), also without a name;
            "demo-vit", the vision transformer beside it;
            "efficientnet_lite0", 1 or 2, classifiers of ImageNet that come as packages; a torchvision name
            ("squeezenet1_0", "vgg19"); a timm name after "timm/" ("timm/resnet18"), "hf-hub:" with a repository of
            timm's networks, or "local-dir:" with a folder of one; for Hugging Face "hf/" with a repository or a folder
            ("hf/my_folder"); or the path of a file of weights (.pth, .pt, .bin, .safetensors, .ckpt, …). Weights are
            read as data: no code in a file or repository runs.
        weights: which published weights ("DEFAULT", "IMAGENET1K_V1"); None gives random ones, the same each time. Of a
            file that holds several, their key: by default "state_dict_ema" or another average, else "state_dict" or the
            like.
        architecture: for a file: the network it belongs to, by name or as a module.
        labels: a text per class, in place of the published ones; for a file also the number of classes. Or a dict of
            texts by index, or the path of a text file with a label on each line.
        size: side, or (height, width), of the images that the network takes, in pixels, in place of its publisher's.
            The shorter side of images is resized to it. A file does not say on which size it was trained.
        normalize: how images in [0, 1] are normalised for it: `Normalize(mean, std)`, a function, or None where it
            takes them as they are; by default, "infer", as its publisher says. A file does not say that either.

    Returns:
        The network in eval mode, on the CPU in float32, with its publisher's normalisation, size and labels. Networks
        of Hugging Face without a class head give embeddings.

    Raises:
        KeyError: no network is so called; the nearest names are given.
        ConnectionError: the weights are not on this machine and cannot be fetched.
        ImportError: a network of timm, Hugging Face or a package of weights that is not installed.
        ValueError: another size of a network that takes one only; a file without architecture, or whose weights do not
            fit it, or that holds more than data; a network of Hugging Face that needs code of its own, takes no images,
            or does not say how they are normalised.

    Warns:
        UserWarning: a file whose size or normalisation is not given: those of the architecture's published weights
            are assumed.

    Example:
        >>> load().labels[:2]
        ('container ship', 'ocean liner')
        >>> net = load("squeezenet1_0", weights=None)
        >>> net.size, net.labels[510]
        ((224, 224), 'container ship')
    """
    text, texts = os.fspath(name), None if labels is None else list_labels(labels)
    if text.casefold().endswith(WEIGHT_FILES):
        key = None if weights == DEFAULT else weights
        return load_weight_file(Path(text), architecture, texts, _load_by_name, key, size, normalize)
    if architecture is not None:
        raise ValueError(f"architecture is for a file of weights ({', '.join(WEIGHT_FILES)}); {text!r} is a name")
    return with_input(_load_by_name(text, weights, texts), size, normalize)


def _load_by_name(name: str, weights: str | None, labels: tuple[str, ...] | None, **options: Any) -> Classifier:
    if name in (DEMO, DEMO_VIT):
        loader = _load_embedded
    elif name.startswith(TIMM_NAMES):
        loader = load_timm
    elif name.startswith(HUGGING_FACE):
        loader = load_hugging_face
    else:
        loader = load_efficientnet_lite if name in WEIGHTS else load_torchvision
    classifier = loader(name, weights, **options)
    classifier.network.eval()
    if (
        labels is not None
        and "num_classes" not in options
        and classifier.labels
        and len(labels) != len(classifier.labels)
    ):
        raise ValueError(f"{len(labels)} labels for {name}, which has {len(classifier.labels)} classes; give one each")
    return classifier if labels is None else replace(classifier, labels=labels)


def _load_embedded(name: str, weights: str | None, **options: Any) -> Classifier:
    from optvis.models.embedded.network import demo_classifier
    from optvis.models.embedded.vit import demo_vit

    check_default(name, weights)
    return (demo_vit if name == DEMO_VIT else demo_classifier)(trained=weights is not None, **options)
