"""HTML pages: each one file that loads nothing, except the site of a microscope."""

from optvis.viz.pages.assets import build_script, read_assets
from optvis.viz.pages.atlas.markup import atlas_html
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.document import interactive_page, page_footer
from optvis.viz.pages.grid.markup import grid_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.microscope.page import ChannelPage, channel_html
from optvis.viz.pages.microscope.sheet import LayerLink, SheetPage, Tile, index_html, sheet_html
from optvis.viz.pages.report.markup import report_html
from optvis.viz.pages.report.page import Interval, PredictionRow, RandomSets, RecallCurves, RecallRow, ReportPage
from optvis.viz.pages.script_data import round_values, safe_json
from optvis.viz.pages.sprites import data_uri, icon_sheet_uri

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
    "build_script",
    "channel_html",
    "data_uri",
    "grid_html",
    "icon_sheet_uri",
    "index_html",
    "interactive_page",
    "page_footer",
    "read_assets",
    "report_html",
    "round_values",
    "safe_json",
    "sheet_html",
]
