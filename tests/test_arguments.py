"""Arguments at the public border: a wrong type is one sentence, numbers of NumPy are numbers, all else stays."""

from __future__ import annotations

import importlib
import inspect
import pickle
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum import attr as captum

from optvis import Channels, Classifier, Rendering, ascend, attribute, dream, evaluate, load, maco, render
from optvis.ablation import leave_one_out
from optvis.arguments import check, check_arguments
from optvis.atlas import activation_atlas, class_atlas
from optvis.attribution import FromCaptum
from optvis.objectives import channel, logit, total_variation
from optvis.params import FFT, Streams, fft_image, pixel_image
from optvis.transforms import Compose, Jitter, Pad, Rotate

PACKAGES = (
    *("ablation", "atlas", "attribution", "circuits", "data", "demo", "features", "grids", "microscope", "models"),
    *("objectives", "params", "patches", "rendering", "transforms", "viz", "world"),
)
IMAGE = torch.rand(3, 16, 16)


def expect_one_sentence(call: Callable[[Classifier], object], net: Classifier, start: str) -> None:
    with pytest.raises(TypeError) as caught:
        call(net)
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)


def public():
    modules = [importlib.import_module(f"optvis.{package}") for package in PACKAGES]
    return [(module.__name__, name, getattr(module, name)) for module in modules for name in module.__all__]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: render(net, "conv1:0", size="16"), "render: size must be int, (int, int) or None, got str '16'"),
        (lambda net: render(net, "conv1:0", size=True), "render: size must be int, (int, int) or None, got bool True"),
        (lambda net: render(net, "conv1:0", steps=True), "render: steps must be int"),
        (lambda net: fft_image(np.True_), "fft_image: size must be int"),
        (lambda net: render(net, 3), "render: objective must be Objective or str, got int 3"),
        (lambda net: render(3, "conv1:0"), "render: model must be Module or Classifier, got int 3"),
        (lambda net: render(net, "conv1:0", steps=2.0), "render: steps must be int or None, got float 2.0"),
        (lambda net: render(net, "conv1:0", seed=[1, "a"]), "render: seed must be int or a sequence of int, got list"),
        (lambda net: render(net, "conv1:0", optimizer=5), "render: optimizer must be a function or None, got int 5"),
        (lambda net: maco(net, "conv1:0", views="2"), "maco: views must be int, got str '2'"),
        (lambda net: attribute(net, IMAGE, 7, logit(0)), "attribute: layer must be str, got int 7"),
        (lambda net: evaluate(net, Channels("conv1", [0]), [IMAGE]), "evaluate: image_sets must be a mapping of"),
        (lambda net: Rendering.load(5), "Rendering.load: path must be str or Path, got int 5"),
        (lambda net: Rendering(5, 5, 5), "Rendering: images must be Tensor, got int 5"),
        (lambda net: FFT(16, None), "FFT: streams must be Streams, got None"),
        (lambda net: Jitter([1]), "Jitter: pixels must be int, got list [1]"),
        (lambda net: fft_image(16, seeds=10**30), "fft_image: seeds must be a sequence of int, got int of 100 bits"),
        (lambda net: fft_image(2**70), "fft_image: size must be int or (int, int), got int of 71 bits; 63 is the most"),
        (lambda net: Classifier(net.network, None, 16, 5), "Classifier: labels must be a sequence of str, a mapping"),
        (lambda net: load(weights=5), "load: weights must be str or None, got int 5"),
        (lambda net: channel("conv1", {1: 2, "a": 2}), "channel: index must be int, an iterable of int or Tensor"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_one_sentence(small, call, message):
    expect_one_sentence(call, small, message)


def test_numbers_of_numpy_are_numbers(small):
    plain = render(small, "conv1:1", size=16, steps=2, seed=3, progress=False)
    options = {"size": np.int32(16), "steps": np.int64(2), "seed": np.uint8(3), "progress": np.bool_(False)}
    again = render(small, "conv1:1", **options)
    assert torch.equal(again.images, plain.images)
    assert again.recipe == plain.recipe
    assert pixel_image(np.array([8, 9]), seeds=np.arange(2), sd=np.float32(0.5))().shape == (2, 3, 8, 9)
    assert fft_image([8, 9])().shape == (1, 3, 8, 9)
    assert (np.float64(0.5) * channel("conv1", np.int64(3))).batch == 1


def test_signatures_names_docstrings_and_classes_stay():
    for package, name, value in public():
        if inspect.isfunction(value):
            assert inspect.signature(value) == inspect.signature(inspect.unwrap(value)), name
            assert value.__doc__ == inspect.unwrap(value).__doc__
            assert pickle.loads(pickle.dumps(value)) is value, name
            assert value.__module__ in (package, "optvis.models", "optvis.world") or value.__module__.startswith(
                "optvis."
            )
        elif inspect.isclass(value):
            assert getattr(importlib.import_module(value.__module__), name) is value
            assert value.__init__.__doc__ == inspect.unwrap(value.__init__).__doc__
    assert pickle.loads(pickle.dumps(Streams((0,), "x"))).seeds == (0,)


def test_every_public_function_is_checked():
    functions = [value for _, _, value in public() if inspect.isfunction(value)]
    assert len(functions) > 90
    assert all(hasattr(value, check.CHECKED) for value in functions)


def test_functions_that_share_keywords_have_them_in_one_order():
    owners: dict[tuple[str, str], str] = {}
    for _, name, value in public():
        parameters = inspect.signature(value).parameters.values() if inspect.isfunction(value) else ()
        keywords = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
        for pair in combinations(keywords, 2):
            other = owners.get(pair[::-1])
            assert other is None, f"{name} has {pair[0]} before {pair[1]}, and {other} behind it"
            owners[pair] = name


def test_what_goes_unchecked_is_known():
    """Images have readers of their own; hints that name a class of Pillow or matplotlib fit anything."""
    unread = set()
    for _, name, value in public():
        target = value.__init__ if inspect.isclass(value) else value
        if not hasattr(target, check.CHECKED) or getattr(value, "_is_protocol", False):
            continue
        function = target.__wrapped__
        for parameter in inspect.signature(function).parameters.values():
            text = str(parameter.annotation)
            if check._evaluate(parameter.annotation, function) is Any and text not in ("Any", "typing.Any", "'Any'"):
                unread.add((name, parameter.name, text))
    texts = {text for *_, text in unread if not any(word in text for word in ("Image", "Classes", "_empty"))}
    drawn, read = {"Picture", "Figure", "Axes | None"}, {"Survey | str | Path | None"}
    known = {"Layout", "Targets", "Mapping[str, ImageSet]", "Method", "str | Method", "Tensor | None"}
    assert texts <= known | drawn | read


def test_nothing_is_checked_inside_a_step(small, monkeypatch):
    calls = Counter()
    parameters = check._parameters

    def spy(function):
        calls[function.__qualname__] += 1
        return parameters(function)

    monkeypatch.setattr(check, "_parameters", spy)

    def checks(steps):
        calls.clear()
        render(small, channel("conv1", [0, 1]) - 0.01 * total_variation(), size=16, steps=steps, progress=False)
        return dict(calls)

    assert checks(2) == checks(6)
    assert sum(checks(2).values()) < 20


def test_a_call_from_inside_the_package_is_not_checked():
    inside: dict[str, Any] = {"__name__": "optvis.somewhere", "f": check_arguments(_identity)}
    exec("def call(value): return f(value)", inside)
    assert inside["call"]("text") == "text"
    with pytest.raises(TypeError, match="_identity: value must be int, got str 'text'"):
        inside["f"]("text")


def _identity(value: int) -> int:
    return value


def test_hostile_representations_do_not_spoil_the_message():
    class Hostile:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(TypeError, match="must be int, got"):
        check_arguments(_identity)(Hostile())
    with pytest.raises(TypeError) as caught:
        check_arguments(_identity)([list(range(10**5))] * 10**4)
    assert len(str(caught.value)) < 300
    with pytest.raises(TypeError, match="must be int, got PosixPath"):
        check_arguments(_identity)(Path("x" * 10_000))


# Names that do not exist


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: render(net, "conv1:0", batch=4), "render has no argument 'batch'; list the targets"),
        (lambda net: render(net, "conv1:0", device="cuda"), "render has no argument 'device'; the network's own"),
        (lambda net: render(net, "conv1:0", thresholds=(8,)), "render has no argument 'thresholds'; it is called snap"),
        (lambda net: render(net, "conv1:0", stps=4), "render has no argument 'stps'; nearest: 'steps'"),
        (lambda net: maco(net, "conv1:0", lr=1), "maco has no argument 'lr'; the optimizer has it: opt"),
        (lambda net: attribute(net, IMAGE, "conv1", logit(0), n_steps=5), "attribute has no argument 'n_steps'; metho"),
        (lambda net: attribute(net, IMAGE, "conv1", logit(0), steps=5), "attribute has no argument 'steps'; methods h"),
        (lambda net: FromCaptum(captum.Saliency, n_steps=5), "FromCaptum has no argument 'n_steps'; give it as op"),
        (lambda net: dream(net, IMAGE, logit(0), tile_size=64), "dream has no argument 'tile_size'; give it as oct"),
        (lambda net: activation_atlas(net, IMAGE, "conv1", min_points=5), "activation_atlas has no argument 'min_po"),
        (lambda net: class_atlas(net, IMAGE, "conv1", 0, tokens="class"), "class_atlas has no argument 'tokens'; the "),
        (lambda net: leave_one_out(net, IMAGE, 0, tokens="class"), "leave_one_out has no argument 'tokens'; the "),
        (lambda net: channel("conv1", 0, batch=2), "channel has no argument 'batch'; list the targets"),
        (lambda net: Classifier(net.network, None, 8, mean=0), "Classifier has no argument 'mean'; "),
        (lambda net: Rendering.load("x.png", mode=1), "Rendering.load has no argument 'mode'; there are path"),
    ],
)  # fmt: skip
def test_an_unknown_argument_is_one_sentence_with_the_nearest_cure(small, call, message):
    expect_one_sentence(call, small, message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: render(net, lambda a: a.mean()), "got function <lambda>; on('mixed4', function) makes an obj"),
        (lambda net: render(net, ["conv1:0", "conv1:1"]), "list the channels, channel('mixed4', [3, 17]), or render"),
        (lambda net: render(net, "conv1:0", transform=[lambda a: a]), "; a function becomes a transform in a class"),
        (lambda net: render(net, "conv1:0", transform=abs), "; a function becomes a transform in a class"),
        (lambda net: Compose(Jitter(4), abs), "; a function becomes a transform in a class"),
        (lambda net: Rotate(5), "degrees must be a sequence of float, got int 5; one alone is [5]"),
        (lambda net: Compose([Jitter(8)]), "got list [Jitter(8)]; without brackets: Compose("),
        (lambda net: channel("conv1", 0) + "conv1:1", "expected a number, or one per image, (B,); as_objective makes"),
    ],
)  # fmt: skip
def test_a_value_that_other_libraries_take_is_told_what_to_write(small, call, message):
    with pytest.raises(TypeError) as caught:
        call(small)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: render(net, "dog"), "e.g. 'dog:0'; for a class write logit('dog')"),
        (lambda net: render(net, "conv1:0", recipe="quick"), "no recipe 'quick'; there are 'natural', 'fast', "),
        (lambda net: Pad(12), "'reflect' or 'edge'; Margin(12) adds pixels around an image"),
        (lambda net: render(net, channel("input", 0)), "no layer 'input'; the image itself is '<image>'"),
    ],
)
def test_a_value_that_does_not_exist_leads_to_the_one_that_is_meant(small, call, message):
    with pytest.raises((ValueError, KeyError)) as caught:
        call(small)
    assert message in str(caught.value)


