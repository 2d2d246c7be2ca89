"""Every public function gives the same result in any state of torch around the call, and leaves that state as it is."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import is_dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from optvis import (
    Attribution,
    Channels,
    Classifier,
    Rendering,
    accentuate,
    activation_atlas,
    activation_grid,
    activations,
    ascend,
    attribute,
    bake,
    blinded,
    build_microscope,
    class_atlas,
    classify,
    compare_classes,
    compare_renderings,
    dream,
    evaluate,
    find_units,
    layers,
    load_image,
    maco,
    receptive_fields,
    render,
    sample_activations,
    semantic_dictionary,
    try_patch,
)
from optvis.ablation import Gaussian, Mean
from optvis.atlas import AtlasOptions
from optvis.attribution.names import METHODS
from optvis.circuits import expanded_weights, hinton_of_expanded_weights
from optvis.microscope import MicroscopeOptions
from optvis.objectives import channel, direction, layer_norm, logit, neuron, total_variation
from optvis.params import ImageParam, cppn_image, fft_image, grayscale_image, phase_image, pixel_image, pyramid_image

ROOT = Path(__file__).resolve().parent.parent
SIZE = 16


class Shift(nn.Module):
    """Adds a tensor that it makes at each call, and so depends on the default device."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(0, 0.1, x.shape[1], dtype=x.dtype).view(-1, 1, 1)


