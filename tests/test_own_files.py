"""What savers write: the same bytes each time, nothing over other files, and a clear error on a full disk."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from optvis import bake, render
from optvis.ablation import save_baked
from optvis.atlas import ActivationAtlas, AtlasBuilder
from optvis.data.files import TEMPORARY_FILE, atomic_write, ensure_dir
from optvis.data.own_files import read_kind
from optvis.demo.output_dir import FIGURE_KIND
from optvis.demo.page import Content, Figure
from optvis.demo.tour import Section, TourConfig, write_tour
from optvis.features import Channels
from optvis.microscope import build_microscope
from optvis.objectives import channel
from optvis.viz.result import Result
from optvis.viz.sheet import encode_png, to_pil_image
from optvis.viz.tensor_file import encode_tensors
from tests.operations import OPERATIONS, tiny

Saver = Callable[[Path], Any]  # writes into a folder

RESULTS = ("render", "attribute by grad_x_activation", "activation_grid", "semantic_dictionary", "compare_renderings",
           "find_units", "try_patch", "hinton_of_weights", "measure_statistics", "steering_curve")  # fmt: skip
IN_FOLDERS = ("evaluate", "activation_atlas", "compare_classes")


def write_page(folder: Path) -> None:
    figure = Figure("one.png", encode_png(to_pil_image(torch.zeros(3, 2, 2)), "{}", FIGURE_KIND), (), (8, 4), "", "")
    section = Section("one", lambda model, config: Content("one", "", (figure,)), ("one.png",))
    write_tour(tiny().classifier, folder, TourConfig(progress=False), (section,))


@pytest.fixture(scope="module")
def savers() -> dict[str, Saver]:
    """A function for each kind of saved thing; what it saves is computed once."""
    subject = tiny()
    found: dict[str, Saver] = {}
    for name in RESULTS:
        result = OPERATIONS[name](subject)
        found[name] = lambda folder, result=result: result.save(folder / "a.png")
    for name in IN_FOLDERS:
        found[name] = OPERATIONS[name](subject).save
    samples, baked = OPERATIONS["sample_activations"](subject), bake(subject.classifier, Channels("conv2", [1]))
    found["samples"] = lambda folder: samples.save(folder / "a.safetensors")
    found["baked"] = lambda folder: save_baked(baked, folder / "a.safetensors")
    moving = render(subject.classifier, channel("relu2", 0), steps=2, snapshots=range(3), progress=False)
    for suffix in ("gif", "webp", "apng", "png", "mp4"):
        found[f"animation.{suffix}"] = lambda folder, suffix=suffix: moving.animate(folder / f"a.{suffix}")
    found["microscope"] = lambda folder: build_microscope(
        subject.classifier, subject.images, subject.early, folder, **subject.folder_options
    )
    found["tour"] = write_page
    return found


NAMES = [*RESULTS, *IN_FOLDERS, "samples", "baked", "animation.gif", "animation.webp", "animation.apng",
         "animation.png", "animation.mp4", "microscope", "tour"]  # fmt: skip
each_saver = pytest.mark.parametrize("name", NAMES)
GUARDED = [name for name in NAMES if name != "microscope"]  # whose folder as a whole is its own, by its recipe


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_kind_of_result_is_tried(savers) -> None:
    def subclasses(kind: type) -> set[type]:
        own = set(kind.__subclasses__())
        return own.union(*map(subclasses, own))

    kinds = {
        kind.KIND
        for kind in subclasses(Result)
        if kind.__module__.startswith("optvis.") and not kind.__abstractmethods__
    }
    assert len(kinds) == len(RESULTS) + len(IN_FOLDERS)


@each_saver
def test_what_is_saved_again_has_the_same_bytes(savers, name, tmp_path) -> None:
    """Also over what was saved before."""
    savers[name](tmp_path / "one")
    first = contents(tmp_path / "one")
    for folder in ("one", "two"):
        savers[name](tmp_path / folder)
        assert contents(tmp_path / folder) == first
    assert first


FOREIGN: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: path.write_bytes(b"mine"),
    "nothing": lambda path: path.write_bytes(b""),
    "link": lambda path: path.symlink_to("nowhere"),
    "tensors": lambda path: save_file({"weight": torch.zeros(2)}, path, {"format": "pt"}),
    "image": lambda path: Image.new("RGB", (2, 2)).save(path, "PNG"),
    "page": lambda path: path.write_text('<meta name="generator" content="hugo 1.0">'),
    "page of another tool": lambda path: path.write_text('<meta name="generator" content="optvis other 1.0">'),
    "json": lambda path: path.write_text('{"kind": "other"}'),
    "result of another kind": lambda path: path.write_bytes(encode_tensors({}, {"kind": "other"})),
}


@pytest.mark.parametrize("name", GUARDED)
def test_a_file_of_somebody_else_is_never_overwritten(savers, name, tmp_path) -> None:
    savers[name](tmp_path)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        own = path.read_bytes()
        for foreign, write in FOREIGN.items():
            path.unlink()
            write(path)
            before = contents(tmp_path)
            with pytest.raises(FileExistsError, match="exists and is no"):
                savers[name](tmp_path)
            assert contents(tmp_path) == before, foreign
        path.unlink()
        path.write_bytes(own)
    savers[name](tmp_path)


def test_weights_of_the_same_name_stay(tmp_path) -> None:
    """The user's model.safetensors, beside a picture of it."""
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    before = contents(tmp_path)
    rendering = OPERATIONS["render"](tiny())
    with pytest.raises(FileExistsError, match=r"'.*model\.safetensors' exists and is no rendering that optvis wrote"):
        rendering.save(tmp_path / "model.png")
    assert contents(tmp_path) == before


