"""Shares of images with a confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

from optvis.models.outputs.intervals import wilson_interval


@dataclass(frozen=True)
class Rate:
    """A share of images with its 95 % interval, Wilson's.

    Example:
        >>> estimate_rate(9, 10)
        90.0 % (59.6 to 98.2 % of 10)
    """

    share: float  # in [0, 1]
    low: float  # ends of the interval
    high: float
    images: int  # how many were counted

    def __repr__(self) -> str:
        return f"{100 * self.share:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f} % of {self.images})"


def estimate_rate(hits: int, images: int) -> Rate:
    """Estimate the rate of hits among one or more images.

    Raises:
        ValueError: no images, or more hits than images.
    """
    if not 0 <= hits <= images or images < 1:
        raise ValueError(f"{hits} hits of {images} images; expected one image or more, and no more hits than images")
    return Rate(hits / images, *wilson_interval(hits, images), images)