def build_network() -> nn.Sequential:
    """A small network whose layer "4" has 4 × 4 positions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            Shift(),
            nn.Conv2d(8, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 3),
        ).eval()


NETWORK = Classifier(build_network(), lambda images: images - 0.5, SIZE, labels=("cat", "dog", "owl"), name="small")
GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.rand(12, 3, SIZE, SIZE, generator=GENERATOR) * torch.rand(12, 3, 1, 1, generator=GENERATOR)
with torch.no_grad():  # so that each class has images
    logits = NETWORK.logits(IMAGES)
    NETWORK.network[8].bias.sub_(logits.mean(0)).div_(logits.std(0))
    NETWORK.network[8].weight.div_(logits.std(0).unsqueeze(1))
CLASSES = NETWORK.logits(IMAGES).argmax(1)
DOGS, OTHERS = IMAGES[CLASSES == 1], IMAGES[CLASSES != 1]
UNITS = Channels("4", [1, 3])
OPTIONS = AtlasOptions(layout="tsne", size=12, steps=1, rank=3)
QUIET = {"progress": False}
DRAWN = {"steps": 2, "progress": False}


def _microscope(net: Classifier, folder: Path) -> dict[str, Tensor]:
    options = MicroscopeOptions(group_size=2, top_images=2, sample_size=4)
    page = build_microscope(net, IMAGES, "4", folder, channels=[1, 2], size=12, options=options, **DRAWN)
    files = sorted(file for file in page.parent.rglob("*.json") if "recipe" not in file.name)
    return {file.name: torch.tensor(list(file.read_bytes()), device="cpu") for file in files}


def _atlas(atlas: Any) -> list[Any]:
    return [atlas.samples, atlas.points, *(level.icons for level in atlas.levels)]


def _blinded(net: Classifier, fill: Any) -> Tensor:
    with blinded(net, UNITS, fill=fill) as same:
        return same.logits(IMAGES)


def _evaluate(net: Classifier) -> list[Any]:
    report = evaluate(net, UNITS, {"all": (IMAGES, CLASSES.tolist())}, random_sets=4, **QUIET)
    return [report.predictions, report.sets, report.curve, report.baseline]


def _ascend(net: Classifier, **options: Any) -> list[Tensor]:
    return [step.images for step in islice(ascend(net, channel("4", 1), size=SIZE, **options), 3)]


def _patches(net: Classifier) -> list[float]:
    trial = try_patch(net, IMAGES[0, :, :8, :8], IMAGES, "owl", "dog", sizes=[6], **QUIET)
    return [trial.flip_rate().share, trial.flip_rate("flat").share]


def _attribute(net: Classifier, _: Path, method: str) -> Attribution:
    return attribute(net, IMAGES[:2], "4", logit("dog"), method=method, **QUIET)


def _render(net: Classifier, _: Path, make: Callable[..., ImageParam]) -> Rendering:
    return render(net, channel("4", 1), make(SIZE), **DRAWN)


MAKERS = (cppn_image, fft_image, grayscale_image, phase_image, pixel_image, pyramid_image)
USES: dict[str, Callable[[Classifier, Path], Any]] = (
    {
        "render": lambda net, _: render(net, channel("4", [1, 2]), size=SIZE, **DRAWN),
        "render a neuron": lambda net, _: render(net, neuron("4", 1) - 0.1 * total_variation(), size=SIZE, **DRAWN),
        "render a direction": lambda net, _: render(
            net, direction("4", [0.1, 0.2, 0.3, 0, 0, 1.1]), size=SIZE, **DRAWN
        ),
        "render in batches": lambda net, _: render(net, channel("4", [1, 2]), size=SIZE, batch_size=1, **DRAWN),
        "render with a smooth pool": lambda net, _: render(net, logit("dog"), transparency=True, views=2, **DRAWN),
        "ascend": lambda net, _: _ascend(net),
        "ascend with torch's Adam": lambda net, _: _ascend(net, optimizer=torch.optim.Adam),
        "maco": lambda net, _: maco(net, channel("4", 1), views=2, **DRAWN),
        "accentuate": lambda net, _: accentuate(net, IMAGES[0], channel("4", 1), "2", **DRAWN),
        "dream": lambda net, _: dream(net, IMAGES[0], layer_norm("4"), octaves=2, **DRAWN),
        "activation_grid": lambda net, _: activation_grid(net, IMAGES[0], "5", groups=2, size=12, **DRAWN),
        "naive activation_grid": lambda net, _: activation_grid(net, IMAGES[0], "5", groups=0, size=12, **DRAWN),
        "semantic_dictionary": lambda net, _: semantic_dictionary(net, IMAGES[0], "5", top=1, size=12, **DRAWN),
        "sample_activations": lambda net, _: sample_activations(net, IMAGES, "5", **QUIET),
        "activation_atlas": lambda net, _: _atlas(
            activation_atlas(net, IMAGES, "5", levels=[2], options=OPTIONS, **QUIET)
        ),
        "class_atlas": lambda net, _: _atlas(
            class_atlas(net, IMAGES, "5", "owl", levels=[2], options=OPTIONS, **QUIET)
        ),
        "compare_classes": lambda net, _: _atlas(
            compare_classes(net, IMAGES, "5", "dog", "owl", levels=[2], options=OPTIONS, **QUIET).atlas
        ),
        "microscope": _microscope,
        "receptive_fields": lambda net, _: receptive_fields(net, "5"),
        "expanded_weights": lambda net, _: expanded_weights(net, "2", "4", [0, 3]),
        "hinton": lambda net, _: hinton_of_expanded_weights(net, "2", "4", [0], top=2, icons=1, **DRAWN).values,
        "find_units": lambda net, _: [
            list(part.indices)
            for part in find_units(net, DOGS, "dog", keep=OTHERS[2:3], layers=["4"], method="greedy", **QUIET)
        ],
        "evaluate": lambda net, _: _evaluate(net),
        "bake": lambda net, _: [*bake(net, UNITS).network.state_dict().values()],
        "bake with fills": lambda net, _: [*bake(net, UNITS, fill=0.3).network.state_dict().values()],
        "blinded": lambda net, _: _blinded(net, 0.0),
        "blinded by mean": lambda net, _: _blinded(net, Mean(IMAGES[:4])),
        "blinded by noise": lambda net, _: _blinded(net, Gaussian(0.5)),
        "compare_renderings": lambda net, _: compare_renderings(net, UNITS, logit("dog"), size=SIZE, **DRAWN).before,
        "classify": lambda net, _: classify(net, IMAGES).confidences,
        "activations": lambda net, _: activations(net, IMAGES, ["2", "4", ""]),
        "layers": lambda net, _: torch.tensor(list(str(layers(net)).encode()), device="cpu"),
        "load_image": lambda net, _: load_image(IMAGES[0], 9),
        "try_patch": lambda net, _: _patches(net),
    }
    | {
        f"attribute by {name}": lambda net, _, name=name: attribute(
            net, IMAGES[:2], "4", logit("dog"), method=name, **QUIET
        )
        for name in METHODS
    }
    | {
        f"render {make.__name__}": lambda net, _, make=make: render(net, channel("4", 1), make(SIZE), **DRAWN)
        for make in (cppn_image, fft_image, grayscale_image, phase_image, pixel_image, pyramid_image)
    }
)


@contextmanager
def set_state(get: Callable[[], Any], change: Callable[[Any], Any], value: Any) -> Iterator[None]:
    """Inside, one of torch's global settings has another value."""
    before = get()
    change(value)
    try:
        yield
    finally:
        change(before)


