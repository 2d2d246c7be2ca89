"""A prior that compares images is treated as an objective that does: seeds, batches and warnings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from optvis import Prior, ascend, render
from optvis.objectives import channel, diversity
from optvis.rendering import job
from optvis.rendering.job import RenderJob

DRAWN = {"steps": 2, "recipe": "plain", "progress": False}
DIFFERENT = Prior(diversity("conv2"), 0.5)
IN_PAIRS = Prior(diversity("conv2", group_size=2), 0.5)


def test_images_that_a_prior_compares_get_seeds_of_their_own(small):
    objective = channel("conv2", [1] * 4)
    made = render(small, objective, priors=[DIFFERENT], **DRAWN)
    assert made.recipe["seeds"] == [0, 1, 2, 3]
    assert not torch.equal(made.images[0], made.images[1])
    assert render(small, objective, priors=[IN_PAIRS], **DRAWN).recipe["seeds"] == [0, 1, 0, 1]
    step = next(islice(ascend(small, objective, priors=[DIFFERENT]), 0, None))
    assert not torch.equal(step.images[0], step.images[1])


def test_a_prior_that_compares_images_says_that_one_has_no_other(small):
    for _ in range(2):  # the second may start from what was kept of the first
        with pytest.warns(UserWarning, match="diversity conv2 compares images, and has no effect on one"):
            render(small, channel("conv2", 1), priors=[DIFFERENT], **DRAWN)


def test_a_batch_is_split_between_the_groups_that_a_prior_compares(small, monkeypatch):
    made = RenderJob(small, channel("conv2", [0, 1] * 40), None, 4, priors=[DIFFERENT], progress=False)
    there = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    monkeypatch.setattr(job, "free_bytes", lambda _: 1000)
    monkeypatch.setattr(RenderJob, "_measure_step", lambda _, images: 10 * images)
    assert replace(made, classifier=there)._choose_batch_size(80) == 80
    assert made._halve(80) == 80
    pairs = replace(made, classifier=there, priors=[IN_PAIRS])
    assert pairs._choose_batch_size(80) == 40
    assert pairs._halve(6) == 4


def test_an_optimizer_with_one_step_size_for_all_keeps_what_a_prior_compares_together(small):
    lbfgs = partial(torch.optim.LBFGS, lr=0.1, max_iter=2)
    made = render(small, channel("conv2", [1, 2]), priors=[DIFFERENT], optimizer=lbfgs, **DRAWN)
    assert made.images.isfinite().all()
