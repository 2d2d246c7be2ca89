"""Under water: scuba diver, snorkeler, grey whale, white shark."""

from __future__ import annotations

import numpy as np

from optvis.world.dice import Colour, Dice, darker, lighter, mixed
from optvis.world.outlines import bumpy, curve, disc, ellipse, moved, polygon, rotation, smooth, stroke
from optvis.world.painting import SIDE, Fill, Part, Pixels, Pose, gradient, posed, ruffled
from optvis.world.things import riveted_barrel, stitches

WATERS: tuple[tuple[Colour, Colour], ...] = (
    ((0.36, 0.74, 0.82), (0.04, 0.30, 0.50)),
    ((0.24, 0.60, 0.66), (0.05, 0.26, 0.34)),
    ((0.20, 0.48, 0.72), (0.02, 0.12, 0.32)),
    ((0.42, 0.66, 0.60), (0.10, 0.30, 0.32)),
)
SUITS: tuple[Colour, ...] = (
    (0.10, 0.11, 0.13),
    (0.13, 0.20, 0.38),
    (0.25, 0.26, 0.28),
    (0.40, 0.10, 0.12),
    (0.08, 0.30, 0.30),
)
BRIGHT: tuple[Colour, ...] = (
    (0.95, 0.80, 0.12),
    (0.95, 0.35, 0.12),
    (0.85, 0.15, 0.45),
    (0.20, 0.80, 0.30),
    (0.15, 0.45, 0.90),
)
SKINS: tuple[Colour, ...] = ((0.93, 0.75, 0.62), (0.78, 0.56, 0.42), (0.55, 0.37, 0.26), (0.36, 0.23, 0.16))
GREYS: tuple[Colour, ...] = ((0.33, 0.38, 0.43), (0.40, 0.43, 0.46), (0.27, 0.32, 0.38), (0.42, 0.42, 0.41))

JAW = smooth([(0.98, -0.08), (0.95, 0.22), (0.66, 0.40), (0.32, 0.30), (0.34, 0.06), (0.70, -0.02)])


def backdrop(dice: Dice) -> tuple[Pixels, list[Part], list[Part]]:
    """Water that darkens downwards, shafts of light, sand, weed, small fish."""
    above, below = dice.one_of(WATERS)
    above, below = dice.near(above), dice.near(below)
    pixels = gradient(above, below, SIDE) * (1 + 0.07 * ruffled(dice, SIDE, SIDE, 6, 4)[..., None])
    behind = [_shaft(dice, above) for _ in range(dice.whole(0, 3))]
    if dice.chance(0.5):
        behind.append(_sand(dice, below))
    behind += [_weed(dice, below) for _ in range(dice.whole(0, 3))]
    behind += [_fish(dice, below) for _ in range(dice.whole(0, 4))]
    behind += [_jellyfish(dice, below) for _ in range(dice.whole(0, 1))]
    front = [_bubbles(dice) for _ in range(dice.whole(0, 2))]
    return pixels, behind, front + ([_weed(dice, darker(below, 0.3))] if dice.chance(0.25) else [])


def _shaft(dice: Dice, colour: Colour) -> Part:
    x, lean, wide = dice.between(0, 1), dice.between(-0.3, 0.3), dice.between(0.03, 0.10)
    outline = polygon((x, -0.02), (x + wide, -0.02), (x + lean + 2.2 * wide, 1.02), (x + lean, 1.02))
    return Part("", [(outline, lighter(colour, 0.5))], opacity=dice.between(0.08, 0.2))


def _sand(dice: Dice, water: Colour) -> Part:
    tops = [(x, dice.between(0.84, 0.95)) for x in np.linspace(-0.05, 1.05, 6).tolist()]
    colour = mixed((0.76, 0.68, 0.50), water, 0.35)
    return Part("", [(polygon(*tops, (1.05, 1.05), (-0.05, 1.05)), colour)], grain=dice.field(6, 24, 0.15))


def _weed(dice: Dice, water: Colour) -> Part:
    fills: list[Fill] = []
    x, colour = (
        dice.between(0, 1),
        mixed(dice.one_of(((0.20, 0.45, 0.18), (0.42, 0.38, 0.12), (0.55, 0.22, 0.30))), water, 0.35),
    )
    for _ in range(3):
        high, sway, root = dice.between(0.12, 0.4), dice.between(-0.08, 0.08), x + dice.between(-0.06, 0.06)
        line = [(root, 1.02), (root + sway, 1 - high / 3), (root - sway, 1 - high * 0.7), (root + sway, 1 - high)]
        fills.append((curve(line, 0.03, 0.008), dice.near(colour)))
    return Part("", fills)


