"""HTML pages: each one file that loads nothing, except the site of a microscope."""

from optvis.viz.pages.grid.markup import grid_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage

__all__ = ["GridGroups", "GridLayer", "GridPage", "grid_html"]
