"""Terms: weighted functions of activations that give one score per image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor

from optvis.arguments import describe_value
from optvis.objectives.labels import Labels
from optvis.objectives.layout import IMAGE, PositionError
from optvis.objectives.prompts import Embed, Prompts


class Placeholder(Sized, Protocol):
    """What stands for targets that a network brings, and is the same for all images."""

    def __getitem__(self, images: slice) -> Placeholder: ...


Target = Tensor | Labels | Prompts | Placeholder
Schedule = Callable[[int], float]  # of the step, counted from 0

#: Names of the functions that build terms of one position, or of a target for each.
POSITIONAL = frozenset({"neuron", "direction_neuron", "tensor_direction", "position_norm", "caricature", "dot_compare"})
ONE = torch.ones(1, dtype=torch.float64, device="cpu")


@dataclass(frozen=True, eq=False)
class Term:
    """One weighted function of activations.

    Args:
        name: the name in logs.
        layers: the layers whose activations `fn` takes, in order.
        fn: `(*activations, *targets, **options) -> (B,)`.
        targets: each (B, ...), a row per image, or (1, ...) for all; or label texts, or what a network brings.
        options: keyword arguments of `fn` that are the same for all images.
        weight: (B,) or (1,), float64.
        schedules: functions of the step that multiply the weight; see `at_step`.
        couples_images: whether `fn` compares images with each other, so that a batch can only be split between groups.
        pools_images: whether such a term takes all images together, in any order, so that several views of an image
            may be among them.
        group_size: of such a term, the number of successive images that are compared; None is all.
        factory: name of the function that built the term, for the `repr`.

    Raises:
        ValueError: targets and weights are for different numbers of images.
    """

    name: str
    layers: tuple[str, ...]
    fn: Callable[..., Tensor]
    targets: tuple[Target, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    weight: Tensor = ONE
    schedules: tuple[Schedule, ...] = ()
    couples_images: bool = False
    pools_images: bool = False
    group_size: int | None = None
    factory: str = "on"
    batch: int = field(init=False)  # number of images that targets and weight are for; 1 if they are the same for all

    def __post_init__(self) -> None:
        for rows in (*self.targets, self.weight):
            if not hasattr(rows, "__len__") or (isinstance(rows, Tensor) and rows.dim() == 0):
                raise TypeError(
                    f"{self.name} has {describe_value(rows)} for a target or weight; expected rows, one per image, or "
                    "one for all"
                )
        sizes = [len(rows) for rows in (*self.targets, self.weight)]
        object.__setattr__(self, "batch", common_batch_size(sizes, self.name))

    @property
    def is_positional(self) -> bool:
        """Whether it reads one position of a layer, or has a target for each: (B, C, H, W)."""
        if IMAGE in self.layers:
            return False  # the image before transforms
        maps = (target for target in self.targets if isinstance(target, Tensor) and target.dim() == 4)
        return self.factory in POSITIONAL or next(maps, None) is not None

    def __call__(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Compute the weighted score of each image, (B,), with schedules at step 0."""
        missing = [layer for layer in self.layers if layer not in activations]
        if missing:
            raise KeyError(f"{self.name} needs layer {missing[0]!r}; got {', '.join(map(repr, activations))}")
        if not self.layers:
            raise ValueError(
                f"{self.name} reads statistics of a network; give the objective to render, ascend or attribute, or "
                "compare with statistics of your own: activation_statistics({layer: (mean, variance)})"
            )
        inputs = [activations[layer] for layer in self.layers]
        images = len(inputs[0])
        if self.batch not in (1, images):
            raise ValueError(f"{self.name} is for {self.batch} images; got activations of {images}")
        scores = self.raw_scores(inputs, self.resolve(None).targets)
        return scores * self.at_step(0).weight.to(scores.dtype)

    def raw_scores(self, activations: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        """Compute the score of each image without the weight, (B,), and check its shape."""
        images = len(activations[0])
        try:
            scores = self.fn(*activations, *targets, **dict(self.options))
        except PositionError as error:
            raise IndexError(f"{self.name}: {error}; it grows with the image") from error
        except IndexError as error:
            raise IndexError(f"{self.name}: {error}{_describe_layouts(activations)}") from error
        if not isinstance(scores, Tensor) or scores.shape != (images,):
            result = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"{self.name} returned {result}; expected ({images},): one score per image. "
                "Reduce every axis but the first, e.g. a.flatten(1).mean(1)"
            )
        if scores.is_complex():
            raise TypeError(f"{self.name} returned complex scores; expected real ones, such as their .abs()")
        return scores

    def at_step(self, step: int) -> Term:
        """Apply the schedules: the same term with its weight at a step."""
        if not self.schedules:
            return self
        factors = [_schedule_factor(schedule, step, self.name) for schedule in self.schedules]
        return replace(self, weight=self.weight * math.prod(factors), schedules=())

    def __getitem__(self, images: slice) -> Term:
        if self.couples_images and not self._keeps_groups(images):
            size = self.group_size
            raise ValueError(
                f"{self.name} couples images, so their batch cannot be split: take all, with no slice or batch_size"
                if size is None
                else f"{self.name} couples each {size} successive images, and [{images.start}:{images.stop}] "
                f"splits a group; take a multiple of {size} at a time"
            )
        return replace(
            self,
            targets=tuple(rows[images] if len(rows) > 1 else rows for rows in self.targets),
            weight=self.weight[images] if len(self.weight) > 1 else self.weight,
        )

    def _keeps_groups(self, images: slice) -> bool:
        """Whether a slice splits no group of images that are compared."""
        ends = [end for end in (images.start, images.stop) if end is not None]
        size = self.group_size
        return size is not None and images.step in (None, 1) and all(end % size == 0 for end in ends)

    def repeat(self, times: int) -> Term:
        """Repeat the term for copies of its batch, one after the other."""
        term = self.resolve(None)

        def repeat_rows(rows: Tensor) -> Tensor:
            return rows.repeat(times, *[1] * (rows.dim() - 1)) if len(rows) > 1 else rows

        targets = tuple(repeat_rows(rows) if isinstance(rows, Tensor) else rows for rows in term.targets)
        return replace(term, targets=targets, weight=repeat_rows(self.weight))

    def repeat_each(self, times: int) -> Term:
        """Repeat each image of the term, so that the copies of one follow each other."""

        def repeat_rows(rows: Any) -> Any:
            if len(rows) == 1:
                return rows
            if isinstance(rows, Labels | Prompts):
                return type(rows)(tuple(text for text in rows.texts for _ in range(times)))
            return rows.repeat_interleave(times, 0)

        return replace(self, targets=tuple(map(repeat_rows, self.targets)), weight=repeat_rows(self.weight))

    def to(self, device: torch.device, dtype: torch.dtype, copy: bool = False) -> Term:
        """Move the term's tensors to a device, and floating-point ones to a dtype; copy them all where asked."""
        return replace(
            self,
            targets=tuple(_move(t, device, dtype, copy) if isinstance(t, Tensor) else t for t in self.targets),
            weight=_move(self.weight, device, dtype, copy),
        )

    def resolve(self, labels: Sequence[str] | None, embed: Embed | None = None) -> Term:
        """Replace label texts by their indices in a network's labels, and prompts by their embeddings."""
        if not any(isinstance(t, Labels | Prompts) for t in self.targets):
            return self
        indexed = (t.indices(labels) if isinstance(t, Labels) else t for t in self.targets)
        return replace(self, targets=tuple(t.embeddings(embed) if isinstance(t, Prompts) else t for t in indexed))

    @property
    def reads_classes(self) -> bool:
        """Whether a logit or log-odds takes part, which depend on the network's head."""
        return hasattr(self.fn, "with_head")

    def with_head(self, head: Any) -> Term:
        """The same term for outputs that a head reads; see `optvis.models.outputs.head.Head`."""
        return replace(self, fn=self.fn.with_head(head)) if hasattr(self.fn, "with_head") else self


