"""render: an image is the same alone and in a batch; an interrupted rendering returns the images so far."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.transforms import v2

from optvis import IMAGENET, Classifier, Normalize, Rendering, activations, load, render
from optvis.errors import NotFiniteError
from optvis.objectives import channel, cosine, direction, gram_distance, layer_norm, logit, on, total_variation
from optvis.params import cppn_image, fft_image, pixel_image
from optvis.rendering.optimizers import ADAM, FAST_ADAM
from optvis.transforms import STANDARD

STEPS = 5
draw = partial(render, steps=STEPS, progress=False)
BITWISE = {"atol": 0, "rtol": 0}
PRODUCT = {"atol": 1e-10, "rtol": 0}  # a matrix product runs over the batch
VECTORS = torch.randn(3, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GRAMS = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def same(made, expected, atol, rtol):
    torch.testing.assert_close(made.images, expected.images, atol=atol, rtol=rtol)
    torch.testing.assert_close(made.scores, expected.scores, atol=atol * 100, rtol=rtol, equal_nan=True)


@pytest.mark.parametrize("make", [fft_image, pixel_image])
@pytest.mark.parametrize("transform", [STANDARD, None], ids=["standard", "still"])
@pytest.mark.parametrize(
    ("objective", "tolerance"),
    [
        (channel("conv2", [1, 5, 9]), BITWISE),
        (channel("relu2", [1, 5, 9]), BITWISE),
        (layer_norm("relu1", [0, 1, 2]) * torch.tensor([1.0, 0.5, 2.0]), BITWISE),
        (channel("conv2", 3) * torch.tensor([0.0, 0.5, 1]) + channel("conv1", 2) * torch.tensor([1, 0.5, 0]), BITWISE),
        (logit([0, 1, 4]), PRODUCT),
        (direction("conv2", VECTORS, power=2), PRODUCT),
        (cosine("conv2", VECTORS), PRODUCT),
        (-1.0 * gram_distance("conv1", GRAMS, power=2), PRODUCT),
    ],
    ids=["channel", "relu", "weights", "interpolation", "logit", "direction", "cosine", "gram"],
)
def test_alone_is_the_same_as_in_a_batch_at_any_place(small, make, transform, objective, tolerance):
    options = {"transform": transform, "size": 20}
    together = draw(small, objective, make(20, seeds=(7, 7, 7)).double(), seed=7, **options)
    for place in range(3):
        alone = draw(small, objective[place : place + 1], make(20, seeds=(7,)).double(), seed=7, **options)
        same(alone, together[place], **tolerance)
    turned = torch.tensor([2, 0, 1])
    shuffled = draw(small, reordered(objective, turned), make(20, seeds=(7, 7, 7)).double(), seed=7, **options)
    torch.testing.assert_close(shuffled.images, together.images[turned], **tolerance)


def reordered(objective, order):
    """The same objectives in another order, by slicing and joining the rows of each term."""
    rows = lambda x: x[order] if len(x) == len(order) else x  # noqa: E731
    terms = [replace(t, targets=tuple(map(rows, t.targets)), weight=rows(t.weight)) for t in objective.terms]
    return type(objective)(tuple(terms))


def test_a_seed_of_its_own_makes_each_image_its_own_and_still_the_same_alone(small):
    objective = channel("conv2", 3)
    together = draw(small, objective, seed=(4, 5, 4), size=20)
    assert torch.equal(together.images[0], together.images[2])
    assert not torch.equal(together.images[0], together.images[1])
    same(draw(small, objective, seed=5, size=20), together[1], **BITWISE)


def test_one_number_gives_every_image_the_same_stream(small):
    made = draw(small, channel("conv2", [3, 3]), seed=9, size=20)
    assert torch.equal(made.images[0], made.images[1])
    assert made.recipe["seeds"] == [9, 9]


def test_images_that_are_compared_get_streams_of_their_own(small):
    def apart(a):
        """How far each image is from the mean of all."""
        return (a - a.mean(0)).square().flatten(1).mean(1)

    coupled = channel("conv2", [3, 3]) + on("conv1", apart, couples_images=True)
    made = draw(small, coupled, seed=9, size=20)
    assert made.recipe["seeds"] == [9, 10]
    assert not torch.equal(made.images[0], made.images[1])
    with pytest.raises(ValueError, match="couples images"):
        draw(small, coupled, batch_size=1, size=20)


@pytest.mark.parametrize("make", [fft_image, pixel_image])
@pytest.mark.parametrize(
    "objective", [channel("conv2", [1, 5, 9]), direction("conv2", VECTORS), channel("relu2", [1, 5, 9])]
)
def test_in_float32_alone_is_the_same_up_to_rounding_after_8_steps(network, make, objective):
    """After more steps one ReLU or maximum may be chosen otherwise, where kernels round otherwise in a batch."""
    classifier = Classifier(network, IMAGENET, 40)
    together = draw(classifier, objective, make(40, seeds=(0, 0, 0)), steps=8)
    for place in range(3):
        alone = draw(classifier, objective[place : place + 1], make(40), steps=8)
        assert (alone.images[0] - together.images[place]).abs().max() <= 5e-6


def test_a_real_architecture_is_the_same_bit_for_bit_in_double():
    network = load("squeezenet1_0", weights=None)
    network.network.double()
    objective = channel("features.9", [0, 17, 60])
    together = draw(network, objective, steps=3, size=48)
    for place in range(3):
        alone = draw(network, objective[place : place + 1], steps=3, size=48)
        assert torch.equal(alone.images[0], together.images[place])


@pytest.mark.parametrize("objective", [channel("features.9", [0, 17, 60]), direction("features.7", torch.eye(256)[:3])])
def test_a_real_architecture_is_the_same_up_to_rounding_in_float32(random_squeezenet, objective):
    """One update: later, a max-pool's winner that changes with the last bit of a convolution changes the image."""
    together = draw(random_squeezenet, objective, steps=1, size=48)
    for place in range(3):
        alone = draw(random_squeezenet, objective[place : place + 1], steps=1, size=48)
        assert (alone.images[0] - together.images[place]).abs().max() <= 1e-4


