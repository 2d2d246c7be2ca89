"""Images from any source, with names, classes and digests: what units are selected on and evaluated on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.data.dataset import Images
from optvis.data.files import display_name, is_dir
from optvis.data.folders import list_images
from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.objectives import Labels
from optvis.objectives.target_tensors import as_index

Classes: TypeAlias = "int | str | Sequence[int] | Sequence[str] | Tensor"


def load_images(source: Any, classifier: Classifier) -> tuple[Tensor, tuple[str, ...]]:
    """Load images from any source, each with a name; errors as in `load_image`.

    Args:
        source: the path of a folder, whose image files are loaded in the order of their names; an image in any form
            that `load_image` takes; a tensor (B, 3, H, W) in [0, 1]; or a list of these.
        classifier: its size, crop, device and dtype are those of the images.

    Returns:
        The images, (B, 3, H, W) in [0, 1], and B names: "folder/file.png" of a file, "image 3" of anything else. B is
        0 for an empty list or tensor.
    """
    items = source if isinstance(source, list | tuple) else [source]
    batches = [classifier.gray_image()[:0]]
    names: list[str] = []
    for one in (image for item in items for image in _expand_folder(item)):
        if isinstance(one, Tensor) and len(one) == 0:
            continue
        batches.append(classifier.load_batch(one))
        names += [_name(one, len(names) + index) for index in range(len(batches[-1]))]
    return torch.cat(batches), tuple(names)


def _expand_folder(source: Any) -> list[Any]:
    """The image files of a folder; anything else alone."""
    is_folder = isinstance(source, str | os.PathLike) and is_dir(Path(source))
    return list(list_images(source)) if is_folder else [source]


def _name(source: Any, index: int) -> str:
    is_path = isinstance(source, str | os.PathLike)
    return display_name("/".join(Path(source).parts[-2:])) if is_path else f"image {index}"


def digest_each(images: Tensor) -> list[str]:
    """Digest each image's pixels at 8 bits, so that rounding and saving as PNG do not hide an equal image.

    >>> one = torch.full((1, 3, 8, 8), 0.2)
    >>> digest_each(one) == digest_each(one + 1e-6)
    True
    """
    levels = (images.detach().float().clamp(0, 1) * 255).round().byte().cpu().contiguous()
    return [hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in levels]


def resolve_classes(classes: Any, classifier: Classifier, images: int) -> Tensor:
    """Turn indices or label texts, one per image or one for all, into the class of each image, (B,).

    Raises:
        ValueError: as many classes as neither one nor the images; a label of a network without labels.
        KeyError: no such label; the nearest are given.
        TypeError: neither indices nor texts.
    """
    texts = (classes,) if isinstance(classes, str) else classes
    count = classes.numel() if isinstance(classes, Tensor) else len(classes) if isinstance(classes, list | tuple) else 1
    if not images and not count:
        return torch.empty(0, dtype=torch.long, device=classifier.device)
    are_labels = isinstance(texts, list | tuple) and len(texts) > 0 and all(isinstance(text, str) for text in texts)
    indices = Labels(tuple(texts)).indices(classifier.labels) if are_labels else as_index(classes, "class")
    if len(indices) not in (1, images):
        raise ValueError(f"{len(indices)} classes for {images} images; give one for all, or one each")
    return indices.expand(images).to(classifier.device)


@dataclass(frozen=True, eq=False)
class LabeledImages:
    """Images and the classes that they show.

    Args:
        images: a folder, an image in any form that `load_image` takes, a tensor (B, 3, H, W), or a list of these.
        labels: label texts or indices of classes, one for all images or one each.
    """

    images: Images
    labels: Classes


ImageSet: TypeAlias = "Images | LabeledImages | tuple[Images, Classes]"


@dataclass(frozen=True, eq=False)
class NamedSet:
    """An image set, loaded.

    Args:
        name: of the set.
        images: (B, 3, H, W) in [0, 1], of the network's size.
        names: of the images, B texts.
        classes: of the images, (B,); None where the network's own predictions count as true.
    """

    name: str
    images: Tensor
    names: tuple[str, ...]
    classes: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


def load_sets(image_sets: Mapping[str, ImageSet], classifier: Classifier) -> tuple[NamedSet, ...]:
    """Load all sets; errors as in `load_images` and `resolve_classes`."""
    if not isinstance(image_sets, Mapping):
        raise TypeError(
            f"image_sets is a {type(image_sets).__name__}; expected sets by name: "
            "{'ships': folder, 'others': (images, labels)}"
        )
    if not image_sets:
        raise ValueError("image_sets is empty; give at least one set, {'ships': images, …}")
    for name in image_sets:
        if not isinstance(name, str):
            raise TypeError(f"a set has the name {name!r}; expected a text")
    return tuple(_load_set(name, given, classifier) for name, given in image_sets.items())


def _load_set(name: str, given: ImageSet, classifier: Classifier) -> NamedSet:
    if isinstance(given, tuple) and len(given) != 2:
        raise TypeError(f"set {name!r} is a tuple of {len(given)}; expected (images, labels), or a list of images")
    source, labels = _split_labels(given)
    images, names = load_images(source, classifier)
    try:
        classes = None if labels is None else resolve_classes(labels, classifier, len(images))
    except (TypeError, ValueError) as error:
        raise type(error)(f"labels of set {name!r}: {error}") from error
    return NamedSet(name, images, names, classes)


def _split_labels(given: Any) -> tuple[Any, Any]:
    if isinstance(given, tuple):
        return given
    return (given.images, given.labels) if isinstance(given, LabeledImages) else (given, None)


def check_classes(sets: Sequence[NamedSet], classes: int) -> None:
    """Check that the network has an output for each label; an IndexError names one that is too large."""
    for one in sets:
        wrong = [] if one.classes is None else [c for c in one.classes.tolist() if not 0 <= c < classes]
        if wrong:
            raise IndexError(f"set {one.name!r} has label {wrong[0]}; the network has classes 0..{classes - 1}")


def find_target_set(sets: Sequence[NamedSet], target: str | None) -> NamedSet:
    """The set of the target: the one of this name (else KeyError), or the first; it may not be empty (ValueError)."""
    matches = [one for one in sets if target is None or one.name == target][:1]
    if not matches:
        names = [one.name for one in sets]
        raise KeyError(f"no set {target!r}; {suggest(str(target), names, f'there are {str(names)[1:-1]}')}")
    if not len(matches[0]):
        raise ValueError(f"the target set {matches[0].name!r} is empty; give images of the class to remove")
    return matches[0]


def count_overlaps(sets: Sequence[NamedSet], selection: Any, classifier: Classifier) -> dict[str, int] | None:
    """How many images of each set the units were selected on as well; None where that is unknown.

    Args:
        selection: images, sets of them by name, or a UnitSelection, whose recipe holds digests.
    """
    if selection is None:
        return None
    recipe = getattr(selection, "recipe", None)
    if isinstance(recipe, Mapping):
        known = set(recipe.get("digests", ()))
    else:
        parts = selection.values() if isinstance(selection, Mapping) else [selection]
        sources = (load_images(_split_labels(part)[0], classifier)[0] for part in parts)
        known = {digest for images in sources for digest in digest_each(images)}
    return {one.name: sum(digest in known for digest in digest_each(one.images)) for one in sets} if known else None
