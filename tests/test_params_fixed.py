"""Fixed parts of images, and fixed images of a batch."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, render
from optvis.objectives import channel
from optvis.params import FixedRegion, fft_image, fix_images, fix_region, mean_spectrum
from optvis.rendering.optimizers import ADAM


def small_net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Classifier(nn.Conv2d(3, 4, 3, padding=1), None, 8)


def test_render_changes_only_the_free_region():
    fixed = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(8, 8)
    mask[2:6, 3:7] = 1
    image = fix_region(fft_image(8, seeds=(0, 1)), fixed, mask)
    rendering = render(small_net(), channel("", [0, 1]), image, steps=3, transform=None, progress=False)
    free = mask.bool().expand(2, 3, 8, 8)
    assert torch.equal(rendering.images[~free], fixed.expand(2, 3, 8, 8)[~free])
    assert not torch.isclose(rendering.images[free], fixed.expand(2, 3, 8, 8)[free]).any()
    (gradient,) = torch.autograd.grad((image() * (1 - mask)).sum(), list(image.parameters()))
    assert not gradient.any()


@pytest.mark.parametrize("optimizer", [ADAM, partial(torch.optim.NAdam, lr=0.1)], ids=["Adam", "NAdam"])
def test_fixed_images_do_not_change_in_chunks(optimizer):
    fixed = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = fix_images(fft_image(8, seeds=(4, 5, 6)), {1: fixed})
    options = {"steps": 3, "transform": None, "progress": False, "optimizer": optimizer}
    rendering = render(small_net(), channel("", [0, 1, 2]), image, batch_size=2, **options)
    assert torch.equal(rendering.images[1], fixed)
    assert not torch.isclose(rendering.images[[0, 2]], fixed).all(dim=(1, 2, 3)).any()


def test_fixed_images_do_not_influence_free_ones():
    fixed, net = torch.rand(3, 8, 8), small_net()
    options = {"steps": 3, "transform": None, "progress": False}
    beside = render(net, channel("", [0, 1]), fix_images(fft_image(8, seeds=(4, 5)), {0: fixed}), **options)
    plain = render(net, channel("", [0, 1]), fft_image(8, seeds=(4, 5)), **options)
    assert_close(beside.images[1], plain.images[1], rtol=0, atol=1e-6)


def test_wrong_shapes_indices_and_masks_raise():
    image = fft_image(8, seeds=(0, 1))
    with pytest.raises(ValueError, match=r"fixed images are \(1, 3, 4, 4\); expected the shape .*, \(2, 3, 8, 8\)"):
        fix_region(image, torch.rand(1, 3, 4, 4), torch.ones(8, 8))
    with pytest.raises(ValueError, match=r"the mask is \(1, 1, 4, 8\); expected the shape .*, \(2, 3, 8, 8\)"):
        fix_region(image, torch.rand(1, 3, 8, 8), torch.ones(4, 8))
    with pytest.raises(ValueError, match=r"the mask leaves \[0, 1\]"):
        fix_region(image, torch.rand(1, 3, 8, 8), 255 * torch.ones(8, 8))
    with pytest.raises(ValueError, match=r"expected \(B, C, H, W\)"):
        fix_region(image, torch.rand(3, 8, 8), torch.ones(8, 8))
    with pytest.raises(IndexError, match="fixed image for index 2; the batch has 2"):
        fix_images(image, {2: torch.rand(3, 8, 8)})
    with pytest.raises(ValueError, match=r"the fixed image for index 0 is \(3, 8, 4\); expected \(3, 8, 8\)"):
        fix_images(image, {0: torch.rand(3, 8, 4)})


def test_inverse_undoes_the_mix_where_the_image_is_free():
    mask = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    region = FixedRegion(torch.full((1, 3, 1, 1), 0.5), mask)
    images = torch.rand(2, 3, 1, 4)
    assert_close(region.inverse(region(images))[..., 1:], images[..., 1:], rtol=0, atol=1e-6)
    assert torch.equal(region(images)[..., 3], images[..., 3])
    assert (region(images)[..., 0] == 0.5).all()


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "divide by 255"),
        (torch.full((1, 3, 8, 8), 200.0), ValueError, "run from 200 to 200"),
        (torch.full((1, 3, 8, 8), torch.nan), ValueError, "run from nan"),
    ],
)
def test_images_in_another_range_raise(images, error, message):
    with pytest.raises(error, match=message):
        fix_region(fft_image(8), images, torch.ones(8, 8))
    with pytest.raises(error, match=message):
        mean_spectrum(images)