def _fish(dice: Dice, water: Colour) -> Part:
    fills: list[Fill] = []
    colour = mixed(dice.near(dice.one_of((*BRIGHT, (0.7, 0.75, 0.8)))), water, 0.35)
    x, y, way = dice.between(0, 1), dice.between(0.05, 0.95), 1 if dice.chance(0.5) else -1
    for _ in range(dice.whole(1, 4)):
        at, size = (x + dice.between(-0.12, 0.12), y + dice.between(-0.1, 0.1)), dice.between(0.014, 0.028)
        tail = polygon((-size * way, 0), (-2 * size * way, -size * 0.7), (-2 * size * way, size * 0.7))
        fills += [(moved(ellipse(0, 0, size * 1.3, size * 0.6, corners=12), at), colour), (moved(tail, at), colour)]
    return Part("", fills)


def _jellyfish(dice: Dice, water: Colour) -> Part:
    """Pale and plain, so that paleness alone tells nothing."""
    pose = posed(dice, x=(0.05, 0.95), y=(0.05, 0.95), size=(0.07, 0.17), turn=40)
    colour = mixed(_pale(dice), water, dice.between(0.0, 0.15))
    arms = [(x, dice.between(-0.2, 0.2)) for x in (-0.5, 0.0, 0.5)]
    fills: list[Fill] = [
        (curve([(x, 0.1), (x + bend, 0.6), (x - bend, 1.2)], 0.16, 0.05), mixed(colour, water, 0.3)) for x, bend in arms
    ]
    fills.append((smooth([(-0.8, 0.15), (-0.6, -0.6), (0, -0.85), (0.6, -0.6), (0.8, 0.15), (0, 0.35)]), colour))
    return Part("", fills, pose, light=(0.0, -0.2))


def _pale(dice: Dice) -> Colour:
    """White to pink."""
    return dice.near(mixed((0.95, 0.94, 0.90), (0.92, 0.62, 0.60), dice.between(0.0, 0.8)), 0.03)


def _bubbles(dice: Dice) -> Part:
    x, y = dice.between(0.05, 0.95), dice.between(0.1, 0.9)
    rings: list[Fill] = []
    for _ in range(dice.whole(3, 6)):
        at, radius = (x + dice.between(-0.04, 0.04), y - dice.between(0, 0.2)), dice.between(0.006, 0.016)
        rings += [(disc(*at, radius, 12), (0.85, 0.94, 0.97)), (disc(*at, radius * 0.6, 12), (0.5, 0.72, 0.8))]
    return Part("", rings, opacity=0.7)


