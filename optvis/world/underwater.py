"""Scenes under water: scuba diver, snorkeler, grey whale, white shark."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pixels, Pose, gradient, random_pose, smooth_noise
from optvis.world.drawing.colors import Color, darken, lighten, mix
from optvis.world.drawing.outlines import blob, curve, disc, ellipse, polygon, rotation, spline, stroke, translate
from optvis.world.drawing.random_draws import RandomDraws
from optvis.world.objects import steel_barrel, stitches

WATERS: tuple[tuple[Color, Color], ...] = (
    ((0.36, 0.74, 0.82), (0.04, 0.30, 0.50)),
    ((0.24, 0.60, 0.66), (0.05, 0.26, 0.34)),
    ((0.20, 0.48, 0.72), (0.02, 0.12, 0.32)),
    ((0.42, 0.66, 0.60), (0.10, 0.30, 0.32)),
)
SUITS = ((0.10, 0.11, 0.13), (0.13, 0.20, 0.38), (0.25, 0.26, 0.28), (0.40, 0.10, 0.12), (0.08, 0.30, 0.30))
BRIGHT = ((0.95, 0.80, 0.12), (0.95, 0.35, 0.12), (0.85, 0.15, 0.45), (0.20, 0.80, 0.30), (0.15, 0.45, 0.90))
SKINS = ((0.93, 0.75, 0.62), (0.78, 0.56, 0.42), (0.55, 0.37, 0.26), (0.36, 0.23, 0.16))
GREYS = ((0.33, 0.38, 0.43), (0.40, 0.43, 0.46), (0.27, 0.32, 0.38), (0.42, 0.42, 0.41))

JAW = spline([(0.98, -0.08), (0.95, 0.22), (0.66, 0.40), (0.32, 0.30), (0.34, 0.06), (0.70, -0.02)])


def background(draws: RandomDraws) -> tuple[Pixels, list[Part], list[Part]]:
    """Water that darkens downwards, shafts of light, sand, weed, small fish."""
    above, below = draws.choose(WATERS)
    above, below = draws.vary(above), draws.vary(below)
    pixels = gradient(above, below, SIZE) * (1 + 0.07 * smooth_noise(draws, SIZE, SIZE, 6, 4)[..., None])
    behind = [_light_shaft(draws, above) for _ in range(draws.integer(0, 3))]
    if draws.chance(0.5):
        behind.append(_sand(draws, below))
    behind += [_weed(draws, below) for _ in range(draws.integer(0, 3))]
    behind += [_fish(draws, below) for _ in range(draws.integer(0, 4))]
    behind += [_jellyfish(draws, below) for _ in range(draws.integer(0, 1))]
    front = [_bubbles(draws) for _ in range(draws.integer(0, 2))]
    return pixels, behind, front + ([_weed(draws, darken(below, 0.3))] if draws.chance(0.25) else [])


def _light_shaft(draws: RandomDraws, color: Color) -> Part:
    x, lean, wide = draws.uniform(0, 1), draws.uniform(-0.3, 0.3), draws.uniform(0.03, 0.10)
    outline = polygon((x, -0.02), (x + wide, -0.02), (x + lean + 2.2 * wide, 1.02), (x + lean, 1.02))
    return Part("", [(outline, lighten(color, 0.5))], opacity=draws.uniform(0.08, 0.2))


def _sand(draws: RandomDraws, water: Color) -> Part:
    tops = [(x, draws.uniform(0.84, 0.95)) for x in np.linspace(-0.05, 1.05, 6).tolist()]
    color = mix((0.76, 0.68, 0.50), water, 0.35)
    return Part("", [(polygon(*tops, (1.05, 1.05), (-0.05, 1.05)), color)], texture=draws.noise(6, 24, 0.15))


def _weed(draws: RandomDraws, water: Color) -> Part:
    fills: list[Fill] = []
    x = draws.uniform(0, 1)
    color = mix(draws.choose(((0.20, 0.45, 0.18), (0.42, 0.38, 0.12), (0.55, 0.22, 0.30))), water, 0.35)
    for _ in range(3):
        high, sway, root = draws.uniform(0.12, 0.4), draws.uniform(-0.08, 0.08), x + draws.uniform(-0.06, 0.06)
        line = [(root, 1.02), (root + sway, 1 - high / 3), (root - sway, 1 - high * 0.7), (root + sway, 1 - high)]
        fills.append((curve(line, 0.03, 0.008), draws.vary(color)))
    return Part("", fills)


def _fish(draws: RandomDraws, water: Color) -> Part:
    fills: list[Fill] = []
    color = mix(draws.shade((*BRIGHT, (0.7, 0.75, 0.8))), water, 0.35)
    x, y, sign = draws.uniform(0, 1), draws.uniform(0.05, 0.95), 1 if draws.chance(0.5) else -1
    for _ in range(draws.integer(1, 4)):
        at, size = (x + draws.uniform(-0.12, 0.12), y + draws.uniform(-0.1, 0.1)), draws.uniform(0.014, 0.028)
        tail = polygon((-size * sign, 0), (-2 * size * sign, -size * 0.7), (-2 * size * sign, size * 0.7))
        fish = ellipse(0, 0, size * 1.3, size * 0.6, corners=12)
        fills += [(translate(fish, at), color), (translate(tail, at), color)]
    return Part("", fills)


def _jellyfish(draws: RandomDraws, water: Color) -> Part:
    """A pale jellyfish, so that pale colours alone identify no class."""
    pose = random_pose(draws, x=(0.05, 0.95), y=(0.05, 0.95), size=(0.07, 0.17), degrees=40)
    color = mix(_pale_color(draws), water, draws.uniform(0.0, 0.15))
    arms = [(x, draws.uniform(-0.2, 0.2)) for x in (-0.5, 0.0, 0.5)]
    fills: list[Fill] = [
        (curve([(x, 0.1), (x + bend, 0.6), (x - bend, 1.2)], 0.16, 0.05), mix(color, water, 0.3)) for x, bend in arms
    ]
    fills.append((spline([(-0.8, 0.15), (-0.6, -0.6), (0, -0.85), (0.6, -0.6), (0.8, 0.15), (0, 0.35)]), color))
    return Part("", fills, pose, light=(0.0, -0.2))


def _pale_color(draws: RandomDraws) -> Color:
    """A colour from white to pink."""
    return draws.vary(mix((0.95, 0.94, 0.90), (0.92, 0.62, 0.60), draws.uniform(0.0, 0.8)), 0.03)


def _bubbles(draws: RandomDraws) -> Part:
    x, y = draws.uniform(0.05, 0.95), draws.uniform(0.1, 0.9)
    rings: list[Fill] = []
    for _ in range(draws.integer(3, 6)):
        at, radius = (x + draws.uniform(-0.04, 0.04), y - draws.uniform(0, 0.2)), draws.uniform(0.006, 0.016)
        rings += [(disc(*at, radius, 12), (0.85, 0.94, 0.97)), (disc(*at, radius * 0.6, 12), (0.5, 0.72, 0.8))]
    return Part("", rings, opacity=0.7)


def _swimmer(draws: RandomDraws) -> tuple[Pose, Part, Part]:
    """The pose, and the parts of both diver and snorkeler: the body with its goggles, and the fins."""
    pose = random_pose(draws, y=(0.46, 0.58), size=(0.38, 0.47), degrees=32)
    skin, suit = draws.shade(SKINS), draws.shade(SUITS)
    bare, trim, kick = draws.chance(0.3), draws.shade(BRIGHT), draws.uniform(-0.10, 0.10)
    cloth, limb = (skin, skin) if bare else (suit, suit)
    reach = draws.uniform(0.1, 0.5)
    body: list[Fill] = [
        (curve([(-0.12, 0.08), (-0.42, 0.12 + kick), (-0.70, 0.10 - kick)], 0.22, 0.12), darken(limb, 0.25)),
        (curve([(-0.12, 0.10), (-0.40, 0.16 - kick), (-0.68, 0.22 + kick)], 0.24, 0.13), limb),
        (spline([(0.52, -0.10), (0.46, 0.12), (0.1, 0.24), (-0.22, 0.20), (-0.24, -0.04), (0.1, -0.14)]), cloth),
        (curve([(0.1, -0.1), (0.12, 0.06), (0.08, 0.23)], 0.07), trim),
        (curve([(0.36, 0.08), (0.42, 0.28), (0.42 + reach / 2, 0.28 + reach / 2)], 0.13, 0.08), darken(cloth, 0.12)),
        (disc(0.42 + reach / 2, 0.30 + reach / 2, 0.06, 12), skin),
        (disc(0.64, -0.10, 0.17), skin),
        (ellipse(0.58, -0.16, 0.17, 0.15), darken(draws.choose((suit, (0.2, 0.13, 0.08), (0.55, 0.4, 0.2))), 0.1)),
        (spline([(0.62, -0.2), (0.82, -0.17), (0.83, -0.02), (0.66, -0.02)]), (0.09, 0.10, 0.12)),
        (spline([(0.67, -0.16), (0.78, -0.15), (0.79, -0.06), (0.69, -0.06)]), (0.55, 0.78, 0.85)),
    ]
    if bare:
        body.insert(3, (spline([(0.02, -0.12), (0.0, 0.24), (-0.28, 0.22), (-0.28, -0.04)]), trim))
    fin = draws.shade((*BRIGHT, (0.08, 0.08, 0.09)))
    blade = [(0, -0.06), (-0.12, -0.10), (-0.40, -0.13), (-0.42, 0.10), (-0.12, 0.08), (0, 0.05)]
    fins: list[Fill] = []
    for (x, y), bend in (((-0.66, 0.10 - kick), kick), ((-0.64, 0.22 + kick), -kick)):
        stripes = [stroke([(-0.1, s), (-0.38, 1.7 * s)], 0.025) for s in (-0.04, 0.03)]
        for shape, color in ((spline(blade), fin), *((stripe, darken(fin, 0.4)) for stripe in stripes)):
            fins.append((translate(shape @ rotation(bend * 3).T, (x, y)), color))
    light = (0.0, -draws.uniform(0.1, 0.5))
    return pose, Part("body", body, pose, draws.noise(3, 5, 0.1), light), Part("fins", fins, pose, light=light)


def scuba_diver(draws: RandomDraws) -> list[Part]:
    """Parts: body, fins, tank. The tank has the barrel and the rivets of a locomotive's boiler."""
    pose, body, fins = _swimmer(draws)
    barrel = [(translate(outline @ rotation(-0.06).T, (0.08, -0.30)), color) for outline, color in steel_barrel(draws)]
    valve: list[Fill] = [
        (curve([(0.50, -0.32), (0.62, -0.42), (0.8, -0.26), (0.80, 0.0)], 0.045), (0.10, 0.10, 0.11)),
        (disc(0.79, 0.0, 0.065, 10), (0.2, 0.2, 0.22)),
    ]
    return [fins, body, Part("tank", barrel + valve, pose, draws.noise(2, 5, 0.06))]