@pytest.mark.parametrize("size", [17, (15, 22)])
def test_odd_sizes_are_the_same_to_the_last_bits_that_vector_instructions_leave(small, size):
    """torch computes the last few numbers of a tensor by other instructions than the rest."""
    together = draw(small, channel("conv2", [1, 5, 9]), size=size)
    for place in range(3):
        same(draw(small, channel("conv2", [1, 5, 9][place]), size=size), together[place], atol=1e-13, rtol=0)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 99])
def test_a_batch_at_a_time_is_the_whole(small, chunk):
    objective = channel("conv2", [1, 5, 9, 2])
    whole = draw(small, objective, size=20, snapshots=[0, 2], seed=(1, 2, 3, 4))
    made = draw(small, objective, size=20, snapshots=[0, 2], seed=(1, 2, 3, 4), batch_size=chunk)
    same(made, whole, **BITWISE)
    assert made.labels == whole.labels
    assert made.recipe == whole.recipe
    for step in (0, 2):
        assert torch.equal(made.snapshots[step], whole.snapshots[step])
    assert max(small.network.fuse.calls[-2 * STEPS :]) <= chunk


@pytest.mark.parametrize("make", [fft_image, pixel_image])
@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_a_given_image_ends_as_what_was_rendered(small, make, chunk):
    image = make(20, seeds=(1, 2, 3)).double()
    made = draw(small, channel("conv2", [1, 5, 9]), image, batch_size=chunk)
    assert torch.equal(made.images, image().detach())


def test_a_given_image_is_where_it_starts(small):
    photo = torch.rand(1, 3, 20, 20, dtype=torch.float64)
    image = fft_image(20).double().fill_(photo)
    made = draw(small, channel("conv2", 1), image, steps=0)
    torch.testing.assert_close(made.images, photo.clamp(1 / 512, 1 - 1 / 512), atol=1e-9, rtol=0)


def test_no_steps_give_the_first_image_and_no_scores(small):
    made = draw(small, channel("conv2", [1, 2]), steps=0, size=20, seed=3)
    assert torch.equal(made.images, fft_image(20, seeds=(3, 3)).double()().detach())
    assert made.scores.shape == (0, 2)


def test_snapshots_are_the_images_after_so_many_updates(small):
    made = draw(small, channel("conv2", 1), size=20, snapshots=range(STEPS + 1))
    assert list(made.snapshots) == list(range(STEPS + 1))
    for steps, images in made.snapshots.items():
        assert torch.equal(images, draw(small, channel("conv2", 1), size=20, steps=steps).images)
    assert torch.equal(made.snapshots[STEPS], made.images)


def test_scores_are_those_before_each_update(small):
    made = draw(small, channel("conv2", 1), size=20, transform=None, snapshots=range(STEPS))
    assert made.scores.shape == (STEPS, 1)
    for steps, images in made.snapshots.items():
        expected = activations(Classifier(small.network, IMAGENET, 20), images, ["conv2"])["conv2"][:, 1].mean()
        torch.testing.assert_close(made.scores[steps, 0], expected)


