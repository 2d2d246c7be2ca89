"""Labels of classes in objectives."""

from __future__ import annotations

import re

import pytest
import torch

from optvis.objectives import OUTPUT, Labels, logit
from optvis.objectives.labels import index_of

LABELS = ["cat", "sea dog", "crane", "crane", "tench, Tinca tinca", "goldfish, Carassius auratus", "dog, sea dog, seal"]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("cat", 0),
        (" CAT ", 0),
        ("tench", 4),
        ("tinca TINCA", 4),
        ("tench, Tinca tinca", 4),
        ("dog", 6),
        ("sea dog", 1),  # a whole label has priority over a synonym
    ],
)
def test_a_label_matches_its_text_or_one_of_its_synonyms(text: str, index: int) -> None:
    assert index_of(text, LABELS) == index


@pytest.mark.parametrize(
    ("text", "nearest"),
    [("catt", "cat"), ("tinca tincb", "Tinca tinca"), ("auratus", "goldfish, Carassius auratus")],
)
def test_an_unknown_label_raises_with_the_nearest(text: str, nearest: str) -> None:
    with pytest.raises(KeyError, match=re.escape(f"no label {text!r}; nearest: {nearest!r}")):
        index_of(text, LABELS)


def test_a_label_without_near_ones_raises_with_their_number() -> None:
    with pytest.raises(KeyError, match="no label 'zzz'; there are 7 labels"):
        index_of("zzz", LABELS)


def test_a_label_of_two_classes_raises_with_both_indices() -> None:
    with pytest.raises(KeyError, match="label 'crane' matches classes 2 and 3; give the index"):
        index_of("crane", LABELS)
    with pytest.raises(KeyError, match="matches classes 0 and 1"):
        index_of("seal", ["a, seal", "b, seal"])


@pytest.mark.parametrize("labels", [None, (), []])
def test_a_label_for_a_network_without_labels_raises(labels: list[str] | None) -> None:
    with pytest.raises(ValueError, match="label 'cat' for a network without labels; give the class's index"):
        logit("cat").resolve(labels)


def test_a_label_that_is_not_resolved_raises() -> None:
    with pytest.raises(ValueError, match="give the class's index"):
        logit("cat")({OUTPUT: torch.zeros(1, 7)})


def test_a_resolved_label_is_its_index() -> None:
    outputs = {OUTPUT: torch.randn(3, 7, dtype=torch.float64)}
    objective = 2 * logit(["cat", "dog", "tench"]) - logit("goldfish")
    assert objective.batch == 3
    resolved = objective.resolve(LABELS)
    assert repr(resolved) == "2.0 * logit([0, 6, 4]) - logit(5)"
    assert torch.equal(resolved(outputs), (2 * logit([0, 6, 4]) - logit(5))(outputs))
    assert torch.equal(objective[1:].resolve(LABELS)({OUTPUT: outputs[OUTPUT][1:]}), resolved(outputs)[1:])


def test_resolving_labels_does_not_change_the_objective() -> None:
    objective = logit("cat")
    objective.resolve(LABELS)
    assert repr(objective) == "logit('cat')"


def test_labels_compare_and_slice() -> None:
    assert Labels(("cat", "dog")) == Labels(("cat", "dog"))
    assert Labels(("cat", "dog"))[1:] == Labels(("dog",))
    assert len(Labels(("cat", "dog"))) == 2
