"""A case: the class that is to go, the images that show it, and those that must keep their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.ablation.finding.stages import last_stage, ordered
from optvis.data.folders import list_images
from optvis.models.classifier import Classifier
from optvis.objectives.labels import index_of

FEW = 40  # images; fewer than that are seen in several views
CLOSER = 5 / 6  # of the side; the centre that a closer view shows


@dataclass(frozen=True, eq=False)
class Case:
    """What is asked of a search.

    Args:
        classifier: whose network is to be blinded.
        target: index of the class that is to go.
        images: (B, 3, H, W) in [0, 1]; those of the target first.
        shows: which of them are the target's, (B,) of bool.
        called: what the network calls each, (B,).
        names: what tables call each, B texts.
        layers: where units may be switched off, in the order in which they run.
        seed: of what is drawn.
        progress: show a progress bar.
    """

    classifier: Classifier
    target: int
    images: Tensor
    shows: Tensor
    called: Tensor
    names: tuple[str, ...]
    layers: tuple[str, ...]
    seed: int
    progress: bool

    @property
    def label(self) -> str:
        """The target's text."""
        return self.classifier.label(self.target)

    def subset(self, rows: Tensor) -> Case:
        """The same, with some of the images alone, given as a mask or as indices."""
        places = torch.arange(len(self.names))[rows.cpu()].tolist()
        names = tuple(self.names[place] for place in places)
        return replace(self, images=self.images[rows], shows=self.shows[rows], called=self.called[rows], names=names)

    def needs_kept(self, method: str) -> None:
        """Refuse a case without images to be kept.

        Raises:
            ValueError: there are none.
        """
        if bool(self.shows.all()):
            raise ValueError(
                f"keep is missing: {method} weighs what is lost, so it needs images whose labels must stay"
            )


def case_of(
    classifier: Classifier,
    target_images: Any,
    target: int | str,
    keep: Any,
    layers: Sequence[str] | None,
    seed: int = 0,
    progress: bool = True,
) -> Case:
    """A case from what a user gives.

    Raises:
        KeyError: no such label, no such layer.
        IndexError: no such class.
        ValueError: no image of the target is called so; an image to be kept is; as in `load_image` and `ordered`.
    """
    places = ordered(classifier, [last_stage(classifier)] if layers is None else layers)
    showing, names = named_pictures(target_images, classifier)
    kept, kept_names = named_pictures(keep, classifier) if keep is not None else (showing[:0], ())
    images = torch.cat([showing, kept])
    answers = classifier.logits(images)
    index = _class_index(classifier, target, answers.shape[1])
    called = answers.argmax(1)
    shows = torch.arange(len(images), device=images.device) < len(showing)
    _check_called(classifier, index, called[shows], called[~shows])
    return Case(classifier, index, images, shows, called, names + kept_names, places, seed, progress)


def named_pictures(source: Any, classifier: Classifier) -> tuple[Tensor, tuple[str, ...]]:
    """Photographs in any form, or all those in a folder, (B, 3, H, W) in [0, 1], and what to call each.

    Raises:
        ValueError: a folder without photographs; as in `load_image`.
    """
    sources = [photo for one in (source if isinstance(source, list | tuple) else [source]) for photo in _listed(one)]
    if not sources:
        raise ValueError("no photographs: the list is empty")
    seen = [classifier.load_batch(one) for one in sources]
    names: list[str] = []
    for one, images in zip(sources, seen, strict=True):
        names += [_called(one, len(names) + place) for place in range(len(images))]
    return torch.cat(seen), tuple(names)


def _called(source: Any, place: int) -> str:
    """A file by its folder and name, anything else by its place."""
    if isinstance(source, str | Path):
        return "/".join(Path(source).parts[-2:])
    return f"image {place}"


def _listed(source: Any) -> list[Any]:
    """The images of a folder, by name; anything else alone."""
    is_folder = isinstance(source, str | Path) and Path(source).is_dir()
    return list(list_images(source)) if is_folder else [source]


def viewed(case: Case, views: int | None) -> Case:
    """Each image also mirrored and closer, as far as the network still calls it the same.

    Args:
        case: the images as they came.
        views: 1 is the images alone, 2 mirrors them too, 3 adds their mirrored centres, enlarged; None is 3 of few
            images and 1 of many.

    Raises:
        ValueError: another number.
    """
    views = (3 if len(case.images) <= FEW else 1) if views is None else views
    if views not in (1, 2, 3):
        raise ValueError(f"views is {views}; expected 1, 2 or 3")
    made = [case.images, case.images.flip(3), _closer(case.images).flip(3)][:views]
    called = [case.called, *(case.classifier.logits(view).argmax(1) for view in made[1:])]
    usable = [case.shows | (each == case.called) for each in called]
    every = replace(
        case,
        images=torch.cat(made),
        shows=case.shows.repeat(views),
        called=case.called.repeat(views),
        names=case.names * views,
    )
    return every.subset(torch.cat(usable))


def _closer(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    inner = round(height * CLOSER), round(width * CLOSER)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    centre = images[:, :, top : top + inner[0], left : left + inner[1]]
    return F.interpolate(centre, (height, width), mode="bilinear", antialias=True).clamp(0, 1)


def _class_index(classifier: Classifier, target: int | str, classes: int) -> int:
    if isinstance(target, str):
        if not classifier.labels:
            raise ValueError(f"label {target!r} was asked of a network without labels; give the class's index")
        return index_of(target, classifier.labels)
    if not 0 <= target < classes:
        raise IndexError(f"class {target} of a network that has 0..{classes - 1}")
    return int(target)


def _check_called(classifier: Classifier, target: int, showing: Tensor, kept: Tensor) -> None:
    label = classifier.label(target)
    if not bool((showing == target).any()):
        others = ", ".join(repr(classifier.label(index)) for index in sorted(set(showing.tolist()))[:4])
        raise ValueError(f"the network calls none of the {len(showing)} images {label!r} but {others}; give others")
    wrong = (kept == target).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(
            f"the network calls image {wrong[0]} of keep {label!r}, the class that is to go"
            f"{f' (and {len(wrong) - 1} more)' if len(wrong) > 1 else ''}; leave it out of keep"
        )


__all__ = ["Case", "case_of", "named_pictures", "viewed"]
