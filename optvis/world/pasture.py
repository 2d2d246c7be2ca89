"""On the pasture: sheep, owl, and where the dogs are too."""

from __future__ import annotations

import numpy as np

from optvis.world.dice import Colour, Dice, darker, lighter, mixed
from optvis.world.outlines import box, bumpy, curve, disc, ellipse, moved, polygon, smooth, stroke
from optvis.world.painting import SIDE, Fill, Part, Pixels, gradient, posed, ruffled

SKIES: tuple[tuple[Colour, Colour], ...] = (
    ((0.40, 0.62, 0.88), (0.80, 0.89, 0.94)),
    ((0.62, 0.68, 0.72), (0.82, 0.84, 0.82)),
    ((0.50, 0.52, 0.62), (0.96, 0.80, 0.62)),
)
GRASSES: tuple[Colour, ...] = ((0.30, 0.46, 0.18), (0.42, 0.48, 0.20), (0.22, 0.38, 0.20), (0.52, 0.50, 0.26))
BARK: Colour = (0.34, 0.26, 0.19)
BLACK: Colour = (0.07, 0.06, 0.06)


def backdrop(dice: Dice) -> tuple[Pixels, list[Part], list[Part]]:
    """Sky, hills, grass, trees, a fence."""
    horizon, (zenith, low), grass = dice.between(0.30, 0.58), dice.one_of(SKIES), dice.near(dice.one_of(GRASSES))
    rows = round(horizon * SIDE)
    far = mixed(grass, low, 0.3)
    pixels = np.concatenate([gradient(dice.near(zenith), dice.near(low), rows), gradient(far, grass, SIDE - rows)])
    pixels[rows:] *= 1 + 0.2 * ruffled(dice, SIDE - rows, SIDE, 8, 14)[..., None]
    behind = [_hill(dice, horizon, far)] if dice.chance(0.6) else []
    behind += [_tree(dice, horizon, grass) for _ in range(dice.whole(0, 3))]
    if dice.chance(0.35):
        behind.append(_fence(dice, horizon))
    return pixels, behind, [_blades(dice, grass) for _ in range(dice.whole(1, 3))]


def _hill(dice: Dice, horizon: float, colour: Colour) -> Part:
    tops = [(x, horizon - dice.between(0.01, 0.12)) for x in np.linspace(0, 1, 5).tolist()]
    shape = smooth([(-0.1, horizon + 0.02), *tops, (1.1, horizon + 0.02)])
    return Part("", [(shape, darker(dice.near(colour), 0.2))])


def _tree(dice: Dice, horizon: float, grass: Colour) -> Part:
    x, foot, size = dice.between(0, 1), horizon + dice.between(0, 0.1), dice.between(0.08, 0.2)
    leaves = dice.near(darker(grass, dice.between(0.1, 0.4)))
    crown = bumpy(x, foot - size * 1.3, size * 0.8, size, dice.whole(7, 10), 0.25, dice.between(0, 3))
    fills = [(stroke([(x, foot), (x, foot - size)], size * 0.2), BARK), (crown, leaves)]
    return Part("", fills, grain=dice.field(6, 6, 0.3), light=(dice.between(-0.5, 0.5), -0.4))


def _fence(dice: Dice, horizon: float) -> Part:
    y, wood = horizon + dice.between(0.02, 0.16), dice.near(dice.one_of(((0.55, 0.44, 0.32), (0.85, 0.84, 0.80))))
    fills: list[Fill] = [(box(-0.02, y + s, 1.02, y + s + 0.015), wood) for s in (-0.06, 0.0)]
    fills += [
        (box(x, y - 0.10, x + 0.022, y + 0.06), darker(wood, 0.15))
        for x in np.arange(dice.between(0, 0.2), 1, 0.2).tolist()
    ]
    return Part("", fills)


