"""The README's Python examples run as they are written, each on images of the kind that its network knows."""

from __future__ import annotations

import re
import shutil
from functools import partial

import torch

import optvis
from optvis.atlas import AtlasOptions
from optvis.microscope import MicroscopeOptions

from .checks import ROOT

EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)

SITE = MicroscopeOptions(sample_size=8, class_channels=2)
# Defaults that make each call small. The results of each are tested elsewhere.
SMALL = {
    "render": {"size": 32, "steps": 2},
    "dream": {"steps": 1, "octaves": 2},
    "activation_grid": {"size": 24, "steps": 2},
    "find_units": {"layers": ["features.12"], "max_units": 2},
    "evaluate": {"random_sets": 9},
    "activation_atlas": {"levels": [4], "options": AtlasOptions(layout="tsne", size=24, steps=1, min_points=1)},
    "build_microscope": {"size": 64, "steps": 1, "channels": range(8), "options": SITE},
}


def run(example, folder, monkeypatch):
    """Run an example in a folder, with small defaults, and return its names."""
    monkeypatch.chdir(folder)
    for name, options in SMALL.items():
        monkeypatch.setattr(optvis, name, partial(getattr(optvis, name), progress=False, **options))
    names = {"__name__": "readme"}
    exec(compile(example, "README.md", "exec"), names)
    return names


def copy_photographs(photographs, folder):
    """Write the files and folders that the example names: two photographs to find units with, others to evaluate."""
    ships = [path for path in photographs if path.parent.name == "container_ship"]
    liners = [path for path in photographs if path.parent.name == "ocean_liner"]
    others = [path for path in photographs if path not in ships + liners]
    sets = {"ships": ships[:2], "more ships": ships[2:], "liners": liners[:2], "more liners": liners[2:]}
    for name, paths in (sets | {"others": others, "images": photographs[::3]}).items():
        (folder / name).mkdir()
        for path in paths:
            shutil.copy(path, folder / name / f"{path.parent.name}-{path.name}")
    shutil.copy(ships[0], folder / "photo.jpg")


def test_every_example_is_run_here():
    assert len(EXAMPLES) == 2


def test_the_example_of_the_embedded_network_runs(tmp_path, monkeypatch):
    names = run(EXAMPLES[0], tmp_path, monkeypatch)
    assert names["model"].name == "demo"
    assert (tmp_path / "17.png").stat().st_size > 0
    assert torch.equal(names["kurtosis"](torch.ones(2, 3)), torch.ones(2))


def test_the_example_with_photographs_runs(tmp_path, monkeypatch, squeezenet, photographs):
    copy_photographs(photographs, tmp_path)
    names = run(EXAMPLES[1], tmp_path, monkeypatch)
    assert names["model"].name == squeezenet.name
    assert (tmp_path / "pages" / "index.html").is_file()
    for name in ("dream.png", "grid.png", "ablated.png"):
        assert (tmp_path / name).stat().st_size > 0, name
    for name in ("report", "atlas"):
        assert list((tmp_path / name).iterdir()), name
    assert len(names["attribution"].top(5)) == 5
    assert sum(len(one.indices) for one in names["units"]) <= 2
