"""Terms: single weighted questions that give one score per image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from optvis.objectives.labels import Labels

Target = Tensor | Labels
Schedule = Callable[[int], float]  # of the step: how many updates the images have had

ONE = torch.ones(1, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Term:
    """One weighted question.

    Args:
        name: what logs call it.
        layers: the layers whose activations `fn` reads, in order.
        fn: `(*activations, *targets, **options) -> (B,)`.
        targets: each (B, ...), a row per image, or (1, ...) shared by all; or label texts.
        options: keyword arguments of `fn` that are the same for all images.
        weight: (B,) or (1,), float64.
        schedules: functions of the step, by which the weight is multiplied; see `at_step`.
        couples_images: images see each other, so a batch is not split, or only between those that do.
        group_size: of a coupled term, how many successive images see each other; None is all.
        factory: the function that made the term, as its `repr` spells it.
    """

    name: str
    layers: tuple[str, ...]
    fn: Callable[..., Tensor]
    targets: tuple[Target, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    weight: Tensor = ONE
    schedules: tuple[Schedule, ...] = ()
    couples_images: bool = False
    group_size: int | None = None
    factory: str = "on"
    batch: int = field(init=False)  # images that the targets and weights are for; 1 when all are shared

    def __post_init__(self) -> None:
        sizes = [len(rows) for rows in (*self.targets, self.weight)]
        object.__setattr__(self, "batch", common_batch_size(sizes, self.name))

    def __call__(self, activations: Mapping[str, Tensor]) -> Tensor:
        """The weighted score of each image, (B,); where the weight is scheduled, at step 0."""
        missing = [layer for layer in self.layers if layer not in activations]
        if missing:
            raise KeyError(f"{self.name} reads {missing[0]!r}; there are {', '.join(map(repr, activations))}")
        read = [activations[layer] for layer in self.layers]
        images = len(read[0])
        if self.batch not in (1, images):
            raise ValueError(f"{self.name} asks about {self.batch} images; the activations are of {images}")
        scores = self.raw_scores(read, self.resolve_labels(None).targets)
        return scores * self.at_step(0).weight.to(scores.dtype)

    def raw_scores(self, read: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        """The score of each image before it is weighted, (B,), checked."""
        images = len(read[0])
        try:
            scores = self.fn(*read, *targets, **dict(self.options))
        except IndexError as error:
            raise IndexError(f"{self.name}: {error}{_describe_layouts(read)}") from error
        if not isinstance(scores, Tensor) or scores.shape != (images,):
            came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"{self.name} gave {came}; expected ({images},): one score per image. "
                "Reduce every axis but the first, e.g. a.flatten(1).mean(1)"
            )
        return scores

    def at_step(self, step: int) -> Term:
        """The same term with the weight that it has at a step."""
        if not self.schedules:
            return self
        factors = [_schedule_factor(schedule, step, self.name) for schedule in self.schedules]
        return replace(self, weight=self.weight * math.prod(factors), schedules=())

    def __getitem__(self, images: slice) -> Term:
        if self.couples_images and not self._keeps_together(images):
            if self.group_size is None:
                raise ValueError(
                    f"{self.name} couples images, so a batch of them cannot be split; render without chunk"
                )
            raise ValueError(
                f"{self.name} couples each {self.group_size} successive images, and [{images.start}:{images.stop}] "
                f"splits a group; take a multiple of {self.group_size} at a time"
            )
        return replace(
            self,
            targets=tuple(rows[images] if len(rows) > 1 else rows for rows in self.targets),
            weight=self.weight[images] if len(self.weight) > 1 else self.weight,
        )

    def _keeps_together(self, images: slice) -> bool:
        """Whether a slice parts no images that see each other."""
        ends = [end for end in (images.start, images.stop) if end is not None]
        size = self.group_size
        return size is not None and images.step in (None, 1) and all(end % size == 0 for end in ends)

    def repeat(self, times: int) -> Term:
        """The same term for so many copies of its images, one after the other."""
        resolved = self.resolve_labels(None)

        def copies(rows: Tensor) -> Tensor:
            return rows.repeat(times, *[1] * (rows.dim() - 1)) if len(rows) > 1 else rows

        targets = tuple(copies(rows) for rows in resolved.targets if isinstance(rows, Tensor))
        return replace(resolved, targets=targets, weight=copies(self.weight))

    def to(self, device: torch.device, dtype: torch.dtype) -> Term:
        """The same term with its tensors on a device, and its real ones of a dtype."""
        return replace(
            self,
            targets=tuple(t if isinstance(t, Labels) else _move(t, device, dtype) for t in self.targets),
            weight=_move(self.weight, device, dtype),
        )

    def resolve_labels(self, labels: Sequence[str] | None) -> Term:
        """The same term with label texts replaced by class indices."""
        if not any(isinstance(t, Labels) for t in self.targets):
            return self
        return replace(self, targets=tuple(t.indices(labels) if isinstance(t, Labels) else t for t in self.targets))


def common_batch_size(sizes: Sequence[int], what: str) -> int:
    batches = sorted({size for size in sizes if size != 1})
    if len(batches) > 1:
        raise ValueError(f"{what} mixes targets or weights for {batches[0]} and for {batches[1]} images")
    return batches[0] if batches else 1


def common_group_size(groups: Iterable[int | None]) -> int | None:
    """How many successive images see each other where several terms couple so many each; None is all.

    >>> common_group_size([4, 6]), common_group_size([4, None]), common_group_size([])
    (12, None, 1)
    """
    sizes = list(groups)
    return None if None in sizes else math.lcm(*(size for size in sizes if size is not None))


def _schedule_factor(schedule: Schedule, step: int, what: str) -> float:
    factor = schedule(step)
    try:
        return float(factor)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"the weight of {what} is {factor!r} at step {step}; expected a number") from error


def _describe_layouts(read: Sequence[Tensor]) -> str:
    shapes = " and ".join(str(tuple(a.shape)) for a in read)
    hint = "; where channels lie last, give channel_axis=-1" if any(a.dim() == 4 for a in read) else ""
    return f"; the activations are {shapes}{hint}"


def _move(rows: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return rows.to(dtype).to(device) if rows.is_floating_point() else rows.to(device)
