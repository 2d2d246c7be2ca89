"""Scenes with dogs on a pasture: kelpie, German shepherd."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import Fill, Part, random_pose
from optvis.world.drawing.colors import Color, darken, lighten
from optvis.world.drawing.outlines import curve, disc, ellipse, polygon, spline, stroke
from optvis.world.drawing.random_draws import RandomDraws

BLACK: Color = (0.07, 0.06, 0.06)


def _dog_body(draws: RandomDraws, coat: Color, belly: Color, lean: float) -> list[Fill]:
    """A dog's body from the side: legs, chest, back. A larger `lean` makes it slimmer."""
    gait = draws.uniform(-0.12, 0.12)
    far = darken(coat, 0.4)
    fills: list[Fill] = []
    for x, shift, color in ((-0.44, -gait, far), (0.26, gait, far), (-0.54, gait, belly), (0.36, -gait, belly)):
        fills.append((curve([(x, 0.10), (x - 0.04 + shift / 2, 0.45), (x + shift, 0.80)], 0.20, 0.08), color))
        fills.append((ellipse(x + shift + 0.03, 0.81, 0.075, 0.04, corners=12), color))
    chest = 0.40 - lean
    top = [(-0.62, -0.10), (-0.3, -0.20), (0.1, -0.19), (0.44, -0.28), (0.50, 0.02)]
    bottom = [(0.32, chest), (-0.1, chest - 0.06), (-0.42, 0.16 - lean / 2), (-0.64, 0.18)]
    return [*fills, (spline(top + bottom), coat)]


def kelpie(draws: RandomDraws) -> list[Part]:
    """Parts: body, head, ears. Lean, of one colour, with very large upright ears."""
    pose = random_pose(draws, y=(0.48, 0.58), size=(0.36, 0.48), degrees=8)
    coat = draws.shade(((0.40, 0.20, 0.11), (0.58, 0.29, 0.13), (0.32, 0.17, 0.11), (0.66, 0.36, 0.18)))
    up = draws.uniform(-0.12, 0.08)
    body = _dog_body(draws, coat, coat, draws.uniform(0.06, 0.14))
    body.insert(0, (curve([(-0.58, -0.02), (-0.82, 0.10), (-0.98, -0.10 + up), (-0.92, -0.30 + up)], 0.12, 0.05), coat))
    body.append((spline([(0.36, -0.24), (0.50, -0.52), (0.70, -0.44), (0.56, 0.04), (0.42, 0.10)]), coat))
    skull = [(0.44, -0.56), (0.58, -0.74), (0.78, -0.70), (0.94, -0.54), (1.12, -0.47)]
    jaw = [(1.12, -0.38), (0.86, -0.34), (0.60, -0.36)]
    head: list[Fill] = [
        (spline(skull + jaw), lighten(coat, 0.08)),
        (ellipse(1.11, -0.45, 0.055, 0.045, corners=12), BLACK),
        (disc(0.80, -0.58, 0.042, 10), (0.95, 0.75, 0.25)),
        (disc(0.805, -0.58, 0.024, 8), BLACK),
        (curve([(1.10, -0.39), (0.92, -0.40)], 0.02), darken(coat, 0.6)),
    ]
    high = draws.uniform(0.36, 0.48)
    ears: list[Fill] = []
    for x, tilt in ((0.72, 0.06), (0.50, -0.10)):
        left = [(x - 0.12, -0.64), (x - 0.08 + tilt, -0.68 - high * 0.7), (x + tilt, -0.70 - high)]
        ear = spline([*left, (x + 0.08 + tilt / 2, -0.68 - high * 0.5), (x + 0.10, -0.64)])
        centre = np.array([x + tilt / 2, -0.72 - high * 0.3])
        ears += [(ear, darken(coat, 0.1)), ((ear - centre) * (0.56, 0.72) + centre, (0.90, 0.62, 0.55))]
    light = (draws.uniform(-0.3, 0.3), -0.4)
    return [
        Part("body", body, pose, draws.noise(5, 8, 0.12), light),
        Part("ears", ears, pose),
        Part("head", head, pose, draws.noise(3, 3, 0.1), light),
    ]


def german_shepherd(draws: RandomDraws) -> list[Part]:
    """Parts: body, saddle, head. Tan, with a black saddle, a black muzzle and a bushy tail."""
    pose = random_pose(draws, y=(0.48, 0.58), size=(0.36, 0.48), degrees=8)
    coat = draws.shade(((0.76, 0.54, 0.28), (0.70, 0.44, 0.20), (0.82, 0.64, 0.40)))
    body = _dog_body(draws, coat, lighten(coat, 0.15), draws.uniform(-0.04, 0.02))
    droop = draws.uniform(-0.1, 0.15)
    tail = [(-0.58, -0.04), (-0.80, 0.16 + droop), (-0.88, 0.48 + droop), (-0.98, 0.60 + droop)]
    body.insert(0, (curve(tail, 0.14, 0.24), darken(coat, 0.25)))
    body.append((spline([(0.34, -0.24), (0.46, -0.50), (0.72, -0.42), (0.60, 0.06), (0.42, 0.14)]), coat))
    edge = draws.uniform(0.0, 0.1)
    top = [(-0.66, -0.02), (-0.5, -0.20), (-0.2, -0.24), (0.15, -0.23), (0.46, -0.40), (0.52, -0.16)]
    bottom = [(0.34, 0.06 + edge), (0.0, 0.12 + edge), (-0.34, 0.10 + edge), (-0.56, 0.14)]
    tufts: list[Fill] = [(spline(top + bottom), draws.vary(BLACK))]
    hairs = [[(x, 0.05 + edge), (x - 0.05, 0.20 + edge)] for x in np.linspace(-0.4, 0.3, 7).tolist()]
    tufts += [(stroke(hair, 0.07, 0.01), BLACK) for hair in hairs]
    skull = [(0.42, -0.54), (0.56, -0.72), (0.78, -0.70), (0.92, -0.56), (1.12, -0.50)]
    jaw = [(1.13, -0.36), (0.88, -0.30), (0.58, -0.30)]
    head: list[Fill] = [
        (polygon((0.46, -0.60), (0.50, -1.02), (0.64, -0.66)), darken(coat, 0.55)),
        (polygon((0.62, -0.66), (0.72, -1.04), (0.80, -0.62)), darken(coat, 0.15)),
        (polygon((0.66, -0.66), (0.72, -0.94), (0.76, -0.64)), BLACK),
        (spline(skull + jaw), coat),
        (spline([(0.82, -0.56), (0.96, -0.56), (1.13, -0.50), (1.14, -0.36), (0.90, -0.30), (0.80, -0.40)]), BLACK),
        (disc(0.78, -0.58, 0.045, 10), BLACK),
        (disc(0.79, -0.59, 0.018, 8), (0.85, 0.6, 0.3)),
        (spline([(0.90, -0.33), (1.02, -0.33), (1.02, -0.22), (0.94, -0.20)]), (0.90, 0.45, 0.48)),
    ]
    light = (draws.uniform(-0.3, 0.3), -0.3)
    return [
        Part("body", body, pose, draws.noise(5, 8, 0.14), light),
        Part("saddle", tufts, pose, draws.noise(4, 8, 0.2)),
        Part("head", head, pose, draws.noise(3, 3, 0.1), light),
    ]
