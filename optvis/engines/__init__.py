"""Engines: what runs independent tasks, this process or the workers of a Ray cluster."""

from optvis.arguments import check_package
from optvis.engines.ray_cluster import RayEngine
from optvis.engines.tasks import EngineLike, merge_in_order, run_tasks

__all__ = ["EngineLike", "RayEngine", "merge_in_order", "run_tasks"]

check_package(__name__)
