"""Foreign modules in a chain of transforms: they repeat, and restore the global generator."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from kornia.augmentation import ColorJiggle, RandomGaussianBlur, RandomPerspective
from torch import Tensor, nn
from torch.nn import functional as F

from optvis.transforms import Compose, Jitter, Pad, Resize, Rotate

from .transform_members import SEEDS, random_images, streams

AUGMENTATIONS: dict[str, Callable[[], nn.Module]] = {
    "ColorJiggle": lambda: ColorJiggle(0.2, 0.2, 0.2, 0.1, p=1.0),
    "RandomGaussianBlur": lambda: RandomGaussianBlur((3, 3), (0.5, 2.0), p=1.0),
    "RandomPerspective": lambda: RandomPerspective(0.4, p=1.0),
    "Dropout": lambda: nn.Dropout(0.5),
}


@pytest.mark.parametrize("make", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_foreign_augmentation_repeats_and_restores_the_global_generator(
    make: Callable[[], nn.Module], dtype: torch.dtype
) -> None:
    chain = Compose(Pad(0.5), Jitter(4), make(), Rotate([-5, 5]), Resize(10))
    images, draws = random_images(dtype=dtype).requires_grad_(), streams(*SEEDS)
    state = torch.random.get_rng_state()
    first = chain(images, draws.seek(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.shape == (4, 3, 10, 10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert torch.equal(chain(images, streams(*SEEDS).seek(2)), first)
    assert not torch.equal(chain(images, draws.seek(3)), first)
    (gradient,) = torch.autograd.grad(first.square().sum(), images)
    assert gradient.isfinite().all()
    assert gradient.flatten(1).any(1).all()


def test_three_foreign_augmentations_in_one_chain_draw_different_numbers() -> None:
    chain = Compose(Jitter(2), *(make() for make in AUGMENTATIONS.values()), Jitter(2))
    assert torch.equal(chain(random_images(), streams(*SEEDS)), chain(random_images(), streams(*SEEDS)))
    twice = Compose(nn.Dropout(0.5), nn.Dropout(0.5))(torch.ones(1, 3, 40, 40), streams(1))
    assert 0.7 < float((twice == 0).float().mean()) < 0.8  # 3/4; it would be 1/2 with equal draws


def test_the_global_generator_is_restored_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch.rand(3)
            raise ZeroDivisionError("broken")

    state = torch.random.get_rng_state()
    with pytest.raises(ZeroDivisionError, match="broken"):
        Compose(Broken())(random_images(), streams(*SEEDS))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_plain_module_is_called_between_two_warps() -> None:
    first, second = Compose(Pad(0.2), Jitter(4)), Compose(Pad(0.2), Rotate([9, -9]))
    draws = streams(*SEEDS)
    before = first(random_images(), draws)
    draws.uniform(1)  # the number that seeds the module
    expected = second(F.avg_pool2d(before, 2), draws)
    found = Compose(Pad(0.2), Jitter(4), nn.AvgPool2d(2), Rotate([9, -9]))(random_images(), streams(*SEEDS))
    assert torch.equal(found, expected)
