"""The tour: every tool of optvis on the embedded network, on one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from optvis.arguments import check_minimum
from optvis.data.files import atomic_write
from optvis.demo.config import TourConfig
from optvis.demo.output_dir import PAGE, open_output_dir
from optvis.demo.page import Content, Page, to_html
from optvis.demo.sections import ablation, atlas, attribution, channels, classes, dream, grid, microscope, world
from optvis.engines.processes import run_in_processes
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
        build: computes its figures.
        files: names of the PNGs that it writes.
    """

    title: str
    build: Callable[[Classifier, TourConfig], Content]
    files: tuple[str, ...]


SECTIONS = (
    Section("world", world.build_section, (world.FILE,)),
    Section("classes", classes.build_section, (classes.FILE,)),
    Section("channels", channels.build_section, tuple(stage.file for stage in channels.STAGES)),
    Section("grid", grid.build_section, (grid.FILE,)),
    Section("attribution", attribution.build_section, (attribution.FILE,)),
    Section("microscope", microscope.build_section, (microscope.FILE,)),
    Section("atlas", atlas.build_section, (atlas.FILE,)),
    Section("ablation", ablation.build_section, (ablation.FILE,)),
    Section("dream", dream.build_section, (dream.FILE,)),
)


@dataclass(frozen=True)
class SectionResult:
    """A section with its content, and the seconds that it took."""

    section: Section
    content: Content
    seconds: float


def write_tour(
    model: Classifier,
    path: str | Path,
    config: TourConfig | None = None,
    sections: Sequence[Section] = SECTIONS,
    workers: int = 1,
) -> Path:
    """Write a page with its PNGs; print its path first, and the seconds of each section at the end.

    The page is written again whenever a section is ready, and says how many are to come. After an error or Ctrl-C, the
    page has the sections that were ready by then; if none was, an earlier page stays.

    Args:
        model: the embedded network.
        path: the folder; created if needed.
        config: settings; the defaults if None.
        sections: in order.
        workers: processes that build sections side by side and share the cores; with 1, this one builds them.

    Returns:
        The path of the page.

    Raises:
        FileExistsError: a file that no tour wrote would be overwritten; raised before any computation.
        ValueError: fewer than one worker.
        KeyboardInterrupt: after Ctrl-C, when the sections that were ready are written.
    """
    check_minimum(1, workers=workers)
    config = TourConfig() if config is None else config
    folder = open_output_dir(path, [file for section in sections for file in section.files])
    print(f"{folder / PAGE} grows section by section; open it, and reload it", flush=True)
    results: dict[int, SectionResult] = {}
    start = time.perf_counter()
    try:
        for number, result in _build_sections(model, config, sections, workers):
            for figure in result.content.figures:
                atomic_write(folder / figure.file, figure.png)
            results[number] = result
            left = len(sections) - len(results)
            if left:
                _write_page(folder, config, _in_order(results), f" {left} more sections are to come: reload this page.")
    finally:
        if results:
            page = _write_page(folder, config, _in_order(results))
            print(f"{format_seconds(_in_order(results), time.perf_counter() - start)}\n\n{page}")
    return folder / PAGE


def _in_order(results: Mapping[int, SectionResult]) -> list[SectionResult]:
    return [results[number] for number in sorted(results)]


def _write_page(folder: Path, config: TourConfig, results: Sequence[SectionResult], note: str = "") -> Path:
    """Write the page of the sections that are ready."""
    command = f"optvis demo --seed {config.seed}" if config.seed else "optvis demo"
    html = to_html(Page(TITLE, LEAD + note, tuple(result.content for result in results), SETUP, command))
    return atomic_write(folder / PAGE, html.encode())


def format_seconds(results: Sequence[SectionResult], total: float) -> str:
    """A table of the seconds of each section, and of all of them, which may be built side by side."""
    rows = [*((result.section.title, result.seconds) for result in results), ("all", total)]
    lines = [f"{title:<12}{seconds:>8.1f}" for title, seconds in rows]
    return "\n".join([f"{'section':<12}{'seconds':>8}", *lines])


def _build_sections(
    model: Classifier, config: TourConfig, sections: Sequence[Section], workers: int
) -> Iterator[tuple[int, SectionResult]]:
    """Build the sections, here or in processes; yield each with its number when it is ready."""
    built: Iterator[tuple[int, SectionResult]]
    if workers == 1:
        built = ((number, _build_section(model, config, section)) for number, section in enumerate(sections))
    else:
        quiet = replace(config, progress=False)  # bars of several processes would overwrite each other
        tasks = [(model, quiet, section) for section in sections]
        built = run_in_processes(_build_section, tasks, workers, max(1, torch.get_num_threads() // workers))
    yield from progress_bar(built, total=len(sections), show=config.progress, unit="section")


def _build_section(model: Classifier, config: TourConfig, section: Section) -> SectionResult:
    start = time.perf_counter()
    content = section.build(model, config)
    return SectionResult(section, content, time.perf_counter() - start)
