"""Outlines: closed polygons (N, 2) in an object's own coordinates, x to the right and y down."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Outline: TypeAlias = NDArray[np.float64]
Points: TypeAlias = Sequence[tuple[float, float]] | Outline


def polygon(*corners: tuple[float, float]) -> Outline:
    """An outline with these corners, (x, y)."""
    return np.array(corners, dtype=np.float64)


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    """A rectangle."""
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(x: float, y: float, radius_x: float, radius_y: float, angle: float = 0.0, corners: int = 24) -> Outline:
    """An ellipse about (x, y), rotated by `angle` radians."""
    points = _unit_circle(corners) * (radius_x, radius_y)
    return (points @ rotation(angle).T if angle else points) + (x, y)


def disc(x: float, y: float, radius: float, corners: int = 24) -> Outline:
    """A circle about (x, y)."""
    return ellipse(x, y, radius, radius, corners=corners)


def spline(points: Points, samples: int = 4) -> Outline:
    """A closed Catmull-Rom spline through the points, with so many samples a segment (Catmull & Rom 1974)."""
    here = np.array(points, dtype=np.float64)
    around = np.concatenate([here[-1:], here, here[:2]])
    return _catmull_rom(around[:-3], here, around[2:-1], around[3:], samples)


def round_box(left: float, top: float, right: float, bottom: float, corner: float) -> Outline:
    """A box whose corners are rounded over so much of each side."""
    upper = [(left, top + corner), (left + corner, top), (right - corner, top), (right, top + corner)]
    lower = [(right, bottom - corner), (right - corner, bottom), (left + corner, bottom), (left, bottom - corner)]
    return spline(upper + lower)


def stroke(points: Points, *widths: float) -> Outline:
    """A line through the points. Widths: one for the whole line, one for each end, or one for each point."""
    line = np.array(points, dtype=np.float64)
    halves = np.interp(_shares(len(line)), _shares(len(widths)), widths)[:, None] / 2
    # As np.gradient, which takes most of its time to check its arguments.
    along = np.concatenate([line[1:2] - line[:1], (line[2:] - line[:-2]) / 2, line[-1:] - line[-2:-1]])
    across = along[:, ::-1] * (-1, 1) / np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    return np.concatenate([line + across * halves, (line - across * halves)[::-1]])


def curve(points: Points, *widths: float, samples: int = 4) -> Outline:
    """A stroke along an open Catmull-Rom spline through the points."""
    here = np.array(points, dtype=np.float64)
    padded = np.concatenate([here[:1], here, here[-1:]])
    line = _catmull_rom(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], samples)
    return stroke(np.concatenate([line, here[-1:]]), *widths)


def blob(x: float, y: float, radius_x: float, radius_y: float, bumps: int, depth: float, phase: float = 0.0) -> Outline:
    """An ellipse with round bumps along its edge, such as a cloud or a fleece."""
    angles = np.linspace(0, 2 * np.pi, 8 * bumps, endpoint=False)
    radius = 1 - depth + depth * np.abs(np.sin(angles * bumps / 2 + phase))
    return np.stack([x + radius_x * radius * np.cos(angles), y + radius_y * radius * np.sin(angles)], 1)


def rotation(radians: float) -> Outline:
    """(2, 2)"""
    sine, cosine = np.sin(radians), np.cos(radians)
    return np.array([[cosine, -sine], [sine, cosine]])


def translate(outline: Outline, offset: tuple[float, float]) -> Outline:
    """The outline, moved by (x, y)."""
    return outline + offset


@cache
def _shares(count: int, end: bool = True) -> Outline:
    """Equal steps from 0 to 1."""
    return np.linspace(0, 1, count, endpoint=end)


@cache
def _unit_circle(corners: int) -> Outline:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _catmull_rom(before: Outline, here: Outline, after: Outline, later: Outline, samples: int) -> Outline:
    """Points (segments · samples, 2) from each `here` towards its `after`."""
    t = _shares(samples, end=False)[:, None, None]
    points = (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - later) * t**2
        + (3 * here - before - 3 * after + later) * t**3
    ) / 2
    return points.transpose(1, 0, 2).reshape(-1, 2)
