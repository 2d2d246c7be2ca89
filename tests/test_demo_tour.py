"""The tour: a page and its PNGs, in a folder where no other file is overwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from optvis import ActivationGrid, Attribution, Classifier, render
from optvis.ablation import BeforeAfter
from optvis.atlas import Comparison
from optvis.cli import main as cli
from optvis.data.own_files import read_kind
from optvis.demo.config import QUICK, TourConfig
from optvis.demo.output_dir import FIGURE_KIND, PAGE_KIND
from optvis.demo.page import Content, Figure
from optvis.demo.sections import ablation, atlas, attribution, channels, dream, microscope, world
from optvis.demo.sections.atlas import atlas_image, cells_image
from optvis.demo.sections.attribution import attribution_tiles
from optvis.demo.sections.grid import grid_tiles
from optvis.demo.tour import SECTIONS, SETUP, Section, SectionResult, format_seconds, write_tour
from optvis.models.classify import Classification
from optvis.models.embedded.network import demo_network
from optvis.objectives import channel
from optvis.viz.sheet import encode_png, to_pil_image
from optvis.world import LABELS

from .page_reader import PageReader

TINY = TourConfig(
    steps=1,
    class_size=32,
    channels=2,
    icon_size=8,
    grid_steps=1,
    atlas_scenes=160,
    atlas_steps=1,
    ablation_scenes=16,
    ablation_channels=2,
    dream_size=32,
    dream_steps=1,
    progress=False,
)


@pytest.fixture(scope="module", autouse=True)
def few_scenes_to_paste_on():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas, "PATCH_SCENES", 2)
        yield


def signed_png():
    return encode_png(to_pil_image(torch.zeros(3, 2, 2)), "{}", FIGURE_KIND)


def example_section(title, build=None):
    file = f"{title}.png"
    content = Content(title, "", (Figure(file, signed_png(), (), (8, 4), "", ""),))
    return Section(title, build or (lambda model, config: content), (file,))


def raise_interrupt(model, config):
    raise KeyboardInterrupt


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_page(folder):
    return PageReader((folder / "index.html").read_text(encoding="utf-8"))


# What a whole tour writes


@pytest.fixture(scope="module")
def tour_folder(demo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("somewhere") / "new" / "folder"
    assert write_tour(demo, folder, TINY) == folder / "index.html"
    return folder


def test_tour_writes_the_page_and_the_files_of_its_sections(tour_folder):
    files = [file for section in SECTIONS for file in section.files]
    assert len(files) == len(set(files))
    assert {path.name for path in tour_folder.iterdir()} == {"index.html", *files}
    assert {read_kind(path) for path in tour_folder.iterdir()} == {PAGE_KIND, FIGURE_KIND}


def test_page_shows_every_section(tour_folder):
    page = read_page(tour_folder)
    assert len(page.texts_in("h2")) == len(SECTIONS) + 1
    images = {
        "world": 16,
        "classes": 16,
        "channels": len(channels.STAGES) * TINY.channels,
        "grid": 2 + 6,
        "attribution": 4 + 2 * attribution.TOP,
        "microscope": len(microscope.VIEWS) + microscope.TOP_PATCHES,
        "atlas": 2,
        "ablation": ablation.SHOWN + 2,
        "dream": 1 + len(dream.LAYERS),
    }
    assert list(images) == [section.title for section in SECTIONS]
    assert len(page.attributes_of("img")) == sum(images.values())
    assert set(LABELS) <= set(page.texts_in("bdi"))
    assert {file for section in SECTIONS for file in section.files} <= set(page.texts_in("bdi"))


def test_pngs_have_their_recipe(tour_folder):
    for path in tour_folder.glob("channels-*.png"):
        with Image.open(path) as image:
            recipe = json.loads(image.text["optvis"])
        assert recipe["network"] == "demo"
        assert recipe["steps"] == TINY.steps
        assert recipe["recipe"] == TINY.recipe


# The code below each figure


def images_of(result):
    parts = result if isinstance(result, list) else [result]
    return [image for part in parts for image in part.images]


def check_microscope(page, figure):
    """The site of the code has the same images with the highest activations, in the same order."""
    (file,) = page.parent.glob("layer-mixed5/group-*.json")
    (channel,) = json.loads(file.read_text(encoding="utf-8"))["channels"]
    values = [tile.title for tile in figure.tiles[len(microscope.VIEWS) :]]
    assert [f"{image['activation']:.1f}" for image in channel["images"][: len(values)]] == values


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
@pytest.mark.parametrize("seed", [0, 3])
def test_code_reproduces_its_figure(demo, monkeypatch, tmp_path, section, seed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optvis.load", {"demo": demo}.__getitem__)
    content = section.build(demo, replace(TINY, seed=seed))
    assert tuple(figure.file for figure in content.figures) == section.files
    for figure in content.figures:
        names = {}
        exec(SETUP, names)
        *first, last = figure.code.splitlines()
        assert len(first) <= 2
        exec("\n".join(first), names)
        result = eval(last, names)
        if isinstance(result, Path):
            check_microscope(result, figure)
            continue
        if isinstance(result, Comparison):
            pixels = [atlas_image(names["atlas"]), cells_image(result.top(), 2 * TINY.icon_size)]
        elif isinstance(result, Classification):
            pixels = names["images"]
            notes, shares = [tile.note for tile in figure.tiles], result.confidences[:, 0].tolist()
            assert all(note.endswith(f", {share:.0%}") for note, share in zip(notes, shares, strict=True))
        elif isinstance(result, ActivationGrid):
            pixels = grid_tiles(result)
        elif isinstance(result, BeforeAfter):
            pixels = [*result.before.images, *result.after.images]
        elif isinstance(result, Attribution):
            pixels = attribution_tiles(result)
        else:
            pixels = images_of(result)
        tiles = [tile.png for tile in figure.tiles]
        shown = tiles[: len(pixels)] if isinstance(result, Attribution) else tiles[-len(pixels) :]
        assert [encode_png(to_pil_image(image)) for image in pixels] == shown


def test_options_leave_out_defaults():
    assert TourConfig(steps=None).render_options() == {"recipe": TourConfig().recipe}
    assert TourConfig().dream_options() == {"size": TourConfig().dream_size}


def test_scenes_of_the_page_are_no_training_scenes(demo):
    (figure,) = world.build_section(demo, TourConfig()).figures
    assert "dataset(16, seed=1)" in figure.code


def test_stages_have_the_widths_of_the_network():
    for stage in channels.STAGES:
        convolution = list(demo_network().get_submodule(stage.layer))[-2]
        assert convolution.out_channels == stage.width >= TourConfig().channels


# Files that exist already


def test_tour_overwrites_its_own_files(demo, tmp_path):
    sections = (example_section("one"), example_section("two"))
    write_tour(demo, tmp_path, TINY, sections)
    before = contents(tmp_path)
    write_tour(demo, tmp_path, TINY, sections)
    assert contents(tmp_path) == before
    assert set(before) == {"index.html", "one.png", "two.png"}


def test_tour_ignores_files_that_it_does_not_write(demo, tmp_path):
    for name in ("two.png", "index.htm", "notes.txt"):
        (tmp_path / name).write_bytes(b"mine")
    write_tour(demo, tmp_path, TINY, (example_section("one"),))
    assert all((tmp_path / name).read_bytes() == b"mine" for name in ("two.png", "index.htm", "notes.txt"))


def write_text(path):
    path.write_text("<meta name=generator content=other>", encoding="utf-8")


def write_damaged(path):
    path.write_bytes(signed_png()[:20])


def write_image(path):
    Image.new("RGB", (2, 2)).save(path, "PNG")


def write_rendering(path):
    rendering = render(Classifier(torch.nn.Conv2d(3, 2, 3), None, 8), channel("", 0), steps=1, progress=False)
    path.write_bytes(rendering.save(path.with_name("other.png")).read_bytes())


WRITE_FOREIGN = [
    write_text,
    write_damaged,
    write_image,
    write_rendering,
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("nowhere"),
    lambda path: path.write_bytes(b""),
]


@pytest.mark.parametrize("name", ["index.html", "one.png", "two.png"])
@pytest.mark.parametrize("write", WRITE_FOREIGN)
def test_foreign_files_are_named_and_never_overwritten(demo, tmp_path, capsys, name, write):
    write(tmp_path / name)
    files = sorted(tmp_path.iterdir())
    calls = []
    sections = (example_section("one", lambda *_: calls.append(1)), example_section("two"))
    with pytest.raises(FileExistsError, match="--out") as error:
        write_tour(demo, tmp_path, TINY, sections)
    assert name in str(error.value)
    assert calls == []
    assert sorted(tmp_path.iterdir()) == files
    assert capsys.readouterr().out == ""


# Interrupts and errors


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_finished_sections_are_kept_after_an_interrupt(demo, tmp_path, capsys, error):
    def fail(model, config):
        raise error

    sections = (example_section("one"), example_section("two", fail), example_section("three"))
    with pytest.raises(error):
        write_tour(demo, tmp_path, TINY, sections)
    assert set(contents(tmp_path)) == {"index.html", "one.png"}
    assert read_page(tmp_path).texts_in("h2")[:-1] == ["one"]
    out = capsys.readouterr().out
    assert "one" in out
    assert "two" not in out
    assert out.splitlines()[-1] == str(tmp_path / "index.html")


def test_interrupt_in_the_first_section_keeps_an_earlier_page(demo, tmp_path, capsys):
    write_tour(demo, tmp_path, TINY, (example_section("one"),))
    before = contents(tmp_path)
    capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        write_tour(demo, tmp_path, TINY, (example_section("one", raise_interrupt),))
    assert contents(tmp_path) == before
    assert capsys.readouterr().out == f"{tmp_path / 'index.html'} grows section by section; open it, and reload it\n"


def test_the_page_grows_section_by_section_and_its_path_comes_first(demo, tmp_path, capsys):
    seen = []

    def look(model, config):
        page = read_page(tmp_path)
        seen.append((page.texts_in("h2")[:-1], "2 more sections are to come" in (tmp_path / "index.html").read_text()))
        return example_section("two").build(model, config)

    write_tour(demo, tmp_path, TINY, (example_section("one"), example_section("two", look), example_section("three")))
    assert seen == [(["one"], True)]
    assert read_page(tmp_path).texts_in("h2")[:-1] == ["one", "two", "three"]
    assert "to come" not in (tmp_path / "index.html").read_text()
    assert capsys.readouterr().out.startswith(str(tmp_path / "index.html"))


def test_no_workers_are_refused_before_anything_is_written(demo, tmp_path):
    with pytest.raises(ValueError, match="workers is 0; expected 1 or more"):
        write_tour(demo, tmp_path / "new", TINY, workers=0)
    assert not (tmp_path / "new").exists()


def test_workers_build_the_same_sections_in_the_order_of_the_page(demo, tmp_path, capsys):
    sections = (*SECTIONS[5:6], *SECTIONS[:2])  # the first takes longest
    write_tour(demo, tmp_path / "one", TINY, sections)
    write_tour(demo, tmp_path / "two", TINY, sections, workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-6:-3]] == [
        "microscope",
        "world",
        "classes",
    ]


@pytest.mark.parametrize("section", SECTIONS[1:], ids=lambda section: section.title)
def test_interrupted_images_are_not_shown(demo, tmp_path, section):
    calls = []

    def interrupt_second_call(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    handle = demo.network.register_forward_pre_hook(interrupt_second_call)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_tour(demo, tmp_path, replace(TINY, steps=3, dream_steps=3), (section,))
    finally:
        handle.remove()
    assert contents(tmp_path) == {}


# Seconds


def test_table_has_the_seconds_of_each_section_and_of_all():
    results = [SectionResult(section, Content("", "", ()), 1.25 * n) for n, section in enumerate(SECTIONS, 1)]
    head, *rows, last = format_seconds(results, 7.5).splitlines()
    assert head.split() == ["section", "seconds"]
    assert [row.split() for row in rows] == [[result.section.title, f"{result.seconds:.1f}"] for result in results]
    assert last.split() == ["all", "7.5"]
    assert len({len(line) for line in (head, *rows, last)}) == 1


def test_quick_settings_are_smaller():
    usual = TourConfig()
    for name, value in QUICK.items():
        assert getattr(usual, name) is None or value < getattr(usual, name), name
    TourConfig(**QUICK)


# The command


FEW = SECTIONS[1:3]


@pytest.fixture
def command(demo, monkeypatch, tmp_path, capsys):
    """Runs `optvis demo` with tiny settings in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optvis.models.embedded.network.demo_classifier", lambda trained: demo)
    monkeypatch.setattr("optvis.demo.config.TourConfig", lambda seed, **quick: replace(TINY, seed=seed))
    monkeypatch.setattr("optvis.demo.tour.write_tour", partial(write_tour, sections=FEW))

    def run(*arguments):
        code = cli.main(["demo", *arguments])
        return code, *capsys.readouterr()

    return run


def test_command_writes_the_tour_and_prints_the_path_of_the_page(command, tmp_path):
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].replace("\\", "/") == "optvis-demo/index.html"
    assert all(any(line.startswith(section.title) for line in out.splitlines()) for section in FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["optvis-demo"]


def test_command_passes_its_seed_to_the_page(command, tmp_path):
    assert command("--out", "here", "--seed", "5")[0] == 0
    assert "optvis demo --seed 5" in (tmp_path / "here" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "seed is -1"),
        (("--device", "abacus"), "cannot use the device 'abacus'"),
        (("--out", "foreign"), "is no demo page that optvis wrote; give another path, on the command line with --out"),
        (("--out", "foreign/index.html"), "cannot make the folder"),
    ],
)
def test_command_reports_a_mistake_in_one_line(command, tmp_path, arguments, message):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "index.html").write_text("mine", encoding="utf-8")
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert (tmp_path / "foreign" / "index.html").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["foreign"]
