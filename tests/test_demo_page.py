"""The tour: a page that stands alone, in a folder where nothing of anybody else's is lost."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from optvis import ActivationGrid, Attribution, Classifier, load, render
from optvis.ablation import Seen
from optvis.atlas import Comparison
from optvis.cli import main as cli
from optvis.demo import grid as seeing
from optvis.demo import microscope, proof, sections
from optvis.demo.atlas import map_of, rows_of
from optvis.demo.output_dir import is_own, signed
from optvis.demo.page import Content, Figure, Page, Tile, to_html
from optvis.demo.plan import Plan
from optvis.demo.tour import SECTIONS, Done, Section, table, tour
from optvis.models.classify import Classification
from optvis.models.embedded.network import demo_network
from optvis.objectives import channel
from optvis.viz.sheet import encode_png, to_pil_image
from optvis.world import LABELS

TINY = Plan(
    steps=1,
    class_size=32,
    channels=2,
    icon_size=8,
    grid_steps=1,
    atlas_scenes=320,
    atlas_steps=1,
    blind_scenes=32,
    blind_channels=2,
    dream_size=32,
    dream_steps=1,
    progress=False,
)
HOSTILE = "<script>alert(1)</script>\"'&<img src=http://x.org/y>"
VOID = {"meta", "img", "br", "hr", "link"}


@pytest.fixture(scope="module")
def net():
    return load("demo")


class Reader(HTMLParser):
    """What a browser would find: elements with their attributes, and texts by the element that they are in."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def said(self, tag):
        return [text for inside, text in self.texts if inside == tag]

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def dot(shade=0.5):
    return encode_png(to_pil_image(torch.full((3, 4, 4), shade)))


def a_figure(file="one.png", text="one", png=None):
    tiles = (Tile(dot(0.1), f"alt {text}", f"title {text}", f"note {text}"), Tile(dot(0.9), f"alt 2 {text}"))
    return Figure(file, png or signed_png(), tiles, (8, 4), f"caption {text}", f"code('{text}')", f"heading {text}")


def signed_png():
    return encode_png(to_pil_image(torch.zeros(3, 2, 2)), signed({}))


def a_page(text="x"):
    content = Content(f"section {text}", f"words {text}", (a_figure(text=text),))
    return Page(f"page {text}", f"lead {text}", (content,), f"prelude {text}", f"command {text}")


def a_section(title, make=None, file=None):
    file = file or f"{title}.png"
    return Section(title, 1, make or (lambda net, plan: Content(title, "", (a_figure(file),))), (file,))


def interrupted(net, plan):
    raise KeyboardInterrupt


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_page_loads_nothing():
    text = to_html(a_page())
    read = Reader(text)
    pictures = read.all("img")
    assert [b64decode(each["src"].removeprefix("data:image/png;base64,")) for each in pictures] == [dot(0.1), dot(0.9)]
    assert not {"script", "link", "iframe", "object", "embed", "base", "a"} & {tag for tag, _ in read.elements}
    loading = {"src", "srcset", "href", "poster", "data", "action", "background"}
    assert all(tag == "img" for tag, attributes in read.elements if loading & attributes.keys())
    (style,) = read.said("style")
    assert not any(word in style for word in ("url(", "@import", "http", "//"))


def test_the_page_says_what_browsers_and_readers_need():
    read = Reader(to_html(a_page()))
    assert to_html(a_page()).startswith("<!doctype html>")
    assert read.all("html") == [{"lang": "en"}]
    named = {each["name"]: each["content"] for each in read.all("meta") if "name" in each}
    assert named["viewport"] == "width=device-width, initial-scale=1"
    assert named["generator"].startswith("optvis demo ")
    assert [each["alt"] for each in read.all("img")] == ["alt x", "alt 2 x"]
    assert len(read.said("h1")) == 1
    assert "prefers-color-scheme: dark" in read.said("style")[0]


