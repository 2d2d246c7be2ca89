"""Whether a change that should change no number changes none: results over the whole public surface, bit for bit.

python tests/bench/same_results.py record before.json        compute all results, and keep what they were
python tests/bench/same_results.py check before.json         compute them again; exit 1 where one differs
python tests/bench/same_results.py check before.json --only "objective, "

A result is known by a digest of its numbers: tensors, pixels of pictures, counts. What a person reads, such as names of
files, recipes, pages and messages, is left out. Digests compare on the same kind of machine with the same libraries
only. Run it with OMP_NUM_THREADS=1 MKL_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import random
import re
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from captum import attr as captum
from PIL import Image, ImageSequence
from sklearn.decomposition import PCA
from torch import Tensor, nn

from optvis import (
    IMAGENET,
    ActivationGrid,
    Attribution,
    Classifier,
    Rendering,
    activation_grid,
    activations,
    ascend,
    attribute,
    classify,
    dream,
    layers,
    load,
    render,
    semantic_dictionary,
)
from optvis.ablation import (
    Contrast,
    Gaussian,
    GreedySearch,
    LabeledImages,
    Mean,
    MostFrequent,
    Noise,
    Optimal,
    PredictionTable,
    Report,
    Resampled,
    Subspace,
    TopNorm,
    UnitSelection,
    bake,
    blinded,
    compare_predictions,
    compare_renderings,
    evaluate,
    find_directions,
    find_units,
    leave_one_out,
    save_baked,
)
from optvis.atlas import (
    ActivationAtlas,
    AtlasOptions,
    Cell,
    Comparison,
    Samples,
    activation_atlas,
    class_atlas,
    class_mask,
    compare_classes,
    lay_out,
    sample_activations,
)
from optvis.attribution.captum import FromCaptum
from optvis.attribution.methods import (
    Ablation,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    SmoothGrad,
    StochasticIntegratedGradients,
)
from optvis.circuits.hinton import hinton_of_activations, hinton_of_expanded_weights, hinton_of_weights
from optvis.circuits.weights import expanded_weights, strongest_inputs, weights
from optvis.cli.main import main as command
from optvis.data.images import load_image
from optvis.data.sources import as_dataset
from optvis.features.groups import Groups, group
from optvis.features.receptive_field import crop, receptive_fields
from optvis.features.units import Channels, Directions
from optvis.grids import IconOptions
from optvis.microscope import (
    ChannelRenderer,
    MicroscopeOptions,
    build_microscope,
    find_top_activations,
    measure_effects,
)
from optvis.models.borrow import borrow
from optvis.models.jvp import layer_jvp
from optvis.models.overrides.linear import linearize
from optvis.models.overrides.max_pool import Window, average, smooth_max_pool
from optvis.models.overrides.max_pool import squares as squared_pooling
from optvis.models.overrides.relu import open_relu, redirect_relu
from optvis.models.tail import Tail
from optvis.objectives import (
    IMAGE,
    OUTPUT,
    After,
    Decay,
    Objective,
    alignment,
    as_objective,
    blur_alpha_each_step,
    blur_input_each_step,
    caricature,
    channel,
    channel_interpolate,
    channel_weights,
    cosine,
    direction,
    direction_neuron,
    diversity,
    dot_compare,
    gram,
    gram_distance,
    gram_matrix,
    input_diff,
    interpolate,
    l1,
    l2,
    layer_norm,
    log_odds,
    logit,
    mean_square,
    neuron,
    on,
    penalize_boundary_complexity,
    pick,
    position_norm,
    positions,
    positive_negative,
    tensor_direction,
    total_variation,
    whitening,
)
from optvis.params import (
    FFT,
    DecorrelatedColor,
    FixedRegion,
    ImageParam,
    Phase,
    Pixels,
    Sigmoid,
    Streams,
    alpha_image,
    channels_image,
    color_matrix,
    cppn_image,
    fft_image,
    fix_images,
    fix_region,
    grayscale_image,
    mean_spectrum,
    one_over_f,
    phase_image,
    pixel_image,
    pyramid_image,
    shared_image,
)
from optvis.patches import cut_patch, flat_patch, load_patch, paste, shuffle_patch, try_patch
from optvis.rendering.accentuate import accentuate
from optvis.rendering.dreams.dream import black_start, divide_by_std, identity, noise_start
from optvis.rendering.dreams.octaves import Octaves
from optvis.rendering.maco import NADAM, maco
from optvis.rendering.optimizers import ADAM, ImageAdam
from optvis.transforms import (
    ATLAS,
    COARSE_TO_FINE,
    STANDARD,
    Blur,
    Compose,
    Crop,
    CropOrPad,
    Flip,
    GaussianNoise,
    Jitter,
    Margin,
    NormalizeGradient,
    NormalizeGradientRMS,
    OnColor,
    OnRandomColor,
    OnRandomNoise,
    Pad,
    Resize,
    Rotate,
    Scale,
    Stages,
    UniformNoise,
    Zoom,
    maco_crops,
)
from optvis.viz.hinton_diagram import Hinton, draw_squares, hinton
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.sheet import draw_cells, draw_sheet
from optvis.world import LABELS, Scenes, dataset, scene
from optvis.world.object_patches import object_patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the folder of `training`
from training.measure import confusion_matrix, measure_part_drops, measure_shortcuts

Compute: TypeAlias = Callable[[], Any]
Part: TypeAlias = tuple[str, tuple[int, ...], bytes]
Told: TypeAlias = dict[str, Any]

RESULTS: dict[str, Compute] = {}
SMALL, STEPS = 48, 3  # pixels a side and updates, where nothing else is asked for
TARGET = "white shark"
quiet: dict[str, Any] = {"progress": False}


def result(name: str) -> Callable[[Compute], Compute]:
    """Enter a function under the name of its result."""

    def entered(compute: Compute) -> Compute:
        if name in RESULTS:
            raise ValueError(f"two results are called {name!r}")
        RESULTS[name] = compute
        return compute

    return entered


def several(kind: str, computing: Callable[[Any], Any], made: Mapping[str, Any]) -> None:
    """Enter a result of one kind for each of these."""
    for name, one in made.items():
        result(f"{kind}, {name}")(partial(computing, one))


# Digests


def parts(value: Any) -> Iterator[Part]:
    """Kind, shape and bytes of all that a value holds, in order."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, Image.Image):
        yield f"pixels {value.mode}", np.asarray(value).shape, np.asarray(value).tobytes()
    elif isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        yield str(plain.dtype), tuple(plain.shape), plain.flatten().view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        if any(isinstance(key, str) for key in value):
            raise TypeError(f"a mapping by names, which may change: {list(value)[:3]}; give its values")
        yield from parts([each for key in sorted(value) for each in (key, value[key])])
    elif isinstance(value, list | tuple):
        yield from _of_list(value)
    else:
        yield _of_one(value)


def _of_list(value: Sequence[Any]) -> Iterator[Part]:
    if value and all(type(one) is float for one in value):
        yield "float", (len(value),), struct.pack(f"<{len(value)}d", *value)
    elif value and all(type(one) is int for one in value):
        yield "int", (len(value),), repr(list(value)).encode()
    else:
        yield "list", (len(value),), b""
        for one in value:
            yield from parts(one)


def _of_one(value: Any) -> Part:
    if value is None or isinstance(value, bool | int):
        return type(value).__name__, (), repr(value).encode()
    if isinstance(value, float):
        return "float", (), struct.pack("<d", value)
    raise TypeError(f"no digest of a {type(value).__name__}")


def described(value: Any) -> Told:
    """Digest of a result, and the shapes and kinds of what it holds."""
    found, total = list(parts(value)), hashlib.sha256()
    for kind, shape, data in found:
        total.update(f"{kind} {shape} {len(data)} ".encode() + data)
    held = [(kind, shape) for kind, shape, _ in found if kind != "list"]
    return {"digest": total.hexdigest(), "shape": [list(s) for _, s in held], "dtype": sorted({k for k, _ in held})}


def numbers_in(told: Any) -> list[float]:
    """All numbers of JSON's types or of dataclasses, by size: their names and their order may change."""
    return sorted(map(float, _numbers(told)))