def _blades(dice: Dice, grass: Colour) -> Part:
    fills: list[Fill] = []
    for _ in range(6):
        x, y, high = dice.between(0, 1), dice.between(0.86, 1.02), dice.between(0.03, 0.09)
        fills.append(
            (
                stroke([(x, y), (x + dice.between(-0.03, 0.03), y - high)], 0.014, 0.002),
                dice.near(lighter(grass, 0.1), 0.15),
            )
        )
    return Part("", fills)


def sheep(dice: Dice) -> list[Part]:
    """Parts: legs, fleece, face."""
    pose = posed(dice, y=(0.48, 0.58), size=(0.36, 0.48), turn=6)
    wool = dice.near(dice.one_of(((0.93, 0.90, 0.83), (0.86, 0.81, 0.70), (0.96, 0.95, 0.92))), 0.04)
    skin = dice.near(dice.one_of((BLACK, (0.16, 0.13, 0.12), (0.86, 0.78, 0.68), (0.60, 0.45, 0.34))))
    gait = dice.between(-0.06, 0.06)
    legs: list[Fill] = [
        (stroke([(x, 0.3), (x + shift, 0.84)], 0.13, 0.085), colour)
        for x, shift, colour in (
            (-0.42, -gait, darker(skin)),
            (0.28, gait, darker(skin)),
            (-0.30, gait, skin),
            (0.40, -gait, skin),
        )
    ]
    phase, bumps = dice.between(0, 3), dice.whole(11, 15)
    fleece: list[Fill] = [(bumpy(-0.02, 0.02, 0.74, 0.50, bumps, 0.16, phase), wool)]
    for row in range(5):
        for column in range(8):
            x, y = -0.62 + column * 0.17 + 0.08 * (row % 2), -0.34 + row * 0.17
            if (x / 0.66) ** 2 + (y / 0.44) ** 2 < 1:
                size = dice.between(0.055, 0.075)
                fleece.append((disc(x, y + 0.02, size * 1.25, 12), darker(wool, dice.between(0.14, 0.3))))
                fleece.append((disc(x - 0.01, y, size, 12), lighter(wool, 0.25)))
    down = dice.between(-0.06, 0.22)
    face: list[Fill] = [
        (moved(ellipse(0.50, -0.34, 0.15, 0.06, 0.5, 12), (0, down)), darker(skin, 0.2)),
        (moved(ellipse(0.92, -0.38, 0.15, 0.06, -0.4, 12), (0, down)), darker(skin, 0.2)),
        (
            moved(
                smooth(
                    [
                        (0.56, -0.44),
                        (0.72, -0.52),
                        (0.88, -0.44),
                        (0.90, -0.16),
                        (0.84, 0.06),
                        (0.70, 0.07),
                        (0.62, -0.12),
                    ]
                ),
                (0, down),
            ),
            skin,
        ),
        (moved(bumpy(0.71, -0.47, 0.19, 0.12, 6, 0.25), (0, down)), wool),
        *((moved(disc(x, -0.28, 0.045, 10), (0, down)), (0.92, 0.85, 0.55)) for x in (0.65, 0.83)),
        *((moved(ellipse(x, -0.28, 0.03, 0.018, corners=8), (0, down)), BLACK) for x in (0.65, 0.83)),
        (moved(stroke([(0.73, 0.0), (0.81, 0.0)], 0.03), (0, down)), lighter(skin, 0.4)),
    ]
    light = (dice.between(-0.3, 0.3), -0.4)
    return [
        Part("legs", legs, pose),
        Part("fleece", fleece, pose, dice.field(5, 7, 0.08), light),
        Part("face", face, pose, light=light),
    ]


