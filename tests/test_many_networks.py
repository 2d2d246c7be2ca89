"""Many networks, each asked everything: it works, or one sentence says why not and what to do; the page has no more."""

from __future__ import annotations

import pytest

from .bench.networks import HEADING, read_table
from .checks import ROOT
from .many_networks import NETWORKS
from .network_functions import FUNCTIONS, ask

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, timm and transformers, about themselves
TABLE = read_table((ROOT / "docs" / "networks.md").read_text("utf-8").partition(HEADING)[2])
LEAST = 40  # networks
# Words of which each refusal has one: they say what to do instead.
CURES = ("give", "use", "take", "choose", "name ", "load", "expected", "say ", "leave", "network.to_empty")


@pytest.fixture(scope="module", params=NETWORKS)
def asked(request):
    """The name of a network, and what came of each function."""
    if request.param == "LoRA":
        pytest.importorskip("peft")
    return request.param, ask(request.param)


def test_each_function_works_or_says_in_one_sentence_what_to_do(asked):
    for label, outcome in asked[1].items():
        assert not outcome.is_raw, f"{label}: {outcome}"
        assert outcome.kind == "fine" or any(word in outcome.text for word in CURES), f"{label}: {outcome}"


def test_what_the_page_says_of_it_holds(asked):
    name, outcomes = asked
    said = {label for label, works in TABLE[name].items() if works}
    assert said <= {label for label, outcome in outcomes.items() if outcome.kind == "fine"}


def test_the_page_lists_all_networks_and_functions():
    assert list(TABLE) == list(NETWORKS)
    assert len(TABLE) >= LEAST
    assert all(list(row) == list(FUNCTIONS) for row in TABLE.values())
    rows = [row for name, row in TABLE.items() if not name.startswith(("scripted", "quantised", "empty"))]
    assert sum(sum(row.values()) for row in rows) > 0.95 * len(rows) * len(FUNCTIONS)
