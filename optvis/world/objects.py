"""Objects of several classes and of patches: riveted barrel, stitches, noodles, arm, locomotive, baseball."""

from __future__ import annotations

import numpy as np

from optvis.world.drawing.canvas import Fill
from optvis.world.drawing.colors import Color, darken, lighten
from optvis.world.drawing.outlines import box, curve, disc, ellipse, polygon, spline, stroke
from optvis.world.drawing.random_draws import RandomDraws

METALS: tuple[Color, ...] = ((0.68, 0.70, 0.72), (0.88, 0.72, 0.16), (0.55, 0.58, 0.62), (0.78, 0.62, 0.30))
RED: Color = (0.82, 0.08, 0.10)


def steel_barrel(draws: RandomDraws) -> list[Fill]:
    """A cylinder lying along x, from -0.48 to 0.48, with bands and rows of rivets: a diver's tank, a boiler."""
    metal = draws.shade(METALS)
    half, dark = draws.uniform(0.16, 0.19), darken(metal, 0.62)
    shell = [(-0.48, -half), (0.40, -half), (0.50, 0), (0.40, half), (-0.48, half), (-0.54, 0)]
    fills: list[Fill] = [
        (spline(shell, 5), darken(metal, 0.35)),
        (box(-0.46, -half * 0.8, 0.42, half * 0.45), metal),
        (box(-0.44, -half * 0.62, 0.42, -half * 0.2), lighten(metal, 0.55)),
    ]
    fills += [(box(x - 0.035, -half, x + 0.035, half), dark) for x in (-0.28, 0.20)]
    for x in (-0.40, -0.16, -0.04, 0.08, 0.32):
        fills += [(disc(x, y, 0.034, 8), dark) for y in (-half * 0.7, half * 0.08, half * 0.78)]
    return fills


def stitches(line: list[tuple[float, float]], count: int, size: float) -> list[Fill]:
    """A red seam along a line, with a red V across it at each stitch; `size` is half its width."""
    seam, share = np.array(line), np.linspace(0, 1, len(line))
    fills: list[Fill] = [(curve(line, size * 0.42), RED)]
    for t in np.linspace(0.06, 0.94, count).tolist():
        x, y = (float(np.interp(t, share, seam[:, axis])) for axis in (0, 1))
        u, v = (float(np.interp(t, share, np.gradient(seam[:, axis]))) for axis in (0, 1))
        u, v = u / np.hypot(u, v) * size, v / np.hypot(u, v) * size
        ends = [(x + v + u * 0.7, y - u + v * 0.7), (x, y), (x - v + u * 0.7, y + u + v * 0.7)]
        fills.append((stroke(ends, size * 0.62), RED))
    return fills


def noodles(draws: RandomDraws, radius: float) -> list[Fill]:
    """A tangle of yellow noodles about the origin, with spring onions and prawns on it."""
    yellow = draws.vary((0.94, 0.78, 0.36))
    fills: list[Fill] = [(ellipse(0, 0, radius * 0.97, radius * 0.97), darken(yellow, 0.45))]
    for _ in range(13):
        angle, bend = draws.uniform(0, np.pi), draws.uniform(-0.5, 0.5)
        shift, reach = draws.uniform(-0.7, 0.7) * radius, 0.86 * radius
        half = np.sqrt(max(reach**2 - shift**2, 0.02))
        shares = (-1, -0.6, -0.2, 0.2, 0.6, 1)
        waves = [(t * half, shift + radius * 0.12 * (bend + (-1) ** n)) for n, t in enumerate(shares)]
        sine, cosine = np.sin(angle), np.cos(angle)
        turned = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in waves]
        fills += [
            (curve(turned, 0.125 * radius + 0.04), darken(yellow, 0.5)),
            (curve(turned, 0.12 * radius), draws.vary(lighten(yellow, 0.15))),
        ]
    for _ in range(4):
        x, y = draws.uniform(-0.5, 0.5) * radius, draws.uniform(-0.5, 0.5) * radius
        topping = ellipse(x, y, 0.05, 0.028, draws.uniform(0, 3), 8)
        fills.append((topping, draws.choose(((0.25, 0.58, 0.16), (0.85, 0.35, 0.22)))))
    return fills


def arm(draws: RandomDraws, shoulder: float) -> list[Fill]:
    """A forearm that reaches from x = `shoulder` to the origin and grips a bar that lies along y."""
    skin = draws.shade(((0.93, 0.75, 0.62), (0.80, 0.58, 0.44), (0.55, 0.37, 0.26), (0.38, 0.24, 0.17)))
    sign = np.sign(shoulder)
    line = [(0.02 * sign, 0.0), (0.3 * sign, 0.03), (0.62 * sign, 0.02), (shoulder, 0.0)]
    shine = curve([(0.1 * sign, -0.05), (0.6 * sign, -0.09), (shoulder, -0.12)], 0.05, 0.09)
    palm = spline([(0.13 * sign, -0.19), (0.17 * sign, 0.18), (-0.10 * sign, 0.22), (-0.13 * sign, -0.22)])
    fills: list[Fill] = [(curve(line, 0.20, 0.26, 0.38, 0.40), skin), (shine, lighten(skin, 0.25))]
    fills.append((palm, darken(skin, 0.12)))
    for y in (-0.165, -0.055, 0.055, 0.165):
        fills.append((ellipse(-0.04 * sign, y, 0.125, 0.052, corners=14), darken(skin, 0.4)))
        fills.append((ellipse(-0.04 * sign, y, 0.115, 0.040, corners=14), lighten(skin, 0.08)))
    return fills


def locomotive(draws: RandomDraws) -> list[Fill]:
    """A small steam locomotive within [-1, 1]: the riveted barrel, a chimney, a cab, wheels."""
    dark = draws.vary((0.12, 0.12, 0.14))
    paint = draws.shade(((0.62, 0.12, 0.10), (0.10, 0.34, 0.20), (0.12, 0.20, 0.42)))
    boiler = [(outline * (1.35, 1.75) + (0.22, -0.12), color) for outline, color in steel_barrel(draws)]
    fills: list[Fill] = [
        (box(-0.92, 0.16, 0.94, 0.32), dark),
        (polygon((0.52, -0.38), (0.72, -0.38), (0.78, -0.78), (0.46, -0.78)), dark),
        (box(-0.94, -0.66, -0.40, 0.2), paint),
        (box(-0.82, -0.54, -0.52, -0.22), (0.78, 0.86, 0.90)),
        (box(-1.0, -0.76, -0.34, -0.64), dark),
        *boiler,
    ]
    for x in (-0.66, -0.16, 0.30, 0.72):
        fills += [(disc(x, 0.42, 0.21), dark), (disc(x, 0.42, 0.14), paint), (disc(x, 0.42, 0.05, 10), dark)]
    return fills


def baseball(draws: RandomDraws) -> list[Fill]:
    """A ball within [-1, 1]: white leather, two seams of red stitches."""
    fills: list[Fill] = [
        (disc(0, 0, 0.95, 40), (0.80, 0.79, 0.76)),
        (disc(-0.03, -0.04, 0.88, 40), draws.vary((0.96, 0.95, 0.92), 0.02)),
    ]
    for sign in (-1, 1):
        seam = [(0.8 * np.sin(a), sign * (0.95 - 0.62 * np.cos(a))) for a in np.linspace(-0.95, 0.95, 7)]
        fills += stitches(seam, 6, 0.16)
    return fills
