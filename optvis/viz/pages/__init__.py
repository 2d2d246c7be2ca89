"""HTML pages: each one file that loads nothing, except the site of a microscope."""

from optvis.formatting import round_values
from optvis.viz.pages.assets import build_script, read_assets
from optvis.viz.pages.atlas.html import atlas_html
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.grid.html import grid_html
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.microscope.html import channel_html, class_html, classes_html, index_html, sheet_html
from optvis.viz.pages.microscope.page import (
    ChannelLink,
    ChannelPage,
    ClassChannel,
    ClassesPage,
    ClassImage,
    ClassLayer,
    ClassPage,
    IndexPage,
    LayerLink,
    RankedChannel,
    SheetPage,
    Thumbnail,
    Tile,
    page_numbers,
)
from optvis.viz.pages.report.html import report_html
from optvis.viz.pages.report.page import PredictionRow, RandomSets, RecallCurves, RecallRow, ReportPage
from optvis.viz.pages.sprites import data_uri, icon_sheet_uri
from optvis.viz.pages.template import build_page, page_templates

__all__ = [
    "AtlasLevel",
    "AtlasPage",
    "ChannelLink",
    "ChannelPage",
    "ClassChannel",
    "ClassImage",
    "ClassLayer",
    "ClassPage",
    "ClassesPage",
    "GridGroups",
    "GridLayer",
    "GridPage",
    "IndexPage",
    "LayerLink",
    "PredictionRow",
    "RandomSets",
    "RankedChannel",
    "RecallCurves",
    "RecallRow",
    "ReportPage",
    "SheetPage",
    "Thumbnail",
    "Tile",
    "atlas_html",
    "build_page",
    "build_script",
    "channel_html",
    "class_html",
    "classes_html",
    "data_uri",
    "grid_html",
    "icon_sheet_uri",
    "index_html",
    "page_numbers",
    "page_templates",
    "read_assets",
    "report_html",
    "round_values",
    "sheet_html",
]
