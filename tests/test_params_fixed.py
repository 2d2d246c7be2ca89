"""What stays fixed: a part of each image, or whole images of a batch."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, render
from optvis.objectives import channel
from optvis.params import Fixed, fft_image, fixed_images, fixed_region, mean_spectrum
from optvis.rendering.optimizers import ADAM


def small_net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Classifier(nn.Conv2d(3, 4, 3, padding=1), None, 8)


def test_a_fixed_region_stays_through_a_render_and_the_rest_does_not():
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(8, 8)
    mask[2:6, 3:7] = 1
    image = fixed_region(fft_image(8, seeds=(0, 1)), picture, mask)
    made = render(small_net(), channel("", [0, 1]), image, steps=3, transform=None, progress=False)
    free = mask.bool().expand(2, 3, 8, 8)
    assert torch.equal(made.images[~free], picture.expand(2, 3, 8, 8)[~free])
    assert not torch.isclose(made.images[free], picture.expand(2, 3, 8, 8)[free]).any()
    (gradient,) = torch.autograd.grad((image() * (1 - mask)).sum(), list(image.parameters()))
    assert not gradient.any()


@pytest.mark.parametrize("optimizer", [ADAM, partial(torch.optim.NAdam, lr=0.1)], ids=["Adam", "NAdam"])
def test_a_fixed_image_stays_also_in_chunks(optimizer):
    picture = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = fixed_images(fft_image(8, seeds=(4, 5, 6)), {1: picture})
    options = {"steps": 3, "transform": None, "progress": False, "optimizer": optimizer}
    made = render(small_net(), channel("", [0, 1, 2]), image, chunk=2, **options)
    assert torch.equal(made.images[1], picture)
    assert not torch.isclose(made.images[[0, 2]], picture).all(dim=(1, 2, 3)).any()


def test_free_images_do_not_notice_the_fixed_one():
    picture, net = torch.rand(3, 8, 8), small_net()
    options = {"steps": 3, "transform": None, "progress": False}
    beside = render(net, channel("", [0, 1]), fixed_images(fft_image(8, seeds=(4, 5)), {0: picture}), **options)
    plain = render(net, channel("", [0, 1]), fft_image(8, seeds=(4, 5)), **options)
    assert_close(beside.images[1], plain.images[1], rtol=0, atol=1e-6)


def test_what_cannot_be_fixed_is_refused():
    image = fft_image(8, seeds=(0, 1))
    with pytest.raises(ValueError, match=r"pictures are \(1, 3, 4, 4\); these images are \(2, 3, 8, 8\)"):
        fixed_region(image, torch.rand(1, 3, 4, 4), torch.ones(8, 8))
    with pytest.raises(ValueError, match=r"the mask is \(1, 1, 4, 8\); these images are"):
        fixed_region(image, torch.rand(1, 3, 8, 8), torch.ones(4, 8))
    with pytest.raises(ValueError, match=r"the mask leaves \[0, 1\]"):
        fixed_region(image, torch.rand(1, 3, 8, 8), 255 * torch.ones(8, 8))
    with pytest.raises(ValueError, match=r"expected \(B, C, H, W\)"):
        fixed_region(image, torch.rand(3, 8, 8), torch.ones(8, 8))
    with pytest.raises(IndexError, match="image 2 is to be fixed; there are 2"):
        fixed_images(image, {2: torch.rand(3, 8, 8)})
    with pytest.raises(ValueError, match=r"the picture for image 0 is \(3, 8, 4\)"):
        fixed_images(image, {0: torch.rand(3, 8, 4)})


def test_a_mixture_is_undone_where_the_image_is_free():
    free = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 1, 4)
    fixed = Fixed(torch.full((1, 3, 1, 1), 0.5), free)
    images = torch.rand(2, 3, 1, 4)
    assert_close(fixed.inverse(fixed(images))[..., 1:], images[..., 1:], rtol=0, atol=1e-6)
    assert torch.equal(fixed(images)[..., 3], images[..., 3])
    assert (fixed(images)[..., 0] == 0.5).all()


@pytest.mark.parametrize(
    ("pictures", "error", "says"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "divide by 255"),
        (torch.full((1, 3, 8, 8), 200.0), ValueError, "run from 200 to 200"),
        (torch.full((1, 3, 8, 8), torch.nan), ValueError, "run from nan"),
    ],
)
def test_pictures_in_another_range_are_refused(pictures, error, says):
    with pytest.raises(error, match=says):
        fixed_region(fft_image(8), pictures, torch.ones(8, 8))
    with pytest.raises(error, match=says):
        mean_spectrum(pictures)
