"""The tour: every tool of optvis on the embedded network, on one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from optvis.data.files import atomic_write
from optvis.demo.config import TourConfig
from optvis.demo.output_dir import PAGE, open_output_dir
from optvis.demo.page import Content, Page, to_html
from optvis.demo.sections import ablation, atlas, attribution, channels, classes, dream, grid, microscope, world
from optvis.models.classifier import Classifier
from optvis.progress import progress_bar

TITLE = "What a network sees"
LEAD = (
    "Sixteen classes of scenes, drawn by code, and a small network that was trained to classify them. "
    "This page shows with the tools of optvis what the network has learned."
)
SETUP = """\
import torch
from optvis import activation_grid, attribute, classify, dream, load, render
from optvis.ablation import compare_renderings, find_units
from optvis.atlas import AtlasBuilder, AtlasOptions
from optvis.world import LABELS, Scenes, dataset, scene
from optvis.microscope import build_microscope
from optvis.objectives import channel, layer_norm, log_odds, logit

net = load("demo")"""


@dataclass(frozen=True)
class Section:
    """A section of the tour.

    Args:
        title: its name in the table of seconds.
        budget: seconds that it may take on two cores.
        build: computes its figures.
        files: names of the PNGs that it writes.
    """

    title: str
    budget: float
    build: Callable[[Classifier, TourConfig], Content]
    files: tuple[str, ...]


SECTIONS = (
    Section("world", 2, world.build_section, (world.FILE,)),
    Section("classes", 6, classes.build_section, (classes.FILE,)),
    Section("channels", 14, channels.build_section, tuple(stage.file for stage in channels.STAGES)),
    Section("grid", 12, grid.build_section, (grid.FILE,)),
    Section("attribution", 4, attribution.build_section, (attribution.FILE,)),
    Section("microscope", 4, microscope.build_section, (microscope.FILE,)),
    Section("atlas", 20, atlas.build_section, (atlas.FILE,)),
    Section("ablation", 12, ablation.build_section, (ablation.FILE,)),
    Section("dream", 3, dream.build_section, (dream.FILE,)),
)


@dataclass(frozen=True)
class SectionResult:
    """A section with its content, and the seconds that it took."""

    section: Section
    content: Content
    seconds: float


def write_tour(
    model: Classifier, path: str | Path, config: TourConfig | None = None, sections: Sequence[Section] = SECTIONS
) -> Path:
    """Write a page with its PNGs; print its path first, and the seconds of each section at the end.

    The page is written again whenever a section is ready, and says how many are to come. After an error or Ctrl-C, the
    page has the sections that were ready by then; if none was, an earlier page stays.

    Args:
        model: the embedded network.
        path: the folder; created if needed.
        config: settings; the defaults if None.
        sections: in order.

    Returns:
        The path of the page.

    Raises:
        FileExistsError: a file that no tour wrote would be overwritten; raised before any computation.
        KeyboardInterrupt: after Ctrl-C, when the sections that were ready are written.
    """
    config = TourConfig() if config is None else config
    folder = open_output_dir(path, [file for section in sections for file in section.files])
    print(f"{folder / PAGE} grows section by section; open it, and reload it", flush=True)
    results: list[SectionResult] = []
    try:
        for _ in _run_sections(model, folder, config, sections, results):
            left = len(sections) - len(results)
            if left:
                _write_page(folder, config, results, f" {left} more sections are to come: reload this page.")
    finally:
        if results:
            page = _write_page(folder, config, results)
            print(f"{format_seconds(results)}\n\n{page}")
    return folder / PAGE


def _write_page(folder: Path, config: TourConfig, results: Sequence[SectionResult], note: str = "") -> Path:
    """Write the page of the sections that are ready."""
    command = f"optvis demo --seed {config.seed}" if config.seed else "optvis demo"
    html = to_html(Page(TITLE, LEAD + note, tuple(result.content for result in results), SETUP, command))
    return atomic_write(folder / PAGE, html.encode())


def format_seconds(results: Sequence[SectionResult]) -> str:
    """A table of the seconds of each section beside its budget, and their sums."""
    rows = [(result.section.title, result.seconds, result.section.budget) for result in results]
    rows.append(("total", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    lines = [f"{title:<12}{seconds:>8.1f}{budget:>8.0f}" for title, seconds, budget in rows]
    return "\n".join([f"{'section':<12}{'seconds':>8}{'budget':>8}", *lines])


def _run_sections(
    model: Classifier, folder: Path, config: TourConfig, sections: Sequence[Section], results: list[SectionResult]
) -> Iterator[None]:
    """Build each section, write its PNGs and append it to the results; yield after each."""
    with progress_bar(sections, show=config.progress, unit="section") as bar:
        for section in bar:
            bar.set_description(section.title)
            start = time.perf_counter()
            content = section.build(model, config)
            for figure in content.figures:
                atomic_write(folder / figure.file, figure.png)
            results.append(SectionResult(section, content, time.perf_counter() - start))
            yield
