"""HTML pages: each one file that loads nothing, except the site of a microscope."""

from optvis.viz.pages.atlas.markup import atlas_html
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.grid.markup import grid_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.microscope.page import ChannelPage, channel_html
from optvis.viz.pages.microscope.sheet import LayerLink, SheetPage, Tile, index_html, sheet_html
from optvis.viz.pages.report.markup import report_html
from optvis.viz.pages.report.page import Interval, PredictionRow, RandomSets, RecallCurves, RecallRow, ReportPage

__all__ = [
    "AtlasLevel",
    "AtlasPage",
    "ChannelPage",
    "GridGroups",
    "GridLayer",
    "GridPage",
    "Interval",
    "LayerLink",
    "PredictionRow",
    "RandomSets",
    "RecallCurves",
    "RecallRow",
    "ReportPage",
    "SheetPage",
    "Tile",
    "atlas_html",
    "channel_html",
    "grid_html",
    "index_html",
    "report_html",
    "sheet_html",
]
