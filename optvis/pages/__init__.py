"""Pages to look at and to point at: one HTML file each, which loads nothing."""

from optvis.pages.grid import GridGroups, GridLayer, GridPage
from optvis.pages.markup import to_html

__all__ = ["GridGroups", "GridLayer", "GridPage", "to_html"]
