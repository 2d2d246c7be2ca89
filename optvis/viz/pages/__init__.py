"""Pages to look at and to point at: one HTML file each, which loads nothing."""

from optvis.viz.pages.grid.markup import to_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage

__all__ = ["GridGroups", "GridLayer", "GridPage", "to_html"]
