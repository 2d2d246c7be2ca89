"""A small world drawn by code, and a classifier trained on it: of both, everything is known.

from optvis import load
from optvis.demo import scene

load("demo"), scene("container ship", seed=7)
"""

from optvis.demo.labels import LABELS
from optvis.demo.world import Scene, Scenes, dataset, scene

__all__ = ["LABELS", "Scene", "Scenes", "dataset", "scene"]
