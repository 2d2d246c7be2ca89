"""In the kitchen, seen from above: frying pan, wok."""

from __future__ import annotations

import numpy as np

from optvis.world.dice import Colour, Dice, darker, lighter, mixed
from optvis.world.outlines import box, bumpy, curve, disc, ellipse, moved, polygon, stroke
from optvis.world.painting import SIDE, Fill, Part, Pixels, Pose, gradient, posed, ruffled
from optvis.world.things import noodles

TOPS: tuple[Colour, ...] = (
    (0.66, 0.48, 0.32),
    (0.82, 0.79, 0.74),
    (0.42, 0.43, 0.44),
    (0.88, 0.86, 0.82),
    (0.50, 0.34, 0.22),
    (0.52, 0.62, 0.64),
)
IRONS: tuple[Colour, ...] = ((0.13, 0.13, 0.14), (0.22, 0.22, 0.24), (0.30, 0.29, 0.29), (0.17, 0.15, 0.14))
GRIPS: tuple[Colour, ...] = ((0.10, 0.10, 0.11), (0.52, 0.33, 0.18), (0.36, 0.20, 0.11), (0.58, 0.60, 0.62))


def backdrop(dice: Dice) -> tuple[Pixels, list[Part], list[Part]]:
    """A worktop of wood, stone or tiles, with cloths, plates and vegetables."""
    top = dice.near(dice.one_of(TOPS))
    pixels = gradient(lighter(top, 0.12), darker(top, 0.12), SIDE)
    pixels *= 1 + 0.14 * ruffled(dice, SIDE, SIDE, *dice.one_of(((24, 3), (3, 24), (10, 10))))[..., None]
    joints = [_joints(dice, top)] if dice.chance(0.6) else []
    things = [dice.one_of((_cloth, _plate, _vegetable, _vegetable, _ring))(dice) for _ in range(dice.whole(1, 4))]
    return pixels, joints + things, []


def _joints(dice: Dice, top: Colour) -> Part:
    step, wide = dice.one_of((0.18, 0.25, 0.34)), dice.between(0.006, 0.014)
    lines: list[Fill] = [
        (box(-0.02, y, 1.02, y + wide), darker(top, 0.4)) for y in np.arange(dice.between(0, step), 1, step).tolist()
    ]
    if dice.chance(0.6):
        lines += [
            (box(x, -0.02, x + wide, 1.02), darker(top, 0.4))
            for x in np.arange(dice.between(0, step), 1, step).tolist()
        ]
    return Part("", lines, opacity=0.7)


def _cloth(dice: Dice) -> Part:
    pose = posed(dice, x=(0, 1), y=(0, 1), size=(0.16, 0.28), turn=45)
    colour = dice.near(dice.one_of(((0.75, 0.18, 0.18), (0.20, 0.38, 0.66), (0.92, 0.90, 0.84), (0.36, 0.56, 0.38))))
    fills: list[Fill] = [(box(-1, -1, 1, 1), colour)]
    fills += [(box(-1, y, 1, y + 0.14), lighter(colour, 0.6)) for y in (-0.8, -0.4, 0.0, 0.4, 0.8)]
    return Part("", fills, pose, dice.field(3, 3, 0.15))


def _plate(dice: Dice) -> Part:
    pose, rim = posed(dice, x=(0, 1), y=(0, 1), size=(0.14, 0.22)), dice.near((0.93, 0.93, 0.92), 0.03)
    return Part(
        "", [(disc(0, 0, 1), darker(rim, 0.15)), (disc(0, 0, 0.95), rim), (disc(0, 0, 0.62), darker(rim, 0.07))], pose
    )


def _ring(dice: Dice) -> Part:
    pose, iron = posed(dice, x=(0, 1), y=(0, 1), size=(0.12, 0.2)), (0.12, 0.12, 0.13)
    glow = dice.one_of((iron, iron, (0.85, 0.25, 0.10)))
    fills: list[Fill] = [
        (disc(0, 0, r), colour) for r, colour in ((1, iron), (0.8, glow), (0.62, iron), (0.44, glow), (0.26, iron))
    ]
    return Part("", fills, pose)


def _vegetable(dice: Dice) -> Part:
    pose = posed(dice, x=(0, 1), y=(0, 1), size=(0.06, 0.11), turn=90)
    red, green, orange = (0.82, 0.16, 0.12), (0.35, 0.60, 0.20), (0.94, 0.52, 0.12)
    kinds: tuple[list[Fill], ...] = (
        [(disc(0, 0, 1), red), (bumpy(0, -0.2, 0.35, 0.35, 5, 0.6), green)],
        [(polygon((-1.3, -0.3), (-1.3, 0.3), (1.5, 0)), orange), (stroke([(-1.3, 0), (-2, 0)], 0.5, 0.1), green)],
        [(disc(0, 0, 0.9), (0.96, 0.90, 0.55)), (disc(0, 0, 0.75), (0.98, 0.95, 0.70))],
        [(curve([(-1.6, 0), (0, 0.3), (1.6, 0)], 0.5), green), (disc(-1.6, 0, 0.28), (0.93, 0.94, 0.88))],
    )
    return Part("", dice.one_of(kinds), pose, dice.field(3, 3, 0.15))


