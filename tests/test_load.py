"""Networks by name or file: fed as their publishers feed them, random ones repeatable, weights read as data only."""

from __future__ import annotations

import os
import pickle
import urllib.error
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from optvis import IMAGENET, Classifier, Normalize, load
from optvis.models.infer import with_input

SWITCH = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
FED = {"size": 224, "normalize": IMAGENET}  # what a file of weights does not say
CHECKPOINT = "squeezenet1_0-b66bff10.pth"


@pytest.fixture(scope="module")
def resnet():
    """The smallest timm network, random weights."""
    pytest.importorskip("timm")
    return load("timm/test_resnet", weights=None)


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No weights on the machine and no network."""

    def refused(*_args, **_options):
        raise urllib.error.URLError("Temporary failure in name resolution")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", refused)
    return tmp_path


def scenery(size):
    """A smooth picture with fine grain: where resizing or cropping differ, it shows."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    waves = [np.sin(columns / 7 + rows / 11), np.cos(columns / 5), np.sin(rows / 3)]
    grain = np.random.default_rng(0).normal(0, 0.1, (size[1], size[0], 3))
    return Image.fromarray(((np.stack(waves, -1) / 2 + 0.5 + grain).clip(0, 1) * 255).astype(np.uint8))


@pytest.mark.parametrize("name", ["squeezenet1_0", "resnet50", "inception_v3", "efficientnet_b0"])
@pytest.mark.parametrize("size", [(500, 333), (300, 411)])
def test_a_photograph_reaches_a_torchvision_network_as_its_publisher_says(name, size):
    weights = models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    framed = load(name, weights=None) if name == "squeezenet1_0" else without_network(name)
    ours = framed.normalize(framed.load_batch(scenery(size)))
    torch.testing.assert_close(ours, preset(scenery(size)).unsqueeze(0), atol=1e-5, rtol=0)
    assert framed.size == tuple(preset.crop_size * 2)


