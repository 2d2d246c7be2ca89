"""The page on a user's own models: every block of it runs as it stands, in order, on small networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torchvision import models

PAGE = Path(__file__).resolve().parent.parent / "docs" / "own_model.md"
BLOCKS = re.findall(r"(?ms)^```(?:\{code-cell\}|python)\n(.*?)^```$", PAGE.read_text("utf-8"))


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The files that the page names."""
    timm = pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    torch.save(models.resnet18(num_classes=3).state_dict(), "mine.pth")
    torch.save(timm.create_model("convnext_atto", num_classes=2).state_dict(), "other.pth")
    Path("labels.txt").write_text("cat\ndog\n", encoding="utf-8")


@pytest.fixture
def hub(monkeypatch):
    """Small networks of Hugging Face in place of published ones."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=3
    )
    network = transformers.ResNetForImageClassification(config)
    for builder, found in (
        (transformers.AutoModelForImageClassification, network),
        (transformers.AutoImageProcessor, transformers.ConvNextImageProcessor()),
    ):
        monkeypatch.setattr(builder, "from_pretrained", lambda _name, found=found: found)


def test_every_block_of_the_page_runs(files, hub):
    space: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block.replace('"cuda"', '"cpu"'), "own_model.md", "exec"), space)
    assert len(BLOCKS) >= 6
    assert space["net"].channels == 1
