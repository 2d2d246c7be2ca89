"""A selection task: the class to remove, the images that show it, and the images whose labels must stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optvis.ablation.image_sets import load_images
from optvis.ablation.selection.cached_network import CachedNetwork
from optvis.ablation.selection.layers import last_stage, order_layers
from optvis.data.images import resize
from optvis.models.classifier import Classifier
from optvis.models.outputs.head import Head
from optvis.objectives.labels import class_index

MAX_NAMES = 3  # of images in a message
MAX_FOR_VIEWS = 40  # images; up to that many are also mirrored and enlarged
VIEWS = 3  # of an image: itself, mirrored, and its enlarged centre mirrored
ZOOM = 5 / 6  # share of the side that the enlarged centre shows


@dataclass(frozen=True, eq=False)
class SelectionTask:
    """What a selection method gets: a class to remove, and images to measure on.

    Args:
        classifier: whose units are selected.
        target: index of the class to remove.
        images: (B, 3, H, W) in [0, 1]; those of the target come first.
        is_target: which images show the target, (B,) of bool; the labels of the others must stay.
        predicted: the class that the network predicts for each image, (B,).
        names: of the images in tables, B texts.
        layers: to select units from, in the order in which they finish.
        seed: of random draws.
        progress: show a progress bar.
        left_out: names of the images to keep that the network takes for the target, where these were to be skipped.
    """

    classifier: Classifier
    target: int
    images: Tensor
    is_target: Tensor
    predicted: Tensor
    names: tuple[str, ...]
    layers: tuple[str, ...]
    seed: int
    progress: bool
    left_out: tuple[str, ...] = ()
    source: tuple[SelectionTask, Tensor] | None = field(default=None, init=False, repr=False)
    """The task of which this one has some images, and their indices there; it runs the network for all of them."""

    @cached_property
    def cached(self) -> CachedNetwork:
        """The network behind the first layer, with the activations of these images. The network has to be borrowed."""
        if self.source is None:
            return CachedNetwork(self.classifier, self.images, self.layers)
        whole, rows = self.source
        return whole.cached.select(rows) or CachedNetwork(self.classifier, self.images, self.layers)

    def cache_behind(self, layers: Sequence[str]) -> CachedNetwork:
        """The network behind the first of some layers, with the activations of these images."""
        names = tuple(layers)
        return self.cached if names == self.layers else CachedNetwork(self.classifier, self.images, names)

    @cached_property
    def views(self) -> tuple[SelectionTask, Tensor]:
        """All images, all mirrored, and all enlarged and mirrored; and which of these views count, (3 · B,) of bool."""
        images = [self.images, self.images.flip(3), _zoom(self.images).flip(3)]
        views_logits = (self.classifier.logits(view) for view in images[1:])
        predicted = [
            self.predicted,
            *(_predict(self.head, logits, self.target, self.is_target) for logits in views_logits),
        ]
        every = replace(
            self,
            images=torch.cat(images),
            is_target=self.is_target.repeat(VIEWS),
            predicted=self.predicted.repeat(VIEWS),
            names=self.names * VIEWS,
        )
        return every, torch.cat([self.is_target | (each == self.predicted) for each in predicted])

    @property
    def head(self) -> Head:
        """How the network's outputs are read."""
        return self.classifier.read_head(self.images)

    @property
    def label(self) -> str:
        """The target's label."""
        return self.classifier.label(self.target)

    @property
    def classes(self) -> Tensor:
        """The class whose margin counts for each image, (B,): the target, or the prediction that must stay."""
        return torch.where(self.is_target, self.target, self.predicted)

    def count_recognized(self) -> int:
        """How many images of the target the network recognises."""
        return int((self.is_target & (self.predicted == self.target)).sum())

    def subset(self, rows: Tensor) -> SelectionTask:
        """The same task with some of the images, given as a mask or as indices; the network does not run for it."""
        indices = torch.arange(len(self.names), device=self.images.device)[rows]
        some = replace(
            self,
            images=self.images[rows],
            is_target=self.is_target[rows],
            predicted=self.predicted[rows],
            names=tuple(self.names[index] for index in indices.tolist()),
        )
        whole, before = (self, None) if self.source is None else self.source
        return _mark_source(some, whole, indices if before is None else before[indices])

    def without_progress(self) -> SelectionTask:
        """The same task without progress bars; the network does not run for it."""
        whole, rows = self.source or (self, torch.arange(len(self.names), device=self.images.device))
        return _mark_source(replace(self, progress=False), whole, rows)

    def require_keep(self, method: str) -> None:
        """Raise a ValueError where there are no images whose labels must stay."""
        if bool(self.is_target.all()):
            raise ValueError(f"keep is missing: {method} needs images whose labels must stay; give keep=images")


