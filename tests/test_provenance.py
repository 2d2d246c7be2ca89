"""Every recipe begins and ends alike, and is JSON."""

import json
import platform
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import optvis
from optvis.errors import suggest
from optvis.models import Classifier
from optvis.models.provenance import provenance
from optvis.progress import progress_bar


def test_a_recipe_names_network_method_options_and_versions():
    recipe = provenance(Classifier(nn.Conv2d(3, 4, 3), None, 16, name="mine"), "render", steps=64)
    expected = {
        "method": "render",
        "network": "mine",
        "normalize": "None",
        "dtype": "torch.float32",
        "device": "cpu",
        "steps": 64,
        "optvis": optvis.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    assert recipe == expected
    assert json.loads(json.dumps(recipe)) == expected


def test_the_dtype_is_that_of_the_images():
    assert provenance(Classifier(nn.Conv2d(3, 4, 3).half(), None, 16), "render")["dtype"] == "torch.float32"
    assert provenance(Classifier(nn.Conv2d(3, 4, 3).double(), None, 16), "render")["dtype"] == "torch.float64"


def test_suggestions_do_not_look_at_case_and_fall_back():
    assert suggest("MIXED4", ["mixed3", "mixed4"]) == "nearest: 'mixed4', 'mixed3'"
    assert suggest("MIXED4", ["mixed3", "mixed4"], count=1) == "nearest: 'mixed4'"
    assert suggest("x", ["mixed4"], "there is mixed4") == "there is mixed4"


def test_a_progress_bar_writes_to_stderr_only_where_it_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # bars are hidden where it is a file
    assert list(progress_bar(range(3), description="hidden", show=False)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    assert list(progress_bar(range(3), description="shown")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert "shown" in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert list(progress_bar(range(3), description="shown")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["python", "ipython"])
def test_a_kernel_shows_bars_and_no_other_process_without_a_terminal(capsys, monkeypatch, shell):
    monkeypatch.setattr("optvis.progress.find_spec", lambda _name: None)  # of ipywidgets
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert list(progress_bar(range(3), description="of a terminal")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    shell = SimpleNamespace(kernel="of a notebook")
    assert list(progress_bar(range(3), description="of a kernel")) == [0, 1, 2]
    assert "of a kernel" in capsys.readouterr().err
