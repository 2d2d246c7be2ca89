"""Scenes on the sea: container ship, ocean liner, sailing boat, lighthouse."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pixels, Pose, gradient, random_pose, smooth_noise
from optvis.world.drawing.colors import Color, darken, lighten, mix
from optvis.world.drawing.outlines import Outline, blob, box, curve, disc, ellipse, polygon, spline, stroke, translate
from optvis.world.drawing.random_draws import RandomDraws

SKIES: tuple[tuple[Color, Color], ...] = (
    ((0.33, 0.58, 0.88), (0.78, 0.88, 0.95)),
    ((0.55, 0.66, 0.76), (0.84, 0.87, 0.88)),
    ((0.42, 0.47, 0.62), (0.98, 0.75, 0.52)),
    ((0.52, 0.58, 0.62), (0.67, 0.71, 0.72)),
    ((0.16, 0.22, 0.40), (0.62, 0.52, 0.58)),
)
SEAS = ((0.10, 0.33, 0.48), (0.16, 0.42, 0.50), (0.28, 0.40, 0.46), (0.07, 0.22, 0.36))
HULLS = ((0.62, 0.14, 0.11), (0.10, 0.16, 0.33), (0.09, 0.10, 0.11), (0.10, 0.34, 0.24), (0.45, 0.47, 0.48))
CONTAINERS = (
    (0.84, 0.20, 0.13),
    (0.10, 0.36, 0.70),
    (0.95, 0.70, 0.10),
    (0.12, 0.52, 0.32),
    (0.88, 0.88, 0.85),
    (0.93, 0.45, 0.10),
    (0.45, 0.24, 0.17),
)
WHITE: Color = (0.95, 0.95, 0.93)
GLASS: Color = (0.14, 0.19, 0.24)


def background(draws: RandomDraws) -> tuple[Pixels, list[Part], list[Part]]:
    """Sky, clouds, water, a coast, gulls, the sun, waves."""
    horizon = draws.uniform(0.46, 0.64)
    (zenith, low), water = draws.choose(SKIES), draws.choose(SEAS)
    zenith, low, water = draws.vary(zenith), draws.vary(low), draws.vary(water)
    rows = round(horizon * SIZE)
    pixels = np.concatenate([gradient(zenith, low, rows), gradient(mix(water, low, 0.35), water, SIZE - rows)])
    pixels[rows:] *= 1 + 0.22 * smooth_noise(draws, SIZE - rows, SIZE, draws.integer(9, 16), 7)[..., None]
    clouds = np.clip(smooth_noise(draws, rows, SIZE, 5, 4) * 1.6 - draws.uniform(0.1, 1.0), 0, 0.8)[..., None]
    pixels[:rows] = pixels[:rows] * (1 - clouds) + np.array(lighten(low, 0.5), np.float32) * clouds
    behind = [_coast(draws, horizon, mix(water, low, 0.5))] if draws.chance(0.4) else []
    behind += [_gull(draws, horizon) for _ in range(draws.integer(0, 2))]
    if draws.chance(0.25):
        sun = (draws.uniform(0.1, 0.9), draws.uniform(0.05, horizon - 0.1))
        behind.append(Part("", [(disc(*sun, 0.045), (1.0, 0.96, 0.80))]))
    return pixels, behind, [_waves(draws, water) for _ in range(draws.integer(2, 5))]


def _coast(draws: RandomDraws, horizon: float, color: Color) -> Part:
    start, length, height = draws.uniform(-0.2, 0.8), draws.uniform(0.2, 0.6), draws.uniform(0.02, 0.08)
    tops = [(start + length * t, horizon - height * draws.uniform(0.5, 1.0)) for t in (0.2, 0.4, 0.6, 0.8)]
    return Part("", [(polygon((start, horizon), *tops, (start + length, horizon)), draws.vary(darken(color, 0.25)))])


def _gull(draws: RandomDraws, horizon: float) -> Part:
    x, y, size = draws.uniform(0.05, 0.95), draws.uniform(0.04, horizon - 0.12), draws.uniform(0.02, 0.045)
    left = [(x - size, y - size / 3), (x - size / 2, y - size / 2)]
    wings = [*left, (x, y), (x + size / 2, y - size / 2), (x + size, y - size / 3)]
    return Part("", [(curve(wings, 0.012), draws.choose((WHITE, GLASS)))])


def _waves(draws: RandomDraws, water: Color) -> Part:
    fills: list[Fill] = []
    for _ in range(4):
        x, y, length = draws.uniform(-0.1, 1.0), draws.uniform(0.74, 0.99), draws.uniform(0.06, 0.22)
        crest = [(x, y), (x + length / 2, y - 0.008), (x + length, y)]
        fills.append((stroke(crest, 0.004, 0.014, 0.004), lighten(water, draws.uniform(0.2, 0.6))))
    return Part("", fills, opacity=0.8)


def _ship_pose(draws: RandomDraws) -> Pose:
    return random_pose(draws, y=(0.52, 0.64), size=(0.36, 0.46), degrees=4)


def _foam(draws: RandomDraws, pose: Pose, left: float, right: float, line: float) -> Part:
    tops = [(x, line + draws.uniform(-0.05, 0.01)) for x in np.linspace(right, left, 9).tolist()]
    outline = polygon((left - 0.06, line + 0.07), (right + 0.06, line + 0.07), *tops)
    return Part("", [(outline, (0.82, 0.88, 0.90))], pose, opacity=0.85)


def container_ship(draws: RandomDraws) -> list[Part]:
    """Parts: hull, containers, bridge."""
    pose, hull = _ship_pose(draws), draws.shade(HULLS)
    left, right = -0.62, 0.84
    hulls = [
        (polygon((-1, 0), (1.04, -0.03), (0.88, 0.42), (-0.94, 0.42)), hull),
        (polygon((-0.96, 0.28), (0.93, 0.28), (0.88, 0.42), (-0.94, 0.42)), draws.vary((0.50, 0.14, 0.12))),
        (stroke([(-0.99, 0.035), (1.0, 0.01)], 0.035), WHITE),
    ]
    columns, high = draws.integer(7, 9), draws.integer(3, 5)
    wide, tall = (right - left) / columns, draws.uniform(0.13, 0.16)
    boxes: list[Fill] = []
    for column in range(columns):
        for level in range(draws.integer(high - 1, high)):
            x, y, color = left + column * wide, -level * tall, draws.shade(CONTAINERS)
            boxes.append((box(x, y - tall, x + wide, y + 0.01), darken(color, 0.5)))
            boxes.append((box(x + 0.015, y - tall + 0.02, x + wide - 0.015, y - 0.01), color))
            boxes.append((box(x + wide * 0.46, y - tall + 0.02, x + wide * 0.54, y - 0.01), darken(color, 0.35)))
    top = -draws.uniform(0.72, 0.92)
    bridge = [
        (box(-0.93, top, -0.66, 0.02), WHITE),
        (box(-1.0, top + 0.08, -0.60, top + 0.2), darken(WHITE, 0.12)),
        *((box(-0.9, y, -0.69, y + 0.05), GLASS) for y in (top + 0.1, top + 0.3, top + 0.46, top + 0.62)),
        (box(-0.86, top - 0.2, -0.74, top), draws.vary(hull)),
        (box(-0.86, top - 0.13, -0.74, top - 0.06), WHITE),
    ]
    light = (draws.uniform(-0.3, 0.3), draws.uniform(-0.3, 0.0))
    return [
        Part("bridge", bridge, pose, light=light),
        Part("containers", boxes, pose, light=light),
        Part("hull", hulls, pose, draws.noise(3, 8, 0.12), light),
        _foam(draws, pose, -0.97, 0.9, 0.42),
    ]


def ocean_liner(draws: RandomDraws) -> list[Part]:
    """Parts: hull, decks, funnels."""
    pose, hull = _ship_pose(draws), draws.shade((*HULLS[1:3], WHITE, (0.16, 0.20, 0.30)))
    sheer = [(-1.0, -0.02), (-0.5, 0.06), (0.3, 0.06), (0.8, -0.02), (1.08, -0.12)]
    hulls: list[Fill] = [
        (polygon(*sheer, (0.86, 0.42), (-0.88, 0.42), (-0.97, 0.25)), hull),
        (polygon((-0.93, 0.33), (0.9, 0.33), (0.86, 0.42), (-0.88, 0.42)), draws.vary((0.55, 0.13, 0.12))),
    ]
    ports = GLASS if sum(hull) > 2 else (0.96, 0.90, 0.66)
    hulls += [(disc(x, 0.19, 0.022, 8), ports) for x in np.linspace(-0.8, 0.8, 15).tolist()]
    levels, tall = draws.integer(3, 4), draws.uniform(0.12, 0.14)
    decks: list[Fill] = []
    for level in range(levels):
        left, right, y = -0.78 + 0.10 * level, 0.72 - 0.13 * level, 0.07 - level * tall
        decks.append((box(left, y - tall, right, y), mix(WHITE, GLASS, 0.06 * (level % 2))))
        panes = np.arange(left + 0.05, right - 0.04, 0.105).tolist()
        decks += [(box(x, y - tall * 0.75, x + 0.06, y - tall * 0.3), GLASS) for x in panes]
    color = draws.shade(((0.80, 0.20, 0.10), (0.92, 0.52, 0.12), (0.72, 0.10, 0.14)))
    count, rake = draws.integer(2, 4), draws.uniform(-0.12, -0.04)
    foot, high = 0.07 - levels * tall + 0.02, draws.uniform(0.36, 0.46)
    funnels: list[Fill] = []
    for x in np.linspace(-0.34, 0.26, count).tolist():
        for low, top, paint in ((0, 0.72, color), (0.72, 1, (0.07, 0.07, 0.08))):
            (a, y), (b, z) = ((x + rake * t, foot - high * t) for t in (low, top))
            funnels.append((polygon((a - 0.075, y), (a + 0.075, y), (b + 0.075, z), (b - 0.075, z)), paint))
    light = (draws.uniform(-0.3, 0.3), draws.uniform(-0.3, 0.0))
    return [
        Part("funnels", funnels, pose, light=light),
        Part("decks", decks, pose, light=light),
        Part("hull", hulls, pose, draws.noise(3, 8, 0.1), light),
        _foam(draws, pose, -0.92, 0.88, 0.42),
    ]


def sailing_boat(draws: RandomDraws) -> list[Part]:
    """Parts: hull, mast, sails."""
    pose = random_pose(draws, y=(0.48, 0.58), size=(0.36, 0.46), degrees=10)
    cloth = draws.vary(
        draws.choose((WHITE, WHITE, (0.96, 0.90, 0.76), (0.80, 0.24, 0.18), (0.92, 0.62, 0.16), (0.24, 0.42, 0.68)))
    )
    belly, top, foot = draws.uniform(0.05, 0.16), -1.0, 0.30
    main = _sail((-0.06, top + 0.04), (-0.06, foot), (-0.72, foot + 0.02), belly)
    jib = _sail((0.03, top + 0.2), (0.10, foot + 0.06), (0.68, foot + 0.1), -belly)
    seams = [
        (stroke([(-0.07, top + t * 1.3), (-0.07 - 0.65 * t, top + t * 1.3 + 0.02)], 0.022), darken(cloth, 0.22))
        for t in (0.3, 0.5, 0.7, 0.9)
    ]
    second = draws.shade(((0.80, 0.24, 0.18), (0.20, 0.36, 0.62), cloth, cloth))
    wood = draws.shade(((0.45, 0.25, 0.13), WHITE, (0.16, 0.22, 0.36), (0.62, 0.20, 0.14)))
    hull = spline([(-0.82, 0.42), (0, 0.46), (0.92, 0.36), (0.62, 0.66), (0, 0.74), (-0.6, 0.68)])
    stripe = stroke([(-0.8, 0.47), (0, 0.51), (0.86, 0.42)], 0.045)
    light = (draws.uniform(-0.3, 0.3), draws.uniform(-0.2, 0.1))
    poles = stroke([(0, 0.45), (0, -1.08)], 0.05, 0.035), stroke([(0, foot + 0.06), (-0.74, foot + 0.07)], 0.04)
    return [
        Part("mast", [(pole, (0.35, 0.25, 0.17)) for pole in poles], pose),
        Part("sails", [(main, cloth), *seams, (jib, second)], pose, draws.noise(4, 4, 0.12), light),
        Part("hull", [(hull, wood), (stripe, lighten(wood, 0.6))], pose, draws.noise(2, 6, 0.1), light),
        _foam(draws, pose, -0.66, 0.66, 0.70),
    ]


def _sail(head: tuple[float, float], tack: tuple[float, float], clew: tuple[float, float], belly: float) -> Outline:
    """A triangle whose free edge is curved outwards by `belly`."""
    t = np.linspace(0, 1, 9)[:, None]
    straight = np.array(head) * (1 - t) + np.array(clew) * t
    leech = straight - np.sin(np.pi * t) * (belly, 0)
    return np.concatenate([leech, np.array([tack])])


def lighthouse(draws: RandomDraws) -> list[Part]:
    """Parts: tower, lantern, rock."""
    pose = random_pose(draws, x=(0.32, 0.68), y=(0.50, 0.56), size=(0.40, 0.50), degrees=3)
    paint = draws.shade(((0.80, 0.14, 0.12), (0.80, 0.14, 0.12), (0.10, 0.10, 0.12), (0.12, 0.28, 0.55)))
    low, high, top, foot = draws.uniform(0.24, 0.30), draws.uniform(0.14, 0.18), -0.52, 0.72

    def band(start: float, stop: float) -> Outline:
        (a, y), (b, z) = ((low + (high - low) * t, foot + (top - foot) * t) for t in (start, stop))
        return polygon((-a, y), (a, y), (b, z), (-b, z))

    count = draws.integer(4, 6)
    tower: list[Fill] = [(band(0, 1), WHITE)]
    tower += [(band(n / count, (n + 1) / count), paint) for n in range(0, count, 2)]
    tower += [(box(-0.03, y, 0.03, y + 0.09), GLASS) for y in (-0.3, 0.1, 0.45)]
    glow = draws.choose(((1.0, 0.93, 0.55), (1.0, 0.98, 0.85), (0.72, 0.83, 0.86)))
    eaves = [(-0.18, top - 0.26), (0, top - 0.30), (0.18, top - 0.26)]
    roof = [*eaves, (0.08, top - 0.41), (0, top - 0.46), (-0.08, top - 0.41)]
    lantern: list[Fill] = [
        (box(-0.25, top - 0.05, 0.25, top + 0.02), (0.16, 0.16, 0.17)),
        (box(-0.13, top - 0.27, 0.13, top - 0.05), glow),
        *((stroke([(x, top - 0.05), (x, top - 0.27)], 0.025), (0.16, 0.16, 0.17)) for x in (-0.13, -0.04, 0.04, 0.13)),
        (spline(roof), darken(paint, 0.15)),
        (stroke([(0, top - 0.42), (0, top - 0.56)], 0.03), (0.16, 0.16, 0.17)),
    ]
    stone = draws.vary((0.38, 0.33, 0.29), 0.12)
    wide = draws.uniform(0.6, 1.0)
    rock = [(blob(0, 0.92, wide, 0.34, draws.integer(5, 8), 0.2, draws.uniform(0, 3)), stone)]
    for _ in range(7):
        at = (draws.uniform(-wide / 2, wide / 2), draws.uniform(0.72, 0.95))
        rock.append((translate(ellipse(0, 0, 0.12, 0.07), at), darken(stone, draws.uniform(-0.3, 0.4))))
    return [
        Part("rock", rock, pose, draws.noise(5, 9, 0.3)),
        Part("tower", tower, pose, draws.noise(6, 3, 0.06), (draws.uniform(-0.7, 0.7), 0)),
        Part("lantern", lantern, pose),
        _foam(draws, pose, -wide, wide, 1.06),
    ]
