"""The tour: the whole chain on the embedded network, told in one page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optvis.data.files import atomic_write
from optvis.demo import atlas, microscope, proof, sections
from optvis.demo import grid as seeing
from optvis.demo.output_dir import PAGE, claimed
from optvis.demo.page import Content, Page, to_html
from optvis.demo.plan import Plan
from optvis.models.classifier import Classifier
from optvis.progress import progress_bar

TITLE = "What a network sees"
LEAD = (
    "Sixteen kinds of scenes, drawn by code, and a small network that has learned to tell them apart. "
    "On this page optvis asks the network what it has learned, and makes the pictures that answer."
)


@dataclass(frozen=True)
class Section:
    """A part of the tour.

    Args:
        title: what the table of seconds calls it.
        budget: seconds that it may take on two cores.
        make: does the work.
        files: the PNGs that it makes.
    """

    title: str
    budget: float
    make: Callable[[Classifier, Plan], Content]
    files: tuple[str, ...]


SECTIONS = (
    Section("world", 2, sections.world, (sections.WORLD,)),
    Section("classes", 10, sections.classes, (sections.CLASSES,)),
    Section("channels", 20, sections.channels, tuple(stage.file for stage in sections.STAGES)),
    Section("grid", 20, seeing.gridded, (seeing.GRID,)),
    Section("attribution", 10, seeing.reasons, (seeing.REASONS,)),
    Section("microscope", 8, microscope.magnified, (microscope.CHANNEL_PAGE,)),
    Section("atlas", 24, atlas.mapped, (atlas.ATLAS,)),
    Section("blinding", 15, proof.blinding, (proof.BLINDED,)),
    Section("dream", 10, sections.dreaming, (sections.DREAM,)),
)


@dataclass(frozen=True)
class Done:
    """A section that is finished, and how many seconds it took."""

    section: Section
    content: Content
    seconds: float


def tour(net: Classifier, path: str | Path, plan: Plan | None = None, parts: Sequence[Section] = SECTIONS) -> Path:
    """Go the whole chain and write a page with its PNGs; prints the seconds of each section and the page's path.

    PNGs are written as their section is done, the page at the end. After an error or Ctrl-C the page holds the
    sections that were finished; a page of an earlier tour stays if none was.

    Args:
        net: the embedded network.
        path: the folder; made if need be.
        plan: how much of everything.
        parts: the sections, in order.

    Returns:
        The path of the page.

    Raises:
        FileExistsError: before anything is made, if a file in the folder would be overwritten that no tour wrote.
        KeyboardInterrupt: after Ctrl-C, when what was finished is written.
    """
    plan = Plan() if plan is None else plan
    folder = claimed(path, [file for part in parts for file in part.files])
    done: list[Done] = []
    try:
        _go(net, folder, plan, parts, done)
    finally:
        if done:
            html = to_html(_page(plan, tuple(each.content for each in done)))
            page = atomic_write(folder / PAGE, html.encode())
            print(f"{table(done)}\n\n{page}")
    return folder / PAGE


def table(done: Sequence[Done]) -> str:
    """Seconds per section beside their budgets, and their sums."""
    rows = [(each.section.title, each.seconds, each.section.budget) for each in done]
    rows.append(("total", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    lines = [f"{title:<12}{seconds:>8.1f}{budget:>8.0f}" for title, seconds, budget in rows]
    return "\n".join([f"{'section':<12}{'seconds':>8}{'budget':>8}", *lines])


def _go(net: Classifier, folder: Path, plan: Plan, parts: Sequence[Section], done: list[Done]) -> None:
    """Make each section and write its PNGs, adding to what is done."""
    with progress_bar(parts, show=plan.progress, unit="section") as bar:
        for section in bar:
            bar.set_description(section.title)
            start = time.perf_counter()
            content = section.make(net, plan)
            for figure in content.figures:
                atomic_write(folder / figure.file, figure.png)
            done.append(Done(section, content, time.perf_counter() - start))


def _page(plan: Plan, contents: tuple[Content, ...]) -> Page:
    command = f"optvis demo --seed {plan.seed}" if plan.seed else "optvis demo"
    return Page(TITLE, LEAD, contents, sections.PRELUDE, command)
