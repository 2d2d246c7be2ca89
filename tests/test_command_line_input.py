"""What is typed after `optvis`: labels, channels and sizes in every form, and what makes no sense is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from optvis import load
from optvis.cli.main import describe_error, main
from optvis.cli.options import MAX_NUMBERS

LONG = "x" * 300


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with an image."""
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((60, 40), 80).convert("RGB").save("photo.png")
    return tmp_path


def run(capsys, *words):
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("hinton", "demo", "mixed4", "--channels", "0-9999999999"), 2, f"expected at most {MAX_NUMBERS:,} numbers"),
        (("hinton", "demo", "mixed4", "--channels", f"1-{'9' * 5000}"), 2, f"expected at most {MAX_NUMBERS:,} numbers"),
        (("render", "demo", "mixed4:9-1"), 1, "ranges that rise"),
        (("atlas", "demo", "--layer", "mixed5", "--levels", "99999", "--scenes", "14"), 1, "levels"),
        (("layers", "demo", "--size", "2"), 1, "fails on images of shape (1, 3, 2, 2)"),
        (("layers", "demo", "--size", "99999999"), 1, "expected at most"),
        (("layers", "demo", "--size", "9" * 5000), 2, "expected pixels"),
        (("layers", "demo", "--size", "-1"), 2, "expected"),
        (("layers", "demo", "--normalize", "imagenett"), 2, "expected imagenet, none, infer, or MEAN/STD"),
        (("layers", "demo", "--normalize", "0.5/0"), 2, "expected imagenet, none, infer, or MEAN/STD"),
        (("layers", "demo", "--device", "meta"), 1, "it holds shapes, and no numbers"),
        (("layers", "demo", "--device", LONG), 1, "cannot use the device"),
        (("layers", LONG), 1, "no network"),
        (("layers", f"{LONG}.pth", "--architecture", "resnet18"), 1, "no file"),
        (("classify", "demo", LONG), 1, "no file"),
        (("classify", "demo", "a\0b"), 1, "a\\x00b"),
        (("dream", "demo", LONG, "--layer", "mixed4"), 1, "no file"),
        (("attribute", "demo", LONG, "--layer", "mixed4"), 1, "no file"),
        (("attribute", "demo", "photo.png", "--layer", "mixed4", "--out", LONG), 1, "cannot make the folder"),
        (
            ("attribute", "demo", "photo.png", "--layer", "mixed4", "--class", "9" * 30),
            1,
            "expected a label, or 0 to 15",
        ),
        (("patch", "demo", "baseball", "--source", "0", "--target", "1", "--scenes", "99999999"), 1, "1 to 10000"),
        (("patch", "demo", "baseball", "--source", "0", "--target", "1", "--scenes", "-1"), 1, "1 to 10000"),
        (("classify", "demo", "photo.png", "--labels", "none.txt"), 1, "no file 'none.txt' with labels"),
        (("classify", "demo", "photo.png", "--labels", "photo.png"), 1, "no text in UTF-8"),
    ],
    ids=lambda value: str(value)[:60].replace("\0", "0"),
)
def test_what_makes_no_sense_is_one_line_at_once(capsys, words, code, text):
    start = time.monotonic()
    found, _, err = run(capsys, *words)
    assert found == code
    assert text in err
    assert err.strip().splitlines()[-1].startswith("optvis")
    assert code == 2 or err.count("\n") == 1
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--chanels", "3"), "optvis render: error: unknown option '--chanels'; nearest: '--channels'\n"),
        (("--stps=3",), "unknown option '--stps'; nearest: '--steps'\n"),
        (("--qqq",), "unknown option '--qqq'; optvis render --help lists the options\n"),
        (("mixed5",), "unexpected argument 'mixed5'\n"),
    ],
)
def test_an_unknown_option_gives_the_usage_of_its_command_and_the_nearest(capsys, words, text):
    code, _, err = run(capsys, "render", "demo", "mixed4", *words)
    assert code == 2
    assert err.startswith("usage: optvis render ")
    assert err.endswith(text)


def test_labels_come_from_a_file(capsys):
    labels = [f"name {index}" for index in range(len(load().labels))]
    Path("labels.txt").write_text("\n".join(labels) + "\n\n", encoding="utf-8")
    code, out, _ = run(capsys, "classify", "demo", "photo.png", "--labels", "labels.txt", "--top", "1")
    assert code == 0
    assert "name " in out
    Path("labels.txt").write_text("\n".join(labels[:3]), encoding="utf-8")
    code, _, err = run(capsys, "classify", "demo", "photo.png", "--labels", "labels.txt")
    assert (code, err.count("\n")) == (1, 1)
    assert "3 labels" in err


def test_labels_give_a_file_of_weights_its_number_of_classes(capsys):
    from torchvision.models import squeezenet1_0

    torch.save(squeezenet1_0(num_classes=3).state_dict(), "mine.pth")
    Path("labels.txt").write_text("a\nb\nc\n", encoding="utf-8")
    words = "classify", "mine.pth", "photo.png", "--architecture", "squeezenet1_0", "--labels", "labels.txt"
    code, out, err = run(capsys, *words, "--input-size", "64", "--normalize", "imagenet")
    assert (code, err) == (0, "")
    assert {"a", "b", "c"} <= set(out.split())


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (("mixed3:3,5",), ["mixed3-3.png", "mixed3-5.png", "sheet.png"]),
        (("mixed3:5",), ["mixed3-5.png"]),
        (("mixed3", "--channels", "5"), ["mixed3-5.png"]),
    ],
)
def test_a_channel_is_written_as_in_python(capsys, words, files):
    code, _, err = run(capsys, "render", "demo", *words, "--steps", "1", "--size", "24")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("images").glob("*.png")) == files


def test_all_channels_are_those_that_the_layer_has(capsys):
    code, out, _ = run(capsys, "render", "demo", "head", "--channels", "all", "--steps", "0", "--size", "24")
    assert code == 0
    assert len(out.splitlines()) == len(load().labels) + 1  # and the sheet


def test_layers_never_fetches_weights(capsys, monkeypatch):
    def refused(*_args, **_options):
        raise AssertionError("it asked for weights")

    monkeypatch.setenv("TORCH_HOME", str(Path.cwd()))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    code, out, _ = run(capsys, "layers", "squeezenet1_0", "--size", "64")
    assert code == 0
    assert "features.12" in out


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_ctrl_c_while_the_package_is_imported_is_one_line(tmp_path):
    root = Path(__file__).parent.parent
    slow = "import time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    (tmp_path / "torch.py").write_text(slow, encoding="utf-8")  # found before the real one
    command = [sys.executable, str(root / "optvis" / "cli" / "entry" / "__init__.py"), "layers"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, env=environment, **pipes) as running:
        assert running.stdout.readline() == "importing\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (130, "optvis: interrupted\n")


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")],
)
def test_a_memory_that_is_not_enough_is_said_in_words(error):
    assert describe_error(error).startswith("the memory of this machine is not enough")
