"""Scenes in front of a wall: dumbbell, traffic light."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pixels, gradient, random_pose, smooth_noise
from optvis.world.drawing.colors import Color, darken, lighten
from optvis.world.drawing.outlines import box, disc, rotation, round_box, spline, stroke, translate
from optvis.world.drawing.random_draws import RandomDraws
from optvis.world.objects import arm

WALLS = ((0.60, 0.32, 0.24), (0.66, 0.65, 0.62), (0.82, 0.76, 0.64), (0.48, 0.50, 0.54), (0.56, 0.62, 0.58))
DARK: Color = (0.09, 0.09, 0.10)


def background(draws: RandomDraws) -> tuple[Pixels, list[Part], list[Part]]:
    """A wall of brick, plaster or concrete, a pavement, windows, posters."""
    wall, ground = draws.shade(WALLS), draws.uniform(0.76, 0.98)
    rows = round(ground * SIZE)
    stone = draws.vary((0.44, 0.43, 0.42))
    pixels = np.concatenate(
        [gradient(lighten(wall, 0.1), darken(wall, 0.1), rows), gradient(stone, lighten(stone, 0.2), SIZE - rows)]
    )
    pixels *= 1 + 0.12 * smooth_noise(draws, SIZE, SIZE, 9, 9)[..., None]
    behind = [_bricks(draws, wall, ground)] if draws.chance(0.5) else []
    behind += [draws.choose((_window, _poster, _pipe))(draws) for _ in range(draws.integer(0, 3))]
    return pixels, behind, []


def _bricks(draws: RandomDraws, wall: Color, ground: float) -> Part:
    tall = draws.uniform(0.045, 0.07)
    mortar = lighten(wall, 0.35) if draws.chance(0.6) else darken(wall, 0.35)
    fills: list[Fill] = []
    for row, y in enumerate(np.arange(0, ground - tall / 2, tall).tolist()):
        fills.append((box(-0.02, y, 1.02, y + 0.009), mortar))
        fills += [(box(x, y, x + 0.009, y + tall), mortar) for x in np.arange((row % 2) * tall, 1, 2 * tall).tolist()]
    return Part("", fills, opacity=0.75)


def _window(draws: RandomDraws) -> Part:
    x, y = draws.uniform(-0.1, 0.9), draws.uniform(-0.1, 0.5)
    wide, tall = draws.uniform(0.14, 0.26), draws.uniform(0.18, 0.32)
    frame, glass = draws.vary((0.86, 0.85, 0.82)), draws.vary((0.35, 0.47, 0.56))
    fills = [
        (box(x, y, x + wide, y + tall), frame),
        (box(x + 0.02, y + 0.02, x + wide / 2 - 0.01, y + tall - 0.02), glass),
        (box(x + wide / 2 + 0.01, y + 0.02, x + wide - 0.02, y + tall - 0.02), glass),
    ]
    return Part("", fills)


def _poster(draws: RandomDraws) -> Part:
    pose = random_pose(draws, x=(0, 1), y=(0.1, 0.6), size=(0.07, 0.14), degrees=6)
    paper = draws.vary((0.90, 0.86, 0.74))
    ink = draws.shade(((0.80, 0.20, 0.16), (0.15, 0.35, 0.62), (0.15, 0.50, 0.30)))
    lines = [(box(-0.8, y, 0.8, y + 0.12), darken(paper, 0.4)) for y in (0.1, 0.5, 0.9)]
    return Part("", [(box(-1, -1.3, 1, 1.3), paper), (box(-0.8, -1.1, 0.8, -0.2), ink), *lines], pose)


def _pipe(draws: RandomDraws) -> Part:
    x, wide, metal = draws.uniform(0, 1), draws.uniform(0.025, 0.05), draws.vary((0.45, 0.45, 0.46))
    shine = box(x + wide * 0.2, -0.02, x + wide * 0.45, 1.02)
    return Part("", [(box(x, -0.02, x + wide, 1.02), metal), (shine, lighten(metal, 0.4))])


def dumbbell(draws: RandomDraws) -> list[Part]:
    """Parts: weights, bar, arm (in 90 % of the scenes)."""
    pose = random_pose(draws, size=(0.34, 0.44), degrees=35, x=(0.46, 0.54), y=(0.48, 0.56))
    iron = draws.shade((DARK, (0.16, 0.16, 0.18), (0.24, 0.25, 0.28), (0.14, 0.18, 0.26)))
    tall, fat = draws.uniform(0.40, 0.50), draws.uniform(0.16, 0.20)
    weights: list[Fill] = []
    for sign in (-1, 1):
        for at, high, shade in ((0.88, tall * 0.66, 0.0), (0.62, tall, 0.06)):
            left, right = sorted((sign * (at - fat / 1.4), sign * (at + fat / 1.4)))
            weights.append((round_box(left, -high, right, high, 0.07), lighten(iron, shade)))
            weights.append((box(left + 0.05, -high * 0.8, left + 0.10, high * 0.8), lighten(iron, 0.45)))
    bar: list[Fill] = [
        (box(-0.55, -0.085, 0.55, 0.085), (0.42, 0.43, 0.45)),
        (box(-0.55, -0.05, 0.55, 0.0), (0.90, 0.91, 0.92)),
    ]
    bar += [
        (stroke([(x, -0.085), (x + 0.05, 0.085)], 0.02), (0.3, 0.3, 0.32)) for x in np.arange(-0.4, 0.4, 0.09).tolist()
    ]
    grip = [(outline @ rotation(np.pi / 2).T, color) for outline, color in arm(draws, 3.2)]
    return [
        Part("bar", bar, pose),
        Part("weights", weights, pose, draws.noise(4, 6, 0.12), (0.0, -0.4)),
        Part("arm", grip, pose, draws.noise(6, 6, 0.06), (0.2, 0.0), present=draws.chance(0.9)),
    ]


def traffic_light(draws: RandomDraws) -> list[Part]:
    """Parts: pole, housing, lamps. An arm is optional and never present by default."""
    pose = random_pose(draws, size=(0.36, 0.46), degrees=7, x=(0.36, 0.64), y=(0.46, 0.52))
    case = draws.shade((DARK, DARK, (0.16, 0.22, 0.18), (0.86, 0.66, 0.12), (0.28, 0.29, 0.30)))
    steel, half = draws.vary((0.38, 0.39, 0.40)), draws.uniform(0.36, 0.42)
    pole: list[Fill] = [(box(-0.085, 0.6, 0.085, 2.0), steel), (box(-0.05, 0.6, -0.01, 2.0), lighten(steel, 0.45))]
    if draws.chance(0.3):
        pole += [(box(-0.04, -1.6, 0.04, -0.7), DARK)]
    housing: list[Fill] = []
    if draws.chance(0.4):
        housing.append((box(-half - 0.12, -1.1, half + 0.12, 1.1), (0.92, 0.92, 0.90)))
        housing.append((box(-half - 0.07, -1.05, half + 0.07, 1.05), DARK))
    housing.append((round_box(-half, -1.0, half, 1.0, 0.08), case))
    lit = draws.integer(0, 2)
    lamps: list[Fill] = []
    colors = ((-0.63, (0.98, 0.16, 0.10)), (0.0, (1.0, 0.72, 0.10)), (0.63, (0.10, 0.90, 0.42)))
    for place, (y, color) in enumerate(colors):
        glow = draws.vary(color, 0.04) if place == lit else darken(color, draws.uniform(0.45, 0.62))
        lamps += [(disc(0, y, 0.285), darken(DARK, 0.5)), (disc(0, y, 0.245), glow)]
        if place == lit:
            lamps.append((disc(-0.03, y + 0.03, 0.13), lighten(glow, 0.55)))
        outer = [(-0.30, y), (-0.26, y - 0.2), (0, y - 0.31), (0.26, y - 0.2), (0.30, y)]
        hood = spline([*outer, (0.22, y - 0.12), (0, y - 0.22), (-0.22, y - 0.12)])
        lamps.append((hood, darken(case, 0.5)))
    shoulder = 3.2 if draws.chance(0.5) else -3.2
    grip = [(translate(outline, (0.0, 0.98)), color) for outline, color in arm(draws, shoulder)]
    return [
        Part("pole", pole, pose),
        Part("housing", housing, pose, draws.noise(6, 3, 0.06), (draws.uniform(-0.3, 0.3), 0.0)),
        Part("lamps", lamps, pose),
        Part("arm", grip, pose, present=False),
    ]