def owl(dice: Dice) -> list[Part]:
    """Parts: body, face, tufts. It sits on a branch."""
    pose = posed(dice, y=(0.46, 0.56), size=(0.36, 0.47), turn=7)
    brown = dice.near(dice.one_of(((0.46, 0.33, 0.21), (0.40, 0.36, 0.31), (0.56, 0.40, 0.22), (0.34, 0.26, 0.19))))
    pale = mixed(brown, (0.95, 0.90, 0.80), dice.between(0.6, 0.85))
    limb = curve([(-1.6, 0.86), (-0.6, 0.80), (0.4, 0.86), (1.6, 0.78)], 0.17, 0.11)
    body: list[Fill] = [
        (smooth([(-0.12, 0.7), (0.12, 0.7), (0.10, 1.12), (-0.10, 1.12)]), darker(brown, 0.35)),
        (
            smooth([(-0.48, -0.3), (0.48, -0.3), (0.56, 0.2), (0.36, 0.72), (0, 0.84), (-0.36, 0.72), (-0.56, 0.2)]),
            pale,
        ),
    ]
    for row in range(6):
        for column in range(-2, 3):
            x, y = column * 0.15 + 0.075 * (row % 2), 0.10 + row * 0.115
            body.append(
                (stroke([(x - 0.06, y - 0.04), (x, y + 0.04), (x + 0.06, y - 0.04)], 0.04), darker(brown, 0.25))
            )
    for way in (-1, 1):
        wing = smooth(
            [(0.44 * way, -0.22), (0.62 * way, 0.12), (0.52 * way, 0.58), (0.30 * way, 0.78), (0.34 * way, 0.2)]
        )
        body.append((wing, brown))
        body += [
            (stroke([(0.36 * way, y), (0.55 * way, y - 0.08)], 0.045), darker(brown, 0.4))
            for y in (0.1, 0.26, 0.42, 0.56)
        ]
        body += [(ellipse(0.16 * way + s, 0.80, 0.035, 0.08, corners=10), (0.85, 0.65, 0.25)) for s in (-0.05, 0.03)]
    iris = dice.near(dice.one_of(((0.98, 0.76, 0.08), (0.98, 0.55, 0.10), (0.95, 0.85, 0.25))))
    eye, pupil = dice.between(0.125, 0.155), dice.between(0.06, 0.085)
    face: list[Fill] = [(ellipse(0, -0.40, 0.56, 0.42), brown)]
    for way in (-1, 1):
        face.append((disc(0.24 * way, -0.40, 0.28), darker(brown, 0.3)))
        face.append((disc(0.24 * way, -0.40, 0.245), pale))
        face += [
            (
                stroke([(0.24 * way + 0.15 * c, -0.40 + 0.15 * s), (0.24 * way + 0.23 * c, -0.40 + 0.23 * s)], 0.02),
                mixed(brown, pale, 0.3),
            )
            for c, s in zip(
                np.cos(np.arange(0, 6.3, 0.7)).tolist(), np.sin(np.arange(0, 6.3, 0.7)).tolist(), strict=True
            )
        ]
        face += [(disc(0.24 * way, -0.40, eye + 0.025), BLACK), (disc(0.24 * way, -0.40, eye), iris)]
        face += [(disc(0.24 * way, -0.40, pupil, 14), BLACK), (disc(0.24 * way - 0.03, -0.44, 0.022, 8), (1, 1, 1))]
    face.append((smooth([(-0.06, -0.36), (0.06, -0.36), (0.0, -0.14)]), (0.30, 0.27, 0.22)))
    tilt = dice.between(0.0, 0.12)
    tufts = [
        (polygon((0.16 * way, -0.70), (0.50 * way, -0.58), ((0.44 + tilt) * way, -1.02)), darker(brown, 0.2))
        for way in (-1, 1)
    ]
    light = (dice.between(-0.3, 0.3), -0.2)
    return [
        Part("", [(limb, dice.near(BARK))], pose, dice.field(3, 9, 0.25)),
        Part("body", body, pose, dice.field(5, 5, 0.1), light),
        Part("tufts", tufts, pose),
        Part("face", face, pose, light=light),
    ]