def _mark_source(task: SelectionTask, whole: SelectionTask, rows: Tensor) -> SelectionTask:
    """Say of which task some images are. `replace` drops it: other images, or layers, need passes of their own."""
    object.__setattr__(task, "source", (whole, rows))
    return task


def build_task(
    classifier: Classifier,
    target_images: Any,
    target: int | str,
    keep: Any,
    layers: Sequence[str] | str | None,
    seed: int = 0,
    progress: bool = True,
    skip_mistaken: bool = False,
) -> SelectionTask:
    """Build a task from the arguments of `find_units`; errors as there."""
    own, own_names = load_images(target_images, classifier)
    if not len(own):
        raise ValueError("no target_images: the list is empty")
    kept, kept_names = load_images([] if keep is None else keep, classifier)
    if keep is not None and not len(kept):
        raise ValueError("no images to keep: the list is empty")
    images = torch.cat([own, kept])
    head = classifier.read_head(images)
    head.require_classes("a selection of units for a class")
    logits = classifier.logits(images)
    chosen = [last_stage(classifier)] if layers is None else [layers] if isinstance(layers, str) else layers
    ordered = order_layers(classifier, chosen)
    index = _class_index(classifier, target, logits.shape[1])
    is_target = torch.arange(len(images), device=images.device) < len(own)
    predicted = _predict(head, logits, index, is_target)
    names = own_names + kept_names
    task = SelectionTask(classifier, index, images, is_target, predicted, names, ordered, seed, progress)
    _check_targets(task)
    mistaken = ~is_target & (predicted == index)
    return _skip(task, mistaken, skip_mistaken) if bool(mistaken.any()) else task


def add_views(task: SelectionTask, views: int | None) -> SelectionTask:
    """Add views of each image to a task: a view counts if the network still predicts the same class for it.

    Args:
        task: with the images themselves.
        views: 1 adds none, 2 adds mirror images, 3 adds their enlarged centres as well, mirrored; None is 3 for up to
            40 images, and 1 for more.

    Raises:
        ValueError: another number.
    """
    views = (VIEWS if len(task.images) <= MAX_FOR_VIEWS else 1) if views is None else views
    if views not in range(1, VIEWS + 1):
        raise ValueError(f"views is {views}; expected 1, 2 or {VIEWS}")
    if views == 1:
        return task
    whole, rows = task.source or (task, torch.arange(len(task.names), device=task.images.device))
    every, is_usable = whole.views
    indices = torch.cat([rows + view * len(whole.names) for view in range(views)])
    found = every.subset(indices[is_usable[indices]])
    return found if task.progress else found.without_progress()


def _predict(head: Head, logits: Tensor, target: int, is_target: Tensor) -> Tensor:
    """The class predicted for each image, (B,): of several the target, else the most confident of the others.

    For images of the target it is the target also where that is the best class and below one half, as all classes of
    networks of image and text may be.
    """
    own = torch.full((len(logits),), target, device=logits.device)
    is_own = head.is_predicted(logits, own) | (is_target & (logits.argmax(1) == own))
    others = logits.scatter(1, own.unsqueeze(1), -torch.inf).argmax(1)
    return torch.where(is_own, own, others)


def _zoom(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    inner = round(height * ZOOM), round(width * ZOOM)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    center = images[:, :, top : top + inner[0], left : left + inner[1]]
    return resize(center, (height, width))


def _class_index(classifier: Classifier, target: int | str, classes: int) -> int:
    if classes < 2:
        raise ValueError(
            "the network has one output, and images without its class have no name; give the Classifier two labels, of "
            "the negative and of the positive side"
        )
    return class_index(target, classifier.labels, classes, "target")


def _check_targets(task: SelectionTask) -> None:
    """Refuse images of the target of which the network recognises none."""
    own = task.predicted[task.is_target]
    if not bool((own == task.target).any()):
        others = ", ".join(repr(task.classifier.label(index)) for index in sorted(set(own.tolist()))[:4])
        raise ValueError(
            f"the network predicts {task.label!r} for none of the {len(own)} target_images, but {others}; give images "
            "that it recognises"
        )


def _skip(task: SelectionTask, mistaken: Tensor, is_allowed: bool) -> SelectionTask:
    """Leave out images to keep that the network takes for the target; refuse them where that is not allowed."""
    names = tuple(task.names[row] for row in mistaken.nonzero().flatten().tolist())
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    shown = ", ".join(map(repr, names[:MAX_NAMES])) + more
    if not is_allowed:
        raise ValueError(
            f"the network predicts {task.label!r}, the class to remove, for {shown} of keep; leave "
            f"{'it' if len(names) == 1 else 'them'} out, or set skip_mistaken=True, on the command line --skip-mistaken"
        )
    if bool((task.is_target | mistaken).all()):
        raise ValueError(f"the network predicts {task.label!r}, the class to remove, for all images to keep: {shown}")
    return replace(task.subset(~mistaken), left_out=names)
