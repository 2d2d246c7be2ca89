"""Numbers that come back from files: each of its type, so that no text of a stranger reaches a page."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from optvis import Channels, Classifier, Report, build_microscope, evaluate
from optvis.data.schema import parse_json, read_value
from optvis.microscope.site.output_dir import TOP_ACTIVATIONS

ATTACK = "<script>alert(1)</script>"
HOSTILE = (ATTACK, None, [ATTACK], {"a": ATTACK}, 1e400, 10**30, "7")


def numbers(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where numbers lie in JSON: of a list the first and the last."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*place, key))
    elif isinstance(value, list):
        for index in {0, len(value) - 1} if value else ():
            yield from numbers(value[index], (*place, index))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place


def with_value(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    changed = inner = copy.deepcopy(value)
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


@pytest.fixture(scope="module")
def report(tiny):
    images = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    truth = [int(k) for k in tiny.logits(images).argmax(1)]
    return evaluate(tiny, Channels("conv1", [0]), {"a": (images, truth)}, random_sets=2, progress=False)


@pytest.fixture(scope="module")
def tiny():
    layers = [
        ("conv1", torch.nn.Conv2d(3, 4, 3)),
        ("pool", torch.nn.AdaptiveAvgPool2d(1)),
        ("flat", torch.nn.Flatten()),
    ]
    network = torch.nn.Sequential()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, module in [*layers, ("head", torch.nn.Linear(4, 3))]:
            network.add_module(name, module)
    return Classifier(network.eval(), None, 20, ["a", "b", "c"])


def test_every_number_of_a_report_is_a_number_or_refused(report):
    whole = json.loads(report.json())
    places = [place for place in numbers(whole) if place[0] != "recipe"]
    assert len(places) > 40
    for place in places:
        for hostile in HOSTILE:
            text = json.dumps(with_value(whole, place, hostile))
            try:
                page, message = Report.from_json(text).html(), ""
            except ValueError as error:
                page, message = "", str(error)
            assert ATTACK not in page
            assert message.startswith("this is no report of optvis: ") or hostile is None  # where one may be missing
            assert "\n" not in message
    assert Report.from_json(report.json()).json() == report.json()


def test_the_recipe_of_a_report_is_escaped(report):
    whole = json.loads(report.json())
    pages = []
    for place in [place for place in numbers(whole) if place[0] == "recipe"]:
        try:
            pages.append(Report.from_json(json.dumps(with_value(whole, place, ATTACK))).html())
        except ValueError as error:  # a number of the units
            assert str(error).startswith("this is no report of optvis: ")  # noqa: PT017
    assert pages
    assert not any(ATTACK in page for page in pages)


def test_every_number_of_a_microscope_is_computed_again_where_it_is_no_number(tiny, tmp_path):
    images = torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(1))

    def build():
        build_microscope(tiny, images, ["conv1"], tmp_path, channels=[0, 1], steps=0, size=8, progress=False)

    build()
    layer = tmp_path / "layer-conv1"
    group, top = layer / "group-0-1.json", layer / TOP_ACTIVATIONS
    first = json.loads(group.read_bytes())
    for file in (group, top):
        original = file.read_bytes()
        places = list(numbers(json.loads(original)))
        assert len(places) > 10
        for place, hostile in zip(places, HOSTILE * len(places), strict=False):
            file.write_text(json.dumps(with_value(json.loads(original), place, hostile)), encoding="utf-8")
            if file == top:
                group.unlink()  # so that it is needed
            build()
            assert json.loads(group.read_bytes()) == first
            assert not any(ATTACK in page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
        file.write_bytes(original)


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (int, True, "it must be int, got bool True"),
        (int, 1.0, "it must be int, got float 1.0"),
        (float, float("nan"), "it must be float, got float nan"),
        (float | None, "x", "it must be float, got str 'x'"),
        (tuple[int, int], [1], r"it must be \(int, int\), got list \[1\]"),
        (tuple[tuple[str, ...], ...], [["a"], [1]], r"it\[1\]\[0\] must be str, got int 1"),
        (dict[str, int], {"a": "b"}, r"it\['a'\] must be int, got str 'b'"),
        (dict[str, int], [], "it must be a"),
    ],
)
def test_json_of_another_type_is_named_where_it_lies(hint, value, message):
    with pytest.raises(ValueError, match=message):
        read_value(hint, value)


def test_json_that_is_too_deep_is_refused():
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
