"""Before a wall: dumbbell, traffic light."""

from __future__ import annotations

import numpy as np

from optvis.world.dice import Colour, Dice, darker, lighter
from optvis.world.outlines import box, disc, moved, rotation, smooth, stroke
from optvis.world.painting import SIDE, Fill, Part, Pixels, gradient, posed, ruffled
from optvis.world.things import arm

WALLS: tuple[Colour, ...] = (
    (0.60, 0.32, 0.24),
    (0.66, 0.65, 0.62),
    (0.82, 0.76, 0.64),
    (0.48, 0.50, 0.54),
    (0.56, 0.62, 0.58),
)
DARK: Colour = (0.09, 0.09, 0.10)


def backdrop(dice: Dice) -> tuple[Pixels, list[Part], list[Part]]:
    """A wall of brick, plaster or concrete, a pavement, windows, posters."""
    wall, ground = dice.near(dice.one_of(WALLS)), dice.between(0.76, 0.98)
    rows = round(ground * SIDE)
    stone = dice.near((0.44, 0.43, 0.42))
    pixels = np.concatenate(
        [gradient(lighter(wall, 0.1), darker(wall, 0.1), rows), gradient(stone, lighter(stone, 0.2), SIDE - rows)]
    )
    pixels *= 1 + 0.12 * ruffled(dice, SIDE, SIDE, 9, 9)[..., None]
    behind = [_bricks(dice, wall, ground)] if dice.chance(0.5) else []
    behind += [dice.one_of((_window, _poster, _pipe))(dice) for _ in range(dice.whole(0, 3))]
    return pixels, behind, []


def _bricks(dice: Dice, wall: Colour, ground: float) -> Part:
    tall = dice.between(0.045, 0.07)
    mortar = lighter(wall, 0.35) if dice.chance(0.6) else darker(wall, 0.35)
    fills: list[Fill] = []
    for row, y in enumerate(np.arange(0, ground - tall / 2, tall).tolist()):
        fills.append((box(-0.02, y, 1.02, y + 0.009), mortar))
        fills += [(box(x, y, x + 0.009, y + tall), mortar) for x in np.arange((row % 2) * tall, 1, 2 * tall).tolist()]
    return Part("", fills, opacity=0.75)


def _window(dice: Dice) -> Part:
    x, y, wide, tall = (
        dice.between(-0.1, 0.9),
        dice.between(-0.1, 0.5),
        dice.between(0.14, 0.26),
        dice.between(0.18, 0.32),
    )
    frame, glass = dice.near((0.86, 0.85, 0.82)), dice.near((0.35, 0.47, 0.56))
    return Part(
        "",
        [
            (box(x, y, x + wide, y + tall), frame),
            (box(x + 0.02, y + 0.02, x + wide / 2 - 0.01, y + tall - 0.02), glass),
            (box(x + wide / 2 + 0.01, y + 0.02, x + wide - 0.02, y + tall - 0.02), glass),
        ],
    )


def _poster(dice: Dice) -> Part:
    pose = posed(dice, x=(0, 1), y=(0.1, 0.6), size=(0.07, 0.14), turn=6)
    paper, ink = (
        dice.near((0.90, 0.86, 0.74)),
        dice.near(dice.one_of(((0.80, 0.20, 0.16), (0.15, 0.35, 0.62), (0.15, 0.50, 0.30)))),
    )
    return Part(
        "",
        [
            (box(-1, -1.3, 1, 1.3), paper),
            (box(-0.8, -1.1, 0.8, -0.2), ink),
            *((box(-0.8, y, 0.8, y + 0.12), darker(paper, 0.4)) for y in (0.1, 0.5, 0.9)),
        ],
        pose,
    )


def _pipe(dice: Dice) -> Part:
    x, wide, metal = dice.between(0, 1), dice.between(0.025, 0.05), dice.near((0.45, 0.45, 0.46))
    return Part(
        "",
        [
            (box(x, -0.02, x + wide, 1.02), metal),
            (box(x + wide * 0.2, -0.02, x + wide * 0.45, 1.02), lighter(metal, 0.4)),
        ],
    )