def _numbers(told: Any) -> Iterator[float]:
    if is_dataclass(told):
        yield from _numbers([getattr(told, one.name) for one in fields(told)])
    elif isinstance(told, Mapping):
        yield from _numbers(list(told.values()))
    elif isinstance(told, list | tuple):
        for one in told:
            yield from _numbers(one)
    elif isinstance(told, bool | int | float):
        yield told


def read_pictures(folder: Path, *suffixes: str) -> list[Any]:
    """Pixels of all pictures in a folder and its subfolders, whatever the files are called."""
    found = [Image.open(path) for path in folder.rglob("*") if path.suffix in suffixes]
    frames = [np.asarray(one) for file in found for one in ImageSequence.Iterator(file)]
    return sorted(frames, key=lambda one: (one.shape, one.tobytes()))


# What is asked about


@cache
def net() -> Classifier:
    return load()


@cache
def small() -> Classifier:
    """The embedded network at 48 pixels."""
    return Classifier(net().network, net().normalize, SMALL, net().labels, name="demo")


@cache
def exact() -> Classifier:
    """The embedded network in float64, at 48 pixels."""
    return Classifier(load().network.double(), net().normalize, SMALL, net().labels, name="demo")


@cache
def elsewhere(name: str) -> Classifier:
    return load(name, weights=None)


@cache
def five_channels() -> Classifier:
    """A network of images with five channels."""
    torch.manual_seed(4)
    return Classifier(nn.Sequential(nn.Conv2d(5, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)), None, 16)


@cache
def ship() -> Tensor:
    return scene("container ship", seed=7).image


@cache
def photos() -> Tensor:
    """Two scenes, (2, 3, 96, 96)."""
    return torch.stack([scene("ocean liner", seed=3).image, scene("owl", seed=2).image])


@cache
def world(count: int = 64) -> tuple[Tensor, Tensor]:
    return dataset(count, seed=41)


@cache
def shows() -> Tensor:
    """Which of those scenes show the class that is to go."""
    return world()[1] == LABELS.index(TARGET)


def seen(layer: str, images: Tensor | None = None) -> Tensor:
    """A layer's activations for scenes at 48 pixels."""
    with torch.no_grad():
        return activations(small(), ship() if images is None else images, [layer])[layer]


def random_numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def rendering(made: Rendering) -> list[Any]:
    return [made.images, made.scores, made.snapshots, made.transparency]


def rendered(question: Objective | str, image: nn.Module | None = None, **options: Any) -> list[Any]:
    asked = small() if "model" not in options else options.pop("model")
    return rendering(render(asked, question, image, **{"recipe": "plain", "steps": STEPS, **quiet, **options}))


# The world


@result("world, a dataset")
def _() -> Any:
    return [*dataset(20, seed=2), Scenes(9, seed=5)[3][0], Scenes(9, seed=5).scene(-1).image]


@result("world, parts left out and added")
def _() -> Any:
    some = [scene("container ship", 7, without=["containers"]), scene("frying pan", 2, adding=["noodles"])]
    return [[one.image, one.index, list(one.masks.values())] for one in some]


@result("world, things that fool")
def _() -> Any:
    return [object_patch(name, seed) for name in ("locomotive", "baseball", "noodles") for seed in (0, 3)]


@result("world, confusion")
def _() -> Any:
    return confusion_matrix(net(), 48)


@result("world, what parts are worth")
def _() -> Any:
    return [list(drops.values()) for drops in measure_part_drops(net(), 2).values()]


@result("world, shortcuts")
def _() -> Any:
    return [[one.flip_rate, one.control_rate, one.size, one.position] for one in measure_shortcuts(net(), 4)]


@partial(several, "scene", made={label: label for label in LABELS})
def _(label: str) -> Any:
    made = scene(label, seed=11)
    return [made.image, made.index, made.seed, list(made.masks.values())]


# Parameterizations