class DefaultDevice(AbstractContextManager[None]):
    """torch.set_default_device; None at the end, so that no mode stays."""

    def __enter__(self) -> None:
        torch.set_default_device("meta")

    def __exit__(self, *_: object) -> None:
        torch.set_default_device(None)


default_dtype = partial(set_state, torch.get_default_dtype, torch.set_default_dtype)
STATES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "set_grad_enabled(False)": lambda: set_state(torch.is_grad_enabled, torch.set_grad_enabled, False),
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default device": DefaultDevice,
    "deterministic algorithms": lambda: set_state(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
}


def read_state() -> tuple[Any, ...]:
    """All that these states are, as values that compare by ==."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
    )


def tensors(result: Any) -> list[Tensor]:
    """All numbers of a result, in order."""
    if isinstance(result, Tensor):
        return [result.detach()]
    if is_dataclass(result):
        return tensors(vars(result))
    if isinstance(result, Mapping):
        return [part for value in result.values() for part in tensors(value)]
    if isinstance(result, list | tuple):
        return [part for value in result for part in tensors(value)]
    is_number = isinstance(result, float | int)
    return [torch.tensor(float(result), dtype=torch.float64, device="cpu")] if is_number else []


EXPECTED: dict[str, list[Tensor]] = {}


def expected_tensors(use: str, folder: Path) -> list[Tensor]:
    """What a use gives in torch's usual state, computed once."""
    if use not in EXPECTED:
        EXPECTED[use] = tensors(USES[use](NETWORK, folder / "usual"))
    return EXPECTED[use]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("state", STATES)
def test_a_result_does_not_depend_on_torchs_state(use: str, state: str, tmp_path: Path) -> None:
    expected = expected_tensors(use, tmp_path)
    assert expected
    with STATES[state]():
        around = read_state()
        found = tensors(USES[use](NETWORK, tmp_path / "other"))
        assert read_state() == around
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.device == other.device
        assert_close(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)


class Autocast(nn.Sequential):
    """Runs under autocast, as networks trained in mixed precision do."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output: Tensor = super().forward(x)
        return output


class ToHalf(nn.Module):
    """Goes on in bfloat16: a network of mixed precision."""

    def forward(self, x: Tensor) -> Tensor:
        return x.bfloat16()


def mixed(network: nn.Sequential) -> nn.Sequential:
    """Convolutions in float32, the rest from layer "4" on in bfloat16."""
    network[3] = nn.Sequential(network[3], ToHalf())
    network[4:].bfloat16()
    return network


PRECISIONS: dict[str, Callable[[nn.Sequential], nn.Module]] = {
    "float64": lambda network: network.double(),
    "float16": lambda network: network.half(),
    "bfloat16": lambda network: network.bfloat16(),
    "mixed": mixed,
    "autocast inside": lambda network: Autocast(*network),
}


# Uses whose result jumps where numbers change a little: a choice of places, files, random numbers.
JUMPING = ("activation_atlas", "layers", "microscope", "evaluate")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_of_another_precision_gives_about_the_same(use: str, precision: str, tmp_path: Path) -> None:
    network = PRECISIONS[precision](copy.deepcopy(NETWORK.network))
    found = tensors(USES[use](replace(NETWORK, network=network), tmp_path))
    expected = expected_tensors(use, tmp_path)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.isnan().any() == other.isnan().any()
        if use not in JUMPING:
            difference = (one.double() - other.double()).nan_to_num().norm()
            tolerance = 1e-5 if precision == "float64" else 0.1
            assert difference <= tolerance * other.double().nan_to_num().norm() + 1e-9


MAKERS_OF_TENSORS = (
    *("arange", "as_tensor", "empty", "eye", "full", "linspace", "logspace", "ones", "rand", "randint", "randn"),
    *("randperm", "scalar_tensor", "tensor", "zeros", "fftfreq", "rfftfreq"),
)


def test_each_tensor_is_made_on_a_device_that_is_named() -> None:
    """A default device that no test can set, such as a GPU, is not used either."""
    files = [file for folder in ("optvis", "params", "objectives") for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 100
    calls = [(file, node) for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    unnamed = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, node in calls
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in MAKERS_OF_TENSORS
        and ast.unparse(node.func.value) in ("torch", "torch.fft")
        and not any(keyword.arg == "device" for keyword in node.keywords)
    ]
    assert unnamed == []
