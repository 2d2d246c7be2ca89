"""Scenes in a kitchen, seen from above: frying pan, wok."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pixels, Pose, gradient, random_pose, smooth_noise
from optvis.world.drawing.colors import Color, darken, lighten, mix
from optvis.world.drawing.outlines import blob, box, curve, disc, ellipse, polygon, stroke, translate
from optvis.world.drawing.random_draws import RandomDraws
from optvis.world.objects import noodles

WORKTOPS = (
    (0.66, 0.48, 0.32),
    (0.82, 0.79, 0.74),
    (0.42, 0.43, 0.44),
    (0.88, 0.86, 0.82),
    (0.50, 0.34, 0.22),
    (0.52, 0.62, 0.64),
)
IRONS = ((0.13, 0.13, 0.14), (0.22, 0.22, 0.24), (0.30, 0.29, 0.29), (0.17, 0.15, 0.14))
GRIPS = ((0.10, 0.10, 0.11), (0.52, 0.33, 0.18), (0.36, 0.20, 0.11), (0.58, 0.60, 0.62))


def background(draws: RandomDraws) -> tuple[Pixels, list[Part], list[Part]]:
    """A worktop of wood, stone or tiles, with cloths, plates and vegetables."""
    top = draws.shade(WORKTOPS)
    pixels = gradient(lighten(top, 0.12), darken(top, 0.12), SIZE)
    pixels *= 1 + 0.14 * smooth_noise(draws, SIZE, SIZE, *draws.choose(((24, 3), (3, 24), (10, 10))))[..., None]
    joints = [_tile_joints(draws, top)] if draws.chance(0.6) else []
    kinds = (_cloth, _plate, _vegetable, _vegetable, _hob_ring)
    things = [draws.choose(kinds)(draws) for _ in range(draws.integer(1, 4))]
    return pixels, joints + things, []


def _tile_joints(draws: RandomDraws, top: Color) -> Part:
    step, wide = draws.choose((0.18, 0.25, 0.34)), draws.uniform(0.006, 0.014)
    lines = [box(-0.02, y, 1.02, y + wide) for y in np.arange(draws.uniform(0, step), 1, step).tolist()]
    if draws.chance(0.6):
        lines += [box(x, -0.02, x + wide, 1.02) for x in np.arange(draws.uniform(0, step), 1, step).tolist()]
    return Part("", [(line, darken(top, 0.4)) for line in lines], opacity=0.7)


def _cloth(draws: RandomDraws) -> Part:
    pose = random_pose(draws, x=(0, 1), y=(0, 1), size=(0.16, 0.28), degrees=45)
    color = draws.shade(((0.75, 0.18, 0.18), (0.20, 0.38, 0.66), (0.92, 0.90, 0.84), (0.36, 0.56, 0.38)))
    fills: list[Fill] = [(box(-1, -1, 1, 1), color)]
    fills += [(box(-1, y, 1, y + 0.14), lighten(color, 0.6)) for y in (-0.8, -0.4, 0.0, 0.4, 0.8)]
    return Part("", fills, pose, draws.noise(3, 3, 0.15))


def _plate(draws: RandomDraws) -> Part:
    pose, rim = random_pose(draws, x=(0, 1), y=(0, 1), size=(0.14, 0.22)), draws.vary((0.93, 0.93, 0.92), 0.03)
    rings = ((1, darken(rim, 0.15)), (0.95, rim), (0.62, darken(rim, 0.07)))
    return Part("", [(disc(0, 0, radius), color) for radius, color in rings], pose)


def _hob_ring(draws: RandomDraws) -> Part:
    pose, iron = random_pose(draws, x=(0, 1), y=(0, 1), size=(0.12, 0.2)), (0.12, 0.12, 0.13)
    glow = draws.choose((iron, iron, (0.85, 0.25, 0.10)))
    rings = ((1, iron), (0.8, glow), (0.62, iron), (0.44, glow), (0.26, iron))
    return Part("", [(disc(0, 0, radius), color) for radius, color in rings], pose)


def _vegetable(draws: RandomDraws) -> Part:
    pose = random_pose(draws, x=(0, 1), y=(0, 1), size=(0.06, 0.11), degrees=90)
    red, green, orange = (0.82, 0.16, 0.12), (0.35, 0.60, 0.20), (0.94, 0.52, 0.12)
    kinds: tuple[list[Fill], ...] = (
        [(disc(0, 0, 1), red), (blob(0, -0.2, 0.35, 0.35, 5, 0.6), green)],
        [(polygon((-1.3, -0.3), (-1.3, 0.3), (1.5, 0)), orange), (stroke([(-1.3, 0), (-2, 0)], 0.5, 0.1), green)],
        [(disc(0, 0, 0.9), (0.96, 0.90, 0.55)), (disc(0, 0, 0.75), (0.98, 0.95, 0.70))],
        [(curve([(-1.6, 0), (0, 0.3), (1.6, 0)], 0.5), green), (disc(-1.6, 0, 0.28), (0.93, 0.94, 0.88))],
    )
    return Part("", draws.choose(kinds), pose, draws.noise(3, 3, 0.15))


def _long_handle(draws: RandomDraws, start: float, stop: float) -> list[Fill]:
    grip = draws.shade(GRIPS)
    return [
        (stroke([(start - 0.1, 0), (start + 0.14, 0)], 0.16, 0.10), (0.50, 0.51, 0.53)),
        (curve([(start + 0.08, 0), (start + 0.3, 0.01), (stop, 0)], 0.12, 0.17), grip),
        (stroke([(start + 0.16, -0.03), (stop - 0.08, -0.035)], 0.025), lighten(grip, 0.35)),
        (disc(stop - 0.05, 0, 0.03, 10), lighten(grip, 0.7)),
    ]


def _loop_handle(draws: RandomDraws, at: float) -> list[Fill]:
    sign, steel = np.sign(at), draws.vary((0.62, 0.63, 0.65))
    inner, outer = at - 0.10 * sign, at + 0.13 * sign
    line = [(inner, -0.24), (outer, -0.23), (at + 0.21 * sign, 0), (outer, 0.23), (inner, 0.24)]
    return [(curve(line, 0.125), (0.12, 0.12, 0.13)), (curve(line, 0.07), steel)]


def _noodles_part(draws: RandomDraws, pose: Pose, at: tuple[float, float], radius: float, chance: float) -> Part:
    food = [(translate(outline, at), color) for outline, color in noodles(draws, radius)]
    return Part("noodles", food, pose, draws.noise(4, 4, 0.1), present=draws.chance(chance))


def frying_pan(draws: RandomDraws) -> list[Part]:
    """Parts: pan, handle, food. Noodles are optional and never present by default."""
    pose = random_pose(draws, size=(0.36, 0.46), degrees=180, x=(0.46, 0.54), y=(0.46, 0.54))
    iron, at, radius = draws.shade(IRONS), (-0.26, 0.0), draws.uniform(0.58, 0.66)
    pan: list[Fill] = [
        (disc(*at, radius * 1.04, 40), darken(iron, 0.5)),
        (disc(*at, radius, 40), lighten(iron, 0.42)),
        (disc(*at, radius * 0.92, 40), lighten(iron, 0.12)),
        (disc(*at, radius * 0.82, 40), iron),
        (translate(curve([(-0.3, 0.2), (-0.35, -0.1), (-0.1, -0.36)], 0.01, 0.03, 0.01), at), lighten(iron, 0.4)),
    ]
    return [
        Part("handle", _long_handle(draws, at[0] + radius, draws.uniform(1.0, 1.14)), pose),
        Part("pan", pan, pose, draws.noise(5, 5, 0.12), (draws.uniform(-0.4, 0.4), draws.uniform(-0.4, 0.4))),
        Part("food", _food(draws, at, radius), pose, present=draws.chance(0.7)),
        _noodles_part(draws, pose, at, radius * 0.80, 0.0),
    ]


def _food(draws: RandomDraws, at: tuple[float, float], radius: float) -> list[Fill]:
    """Eggs, bacon, a pancake, or an omelette in the colour of noodles, so that yellow alone does not identify a wok."""
    kind = draws.integer(0, 4)
    if kind == 0:
        fills: list[Fill] = []
        for sign in (-1, 1)[: draws.integer(1, 2)]:
            x, y = at[0] + 0.2 * sign, at[1] + draws.uniform(-0.12, 0.12)
            fills += [
                (blob(x, y, 0.25, 0.23, 5, 0.2, y * 9), (0.97, 0.96, 0.93)),
                (disc(x, y, 0.10), (0.97, 0.70, 0.10)),
                (disc(x - 0.03, y - 0.03, 0.03, 8), (1.0, 0.92, 0.6)),
            ]
        return fills
    if kind == 1:
        fills = []
        for y in (-0.22, 0.0, 0.22):
            line = [(at[0] - 0.38, y), (at[0] - 0.12, y + 0.06), (at[0] + 0.12, y - 0.04), (at[0] + 0.38, y + 0.04)]
            fills += [(curve(line, 0.16), (0.62, 0.18, 0.13)), (curve(line, 0.06), (0.93, 0.74, 0.62))]
        return fills
    yellow = (0.86, 0.62, 0.30) if kind == 2 else mix((0.60, 0.46, 0.20), (0.96, 0.84, 0.44), draws.uniform(0, 1))
    cake, share = draws.vary(yellow), draws.uniform(0.58, 0.66) if kind == 2 else draws.uniform(0.66, 0.82)
    return [
        (ellipse(*at, radius * share * 1.07, radius * share * 1.05), darken(cake, 0.25)),
        (ellipse(*at, radius * share, radius * share * 0.98), cake),
        (ellipse(at[0] + 0.1, at[1] - 0.05, 0.12, 0.08, 0.4, 12), (0.98, 0.92, 0.6)),
    ]


def wok(draws: RandomDraws) -> list[Part]:
    """Parts: bowl, handles, noodles (in 90 % of the scenes)."""
    pose = random_pose(draws, size=(0.36, 0.46), degrees=180, x=(0.46, 0.54), y=(0.46, 0.54))
    iron, long = draws.shade(IRONS), draws.chance(0.5)
    at, radius = ((-0.22, 0.0), draws.uniform(0.64, 0.70)) if long else ((0.0, 0.0), draws.uniform(0.74, 0.82))
    levels = np.linspace(1.0, 0.22, 7).tolist()
    bowl: list[Fill] = [(disc(*at, radius * 1.05, 40), darken(iron, 0.5))]
    bowl += [(disc(*at, radius * r, 36), lighten(iron, 0.62 * r**2)) for r in levels]
    far = _loop_handle(draws, -radius)
    near = _long_handle(draws, radius, draws.uniform(1.24, 1.34)) if long else _loop_handle(draws, radius)
    handles = [(translate(outline, at), color) for outline, color in far + near]
    return [
        Part("handles", handles, pose),
        Part("bowl", bowl, pose, draws.noise(5, 5, 0.12), (draws.uniform(-0.4, 0.4), draws.uniform(-0.4, 0.4))),
        _noodles_part(draws, pose, at, radius * 0.74, 0.9),
    ]
