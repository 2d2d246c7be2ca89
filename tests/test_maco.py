"""maco: steps as written by hand; the same alone and in a batch; the images so far after an interrupt."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from optvis import Rendering, render
from optvis.errors import NotFiniteError
from optvis.objectives import channel, diversity, logit, on, total_variation
from optvis.params import Streams, mean_spectrum, phase_image
from optvis.rendering import Prior
from optvis.rendering.maco import NADAM, maco
from optvis.rendering.result import concatenate
from optvis.rendering.views import repeat_for_views, view_seeds
from optvis.transforms import (
    Blur,
    Compose,
    GaussianNoise,
    Pad,
    RandomResizedCrop,
    Resize,
    Rotate,
    Stages,
    UniformNoise,
    Zoom,
    maco_crops,
)

draw = partial(maco, steps=3, views=2, size=24, progress=False)


def test_a_step_is_the_mean_over_crops_and_the_map_sums_absolute_gradients(small):
    """By hand, with one crop after the other."""
    chain = maco_crops(20, 0.0)
    made = draw(small, channel("conv1", 3), seed=5, redirect_steps=0, transform=chain)
    image = phase_image(24, seeds=(5,)).double()
    optimizer = torch.optim.NAdam(image.parameters(), lr=1.0)
    streams = Streams(view_seeds((5,), 2), "transform")
    mattered, scores = np.zeros((3, 24, 24)), []
    for step in range(3):
        images = image()
        images.retain_grad()
        inputs = small.preprocess(chain(images.expand(2, -1, -1, -1), streams.seek(step)))
        score = small.network.conv1(inputs)[:, 3].mean()
        optimizer.zero_grad()
        (-score).backward()
        mattered += images.grad[0].abs().numpy()
        scores.append(float(score.detach()))
        optimizer.step()
    np.testing.assert_allclose(made.scores[:, 0].numpy(), scores, rtol=1e-9)
    np.testing.assert_allclose(made.transparency[0].numpy(), mattered, atol=1e-12)
    assert_close(made.images, image().detach(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("views", "options"), [(1, {}), (2, {}), (2, {"priors": [Prior(total_variation(), 0.5)]})], ids=["1", "2", "priors"]
)
def test_it_is_render_with_its_parts(small, views, options):
    objective = channel("conv2", [1, 5])
    made = draw(small, objective, views=views, seed=4, **options)
    parts = {"transform": maco_crops(20, 0.04), "optimizer": NADAM, "views": views, "transparency": True}
    parts |= {"recipe": "plain", "steps": 3, "seed": 4, "progress": False, **options}
    same = render(small, objective, phase_image(24, seeds=(4, 4)), **parts)
    assert torch.equal(made.images, same.images)
    assert torch.equal(made.scores, same.scores)
    assert torch.equal(made.transparency, same.transparency)
    assert dict(made.recipe) | {"method": "render", "recipe": "plain"} == same.recipe


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_batch_at_a_time_is_the_whole(small, batch_size):
    objective = channel("conv2", [1, 5, 9])
    whole, parts = draw(small, objective), draw(small, objective, batch_size=batch_size)
    assert_close(parts.images, whole.images, rtol=0, atol=1e-12)
    assert_close(parts.scores, whole.scores, rtol=0, atol=1e-12)
    assert_close(parts.transparency, whole.transparency, rtol=0, atol=1e-12)
    assert parts.recipe == whole.recipe


def test_an_image_alone_is_the_same_as_in_a_batch(small):
    objective = torch.tensor([1.0, 0.5, 2.0]) * channel("conv2", [1, 5, 9]) + logit(["cat", "dog", "cat"])
    together = draw(small, objective)
    for place in range(3):
        alone = draw(small, objective[place : place + 1])
        assert_close(alone.images, together[place].images, rtol=0, atol=1e-9)
        assert_close(alone.scores, together[place].scores, rtol=1e-9, atol=1e-9)
        assert_close(alone.transparency, together[place].transparency, rtol=1e-9, atol=1e-12)
        assert alone.labels == together[place].labels


def test_the_spectrum_is_the_users(small):
    spectrum = mean_spectrum(torch.rand(4, 3, 24, 24))
    made = draw(small, channel("conv2", 1), spectrum=spectrum, steps=0)
    assert_close(made.images, phase_image(24, spectrum=spectrum)().detach().double(), rtol=0, atol=1e-5)
    assert "sha256" in made.recipe["param"]
    assert not made.transparency.any()


def test_its_recipe_says_how_it_was_made(small):
    made = draw(small, channel("conv2", 1), size=None)
    assert made.images.shape == (1, 3, 40, 40)
    expected = {"method": "maco", "network": "small", "objective": "channel('conv2', 1)", "views": 2, "steps": 3}
    assert {key: made.recipe[key] for key in expected} == expected
    assert made.recipe["optimizer"] == "NAdam(lr=1.0)"
    assert "Zoom" in made.recipe["transform"]


def test_a_prior_that_compares_images_gives_each_its_own_seed(small):
    made = draw(small, channel("conv2", [1, 5]), views=1, seed=4, priors=[Prior(diversity("conv1"), 0.5)])
    assert made.recipe["seeds"] == [4, 5]


def test_a_channel_may_be_written_short(small):
    assert torch.equal(draw(small, "conv2:1").images, draw(small, channel("conv2", 1)).images)


def test_the_network_is_as_it_was(network, untouched):
    with untouched(network):
        draw(network, channel("conv2", 1), normalize=None, transform=Compose(Resize(20)))


def test_a_map_is_kept_joined_taken_apart_and_shown(small, tmp_path):
    made = draw(small, channel("conv2", [1, 5]), snapshots=(0, 3))
    assert list(made.snapshots) == [0, 3]
    assert torch.equal(made.snapshots[3], made.images)
    again = Rendering.load(made.save(tmp_path / "maco.png"))
    assert torch.equal(again.transparency, made.transparency)
    assert list(again.snapshots) == [0, 3]
    assert torch.equal(concatenate([made[0], made[1]], {}).transparency, made.transparency)
    faded = made.with_transparency(95)
    mattered = made.transparency.numpy().mean(1)
    for place in range(2):
        share = mattered[place] / np.quantile(mattered[place], 0.95)
        np.testing.assert_allclose(faded[place, 3].numpy(), np.clip(share, 0, 1), atol=1e-6)
    assert torch.equal(faded[:, :3], made.images)
    mostly_unseen = np.clip(mattered[0] / mattered[0].max(), 0, 1)
    assert np.quantile(mattered[0], 0.05) == 0
    np.testing.assert_allclose(made.with_transparency(5)[0, 3].numpy(), mostly_unseen, atol=1e-6)
    assert (draw(small, channel("conv2", 1), steps=0).with_transparency()[:, 3] == 1).all()
    plain = Rendering(made.images, made.scores, {})
    assert concatenate([made, plain], {}).transparency is None
    with pytest.raises(
        ValueError, match=r"no transparency map; maco\(\), accentuate\(\) and render\(transparency=True\)"
    ):
        plain.with_transparency()
    with pytest.raises(ValueError, match="percentile is 0"):
        made.with_transparency(0)


def test_ctrl_c_returns_what_is_there(small):
    small.network.fuse.arm(KeyboardInterrupt(), at=4)
    made = draw(small, channel("conv2", 1), steps=50)
    assert made.recipe["interrupted"]
    assert 0 < len(made.scores) < 50


def test_what_is_not_finite_is_named_and_what_was_there_kept(small):
    def broken(a):
        return a.flatten(1).mean(1) * float("nan")

    with pytest.raises(NotFiniteError, match="step 0") as error:
        draw(small, on("conv2", broken))
    assert error.value.rendering.images.shape == (1, 3, 24, 24)


def test_objectives_that_compare_images_have_one_view(small):
    objective = on("conv2", lambda a: -(a - a.mean(0)).square().flatten(1).mean(1), couples_images=True)
    with pytest.raises(ValueError, match="one view of each, got 2 views"):
        draw(small, objective, seed=(1, 2))
    assert len(draw(small, objective, seed=(1, 2), views=1)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": -1}, "steps is -1; expected 0 or more"), ({"views": 0}, "views is 0; expected 1 or more")],
)
def test_what_is_out_of_range_is_refused(small, options, message):
    with pytest.raises(ValueError, match=message):
        maco(small, channel("conv2", 1), **options)


def test_views_repeat_rows_and_share_one_image():
    objective = channel("a", [1, 2]) * torch.tensor([3.0, 4.0])
    repeated = repeat_for_views(objective, 2)
    activations = {"a": torch.arange(12.0).view(4, 3)}
    assert_close(repeated(activations), torch.tensor([1.5 * 1, 1.5 * 4, 2 * 8, 2 * 11]))
    assert repeat_for_views(objective, 1) is objective
    assert view_seeds((3, 4), 2)[::2] == (3, 4)
    assert len(set(view_seeds(range(4), 5))) == 20


CHAINS = {
    "maco": maco_crops((10, 14), 0.1),
    "nothing": Compose(),
    "pixels first": Compose(GaussianNoise(0.1), Pad(0.2), Zoom()),
    "random colour": Compose(Pad("random"), Zoom(side=(0.9, 0.3)), Resize((9, 7))),
    "levels": Compose(Pad((0.1, 0.2, 0.3)), Rotate(range(-30, 31)), Resize(1)),
    "reflect": Compose(Pad("reflect"), RandomResizedCrop((0.4, 1.3)), UniformNoise(0.1)),
    "stages": Stages({0: maco_crops(8), 1: Blur(1.0)}),
    "edge, and foreign": Compose(RandomResizedCrop(), Resize(12), torch.nn.AvgPool2d(2)),
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
@pytest.mark.parametrize("views", [1, 2, 5])
def test_views_are_those_of_copies_of_each_image(chain, views):
    images = torch.rand(3, 3, 24, 20, dtype=torch.float64, requires_grad=True)
    found, expected = (
        Compose(chain)(batch, Streams(view_seeds((4, 5, 4), views), "transform").seek(1))
        for batch in (images, images.repeat_interleave(views, 0))
    )
    assert_close(found, expected, rtol=1e-9, atol=1e-9)
    weights = torch.rand(expected.shape, dtype=torch.float64)
    gradients = [torch.autograd.grad((weights * made).sum(), images)[0] for made in (found, expected)]
    assert_close(gradients[0], gradients[1], rtol=1e-7, atol=1e-9)
