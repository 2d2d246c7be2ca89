"""The command: does what its help says, writes where it is told, and says what went wrong in one line."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.error
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Classifier, Rendering, __version__, layers, load, render
from optvis.cli import main as cli
from optvis.cli.options import parse_numbers as numbers_of
from optvis.objectives import channel
from optvis.params import fft_image
from optvis.viz.sheet import to_pil_image
from optvis.world import LABELS, scene

from .checks import ROOT

COMMANDS = (
    *("layers", "render", "dream", "classify", "grid", "attribute", "blind"),
    *("atlas", "microscope", "hinton", "patch", "demo"),
    *("survey", "store", "plan"),
)
NET = ("squeezenet1_0", "--weights", "none")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, so that what is written where it should not be is seen."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """The command in this process: exit code, standard output, and standard error without progress bars."""

    def run(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, "".join(line for line in err.splitlines(keepends=True) if "\r" not in line)

    return run


@pytest.fixture
def photo(elsewhere):
    path = elsewhere / "photo.png"
    Image.effect_noise((60, 40), 80).convert("RGB").save(path)
    return path


def subparsers():
    (action,) = (a for a in cli.build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_version(run):
    assert run("--version") == (0, f"optvis {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option_and_gives_an_example(run, command):
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    flat = " ".join(out.split())
    for action in subparsers()[command]._actions:
        assert action.help, action
        assert " ".join(action.help.split()) in flat, action
        assert all(option in out for option in action.option_strings)
    assert "example: optvis" in flat
    assert "None" not in out
    assert "default: False" not in out


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    assert set(subparsers()) == set(COMMANDS)
    assert all(f"    {command}" in out for command in COMMANDS)


def test_the_page_has_the_options_of_the_commands():
    spec = importlib.util.spec_from_file_location("docs_options", ROOT / "docs" / "options.py")
    options = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(options)
    text = (ROOT / "docs" / "command_line.md").read_text("utf-8")
    assert options.fill_page(text) == text, "python docs/options.py writes them"
    assert set(re.findall(r"<!-- options of (\w+) -->", text)) == {*COMMANDS, options.SHARED}
    rows = re.findall(r"(?m)^\| `(--[a-z-]+)", text)
    shown = {option for parser in subparsers().values() for option in parser._option_string_actions}
    assert set(rows) == {option for option in shown if option.startswith("--")} - {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_the_help_parses(command):
    parser = subparsers()[command]
    words = shlex.split(parser.epilog.removeprefix("example: "))
    assert words[:2] == ["optvis", command]
    assert callable(cli.build_parser().parse_args(words[1:]).run)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["classify"],
        ["render", "squeezenet1_0", "features.3", "--channels", "x"],
        ["render", "squeezenet1_0", "features.3", "--channels", "5-3"],
        ["render", "squeezenet1_0", "features.3", "--channels", "1,,2"],
        ["render", "squeezenet1_0", "features.3", "--channels", "-1"],
        ["render", "squeezenet1_0", "features.3", "--channels", "1", "--size", "0"],
        ["render", "squeezenet1_0", "features.3", "--channels", "1", "--size", "1x2x3"],
        ["render", "squeezenet1_0", "features.3", "--channels", "1", "--animate", "avi"],
        ["render", "squeezenet1_0", "features.3", "--channels", "1", "--steps", "many"],
        ["dream", "squeezenet1_0", "photo.jpg"],
        ["classify", "squeezenet1_0"],
        ["grid", "squeezenet1_0", "photo.jpg", "--label", "owl"],  # not --labels, which is a file
    ],
)
def test_wrong_usage_exits_with_2_and_says_so(run, elsewhere, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage: optvis" in err
    assert "error:" in err
    assert files(elsewhere) == []


def test_a_reader_that_ends_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "optvis", "layers", "demo"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_layers_prints_the_table(run, random_squeezenet):
    code, out, err = run("layers", *NET, "--size", 64)
    assert (code, err) == (0, "")
    assert out.rstrip("\n") == str(layers(random_squeezenet, size=64))
    assert run("layers", *NET, "--size", "64x96")[1] != out


def test_render_writes_a_picture_a_channel_and_their_sheet(run, elsewhere, random_squeezenet):
    code, out, err = run(
        "render", *NET, "features.3", "--channels", "7,2-3", "--out", "some/where", "--size", "32x40", "--steps", 2
    )
    assert (code, err) == (0, "")
    pictures = [f"some/where/features.3-{n}.png" for n in (7, 2, 3)]
    tensors = [name.replace(".png", ".safetensors") for name in pictures]
    assert files(elsewhere) == sorted([*pictures, *tensors, "some/where/sheet.png"])
    assert out.splitlines() == [*pictures, "some/where/sheet.png"]
    for place, name in enumerate(pictures):
        made = Rendering.load(name)
        assert made.images.shape == (1, 3, 32, 40)
        assert made.recipe["objective"] == f"channel('features.3', {(7, 2, 3)[place]})"
        with Image.open(name) as picture:
            picture.load()
            assert json.loads(picture.text["optvis"]) == made.recipe
            assert picture.size == (40, 32)


def test_render_does_what_the_library_does(run, random_squeezenet):
    run("render", *NET, "features.3", "--channels", "7,2", "--size", 32, "--steps", 2, "--seed", 5, "--rate", 0.1)
    made = Rendering.load("images/features.3-2.png")
    start = fft_image(32, seeds=(5,))
    assert made.recipe["seeds"] == [5]
    first = render(random_squeezenet, channel("features.3", 2), start, steps=0, progress=False)
    assert 0 < (made.images - first.images).abs().max() < 0.5


def test_render_repeats(run):
    shown = []
    for folder in ("a", "b"):
        run("render", *NET, "features.3", "--channels", "7", "--size", 32, "--steps", 2, "--out", folder)
        shown.append(Rendering.load(f"{folder}/features.3-7.png").images)
    assert torch.equal(*shown)


@pytest.mark.parametrize(
    "options",
    [
        ("--param", "pixel"),
        ("--decay", 1.5),
        ("--total-variation", 0.2),
        ("--no-transforms",),
        ("--seed", 3),
        ("--rate", 0.2),
    ],
)
def test_each_option_of_render_changes_the_picture(run, options):
    common = ("render", *NET, "features.3", "--channels", "7", "--size", 32, "--steps", 2)
    assert run(*common, "--out", "plain")[0] == 0
    assert run(*common, "--out", "other", *options)[0] == 0
    plain, other = (Rendering.load(f"{folder}/features.3-7.png") for folder in ("plain", "other"))
    assert not torch.equal(plain.images, other.images)


def test_a_chunk_at_a_time_is_the_same(run):
    common = ("render", *NET, "features.3", "--channels", "7,2,5", "--size", 32, "--steps", 1)
    run(*common, "--out", "whole")
    run(*common, "--out", "parts", "--batch-size", 2)
    for n in (7, 2, 5):
        whole, part = (Rendering.load(f"{folder}/features.3-{n}.png").images for folder in ("whole", "parts"))
        torch.testing.assert_close(whole, part, atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", ["gif", "webp", "apng"])
def test_render_animates(run, form):
    code, out, _ = run("render", *NET, "features.3", "--channels", "7", "--size", 32, "--steps", 3, "--animate", form)
    assert code == 0
    assert out.splitlines()[1] == f"images/features.3-7-growing.{form}"
    with Image.open(f"images/features.3-7-growing.{form}") as moving:
        assert moving.n_frames > 1


def test_a_video_without_what_encodes_it_is_refused_before_the_work(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for command in (
        ("render", *NET, "features.3", "--channels", "7"),
        ("dream", *NET, "--layer", "1", "--start", "noise"),
    ):
        code, out, err = run(*command, "--animate", "mp4")
        assert (code, out) == (1, "")
        assert "an animation as .mp4 needs PyAV: pip install 'optvis[video]'" in err
        assert not list(Path().iterdir())


def test_render_draws_classes_by_label_or_index(run):
    code, out, err = run("render", *NET, "--classes", "container ship", "628", "--size", 48, "--steps", 1, "--out", "x")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["x/container-ship.png", "x/628.png", "x/sheet.png"]
    assert Rendering.load("x/container-ship.png").recipe["objective"] == "logit(510)"


def test_names_that_would_be_one_file_are_told_apart(run):
    code, out, _ = run("render", *NET, "features.3", "--channels", "7,7", "--size", 32, "--steps", 1, "--out", "x")
    assert code == 0
    assert out.splitlines() == ["x/features.3-7.png", "x/features.3-7-2.png", "x/sheet.png"]


def test_hostile_labels_and_layer_names_stay_in_the_folder(run, elsewhere, monkeypatch):
    labels = ("<script>alert(1)</script>", "../../escape", "/etc/passwd", "a/b", "a:b", "con", "写真")
    network = nn.Sequential()
    network.add_module("/up/conv:<b>", nn.Conv2d(3, len(labels), 3))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flat", nn.Flatten())
    hostile = Classifier(network, None, 16, labels=labels)
    monkeypatch.setattr("optvis.models.zoo.by_name.load", lambda *_args, **_options: hostile)
    assert run("render", "x", "--classes", *labels, "--steps", 1, "--out", "in/here")[0] == 0
    assert run("render", "x", "/up/conv:<b>", "--channels", "0", "--steps", 1, "--out", "in/here")[0] == 0
    Image.new("RGB", (16, 16)).save("p.png")
    assert (
        run("dream", "x", "p.png", "--layer", "/up/conv:<b>", "--steps", 1, "--octaves", 1, "--out", "in/here")[0] == 0
    )
    written = set(files(elsewhere)) - {"p.png"}
    assert all(name.startswith("in/here/") and name.count("/") == 2 for name in written)
    assert len(written) == 2 * len(labels) + 1 + 2 + 2
    assert not (elsewhere.parent / "escape.png").exists()


def test_dream_writes_one_picture(run, elsewhere, photo):
    code, out, err = run(
        "dream",
        *NET,
        photo,
        "--layer",
        "features.3",
        "--octaves",
        2,
        "--steps",
        1,
        "--out",
        "night",
        "--animate",
        "gif",
    )
    assert (code, err) == (0, "")
    assert out.splitlines() == ["night/photo-features.3-norm.png", "night/photo-features.3-norm-growing.gif"]
    assert files(elsewhere / "night") == [
        "photo-features.3-norm-growing.gif",
        "photo-features.3-norm.png",
        "photo-features.3-norm.safetensors",
    ]
    assert Rendering.load("night/photo-features.3-norm.png").images.shape == (1, 3, 40, 60)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (("--size", 30), (20, 30)),
        (("--loss", "gram"), (40, 60)),
        (("--channel", 3), (40, 60)),
        (("--raw", "--step-size", 0.001), (40, 60)),
        (("--passes", 2), (40, 60)),
        (("--tile-size", 32), (40, 60)),
        (("--octaves", 2, "--octave-scale", 1.2), (40, 60)),
        (("--seed", 3), (40, 60)),
    ],
)
def test_each_option_of_dream_changes_the_picture(run, photo, options, shape):
    common = ("dream", *NET, photo, "--layer", "features.3", "--octaves", 1, "--steps", 1)
    assert run(*common, "--out", "plain")[0] == 0
    code, out, _ = run(*common, "--out", "other", *options)
    assert code == 0
    other = Rendering.load(out.splitlines()[0]).images
    assert tuple(other.shape[2:]) == shape
    assert not torch.equal(other, Rendering.load("plain/photo-features.3-norm.png").images)


@pytest.mark.parametrize("start", ["noise", "black"])
def test_dream_starts_from_nothing(run, start):
    code, out, _ = run(
        "dream", *NET, "--start", start, "--layer", "features.3", "--size", "32x48", "--steps", 1, "--octaves", 1
    )
    assert code == 0
    assert out.splitlines() == [f"dreams/{start}-features.3-norm.png"]
    assert Rendering.load(out.strip()).images.shape == (1, 3, 32, 48)


def test_classify_answers_for_files_and_folders(run, elsewhere, photo):
    (elsewhere / "more").mkdir()
    for name in ("b.JPG", "a.png"):
        Image.new("RGB", (30, 30)).save(elsewhere / "more" / name)
    (elsewhere / "more" / "notes.txt").write_text("no image", encoding="utf-8")
    code, out, err = run("classify", *NET, "photo.png", "more", "--top", 3)
    assert (code, err) == (0, "")
    blocks = out.strip().split("\n\n")
    assert [block.splitlines()[0].replace("\\", "/") for block in blocks] == ["photo.png", "more/a.png", "more/b.JPG"]
    for block in blocks:
        assert len(block.splitlines()) == 4
        assert all(re.fullmatch(r" *\d+\.\d\d%  \S.*", line) for line in block.splitlines()[1:])
    assert files(elsewhere) == ["more/a.png", "more/b.JPG", "more/notes.txt", "photo.png"]


def test_a_file_of_weights_is_a_network(run, random_squeezenet):
    torch.save(random_squeezenet.network.state_dict(), "mine.pth")
    own = ("--input-size", 64, "--normalize", "0.5,0.5,0.5/0.25,0.25,0.25")
    code, out, _ = run("layers", "mine.pth", "--architecture", "squeezenet1_0", *own)
    assert code == 0
    assert out == run("layers", *NET, "--size", 64)[1]


def test_a_warning_is_one_line_that_names_the_options(run, random_squeezenet, monkeypatch):
    torch.save(random_squeezenet.network.state_dict(), "mine.pth")
    words = ("layers", "mine.pth", "--architecture", "squeezenet1_0", "--size", 64, "--normalize", "none")
    lines = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *given: lines.append(warnings.formatwarning(*given[:4])))
        assert run(*words)[0] == 0
    (line,) = lines
    assert line.startswith("optvis: warning: mine.pth is fed as published weights of squeezenet1_0 are; ")
    assert line.endswith("give its own size=pixels, else size=224; on the command line --input-size\n")


MISTAKES = {
    "unknown network": (("layers", "squeezenet9"), "no network 'squeezenet9'; nearest: 'squeezenet"),
    "unknown weights": (("layers", "squeezenet1_0", "--weights", "BEST"), "no weights 'BEST'"),
    "unknown layer": (("render", *NET, "feature.3", "--channels", "1"), "no layer 'feature.3'; nearest: 'features.3"),
    "channel out of range": (("render", *NET, "features.3", "--channels", "999"), "index 999 is outside 0..127"),
    "unknown label": (("render", *NET, "--classes", "contaner ship"), "nearest: 'container ship'"),
    "class out of range": (("render", *NET, "--classes", "1000"), "class is 1000; expected a label, or 0 to 999"),
    "steps": (("render", *NET, "features.3", "--channels", "1", "--steps", "-1"), "steps is -1"),
    "chunk": (("render", *NET, "features.3", "--channels", "1", "--batch-size", "0"), "batch_size is 0"),
    "rate": (("render", *NET, "features.3", "--channels", "1", "--rate", "-1"), "lr"),
    "too small": (("layers", *NET, "--size", "4"), "size"),
    "device": (("layers", *NET, "--device", "abacus"), "cannot use the device 'abacus'"),
    "octaves": (("dream", *NET, "photo.png", "--layer", "features.3", "--octaves", "0"), "octaves is 0"),
    "missing photograph": (("classify", *NET, "nowhere.png"), "no file 'nowhere.png'"),
    "no image": (("classify", *NET, "text.txt"), "'text.txt' is no image"),
    "empty folder": (("classify", *NET, "empty"), "no images in the folder 'empty'"),
    "top": (("classify", *NET, "photo.png", "--top", "0"), "top is 0"),
    "folder in the way": (
        ("render", *NET, "features.3", "--channels", "1", "--out", "text.txt"), "cannot make the folder"
    ),
    "weights without architecture": (("layers", "weights.pth"), "architecture"),
    "damaged weights": (("layers", "text.pth", "--architecture", "squeezenet1_0"), "text.pth is damaged"),
    "missing weights": (("layers", "nowhere.pth", "--architecture", "squeezenet1_0"), "no file 'nowhere.pth'"),
}  # fmt: skip


@pytest.fixture
def prepared(elsewhere, photo):
    (elsewhere / "text.txt").write_text("no image", encoding="utf-8")
    (elsewhere / "text.pth").write_text("no weights", encoding="utf-8")
    torch.save({"fc.weight": torch.ones(2, 2)}, elsewhere / "weights.pth")
    (elsewhere / "empty").mkdir()
    return elsewhere


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_exits_with_1_and_one_line(run, prepared, mistake):
    arguments, message = MISTAKES[mistake]
    before = files(prepared)
    check_error(run(*arguments), 1, message)
    assert files(prepared) == before


def check_error(answer, expected, message):
    """The exit code, and an error of one line that holds a message."""
    code, _, err = answer
    assert code == expected
    assert err.startswith("optvis: error: ")
    assert err.count("\n") == 1
    assert message in err


RENDER = ("render", "demo", "mixed5", "--channels", "1")
MICROSCOPE = ("microscope", "demo", "--layers", "mixed5")
CONTRADICTIONS = {
    "layer without channels": (("render", *NET, "features.3"), "render needs LAYER and --channels, or else --classes"),
    "channels without layer": (("render", *NET, "--channels", "1"), "render needs LAYER and --channels"),
    "layer and label": (("render", *NET, "features.3", "--classes", "1"), "or else --classes"),
    "decay of pixels": ((*RENDER, "--param", "pixel", "--decay", "2"), "--decay goes with --param fft"),
    "no photograph": (("dream", *NET, "--layer", "features.3"), "needs an IMAGE, or else --start"),
    "two starts": (("dream", *NET, "photo.png", "--start", "noise", "--layer", "features.3"), "or else --start"),
    "channel of a gram": (
        ("dream", *NET, "photo.png", "--layer", "features.3", "--loss", "gram", "--channel", "1"), "with --loss norm"
    ),
    "scenes and images": ((*MICROSCOPE, "--images", ".", "--scenes", "9"), "--scenes goes with the embedded networks"),
    "scenes of others": (("atlas", *NET, "--layer", "features.3"), "--images is missing"),
    "scenes of a patch": (
        ("patch", "demo", "noodles", "--source", "0", "--target", "1", "--images", ".", "--scenes", "0"), "--scenes "
    ),
    "workers without Ray": ((*MICROSCOPE, "--workers", "2"), "--workers goes with --ray"),
    "cores without Ray": (("survey", "demo", "--layers", "mixed5", "--cores", "1"), "--cores goes with --ray"),
    "mistaken of nothing": (
        ("blind", "demo", "--images", ".", "--class", "0", "--skip-mistaken"), "--skip-mistaken goes with --keep"
    ),
    "against nothing": (("atlas", "demo", "--layer", "mixed5", "--against", "1"), "--against goes with --class"),
    "icons of weights": (("hinton", "demo", "mixed5.0", "--icons", "0"), "--icons goes with --from"),
    "part and finish": ((*MICROSCOPE, "--part", "1/2", "--finish"), "--part builds groups"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_options_that_do_not_go_together_are_wrong_usage(run, prepared, name):
    arguments, message = CONTRADICTIONS[name]
    before = files(prepared)
    check_error(run(*arguments), 2, message)
    assert files(prepared) == before


def test_debug_shows_the_traceback(prepared):
    with pytest.raises(KeyError, match="squeezenet9"):
        cli.main(["layers", "squeezenet9", "--debug"])


def test_without_network_the_error_names_the_cures(run, elsewhere, monkeypatch):
    def refused(*_args, **_options):
        raise urllib.error.URLError("unreachable")

    monkeypatch.setenv("TORCH_HOME", str(elsewhere / "home"))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    code, _, err = run("classify", "squeezenet1_0", "photo.png")
    assert code == 1
    assert "TORCH_HOME" in err
    assert "--weights none" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["render", "dream"])
def test_ctrl_c_writes_what_is_there_and_exits_with_130(run, photo, monkeypatch, command):
    from torchvision.models.squeezenet import SqueezeNet

    calls, forward = [], SqueezeNet.forward

    def pressed(self, x):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, x)

    monkeypatch.setattr(SqueezeNet, "forward", pressed)
    arguments = {
        "render": ("features.3", "--channels", "7", "--size", 32, "--steps", 9),
        "dream": (photo, "--layer", "features.3", "--steps", 9, "--octaves", 1),
    }[command]
    code, out, err = run(command, *NET, *arguments, "--out", "kept")
    assert code == 130
    assert err == "optvis: interrupted\n"
    made = Rendering.load(out.splitlines()[0])
    assert made.recipe["interrupted"] is True
    assert 0 < len(made.scores) < 9


def test_ctrl_c_before_anything_is_there_exits_with_130(run, monkeypatch, elsewhere):
    def pressed(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("optvis.models.zoo.by_name.load", pressed)
    assert run("layers", *NET) == (130, "", "optvis: interrupted\n")
    assert files(elsewhere) == []


@pytest.mark.parametrize(("is_terminal", "quiet"), [(True, []), (False, []), (True, ["--quiet"])])
def test_progress_is_on_the_error_stream_only_and_only_on_a_terminal(capsys, photo, monkeypatch, is_terminal, quiet):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    cli.main(["render", *NET, "features.3", "--channels", "7", "--size", "32", "--steps", "1", *quiet])
    out, err = capsys.readouterr()
    assert out.splitlines() == ["images/features.3-7.png"]
    assert ("render" in err) == (is_terminal and not quiet)


def test_every_command_may_be_quiet():
    assert all("--quiet" in command._option_string_actions for command in subparsers().values())


def test_a_terminal_that_knows_no_unicode_is_no_reason_to_fail(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli.main(["layers", *NET, "--size", "64"]) == 0
    stream.flush()
    assert b"1 ? 64" in stream.buffer.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        "render squeezenet1_0 features.3 --channels 1 --weights none",
        "render squeezenet1_0 --weights none features.3 --channels 1",
        "render --channels 1 --weights none squeezenet1_0 features.3",
        "render --weights none squeezenet1_0 --channels 1 features.3",
    ],
)
def test_options_may_stand_anywhere(words):
    options = cli.build_parser().parse_args(words.split())
    assert (options.network, options.layer, options.channels) == ("squeezenet1_0", "features.3", [1])
    assert options.weights == "none"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3", [3]),
        ("50,450", [50, 450]),
        ("0-3", [0, 1, 2, 3]),
        ("5,0-2", [5, 0, 1, 2]),
        (" 1 , 2 ", [1, 2]),
        ("4-4", [4]),
    ],
)
def test_numbers_and_ranges(text, numbers):
    assert numbers_of(text) == numbers


def test_without_a_network_it_is_the_embedded_one(run):
    code, said, _ = run("layers")
    assert code == 0
    assert "mixed5" in said
    code, said, _ = run("render", "--classes", "owl", "--steps", "1", "--out", "here")
    assert (code, said.split()) == (0, [str(Path("here") / "owl.png")])


# Grids and attribution


def test_attribute_prints_a_table_and_writes_a_picture_for_each_photograph(run, photo, elsewhere):
    code, out, err = run(
        "attribute", "demo", photo, "--layer", "mixed5", "--class", "owl", "--against", 2, "--out", "a"
    )
    assert (code, err) == (0, "")
    assert "logit('owl') - logit(2)" in out  # as typed
    assert files(elsewhere / "a") == ["photo-mixed5.png", "photo-mixed5.safetensors"]
    recipe = json.loads(Image.open(elsewhere / "a" / "photo-mixed5.png").text["optvis"])
    assert (recipe["layer"], recipe["network"]) == ("mixed5", "demo")


def test_attribute_asks_about_the_likeliest_class_by_itself(run, photo):
    _, answer, _ = run("classify", "demo", photo, "--top", 1)
    how = ("--layer", "mixed5", "--method", "grad_x_activation", "--format", "pdf")
    code, out, _ = run("attribute", "demo", photo, *how)
    assert code == 0
    assert Path("attribution/photo-mixed5.pdf").read_bytes().startswith(b"%PDF")
    label = answer.splitlines()[1].partition("%")[2].strip()
    assert f"logit({label!r})" in out


def test_grid_writes_icons_groups_and_a_page(run, photo, elsewhere):
    options = ("--layers", "mixed5", "mixed4", "--size", 24, "--steps", 2, "--groups", 2, "--top", 1)
    code, out, err = run("grid", "demo", photo, *options, "--classes", "owl", "--out", "g")
    assert (code, err) == (0, "")
    made = ["index.html"] + [
        f"{layer}{end}" for layer in ("mixed4", "mixed5") for end in ("-groups.png", ".png", ".safetensors")
    ]
    assert files(elsewhere / "g") == sorted(made)
    page = (elsewhere / "g" / "index.html").read_text(encoding="utf-8")
    assert "mixed4" in page
    assert "owl" in page
    assert str(elsewhere / "g" / "index.html").endswith(out.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("grid", "demo", "photo.png", "--layers", "head"), "without rows and columns of positions"),
        (("grid", "demo", "photo.png", "--layers", "mixed5", "--classes", "cow"), "no label 'cow'"),
        (("attribute", "demo", "photo.png", "--layer", "mixed"), "nearest: 'mixed"),
        (("attribute", "demo", "none.png", "--layer", "mixed5"), "no file 'none.png'"),
    ],
)
def test_grid_and_attribute_say_what_is_wrong(run, photo, arguments, words):
    code, _, err = run(*arguments)
    assert code == 1
    assert words in err
    assert len(err.splitlines()) == 1


# Blinding


@pytest.fixture
def folders(elsewhere):
    """Photographs of two classes of the embedded world."""
    for label in ("wok", "owl"):
        (elsewhere / label).mkdir()
        for seed in range(6):
            to_pil_image(scene(label, seed=seed).image).save(elsewhere / label / f"{seed}.png")
    return elsewhere


def test_blind_finds_judges_and_writes_a_report(run, folders):
    options = ("--keep", "owl", "--method", "subspace", "--random", 9, "--bake", "--leave-one-out", "--out", "b")
    code, out, err = run("blind", "demo", "--images", "wok", "--class", "wok", *options)
    assert code == 0, err
    assert "wok: 3 directions of mixed5\ngoal reached" in out
    assert "each image with units that were found without it" in out
    assert out.splitlines()[-2:] == ["b/report.html", "b/blinded.safetensors"]
    written = files(folders / "b")
    assert written == [
        "blinded.safetensors",
        "report.html",
        "report.json",
        "report.png",
        "report.safetensors",
        "report.txt",
    ]
    report = json.loads((folders / "b" / "report.json").read_text(encoding="utf-8"))
    assert report["target"] == "wok"
    assert any("selected on" in warning for warning in report["warnings"])
    baked = load(folders / "b" / "blinded.safetensors", architecture="demo", size=128, normalize=load().normalize)
    assert baked.labels == LABELS


def test_blind_judges_on_other_folders(run, folders):
    options = ("--keep", "owl", "--method", "contrast", "--evaluate-on", "owl", "--random", 5)
    code, out, err = run("blind", "demo", "--images", "wok", "--class", "wok", *options)
    assert code == 3, err  # the channels of largest contrast do not reach the goal
    assert "! goal not reached" in out
    assert "\nowl" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--class", "wokk"), "nearest: 'wok'"),
        (("--class", "wok"), "keep"),
        (("--class", "wok", "--keep", "nowhere"), "nowhere"),
        (("--class", "wok", "--keep", "owl", "--layers", "head"), "classes"),
    ],
)
def test_blind_says_what_is_wrong(run, folders, options, words):
    code, _, err = run("blind", "demo", "--images", "wok", *options)
    assert code == 1
    assert words in err
    assert len(err.splitlines()) == 1
