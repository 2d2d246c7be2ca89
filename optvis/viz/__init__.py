"""Images of results: sheets, plots, heatmaps, Hinton diagrams and pages; no network is known here."""

from optvis.arguments import check_package
from optvis.viz.animation import encode_animation
from optvis.viz.charts import plot_bars, plot_lines
from optvis.viz.distributions import plot_counts, plot_histogram, plot_scatter
from optvis.viz.figures import draw_on, draw_pixels, encode_figure, house_style
from optvis.viz.hinton_diagram import Hinton, draw_squares, hinton
from optvis.viz.labels import label_table
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.result import PlotResult, Result
from optvis.viz.sheet import draw_cells, draw_sheet, encode_png, stack_rows, to_pil_image
from optvis.viz.tiles import plot_tiles
from optvis.viz.video import read_video

__all__ = [
    "Hinton",
    "PlotResult",
    "Result",
    "draw_cells",
    "draw_on",
    "draw_pixels",
    "draw_sheet",
    "draw_squares",
    "encode_animation",
    "encode_figure",
    "encode_png",
    "hinton",
    "house_style",
    "label_table",
    "overlay_heatmap",
    "plot_bars",
    "plot_counts",
    "plot_histogram",
    "plot_lines",
    "plot_scatter",
    "plot_tiles",
    "read_video",
    "stack_rows",
    "to_pil_image",
]

check_package(__name__)