def test_the_same_call_gives_the_same_bytes_twice(random_squeezenet):
    runs = [draw(random_squeezenet, channel("features.5", [1, 2]), size=40, steps=3) for _ in range(2)]
    assert torch.equal(runs[0].images, runs[1].images)
    assert torch.equal(runs[0].scores, runs[1].scores)


def test_the_global_generator_is_neither_used_nor_changed(small):
    torch.manual_seed(1)
    first = draw(small, channel("conv2", 1), size=20).images
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(draw(small, channel("conv2", 1), size=20).images, first)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "optimizer",
    [
        ADAM,
        FAST_ADAM,
        partial(torch.optim.Adam, lr=0.1),
        partial(torch.optim.AdamW, lr=0.05),
        partial(torch.optim.SGD, lr=1.0, momentum=0.9),
        partial(torch.optim.Adagrad, lr=0.1),
        partial(torch.optim.Rprop, lr=0.01),
        partial(torch.optim.NAdam, lr=0.05),
        partial(torch.optim.LBFGS, lr=0.5, max_iter=3),
        lambda values: torch.optim.Adam([{"params": list(values), "lr": 0.2}]),
    ],
)
def test_any_optimizer_raises_the_score(small, optimizer):
    made = draw(small, channel("conv2", 1), size=20, transform=None, optimizer=optimizer, steps=8, redirect_steps=0)
    assert made.scores[-1] > made.scores[0]