def without_network(name):
    """What `load` says of a network, without the time that its random weights take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get_model", lambda *_args, **_options: nn.Conv2d(3, 4, 1))
        return load(name, weights=None)


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224.augreg_in21k_ft_in1k"])
def test_a_photograph_reaches_a_timm_network_as_its_publisher_says(name):
    timm = pytest.importorskip("timm")
    classifier = load(f"timm/{name}", weights=None)
    config = timm.data.resolve_model_data_config(classifier.network)
    preset = timm.data.create_transform(**config, is_training=False)
    for size in ((500, 333), (300, 411)):
        ours = classifier.normalize(classifier.load_batch(scenery(size)))
        torch.testing.assert_close(ours, preset(scenery(size)).unsqueeze(0), atol=1e-5, rtol=0)
    assert classifier.size == config["input_size"][1:]


def test_labels_are_the_published_ones_a_text_per_output(random_squeezenet, resnet):
    assert len(random_squeezenet.labels) == 1000
    assert random_squeezenet.labels[510] == "container ship"
    assert len(resnet.labels) == resnet.network.num_classes
    given = [f"class {n}" for n in range(1000)]
    assert load("squeezenet1_0", weights=None, labels=given).labels == tuple(given)


def test_random_weights_are_the_same_each_time_and_leave_the_global_generator(random_squeezenet):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = load("squeezenet1_0", weights=None)
    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in random_squeezenet.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name]), name


def test_a_loaded_network_is_in_eval_mode_on_the_cpu(random_squeezenet, resnet):
    for classifier in (random_squeezenet, resnet):
        assert not any(module.training for module in classifier.network.modules())
        assert str(classifier.device) == "cpu"
        assert classifier.dtype == torch.float32
    assert random_squeezenet.name == "squeezenet1_0"
    assert resnet.name == "timm/test_resnet"


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("squeezenet1_O", "'squeezenet1_0'"), ("ResNet50", "'resnet50'"), ("zzzzz", "list_models"), ("", "list_models")],
)
def test_an_unknown_name_gives_the_nearest(asked, nearest):
    with pytest.raises(KeyError, match=f"no network '{asked}'; .*{nearest}"):
        load(asked, weights=None)


def test_the_name_of_a_folder_alone_says_how_folders_are_loaded(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyError, match=r"a folder: load\('hf/mine'\) .* load\('local-dir:mine'\)"):
        load("mine")


def test_an_unknown_timm_name_gives_the_nearest(resnet):
    with pytest.raises(KeyError, match=r"no network 'timm/resnet1O'; nearest: .*'timm/resnet18'"):
        load("timm/resnet1O", weights=None)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("fcn_resnet50", r"segmentation network yourself: Classifier\(torchvision.models.get_model\('fcn_resnet50'"),
        ("lraspp_mobilenet_v3_large", "segmentation network yourself"),
        ("fasterrcnn_resnet50_fpn", r"detector yourself.*Classifier\(.*, None, size\)"),
        ("raft_large", r"get_model\('raft_large', .*forward="),
        ("r3d_18", r"get_model\('r3d_18', "),
    ],
)
def test_networks_that_are_no_classifiers_are_built_by_hand(name, cure):
    with pytest.raises(KeyError, match=rf"no network '{name}' among the classifiers, .*{cure}") as caught:
        load(name, weights=None)
    assert "nearest" not in str(caught.value)


def test_unknown_weights_name_those_there_are():
    with pytest.raises(KeyError, match="no weights 'IMAGENET1K_V9' of squeezenet1_0; there are IMAGENET1K_V1"):
        load("squeezenet1_0", weights="IMAGENET1K_V9")


def test_without_weights_or_network_the_error_says_what_to_do(offline):
    with pytest.raises(ConnectionError, match=r"'squeezenet1_0'.*name resolution.*TORCH_HOME.*--weights none") as error:
        load("squeezenet1_0")
    assert isinstance(error.value.__cause__, urllib.error.URLError)
    assert not list(offline.rglob("*.pth"))


def test_without_weights_or_network_timms_error_says_what_to_do(monkeypatch, offline):
    pytest.importorskip("timm")

    def refused(*_args, **_options):
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", refused)
    with pytest.raises(ConnectionError, match=r"'timm/test_resnet'.*HF_HOME.*--weights none"):
        load("timm/test_resnet")


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'optvis\[timm\]'"):
        load("timm/test_resnet", weights=None)


def test_weights_already_here_need_no_network(offline, random_squeezenet):
    folder = offline / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(random_squeezenet.network.state_dict(), folder / CHECKPOINT)
    loaded = load("squeezenet1_0")
    for name, weight in loaded.network.state_dict().items():
        assert torch.equal(weight, random_squeezenet.network.state_dict()[name])


def test_a_published_checkpoint_that_is_damaged_is_refused(offline):
    folder = offline / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).write_bytes(b"PK\x03\x04 half of it")
    with pytest.raises(ValueError, match=r"weights of 'squeezenet1_0' .*damaged.*--weights none"):
        load("squeezenet1_0")


class Malice:
    """Code that runs where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_the_malice_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Malice(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("format", ["zip", "legacy"])
def test_a_published_checkpoint_that_was_tampered_with_is_not_executed(offline, format):
    folder = offline / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    state = {"features.0.weight": Malice(offline / "ran")}
    torch.save(state, folder / CHECKPOINT, _use_new_zipfile_serialization=format == "zip")
    with pytest.raises(ValueError, match=r"weights of 'squeezenet1_0' .*(damaged|code)"):
        load("squeezenet1_0")
    assert not (offline / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
@pytest.mark.parametrize("format", ["zip", "legacy"])
def test_a_file_with_code_in_it_is_refused_and_not_executed(tmp_path, suffix, format):
    path = tmp_path / f"weights{suffix}"
    torch.save({"state_dict": Malice(tmp_path / "ran")}, path, _use_new_zipfile_serialization=format == "zip")
    with pytest.raises(ValueError, match="code beside weights"):
        load(path, architecture="squeezenet1_0")
    assert not (tmp_path / "ran").exists()


def test_a_bare_pickle_is_refused_and_not_executed(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Malice(tmp_path / "ran")))
    with pytest.raises(ValueError, match="code beside weights"):
        load(path, architecture="squeezenet1_0")
    assert not (tmp_path / "ran").exists()


def test_not_even_where_the_environment_asks_for_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": Malice(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="code beside weights"):
        load(path, architecture="squeezenet1_0")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("before", [None, "0"])
def test_torchs_own_switch_is_put_back(monkeypatch, offline, before):
    if before is None:
        monkeypatch.delenv(SWITCH, raising=False)
    else:
        monkeypatch.setenv(SWITCH, before)
    load("squeezenet1_0", weights=None)
    assert os.environ.get(SWITCH) == before
    with pytest.raises(ConnectionError):
        load("squeezenet1_0")
    assert os.environ.get(SWITCH) == before


@pytest.fixture(scope="module")
def trained():
    """Weights that differ from the random ones of `load`."""
    torch.manual_seed(11)
    return {name: torch.randn_like(weight) for name, weight in models.squeezenet1_0().state_dict().items()}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors", ".PTH"])
def test_a_file_of_weights_is_its_architecture_with_these_weights(tmp_path, trained, suffix):
    path = tmp_path / f"mine{suffix}"
    save_file(trained, path) if suffix == ".safetensors" else torch.save(trained, path)
    loaded = load(path, architecture="squeezenet1_0", **FED)
    for name, weight in loaded.network.state_dict().items():
        assert torch.equal(weight, trained[name]), name
    assert len(loaded.labels) == 1000
    assert not loaded.network.training


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_one_level_down_are_found(tmp_path, trained, key):
    path = tmp_path / "mine.pth"
    torch.save({key: trained, "epoch": 3}, path)
    loaded = load(str(path), architecture="squeezenet1_0", **FED)
    assert torch.equal(loaded.network.state_dict()["features.0.weight"], trained["features.0.weight"])


def test_labels_tell_the_number_of_classes(tmp_path):
    state = models.squeezenet1_0(num_classes=2).state_dict()
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    loaded = load(path, architecture="squeezenet1_0", **FED, labels=["cat", "dog"])
    assert loaded.labels == ("cat", "dog")
    with pytest.raises(ValueError, match=r"mine\.pth do not fit squeezenet1_0: .*labels=\["):
        load(path, architecture="squeezenet1_0")


LABELS = ("cat", "dog", "horse")
FORMS = {
    "list": list,
    "dict by index": lambda texts: dict(enumerate(texts)),
    "dict in any order": lambda texts: dict(reversed(list(enumerate(texts)))),
    "dict of Hugging Face's JSON": lambda texts: {str(index): text for index, text in enumerate(texts)},
    "file": lambda texts: write_labels("\n".join(texts)),
    "file of Windows": lambda texts: str(write_labels("\ufeff" + "\r\n".join(texts) + "\r\n\r\n")),
}


def write_labels(text):
    path = Path("labels.txt")
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_labels_are_taken_in_each_form(monkeypatch, tmp_path, form):
    monkeypatch.chdir(tmp_path)
    network = models.squeezenet1_0(num_classes=3)
    torch.save(network.state_dict(), "mine.pth")
    assert Classifier(network, None, 64, form(LABELS)).labels == LABELS
    assert load("mine.pth", architecture="squeezenet1_0", labels=form(LABELS), **FED).labels == LABELS
    assert load("mine.pth", architecture=network, labels=form(LABELS), **FED).labels == LABELS


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({1: "cat", 2: "dog"}, "labels by index lack 0; expected the keys 0 to 1 for 2 labels"),
        ({0: "cat", "dog": "dog"}, "must be a sequence of str, a mapping of int to str"),
        ({"cat": "0", "dog": "1"}, "labels by index lack 0"),
        ("cat", "no file 'cat' with labels; give a text file with one label on each line, or one text for each class"),
        ("empty.txt", "'empty.txt' has an empty line 1"),
        ({0: "cat", 1: 3}, "must be a sequence of str, a mapping of int to str"),
    ],
)
def test_labels_that_make_no_sense_are_one_sentence(monkeypatch, tmp_path, labels, message):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    for call in (lambda: load(labels=labels), lambda: Classifier(nn.Flatten(), None, 8, labels)):
        with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("classes", "architecture", "labels", "cure"),
    [
        (3, "resnet18", None, r"for 3 classes give labels=\[\.\.\.\].*--labels FILE"),
        (3, "resnet18", LABELS[:2], r"2 labels were given, and the weights are of 3 classes"),
        (3, "resnet34", LABELS, "another network's than resnet34: .*architecture.*--architecture"),
        (3, "squeezenet1_0", None, "another network's than squeezenet1_0"),
        (3, "resnet50", LABELS[:2], "another network's than resnet50"),
        (3, "wide_resnet50_2", LABELS, "another network's than wide_resnet50_2"),
        (1000, "resnet18", LABELS, "3 labels were given, and the weights are of 1000 classes"),
    ],
)
def test_weights_that_do_not_fit_get_the_cure_that_helps(tmp_path, classes, architecture, labels, cure):
    torch.save(models.resnet18(num_classes=classes).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(ValueError, match=cure) as caught:
        load(tmp_path / "mine.pth", architecture=architecture, labels=labels)
    assert ("labels" in str(caught.value)) == ("another network" not in cure)


def save_scripted(network, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.save(torch.jit.script(network), path)


def save_pickled(network, path):
    with path.open("wb") as file:
        pickle.dump(network, file)


WHOLE = {
    "a whole pickled network": torch.save,
    "a whole pickled network, in torch's older format": partial(torch.save, _use_new_zipfile_serialization=False),
    "a whole pickled network, one level down": lambda network, path: torch.save({"model": network, "epoch": 3}, path),
    "a whole pickled network, of pickle alone": save_pickled,
    "a TorchScript program": save_scripted,
}


@pytest.mark.parametrize("architecture", [None, "squeezenet1_0"])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_network_that_was_saved_whole_is_called_what_it_is(monkeypatch, tmp_path, recwarn, kind, architecture):
    path, calls = tmp_path / "whole.pt", []
    WHOLE[kind](nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), path)
    monkeypatch.setattr(torch, "load", lambda *_args, **_options: calls.append(1))
    recwarn.clear()
    with pytest.raises(ValueError, match=rf"whole\.pt holds {kind.partition(',')[0]}, .*if you trust it") as caught:
        load(path, architecture=architecture)
    assert "state_dict()" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not calls
    assert not recwarn


EXTRA = {"criterion.weight": torch.ones(3), "ema.net.fc.bias": torch.ones(2)}


@pytest.mark.parametrize("extra", [{}, EXTRA, {"net.teacher.w": torch.ones(1)}], ids=["alone", "beside", "inside"])
@pytest.mark.parametrize("prefix", ["", "net.", "module.model.", "_orig_mod."])
@pytest.mark.parametrize("is_first", [False, True])
def test_what_lies_beside_a_network_in_a_checkpoint_is_left_out(tmp_path, trained, prefix, extra, is_first):
    own = {prefix + name: weight for name, weight in trained.items()}
    torch.save({"state_dict": {**extra, **own} if is_first else {**own, **extra}}, tmp_path / "last.ckpt")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = load(tmp_path / "last.ckpt", architecture="squeezenet1_0", **FED)
    for name, weight in loaded.network.state_dict().items():
        assert torch.equal(weight, trained[name]), name
    assert len(caught) == bool(extra)
    for warning in caught:
        assert "last.ckpt holds more than squeezenet1_0 has, which is left out" in str(warning.message)
        assert all(name in str(warning.message) for name in extra)
        assert warning.filename == __file__


def test_a_deeper_network_is_not_taken_for_a_shallower_one(tmp_path):
    deep = {f"net.{name}": weight for name, weight in models.resnet34().state_dict().items()}
    torch.save(deep, tmp_path / "deep.pth")
    with pytest.raises(ValueError, match=r"left over .*another network's than resnet18"):
        load(tmp_path / "deep.pth", architecture="resnet18")
    torch.save(nn.Sequential(*(nn.Linear(2, 2) for _ in range(3))).state_dict(), tmp_path / "three.pth")
    two = nn.Sequential(*(nn.Linear(2, 2) for _ in range(2)))
    two.pretrained_cfg = {"input_size": (3, 8, 8), "mean": (0,) * 3, "std": (1,) * 3}
    with pytest.raises(ValueError, match=r"2 left over \(2.weight, 2.bias\)"):
        load(tmp_path / "three.pth", architecture=two)


def test_an_architecture_may_be_a_module_that_says_how_it_is_fed(tmp_path, trained):
    path = tmp_path / "mine.pth"
    torch.save(trained, path)
    network = models.squeezenet1_0()
    assert load(path, architecture=network, **FED).network is network
    assert torch.equal(network.state_dict()["features.0.weight"], trained["features.0.weight"])
    labels = [str(n) for n in range(1000)]
    assert load(path, architecture=models.squeezenet1_0(), labels=labels, **FED).labels == tuple(labels)
    with pytest.raises(ValueError, match="Sequential does not say how its input is normalised"):
        load(path, architecture=nn.Sequential(nn.Flatten()))


def test_a_file_is_fed_as_its_user_says(tmp_path, trained):
    path, own = tmp_path / "mine.pth", Normalize((0.5,) * 3, (0.25,) * 3)
    torch.save(trained, path)
    net = load(path, architecture="squeezenet1_0", size=(96, 64), normalize=own)
    assert (net.size, net.normalize) == ((96, 64), own)
    assert net.load_batch(scenery((300, 411))).shape == (1, 3, 96, 64)
    bare = nn.Sequential(nn.Conv2d(3, 4, 3))
    torch.save(bare.state_dict(), path)
    net = load(path, architecture=bare, size=96, normalize=None)
    assert (net.size, net.normalize) == ((96, 96), None)


ASSUMED = r"mine\.pth is fed as published weights of squeezenet1_0 are; if .*, give its own "


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ({}, r"size=pixels and normalize=Normalize\(mean, std\), else size=224 and normalize=IMAGENET; "),
        ({"size": 96}, r"normalize=Normalize\(mean, std\), else normalize=IMAGENET; .* --normalize$"),
        ({"normalize": None}, r"size=pixels, else size=224; .* --input-size$"),
    ],
)
def test_what_a_file_does_not_say_is_assumed_with_a_warning(tmp_path, trained, given, cure):
    torch.save(trained, tmp_path / "mine.pth")
    with pytest.warns(UserWarning, match=ASSUMED + cure) as caught:
        load(tmp_path / "mine.pth", architecture="squeezenet1_0", **given)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_named_network_takes_another_size_or_normalisation():
    net = load("squeezenet1_0", weights=None, size=96, normalize=None)
    assert (net.size, net.normalize, net.load_batch(scenery((300, 411))).shape[2:]) == ((96, 96), None, (96, 96))
    half = load("squeezenet1_0", weights=None, normalize=Normalize((0.5,), (0.25,)))
    assert half.normalize == Normalize((0.5,) * 3, (0.25,) * 3)
    whole = load("squeezenet1_0", weights=None)
    assert load("squeezenet1_0", weights=None, size=224).crop == whole.crop
    with pytest.raises(ValueError, match="size is 96, and vit_b_16 takes images of 224 × 224 px only"):
        with_input(Classifier(nn.Flatten(), None, 224, name="vit_b_16", fixed_size=True), 96)
    for wrong, kind in (({"size": 0}, "size is 0"), ({"normalize": "imagenet"}, "normalize is 'imagenet'")):
        with pytest.raises(ValueError, match=kind):
            load("squeezenet1_0", weights=None, **wrong)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors do not fit squeezenet1_0: "):
        load(path, architecture="squeezenet1_0")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text", {"a": 1}, {"state_dict": [1]}, {3: torch.ones(1)}])
