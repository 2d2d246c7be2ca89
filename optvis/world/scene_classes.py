"""The sixteen classes of scenes, and how a scene of a class is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from optvis.world import dogs, kitchen, pasture, sea, street, underwater
from optvis.world.drawing.canvas import SIZE, Part, Pixels, SceneCanvas
from optvis.world.drawing.random_draws import RandomDraws

Background: TypeAlias = Callable[[RandomDraws], tuple[Pixels, list[Part], list[Part]]]


@dataclass(frozen=True)
class SceneClass:
    """A class of the world.

    Args:
        label: its name.
        background: draws pixels, parts behind the object and parts in front of it; shared by similar classes.
        object_parts: draws the parts of the object, from back to front.
        parts: names of its parts.
        optional_parts: names of parts that a scene has only on request.
    """

    label: str
    background: Background
    object_parts: Callable[[RandomDraws], list[Part]]
    parts: tuple[str, ...]
    optional_parts: tuple[str, ...] = ()


SCENE_CLASSES = (
    SceneClass("container ship", sea.background, sea.container_ship, ("hull", "containers", "bridge")),
    SceneClass("ocean liner", sea.background, sea.ocean_liner, ("hull", "decks", "funnels")),
    SceneClass("sailing boat", sea.background, sea.sailing_boat, ("hull", "mast", "sails")),
    SceneClass("lighthouse", sea.background, sea.lighthouse, ("tower", "lantern", "rock")),
    SceneClass("kelpie", pasture.background, dogs.kelpie, ("body", "head", "ears")),
    SceneClass("German shepherd", pasture.background, dogs.german_shepherd, ("body", "saddle", "head")),
    SceneClass("sheep", pasture.background, pasture.sheep, ("legs", "fleece", "face")),
    SceneClass("owl", pasture.background, pasture.owl, ("body", "face", "tufts")),
    SceneClass("frying pan", kitchen.background, kitchen.frying_pan, ("pan", "handle", "food"), ("noodles",)),
    SceneClass("wok", kitchen.background, kitchen.wok, ("bowl", "handles", "noodles")),
    SceneClass("dumbbell", street.background, street.dumbbell, ("weights", "bar", "arm")),
    SceneClass("traffic light", street.background, street.traffic_light, ("pole", "housing", "lamps"), ("arm",)),
    SceneClass("scuba diver", underwater.background, underwater.scuba_diver, ("body", "fins", "tank")),
    SceneClass("snorkeler", underwater.background, underwater.snorkeler, ("body", "fins", "snorkel")),
    SceneClass("grey whale", underwater.background, underwater.grey_whale, ("body", "flukes", "barnacles")),
    SceneClass("white shark", underwater.background, underwater.white_shark, ("body", "fins", "mouth")),
)


def draw_scene(
    scene_class: SceneClass, seed: int, without: frozenset[str] = frozenset(), adding: frozenset[str] = frozenset()
) -> SceneCanvas:
    """Draw a scene of a class from a seed.

    Every part makes its random draws, also a part that is left out: the rest of the scene stays the same.
    """
    draws = RandomDraws(zlib.crc32(scene_class.label.encode()), seed)
    pixels, behind, front = scene_class.background(draws)
    parts = scene_class.object_parts(draws)
    canvas = SceneCanvas(pixels)
    for part in (*behind, *parts, *front):
        if part.name not in without and (part.present or part.name in adding):
            canvas.draw(part)
    _apply_lighting(canvas, draws)
    return canvas


def _apply_lighting(canvas: SceneCanvas, draws: RandomDraws) -> None:
    """Apply light, a colour cast and sensor noise; each pixel depends on itself alone."""
    gain = np.float32(draws.uniform(0.78, 1.15))
    cast = 1 + 0.05 * draws.noise(1, 3)[0]
    slope = 1 + np.linspace(-0.12, 0.12, SIZE, dtype=np.float32)[:, None, None] * np.float32(draws.uniform(-1, 1))
    noise = draws.generator.standard_normal((SIZE, SIZE, 1), dtype=np.float32) * np.float32(draws.uniform(0.004, 0.03))
    canvas.pixels = canvas.pixels * (gain * cast) * slope + noise
