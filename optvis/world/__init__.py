"""A small world of scenes drawn by code, in which the ground truth of every scene is known.

from optvis import load
from optvis.world import scene

load("demo"), scene("container ship", seed=7)
"""

from optvis.models.embedded.labels import LABELS
from optvis.world.object_patches import object_patch
from optvis.world.scenes import Scene, Scenes, dataset, scene

__all__ = ["LABELS", "Scene", "Scenes", "dataset", "object_patch", "scene"]