def _swimmer(dice: Dice) -> tuple[Pose, Part, Part]:
    """What a diver and a snorkeler have in common: the body with its goggles, and the fins."""
    pose = posed(dice, y=(0.46, 0.58), size=(0.38, 0.47), turn=32)
    skin, suit = dice.near(dice.one_of(SKINS)), dice.near(dice.one_of(SUITS))
    bare, trim, kick = dice.chance(0.3), dice.near(dice.one_of(BRIGHT)), dice.between(-0.10, 0.10)
    cloth, limb = (skin, skin) if bare else (suit, suit)
    reach = dice.between(0.1, 0.5)
    body: list[Fill] = [
        (curve([(-0.12, 0.08), (-0.42, 0.12 + kick), (-0.70, 0.10 - kick)], 0.22, 0.12), darker(limb, 0.25)),
        (curve([(-0.12, 0.10), (-0.40, 0.16 - kick), (-0.68, 0.22 + kick)], 0.24, 0.13), limb),
        (smooth([(0.52, -0.10), (0.46, 0.12), (0.1, 0.24), (-0.22, 0.20), (-0.24, -0.04), (0.1, -0.14)]), cloth),
        (curve([(0.1, -0.1), (0.12, 0.06), (0.08, 0.23)], 0.07), trim),
        (curve([(0.36, 0.08), (0.42, 0.28), (0.42 + reach / 2, 0.28 + reach / 2)], 0.13, 0.08), darker(cloth, 0.12)),
        (disc(0.42 + reach / 2, 0.30 + reach / 2, 0.06, 12), skin),
        (disc(0.64, -0.10, 0.17), skin),
        (ellipse(0.58, -0.16, 0.17, 0.15), darker(dice.one_of((suit, (0.2, 0.13, 0.08), (0.55, 0.4, 0.2))), 0.1)),
        (smooth([(0.62, -0.2), (0.82, -0.17), (0.83, -0.02), (0.66, -0.02)]), (0.09, 0.10, 0.12)),
        (smooth([(0.67, -0.16), (0.78, -0.15), (0.79, -0.06), (0.69, -0.06)]), (0.55, 0.78, 0.85)),
    ]
    if bare:
        body.insert(3, (smooth([(0.02, -0.12), (0.0, 0.24), (-0.28, 0.22), (-0.28, -0.04)]), trim))
    fin = dice.near(dice.one_of((*BRIGHT, (0.08, 0.08, 0.09))))
    blade = [(0, -0.06), (-0.12, -0.10), (-0.40, -0.13), (-0.42, 0.10), (-0.12, 0.08), (0, 0.05)]
    fins: list[Fill] = []
    for (x, y), bend in (((-0.66, 0.10 - kick), kick), ((-0.64, 0.22 + kick), -kick)):
        shape = smooth(blade) @ rotation(bend * 3).T
        fins.append((moved(shape, (x, y)), fin))
        fins += [
            (moved(stroke([(-0.1, s), (-0.38, 1.7 * s)], 0.025) @ rotation(bend * 3).T, (x, y)), darker(fin, 0.4))
            for s in (-0.04, 0.03)
        ]
    light = (0.0, -dice.between(0.1, 0.5))
    return pose, Part("body", body, pose, dice.field(3, 5, 0.1), light), Part("fins", fins, pose, light=light)


def scuba_diver(dice: Dice) -> list[Part]:
    """Parts: body, fins, tank. The tank has the barrel and the rivets of a locomotive's boiler."""
    pose, body, fins = _swimmer(dice)
    barrel = [(moved(outline @ rotation(-0.06).T, (0.08, -0.30)), colour) for outline, colour in riveted_barrel(dice)]
    valve: list[Fill] = [
        (curve([(0.50, -0.32), (0.62, -0.42), (0.8, -0.26), (0.80, 0.0)], 0.045), (0.10, 0.10, 0.11)),
        (disc(0.79, 0.0, 0.065, 10), (0.2, 0.2, 0.22)),
    ]
    return [fins, body, Part("tank", barrel + valve, pose, dice.field(2, 5, 0.06))]


def snorkeler(dice: Dice) -> list[Part]:
    """Parts: body, fins, snorkel."""
    pose, body, fins = _swimmer(dice)
    colour, high = dice.near(dice.one_of(BRIGHT)), dice.between(0.56, 0.74)
    line = [(0.80, 0.03), (0.70, 0.12), (0.56, 0.0), (0.52, -0.26), (0.46, -high)]
    top = (0.46, -high)
    snorkel: list[Fill] = [
        (curve(line, 0.105), darker(colour, 0.35)),
        (curve(line, 0.07), colour),
        (moved(ellipse(0, 0, 0.085, 0.11), top), lighter(colour, 0.1)),
        (curve([(0.545, -0.12), (0.525, -0.22)], 0.11), (0.1, 0.1, 0.1)),
    ]
    return [fins, body, Part("snorkel", snorkel, pose)]


