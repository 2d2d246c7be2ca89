"""Named sets of images: where they come from, what is true of them, and which pixels two of them share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.data.folders import list_images
from optvis.data.images import ImageLike
from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.objectives import Labels
from optvis.objectives.target_tensors import as_index

Images: TypeAlias = "ImageLike | Sequence[ImageLike]"
Classes: TypeAlias = "int | str | Sequence[int] | Sequence[str] | Tensor"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images and what they show.

    Args:
        images: a folder, a photograph in any form that `load_image` takes, a list of them, or a tensor (B, 3, H, W).
        labels: label texts or indices of classes, one for all or one an image.
    """

    images: Images
    labels: Classes


ImageSet: TypeAlias = "Images | Labelled | tuple[Images, Classes]"


@dataclass(frozen=True, eq=False)
class NamedSet:
    """A set as it judges.

    Args:
        name: what the user calls it.
        images: (B, 3, H, W) in [0, 1], of the network's size.
        names: a text an image: its file's name, or its place counted from 1.
        truth: the class of each image, (B,); None where what the network said before is the truth.
    """

    name: str
    images: Tensor
    names: tuple[str, ...]
    truth: Tensor | None

    def __len__(self) -> int:
        return len(self.images)


def named_sets(sets: Mapping[str, ImageSet], classifier: Classifier) -> tuple[NamedSet, ...]:
    """All sets, read.

    Raises:
        TypeError: sets without names, a name that is no text, images or labels of another type.
        ValueError: no set, a folder without images, as many labels as neither one nor the images.
        KeyError: no label is so called; the nearest are given.
    """
    if not isinstance(sets, Mapping):
        raise TypeError(
            f"sets are a {type(sets).__name__}; expected named ones: {{'ships': folder, 'others': (images, labels)}}"
        )
    if not sets:
        raise ValueError("no sets: nothing to judge on; give {'ships': images, …}")
    for name in sets:
        if not isinstance(name, str):
            raise TypeError(f"a set is called {name!r}; expected a text")
    return tuple(_named(name, given, classifier) for name, given in sets.items())


def _named(name: str, given: ImageSet, classifier: Classifier) -> NamedSet:
    if isinstance(given, tuple) and len(given) != 2:
        raise TypeError(f"set {name!r} is a tuple of {len(given)}; expected (images, labels), or a list of photographs")
    images, labels = given if isinstance(given, tuple) else _parts(given)
    seen, names = read_images(images, classifier)
    truth = None if labels is None else _truth(name, labels, len(seen), classifier)
    return NamedSet(name, seen, names, truth)


def _parts(given: Any) -> tuple[Any, Any]:
    return (given.images, given.labels) if isinstance(given, Labelled) else (given, None)


def read_images(images: Any, classifier: Classifier) -> tuple[Tensor, tuple[str, ...]]:
    """Images (B, 3, H, W) of the network's size, and what each is called; B may be 0.

    Raises:
        ValueError: a folder without images; as in `load_image`.
        FileNotFoundError, TypeError: as in `load_image`.
    """
    if isinstance(images, str | os.PathLike) and Path(images).is_dir():
        images = list_images(images)
    sources = images if isinstance(images, list | tuple) else [images]
    parts = [classifier.load_batch(one) for one in sources if not (isinstance(one, Tensor) and len(one) == 0)]
    empty = torch.empty(0, 3, *classifier.size, dtype=classifier.image_dtype, device=classifier.device)
    seen = torch.cat([empty, *parts])
    if len(sources) == len(seen):
        names = [Path(one).name if isinstance(one, str | os.PathLike) else str(n) for n, one in enumerate(sources, 1)]
        return seen, tuple(names)
    return seen, tuple(str(place) for place in range(1, len(seen) + 1))


def _truth(name: str, labels: Any, images: int, classifier: Classifier) -> Tensor:
    """The class of each image, (B,)."""
    texts = (labels,) if isinstance(labels, str) else labels
    is_text = isinstance(texts, list | tuple) and len(texts) > 0 and all(isinstance(text, str) for text in texts)
    try:
        found = Labels(tuple(texts)).indices(classifier.labels) if is_text else as_index(labels, "label")
    except TypeError as error:
        raise TypeError(f"labels of set {name!r}: {error}") from error
    if len(found) not in (1, images):
        raise ValueError(f"set {name!r} has {len(found)} labels for {images} images; give one for all, or one each")
    return found.expand(images).to(classifier.device)


def check_classes(sets: Sequence[NamedSet], classes: int) -> None:
    """Refuse labels that no output of the network stands for.

    Raises:
        IndexError: a class outside 0 … classes − 1.
    """
    for one in sets:
        wrong = [] if one.truth is None else [c for c in one.truth.tolist() if not 0 <= c < classes]
        if wrong:
            raise IndexError(f"set {one.name!r} has label {wrong[0]}; the network has classes 0..{classes - 1}")


def target_of(sets: Sequence[NamedSet], target: str | None) -> NamedSet:
    """The set whose fall is wanted: the named one, else the first.

    Raises:
        KeyError: no set is so called.
        ValueError: it is empty.
    """
    chosen = [one for one in sets if target is None or one.name == target][:1]
    if not chosen:
        names = [one.name for one in sets]
        listing = f"there are {', '.join(map(repr, names))}"
        raise KeyError(f"no set {target!r}; {suggest(str(target), names, listing)}")
    if not len(chosen[0]):
        raise ValueError(f"the target {chosen[0].name!r} is empty: there is nothing to switch off")
    return chosen[0]


def digests(images: Tensor) -> list[str]:
    """A digest of each image's pixels in 8 bits, so that rounding and saving as PNG do not hide an equal one.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Example:
        >>> one = torch.full((1, 3, 8, 8), 0.2)
        >>> digests(one) == digests(one + 1e-6)
        True
    """
    levels = (images.detach().float().clamp(0, 1) * 255).round().byte().cpu().contiguous()
    return [hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in levels]


def overlaps(sets: Sequence[NamedSet], found_on: Any, classifier: Classifier) -> dict[str, int] | None:
    """How many images of each set found the units, too; None where nothing says which did.

    Args:
        found_on: images, sets of them by name, or what was found: its recipe's "digests" tell.
    """
    if found_on is None:
        return None
    recipe = getattr(found_on, "recipe", None)
    if isinstance(recipe, Mapping):
        known = set(recipe.get("digests", ()))
    else:
        parts = found_on.values() if isinstance(found_on, Mapping) else [found_on]
        bare = [_parts(part if not isinstance(part, tuple) else Labelled(*part))[0] for part in parts]
        known = {digest for images in bare for digest in digests(read_images(images, classifier)[0])}
    return {one.name: sum(digest in known for digest in digests(one.images)) for one in sets} if known else None


__all__ = ["ImageSet", "Labelled", "NamedSet", "digests", "named_sets", "overlaps"]
