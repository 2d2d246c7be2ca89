"""Networks by name: the embedded one, torchvision's, timm's, or a file of weights for either."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.crop import ResizeCrop
from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.models.infer import classifier_from_timm, infer_classifier
from optvis.models.normalize import Normalize

DEMO = "demo"
DEFAULT = "DEFAULT"
TIMM = "timm/"
WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors")


def load(
    name: str | os.PathLike[str] = DEMO,
    *,
    weights: str | None = DEFAULT,
    architecture: str | nn.Module | None = None,
    labels: Sequence[str] | None = None,
) -> Classifier:
    """A classifier by name, fed and labelled as it was published.

    Args:
        name: "demo", the small classifier that lies in the package (`optvis.models.embedded`), also without a name;
            a torchvision name ("squeezenet1_0", "vgg19"), a timm name after "timm/" ("timm/resnet18"), or the path
            of a file of weights (.pth, .pt, .bin, .safetensors). Weights are read as data: no code in them runs.
        weights: which published weights ("DEFAULT", "IMAGENET1K_V1"); None gives random ones, the same each time.
        architecture: for a file: the network it belongs to, by name or as a module.
        labels: a text per class, in place of the published ones; for a file also the number of classes.

    Returns:
        The network in eval mode, on the CPU in float32, with its publisher's normalisation, size and labels.

    Raises:
        KeyError: no network is so called; the nearest names are given.
        ConnectionError: the weights are not on this machine and cannot be fetched.
        ImportError: timm is asked for and not installed.
        ValueError: a file without architecture, or whose weights do not fit it, or that holds more than data.

    Example:
        >>> load().labels[:2]
        ('container ship', 'ocean liner')
        >>> net = load("squeezenet1_0", weights=None)
        >>> net.size, net.labels[510]
        ((224, 224), 'container ship')
    """
    text = os.fspath(name)
    if text.casefold().endswith(WEIGHT_FILES):
        return _from_file(Path(text), architecture, labels)
    if architecture is not None:
        raise ValueError(f"architecture is for a file of weights ({', '.join(WEIGHT_FILES)}); {text!r} is a name")
    return _named(text, weights, labels)


def _named(name: str, weights: str | None, labels: Sequence[str] | None, **options: Any) -> Classifier:
    made = _publisher(name)(name, weights, **options)
    made.network.eval()
    is_published = "num_classes" not in options and not isinstance(labels, str)
    if labels is not None and is_published and made.labels and len(labels) != len(made.labels):
        raise ValueError(f"{len(labels)} labels for {name}, which has {len(made.labels)} classes; give one each")
    return made if labels is None else _labelled(made, labels)


def _publisher(name: str) -> Callable[..., Classifier]:
    if name == DEMO:
        return _demo
    return _timm if name.startswith(TIMM) else _torchvision


def _demo(name: str, weights: str | None, **options: Any) -> Classifier:
    from optvis.models.embedded.network import demo_classifier

    if weights not in (None, DEFAULT):
        raise KeyError(f"no weights {weights!r} of {name}; there are {DEFAULT}, and None for random ones")
    return demo_classifier(trained=weights is not None, **options)


def _labelled(made: Classifier, labels: Sequence[str]) -> Classifier:
    return Classifier(made.network, made.normalize, made.size, labels, made.crop, made.name, made.fixed_size)


def _torchvision(name: str, weights: str | None, **options: Any) -> Classifier:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        nearest = suggest(name, known, "torchvision.models.list_models() lists them", cutoff=0.6)
        raise KeyError(f"no network {name!r}; {nearest}; timm's begin with 'timm/'; ours is 'demo'")
    published = models.get_model_weights(name)
    if weights is not None and weights not in published.__members__:
        raise KeyError(f"no weights {weights!r} of {name}; there are {', '.join(published.__members__)}")
    entry = published.DEFAULT if weights is None else published[weights]
    network = _built(name, lambda: models.get_model(name, weights=weights and entry, **options), weights)
    preset = entry.transforms()
    crop = ResizeCrop(preset.resize_size[0], (preset.crop_size[0],) * 2, preset.interpolation.value)
    normalize = Normalize(tuple(preset.mean), tuple(preset.std))
    fixed = getattr(network, "image_size", None) is not None
    size = crop.crop[0]
    return Classifier(network, normalize, size, entry.meta["categories"], crop, name, fixed_size=fixed)


def _timm(name: str, weights: str | None, **options: Any) -> Classifier:
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{name!r} needs timm: pip install 'optvis[timm]'") from error
    plain = name.removeprefix(TIMM)
    if plain.partition(".")[0] not in timm.list_models():
        known = [TIMM + each for each in timm.list_models()]
        raise KeyError(f"no network {name!r}; {suggest(name, known, 'timm.list_models() lists them', cutoff=0.6)}")
    tagged = plain if weights in (None, DEFAULT) else f"{plain.partition('.')[0]}.{weights}"
    network = _built(name, lambda: timm.create_model(tagged, pretrained=weights is not None, **options), weights)
    return classifier_from_timm(network, name)


def _built(name: str, build: Any, weights: str | None) -> nn.Module:
    """A network with published weights, read as data; or with random ones, the same each time."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), _weights_as_data():
        warnings.filterwarnings("ignore", message="The default weight initialization of", category=FutureWarning)
        torch.manual_seed(0)
        try:
            network: nn.Module = build()
        except Exception as error:
            if weights is None:
                raise
            raise _unusable(name, error) from error
    return network