def snorkeler(draws: RandomDraws) -> list[Part]:
    """Parts: body, fins, snorkel."""
    pose, body, fins = _swimmer(draws)
    color, high = draws.shade(BRIGHT), draws.uniform(0.56, 0.74)
    line = [(0.80, 0.03), (0.70, 0.12), (0.56, 0.0), (0.52, -0.26), (0.46, -high)]
    top = (0.46, -high)
    snorkel: list[Fill] = [
        (curve(line, 0.105), darken(color, 0.35)),
        (curve(line, 0.07), color),
        (translate(ellipse(0, 0, 0.085, 0.11), top), lighten(color, 0.1)),
        (curve([(0.545, -0.12), (0.525, -0.22)], 0.11), (0.1, 0.1, 0.1)),
    ]
    return [fins, body, Part("snorkel", snorkel, pose)]


def _large_animal_body(draws: RandomDraws) -> tuple[Pose, Color, Part]:
    """The pose, the colour, and the body of both whale and shark: grey, pale below."""
    pose = random_pose(draws, y=(0.44, 0.58), size=(0.40, 0.50), degrees=20)
    grey, bend = draws.vary(draws.choose(GREYS), 0.05), draws.uniform(-0.08, 0.08)
    back = [(-0.74, bend * 2), (-0.35, -0.17), (0.15, -0.29), (0.62, -0.25), (0.93, -0.05)]
    under = [(0.88, 0.10), (0.55, 0.25), (0.1, 0.28), (-0.35, 0.14), (-0.74, bend * 2 + 0.07)]
    pale = [(0.90, 0.05), (0.5, 0.12), (0.05, 0.13), (-0.4, 0.08), (-0.6, bend + 0.07)]
    pale += [(-0.3, 0.16), (0.1, 0.28), (0.55, 0.25), (0.86, 0.12)]
    fin = spline([(0.28, 0.16), (0.06, 0.52), (-0.06, 0.55), (0.06, 0.18)])
    fills: list[Fill] = [
        (spline(back + under), grey),
        (spline(pale), mix(grey, (0.88, 0.90, 0.90), draws.uniform(0.4, 0.8))),
        (fin, darken(grey, 0.25)),
        (disc(0.66, -0.06, 0.034, 10), (0.04, 0.04, 0.05)),
    ]
    light = (0.0, -draws.uniform(0.1, 0.5))
    return pose, grey, Part("body", fills, pose, draws.noise(4, 9, 0.12), light)


