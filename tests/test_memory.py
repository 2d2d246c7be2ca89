"""How many images run together on CUDA: one probe, whole groups, and what is not split."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from optvis.objectives import channel, diversity
from optvis.params import cppn_image, fft_image
from optvis.rendering import job
from optvis.rendering.job import RenderJob
from optvis.rendering.steps.memory import SHARE, fit_batch


@pytest.mark.parametrize(("images", "group"), [(1, 1), (64, 1), (65, 1), (5488, 1), (5488, 7), (200, 100), (90, 90)])
@pytest.mark.parametrize("bytes_per_image", [1, 10**6, 10**9])
def test_what_fits_is_whole_groups_and_stays_within_the_share(images, group, bytes_per_image):
    probes = []
    room = 10**9
    found = fit_batch(images, group, lambda count: probes.append(count) or count * bytes_per_image, room)
    assert group <= found <= images or found == images
    assert len(probes) <= 1
    if probes:
        assert probes[0] % group == 0
        assert found == images or found % group == 0
        assert found * bytes_per_image <= SHARE * room or found == group
    if not probes:
        assert found == images


def test_a_job_probes_once_on_cuda_alone(small, monkeypatch):
    objective = channel("conv2", [0, 1] * 40)
    made = RenderJob(small, objective, None, 4, progress=False)
    assert made._choose_batch_size(80) == 80
    there = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    monkeypatch.setattr(job, "free_bytes", lambda _: 1000)
    monkeypatch.setattr(RenderJob, "_measure_step", lambda _, images: 10 * images)
    assert replace(made, classifier=there)._choose_batch_size(80) == 40
    assert replace(made, classifier=there, batch_size=3)._choose_batch_size(80) == 3
    assert replace(made, classifier=there, objective=objective - diversity("conv2"))._choose_batch_size(80) == 80
    assert replace(made, classifier=there, param=fft_image(20, seeds=range(80)))._choose_batch_size(80) == 40
    assert replace(made, classifier=there, param=cppn_image(20, seeds=range(80)))._choose_batch_size(80) == 40
    assert replace(made, classifier=there, param=torch.nn.Identity())._choose_batch_size(80) == 80
