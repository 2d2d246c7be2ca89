"""accentuate: the score and the distance by hand, the same transform on both, the balance of their gradients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import IMAGE, After, Decay, channel, on, total_variation
from optvis.params import Streams, fft_image, phase_image, pixel_image
from optvis.rendering import Prior
from optvis.rendering.accentuate import accentuate
from optvis.transforms import STANDARD, GaussianNoise

PHOTOS = 0.1 + 0.8 * torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SGD = partial(torch.optim.SGD, lr=0.5)
draw = partial(accentuate, steps=3, progress=False)


def features(small, layer, inputs):
    for name, part in small.network.named_children():
        inputs = part.eval()(inputs)
        if name == layer:
            return inputs
    raise KeyError(layer)


@pytest.mark.parametrize("transform", [STANDARD, GaussianNoise(0.1)], ids=["warped", "noisy"])
def test_each_step_is_that_of_the_formula(small, transform):
    """Score − λ ‖f(T x) − f(T x₀)‖, by hand."""
    made = draw(
        small, PHOTOS[:1], channel("conv2", 3), "conv1", transform=transform, optimizer=SGD, seed=4, redirect_steps=0
    )
    streams = Streams((4,), "transform")

    def both(image, original, step):
        x, x0 = (small.preprocess(transform(seen, streams.seek(step))) for seen in (image(), original))
        score = features(small, "conv2", x)[:, 3].mean()
        held = features(small, "conv1", x) - features(small, "conv1", x0)
        return score, held.square().sum().sqrt()

    image = pixel_or_fft(fft_image)
    original = image().detach()
    optimizer = SGD(image.parameters())
    (-both(image, original, 0)[0]).backward()
    optimizer.step()
    sizes = [
        float(torch.autograd.grad(part, list(image.parameters()), retain_graph=True)[0].abs().sum())
        for part in both(image, original, 1)
    ]
    weight = sizes[0] / sizes[1]
    assert made.recipe["weights"] == pytest.approx([weight], rel=1e-9)

    image = pixel_or_fft(fft_image)
    optimizer, scores = SGD(image.parameters()), []
    for step in range(3):
        score, distance = both(image, original, step)
        total = score - weight * distance if step else score  # at the start the norm has no gradient
        optimizer.zero_grad()
        (-total).backward()
        optimizer.step()
        scores.append(float(score.detach()))
    np.testing.assert_allclose(made.scores[:, 0].numpy(), scores, rtol=1e-9)
    assert_close(made.images, image().detach(), rtol=0, atol=1e-9)


def pixel_or_fft(make):
    return make(20).double().fill_(PHOTOS[:1])


def test_an_image_alone_is_the_same_as_among_others(small):
    objective = channel("conv2", [1, 5, 9])
    options = {"views": 2, "seed": (3, 4, 5)}
    together = draw(small, PHOTOS, objective, "conv1", **options)
    for place in range(3):
        alone = draw(small, PHOTOS[place], objective[place : place + 1], "conv1", views=2, seed=3 + place)
        assert_close(alone.images, together[place].images, rtol=0, atol=1e-9)
        assert_close(alone.transparency, together[place].transparency, rtol=1e-7, atol=1e-12)
        assert alone.recipe["weights"] == pytest.approx(together.recipe["weights"][place : place + 1], rel=1e-9)


@pytest.mark.parametrize(
    "options",
    [{}, {"views": 2}, {"transform": GaussianNoise(0.1)}, {"priors": [Prior(total_variation(), 0.5)]}],
    ids=str,
)
def test_a_batch_at_a_time_is_the_whole(small, options):
    objective = channel("conv2", [1, 5, 9])
    whole = draw(small, PHOTOS, objective, "conv1", seed=(3, 4, 5), **options)
    parts = draw(small, PHOTOS, objective, "conv1", seed=(3, 4, 5), batch_size=2, **options)
    assert_close(parts.images, whole.images, rtol=0, atol=1e-9)
    assert_close(parts.scores, whole.scores, rtol=1e-9, atol=1e-9)
    assert parts.recipe == whole.recipe


def test_one_image_may_have_several_objectives(small):
    made = draw(small, PHOTOS[0], channel("conv2", [1, 5]), "conv1")
    assert made.images.shape == (2, 3, 20, 20)
    assert made.labels == ("channel('conv2', 1)", "channel('conv2', 5)")


def test_the_stronger_the_distance_the_nearer_it_stays(small):
    def distance(strength):
        made = draw(small, PHOTOS[0], channel("conv2", 3), "conv1", strength=strength, steps=12, transform=None)
        moved = features(small, "conv1", small.preprocess(made.images)) - features(
            small, "conv1", small.preprocess(start)
        )
        return float(moved.detach().norm())

    start = pixel_or_fft(fft_image)().detach()
    free, held, tied = (distance(hold) for hold in (0.0, 1.0, 100.0))
    assert free > held > tied > 0


def test_it_begins_with_the_image_and_the_score_rises(small):
    made = draw(small, PHOTOS[0], channel("conv2", 3), "conv1", steps=12, snapshots=(0,))
    assert_close(made.snapshots[0], PHOTOS[:1], rtol=0, atol=1e-9)
    assert made.scores[-1, 0] > made.scores[0, 0]
    assert made.transparency.shape == made.images.shape


@pytest.mark.parametrize("make", [phase_image, pixel_image])
def test_other_parameterizations_start_from_the_image_too(small, make):
    param = make(20)
    made = draw(small, PHOTOS[0], channel("conv2", 3), "conv1", param=param, snapshots=(0,))
    assert_close(made.snapshots[0], PHOTOS[:1], rtol=0, atol=1e-5)
    assert_close(param().detach().cpu(), made.images, rtol=0, atol=1e-6)
    assert not torch.isclose(made.images, PHOTOS[:1]).all()


def test_the_distance_may_be_of_pixels(small):
    made = draw(small, PHOTOS[0], channel("conv2", 3), IMAGE, strength=50.0)
    assert made.scores.isfinite().all()


def test_an_image_is_cropped_as_the_publisher_does_or_taken_whole(small):
    large = torch.rand(3, 30, 50)
    cropped = draw(small, large, channel("conv2", 3), "conv1", steps=0)
    assert_close(cropped.images, small.load_batch(large).clamp(1 / 512, 511 / 512), rtol=0, atol=1e-5)
    whole = draw(small, [large, large], channel("conv2", 3), "conv1", steps=1, size=25)
    assert whole.images.shape == (2, 3, 15, 25)


def test_the_network_is_as_it_was(network, untouched):
    with untouched(network):
        draw(network, PHOTOS[0], channel("conv2", 3), "conv1", normalize=None, size=20)


def test_images_that_are_compared_have_one_view(small):
    objective = on("conv2", lambda a: -(a - a.mean(0)).square().flatten(1).mean(1), couples_images=True)
    assert len(draw(small, PHOTOS[:2], objective, "conv1")) == 2
    with pytest.raises(ValueError, match="one view of each, got 2 views"):
        draw(small, PHOTOS[:2], objective, "conv1", views=2)


def test_what_does_not_fit_is_refused(small):
    with pytest.raises(KeyError, match="conv1"):
        draw(small, PHOTOS[0], channel("conv2", 3), "conv_1")
    with pytest.raises(ValueError, match="this canvas holds"):
        draw(small, PHOTOS[0], channel("conv2", 3), "conv1", param=fft_image(16))
    for options, message in (
        ({"steps": -1}, "steps is -1; expected 0 or more"),
        ({"views": 0}, "views is 0; expected 1 or more"),
        ({"strength": -1.0}, "strength is -1.0; expected 0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            accentuate(small, PHOTOS[0], channel("conv2", 3), "conv1", **options)


def test_ctrl_c_returns_what_is_there(small):
    small.network.fuse.arm(KeyboardInterrupt(), at=8)
    made = draw(small, PHOTOS[0], channel("conv2", 3), "conv1", steps=50)
    assert made.recipe["interrupted"]
    assert len(made.scores) < 50


def test_a_schedule_does_not_change_the_balance(small):
    photo = PHOTOS[:1]
    objective = channel("conv2", 1)
    weights = [
        accentuate(small, photo, each, "conv1", steps=1, progress=False).recipe["weights"]
        for each in (objective, objective * After(3), objective * Decay(0.5))
    ]
    assert weights[0] == weights[1] == weights[2]


def test_a_prior_makes_the_image_smoother_and_leaves_the_balance_as_it_is(small):
    smooth = [Prior(total_variation(), 2.0)]
    free, held = (draw(small, PHOTOS, channel("conv2", 3), "conv1", steps=8, priors=each) for each in ((), smooth))
    sums = [total_variation()({IMAGE: made.images}) for made in (free, held)]
    assert (sums[1] < 0.9 * sums[0]).all()
    assert held.recipe["weights"] == free.recipe["weights"]
    assert held.recipe["priors"] == ["Prior(total_variation(), 2)"]