def _unusable(name: str, error: Exception) -> Exception:
    """What to say where published weights cannot be had."""
    reason = str(error).partition("\n")[0]
    cure = "ask for random ones: weights=None, on the command line --weights none"
    if isinstance(error, OSError):
        return ConnectionError(
            f"the weights of {name!r} are neither here nor to be fetched ({reason}); put their file under "
            f"$TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
        )
    return ValueError(
        f"the weights of {name!r} cannot be used ({reason}); a file that is damaged, or holds code beside weights, "
        f"is not run: delete it from $TORCH_HOME/hub/checkpoints (timm: $HF_HOME), or {cure}"
    )


def _from_file(path: Path, architecture: str | nn.Module | None, labels: Sequence[str] | None) -> Classifier:
    if not path.is_file():
        raise FileNotFoundError(f"no file {str(path)!r}")
    if architecture is None:
        raise ValueError(f"{path.name} holds weights alone; say of what: load({str(path)!r}, architecture='resnet50')")
    made = _architecture(architecture, labels)
    state = _state(path)
    try:
        made.network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"the weights in {path.name} do not fit {made.name}: {reason}; "
            "for another number of classes give labels=[...], one text a class"
        ) from error
    made.network.eval()
    return made


def _architecture(architecture: str | nn.Module, labels: Sequence[str] | None) -> Classifier:
    """The network that weights are to be put in."""
    if isinstance(architecture, str):
        return _named(architecture, None, labels, **({} if labels is None else {"num_classes": len(labels)}))
    inferred = infer_classifier(architecture)
    if inferred is None:
        raise ValueError(
            f"{type(architecture).__name__} does not say how it is fed; load its weights yourself, then "
            "Classifier(network, Normalize(mean, std), size, labels)"
        )
    return inferred if labels is None else _labelled(inferred, labels)


def _state(path: Path) -> dict[str, Tensor]:
    try:
        state = _read(path)
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged, or holds code beside weights, which is not run; save its state_dict() alone"
        ) from error
    nested = [state[key] for key in ("state_dict", "model") if isinstance(state, dict) and key in state]
    found: dict[str, Tensor] = nested[0] if nested else state
    is_state = isinstance(found, dict) and all(isinstance(key, str) for key in found)
    if not is_state or not any(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path.name} holds a {type(found).__name__}, not weights by name; save its state_dict()")
    return found


def _read(path: Path) -> Any:
    if path.suffix.casefold() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def _weights_as_data() -> Iterator[None]:
    """Downloads of torchvision and timm unpickle tensors only: torch's own switch, set while they load."""
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