def own_options(fn: Callable[..., Tensor], **options: Any) -> tuple[tuple[str, Any], ...]:
    """The options of a term with this function: those that are neither None nor the function's default."""
    defaults = signature(fn).parameters
    return tuple((k, v) for k, v in options.items() if v is not None and v != defaults[k].default)


def common_batch_size(sizes: Sequence[int], name: str) -> int:
    """Find the number of images that several parts are for; parts of size 1 are for any number.

    Raises:
        ValueError: two parts are for different numbers of images.
    """
    batches = sorted({size for size in sizes if size != 1})
    if len(batches) > 1:
        raise ValueError(f"{name} mixes targets or weights for {batches[0]} and for {batches[1]} images")
    return batches[0] if batches else 1


def common_group_size(groups: Iterable[int | None]) -> int | None:
    """Find the smallest group of successive images that splits no group of several terms; None is the whole batch.

    Example:
        >>> common_group_size([4, 6]), common_group_size([4, None]), common_group_size([])
        (12, None, 1)
    """
    sizes = list(groups)
    return None if None in sizes else math.lcm(*(size for size in sizes if size is not None))


def _schedule_factor(schedule: Schedule, step: int, name: str) -> float:
    factor = schedule(step)
    try:
        return float(factor)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"the weight of {name} is {factor!r} at step {step}; expected a number") from error


def _describe_layouts(activations: Sequence[Tensor]) -> str:
    shapes = " and ".join(str(tuple(a.shape)) for a in activations)
    may_be_last = any(a.dim() == 4 and a.shape[3] > a.shape[1] for a in activations)
    hint = "; if the channels are last, give channel_axis=-1" if may_be_last else ""
    return f"; the activations are {shapes}{hint}"


def _move(rows: Tensor, device: torch.device, dtype: torch.dtype, copy: bool) -> Tensor:
    moved = rows.to(dtype).to(device) if rows.is_floating_point() else rows.to(device)
    return moved.clone() if copy or moved.is_inference() else moved
