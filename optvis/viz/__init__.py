"""Images of results: sheets, plots, heatmaps, Hinton diagrams and pages; no network is known here."""

from optvis.arguments import check_room
from optvis.viz.hinton_diagram import Hinton, draw_squares, hinton
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.plots import label_table, plot_bars, plot_curves, plot_histogram, plot_lines
from optvis.viz.result import Result
from optvis.viz.sheet import draw_cells, draw_sheet, encode_animation, encode_png, stack_rows, to_pil_image

__all__ = [
    "Hinton",
    "Result",
    "draw_cells",
    "draw_sheet",
    "draw_squares",
    "encode_animation",
    "encode_png",
    "hinton",
    "label_table",
    "overlay_heatmap",
    "plot_bars",
    "plot_curves",
    "plot_histogram",
    "plot_lines",
    "stack_rows",
    "to_pil_image",
]

check_room(__name__)