class Plain(nn.Module):
    """A single colour: no ImageParam."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self) -> Tensor:
        return self.colour.sigmoid().expand(-1, -1, 32, 32)


def half() -> Tensor:
    mask = torch.zeros(32, 40)
    mask[:16], mask[16] = 1, 0.5
    return mask


WIDE, PAIR = (32, 40), (3, 8)  # size, seeds
PARAMS: dict[str, Callable[[], ImageParam]] = {
    "fft": lambda: fft_image(WIDE, seeds=PAIR),
    "fft of odd sides, decay, deviation": lambda: fft_image((33, 37), seeds=PAIR, decay=1.4, sd=0.1),
    "pixel": lambda: pixel_image(WIDE, seeds=PAIR),
    "laplacian pyramid": lambda: pyramid_image(WIDE, seeds=PAIR),
    "pyramid of two levels": lambda: pyramid_image(WIDE, seeds=PAIR, levels=2, sd=0.05),
    "shared": lambda: shared_image(WIDE, seeds=PAIR),
    "cppn": lambda: cppn_image(WIDE, seeds=PAIR),
    "phase": lambda: phase_image(WIDE, seeds=PAIR, decay=1.2),
    "phase of a measured spectrum": lambda: phase_image(WIDE, seeds=PAIR, spectrum=mean_spectrum(photos())),
    "grey": lambda: grayscale_image(WIDE, seeds=PAIR),
    "channels": lambda: channels_image(WIDE, 3, seeds=PAIR, decay=0.8),
    "fixed region": lambda: fix_region(fft_image(WIDE, seeds=PAIR), torch.full((1, 3, 1, 1), 0.25), half()),
    "fixed images": lambda: fix_images(fft_image(WIDE, seeds=PAIR), {0: ship()[:, :32, :40]}),
    "measured colours": lambda: ImageParam(
        FFT(WIDE, Streams(PAIR, "canvas")), DecorrelatedColor(color_matrix(photos())), Sigmoid()
    ),
    "pixels and a fixed colour": lambda: ImageParam(
        Pixels(WIDE, Streams(PAIR, "canvas")), Sigmoid(), FixedRegion(torch.full((1, 1, 1, 1), 0.5), half()[None, None])
    ),
    "phase of three channels": lambda: ImageParam(Phase(WIDE, Streams(PAIR, "canvas"), decay=1.5), Sigmoid()),
}


@partial(several, "image", made=PARAMS)
def _(make: Callable[[], ImageParam]) -> Any:
    image = make()
    first = image().detach().clone()
    return [first, rendered(channel("mixed4", [17, 40]), image, steps=6), list(image.parameters())]


FILLED = ("fft", "pixel", "laplacian pyramid", "shared", "phase", "grey", "fixed region", "measured colours")


@partial(several, "image from a picture", made={name: PARAMS[name] for name in FILLED})
def _(make: Callable[[], ImageParam]) -> Any:
    image = make().fill_(ship()[None, :, 20:52, 30:70])
    return [image(), rendered(channel("mixed4", [17, 40]), image, transform=None)]


@result("image, alpha")
def _() -> Any:
    chain = Compose(OnRandomNoise(), STANDARD)
    return rendered(channel("mixed4", [17, 40]), alpha_image(WIDE, seeds=PAIR), transform=chain, steps=6)


@result("image, five channels")
def _() -> Any:
    image = channels_image(16, 5, seeds=(0, 1))
    return rendered(channel("2", [1, 3]), image, model=five_channels(), transform=None)


@result("image, a module of one's own")
def _() -> Any:
    return rendered(channel("mixed4", 17), Plain())


@result("image, cppn at another size")
def _() -> Any:
    image = cppn_image(24, seeds=(5,))
    return [rendered(logit("owl"), image, steps=8), image.with_size((40, 56))()]


@result("image, some rows of a batch")
def _() -> Any:
    return [make()[1:2]() for name, make in PARAMS.items() if name != "shared"]


@result("image, spectra and colours")
def _() -> Any:
    color = color_matrix(photos())
    return [one_over_f((7, 10), 1.3), mean_spectrum(photos()), color, DecorrelatedColor(color).inverse(photos())]


@result("image, streams")
def _() -> Any:
    streams = Streams((4, 9, 4), "canvas")
    return [streams.normal(2, 3), streams.uniform(5), streams.seek(3).normal(4), streams[1:].uniform(2)]


# Objectives


def kurtosis(a: Tensor) -> Tensor:
    return a.flatten(1).pow(4).mean(1)


def bright_where_active(a: Tensor, x: Tensor) -> Tensor:
    return (a.mean(1) * nn.functional.adaptive_avg_pool2d(x.mean(1), a.shape[2:])).flatten(1).mean(1)


def contrast(a: Tensor, plus: Tensor, minus: Tensor) -> Tensor:
    means = positions(a).mean(2)
    return pick(means, plus) - pick(means, minus)


def vector() -> Tensor:
    return seen("mixed4").mean((0, 2, 3))


def moments() -> Tensor:
    return whitening(seen("mixed4", world()[0][:8]), damping=0.5)


OBJECTIVES: dict[str, Callable[[], Objective | str]] = {
    "channel": lambda: channel("mixed4", [17, 40]),
    "negative channel": lambda: -channel("mixed4.2", 17),
    "spelled": lambda: "mixed4:17",
    "channel by its axis": lambda: channel("mixed4", 3, channel_axis=1),
    "channel weights": lambda: channel_weights("mixed4", vector()),
    "neuron": lambda: neuron("mixed4", [16, 40], 2, 3),
    "neuron in the middle": lambda: neuron("conv2", 5),
    "logit by label": lambda: logit(["lighthouse", "owl"]),
    "logit by index": lambda: logit(3) - 0.5 * logit(2),
    "log odds": lambda: log_odds("wok"),
    "direction": lambda: direction("mixed4", vector()),
    "direction with power": lambda: direction("mixed4", vector(), power=2),
    "whitened direction": lambda: direction("mixed4", vector(), whitening=moments(), power=1),
    "direction at a place": lambda: direction_neuron("mixed4", vector(), 1, 2, power=1),
    "cosine": lambda: cosine("mixed4", vector()),
    "tensor direction": lambda: tensor_direction("mixed4", seen("mixed4")[:, :, 1:3, 1:4], power=1),
    "caricature": lambda: caricature("mixed3", seen("mixed3"), power=1),
    "caricature weighted": lambda: caricature("mixed3", seen("mixed3"), attribution=seen("mixed3") - 0.1),
    "dot compare": lambda: dot_compare("mixed3", seen("mixed3"), power=2),
    "layer norm": lambda: layer_norm("mixed3"),
    "norm of a channel": lambda: layer_norm("mixed3", [4, 5], p=3),
    "largest": lambda: layer_norm("mixed3", p=float("inf")),
    "position norm": lambda: position_norm("mixed4", 2, 1),
    "mean square": lambda: mean_square("mixed3"),
    "l1": lambda: channel("mixed4", 17) - 1e-4 * l1(constant=0.5),
    "l2": lambda: channel("mixed4", 17) - 1e-2 * l2(constant=0.5),
    "gram": lambda: 1e-5 * gram("mixed3"),
    "style": lambda: -gram_distance("conv2", gram_matrix(seen("conv2"))),
    "style by squares": lambda: -1.0 * gram_distance("mixed3", gram_matrix(seen("mixed3")), power=2),
    "total variation": lambda: channel("mixed4", [17, 40]) - [0.0003, 0.01] * total_variation(),
    "total variation of a layer": lambda: channel("mixed5", 4) - 0.001 * total_variation("mixed3"),
    "blur": lambda: channel("mixed4", 17) - 0.1 * blur_input_each_step(),
    "calm border": lambda: channel("mixed4", 17) + 0.01 * penalize_boundary_complexity(width=6),
    "calm where a mask says": lambda: (
        channel("mixed4", 17) + 0.01 * penalize_boundary_complexity(random_numbers(SMALL, SMALL), constant=0.4)
    ),
    "near an image": lambda: logit("owl") - 3 * input_diff(photos()[0, :, :SMALL, :SMALL]),
    "diversity": lambda: channel("mixed5", [40] * 3) - 0.2 * diversity("mixed3"),
    "diversity in groups": lambda: channel("mixed5", [4, 4, 9, 9]) - diversity("mixed5", group_size=2),
    "alignment": lambda: interpolate("mixed5:4", "mixed5:40", 3) + 10 * alignment("mixed3"),
    "positive and negative": lambda: positive_negative(channel("mixed4.2", [17, 40])),
    "interpolation of channels": lambda: channel_interpolate("mixed4", 17, "mixed5", 40, 3),
    "interpolation by weights": lambda: (
        (1 - torch.linspace(0, 1, 3)) * channel("mixed4", 17) + torch.linspace(0, 1, 3) * channel("mixed4", 40)
    ),
    "product": lambda: channel("mixed4", 17) * (channel("mixed5", 40) + 0.1 * layer_norm("mixed3")),
    "quotient and a number": lambda: (channel("mixed4", 17) + 2.5) / 3,
    "schedules": lambda: channel("mixed4", 17) * Decay(0.5) - 0.01 * total_variation() * After(1),
    "a function of the step": lambda: channel("mixed4", 17) * (lambda step: 1 / (1 + step)),
    "a function": lambda: on("mixed3", kurtosis),
    "a function of two layers": lambda: on(["mixed4", IMAGE], bright_where_active),
    "a function with targets": lambda: on("mixed5", contrast, [40, 0, 96], 8),
    "some of a batch": lambda: as_objective(channel("mixed4", range(6)) - 0.001 * total_variation())[2:4],
}


@partial(several, "objective", made=OBJECTIVES)
def _(make: Callable[[], Objective | str]) -> Any:
    return rendered(make())


@result("objective, alpha blurred")
def _() -> Any:
    question = channel("mixed4", 17) - 0.1 * blur_alpha_each_step()
    return rendered(question, alpha_image(SMALL), transform=Compose(OnColor(0.7), STANDARD))


@result("objective, asked of activations")
def _() -> Any:
    given = activations(small(), photos(), ["mixed3", "mixed4", OUTPUT, IMAGE])
    made = [OBJECTIVES[name]() for name in ("channel", "gram", "cosine", "l2", "logit by index", "total variation")]
    asked = [question for question in map(as_objective, made) if set(question.layers) <= set(given)]
    return [question(given) for question in asked]


@result("objective, moments and gram matrices")
def _() -> Any:
    return [moments(), whitening(seen("mixed3")), gram_matrix(seen("mixed3")), positions(seen("mixed3"))]


# Transforms

TRANSFORMS: dict[str, Callable[[], nn.Module]] = {
    "jitter": lambda: Jitter(5),
    "scale": lambda: Scale([0.8, 1, 1.3]),
    "rotate": lambda: Rotate([-20, 0, 3, 11]),
    "flip": lambda: Flip(0.85),
    "resize": lambda: Resize((12, 9)),
    "resize to a share": lambda: Resize(0.7),
    "margin": lambda: Compose(Pad(0.5), Margin(3)),
    "crop or pad": lambda: CropOrPad((10, 43)),
    "crop": lambda: Crop((14, 5)),
    "crop to a share": lambda: Crop(0.4),
    "zoom": lambda: Zoom(),
    "pad with a colour": lambda: Compose(Pad((0.1, 0.2, 0.3)), Jitter(5)),
    "pad by reflection": lambda: Compose(Pad("reflect"), Rotate([30, -40])),
    "pad at random": lambda: Compose(Pad("random"), Rotate([30, -40]), Margin(2)),
    "blur": lambda: Blur(0.8),
    "blur drawn": lambda: Blur((0.3, 1.2)),
    "gaussian noise": lambda: GaussianNoise(0.2),
    "uniform noise": lambda: UniformNoise(0.3),
    "gradients of one norm": lambda: NormalizeGradient(),
    "gradients of one mean square": lambda: NormalizeGradientRMS(2.5),
    "stages": lambda: Stages({0: Compose(Pad(0.3), Jitter(3), Resize((7, 9))), 8: Jitter(1)}),
    "chain": lambda: Compose(Pad(0.5), Jitter(4), nn.AvgPool2d(2), Rotate([-5, 5]), Scale([0.9, 1.1]), Resize(10)),
    "chain with chance of its own": lambda: Compose(Jitter(2), nn.Dropout2d(0.5), Flip()),
    "standard": lambda: STANDARD,
    "atlas": lambda: ATLAS,
    "coarse to fine": lambda: COARSE_TO_FINE,
    "horama": lambda: maco_crops((12, 9)),
}
BLENDS: dict[str, Callable[[], nn.Module]] = {
    "on a colour": lambda: OnColor((0.9, 0.2, 0.0)),
    "on random colours": lambda: OnRandomColor(),
    "on random noise": lambda: OnRandomNoise(),
    "on white noise": lambda: OnRandomNoise(2.0, 0.0),
    "on noise, then all kinds": lambda: Compose(OnRandomNoise(), Pad("random"), Jitter(3), Blur(0.5), Crop(0.75)),
}


def transformed(make: Callable[[], nn.Module], channels: int = 3) -> list[Tensor]:
    """What becomes of two images at two steps, and their gradient."""
    found, chain, streams = [], make(), Streams((5, 6), "transform")
    for step in (2, 9):
        images = random_numbers(2, channels, 24, 31).requires_grad_()
        changed = chain(images, streams.seek(step))
        found += [changed, *torch.autograd.grad(changed.square().sum(), images)]
    return found


several("transform", transformed, TRANSFORMS)
several("transform", partial(transformed, channels=4), BLENDS)

CHAINS: dict[str, nn.Module | None] = {
    "none": None,
    "atlas": ATLAS,
    "coarse to fine": COARSE_TO_FINE,
    "horama": maco_crops(32),
    "blur and noise": Compose(Pad(0.5), Jitter(4), Blur((0.3, 1.0)), GaussianNoise(0.05)),
    "gradients of one norm": Compose(NormalizeGradient(), STANDARD),
}


@partial(several, "render through", made=CHAINS)
def _(chain: nn.Module | None) -> Any:
    return rendered(channel("mixed4", [17, 40]), transform=chain)


# Renders

OPTIMIZERS: dict[str, Any] = {
    "Lucid's Adam": ADAM,
    "NAdam": NADAM,
    "LBFGS": partial(torch.optim.LBFGS, lr=0.5, max_iter=3),
    "SGD": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
    "image Adam with other numbers": partial(ImageAdam, lr=0.2, betas=(0.9, 0.999), eps=0.1, halving=4.0),
}


@partial(several, "render with", made=OPTIMIZERS)
def _(optimizer: Any) -> Any:
    return rendered(channel("mixed4", [17, 40]), optimizer=optimizer, steps=4)


@result("render, past the redirected steps")
def _() -> Any:
    return rendered(channel("mixed4", [17, 40, 72]), size=32, steps=20, snapshots=range(0, 21, 5))


@result("render, default settings at the network's size")
def _() -> Any:
    return rendered(channel("mixed5", 12), model=net(), steps=5)


@result("render, without redirection")
def _() -> Any:
    return rendered(channel("mixed5", [12, 60]), redirect_steps=0, steps=5)


@result("render, pooling averaged")
def _() -> Any:
    return rendered(channel("mixed4", 17), pool_gradient=average)


@result("render, pooling by squares")
def _() -> Any:
    return rendered(channel("mixed4", 17), pool_gradient=squared_pooling)


@result("render, several seeds")
def _() -> Any:
    return [rendered(channel("mixed4", 17), seed=range(3)), rendered(channel("mixed4", [17, 40]), seed=9)]


@result("render, in chunks, oblong")
def _() -> Any:
    return rendered(channel("mixed4", range(5)), batch_size=2, size=(32, 56))


@result("render, a bare module")
def _() -> Any:
    return rendered(channel("mixed4", 3), model=net().network, normalize=IMAGENET, size=40)


@result("render, float64")
def _() -> Any:
    return rendered(channel("mixed4", [17, 40]) - 0.001 * total_variation(), model=exact(), steps=5)


@result("render, saved, read and cut")
def _() -> Any:
    made = render(small(), channel("mixed4", [17, 40]), recipe="plain", steps=4, snapshots=(0, 2, 4), **quiet)
    with tempfile.TemporaryDirectory() as folder:
        one = made[1].save(Path(folder) / "one.png")
        read = Rendering.load(made.save(Path(folder) / "all.png"))
        grown = made.animate(Path(folder) / "grown.apng")
        shown = [np.asarray(Image.open(one)), [np.asarray(x) for x in ImageSequence.Iterator(Image.open(grown))]]
    return [rendering(read), rendering(made[1]), shown, made.sheet(labels=())]


@result("ascend")
def _() -> Any:
    question = channel("mixed4", [17, 40]) - 0.001 * total_variation()
    steps = islice(ascend(small(), question, seed=(4, 5), recipe="plain"), 4)
    return [[one.index, one.images.clone(), one.scores, list(one.report.values())] for one in steps]


@result("ascend, a class")
def _() -> Any:
    steps = islice(
        ascend(
            small(), logit("owl"), pixel_image(40), optimizer=ADAM, redirect_steps=1, recipe="plain", transform=None
        ),
        4,
    )
    return [[one.images.clone(), one.scores] for one in steps]


NETWORKS = {
    "torchvision's SqueezeNet": ("squeezenet1_0", "features.9", 96, {}),
    "torchvision's GoogLeNet": ("googlenet", "inception4a", 96, {}),
    "torchvision's MobileNet": ("mobilenet_v2", "features.7", 64, {}),
    "timm's ResNet": ("timm/test_resnet", "layer3", 64, {}),
    "timm's vision transformer": ("timm/test_vit", "blocks.3", None, {}),
    "torchvision's Swin": ("swin_t", "features.3", 64, {"channel_axis": -1}),
}


@partial(several, "render of", made=NETWORKS)
def _(case: tuple[str, str, int | None, dict[str, Any]]) -> Any:
    name, layer, size, axis = case
    return rendered(channel(layer, [1, 5], **axis), model=elsewhere(name), size=size, steps=2)


# Dreams, MACO, accentuation


def dreamt(photo: Any, question: Objective | str, **options: Any) -> list[Any]:
    return rendering(dream(net(), photo, question, **{"steps": 2, "octaves": 3, **quiet, **options}))


DREAMS: dict[str, Compute] = {
    "a photograph": lambda: dreamt(ship(), layer_norm("mixed4"), snapshots=True),
    "noise": lambda: dreamt(noise_start((64, 80), seed=3), layer_norm("mixed4"), octaves=Octaves(3, 1.3)),
    "black": lambda: dreamt(black_start((48, 60)), layer_norm("mixed3", 5), seed=2),
    "tiles": lambda: dreamt(ship(), layer_norm("mixed4"), octaves=Octaves(2, tile_size=48)),
    "raw gradients": lambda: dreamt(ship(), 1e-5 * gram("mixed3"), gradient_scaling=identity, step_size=0.5),
    "rounds": lambda: dreamt(photos(), layer_norm("mixed4"), octaves=Octaves(2, passes=2), size=72),
    "one channel": lambda: dreamt(ship(), "mixed4:17", step_size=0.03),
    "starts and scaling": lambda: [
        noise_start(9, seed=2),
        black_start((2, 3)),
        divide_by_std(photos() - 0.5),
        identity(photos()),
    ],
}
several("dream", lambda compute: compute(), DREAMS)


@result("maco")
def _() -> Any:
    made = maco(small(), logit(["owl", "wok"]), steps=4, views=2, snapshots=(0, 2), **quiet)
    return [rendering(made), made.with_transparency(), made.with_transparency(50.0)]


@result("maco, a measured spectrum")
def _() -> Any:
    spectrum = mean_spectrum(world()[0][:8])
    made = maco(small(), channel("mixed5", 4), spectrum=spectrum, size=72, steps=3, views=3, seed=5, **quiet)
    return [rendering(made), made.with_transparency()]


@result("accentuate")
def _() -> Any:
    made = accentuate(small(), list(photos()), logit(["container ship", "wok"]), "mixed3", steps=4, **quiet)
    return [rendering(made), made.with_transparency(), made.recipe["weights"]]


@result("accentuate, phase, views, pixels held")
def _() -> Any:
    options = {"param": phase_image(SMALL), "views": 2, "strength": 0.5, "optimizer": NADAM, "seed": 3, **quiet}
    return rendering(accentuate(small(), ship(), channel("mixed5", 12), IMAGE, steps=3, **options))


@result("accentuate, a whole photograph")
def _() -> Any:
    whole = scene("sheep", seed=4).image[:, :72]
    return rendering(accentuate(small(), whole, logit("owl"), "conv2", size=64, steps=2, strength=0.0, **quiet))


# Grids, dictionaries, groups


def icons(made: ActivationGrid) -> list[Any]:
    split = [] if made.groups is None else grouped(made.groups)
    return [made.images, made.activations, made.icons, made.present, made.scores, split, made.group_icons]


def grouped(split: Groups) -> list[Any]:
    return [split.maps, split.directions, split.shares, split.normalized_maps(), split.units(0).orthonormal_basis]


@cache
def grid_of_ship() -> ActivationGrid:
    return activation_grid(
        small(), ship(), "mixed5", groups=3, icons=IconOptions(batch_size=24), size=16, steps=6, **quiet
    )


@result("grid, with groups")
def _() -> Any:
    made = grid_of_ship()
    return [icons(made), made.sheet(), made.sheet_by_strength()]


@result("grid, naive")
def _() -> Any:
    options = IconOptions(batch_size=16, power=0.0, transform=None)
    made = activation_grid(small(), ship(), "mixed4", groups=0, icons=options, size=16, steps=4, **quiet)
    return [icons(made), made.sheet(gap=1)]


@result("grid, two photographs, PCA, saved and read")
def _() -> Any:
    options = {"groups": 2, "decomposition": "PCA", "size": 12, "steps": 3, "seed": 4, **quiet}
    made = activation_grid(small(), list(photos()), "mixed5", **options)
    with tempfile.TemporaryDirectory() as folder:
        read = ActivationGrid.load(made.save(Path(folder) / "grid.png"))
    return [icons(made), icons(read), icons(made[1])]


@result("semantic dictionary")
def _() -> Any:
    made = semantic_dictionary(small(), ship(), "mixed5", top=2, size=24, steps=2, **quiet)
    return [made.input_image, made.indices, made.values, made.icons, made.sheet(), made.sheet(1)]


DECOMPOSITIONS = ("NMF", "PCA", "FastICA", "TruncatedSVD", "DictionaryLearning")


@partial(several, "groups", made={name: name for name in DECOMPOSITIONS} | {"an estimator": PCA(2)})
def _(how: Any) -> Any:
    return grouped(group(seen("mixed4", photos()), 3, layer="mixed4", decomposition=how, seed=2))


# Attribution

METHODS: dict[str, Callable[[], Any]] = {
    "halved": lambda: "midpoint",
    "gradient": lambda: "grad_x_activation",
    "path": lambda: "integrated_gradients",
    "stochastic": lambda: "stochastic_ig",
    "smooth": lambda: "smoothgrad",
    "halved in seven hands": lambda: MidpointAblation(7),
    "gradient times activation": lambda: GradientTimesActivation(),
    "path of few steps": lambda: IntegratedGradients(9),
    "stochastic path with a seed": lambda: StochasticIntegratedGradients(9, seed=4),
    "smooth of few samples": lambda: SmoothGrad(5, 0.3, seed=2),
}
ABLATIONS: dict[str, Callable[[], Any]] = {
    "by name": lambda: "ablation",
    "channels": lambda: Ablation("channels"),
    "positions": lambda: Ablation("positions"),
    "groups": lambda: Ablation(grid_of_ship().groups),
}
CAPTUM: dict[str, Callable[[], Any]] = {
    "Shapley values": lambda: FromCaptum(captum.ShapleyValueSampling, {"n_samples": 1}),
    "integrated gradients": lambda: FromCaptum(captum.IntegratedGradients, {"n_steps": 8}),
    "input times gradient": lambda: FromCaptum(captum.InputXGradient),
}


def attributed(found: Attribution) -> list[Any]:
    return [
        found.values,
        found.activations,
        found.scores,
        found.baseline_scores,
        found.gradients,
        found.completeness_gap,
    ]


def overlay_of(found: Attribution, index: int = 0, extent: float | None = None) -> Any:
    return overlay_heatmap(found.images[index], found.positions[index], extent)


def why(method: Any, layer: str = "mixed4") -> Attribution:
    return attribute(small(), ship(), layer, logit("container ship") - logit("ocean liner"), method=method)


@partial(several, "attribute by", made=METHODS)
def _(make: Callable[[], Any]) -> Any:
    found = why(make())
    split = group(seen("mixed4"), 3, layer="mixed4")
    told = [found.channels, found.positions, found.by_group(split), found.top(5).indices, found.bottom(5).indices]
    return [attributed(found), told, overlay_of(found), overlay_of(found, extent=0.5)]


@partial(several, "attribute by ablation of", made=ABLATIONS)
def _(make: Callable[[], Any]) -> Any:
    return attributed(why(make(), "mixed5"))


@partial(several, "attribute by Captum's", made=CAPTUM)
def _(make: Callable[[], Any]) -> Any:
    return [attributed(why(make(), "mixed5")), why(make(), "mixed5").channels]


@result("attribute, several questions, layers and images")
def _() -> Any:
    one = attribute(small(), ship(), "mixed3", position_norm("mixed5", [1, 2], [2, 2]))
    each = attribute(small(), list(photos()), "mixed5", log_odds(["ocean liner", "owl"]), method="grad_x_activation")
    return [attributed(one), attributed(each), each.top(3).indices, overlay_of(each, 1)]


@result("attribute, float64")
def _() -> Any:
    return attributed(attribute(exact(), ship(), "mixed4", logit("container ship")))


@result("attribute, a transformer's tokens")
def _() -> Any:
    return attributed(attribute(elsewhere("timm/test_vit"), ship(), "blocks.3", logit(4), method="grad_x_activation"))


# What a network says


@result("classify")
def _() -> Any:
    found = classify(net(), world()[0][:12], top=3)
    return [found.indices, found.confidences, [net().labels.index(label) for row in found.labels for label in row]]


@result("classify, another network")
def _() -> Any:
    found = classify(elsewhere("squeezenet1_0"), photos())
    return [found.indices, found.confidences]


@result("activations")
def _() -> Any:
    names = [row.name for row in layers(small()) if row.is_tensor]
    return list(activations(small(), photos(), [*names, IMAGE]).values())


@result("activations, with a gradient")
def _() -> Any:
    images = photos().clone().requires_grad_()
    found = activations(net(), images, ["mixed3", OUTPUT])
    return torch.autograd.grad(found["mixed3"].square().sum() + found[OUTPUT].sum(), images)


@result("activations, another network's")
def _() -> Any:
    return list(activations(elsewhere("timm/test_vit"), ship(), ["blocks.1", "blocks.3", OUTPUT]).values())


@partial(several, "layers of", made={"demo": "demo", "SqueezeNet": "squeezenet1_0", "a transformer": "timm/test_vit"})
def _(name: str) -> Any:
    table = layers(net() if name == "demo" else elsewhere(name))
    return [[[int(side) for side in re.findall(r"\d+", row.output)], row.is_tensor] for row in table]


@result("receptive fields")
def _() -> Any:
    found = [receptive_fields(net(), name) for name in ("conv1", "conv2", "mixed3", "mixed4", "mixed5", "head")]
    own = found[3]
    return [[[*one.rows, *one.columns, one.size, one.max_side] for one in found], own.box(2, 3), own.window(11, 0, 0.7)]


@result("receptive fields of another network")
def _() -> Any:
    found = receptive_fields(elsewhere("timm/test_resnet"), "layer3")
    return [*found.rows, *found.columns, crop(ship(), (3, 60, 10, 41), 24)]


@result("photographs in any form")
def _() -> Any:
    levels = (ship().permute(1, 2, 0) * 255).round().byte().numpy()
    clear = np.dstack([levels, levels[:, :, :1]])
    forms = [levels, levels[:, :, 0], clear, Image.fromarray(levels[:50]), ship()[:, :70], photos()]
    return [[small().load_batch(one) for one in forms], [load_image(one, 40) for one in forms]]


@result("albums")
def _() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        for place, image in enumerate(photos()):
            Image.fromarray((image.permute(1, 2, 0) * 255).byte().numpy()).save(Path(folder) / f"{place}.png")
        files = list(as_dataset(folder).batches(small().load_batch, 1))
    return [
        files,
        list(as_dataset(Scenes(5, seed=1)).batches(net().load_batch, 2)),
        as_dataset(photos()).subset([1]).load([0], small().load_batch),
    ]


@result("networks and how they are fed")
def _() -> Any:
    nets = [net(), *(elsewhere(name) for name in ("squeezenet1_0", "timm/test_resnet", "timm/test_vit"))]
    sizes = [[one.size, one.crop.crop, len(one.labels), one.fixed_size] for one in nets]
    return [
        sizes,
        [list(one.network.state_dict().values()) for one in nets],
        [one.preprocess(photos()) for one in nets],
    ]


@result("tails and derivatives along a layer")
def _() -> Any:
    network, inputs = small().network, small().preprocess(small().load_batch(photos()))
    with borrow(network):
        tail = Tail(network, inputs, inputs, "mixed3")
        again = tail.run(torch.cat([tail.activations, 0.5 * tail.activations]), ["mixed5", OUTPUT])
        return [tail.activations, *again.values(), *layer_jvp(network, inputs, "mixed4", lambda a: a)]


@result("gradients redirected, opened, smoothed, linearised")
def _() -> Any:
    found = []
    for inside in (redirect_relu, open_relu, smooth_max_pool, partial(smooth_max_pool, squared_pooling),
                   linearize):  # fmt: skip
        images = small().load_batch(photos()).requires_grad_()
        with borrow(small().network), inside():
            score = small().network(small().preprocess(images))[:, 3].sum() - 4 * images.relu().sum()
        found += [score, *torch.autograd.grad(score, images)]
    window = Window(3, 2, 1)
    return [found, window.maximum(photos()), window.mean(photos()), average(photos(), window)]


# Ablation


def kept() -> Tensor:
    return world()[0][~shows()]


def sharks() -> Tensor:
    return world()[0][shows()]


FINDERS: dict[str, dict[str, Any]] = {
    "search": {"method": "greedy", "max_units": 4},
    "search with settings": {
        "method": GreedySearch(max_units=3, harm_weight=2.0, views=1, candidates=2, max_swaps=1, target_weights=(0.2,))
    },
    "search over two layers": {
        "layers": ["mixed4", "mixed5"],
        "method": GreedySearch(max_units=2, candidates=2, max_swaps=0, views=1),
    },
    "subspace": {"method": "subspace"},
    "subspace with settings": {"method": Subspace(dimensions=2, steps=8), "layers": ["mixed4"], "seed": 3},
    "contrast": {"method": "contrast", "max_units": 6},
    "contrast over two layers": {"method": Contrast(5), "layers": ["mixed3", "mixed5"]},
    "the loudest, recipe A": {"method": "top_norm"},
    "the loudest of two layers": {
        "method": TopNorm(top=12, min_share=0.5, max_units=3),
        "layers": ["mixed4", "mixed5"],
    },
    "the commonest, recipe B": {"method": "most_frequent"},
    "the commonest with settings": {"method": MostFrequent(max_units=2, top=5), "layers": ["mixed3", "mixed4"]},
}


def named(units: Iterable[Channels | Directions]) -> list[Any]:
    return [list(one.indices) if isinstance(one, Channels) else [one.vectors, one.orthonormal_basis] for one in units]


def evidence(found: UnitSelection) -> list[Any]:
    return [named(found), found.target, [[one.target_change, one.worst_change] for one in found.evidence]]


@cache
def found_by(name: str) -> UnitSelection:
    return find_units(net(), sharks(), TARGET, keep=kept(), **FINDERS[name], **quiet)


@partial(several, "find", made={name: name for name in FINDERS})
def _(name: str) -> Any:
    return evidence(found_by(name))


def answers(found: PredictionTable) -> list[Any]:
    rows = [[one.set == "target", one.confidence_before, one.confidence_after, one.margin] for one in found]
    called = [[LABELS.index(one.before), LABELS.index(one.after), one not in found.failures] for one in found]
    return [rows, called]


@partial(
    several, "leave one out", made={"contrast": Contrast(3), "commonest": MostFrequent(2), "search": GreedySearch(2)}
)
def _(method: Any) -> Any:
    few = kept()[:4] if isinstance(method, GreedySearch) else kept()[:8]
    return answers(leave_one_out(net(), sharks()[:3], TARGET, keep=few, method=method, **quiet))


@result("before and after")
def _() -> Any:
    found = [found_by(name) for name in ("contrast", "subspace", "contrast over two layers")]
    return [answers(compare_predictions(net(), units, sharks(), TARGET, keep=kept()[:9])) for units in found]


PAIR_OF_UNITS = (Channels("mixed4", [3, 17, 40]), Channels("mixed5", range(20)))
FILLS: dict[str, Callable[[], Any]] = {
    "nought": lambda: 0.0,
    "a number": lambda: 0.25,
    "a number a layer": lambda: {"mixed4": 0.5, "mixed5": torch.linspace(0, 1, 192)},
    "the mean": lambda: Mean(world()[0][:6]),
    "noise": lambda: Noise(world()[0][:6], seed=3),
    "gaussian noise": lambda: Gaussian(0.3, 0.1, seed=2),
    "other images": lambda: Resampled(world()[0][:6], seed=1),
    "what does least harm": lambda: Optimal(world()[0][:6], world()[1][:6], steps=3, **quiet),
    "what an objective likes best": lambda: Optimal(
        world()[0][:4], log_odds("owl"), steps=2, learning_rate=0.3, **quiet
    ),
}


def answered(units: Sequence[Channels | Directions], fill: Any = 0.0) -> list[Tensor]:
    """What the network says twice without some units, and once more afterwards."""
    inputs = net().preprocess(photos())
    with torch.no_grad():
        with blinded(net(), *units, fill=fill):
            said = [net().network(inputs) for _ in range(2)]
        return [*said, net().network(inputs)]


@partial(several, "blinded with", made=FILLS)
def _(make: Callable[[], Any]) -> Any:
    return answered(PAIR_OF_UNITS, make())


@result("blinded to directions")
def _() -> Any:
    plane = Directions("mixed4", random_numbers(3, 128) - 0.5)
    line = Directions("mixed5", random_numbers(192, seed=2), within=(1.0, 8.0))
    return [answered([plane, line]), answered([plane], Mean(world()[0][:6])), answered([plane], torch.ones(128))]


@result("blinded in a range, and twice")
def _() -> Any:
    some = Channels("mixed4", range(60), within=(0.2, 1.0))
    with blinded(net(), PAIR_OF_UNITS[1], fill=0.1):
        inner = answered([some], Mean(world()[0][:4]))
    return [answered([some]), inner, some.basis(128), some.mask(128)]


@result("blinded, then rendered and attributed")
def _() -> Any:
    with blinded(small(), *PAIR_OF_UNITS):
        return [rendered(logit("owl")), attributed(why("grad_x_activation"))]


def judged(found: Report) -> list[Any]:
    told = [found.predictions, found.sets, found.classes, found.curve, found.baseline]
    return [[numbers_in(one) for one in told], len(found.warnings), found.thumbnails]


@result("evaluate channels")
def _() -> Any:
    fresh, truth = dataset(32, seed=42)
    sets = {name: (fresh[truth == place], name) for place, name in enumerate(LABELS)}
    report = evaluate(
        net(), found_by("contrast"), sets, target=TARGET, found_on=world()[0], random_sets=12, seed=3, **quiet
    )
    numbers = {k: v for k, v in json.loads(report.json()).items() if k != "recipe"}
    return [judged(report), numbers_in(numbers)]


@result("evaluate directions, the mean in their place")
def _() -> Any:
    sets = {"sharks": LabeledImages(sharks(), TARGET), "others": kept()[:10]}
    fill = Mean(world()[0][:6])
    return judged(evaluate(net(), found_by("subspace with settings"), sets, fill=fill, random_sets=6, **quiet))


@result("evaluate channels of two layers")
def _() -> Any:
    sets = {"world": (world()[0][:20], world()[1][:20])}
    return judged(evaluate(net(), found_by("contrast over two layers"), sets, random_sets=6, seed=1, **quiet))


@result("see")
def _() -> Any:
    found = compare_renderings(
        net(), found_by("contrast"), log_odds(TARGET), images=sharks()[:2], size=SMALL, steps=3, **quiet
    )
    reasons = [attributed(one) for one in found.attributions or ()]
    return [rendering(found.before), rendering(found.after), reasons]


@result("difference")
def _() -> Any:
    having = [scene("frying pan", seed, adding=["noodles"]).image for seed in range(6)]
    lacking = [scene("frying pan", seed).image for seed in range(6)]
    return [named([find_directions(net(), having, lacking, layer, dimensions=2)]) for layer in ("mixed3", "mixed5")]


BAKED: dict[str, Callable[[], tuple[Any, Sequence[Channels | Directions], Any]]] = {
    "channels": lambda: (net(), PAIR_OF_UNITS, 0.0),
    "channels, the mean in their place": lambda: (net(), PAIR_OF_UNITS, Mean(world()[0][:6])),
    "what does least harm": lambda: (net(), PAIR_OF_UNITS[:1], FILLS["what does least harm"]()),
    "directions": lambda: (net(), [Directions("mixed4", random_numbers(2, 128) - 0.5)], 0.0),
    "before the ReLU": lambda: (net(), [Channels("mixed4.2", [1, 2])], 0.3),
    "of SqueezeNet": lambda: (elsewhere("squeezenet1_0"), [Channels("features.9", [3, 200])], 0.0),
    "behind a sum": lambda: (elsewhere("timm/test_resnet"), [Channels("layer3", [3, 7])], 0.0),
}


@partial(several, "bake", made=BAKED)
def _(make: Callable[[], Any]) -> Any:
    model, units, fill = make()
    made = bake(model, *units, fill=fill)
    with torch.no_grad():
        said = made.network(made.preprocess(made.load_batch(photos())))
    return [list(made.network.state_dict().values()), said]


@result("bake, saved and loaded")
def _() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = save_baked(bake(net(), *PAIR_OF_UNITS), Path(folder) / "baked.safetensors")
        read = load(path, architecture="demo", size=net().size, normalize=net().normalize)
    return list(read.network.state_dict().values())


# Weights and Hinton diagrams


def diagram(made: Hinton) -> list[Any]:
    return [made.values, made.extent, made.panels_per_row, made.icons, made.row_icons]


@result("hinton, any numbers")
def _() -> Any:
    values = random_numbers(2, 3, 4, 5) - 0.5
    made = [hinton(values), hinton(values[0]), hinton(values[0, 0], extent=0.3), hinton(values[0, 0, 0])]
    return [[[diagram(one), one.image()] for one in made], draw_squares(values[0], 0.5, 9), made[1].image(5)]


@result("hinton, weights")
def _() -> Any:
    made = [hinton_of_weights(net(), "mixed3.0", [3, 17], top=4), hinton_of_weights(net(), "head", top=12)]
    return [diagram(one) for one in made]


@result("hinton, activations")
def _() -> Any:
    made = [hinton_of_activations(net(), ship(), "mixed5", top=6), hinton_of_activations(net(), ship(), "head", [1, 5])]
    return [diagram(one) for one in made]


@result("hinton, expanded weights with pictures")
def _() -> Any:
    drawn = hinton_of_expanded_weights(net(), "mixed4", "mixed5", [3, 128], top=3, icons=24, steps=2, **quiet)
    active = hinton_of_expanded_weights(net(), "mixed3", "mixed4", 17, top=4, images=photos())
    return [diagram(drawn), diagram(active)]


@result("weights, as stored")
def _() -> Any:
    return [weights(net(), "conv1.0"), weights(net(), "mixed3.0", [4, 17]), weights(net(), "head")]


@result("weights, expanded")
def _() -> Any:
    found = expanded_weights(net(), "conv2", "mixed4", [17, 40])
    rest = [expanded_weights(net(), "mixed3", "mixed4", 3, position=(2, 9)), expanded_weights(net(), "mixed5", "head")]
    return [found, strongest_inputs(found, 5), *rest]


@result("weights, expanded in other networks")
def _() -> Any:
    one = expanded_weights(elsewhere("squeezenet1_0"), "features.7", "features.9", [3, 200])
    return [one, expanded_weights(elsewhere("timm/test_resnet"), "layer2", "layer3", 5)]


# Atlases


@cache
def scenes() -> Scenes:
    return Scenes(192, seed=5)


@cache
def samples() -> Samples:
    return sample_activations(net(), scenes(), "mixed5", **quiet)


def drawn_from(found: Samples) -> list[Any]:
    return [found.vectors, found.attribution, found.positions, found.grid, found.indices]


def mapped(atlas: ActivationAtlas) -> list[Any]:
    levels = [[getattr(level, one.name) for one in fields(level)] for level in atlas.levels]
    sheets = [atlas.sheet(), atlas.sheet(atlas.levels[0].size, by_count=True)]
    return [atlas.points, levels, atlas.exemplars.rows, atlas.exemplars.patches, sheets]


def cell(one: Cell) -> list[Any]:
    told = [value for _, value in one.classes(4)]
    return [one.position, one.count, one.vector, one.attribution, one.icon, one.rows, one.patches, told, one.cutouts()]


ICONS = AtlasOptions(layout="tsne", size=20, steps=2, min_points=3)
QUICK: dict[str, Any] = {"options": ICONS, **quiet}


@result("atlas, samples")
def _() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        read = Samples.load(samples().save(Path(folder) / "samples.safetensors"))
    other = sample_activations(net(), scenes().scene(3).image, "mixed3", seed=4, batch_size=5, **quiet)
    return [drawn_from(read), drawn_from(samples()[3:5]), drawn_from(other), class_mask(samples(), "wok", rank=3)]


@result("atlas, samples of a transformer")
def _() -> Any:
    return drawn_from(sample_activations(elsewhere("timm/test_vit"), Scenes(4), "blocks.2", **quiet))


@result("atlas, samples, float64")
def _() -> Any:
    return drawn_from(sample_activations(exact(), Scenes(6), "mixed4", **quiet))


@partial(several, "atlas, layout", made={"tsne": "tsne", "umap": "umap", "an estimator": PCA(2)})
def _(layout: Any) -> Any:
    return lay_out(samples().vectors, layout, seed=2)[0]


@result("atlas, layout of one axis and of few")
def _() -> Any:
    return [lay_out(samples().vectors, "tsne", axes=1)[0], lay_out(samples().vectors[:9], "tsne")[0]]


@result("atlas, all classes, saved")
def _() -> Any:
    atlas = activation_atlas(net(), scenes(), "mixed5", samples=samples(), levels=[3, 5], **QUICK)
    level = atlas.level(5)
    with tempfile.TemporaryDirectory() as folder:
        atlas.save(folder)
        written = read_pictures(Path(folder), ".png")
    return [mapped(atlas), cell(atlas.cell_at(level, int(level.counts.argmax()))), written]


@result("atlas, sampled anew, vectors as they are")
def _() -> Any:
    own = replace(ICONS, damping=None, power=1.0, transform=ATLAS, nearest=2)
    options = {"options": own, "levels": [2], "seed": 6, **quiet}
    return mapped(activation_atlas(net(), Scenes(48, seed=6), "mixed4", **options))


@result("atlas, one class")
def _() -> Any:
    return mapped(class_atlas(net(), scenes(), "mixed5", "wok", samples=samples(), levels=[2, 3], **QUICK))


@cache
def separated() -> Comparison:
    options = QUICK | {"samples": samples(), "levels": [2, 4]}
    return compare_classes(net(), scenes(), "mixed5", "grey whale", TARGET, **options)


@result("atlas, two classes compared, saved")
def _() -> Any:
    made = separated()
    cells = [*made.top(3), *made.toward(TARGET, 2, size=4)]
    with tempfile.TemporaryDirectory() as folder:
        written = read_pictures(made.save(folder).parent, ".png")
    patches = [one for one in written if one.shape[-1] == 4]  # the others have texts in them
    return [mapped(made.atlas), made.differences(made.atlas.level(4)), [cell(one) for one in cells], patches]


# Microscope


def numbers_written(folder: Path) -> list[float]:
    return numbers_in([json.loads(path.read_text()) for path in folder.rglob("*.json") if path.name != "recipe.json"])


@result("microscope, a folder")
def _() -> Any:
    options = {"channels": [5, 50, 100, 150], "size": 32, "steps": 8, "options": MicroscopeOptions(2, 3, 8), **quiet}
    with tempfile.TemporaryDirectory() as folder:
        page = build_microscope(net(), Scenes(20), "mixed5", folder, **options)
        return [read_pictures(page.parent, ".webp", ".png"), numbers_written(page.parent)]


@result("microscope, two layers of another network")
def _() -> Any:
    options = {"channels": [2, 6], "size": 32, "steps": 2, "options": MicroscopeOptions(8, 2, 3), "seed": 4, **quiet}
    with tempfile.TemporaryDirectory() as folder:
        page = build_microscope(elsewhere("timm/test_resnet"), Scenes(5), ["layer2", "layer3"], folder, **options)
        return [read_pictures(page.parent, ".webp", ".png"), numbers_written(page.parent)]


@result("microscope, six pictures a channel")
def _() -> Any:
    made = ChannelRenderer(size=32, steps=8, seed=3).render(net(), "mixed4", [17, 40])
    return [made.positive, made.negative, made.diverse, made.views(1)]


@result("microscope, what excites and what it costs")
def _() -> Any:
    found = find_top_activations(net(), as_dataset(Scenes(24, seed=2)), ["mixed3", "mixed5"], 4)
    effect = measure_effects(net(), photos(), "mixed5", 150)
    told = [effect.attribution, effect.before, effect.after, effect.drop, effect.prediction_changes]
    return [[[one.values, one.indices, one.positions, one.of_channel(7)] for one in found.values()], told]


# Patches


@result("patches, pasted")
def _() -> Any:
    ball, whale = object_patch("baseball"), scene("grey whale", 5).image
    places = [(0.5, 0.3), (0.02, 0.97)]
    return [[paste(patch, whale, 36, place) for place in places] for patch in (ball, ball[:3], flat_patch(ball))]


@result("patches, cut and shuffled")
def _() -> Any:
    piece, ball = cut_patch(ship(), (10, 50, 20, 80), softness=0.4), object_patch("baseball")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "thing.png"
        Image.fromarray((ball.permute(1, 2, 0) * 255).round().byte().numpy()).save(path)
        read = load_patch(path)
    return [
        piece,
        cut_patch(ship(), (0, 9, 0, 9), softness=0),
        shuffle_patch(ball, seed=2),
        flat_patch(piece),
        read,
        load_patch(ship()),
    ]


@result("patches, tried")
def _() -> Any:
    whales = torch.stack([scene("grey whale", seed).image for seed in range(12)])
    kinds = {"one": object_patch("baseball"), "several": separated().toward(TARGET)[0].cutouts()}
    found = []
    for patch in kinds.values():
        tried = try_patch(net(), patch, whales, "grey whale", TARGET, sizes=[24, 40], seed=1, **quiet,
                          controls={"mine": object_patch("noodles")})  # fmt: skip
        size, place = tried.best
        rates = [numbers_in(tried.flip_rate(name)) for name in tried.names]
        found.append([tried.clean_confidence, tried.predictions, tried.test_start, size, tried.positions[place], rates])
        found.append([[tried.confidence(name) for name in tried.names], list(tried.patches.values())])
    return found


# Pictures and commands


@result("sheets without texts")
def _() -> Any:
    cells = torch.tensor([[0, 2], [1, 1]])
    grey, clear = photos()[:, :1], torch.cat([photos(), photos()[:, :1]], 1)
    sheets = [draw_sheet(photos()), draw_sheet(photos(), columns=1, gap=2), draw_sheet(grey), draw_sheet(clear)]
    return [sheets, draw_cells(photos(), cells, 3), draw_cells(photos(), cells, 3, [0.5, 0.8], "RGBA")]


COMMANDS: dict[str, Sequence[str]] = {
    "render": (
        "render",
        "demo",
        "mixed4",
        "--recipe",
        "plain",
        "--channels",
        "17",
        "--size",
        "48",
        "--steps",
        "3",
        "--total-variation",
        "0.001",
    ),
    "render a class": (
        "render",
        "demo",
        "--classes",
        "owl",
        "--recipe",
        "plain",
        "--size",
        "40x48",
        "--steps",
        "2",
        "--param",
        "pixel",
    ),
    "dream": ("dream", "demo", "--start", "noise", "--layer", "mixed4", "--size", "64", "--steps", "1"),
}


@partial(several, "command", made=COMMANDS)
def _(arguments: Sequence[str]) -> Any:
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            done = command([*arguments, "--out", folder])
        return [done, read_pictures(Path(folder), ".png")]


# Recording and checking


def processor() -> str:
    """The processor's own name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    told = re.search(r"model name\s*:\s*(.+)", path.read_text()) if path.is_file() else None
    return told[1] if told else platform.processor()