@pytest.mark.parametrize("package", ["optvis", *(f"optvis.{package}" for package in PACKAGES)])
def test_an_unknown_name_of_any_package_is_one_sentence(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"{package} has no 'zzzz'; "):
        module.zzzz  # noqa: B018
    with pytest.raises(ImportError, match=f"{package} has no 'zzzz'; "):
        exec(f"from {package} import zzzz")
    assert not hasattr(module, "zzzz")


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        ("optvis.objectives", "deepdream", "optvis.objectives has no 'deepdream'; here it is mean_square(layer)"),
        ("optvis", "render_vis", "optvis has no 'render_vis'; here it is render of optvis"),
        ("optvis", "channel", "optvis has no 'channel'; it is in optvis.objectives"),
        ("optvis", "rander", "optvis has no 'rander'; nearest: 'render'"),
        ("optvis.transforms", "jitter", "optvis.transforms has no 'jitter'; nearest: 'Jitter'"),
    ],
)
def test_an_unknown_name_leads_to_the_right_one(package, name, message):
    with pytest.raises(ImportError) as caught:
        exec(f"from {package} import {name}")
    assert str(caught.value).startswith(message)


def test_files_of_a_room_are_imported_as_ever():
    exec("from optvis.objectives import layout; from optvis.atlas import levels; from optvis import arguments")


@pytest.mark.parametrize("build", [pixel_image, fft_image])
@pytest.mark.parametrize("call", [render, ascend])
def test_a_size_beside_another_parameterization_is_refused(small, call, build):
    with pytest.raises(ValueError, match="size is 24 × 24 px for a parameterization of 16 × 16 px"):
        call(small, "conv1:0", build(16), size=24)
    call(small, "conv1:0", build(16), size=(16, 16), **({} if call is ascend else {"steps": 1, "progress": False}))


def test_a_classifier_moves_like_its_network(small):
    assert small.to("cpu") is small
    assert small.to("meta").device.type == "meta"
