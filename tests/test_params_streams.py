"""Random streams: an image's numbers depend only on its seed, the purpose and the step."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optvis.params import Streams
from optvis.params.streams import NUMBERS_PER_PAGE, STEPS_PER_PAGE

DRAWS: dict[str, Callable[[Streams], Tensor]] = {
    "uniform": lambda streams: streams.uniform(3),
    "normal": lambda streams: streams.normal(2, 5),
}
each_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def draw_both(streams: Streams) -> Tensor:
    """Draw uniform and normal numbers in turn, (B, numbers)."""
    parts = [streams.uniform(2), streams.normal(3), streams.uniform(64), streams.normal(2), streams.uniform(1)]
    return torch.cat(parts, dim=1)


@each_draw
def test_a_seed_gives_the_same_numbers_alone_in_a_batch_and_in_any_order(draw: Callable[[Streams], Tensor]) -> None:
    together = draw(Streams((7, 3, 7, 2**40, -1, 0), "x"))
    for i, seed in enumerate((7, 3, 7, 2**40, -1, 0)):
        assert torch.equal(draw(Streams((seed,), "x")), together[i : i + 1])
    backwards = draw(Streams((0, -1, 2**40, 7, 3, 7), "x"))
    assert torch.equal(backwards.flip(0), together)
    assert len(together.flatten(1).unique(dim=0)) == 5


@each_draw
def test_numbers_have_a_row_per_image_and_are_float64_on_the_cpu(draw: Callable[[Streams], Tensor]) -> None:
    found = draw(Streams((1, 2), "x"))
    assert found.shape[0] == 2
    assert (found.dtype, found.device.type) == (torch.float64, "cpu")
    assert Streams((1, 2), "x").normal().shape == (2,)


@each_draw
def test_purposes_seeds_and_steps_are_independent(draw: Callable[[Streams], Tensor]) -> None:
    draws = [
        draw(Streams((seed,), purpose).seek(step))
        for seed in (0, 1, 10)
        for purpose in ("", "1", "canvas", "transform")
        for step in (0, 1, 10, STEPS_PER_PAGE, 10 * STEPS_PER_PAGE)
    ]
    assert len(torch.cat(draws).flatten(1).unique(dim=0)) == len(draws)


def test_successive_draws_differ_and_seeking_back_repeats_them() -> None:
    streams = Streams((4, 5), "x")
    steps = [0, 1, 63, 64, 65, 127, 128, 1000]
    first = [draw_both(streams.seek(step)) for step in steps]
    assert len(torch.cat(first).unique(dim=0)) == 2 * len(steps)
    again = [draw_both(streams.seek(step)) for step in reversed(steps)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    assert not torch.equal(streams.seek(3).uniform(5), streams.uniform(5))
    assert not torch.equal(streams.seek(3).normal(5), streams.normal(5))


@pytest.mark.parametrize("before", [0, 1, 5, 64, 65])
def test_numbers_of_a_step_do_not_depend_on_earlier_draws(before: int) -> None:
    fresh, used = Streams((4, 5), "x"), Streams((4, 5), "x")
    for _ in range(before):
        used.uniform(3)
        used.normal(2)
    for step in (1, STEPS_PER_PAGE):
        assert torch.equal(draw_both(used.seek(step)), draw_both(fresh.seek(step)))


def test_seek_zero_equals_a_new_stream() -> None:
    assert torch.equal(draw_both(Streams((4,), "x").seek(0)), draw_both(Streams((4,), "x")))
    streams = Streams((4,), "x")
    assert streams.seek(9) is streams


@pytest.mark.parametrize("counts", [(1,) * 130, (63, 2, 64, 1), (40, 40, 40), (64, 64, 64)], ids=str)
def test_numbers_do_not_repeat_across_pages_and_blocks(counts: tuple[int, ...]) -> None:
    streams = Streams((4, 5), "x")
    numbers = []
    for step in (STEPS_PER_PAGE - 1, STEPS_PER_PAGE, 0, 2 * STEPS_PER_PAGE - 1):
        streams.seek(step)
        numbers += [streams.uniform(count) for count in counts]
    found = torch.cat(numbers, dim=1)
    assert found.shape == (2, 4 * sum(counts))
    assert found.unique().numel() == found.numel()


def test_memory_does_not_grow_with_the_number_of_steps() -> None:
    streams, sizes = Streams((4, 5), "x"), []
    for step in range(0, 30 * STEPS_PER_PAGE, 7):
        streams.seek(step).uniform(3)
        sizes.append(len(pickle.dumps(streams)))
    assert max(sizes) < 1.1 * sizes[0]


def test_more_numbers_than_a_page_raise() -> None:
    with pytest.raises(ValueError, match="65 numbers at once; expected at most 64, or normal"):
        Streams((0,), "x").uniform(NUMBERS_PER_PAGE + 1)


def test_uniform_numbers_are_uniform() -> None:
    streams = Streams(range(20), "x")
    found = torch.cat([streams.seek(step).uniform(64) for step in range(100)], dim=1)
    count = found.numel()
    assert found.min() >= 0
    assert found.max() < 1
    # Tolerances are five standard deviations of the estimates.
    assert abs(found.mean() - 1 / 2) < 5 * (1 / 12 / count) ** 0.5
    assert abs(found.square().mean() - 1 / 3) < 5 * (4 / 45 / count) ** 0.5
    filled = torch.histc(found.float(), 50, 0, 1)
    chi_square = float(((filled - count / 50) ** 2 / (count / 50)).sum())
    assert abs(chi_square - 49) < 5 * (2 * 49) ** 0.5


def test_normal_numbers_are_normal_and_images_uncorrelated() -> None:
    found = torch.cat([Streams(range(10), "x").seek(step).normal(100, 50) for step in range(3)], dim=1).flatten(1)
    count = found.numel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(found.pow(power).mean()) - moment) < 5 * (variance / count) ** 0.5
    correlation = torch.corrcoef(found) - torch.eye(10, dtype=torch.float64)
    assert correlation.abs().max() < 5 / found.shape[1] ** 0.5


def test_steps_of_one_image_are_uncorrelated() -> None:
    streams = Streams((0,), "x")
    steps = torch.cat([streams.seek(step).uniform(64) for step in range(200)])
    pairs = torch.stack([steps[:-1].flatten(), steps[1:].flatten()])
    assert abs(float(torch.corrcoef(pairs)[0, 1])) < 5 / pairs.shape[1] ** 0.5


def test_the_global_generator_is_not_used() -> None:
    state = torch.random.get_rng_state()
    first = draw_both(Streams((1,), "x"))
    assert torch.equal(torch.random.get_rng_state(), state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(draw_both(Streams((1,), "x")), first)


@pytest.mark.parametrize("seeds", [(1, 2), [1, 2], range(1, 3), np.array([1, 2]), torch.tensor([1, 2])], ids=repr)
def test_any_sequence_of_integers_is_seeds(seeds: Any) -> None:
    assert Streams(seeds, "x").seeds == (1, 2)
    assert len(Streams(seeds, "x")) == 2


def test_a_wrong_seed_raises() -> None:
    with pytest.raises(ValueError, match="no seeds"):
        Streams((), "x")
    for seeds in ((1.5,), ("1",), (None,)):
        with pytest.raises(TypeError):
            Streams(seeds, "x")  # type: ignore[arg-type]


def test_the_numbers_do_not_change_between_versions() -> None:
    """A recipe must give the same image in later versions: change these numbers only with a note to users."""
    assert Streams((0,), "canvas").normal(2).tolist() == FIRST_NORMAL
    assert Streams((0,), "transform").uniform(2).tolist() == FIRST_UNIFORM


FIRST_NORMAL = [[-0.5040218965895288, 1.1010509397451165]]
FIRST_UNIFORM = [[0.8534835486610273, 0.3031066661305495]]
