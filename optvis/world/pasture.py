"""Scenes on a pasture: sheep, owl; its background is also that of the dogs."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pixels, gradient, random_pose, smooth_noise
from optvis.world.drawing.colors import Color, darken, lighten, mix
from optvis.world.drawing.outlines import blob, box, curve, disc, ellipse, polygon, spline, stroke, translate
from optvis.world.drawing.random_draws import RandomDraws

SKIES: tuple[tuple[Color, Color], ...] = (
    ((0.40, 0.62, 0.88), (0.80, 0.89, 0.94)),
    ((0.62, 0.68, 0.72), (0.82, 0.84, 0.82)),
    ((0.50, 0.52, 0.62), (0.96, 0.80, 0.62)),
)
GRASSES = ((0.30, 0.46, 0.18), (0.42, 0.48, 0.20), (0.22, 0.38, 0.20), (0.52, 0.50, 0.26))
BARK: Color = (0.34, 0.26, 0.19)
BLACK: Color = (0.07, 0.06, 0.06)


def background(draws: RandomDraws) -> tuple[Pixels, list[Part], list[Part]]:
    """Sky, hills, grass, trees, a fence."""
    horizon, (zenith, low), grass = draws.uniform(0.30, 0.58), draws.choose(SKIES), draws.shade(GRASSES)
    rows = round(horizon * SIZE)
    far = mix(grass, low, 0.3)
    pixels = np.concatenate([gradient(draws.vary(zenith), draws.vary(low), rows), gradient(far, grass, SIZE - rows)])
    pixels[rows:] *= 1 + 0.2 * smooth_noise(draws, SIZE - rows, SIZE, 8, 14)[..., None]
    behind = [_hill(draws, horizon, far)] if draws.chance(0.6) else []
    behind += [_tree(draws, horizon, grass) for _ in range(draws.integer(0, 3))]
    if draws.chance(0.35):
        behind.append(_fence(draws, horizon))
    return pixels, behind, [_grass_blades(draws, grass) for _ in range(draws.integer(1, 3))]


def _hill(draws: RandomDraws, horizon: float, color: Color) -> Part:
    tops = [(x, horizon - draws.uniform(0.01, 0.12)) for x in np.linspace(0, 1, 5).tolist()]
    shape = spline([(-0.1, horizon + 0.02), *tops, (1.1, horizon + 0.02)])
    return Part("", [(shape, darken(draws.vary(color), 0.2))])


def _tree(draws: RandomDraws, horizon: float, grass: Color) -> Part:
    x, foot, size = draws.uniform(0, 1), horizon + draws.uniform(0, 0.1), draws.uniform(0.08, 0.2)
    leaves = draws.vary(darken(grass, draws.uniform(0.1, 0.4)))
    crown = blob(x, foot - size * 1.3, size * 0.8, size, draws.integer(7, 10), 0.25, draws.uniform(0, 3))
    fills = [(stroke([(x, foot), (x, foot - size)], size * 0.2), BARK), (crown, leaves)]
    return Part("", fills, texture=draws.noise(6, 6, 0.3), light=(draws.uniform(-0.5, 0.5), -0.4))


def _fence(draws: RandomDraws, horizon: float) -> Part:
    y, wood = horizon + draws.uniform(0.02, 0.16), draws.shade(((0.55, 0.44, 0.32), (0.85, 0.84, 0.80)))
    fills: list[Fill] = [(box(-0.02, y + s, 1.02, y + s + 0.015), wood) for s in (-0.06, 0.0)]
    posts = np.arange(draws.uniform(0, 0.2), 1, 0.2).tolist()
    fills += [(box(x, y - 0.10, x + 0.022, y + 0.06), darken(wood, 0.15)) for x in posts]
    return Part("", fills)


def _grass_blades(draws: RandomDraws, grass: Color) -> Part:
    fills: list[Fill] = []
    for _ in range(6):
        x, y, high = draws.uniform(0, 1), draws.uniform(0.86, 1.02), draws.uniform(0.03, 0.09)
        blade = stroke([(x, y), (x + draws.uniform(-0.03, 0.03), y - high)], 0.014, 0.002)
        fills.append((blade, draws.vary(lighten(grass, 0.1), 0.15)))
    return Part("", fills)


def sheep(draws: RandomDraws) -> list[Part]:
    """Parts: legs, fleece, face."""
    pose = random_pose(draws, y=(0.48, 0.58), size=(0.36, 0.48), degrees=6)
    wool = draws.vary(draws.choose(((0.93, 0.90, 0.83), (0.86, 0.81, 0.70), (0.96, 0.95, 0.92))), 0.04)
    skin = draws.shade((BLACK, (0.16, 0.13, 0.12), (0.86, 0.78, 0.68), (0.60, 0.45, 0.34)))
    gait = draws.uniform(-0.06, 0.06)
    far = darken(skin)
    steps = ((-0.42, -gait, far), (0.28, gait, far), (-0.30, gait, skin), (0.40, -gait, skin))
    legs: list[Fill] = [(stroke([(x, 0.3), (x + shift, 0.84)], 0.13, 0.085), color) for x, shift, color in steps]
    phase, bumps = draws.uniform(0, 3), draws.integer(11, 15)
    fleece: list[Fill] = [(blob(-0.02, 0.02, 0.74, 0.50, bumps, 0.16, phase), wool)]
    for row in range(5):
        for column in range(8):
            x, y = -0.62 + column * 0.17 + 0.08 * (row % 2), -0.34 + row * 0.17
            if (x / 0.66) ** 2 + (y / 0.44) ** 2 < 1:
                size = draws.uniform(0.055, 0.075)
                fleece.append((disc(x, y + 0.02, size * 1.25, 12), darken(wool, draws.uniform(0.14, 0.3))))
                fleece.append((disc(x - 0.01, y, size, 12), lighten(wool, 0.25)))
    down = draws.uniform(-0.06, 0.22)
    head = [(0.56, -0.44), (0.72, -0.52), (0.88, -0.44), (0.90, -0.16), (0.84, 0.06), (0.70, 0.07), (0.62, -0.12)]
    face: list[Fill] = [
        (translate(ellipse(0.50, -0.34, 0.15, 0.06, 0.5, 12), (0, down)), darken(skin, 0.2)),
        (translate(ellipse(0.92, -0.38, 0.15, 0.06, -0.4, 12), (0, down)), darken(skin, 0.2)),
        (translate(spline(head), (0, down)), skin),
        (translate(blob(0.71, -0.47, 0.19, 0.12, 6, 0.25), (0, down)), wool),
        *((translate(disc(x, -0.28, 0.045, 10), (0, down)), (0.92, 0.85, 0.55)) for x in (0.65, 0.83)),
        *((translate(ellipse(x, -0.28, 0.03, 0.018, corners=8), (0, down)), BLACK) for x in (0.65, 0.83)),
        (translate(stroke([(0.73, 0.0), (0.81, 0.0)], 0.03), (0, down)), lighten(skin, 0.4)),
    ]
    light = (draws.uniform(-0.3, 0.3), -0.4)
    return [
        Part("legs", legs, pose),
        Part("fleece", fleece, pose, draws.noise(5, 7, 0.08), light),
        Part("face", face, pose, light=light),
    ]


def owl(draws: RandomDraws) -> list[Part]:
    """Parts: body, face, tufts. It sits on a branch."""
    pose = random_pose(draws, y=(0.46, 0.56), size=(0.36, 0.47), degrees=7)
    brown = draws.shade(((0.46, 0.33, 0.21), (0.40, 0.36, 0.31), (0.56, 0.40, 0.22), (0.34, 0.26, 0.19)))
    pale = mix(brown, (0.95, 0.90, 0.80), draws.uniform(0.6, 0.85))
    limb = curve([(-1.6, 0.86), (-0.6, 0.80), (0.4, 0.86), (1.6, 0.78)], 0.17, 0.11)
    belly = [(-0.48, -0.3), (0.48, -0.3), (0.56, 0.2), (0.36, 0.72), (0, 0.84), (-0.36, 0.72), (-0.56, 0.2)]
    tail = spline([(-0.12, 0.7), (0.12, 0.7), (0.10, 1.12), (-0.10, 1.12)])
    body: list[Fill] = [(tail, darken(brown, 0.35)), (spline(belly), pale)]
    for row in range(6):
        for column in range(-2, 3):
            x, y = column * 0.15 + 0.075 * (row % 2), 0.10 + row * 0.115
            feather = stroke([(x - 0.06, y - 0.04), (x, y + 0.04), (x + 0.06, y - 0.04)], 0.04)
            body.append((feather, darken(brown, 0.25)))
    for sign in (-1, 1):
        wing = [(0.44, -0.22), (0.62, 0.12), (0.52, 0.58), (0.30, 0.78), (0.34, 0.2)]
        body.append((spline([(x * sign, y) for x, y in wing]), brown))
        bars = [[(0.36 * sign, y), (0.55 * sign, y - 0.08)] for y in (0.1, 0.26, 0.42, 0.56)]
        body += [(stroke(bar, 0.045), darken(brown, 0.4)) for bar in bars]
        body += [(ellipse(0.16 * sign + s, 0.80, 0.035, 0.08, corners=10), (0.85, 0.65, 0.25)) for s in (-0.05, 0.03)]
    iris = draws.shade(((0.98, 0.76, 0.08), (0.98, 0.55, 0.10), (0.95, 0.85, 0.25)))
    eye, pupil = draws.uniform(0.125, 0.155), draws.uniform(0.06, 0.085)
    face: list[Fill] = [(ellipse(0, -0.40, 0.56, 0.42), brown)]
    for sign in (-1, 1):
        face.append((disc(0.24 * sign, -0.40, 0.28), darken(brown, 0.3)))
        face.append((disc(0.24 * sign, -0.40, 0.245), pale))
        for angle in np.arange(0, 6.3, 0.7):
            ray = [(0.24 * sign + r * np.cos(angle), -0.40 + r * np.sin(angle)) for r in (0.15, 0.23)]
            face.append((stroke(ray, 0.02), mix(brown, pale, 0.3)))
        face += [(disc(0.24 * sign, -0.40, eye + 0.025), BLACK), (disc(0.24 * sign, -0.40, eye), iris)]
        face += [(disc(0.24 * sign, -0.40, pupil, 14), BLACK), (disc(0.24 * sign - 0.03, -0.44, 0.022, 8), (1, 1, 1))]
    face.append((spline([(-0.06, -0.36), (0.06, -0.36), (0.0, -0.14)]), (0.30, 0.27, 0.22)))
    tilt = draws.uniform(0.0, 0.12)
    tufts = [
        (polygon((0.16 * sign, -0.70), (0.50 * sign, -0.58), ((0.44 + tilt) * sign, -1.02)), darken(brown, 0.2))
        for sign in (-1, 1)
    ]
    light = (draws.uniform(-0.3, 0.3), -0.2)
    return [
        Part("", [(limb, draws.vary(BARK))], pose, draws.noise(3, 9, 0.25)),
        Part("body", body, pose, draws.noise(5, 5, 0.1), light),
        Part("tufts", tufts, pose),
        Part("face", face, pose, light=light),
    ]