def grey_whale(draws: RandomDraws) -> list[Part]:
    """Parts: body, flukes, barnacles."""
    pose, grey, body = _large_animal_body(draws)
    lift = draws.uniform(-0.1, 0.1)
    upper = [(-0.66, 0.02), (-0.80, -0.14 + lift), (-1.06, -0.38 + lift), (-0.99, -0.12), (-0.90, 0.04)]
    lower = [(-1.0, 0.22), (-1.06, 0.46 - lift), (-0.80, 0.20 - lift), (-0.66, 0.08)]
    crusts: list[Fill] = []
    for _ in range(draws.integer(5, 8)):
        x, y = draws.uniform(-0.3, 0.78), draws.uniform(-0.2, 0.06)
        crust = blob(x, y, draws.uniform(0.08, 0.14), draws.uniform(0.055, 0.085), 6, 0.35, x * 9)
        crusts.append((crust, draws.vary((0.80, 0.78, 0.68))))
        crusts += [
            (disc(x + draws.uniform(-0.05, 0.05), y + draws.uniform(-0.03, 0.03), 0.018, 8), (0.45, 0.42, 0.36))
            for _ in range(3)
        ]
    lines = [[(0.86, 0.06 + s), (0.5, 0.10 + s), (0.2, 0.13 + s)] for s in (0.0, 0.05, 0.10)]
    grooves = [(curve(line, 0.018), darken(grey, 0.3)) for line in lines]
    chin: list[Fill] = [(JAW, _pale_color(draws))] if draws.chance(0.35) else []
    body = Part("body", [*body.fills, *chin, *grooves], pose, body.texture, body.light)
    flukes = Part("flukes", [(spline(upper + lower), darken(grey, 0.12))], pose, draws.noise(3, 3, 0.1))
    return [flukes, body, Part("barnacles", crusts, pose)]


