"""Properties of every transform that is listed in transform_members.py."""

from __future__ import annotations

import inspect
import pickle
import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import optvis.transforms
from optvis import Classifier, render
from optvis.objectives import channel
from optvis.params import FFT, ImageParam, Sigmoid, Streams
from optvis.rendering.optimizers import ADAM

from .transform_members import MEMBERS, SEEDS, Member, random_images, streams

ABSTRACT = {"Affine", "Blend", "Transform"}

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)


def inputs(member: Member, height: int = 11, width: int = 14, images: int = len(SEEDS)) -> Tensor:
    """Images that this member takes."""
    return random_images(height, width, images, channels=member.channels)


def test_every_public_transform_is_a_member() -> None:
    render_images = [part for member in MEMBERS.values() for part in member.make().modules()]
    for name in optvis.transforms.__all__:
        public = getattr(optvis.transforms, name)
        if inspect.isclass(public):
            assert (name in ABSTRACT) == inspect.isabstract(public)
            assert name in ABSTRACT or public in set(map(type, render_images)), name
        else:
            assert name in MEMBERS


@each_member
@pytest.mark.parametrize("size", [(11, 14), (9, 9), (8, 21)], ids=str)
@pytest.mark.parametrize("step", [0, 3])
def test_transformed_images_equal_the_oracles(member: Member, size: tuple[int, int], step: int) -> None:
    images = inputs(member, *size)
    found = member.make()(images, streams(*SEEDS).seek(step))
    for image, seed, result in zip(images, SEEDS, found, strict=True):
        expected = member.oracle(image.numpy(), streams(seed).seek(step))
        np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-6)


@each_member
def test_an_image_is_the_same_alone_and_in_any_batch(member: Member) -> None:
    transform, images = member.make(), inputs(member)
    together = transform(images, streams(*SEEDS))
    backwards = transform(images.flip(0), streams(*reversed(SEEDS))).flip(0)
    assert_close(backwards, together, rtol=0, atol=1e-14)
    for i, seed in enumerate(SEEDS):
        assert_close(transform(images[i : i + 1], streams(seed)), together[i : i + 1], rtol=0, atol=1e-14)


@each_member
def test_equal_seeds_and_steps_give_equal_transforms(member: Member) -> None:
    transform, image = member.make(), inputs(member, images=1).repeat(len(SEEDS), 1, 1, 1)
    draws = streams(*SEEDS)
    first = transform(image, draws.seek(3))
    assert_close(first[0], first[3], rtol=0, atol=1e-14)
    others = [transform(image, draws.seek(step)) for step in range(4, 20)]
    assert torch.equal(transform(image, draws.seek(3)), first)
    assert all(torch.equal(other, first) for other in others) != member.draws
    assert all(torch.equal(other[0], other[1]) for other in others) != member.draws


@each_member
def test_the_global_generators_are_not_used(member: Member) -> None:
    transform, images = member.make(), inputs(member)
    states = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index, union-attr]
    first = transform(images, streams(*SEEDS))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index, union-attr]
    assert random.getstate() == states[2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        assert torch.equal(transform(images, streams(*SEEDS)), first)


@each_member
def test_transforms_do_not_change_their_input(member: Member) -> None:
    images = inputs(member)
    before = images.clone()
    member.make()(images, streams(*SEEDS))
    assert torch.equal(images, before)


@each_member
def test_gradients_equal_finite_differences(member: Member) -> None:
    if not member.passes:
        pytest.skip("it changes the gradient: tests/test_transforms_gradients.py has what it does")
    images = inputs(member, 9, 8, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: member.make()(x, streams(1, 2)), images, fast_mode=True)


@each_member
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (5, 2), (7, 13)], ids=str)
def test_images_of_any_size_pass(member: Member, size: tuple[int, int]) -> None:
    height, width = (max(side, member.min_side) for side in size)
    found = member.make()(inputs(member, height, width, 2), streams(1, 2))
    assert found.dim() == 4
    assert found.shape[:2] == (2, 3 if _blends(member) else member.channels)
    assert found.isfinite().all()


def _blends(member: Member) -> bool:
    return any(isinstance(part, optvis.transforms.Blend) for part in member.make().modules())


@each_member
def test_float32_equals_float64_up_to_rounding(member: Member) -> None:
    images = inputs(member, 64, 48)
    found = member.make()(images.float(), streams(*SEEDS))
    assert found.dtype == torch.float32
    assert_close(found.double(), member.make()(images, streams(*SEEDS)), rtol=0, atol=2e-4)


@each_member
def test_the_repr_evaluates_to_an_equal_transform(member: Member) -> None:
    transform = member.make()
    again = eval(repr(transform), {**vars(optvis.transforms), "AvgPool2d": nn.AvgPool2d})
    assert repr(again) == repr(transform)
    images = inputs(member)
    assert torch.equal(again(images, streams(*SEEDS)), transform(images, streams(*SEEDS)))


@each_member
def test_transforms_can_be_pickled(member: Member) -> None:
    transform, images = member.make(), inputs(member)
    again = pickle.loads(pickle.dumps(transform))
    assert torch.equal(again(images, streams(*SEEDS)), transform(images, streams(*SEEDS)))


def tiny() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return Classifier(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()).double(), None, 12)


def render_images(member: Member, images: Sequence[int], chunk: int | None = None) -> Tensor:
    """Render three steps for a channel per image, each from its own seed."""
    seeds = [SEEDS[i] for i in images]
    canvas = ImageParam(FFT((12, 13), Streams(seeds, "canvas"), channels=member.channels), Sigmoid())
    targets = channel("", [(0, 3, 2, 1)[i] for i in images])
    options = {"steps": 3, "transform": member.make(), "optimizer": ADAM, "seed": seeds, "progress": False}
    return render(tiny(), targets, canvas, batch_size=chunk, **options).images  # type: ignore[arg-type]


@each_member
def test_a_chunk_equals_its_part_of_the_batch(member: Member) -> None:
    whole = render_images(member, range(4))
    for chunk in (1, 3):
        assert_close(render_images(member, range(4), chunk), whole, rtol=0, atol=1e-9)
    assert_close(render_images(member, [2]), whole[2:3], rtol=0, atol=1e-9)
