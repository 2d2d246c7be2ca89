"""The README's Python example runs as it is written, on images of the embedded world."""

from __future__ import annotations

import re
from functools import partial

import torch

import optvis
from optvis.atlas import AtlasOptions
from optvis.microscope import MicroscopeOptions
from optvis.viz import to_pil_image
from optvis.world import dataset, scene

from .checks import ROOT

(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)

# Defaults that make each call small. The results of each are tested elsewhere.
SMALL = {
    "render": {"size": 32, "steps": 2},
    "dream": {"steps": 1},
    "activation_grid": {"size": 24, "steps": 2},
    "find_units": {"layers": ["mixed5"], "max_units": 2},
    "evaluate": {"random_sets": 9},
    "activation_atlas": {"levels": [4], "options": AtlasOptions(layout="tsne", size=24, steps=1, min_points=1)},
    "build_microscope": {"size": 24, "steps": 1, "channels": range(8), "options": MicroscopeOptions(sample_size=8)},
}


def write_images(folder, images):
    folder.mkdir()
    for index, image in enumerate(images):
        to_pil_image(image).save(folder / f"{index}.png")


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, options in SMALL.items():
        monkeypatch.setattr(optvis, name, partial(getattr(optvis, name), progress=False, **options))
    to_pil_image(scene("container ship", seed=1).image).save("photo.jpg")
    write_images(tmp_path / "ships", [scene("container ship", seed=seed).image for seed in range(4)])
    write_images(tmp_path / "more ships", [scene("container ship", seed=10 + seed).image for seed in range(4)])
    write_images(tmp_path / "liners", [scene("ocean liner", seed=seed).image for seed in range(4)])
    write_images(tmp_path / "more liners", [scene("ocean liner", seed=10 + seed).image for seed in range(4)])
    write_images(tmp_path / "others", [scene("lighthouse", seed=seed).image for seed in range(4)])
    write_images(tmp_path / "images", dataset(24, seed=1)[0])

    names = {"__name__": "readme"}
    exec(compile(EXAMPLE, "README.md", "exec"), names)

    assert (tmp_path / "pages" / "index.html").is_file()
    for name in ("17.png", "dream.png", "grid.png", "ablated.png"):
        assert (tmp_path / name).stat().st_size > 0, name
    for name in ("report", "atlas"):
        assert list((tmp_path / name).iterdir()), name
    assert len(names["attribution"].top(5)) == 5
    assert sum(len(one.indices) for one in names["units"]) <= 2
    assert torch.equal(names["kurtosis"](torch.ones(2, 3)), torch.ones(2))