def environment() -> dict[str, Any]:
    """All that digests depend on beside the code."""
    libraries = ("torchvision", "timm", "captum", "numpy", "scikit-learn", "umap-learn", "pillow", "kornia")
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "machine": platform.machine(),
        **{name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")},
        **{name: version(name) for name in libraries},
    }


def computed(compute: Compute) -> Told:
    """A result described, on one thread and from the same state of chance whatever came before."""
    torch.set_num_threads(1)  # numba, which UMAP works with, sets another number
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    return described(compute())


def chosen(only: str) -> dict[str, Compute]:
    return {name: compute for name, compute in RESULTS.items() if only in name}


def record(path: Path, only: str) -> int:
    """Compute the results and write what they are."""
    told: Told = {"environment": environment(), "results": {}}
    for name, compute in chosen(only).items():
        start = time.perf_counter()
        told["results"][name] = computed(compute)
        print(f"{time.perf_counter() - start:6.2f} s  {name}", flush=True)
    path.write_text(json.dumps(told).replace('}, "', '},\n"') + "\n", encoding="utf-8")
    print(f"{len(told['results'])} results in {path}")
    return 0


def verdict(compute: Compute, before: Told | None) -> str:
    """What to say of one result."""
    if before is None:
        return "new"
    try:
        now = computed(compute)
    except Exception as error:
        return f"differs: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    if now == before:
        return "same"
    return "differs" if now["shape"] == before["shape"] else "differs, in shape too"


def check(path: Path, only: str) -> int:
    """Compute the results again, and say which differ; 1 if any does."""
    told = json.loads(path.read_text(encoding="utf-8"))
    others = [f"{key} was {told['environment'].get(key)}, is {now}" for key, now in environment().items()
              if told["environment"].get(key) != now]  # fmt: skip
    if others:
        print(f"ANOTHER ENVIRONMENT, so digests say nothing for certain: {'; '.join(others)}\n")
    before, different = told["results"], []
    for name, compute in chosen(only).items():
        said = verdict(compute, before.get(name))
        different += [name] if said.startswith("differs") else []
        print(f"{name:<60}{said}", flush=True)
    lost = [name for name in before if only in name and name not in RESULTS]
    for name in lost:
        print(f"{name:<60}differs: no such result any more")
    compared = sum(only in name for name in before)
    print(f"\n{compared - len(different) - len(lost)} of {compared} the same")
    return 1 if different or lost else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "check"))
    parser.add_argument("file", type=Path, help="JSON: what the results are, or were")
    parser.add_argument("--only", default="", help="results with this in their name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    return {"record": record, "check": check}[options.action](options.file, options.only)


if __name__ == "__main__":
    sys.exit(main())
