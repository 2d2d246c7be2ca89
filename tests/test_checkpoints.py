"""Files that training scripts write: weights are found under their keys and prefixes, and the rest is left alone."""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import types
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from optvis import IMAGENET, load

ARCHITECTURE = "timm/test_resnet"
LABELS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def weights():
    """Weights of three classes that no random network has."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(7)
    return timm.create_model("test_resnet", num_classes=3).state_dict()


def under(prefix, weights):
    return {f"{prefix}{name}": value for name, value in weights.items()}


def zeros(weights):
    return {name: torch.zeros_like(value) for name, value in weights.items()}


def lightning(weights):
    loops = {"epoch_loop": {"state_dict": {}, "batch_progress": {"total": {"ready": 3}}}}
    return {"state_dict": under("model.", weights), "epoch": 3, "hyper_parameters": {"lr": 0.1}, "loops": loops,
            "callbacks": {"ModelCheckpoint{'mode': 'min'}": {"best_model_score": torch.tensor(1.0)}},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}]}  # fmt: skip


def arguments(weights):
    values = argparse.Namespace(lr=0.1, out=pathlib.PurePosixPath("runs"), when=datetime.timedelta(3))
    return {"state_dict": weights, "args": values, "more": types.SimpleNamespace(a=1)}


FILES = {
    "of Lightning": lightning,
    "of timm's script": lambda weights: {"state_dict": weights, "args": argparse.Namespace(model="x"), "arch": "x"},
    "with arguments": arguments,
    "with numbers of numpy": lambda weights: {"model": weights, "best": np.float64(0.5), "curve": np.zeros(3)},
    "of DataParallel": lambda weights: under("module.", weights),
    "of a compiled network": lambda weights: {"model": under("module._orig_mod.", weights)},
    "of peft": lambda weights: under("base_model.model.", weights),
    "of DINO": lambda weights: {"student": under("module.", zeros(weights)), "teacher": under("backbone.", weights)},
    "of DeepSpeed": lambda weights: {"module": weights, "dtype": torch.float16},
    "of parameters": lambda weights: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in weights.items()},
    "in half precision": lambda weights: {k: v.half() if v.is_floating_point() else v for k, v in weights.items()},
}  # fmt: skip


def read(path, content, **options):
    torch.save(content, path)
    return load(path, architecture=ARCHITECTURE, labels=LABELS, size=160, normalize=IMAGENET, **options)


def assert_has(net, weights):
    for name, value in net.network.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("suffix", [".ckpt", ".pth", ".pth.tar"])
def test_weights_are_found_without_a_word(tmp_path, weights, kind, suffix):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = read(tmp_path / f"file{suffix}", FILES[kind](weights))
    assert_has(net, weights)
    assert net.dtype == torch.float32


AVERAGES = {
    "state_dict_ema": lambda weights: {"state_dict": zeros(weights), "state_dict_ema": weights},
    "model_ema": lambda weights: {"model": zeros(weights), "model_ema": under("module.", weights)},
}


@pytest.mark.parametrize("key", AVERAGES)
def test_averages_are_taken_before_others_and_that_is_said(tmp_path, weights, key):
    content = AVERAGES[key](weights)
    other = next(name for name in content if name != key)
    with pytest.warns(UserWarning, match=f"under '{key}', '{other}': .* weights='{other}'"):
        net = read(tmp_path / "file.ckpt", content)
    assert_has(net, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_has(read(tmp_path / "file.ckpt", content, weights=other), zeros(weights))


def test_of_equal_prefixes_the_average_is_taken(tmp_path, weights):
    both = under("online_model.", zeros(weights)) | under("ema_model.", weights)
    with pytest.warns(UserWarning, match=r"holds more than .* left out: online_model\."):
        assert_has(read(tmp_path / "file.ckpt", {"model": both}), weights)


def test_a_key_that_is_not_there_is_one_sentence(tmp_path, weights):
    with pytest.raises(KeyError, match=r"no weights 'ema' in file.ckpt, which has weights at 'model'"):
        read(tmp_path / "file.ckpt", {"model": weights}, weights="ema")
    with pytest.raises(KeyError, match="which has weights at no key"):
        read(tmp_path / "file.ckpt", weights, weights="ema")


def test_what_is_missing_and_what_is_left_over_is_said(tmp_path, weights):
    part = {name: value for name, value in weights.items() if name != "conv1.0.weight"}
    with pytest.raises(ValueError, match=r"do not fit timm/test_resnet: 1 missing \(conv1.0.weight\)"):
        read(tmp_path / "file.ckpt", {"state_dict": part})
    with pytest.warns(UserWarning, match=r"holds more than timm/test_resnet has, which is left out: n_averaged"):
        read(tmp_path / "file.ckpt", under("module.", weights) | {"n_averaged": torch.tensor(3)})


class Malice:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch it_ran",)


@pytest.mark.parametrize(
    "place", [lambda bad: bad, lambda bad: argparse.Namespace(x=bad), lambda bad: [np.zeros(2), bad]]
)
def test_code_beside_data_is_refused_and_not_run(monkeypatch, tmp_path, weights, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="holds code beside weights, which is not run"):
        read(tmp_path / "file.ckpt", {"state_dict": weights, "args": place(Malice())})
    assert not (tmp_path / "it_ran").exists()


def test_data_beside_weights_is_not_built(monkeypatch, tmp_path, weights):
    """Not even a class of the standard library is called."""
    called = []
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=1)}, tmp_path / "file.ckpt")
    monkeypatch.setattr(argparse.Namespace, "__init__", lambda *_args, **_options: called.append(1))
    load(tmp_path / "file.ckpt", architecture=ARCHITECTURE, labels=LABELS, size=160, normalize=IMAGENET)
    assert called == []