def _handle(dice: Dice, start: float, stop: float) -> list[Fill]:
    grip = dice.near(dice.one_of(GRIPS))
    return [
        (stroke([(start - 0.1, 0), (start + 0.14, 0)], 0.16, 0.10), (0.50, 0.51, 0.53)),
        (curve([(start + 0.08, 0), (start + 0.3, 0.01), (stop, 0)], 0.12, 0.17), grip),
        (stroke([(start + 0.16, -0.03), (stop - 0.08, -0.035)], 0.025), lighter(grip, 0.35)),
        (disc(stop - 0.05, 0, 0.03, 10), lighter(grip, 0.7)),
    ]


def _loop(dice: Dice, at: float) -> list[Fill]:
    way, steel = np.sign(at), dice.near((0.62, 0.63, 0.65))
    line = [
        (at - 0.10 * way, -0.24),
        (at + 0.13 * way, -0.23),
        (at + 0.21 * way, 0),
        (at + 0.13 * way, 0.23),
        (at - 0.10 * way, 0.24),
    ]
    return [(curve(line, 0.125), (0.12, 0.12, 0.13)), (curve(line, 0.07), steel)]


def _tossed(dice: Dice, pose: Pose, at: tuple[float, float], radius: float, chance: float) -> Part:
    food = [(moved(outline, at), colour) for outline, colour in noodles(dice, radius)]
    return Part("noodles", food, pose, dice.field(4, 4, 0.1), present=dice.chance(chance))


def frying_pan(dice: Dice) -> list[Part]:
    """Parts: pan, handle, food. Noodles are never in it; they can be added."""
    pose = posed(dice, size=(0.36, 0.46), turn=180, x=(0.46, 0.54), y=(0.46, 0.54))
    iron, at, radius = dice.near(dice.one_of(IRONS)), (-0.26, 0.0), dice.between(0.58, 0.66)
    pan: list[Fill] = [
        (disc(*at, radius * 1.04, 40), darker(iron, 0.5)),
        (disc(*at, radius, 40), lighter(iron, 0.42)),
        (disc(*at, radius * 0.92, 40), lighter(iron, 0.12)),
        (disc(*at, radius * 0.82, 40), iron),
        (moved(curve([(-0.3, 0.2), (-0.35, -0.1), (-0.1, -0.36)], 0.01, 0.03, 0.01), at), lighter(iron, 0.4)),
    ]
    return [
        Part("handle", _handle(dice, at[0] + radius, dice.between(1.0, 1.14)), pose),
        Part("pan", pan, pose, dice.field(5, 5, 0.12), (dice.between(-0.4, 0.4), dice.between(-0.4, 0.4))),
        Part("food", _food(dice, at, radius), pose, present=dice.chance(0.7)),
        _tossed(dice, pose, at, radius * 0.80, 0.0),
    ]


def _food(dice: Dice, at: tuple[float, float], radius: float) -> list[Fill]:
    """Eggs, bacon, a pancake, or an omelette as yellow as noodles are."""
    kind = dice.whole(0, 4)
    if kind == 0:
        fills: list[Fill] = []
        for way in (-1, 1)[: dice.whole(1, 2)]:
            x, y = at[0] + 0.2 * way, at[1] + dice.between(-0.12, 0.12)
            fills += [
                (bumpy(x, y, 0.25, 0.23, 5, 0.2, y * 9), (0.97, 0.96, 0.93)),
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
    yellow = (0.86, 0.62, 0.30) if kind == 2 else mixed((0.60, 0.46, 0.20), (0.96, 0.84, 0.44), dice.between(0, 1))
    cake, share = dice.near(yellow), dice.between(0.58, 0.66) if kind == 2 else dice.between(0.66, 0.82)
    return [
        (ellipse(*at, radius * share * 1.07, radius * share * 1.05), darker(cake, 0.25)),
        (ellipse(*at, radius * share, radius * share * 0.98), cake),
        (ellipse(at[0] + 0.1, at[1] - 0.05, 0.12, 0.08, 0.4, 12), (0.98, 0.92, 0.6)),
    ]


def wok(dice: Dice) -> list[Part]:
    """Parts: bowl, handles, noodles (in 90 % of them)."""
    pose = posed(dice, size=(0.36, 0.46), turn=180, x=(0.46, 0.54), y=(0.46, 0.54))
    iron, long = dice.near(dice.one_of(IRONS)), dice.chance(0.5)
    at, radius = ((-0.22, 0.0), dice.between(0.64, 0.70)) if long else ((0.0, 0.0), dice.between(0.74, 0.82))
    levels = np.linspace(1.0, 0.22, 7).tolist()
    bowl: list[Fill] = [(disc(*at, radius * 1.05, 40), darker(iron, 0.5))]
    bowl += [(disc(*at, radius * r, 36), lighter(iron, 0.62 * r**2)) for r in levels]
    far = _loop(dice, -radius)
    near = _handle(dice, radius, dice.between(1.24, 1.34)) if long else _loop(dice, radius)
    handles = [(moved(outline, at), colour) for outline, colour in far + near]
    return [
        Part("handles", handles, pose),
        Part("bowl", bowl, pose, dice.field(5, 5, 0.12), (dice.between(-0.4, 0.4), dice.between(-0.4, 0.4))),
        _tossed(dice, pose, at, radius * 0.74, 0.9),
    ]
