"""The parts of a report: plain numbers and texts, as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

State = Literal["kept", "lost", "gained", "wrong"]


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    Args:
        value: the mean; None where there is no image.
        low: the lower end of its 95 % interval; None where the images are too few for one.
        high: the upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Estimate:
        """From JSON."""
        return cls(**told)


@dataclass(frozen=True)
class Tally:
    """How a set, or a class, is recognised before and after.

    Args:
        name: of the set; the label of the class.
        images: how many.
        before: the share of images that are called what they are, in [0, 1].
        after: the same without the units.
        drop: before − after, image by image.
        confidence: by how much the true class's softmax probability falls.
        odds: by how much its log-odds against all other classes fall, in nats.
    """

    name: str
    images: int
    before: Estimate
    after: Estimate
    drop: Estimate
    confidence: Estimate
    odds: Estimate

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Tally:
        """From JSON."""
        own = {one.name for one in fields(cls)} - {"name", "images"}
        return cls(told["name"], told["images"], **{key: Estimate.of(told[key]) for key in own})


@dataclass(frozen=True)
class Answer:
    """What the network says of one image, before and after.

    Args:
        set: the name of its set.
        image: its file's name, or its place in the set.
        truth: what it shows, or what it was called before.
        before: the likeliest class.
        confidence_before: its softmax probability, in [0, 1].
        after: the likeliest class without the units.
        confidence_after: its softmax probability, in [0, 1].
    """

    set: str
    image: str
    truth: str
    before: str
    confidence_before: float
    after: str
    confidence_after: float

    @property
    def state(self) -> State:
        """Whether the right answer was kept, lost or gained, or is as wrong as before."""
        if self.before == self.truth:
            return "kept" if self.after == self.truth else "lost"
        return "gained" if self.after == self.truth else "wrong"


@dataclass(frozen=True)
class Curve:
    """Recall with more and more units off, and with only those kept.

    Args:
        counts: how many units, at each of T steps, from none to all.
        removed: for each set, its recall with the first so many off, T of them.
        kept: its recall with everything else in their layers off.
        removed_confidence: the mean softmax probability of its images' true classes, with the first so many off.
        kept_confidence: the same with everything else off.
    """

    counts: tuple[int, ...]
    removed: Mapping[str, tuple[Estimate, ...]]
    kept: Mapping[str, tuple[Estimate, ...]]
    removed_confidence: Mapping[str, tuple[Estimate, ...]]
    kept_confidence: Mapping[str, tuple[Estimate, ...]]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Curve:
        """From JSON."""
        lines = {one.name: _estimates(told[one.name]) for one in fields(cls) if one.name != "counts"}
        return cls(tuple(told["counts"]), **lines)


@dataclass(frozen=True)
class Chance:
    """What random units of the same layers do, as many and as strong.

    Args:
        drops: by how much the target's recall falls without each of R random sets.
        odds: by how much its log-odds fall.
        others: by how much the log-odds of everything else fall, of all images that show none of the target's
            classes; empty where there are none.
        others_without: the same without the units themselves, a number.
        distinct: how many of the sets differ.
        p_drop: (1 + sets at least as bad for the target's recall) / (1 + R).
        p_odds: the same of its log-odds, which hardly tie.
        strength: for each layer, what random units carry to what the units carry, on average: the mean activation
            norm of channels, the square norm along directions. 1 is a perfect match.
    """

    drops: tuple[float, ...]
    odds: tuple[float, ...]
    others: tuple[float, ...]
    others_without: float
    distinct: int
    p_drop: float
    p_odds: float
    strength: Mapping[str, float]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Chance:
        """From JSON."""
        rows = {key: tuple(value) for key, value in told.items() if isinstance(value, list)}
        return cls(**{**told, **rows})


def _estimates(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, tuple[Estimate, ...]]:
    return {name: tuple(Estimate.of(one) for one in row) for name, row in told.items()}


__all__ = ["Answer", "Chance", "Curve", "Estimate", "Tally"]
