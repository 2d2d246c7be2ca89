"""docs/migrating.md promises nothing that is not there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import optvis
import optvis.atlas
import optvis.attribution
import optvis.circuits
import optvis.features
import optvis.models.overrides
import optvis.objectives
import optvis.params
import optvis.rendering
import optvis.transforms
import optvis.viz.hinton_diagram

PAGE = Path(__file__).resolve().parent.parent / "docs" / "migrating.md"
PLACES = (
    optvis,
    optvis.atlas,
    optvis.attribution,
    optvis.circuits,
    optvis.features,
    optvis.models.overrides,
    optvis.objectives,
    optvis.params,
    optvis.rendering,
    optvis.transforms,
    optvis.viz.hinton_diagram,
)
PYTHON = {"sum", "objective"}


def rows() -> list[list[str]]:
    lines = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| "))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def promised() -> set[str]:
    """The code in the third column."""
    return {code for row in rows() for code in re.findall(r"`([^`]+)`", row[2])}


def found(dotted: str) -> bool:
    first, *rest = dotted.split(".")
    for place in PLACES:
        held = getattr(place, first, None)
        for name in rest:
            known = getattr(held, "__dataclass_fields__", {})
            held = known.get(name) if name in known else getattr(held, name, None)
        if held is not None:
            return True
    return False


def test_there_is_a_table_and_each_row_has_four_cells() -> None:
    assert len(rows()) > 90
    assert {len(row) for row in rows()} == {4}


@pytest.mark.parametrize("code", sorted(promised()))
def test_every_name_in_our_column_is_there(code: str) -> None:
    if code.startswith('"'):
        return
    options = set(re.findall(r"(\w+)=", code))
    bare = re.sub(r'"[^"]*"', "", code)
    calls = set(re.findall(r"[A-Za-z_][\w.]*(?=\()", bare))
    start = re.match(r"[A-Za-z_][\w.]*(?!\w*=)", bare)
    names = calls | ({start[0]} if start and start[0] not in options else set())
    for name in names - PYTHON - options:
        assert found(name), name
    asked = set().union(*(inspect.signature(maker).parameters for maker in _makers(names) or [optvis.render]))
    assert options <= asked, options - asked


def _makers(names: set[str]) -> list[object]:
    held = [getattr(place, name, None) for place in PLACES for name in names - PYTHON if "." not in name]
    return [maker for maker in held if callable(maker)]