def white_shark(draws: RandomDraws) -> list[Part]:
    """Parts: body, fins, mouth. The mouth has the red stitches of a baseball."""
    pose, grey, body = _large_animal_body(draws)
    slope = draws.uniform(-0.06, 0.06)
    dorsal = spline([(0.22, -0.24), (0.06, -0.44), (-0.06 + slope, -0.62), (-0.08, -0.40), (-0.14, -0.20)])
    upper = [(-0.62, 0.0), (-0.82, -0.22), (-1.02, -0.52), (-0.94, -0.2), (-0.82, 0.03)]
    tail = spline([*upper, (-0.90, 0.2), (-0.96, 0.36), (-0.78, 0.20), (-0.64, 0.08)])
    slits = [[(0.38 - x, -0.12), (0.35 - x, 0.0), (0.38 - x, 0.10)] for x in (0.0, 0.07, 0.14)]
    gills = [(curve(slit, 0.022), darken(grey, 0.45)) for slit in slits]
    body = Part("body", [*body.fills, *gills], pose, body.texture, body.light)
    white = draws.vary((0.95, 0.94, 0.90), 0.03)
    lips = [[(0.92, 0.01), (0.70, 0.07), (0.42, 0.13)], [(0.89, 0.22), (0.66, 0.31), (0.42, 0.265)]]
    mouth: list[Fill] = [(JAW, white), *(fill for lip in lips for fill in stitches(lip, 4, 0.058))]
    fins: list[Fill] = [(dorsal, darken(grey, 0.15)), (tail, darken(grey, 0.15))]
    return [Part("fins", fins, pose, draws.noise(3, 3, 0.1)), body, Part("mouth", mouth, pose)]
