"""A Sphinx extension: pages are dealt to the processes that read and run them so that these end together.

Sphinx gives each process some pages that are neighbours in the alphabet, and most of the time goes into few pages.
"""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.parallel import make_chunks

LOGGER = logging.getLogger(__name__)
#: The pages that take longest, the slowest first, as `list_seconds` prints them.
SLOWEST = (
    "recipes_parameterizations",
    "blinding",
    "microscope",
    "picture_quality",
    "recipes_features",
    "quickstart",
    "howto_find",
    "atlas",
    "howto_parameterization",
    "command_line",
    "world",
    "which_layer",
    "adversarial_patches",
    "howto_transform",
    "scale",
    "recipes_photographs",
)


def deal_pages(app: Sphinx, _: BuildEnvironment, pages: list[str]) -> None:
    """Order the pages so that each process gets some of the slow ones, first."""
    pages.sort(key=lambda page: SLOWEST.index(page) if page in SLOWEST else len(SLOWEST))
    sizes = [len(chunk) for chunk in make_chunks(pages, app.parallel)]
    hands: list[list[str]] = [[] for _ in sizes]
    waiting = iter(list(pages))
    while any(len(hand) < size for hand, size in zip(hands, sizes, strict=True)):
        for hand, size in zip(hands, sizes, strict=True):
            if len(hand) < size:
                hand.append(next(waiting))
    pages[:] = [page for hand in hands for page in hand]


def list_seconds(app: Sphinx, error: Exception | None) -> None:
    """Print how long the code of each page ran, the slowest first."""
    found = {page: data["exec_data"]["runtime"] for page, data in app.env.nb_metadata.items() if "exec_data" in data}
    for page, seconds in sorted(found.items(), key=lambda pair: -(pair[1] or 0)):
        LOGGER.info("%8.1f s  %s", seconds or 0, page)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("env-before-read-docs", deal_pages)
    app.connect("build-finished", list_seconds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
