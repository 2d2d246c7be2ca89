"""The tour that `optvis demo` writes: every tool of optvis on the embedded network, on one page."""

from optvis.arguments import check_package
from optvis.demo.config import TourConfig
from optvis.demo.tour import write_tour

__all__ = ["TourConfig", "write_tour"]

check_package(__name__)