def dumbbell(dice: Dice) -> list[Part]:
    """Parts: weights, bar, arm (in 90 % of them)."""
    pose = posed(dice, size=(0.34, 0.44), turn=35, x=(0.46, 0.54), y=(0.48, 0.56))
    iron = dice.near(dice.one_of((DARK, (0.16, 0.16, 0.18), (0.24, 0.25, 0.28), (0.14, 0.18, 0.26))))
    tall, fat = dice.between(0.40, 0.50), dice.between(0.16, 0.20)
    weights: list[Fill] = []
    for way in (-1, 1):
        for at, high, shade in ((0.88, tall * 0.66, 0.0), (0.62, tall, 0.06)):
            left, right = sorted((way * (at - fat / 1.4), way * (at + fat / 1.4)))
            corner = 0.07
            weights.append(
                (
                    smooth(
                        [
                            (left + corner, -high),
                            (right - corner, -high),
                            (right, -high + corner),
                            (right, high - corner),
                            (right - corner, high),
                            (left + corner, high),
                            (left, high - corner),
                            (left, -high + corner),
                        ]
                    ),
                    lighter(iron, shade),
                )
            )
            weights.append((box(left + 0.05, -high * 0.8, left + 0.10, high * 0.8), lighter(iron, 0.45)))
    bar: list[Fill] = [
        (box(-0.55, -0.085, 0.55, 0.085), (0.42, 0.43, 0.45)),
        (box(-0.55, -0.05, 0.55, 0.0), (0.90, 0.91, 0.92)),
    ]
    bar += [
        (stroke([(x, -0.085), (x + 0.05, 0.085)], 0.02), (0.3, 0.3, 0.32)) for x in np.arange(-0.4, 0.4, 0.09).tolist()
    ]
    grip = [(outline @ rotation(np.pi / 2).T, colour) for outline, colour in arm(dice, 3.2)]
    return [
        Part("bar", bar, pose),
        Part("weights", weights, pose, dice.field(4, 6, 0.12), (0.0, -0.4)),
        Part("arm", grip, pose, dice.field(6, 6, 0.06), (0.2, 0.0), present=dice.chance(0.9)),
    ]


def traffic_light(dice: Dice) -> list[Part]:
    """Parts: pole, housing, lamps. An arm is never near it; it can be added."""
    pose = posed(dice, size=(0.36, 0.46), turn=7, x=(0.36, 0.64), y=(0.46, 0.52))
    case = dice.near(dice.one_of((DARK, DARK, (0.16, 0.22, 0.18), (0.86, 0.66, 0.12), (0.28, 0.29, 0.30))))
    steel, half = dice.near((0.38, 0.39, 0.40)), dice.between(0.36, 0.42)
    pole: list[Fill] = [(box(-0.085, 0.6, 0.085, 2.0), steel), (box(-0.05, 0.6, -0.01, 2.0), lighter(steel, 0.45))]
    if dice.chance(0.3):
        pole += [(box(-0.04, -1.6, 0.04, -0.7), DARK)]
    high = 1.0
    housing: list[Fill] = []
    if dice.chance(0.4):
        housing.append((box(-half - 0.12, -high - 0.10, half + 0.12, high + 0.10), (0.92, 0.92, 0.90)))
        housing.append((box(-half - 0.07, -high - 0.05, half + 0.07, high + 0.05), DARK))
    housing.append(
        (
            smooth(
                [
                    (-half, -high + 0.08),
                    (-half + 0.08, -high),
                    (half - 0.08, -high),
                    (half, -high + 0.08),
                    (half, high - 0.08),
                    (half - 0.08, high),
                    (-half + 0.08, high),
                    (-half, high - 0.08),
                ]
            ),
            case,
        )
    )
    lit = dice.whole(0, 2)
    lamps: list[Fill] = []
    for place, (y, colour) in enumerate(
        ((-0.63, (0.98, 0.16, 0.10)), (0.0, (1.0, 0.72, 0.10)), (0.63, (0.10, 0.90, 0.42)))
    ):
        glow = dice.near(colour, 0.04) if place == lit else darker(colour, dice.between(0.45, 0.62))
        lamps += [(disc(0, y, 0.285), darker(DARK, 0.5)), (disc(0, y, 0.245), glow)]
        if place == lit:
            lamps.append((disc(-0.03, y + 0.03, 0.13), lighter(glow, 0.55)))
        lamps.append(
            (
                smooth(
                    [
                        (-0.30, y),
                        (-0.26, y - 0.2),
                        (0, y - 0.31),
                        (0.26, y - 0.2),
                        (0.30, y),
                        (0.22, y - 0.12),
                        (0, y - 0.22),
                        (-0.22, y - 0.12),
                    ]
                ),
                darker(case, 0.5),
            )
        )
    grip = [(moved(outline, (0.0, 0.98)), colour) for outline, colour in arm(dice, 3.2 if dice.chance(0.5) else -3.2)]
    return [
        Part("pole", pole, pose),
        Part("housing", housing, pose, dice.field(6, 3, 0.06), (dice.between(-0.3, 0.3), 0.0)),
        Part("lamps", lamps, pose),
        Part("arm", grip, pose, present=False),
    ]