def test_hostile_texts_stay_texts():
    plain, hostile = Reader(to_html(a_page())), Reader(to_html(a_page(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [(tag, text.replace("x", HOSTILE, 1)) for tag, text in plain.texts if text.endswith(" x")] == [
        (tag, text) for tag, text in hostile.texts if text.endswith(f" {HOSTILE}")
    ]
    assert [each["alt"] for each in hostile.all("img")] == [f"alt {HOSTILE}", f"alt 2 {HOSTILE}"]
    assert f"code('{HOSTILE}')" in hostile.said("code")


@pytest.fixture(scope="module")
def toured(net, tmp_path_factory):
    """A whole tour, tiny."""
    folder = tmp_path_factory.mktemp("somewhere") / "new" / "folder"
    page = tour(net, folder, TINY)
    assert page == folder / "index.html"
    return folder


def test_a_tour_writes_the_page_and_the_pictures_that_its_sections_name(toured):
    files = [file for section in SECTIONS for file in section.files]
    assert len(files) == len(set(files))
    assert {path.name for path in toured.iterdir()} == {"index.html", *files}
    assert all(is_own(path) for path in toured.iterdir())


def test_the_page_shows_every_section(toured):
    read = Reader((toured / "index.html").read_text(encoding="utf-8"))
    assert len(read.said("h2")) == len(SECTIONS) + 1
    mapped = 2 + len(microscope.VIEWS) + microscope.SHOWN
    looked_at = mapped + 2 + 6 + 4 + 2 * seeing.TOP + proof.SHOWN + 2
    drawn = len(sections.STAGES) * TINY.channels
    assert len(read.all("img")) == 16 + 16 + drawn + looked_at + 1 + len(sections.DREAMERS)
    assert set(LABELS) <= set(read.said("b"))
    assert {file for section in SECTIONS for file in section.files} <= set(read.said("span"))


def test_the_pictures_hold_their_recipe(toured):
    for path in toured.glob("channels-*.png"):
        with Image.open(path) as picture:
            recipe = json.loads(picture.text["optvis"])
        assert recipe["network"] == "demo"
        assert recipe["steps"] == TINY.steps


def images_of(answer):
    parts = answer if isinstance(answer, list) else [answer]
    return [image for part in parts for image in part.images]


def check_channel(site, figure):
    """The site tells of the same photographs, most exciting first."""
    (stored,) = site.parent.glob("layer-mixed5/group-*.json")
    (channel,) = json.loads(stored.read_text(encoding="utf-8"))["channels"]
    values = [tile.title for tile in figure.tiles[len(microscope.VIEWS) :]]
    assert [f"{photo['value']:.1f}" for photo in channel["photographs"][: len(values)]] == values


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
@pytest.mark.parametrize("seed", [0, 3])
def test_the_lines_below_a_figure_make_it_again(net, monkeypatch, tmp_path, section, seed):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optvis.load", {"demo": net}.__getitem__)
    content = section.make(net, replace(TINY, seed=seed))
    assert tuple(figure.file for figure in content.figures) == section.files
    for figure in content.figures:
        names = {}
        exec(sections.PRELUDE, names)
        *first, last = figure.code.splitlines()
        assert len(first) <= 2
        exec("\n".join(first), names)
        answer = eval(last, names)
        if isinstance(answer, Path):
            check_channel(answer, figure)
            continue
        if isinstance(answer, Comparison):
            pixels = [map_of(names["atlas"]), rows_of(answer.top(), 2 * TINY.icon_size)]
        elif isinstance(answer, Classification):
            pixels = names["images"]
            notes, shares = [tile.note for tile in figure.tiles], answer.confidences[:, 0].tolist()
            assert all(note.endswith(f", {share:.0%}") for note, share in zip(notes, shares, strict=True))
        elif isinstance(answer, ActivationGrid):
            pixels = seeing.grid_tiles(answer)
        elif isinstance(answer, Seen):
            pixels = [*answer.before.images, *answer.after.images]
        elif isinstance(answer, Attribution):
            pixels = seeing.reason_tiles(answer)
        else:
            pixels = images_of(answer)
        tiles = [tile.png for tile in figure.tiles]
        shown = tiles[: len(pixels)] if isinstance(answer, Attribution) else tiles[-len(pixels) :]
        assert [encode_png(to_pil_image(image)) for image in pixels] == shown


def test_usual_lines_say_nothing_that_is_the_default():
    assert Plan().rendering() == {}
    assert Plan().dreaming() == {"size": Plan().dream_size}


def test_scenes_of_the_page_are_none_of_those_of_training(net):
    (figure,) = sections.world(net, Plan()).figures
    assert "dataset(16, seed=1)" in figure.code


def test_channels_are_spread_over_all_of_a_stage():
    for stage in sections.STAGES:
        convolution = list(demo_network().get_submodule(stage.layer))[-2]
        assert convolution.out_channels == stage.width >= Plan().channels


def test_a_tour_goes_over_its_own_files(net, tmp_path):
    parts = (a_section("one"), a_section("two"))
    tour(net, tmp_path, TINY, parts)
    before = contents(tmp_path)
    tour(net, tmp_path, TINY, parts)
    assert contents(tmp_path) == before
    assert set(before) == {"index.html", "one.png", "two.png"}


def test_what_a_tour_does_not_write_is_no_matter_of_its(net, tmp_path):
    for name in ("two.png", "index.htm", "notes.txt"):
        (tmp_path / name).write_bytes(b"mine")
    tour(net, tmp_path, TINY, (a_section("one"),))
    assert all((tmp_path / name).read_bytes() == b"mine" for name in ("two.png", "index.htm", "notes.txt"))


def write_text(path):
    path.write_text("<meta name=generator content=other>", encoding="utf-8")


def write_damaged(path):
    path.write_bytes(signed_png()[:20])


def write_picture(path):
    Image.new("RGB", (2, 2)).save(path, "PNG")


def write_rendering(path):
    made = render(Classifier(torch.nn.Conv2d(3, 2, 3), None, 8), channel("", 0), steps=1, progress=False)
    path.write_bytes(made.save(path.with_name("other.png")).read_bytes())


FOREIGN = [
    write_text,
    write_damaged,
    write_picture,
    write_rendering,
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("nowhere"),
    lambda path: path.write_bytes(b""),
]


@pytest.mark.parametrize("name", ["index.html", "one.png", "two.png"])
@pytest.mark.parametrize("write", FOREIGN)
def test_the_files_of_others_are_left_alone_and_named(net, tmp_path, capsys, name, write):
    write(tmp_path / name)
    there = sorted(tmp_path.iterdir())
    begun = []
    parts = (a_section("one", lambda *_: begun.append(1)), a_section("two"))
    with pytest.raises(FileExistsError, match="--out") as refused:
        tour(net, tmp_path, TINY, parts)
    assert name in str(refused.value)
    assert begun == []
    assert sorted(tmp_path.iterdir()) == there
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_finished_before_an_interrupt_is_kept(net, tmp_path, capsys, error):
    def fails(net, plan):
        raise error

    parts = (a_section("one"), a_section("two", fails), a_section("three"))
    with pytest.raises(error):
        tour(net, tmp_path, TINY, parts)
    assert set(contents(tmp_path)) == {"index.html", "one.png"}
    read = Reader((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert read.said("h2")[:-1] == ["one"]
    out = capsys.readouterr().out
    assert "one" in out
    assert "two" not in out
    assert out.splitlines()[-1] == str(tmp_path / "index.html")


def test_an_interrupt_before_the_first_is_finished_leaves_the_earlier_page(net, tmp_path, capsys):
    tour(net, tmp_path, TINY, (a_section("one"),))
    before = contents(tmp_path)
    capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        tour(net, tmp_path, TINY, (a_section("one", interrupted),))
    assert contents(tmp_path) == before
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("section", SECTIONS[1:], ids=lambda section: section.title)
def test_a_picture_that_was_interrupted_is_not_shown(net, tmp_path, section):
    calls = []

    def pressed(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    handle = net.network.register_forward_pre_hook(pressed)
    try:
        with pytest.raises(KeyboardInterrupt):
            tour(net, tmp_path, replace(TINY, steps=3, dream_steps=3), (section,))
    finally:
        handle.remove()
    assert contents(tmp_path) == {}


def test_the_table_names_each_section_with_its_seconds_and_budget():
    done = [Done(section, Content("", "", ()), 1.25 * n) for n, section in enumerate(SECTIONS, 1)]
    head, *rows, last = table(done).splitlines()
    assert head.split() == ["section", "seconds", "budget"]
    assert [row.split() for row in rows] == [
        [each.section.title, f"{each.seconds:.1f}", f"{each.section.budget:.0f}"] for each in done
    ]
    sums = sum(each.seconds for each in done), sum(section.budget for section in SECTIONS)
    assert last.split() == ["total", f"{sums[0]:.1f}", f"{sums[1]:.0f}"]
    assert len({len(line) for line in (head, *rows, last)}) == 1


def test_the_budgets_leave_room_within_two_minutes():
    assert sum(section.budget for section in SECTIONS) < 120


@pytest.fixture
def command(net, monkeypatch, tmp_path, capsys):
    """`optvis demo`, tiny, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optvis.models.embedded.network.demo_classifier", lambda trained: net)
    monkeypatch.setattr("optvis.demo.plan.Plan", lambda seed: replace(TINY, seed=seed))

    def run(*arguments):
        code = cli.main(["demo", *arguments])
        return code, *capsys.readouterr()

    return run


def test_the_command_goes_the_tour_and_ends_with_the_path_of_the_page(command, tmp_path):
    code, out, err = command()
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].replace("\\", "/") == "optvis-demo/index.html"
    assert all(any(line.startswith(section.title) for line in out.splitlines()) for section in SECTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["optvis-demo"]


def test_the_seed_of_the_command_is_that_of_the_page(command, tmp_path):
    assert command("--out", "here", "--seed", "5")[0] == 0
    assert "optvis demo --seed 5" in (tmp_path / "here" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "seed is -1"),
        (("--device", "abacus"), "cannot work on 'abacus'"),
        (("--out", "foreign"), "was not made by `optvis demo`; name another folder with --out"),
        (("--out", "foreign/index.html"), "cannot make the folder"),
    ],
)
def test_a_mistake_is_one_line(command, tmp_path, arguments, message):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "index.html").write_text("mine", encoding="utf-8")
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert (tmp_path / "foreign" / "index.html").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["foreign"]