@pytest.mark.parametrize("batch_size", [None, 2])
@pytest.mark.parametrize("wrap", [lambda maker: maker, lambda maker: lambda values: maker(values)])
def test_an_optimizer_of_all_parameters_together_gets_each_image_alone(small, wrap, batch_size):
    optimizer = wrap(partial(torch.optim.LBFGS, lr=0.5, max_iter=3))
    together = draw(small, channel("conv2", [1, 5]), size=20, optimizer=optimizer, steps=4, batch_size=batch_size)
    alone = draw(small, channel("conv2", 5), size=20, optimizer=optimizer, steps=4)
    torch.testing.assert_close(together.images[1], alone.images[0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("chunk", [None, 1, 2])
@pytest.mark.parametrize("at", range(1, 12, 2))
def test_an_interrupt_returns_what_is_there(small, chunk, at, monkeypatch):
    """At any step: each image is as after the steps that it had."""
    objective = channel("conv2", [1, 5, 9])
    monkeypatch.setattr("optvis.rendering.job.find_image_ceilings", lambda *_: [])  # runs the network once more
    small.network.fuse.arm(KeyboardInterrupt(), at)
    try:
        made = draw(small, objective, size=20, batch_size=chunk, steps=3)
    except KeyboardInterrupt:
        assert at == 1  # before the first step there is nothing
        return
    fired = at <= len(small.network.fuse.calls)
    small.network.fuse.error = None
    assert made.recipe["interrupted"] is fired
    if fired:
        assert len(made) < 3 or made.scores.isnan().any() or len(made.scores) < 3
    for place in range(len(made)):
        steps = int((~made.scores[:, place].isnan()).sum())
        alone = draw(small, objective[place : place + 1], size=20, steps=steps)
        assert torch.equal(made.images[place], alone.images[0])
        torch.testing.assert_close(made.scores[:steps, place], alone.scores[:, 0], **BITWISE)


def test_an_interrupt_keeps_the_given_image_up_to_date(small):
    image = pixel_image(20, seeds=(0, 1)).double()
    small.network.fuse.arm(KeyboardInterrupt(), 4)
    made = draw(small, channel("conv2", [1, 5]), image)
    assert made.recipe["interrupted"] is True
    assert 0 < len(made.scores) < STEPS
    assert torch.equal(image().detach(), made.images)


def test_a_score_that_is_not_finite_has_the_images_so_far(small):
    calls = []

    def broken(a):
        calls.append(1)
        return a.flatten(1).mean(1) * (float("inf") if len(calls) == 4 else 1)

    with pytest.raises(NotFiniteError, match=r"step 3: the score of 'broken conv1' is -?inf") as caught:
        draw(small, on("conv1", broken), size=20)
    calls[:] = [1] * 9
    there = caught.value.rendering
    assert torch.equal(there.images, draw(small, on("conv1", broken), size=20, steps=3).images)
    assert len(there.scores) == 3


def test_a_score_that_is_not_finite_has_the_batches_before_it_too(small):
    calls = []

    def broken(a):
        calls.append(1)
        return a.flatten(1).mean(1) * (float("nan") if len(calls) == STEPS + 3 else 1)

    objective = channel("conv2", [1, 5, 9])
    with pytest.raises(NotFiniteError, match="step 2") as caught:
        draw(small, objective + on("conv1", broken), size=20, batch_size=1)
    there = caught.value.rendering
    assert len(there) == 2
    calls[:] = [1] * 99
    assert torch.equal(there.images[0], draw(small, objective[:1] + on("conv1", broken), size=20).images[0])
    assert there.scores[2:, 1].isnan().all()


@pytest.mark.parametrize("most", [1, 2, 3, 4])
@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("given", [False, True], ids=["default", "given"])
def test_out_of_memory_halves_and_goes_on_to_the_same_images(small, most, at, given):
    objective, seeds = channel("conv2", [1, 5, 9, 2, 0]), (1, 2, 3, 4, 5)
    make = partial(pixel_image, 20, seeds=seeds)
    whole = draw(small, objective, make().double() if given else None, size=20, seed=seeds)
    small.network.fuse.limit(most, at)
    image = make().double() if given else None
    made = draw(small, objective, image, size=20, seed=seeds)
    same(made, whole, **BITWISE)
    assert any(size > most for size in small.network.fuse.calls)
    if given:
        assert torch.equal(image().detach(), made.images)


def test_out_of_memory_for_a_single_image_is_an_error(small, untouched):
    small.network.fuse.limit(0)
    with untouched(small.network), pytest.raises(torch.OutOfMemoryError):
        draw(small, channel("conv2", [1, 5]), size=20)


def test_images_that_see_each_other_are_not_split_where_memory_ends(small):
    small.network.fuse.limit(1)
    coupled = on("conv2", lambda a: (a - a.mean(0)).square().flatten(1).mean(1), couples_images=True)
    with pytest.raises(torch.OutOfMemoryError):
        draw(small, coupled * torch.ones(2), size=20)


def test_a_bare_network_is_refused_without_its_normalisation(network):
    with pytest.raises(ValueError, match="normalize=IMAGENET"):
        draw(network, channel("conv1", 0))
    given = draw(network, channel("conv1", 0), recipe="plain", normalize=IMAGENET, size=20)
    told = draw(Classifier(network, IMAGENET, 20), channel("conv1", 0), recipe="plain")
    assert torch.equal(given.images, told.images)
    other = draw(network, channel("conv1", 0), recipe="plain", normalize=None, size=20)
    assert not torch.equal(other.images, given.images)
    assert other.recipe["normalize"] == "None"


def test_a_torchvision_network_carries_imagenets(random_squeezenet):
    bare = models.squeezenet1_0()
    bare.load_state_dict(random_squeezenet.network.state_dict())
    with pytest.warns(UserWarning, match="SqueezeNet is fed as torchvision's published weights"):
        made = draw(bare, channel("features.3", 1), size=32, steps=2)
    assert torch.equal(made.images, draw(random_squeezenet, channel("features.3", 1), size=32, steps=2).images)
    assert made.recipe["normalize"] == repr(IMAGENET)


def test_a_timm_network_carries_its_own():
    pytest.importorskip("timm")
    loaded = load("timm/vit_tiny_patch16_224", weights=None)
    made = draw(loaded.network, channel("blocks.0", 1), size=32, steps=1)
    assert made.recipe["normalize"] == repr(Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
    assert torch.equal(made.images, draw(loaded, channel("blocks.0", 1), size=32, steps=1).images)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_networks_of_other_precision_run_in_theirs(network, dtype):
    made = draw(Classifier(network.to(dtype), IMAGENET, 20), channel("conv2", [1, 5]))
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert made.images.dtype == expected
    assert made.images.isfinite().all()
    assert network.conv1.weight.dtype == dtype
    assert made.recipe["dtype"] == str(expected)


def test_half_precision_renders_nearly_what_single_does(network):
    gently = partial(draw, objective=channel("conv2", 1), optimizer=partial(torch.optim.SGD, lr=1))
    single = gently(Classifier(network, IMAGENET, 20))
    half = gently(Classifier(network.bfloat16(), IMAGENET, 20))
    assert (single.images - half.images).abs().max() < 0.02


def test_a_network_without_parameters_can_be_rendered():
    network = Classifier(nn.Sequential(nn.AvgPool2d(2), nn.Softplus()), None, 16)
    made = draw(network, channel("1", 0), transform=None, steps=20)
    assert made.images[0, 0].mean() > made.images[0, 1].mean() + 0.01


def test_a_network_that_begins_in_place_renders_the_same_images():
    layers = nn.Hardtanh(0.4, 0.6, inplace=True), nn.Conv2d(3, 4, 3)
    begins = Classifier(nn.Sequential(*layers), None, 16)
    objective = channel("1", 2) - 0.01 * total_variation()
    plain = Classifier(nn.Sequential(nn.Hardtanh(0.4, 0.6), layers[1]), None, 16)
    torch.testing.assert_close(draw(begins, objective).images, draw(plain, objective).images, atol=1e-6, rtol=0)


def test_odd_and_oblong_sizes_are_kept(small):
    for size in ((17, 23), 15, (21, 12)):
        made = draw(small, channel("conv2", 1), size=size, steps=1)
        assert tuple(made.images.shape) == (1, 3, *(size if isinstance(size, tuple) else (size, size)))


def test_images_are_in_range_on_the_cpu_and_free(small):
    made = draw(small, channel("conv2", [1, 2]), optimizer=partial(torch.optim.Adam, lr=5.0))
    assert made.images.min() >= 0
    assert made.images.max() <= 1
    assert not made.images.requires_grad
    assert not made.scores.requires_grad


def test_the_recipe_says_what_was_done(small):
    recipe = draw(small, channel("conv2", [1, 2]), size=20, seed=(3, 4), transform=None).recipe
    assert recipe["network"] == "small"
    assert recipe["objective"] == "channel('conv2', [1, 2])"
    assert recipe["steps"] == STEPS
    assert recipe["seeds"] == [3, 4]
    assert recipe["transform"] == "None"
    assert recipe["interrupted"] is False


def test_progress_goes_to_the_error_stream_or_nowhere(small, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # bars are hidden where it is a file
    draw(small, channel("conv2", 1), size=20)
    assert capsys.readouterr() == ("", "")
    render(small, channel("conv2", 1), size=20, steps=2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "render" in shown.err


@pytest.mark.parametrize(
    ("make", "optimizer", "text"),
    [(fft_image, None, "ImageAdam"), (cppn_image, None, "Adam(lr=0.005)"), (cppn_image, ADAM, "Adam(lr=0.05")],
)
def test_an_image_brings_the_optimizer_that_suits_it_unless_one_is_given(small, make, optimizer, text):
    made = draw(small, channel("conv2", 1), make(20), optimizer=optimizer, steps=1)
    assert made.recipe["optimizer"].startswith(text)


@pytest.mark.parametrize("seed", [np.int64(5), np.array([5, 6]), torch.arange(5, 7), [np.int32(5), 6]], ids=str)
def test_numbers_of_numpy_and_torch_are_numbers(small, seed, tmp_path):
    made = draw(small, channel("conv2", 1), steps=np.int64(2), seed=seed)
    again = Rendering.load(made.save(tmp_path / "made.png"))
    assert again.recipe["seeds"] == [5, 6][: len(made)]
    assert all(type(one) is int for one in made.recipe["seeds"])


def test_what_gives_no_gradient_or_no_step_is_named(small):
    detach = v2.Lambda(lambda x: x.detach())
    with pytest.raises(ValueError, match=r"no gradient reaches the parameters .* transform=.* detaches"):
        draw(small, channel("conv2", 1), size=20, transform=detach, steps=1)
    with pytest.raises(TypeError, match=r"returned complex scores; expected real ones"):
        draw(small, on("conv2", lambda a: torch.fft.fft(a.flatten(1)).mean(1)), size=20, steps=1)
    with pytest.raises(TypeError, match=r"made None of the parameters; expected a function that returns a torch"):
        draw(small, channel("conv2", 1), size=20, optimizer=lambda values: None, steps=1)


def test_some_images_of_a_rendering_are_a_rendering(small):
    made = draw(small, channel("conv2", [1, 5, 9]), size=20, steps=2, seed=[3, 4, 5])
    some = made[1:]
    assert torch.equal(some.images, made.images[1:])
    assert torch.equal(some.scores, made.scores[:, 1:])
    assert (some.recipe["seeds"], some.labels, len(made[2:2])) == ([4, 5], made.labels[1:], 0)
    assert made[-1].recipe["objective"] == "channel('conv2', 9)"
    with pytest.raises(IndexError, match="image 3 of 3; expected 0 to 2"):
        made[3]
