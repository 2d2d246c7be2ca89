"""A job that is killed and started again writes the same bytes. `python -m tests.torture kills` is the long run."""

from __future__ import annotations

import random

import pytest

from tests.operations import tiny
from tests.torture.kills import JOBS, count_equal

KILLS = 2


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_job_writes_the_same_bytes_when_started_again(name):
    assert count_equal(JOBS[name], tiny(), KILLS, random.Random(name)) == KILLS