def _giant(dice: Dice) -> tuple[Pose, Colour, Part]:
    """What a whale and a shark have in common: a grey body, pale below."""
    pose = posed(dice, y=(0.44, 0.58), size=(0.40, 0.50), turn=20)
    grey, bend = dice.near(dice.one_of(GREYS), 0.05), dice.between(-0.08, 0.08)
    back = [(-0.74, bend * 2), (-0.35, -0.17), (0.15, -0.29), (0.62, -0.25), (0.93, -0.05)]
    under = [(0.88, 0.10), (0.55, 0.25), (0.1, 0.28), (-0.35, 0.14), (-0.74, bend * 2 + 0.07)]
    pale = [
        (0.90, 0.05),
        (0.5, 0.12),
        (0.05, 0.13),
        (-0.4, 0.08),
        (-0.6, bend + 0.07),
        (-0.3, 0.16),
        (0.1, 0.28),
        (0.55, 0.25),
        (0.86, 0.12),
    ]
    fin = smooth([(0.28, 0.16), (0.06, 0.52), (-0.06, 0.55), (0.06, 0.18)])
    fills: list[Fill] = [
        (smooth(back + under), grey),
        (smooth(pale), mixed(grey, (0.88, 0.90, 0.90), dice.between(0.4, 0.8))),
        (fin, darker(grey, 0.25)),
        (disc(0.66, -0.06, 0.034, 10), (0.04, 0.04, 0.05)),
    ]
    light = (0.0, -dice.between(0.1, 0.5))
    return pose, grey, Part("body", fills, pose, dice.field(4, 9, 0.12), light)


def grey_whale(dice: Dice) -> list[Part]:
    """Parts: body, flukes, barnacles."""
    pose, grey, body = _giant(dice)
    lift = dice.between(-0.1, 0.1)
    flukes = smooth(
        [
            (-0.66, 0.02),
            (-0.80, -0.14 + lift),
            (-1.06, -0.38 + lift),
            (-0.99, -0.12),
            (-0.90, 0.04),
            (-1.0, 0.22),
            (-1.06, 0.46 - lift),
            (-0.80, 0.20 - lift),
            (-0.66, 0.08),
        ]
    )
    crusts: list[Fill] = []
    for _ in range(dice.whole(5, 8)):
        x, y = dice.between(-0.3, 0.78), dice.between(-0.2, 0.06)
        crusts.append(
            (
                bumpy(x, y, dice.between(0.08, 0.14), dice.between(0.055, 0.085), 6, 0.35, x * 9),
                dice.near((0.80, 0.78, 0.68)),
            )
        )
        crusts += [
            (disc(x + dice.between(-0.05, 0.05), y + dice.between(-0.03, 0.03), 0.018, 8), (0.45, 0.42, 0.36))
            for _ in range(3)
        ]
    grooves = [
        (curve([(0.86, 0.06 + s), (0.5, 0.10 + s), (0.2, 0.13 + s)], 0.018), darker(grey, 0.3))
        for s in (0.0, 0.05, 0.10)
    ]
    chin: list[Fill] = [(JAW, _pale(dice))] if dice.chance(0.35) else []
    body = Part("body", [*body.fills, *chin, *grooves], pose, body.grain, body.light)
    return [
        Part("flukes", [(flukes, darker(grey, 0.12))], pose, dice.field(3, 3, 0.1)),
        body,
        Part("barnacles", crusts, pose),
    ]


def white_shark(dice: Dice) -> list[Part]:
    """Parts: body, fins, mouth. The mouth is sewn with the red stitches of a baseball."""
    pose, grey, body = _giant(dice)
    slope = dice.between(-0.06, 0.06)
    dorsal = smooth([(0.22, -0.24), (0.06, -0.44), (-0.06 + slope, -0.62), (-0.08, -0.40), (-0.14, -0.20)])
    tail = smooth(
        [
            (-0.62, 0.0),
            (-0.82, -0.22),
            (-1.02, -0.52),
            (-0.94, -0.2),
            (-0.82, 0.03),
            (-0.90, 0.2),
            (-0.96, 0.36),
            (-0.78, 0.20),
            (-0.64, 0.08),
        ]
    )
    gills = [
        (curve([(0.38 - x, -0.12), (0.35 - x, 0.0), (0.38 - x, 0.10)], 0.022), darker(grey, 0.45))
        for x in (0.0, 0.07, 0.14)
    ]
    body = Part("body", [*body.fills, *gills], pose, body.grain, body.light)
    white = dice.near((0.95, 0.94, 0.90), 0.03)
    lips = [[(0.92, 0.01), (0.70, 0.07), (0.42, 0.13)], [(0.89, 0.22), (0.66, 0.31), (0.42, 0.265)]]
    mouth: list[Fill] = [(JAW, white), *(fill for lip in lips for fill in stitches(lip, 4, 0.058))]
    fins: list[Fill] = [(dorsal, darker(grey, 0.15)), (tail, darker(grey, 0.15))]
    return [Part("fins", fins, pose, dice.field(3, 3, 0.1)), body, Part("mouth", mouth, pose)]
