"""Load networks by name: the embedded one, torchvision's, timm's, or a file of weights for either."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from optvis.data.crop import ResizeCrop
from optvis.data.files import is_file
from optvis.data.labels import LabelsLike, list_labels
from optvis.errors import suggest, warn_user
from optvis.interrupts import hold_lock, ignore_warnings
from optvis.models.checkpoint import explain_misfit, list_names, match_names, read_state_dict
from optvis.models.classifier import Classifier
from optvis.models.infer import classifier_from_timm, infer_classifier
from optvis.models.normalize import Normalize

DEMO = "demo"
_BUILDING = threading.RLock()  # seeds and the switch of torch are of the process
DEFAULT = "DEFAULT"
TIMM = "timm/"
WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".pth.tar", ".tar", ".pkl")


def load(
    name: str | os.PathLike[str] = DEMO,
    *,
    weights: str | None = DEFAULT,
    architecture: str | nn.Module | None = None,
    labels: LabelsLike | None = None,
) -> Classifier:
    """Load a classifier by name, with the preprocessing and labels it was published with.

    Args:
        name: "demo", the small classifier that lies in the package (`optvis.models.embedded`), also without a name;
            a torchvision name ("squeezenet1_0", "vgg19"), a timm name after "timm/" ("timm/resnet18"), or the path
            of a file of weights (.pth, .pt, .bin, .safetensors, .ckpt, …). They are read as data: no code in them runs.
        weights: which published weights ("DEFAULT", "IMAGENET1K_V1"); None gives random ones, the same each time.
        architecture: for a file: the network it belongs to, by name or as a module.
        labels: a text per class, in place of the published ones; for a file also the number of classes. Or a dict of
            texts by index, or the path of a text file with a label on each line.

    Returns:
        The network in eval mode, on the CPU in float32, with its publisher's normalisation, size and labels.

    Raises:
        KeyError: no network is so called; the nearest names are given.
        ConnectionError: the weights are not on this machine and cannot be fetched.
        ImportError: a timm network, and timm is not installed.
        ValueError: a file without architecture, or whose weights do not fit it, or that holds more than data.

    Example:
        >>> load().labels[:2]
        ('container ship', 'ocean liner')
        >>> net = load("squeezenet1_0", weights=None)
        >>> net.size, net.labels[510]
        ((224, 224), 'container ship')
    """
    text, texts = os.fspath(name), None if labels is None else list_labels(labels)
    if text.casefold().endswith(WEIGHT_FILES):
        return _load_weight_file(Path(text), architecture, texts)
    if architecture is not None:
        raise ValueError(f"architecture is for a file of weights ({', '.join(WEIGHT_FILES)}); {text!r} is a name")
    return _load_by_name(text, weights, texts)


def _load_by_name(name: str, weights: str | None, labels: tuple[str, ...] | None, **options: Any) -> Classifier:
    loader = _load_embedded if name == DEMO else _load_timm if name.startswith(TIMM) else _load_torchvision
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

    if weights not in (None, DEFAULT):
        raise KeyError(f"no weights {weights!r} of {name}; there are {DEFAULT}, and None for random ones")
    return demo_classifier(trained=weights is not None, **options)


def _load_torchvision(name: str, weights: str | None, **options: Any) -> Classifier:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        if name in models.list_models():
            raise KeyError(_explain_other(name))
        nearest = suggest(name, known, "torchvision.models.list_models() lists them", cutoff=0.6)
        raise KeyError(f"no network {name!r}; {nearest}; timm's begin with 'timm/'; ours is 'demo'")
    published = models.get_model_weights(name)
    if weights is not None and weights not in published.__members__:
        raise KeyError(f"no weights {weights!r} of {name}; there are {', '.join(published.__members__)}")
    entry = published.DEFAULT if weights is None else published[weights]
    network = _build_network(name, partial(models.get_model, name, weights=weights and entry, **options), weights)
    preset = entry.transforms()
    crop = ResizeCrop(preset.resize_size[0], (preset.crop_size[0],) * 2, preset.interpolation.value)
    fixed = getattr(network, "image_size", None) is not None
    normalize = Normalize(preset.mean, preset.std)
    return Classifier(network, normalize, crop.crop, entry.meta["categories"], crop, name, fixed_size=fixed)


def _explain_other(name: str) -> str:
    """How a network of torchvision is used that is no classifier."""
    from torchvision import models

    build = f"torchvision.models.get_model({name!r}, weights='DEFAULT')"
    if name in models.list_models(module=models.detection):
        cure = (
            f"build a detector yourself, and give it as it is: render({build}, ...) or Classifier({build}, None, size)"
        )
    elif name in models.list_models(module=models.segmentation):
        cure = f"build a segmentation network yourself: Classifier({build}, IMAGENET, size)"
    else:
        cure = f"build it yourself, {build}; one that takes more than single images needs Classifier(..., forward=...)"
    return f"no network {name!r} among the classifiers, which alone are loaded by name; {cure}"


def _load_timm(name: str, weights: str | None, **options: Any) -> Classifier:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{name!r} needs timm: pip install 'optvis[timm]'") from error
    plain = name.removeprefix(TIMM)
    if plain.partition(".")[0] not in timm.list_models():
        known = [TIMM + each for each in timm.list_models()]
        raise KeyError(f"no network {name!r}; {suggest(name, known, 'timm.list_models() lists them', cutoff=0.6)}")
    tagged = plain if weights in (None, DEFAULT) else f"{plain.partition('.')[0]}.{weights}"
    build = partial(timm.create_model, tagged, pretrained=weights is not None, **options)
    return classifier_from_timm(_build_network(name, build, weights), name)


def _build_network(name: str, build: Callable[[], nn.Module], weights: str | None) -> nn.Module:
    """Build a network with published weights, read as data; or with random ones, the same each time."""
    slow = ignore_warnings(FutureWarning, "The default weight initialization of")
    with hold_lock(_BUILDING), slow, torch.random.fork_rng(devices=[]), _weights_as_data():
        torch.manual_seed(0)
        try:
            return build()
        except Exception as error:
            if weights is None:
                raise
            raise _weights_error(name, error) from error


def _weights_error(name: str, error: Exception) -> Exception:
    """Say why published weights cannot be had, and what to do."""
    reason = str(error).partition("\n")[0]
    cure = "use random ones: weights=None, on the command line --weights none"
    if isinstance(error, OSError):
        return ConnectionError(
            f"the weights of {name!r} are not on this machine and cannot be downloaded ({reason}); put their file "
            f"under $TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
        )
    return ValueError(
        f"the weights of {name!r} cannot be used ({reason}); a file that is damaged, or holds code beside weights, "
        f"is not run: delete it from $TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
    )


def _load_weight_file(path: Path, architecture: str | nn.Module | None, labels: tuple[str, ...] | None) -> Classifier:
    if not is_file(path):
        raise FileNotFoundError(f"no file {str(path)!r}")
    weights = read_state_dict(path)
    if architecture is None:
        raise ValueError(
            f"{path.name} holds weights alone; name the network that they are of: "
            f"load({str(path)!r}, architecture='resnet50'), on the command line --architecture resnet50"
        )
    classifier = _build_architecture(architecture, labels)
    own = classifier.network.state_dict()
    state, left_over = match_names(weights, own)
    try:
        classifier.network.load_state_dict(state)
    except RuntimeError as error:
        reason = explain_misfit(own, state, left_over, classifier.name, labels)
        raise ValueError(f"the weights in {path.name} do not fit {classifier.name}: {reason}") from error
    if left_over:
        warn_user(f"{path.name} holds more than {classifier.name} has, which is left out: {list_names(left_over)}")
    classifier.network.eval()
    return classifier


def _build_architecture(architecture: str | nn.Module, labels: tuple[str, ...] | None) -> Classifier:
    """Build the network that the weights are for."""
    if isinstance(architecture, str):
        return _load_by_name(architecture, None, labels, **({} if labels is None else {"num_classes": len(labels)}))
    inferred = infer_classifier(architecture)
    if inferred is None:
        raise ValueError(
            f"{type(architecture).__name__} does not say how its input is normalised; load its weights yourself, then "
            "Classifier(network, Normalize(mean, std), size, labels)"
        )
    return inferred if labels is None else replace(inferred, labels=labels)


@contextmanager
def _weights_as_data() -> Iterator[None]:
    """Inside, downloads of torchvision and timm unpickle tensors only: torch's own switch."""
    switch = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(switch)
    os.environ[switch] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[switch]
        else:
            os.environ[switch] = before
