"""Transforms: compared with oracles, chains with their parts, and images with their batch."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import kornia
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

import optvis.transforms
from optvis.transforms import STANDARD, Affine, Compose, Jitter, Pad, Resize, Rotate, Scale, Stages
from optvis.transforms.warp import Padding, warp

from . import oracles
from .ids import stable_id
from .transform_members import SEEDS, random_images, streams

IDENTITY = Compose()


def coordinates(height: int, width: int, images: int = 1) -> Tensor:
    """Build a linear image: x, y and a sum of both as three channels."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.stack([x, y, 2 * x - 3 * y + 1]).repeat(images, 1, 1, 1)


# One warp


def random_chain(seed: int) -> list[Affine]:
    pick = random.Random(seed)
    kinds: list[Callable[[], Affine]] = [
        lambda: Jitter(pick.randint(0, 6)),
        lambda: Scale([pick.uniform(0.8, 1.25) for _ in range(3)]),
        lambda: Rotate([pick.uniform(-25, 25) for _ in range(3)]),
        lambda: Resize((pick.randint(30, 60), pick.randint(30, 60))),
    ]
    return [pick.choice(kinds)() for _ in range(pick.randint(2, 6))]


@pytest.mark.parametrize("seed", range(12))
def test_one_warp_equals_the_sequence_on_linear_images(seed: int) -> None:
    parts = random_chain(seed)
    images = torch.cat([coordinates(47, 53, 3), torch.ones(3, 1, 47, 53, dtype=torch.float64)], dim=1)
    fused = Compose(Pad(0.0), *parts)(images, streams(1, 2, 3))
    draws, stepwise = streams(1, 2, 3), images
    for part in parts:
        stepwise = Compose(Pad(0.0), part)(stepwise, draws)
    inside = (stepwise[:, 3:] - 1).abs() < 1e-9  # no padding inside
    assert inside.double().mean() > 0.2
    assert ((fused[:, 3:] - 1).abs() < 1e-9)[inside].all()
    assert_close(torch.where(inside, fused, 0.0), torch.where(inside, stepwise, 0.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_the_matrix_of_a_chain_is_the_product(seed: int) -> None:
    parts = random_chain(seed)
    images = torch.cat([coordinates(47, 53, 2), torch.ones(2, 1, 47, 53, dtype=torch.float64)], dim=1)
    found = Compose(Pad(0.0), *parts)(images, streams(8, 9))
    draws, size, product = streams(8, 9), (47, 53), torch.eye(3, dtype=torch.float64)
    for part in parts:
        product, size = part.matrix(size, draws) @ product, part.result_size(size)
    assert tuple(found.shape[2:]) == size
    pixels = torch.cat([coordinates(*size)[:, :2], torch.ones(1, 1, *size, dtype=torch.float64)], dim=1).flatten(2)
    sources = (product.inverse() @ pixels)[:, :2].view(2, 2, *size)
    inside = (found[:, 3:] - 1).abs() < 1e-9
    assert_close(torch.where(inside, found[:, :2], 0.0), torch.where(inside, sources, 0.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("chain", "warps"),
    [
        (STANDARD, 1),
        (Compose(STANDARD, Resize(9)), 1),
        (Compose(Compose(Jitter(2), Compose(Rotate([1]))), Compose(Scale([1.1])), Compose()), 1),
        (Compose(Pad(0.1), Jitter(2), Pad("edge"), Rotate([5])), 1),
        (Compose(Jitter(2), nn.Identity(), Rotate([5])), 2),
        (Compose(nn.Identity(), Jitter(2)), 1),
        (Jitter(3), 1),
        (Compose(Pad(0.5)), 0),
        (IDENTITY, 0),
    ],
    ids=repr,
)
def test_successive_affine_transforms_are_one_warp(
    chain: nn.Module, warps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = F.grid_sample

    def count_calls(*args: Any, **kwargs: Any) -> Tensor:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(F, "grid_sample", count_calls)
    chain(random_images(), streams(*SEEDS))
    assert len(calls) == warps


@pytest.mark.parametrize("mode", ["border", "reflection", "zeros"])
@pytest.mark.parametrize("sides", [((9, 7), (9, 7)), ((9, 7), (4, 12)), ((8, 8), (1, 3)), ((5, 6), (1, 1))], ids=str)
def test_warp_equals_kornias(sides: tuple[tuple[int, int], tuple[int, int]], mode: str) -> None:
    source, result = sides
    images = torch.rand(3, 2, *source, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    matrix = torch.eye(3, dtype=torch.float64) + 0.1 * torch.randn(3, 3, 3, dtype=torch.float64, generator=generator)
    matrix[:, 2] = torch.tensor([0.0, 0.0, 1.0])
    matrix[:, :2, 2] *= 10
    expected = kornia.geometry.transform.warp_affine(images, matrix[:, :2], result, padding_mode=mode)
    torch.testing.assert_close(warp(images, matrix, result, Padding(mode)), expected, rtol=0, atol=1e-9)


def test_a_nested_chain_equals_the_flat_one() -> None:
    flat = Compose(Pad(0.3), Jitter(4), Rotate([5, -5]), Scale([0.9, 1.1]))
    nested = Compose(Compose(Pad(0.3), Compose(Jitter(4))), Compose(Rotate([5, -5]), Scale([0.9, 1.1])))
    assert torch.equal(flat(random_images(), streams(*SEEDS)), nested(random_images(), streams(*SEEDS)))
    assert repr(flat) == repr(nested)


@pytest.mark.parametrize("chain", [IDENTITY, Compose(), Compose(Pad(0.5))], ids=repr)
def test_a_chain_without_warps_passes_the_images_on(chain: nn.Module) -> None:
    images = random_images()
    assert chain(images, streams(*SEEDS)) is images


@pytest.mark.parametrize("part", [Jitter(0), Scale([1]), Rotate([0]), Rotate([360]), Resize((13, 18))])
def test_identity_transforms_do_not_change_the_images(part: nn.Module) -> None:
    assert_close(part(random_images(), streams(*SEEDS)), random_images(), rtol=0, atol=1e-12)


# Each transform


@pytest.mark.parametrize("pixels", [1, 4, 7])
@pytest.mark.parametrize(
    ("fill", "mode"),
    [
        (0.5, {"mode": "constant", "constant_values": 0.5}),
        (0.0, {"mode": "constant"}),
        ("reflect", {"mode": "reflect"}),
        ("edge", {"mode": "edge"}),
        (None, {"mode": "edge"}),
    ],
)
def test_a_jitter_is_a_slice_of_the_padded_image(pixels: int, fill: Any, mode: Any) -> None:
    images = random_images()
    chain = Compose(Jitter(pixels)) if fill is None else Compose(Pad(fill), Jitter(pixels))
    found = chain(images, streams(*SEEDS)).numpy()
    shifts = Jitter(pixels).matrix((13, 18), streams(*SEEDS))[:, :2, 2].long()
    assert len(shifts.unique(dim=0)) > 1
    for image, shifted, (dx, dy) in zip(images.numpy(), found, shifts.tolist(), strict=True):
        padded = np.pad(image, ((0, 0), (10, 10), (10, 10)), **mode)
        np.testing.assert_allclose(shifted, padded[:, 10 - dy : 23 - dy, 10 - dx : 28 - dx], rtol=0, atol=1e-11)
        inner = np.roll(image, (dy, dx), axis=(1, 2))[:, 7:-7, 7:-7]
        np.testing.assert_allclose(shifted[:, 7:-7, 7:-7], inner, rtol=0, atol=1e-11)


def test_far_outside_the_image_is_the_padding() -> None:
    images, away = random_images(6, 6, 1), Scale([0.01])
    corner = {
        fill: Compose(Pad(fill), away)(images, streams(1))[0, :, 0, 0] for fill in (0.25, (0.1, 0.2, 0.7), "edge")
    }
    assert_close(corner[0.25], torch.full((3,), 0.25, dtype=torch.float64))
    assert_close(corner[0.1, 0.2, 0.7], torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64))
    assert_close(corner["edge"], images[0, :, 0, 0])
    wide = Compose(Pad("reflect"), Scale([0.2]))(images, streams(1))[0].numpy()
    padded = np.pad(images[0].numpy(), ((0, 0), (30, 30), (30, 30)), mode="reflect")
    expected = [
        [oracles.interpolate(padded, 32.5 + (x - 2.5) * 5, 32.5 + (y - 2.5) * 5) for x in range(6)] for y in range(6)
    ]
    np.testing.assert_allclose(wide, np.array(expected).transpose(2, 0, 1), rtol=0, atol=1e-9)


@pytest.mark.parametrize("pixels", [0, 1, 2, 5, 8])
def test_jitter_draws_every_whole_shift_equally_often(pixels: int) -> None:
    images = 3000
    shifts = Jitter(pixels).matrix((9, 9), streams(*range(images)))[:, :2, 2]
    for axis in (0, 1):
        counts = Counter(shifts[:, axis].tolist())
        assert sorted(counts) == list(range(-(pixels // 2), pixels - pixels // 2 + 1))
        _as_likely(counts, images)
    assert len(Counter(map(tuple, shifts.tolist()))) == (pixels + 1) ** 2


@pytest.mark.parametrize(
    ("transform", "read"),
    [
        (Scale([0.5, 1.0, 2.0, 2.5]), lambda m: m[:, 0, 0]),
        (Rotate([-30.0, 0.0, 10.0, 45.0, 60.0]), lambda m: torch.rad2deg(torch.atan2(m[:, 0, 1], m[:, 0, 0]))),
    ],
    ids=stable_id,
)
def test_every_choice_is_equally_likely(transform: Any, read: Callable[[Tensor], Tensor]) -> None:
    images = 3000
    found = read(transform.matrix((9, 12), streams(*range(images)))).round(decimals=9)
    counts = Counter((found + 0.0).tolist())
    assert sorted(counts) == sorted(transform.factors if isinstance(transform, Scale) else transform.degrees)
    _as_likely(counts, images)


def _as_likely(counts: Counter[Any], images: int) -> None:
    share = 1 / len(counts)
    tolerance = 5 * math.sqrt(images * share * (1 - share))
    assert all(abs(count - images * share) <= tolerance for count in counts.values())


def test_a_choice_listed_twice_is_twice_as_likely() -> None:
    factors = Scale([1, 1, 2]).matrix((9, 9), streams(*range(3000)))[:, 0, 0]
    assert 1 / 3 - 0.05 < float((factors == 2).double().mean()) < 1 / 3 + 0.05


@pytest.mark.parametrize("degrees", [30.0, -30.0, 7.0, 90.0, 135.0])
@pytest.mark.parametrize("size", [(9, 9), (8, 8), (8, 11)], ids=str)
def test_a_rotation_turns_anticlockwise_about_the_centre(degrees: float, size: tuple[int, int]) -> None:
    images = random_images(*size, images=1)
    _equal_where_known(Rotate([degrees])(images, streams(1))[0], oracles.rotate_and_scale(images[0].numpy(), degrees))


def test_quarter_turns_equal_numpy() -> None:
    image = random_images(7, 7, 1)
    for turns in (1, 2, 3):
        expected = np.rot90(image.numpy(), turns, axes=(2, 3)).copy()
        assert_close(Rotate([90 * turns])(image, streams(1)), torch.from_numpy(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("factor", [2.0, 1.3, 0.7, 0.5])
@pytest.mark.parametrize("size", [(9, 9), (8, 11)], ids=str)
def test_a_scale_enlarges_about_the_centre(factor: float, size: tuple[int, int]) -> None:
    images = random_images(*size, images=1)
    found = Scale([factor])(images, streams(1))[0]
    _equal_where_known(found, oracles.rotate_and_scale(images[0].numpy(), factor=factor))


def _equal_where_known(found: Tensor, expected: oracles.Array) -> None:
    known = ~np.isnan(expected)
    assert known.mean() > 0.1
    np.testing.assert_allclose(found.numpy()[known], expected[known], rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(13, 18), (26, 36), (7, 5), (40, 9), (1, 1), (13, 6)], ids=str)
def test_resize_equals_torch_interpolation(size: tuple[int, int]) -> None:
    expected = F.interpolate(random_images(), size=size, mode="bilinear", align_corners=False)
    assert_close(Resize(size)(random_images(), streams(*SEEDS)), expected, rtol=0, atol=1e-9)


def test_a_resize_from_one_pixel_is_that_pixel_everywhere() -> None:
    assert_close(Resize(4)(random_images(1, 1), streams(*SEEDS)), random_images(1, 1).expand(-1, -1, 4, 4))


def test_only_a_resize_changes_the_size() -> None:
    for part in (Jitter(3), Scale([2.0]), Rotate([45])):
        assert part(random_images(), streams(*SEEDS)).shape == random_images().shape
        assert part.result_size((3, 4)) == (3, 4)
    assert Resize((4, 5)).result_size((3, 3)) == (4, 5)


def test_a_float_size_is_a_share_of_the_sides() -> None:
    for share, size in ((0.5, (6, 9)), (1.0, (13, 18)), (2.0, (26, 36)), (0.001, (1, 1))):
        expected = Resize(size)(random_images(), streams(*SEEDS))
        assert torch.equal(Resize(share)(random_images(), streams(*SEEDS)), expected)


def test_each_stage_applies_from_its_step_until_the_next() -> None:
    parts = {0: Jitter(4), 3: Compose(Rotate([10, 20]), Resize(8)), 5: Compose()}
    stages = Stages({5: parts[5], 0: parts[0], 3: parts[3]})
    for step, start in ((0, 0), (2, 0), (3, 3), (4, 3), (5, 5), (100, 5), (1, 0)):
        expected = parts[start](random_images(), streams(*SEEDS).seek(step))
        assert torch.equal(stages(random_images(), streams(*SEEDS).seek(step)), expected)


def test_lucids_standard_chain() -> None:
    jitter, scale, rotate, last = (part for part in STANDARD.parts if isinstance(part, Affine))
    assert (jitter.pixels, last.pixels) == (8, 4)
    assert scale.factors == pytest.approx([0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1])
    assert Counter(rotate.degrees) == Counter({**{float(d): 1 for d in range(-10, 11)}, 0.0: 6})
    assert repr(STANDARD.parts[0]) == "Pad(0.5)"


# Arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jitter(-1), "whole pixels"),
        (lambda: Jitter(1.5), "pixels must be int"),  # type: ignore[arg-type]
        (lambda: Jitter("8"), "pixels must be int"),  # type: ignore[arg-type]
        (lambda: Scale([]), "positive factors"),
        (lambda: Scale([1.0, 0.0]), "positive factors"),
        (lambda: Scale([-1.0]), "positive factors"),
        (lambda: Scale([math.nan]), "positive factors"),
        (lambda: Rotate([]), "angles in degrees"),
        (lambda: Rotate([math.inf]), "angles in degrees"),
        (lambda: Rotate([math.nan]), "angles in degrees"),
        (lambda: Resize(0), "expected"),
        (lambda: Resize(-0.5), "expected"),
        (lambda: Resize((3, 4, 5)), r"size must be int, \(int, int\) or float"),  # type: ignore[arg-type]
        (lambda: Stages({}), "expected 0"),
        (lambda: Stages({1: Jitter(1)}), "expected 0"),
        (lambda: Stages({0: Jitter(1), -1: Jitter(1)}), "expected 0"),
        (lambda: Pad("mirror"), "'reflect' or 'edge'"),
        (lambda: Compose(torch.sin), "parts must be Module"),  # type: ignore[arg-type]
        (lambda: Compose(Jitter(1), None), "parts must be Module"),  # type: ignore[arg-type]
        (lambda: Compose([Jitter(1)]), "parts must be Module"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_raise(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    "transform",
    [
        Jitter(8),
        Scale([0.9, 1.0, 1.02]),
        Scale([1 / 3, 1.2345678]),
        Rotate([-10, 0, 2.5]),
        Rotate([100 / 3]),
        Resize((7, 9)),
        Resize(0.5),
        Stages({0: Resize((7, 9)), 8: Compose(Pad(0.3), Jitter(3))}),
        Compose(Pad(0.3), Scale([0.5])),
        Compose(Pad((0.1, 0.2, 0.3)), Scale([0.5])),
        Compose(Pad("reflect"), Jitter(5)),
        Compose(Pad("edge"), Jitter(5)),
        STANDARD,
        IDENTITY,
    ],
    ids=repr,
)
def test_reprs_evaluate_to_equal_ones(transform: nn.Module) -> None:
    again = eval(repr(transform), dict(vars(optvis.transforms)))
    assert repr(again) == repr(transform)
    assert torch.equal(again(random_images(), streams(*SEEDS)), transform(random_images(), streams(*SEEDS)))


def test_a_sequential_is_a_chain():
    images = random_images(9, 9)
    nested = Compose(nn.Sequential(Jitter(3), nn.Sequential(Rotate([20]), nn.ReLU())))
    plain = Compose(Jitter(3), Rotate([20]), nn.ReLU())
    assert torch.equal(nested(images, streams(*SEEDS)), plain(images, streams(*SEEDS)))
