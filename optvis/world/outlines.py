"""Outlines: closed polygons (N, 2) in an object's own coordinates, x to the right and y down."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Outline: TypeAlias = NDArray[np.float64]
Points: TypeAlias = Sequence[tuple[float, float]]


def polygon(*corners: tuple[float, float]) -> Outline:
    return np.array(corners, dtype=np.float64)


def box(left: float, top: float, right: float, bottom: float) -> Outline:
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0, corners: int = 24) -> Outline:
    """An ellipse about (x, y); half axes `across` and `down`, turned by `turn` radians."""
    points = _circle(corners) * (across, down)
    return (points @ rotation(turn).T if turn else points) + (x, y)


def disc(x: float, y: float, radius: float, corners: int = 24) -> Outline:
    return ellipse(x, y, radius, radius, corners=corners)


def smooth(points: Points, between: int = 4) -> Outline:
    """A closed Catmull-Rom spline through the points (Catmull & Rom 1974)."""
    here = np.array(points, dtype=np.float64)
    return _spline(np.roll(here, 1, 0), here, np.roll(here, -1, 0), np.roll(here, -2, 0), between)


def stroke(points: Points, *widths: float) -> Outline:
    """A line through the points, as wide as told: one width, or one at each end, or one at each point."""
    line = np.array(points, dtype=np.float64)
    halves = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, len(widths)), widths)[:, None] / 2
    along = np.gradient(line, axis=0)
    across = along[:, ::-1] * (-1, 1) / np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-9)
    return np.concatenate([line + across * halves, (line - across * halves)[::-1]])


def curve(points: Points, *widths: float, between: int = 4) -> Outline:
    """A stroke along an open Catmull-Rom spline through the points."""
    here = np.array(points, dtype=np.float64)
    padded = np.concatenate([here[:1], here, here[-1:]])
    line = _spline(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], between)
    return stroke([*map(tuple, line), points[-1]], *widths)


def bumpy(x: float, y: float, across: float, down: float, bumps: int, depth: float, phase: float = 0.0) -> Outline:
    """An ellipse with round bumps along its edge, as a cloud or a fleece."""
    angles = np.linspace(0, 2 * np.pi, 8 * bumps, endpoint=False)
    radius = 1 - depth + depth * np.abs(np.sin(angles * bumps / 2 + phase))
    return np.stack([x + across * radius * np.cos(angles), y + down * radius * np.sin(angles)], 1)


def rotation(radians: float) -> Outline:
    sine, cosine = np.sin(radians), np.cos(radians)
    return np.array([[cosine, -sine], [sine, cosine]])


def moved(outline: Outline, by: tuple[float, float]) -> Outline:
    return outline + by


@cache
def _circle(corners: int) -> Outline:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _spline(before: Outline, here: Outline, after: Outline, later: Outline, between: int) -> Outline:
    t = np.linspace(0, 1, between, endpoint=False)[:, None, None]
    points = (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - later) * t**2
        + (3 * here - before - 3 * after + later) * t**3
    ) / 2
    return points.transpose(1, 0, 2).reshape(-1, 2)
