"""A small world: scenes drawn by code, whose ground truth is known.

from optvis import load
from optvis.world import scene

load("demo"), scene("container ship", seed=7)
"""

from optvis.arguments import check_package
from optvis.models.embedded.labels import LABELS
from optvis.world.object_patches import object_patch
from optvis.world.scenes import Scene, Scenes, dataset, scene

__all__ = ["LABELS", "Scene", "Scenes", "dataset", "object_patch", "scene"]

check_package(__name__)
