"""Draws in advance: an ascent's transforms give the same bits as with draws at each step."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from optvis import transforms
from optvis.params import Streams
from optvis.rendering.steps import draws
from optvis.rendering.steps.draws import Draws
from optvis.transforms import COARSE_TO_FINE, STANDARD, Compose, Stages, maco_crops, natural_crops

CHAINS = {
    "nothing": Compose(),
    "standard": Compose(STANDARD),
    "natural": Compose(natural_crops(0.72)),
    "crops with noise": Compose(maco_crops(8, 0.04)),
    "stages": Compose(COARSE_TO_FINE),
    "random border": Compose(transforms.Pad("random"), transforms.Jitter(4)),
    "flip and noise": Compose(transforms.Flip(), transforms.UniformNoise(0.1), transforms.Rotate([-5, 5])),
    "stages in stages": Compose(Stages({0: transforms.Jitter(2), 5: Stages({0: Compose(), 7: STANDARD})})),
}
ALPHA = {
    "random colour": Compose(transforms.OnRandomColor(), transforms.Jitter(4)),
    "one colour": Compose(transforms.OnColor(0.25)),
}  # fmt: skip


def compare(chain: Compose, images: Tensor, seeds: tuple[int, ...], steps: Iterable[int]) -> Draws:
    """Compare the bits of each step."""
    found = Draws(chain, Streams(seeds, "transform"))
    for step in steps:
        expected = chain(images, Streams(seeds, "transform").seek(step))
        assert chain(images, found.at(step, images)).equal(expected)
        assert chain(images, found.at(step, images)).equal(expected)  # a line search asks again
    return found


@pytest.mark.parametrize("seeds", [(3,), (3, 3, 3), (0, 1, 0, 1)], ids=["one", "same", "views"])
@pytest.mark.parametrize("name", [*CHAINS, *ALPHA])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_in_advance_are_those_of_each_step(name, seeds, dtype):
    generator = torch.Generator().manual_seed(0)
    count = 2 if len(seeds) == 4 else len(seeds)
    images = torch.rand(count, 3 + (name in ALPHA), 12, 10, generator=generator, dtype=dtype)
    assert not compare((CHAINS | ALPHA)[name], images, seeds, [0, 1, 6, 18, 63, 64, 69]).reason


def test_they_are_drawn_once_for_many_steps(monkeypatch):
    counts = []
    draw = Draws._record
    monkeypatch.setattr(
        Draws, "_record", lambda own, steps, images: counts.append(len(steps)) or draw(own, steps, images)
    )
    compare(CHAINS["standard"], torch.rand(1, 3, 8, 8), (0,), range(66))
    assert counts == [1, 64, 1, 64]


class Own(transforms.Transform):
    """Somebody's own transform, which may use its streams in any way."""

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return images * float(streams.uniform(1)[0])


@pytest.mark.parametrize(
    ("part", "count", "reason"),
    [
        (transforms.OnRandomNoise(), 4, draws.WHOLE_IMAGES.format("OnRandomNoise")),
        (transforms.Blur((0.5, 2.0)), 3, "RuntimeError: Tensor.item() cannot be called on meta tensors"),
    ],
)
def test_transforms_whose_numbers_cannot_be_placed_draw_at_each_step(part, count, reason):
    images = torch.rand(2, count, 8, 8, dtype=torch.float64)
    assert compare(Compose(part, transforms.Jitter(4)), images, (0, 1), range(3)).reason == reason


@pytest.mark.parametrize("part", [Own(), nn.Dropout(), nn.Sequential(nn.Identity())])
def test_transforms_of_others_draw_at_each_step(part):
    name = type(part if not isinstance(part, nn.Sequential) else part[0]).__name__
    assert compare(Compose(STANDARD, part), torch.rand(1, 3, 8, 8), (0,), range(3)).reason == draws.FOREIGN.format(name)


def test_there_is_room_for_so_many_numbers_alone(monkeypatch):
    monkeypatch.setattr(draws, "MAX_NUMBERS_IN_ADVANCE", 40)
    found = compare(CHAINS["standard"], torch.rand(1, 3, 8, 8), (0,), range(20))
    assert not found.reason
    assert len(found.drawn.steps) == 6
    monkeypatch.setattr(draws, "MAX_NUMBERS_IN_ADVANCE", 4)
    assert compare(CHAINS["standard"], torch.rand(1, 3, 8, 8), (0,), range(3)).reason == draws.TOO_MANY.format(6)