def test_a_file_that_holds_no_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "odd.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"odd\.pth"):
        load(path, architecture="squeezenet1_0")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_file_is_refused_by_name(tmp_path, trained, suffix, damage):
    path = tmp_path / f"mine{suffix}"
    save_file(trained, path) if suffix == ".safetensors" else torch.save(trained, path)
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello, world\n" * 9}[damage])
    with pytest.raises(ValueError, match=rf"mine\{suffix} is damaged"):
        load(path, architecture="squeezenet1_0")


def test_a_file_without_architecture_and_an_architecture_without_file_are_refused(tmp_path, trained):
    path = tmp_path / "mine.pth"
    torch.save(trained, path)
    with pytest.raises(ValueError, match="architecture='resnet50'"):
        load(path)
    with pytest.raises(ValueError, match="'squeezenet1_0' is a name"):
        load("squeezenet1_0", weights=None, architecture="squeezenet1_0")
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "nowhere.pth", architecture="squeezenet1_0")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "folder.pth", architecture="squeezenet1_0")


def test_transformers_take_their_own_size_only_and_say_so():
    assert without_network("vit_b_16").size == (224, 224)
    assert load("timm/vit_tiny_patch16_224", weights=None).fixed_size
    assert not load("squeezenet1_0", weights=None).fixed_size


def test_a_loaded_network_is_a_classifier_with_its_publishers_numbers(random_squeezenet):
    assert isinstance(random_squeezenet, Classifier)
    assert random_squeezenet.normalize == Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