def test_the_target_is_checked_before_the_work(tmp_path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"index\.html"):
        ActivationAtlas.check_target(tmp_path)


@each_saver
def test_what_a_killed_process_has_left_is_removed(savers, name, tmp_path) -> None:
    (tmp_path / ".optvis-abcd1234.part").write_bytes(b"half")
    (tmp_path / "mine.part").write_bytes(b"whole")
    savers[name](tmp_path)
    assert (tmp_path / "mine.part").exists()
    assert not [path for path in tmp_path.rglob("*") if TEMPORARY_FILE.fullmatch(path.name)]


def test_a_file_that_another_process_writes_stays(tmp_path) -> None:
    part = tmp_path / ".optvis-abcd1234.part"
    program = (
        f"import fcntl, sys; f = open({str(part)!r}, 'wb'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        ensure_dir(tmp_path)
        assert part.exists()
        process.communicate(b"\n")
    ensure_dir(tmp_path)
    assert not part.exists()


@contextmanager
def small_disk(size: int = 100) -> Iterator[None]:
    """Inside, no file may have more bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@each_saver
def test_an_error_of_a_full_disk_names_the_file(savers, name, tmp_path, capsys) -> None:
    """What is printed stays in memory: the file in which pytest keeps it would be too large as well."""
    with small_disk(), pytest.raises(OSError, match=f"cannot write '{tmp_path}.*': File too large"):
        savers[name](tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]


def test_levels_and_patches_of_an_older_atlas_are_removed(tmp_path) -> None:
    subject = tiny()
    builder = AtlasBuilder(subject.classifier, subject.images, subject.late, options=subject.atlas, progress=False)
    builder.compare(subject.source, subject.target, [2, 3]).save(tmp_path)
    assert (tmp_path / "atlas-3.png").exists()
    assert (tmp_path / "differences.png").exists()
    Image.new("RGB", (2, 2)).save(tmp_path / "atlas-mine.png")
    builder.all([2]).save(tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"atlas-2.png", "atlas-mine.png"}


def test_a_file_says_what_it_holds(savers, tmp_path) -> None:
    savers["evaluate"](tmp_path)
    kinds = {path.suffix: read_kind(path) for path in tmp_path.iterdir()}
    own = "evaluation report"
    assert kinds == {".png": own, ".safetensors": own, ".json": own, ".txt": own, ".html": "report page"}
    assert read_kind(tmp_path / "nowhere.png") is None


def test_the_header_of_a_tensor_file_is_sorted_and_aligned(tmp_path) -> None:
    from safetensors import safe_open

    tensors = {"b": torch.rand(3, 2).t(), "a": torch.arange(3), "c": torch.rand(2).half()}
    header = {name: "x" * len(name) for name in ("zeta", "alpha", "mid")}
    data = encode_tensors(tensors, header)
    assert data == encode_tensors(tensors, dict(reversed(header.items())))
    assert int.from_bytes(data[:8], "little") % 8 == 0
    path = atomic_write(tmp_path / "a.safetensors", data)
    with safe_open(path, "pt") as file:
        assert file.metadata() == header
        assert all(torch.equal(file.get_tensor(name), tensor) for name, tensor in tensors.items())
