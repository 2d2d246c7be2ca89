"""A small world drawn by code, and a classifier trained on it: of both, everything is known.

from optvis import load
from optvis.world import scene

load("demo"), scene("container ship", seed=7)
"""

from optvis.models.embedded.labels import LABELS
from optvis.world.world import Scene, Scenes, dataset, scene

__all__ = ["LABELS", "Scene", "Scenes", "dataset", "scene"]
