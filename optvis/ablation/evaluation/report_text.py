"""A report as tables of text, and the sentences that it begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optvis.ablation.evaluation.findings import Estimate, Tally
from optvis.viz.formatting import format_interval, format_percent

if TYPE_CHECKING:
    from optvis.ablation.evaluation.report import Report

MOST_CLASSES = 10


def to_text(report: Report) -> str:
    """All of it but the curves' steps between none and all."""
    parts = [
        title(report),
        *([f"! {warning}" for warning in report.warnings]),
        *lead(report),
        "",
        _tallies("set", report.sets),
        "",
        *_classes(report),
        _curve(report),
        "",
        *(line for one in report.sets for line in _answers(report, one.name)),
    ]
    return "\n".join(parts).rstrip()


def title(report: Report) -> str:
    """What was switched off.

    In words: "squeezenet1_0 without 10 channels of features.12".
    """
    told = [
        f"{one['count']} {_of(one['kind'], one['count'])} of {one['layer'] or 'the output'}" for one in _units(report)
    ]
    return plain(f"{report.recipe['network']} without {listed(told)}")


def lead(report: Report) -> list[str]:
    """What the numbers say, in sentences."""
    target, worst = report.targeted, report.worst
    fell = f"Recall of {report.target} goes from {format_percent(target.before.value)} to {interval(target.after)}."
    spared = "No other class was asked."
    if worst is not None:
        count = len(report.collateral)
        others = "1 other class" if count == 1 else f"{count} other classes"
        spared = f"Of {others}, none falls."
        if worst.drop.value:
            spared = f"Of {others}, {worst.name} falls most: by {interval(worst.drop)}."
    return [plain(fell), plain(spared), *by_chance(report)]


def by_chance(report: Report) -> list[str]:
    """How random sets compare."""
    chance, count = report.chance, len(report.chance.drops)
    as_far, as_odd = (round(p * (1 + count)) - 1 for p in (chance.p_drop, chance.p_odds))
    strength = listed([f"{value:.2f}" for value in chance.strength.values()])
    same = "" if chance.distinct == count else f" ({chance.distinct} of them different)"
    return [
        f"Of {count} random sets of as many units{same}, {_as_low(as_far)} it as low: p = {chance.p_drop:.2g}.",
        f"By log-odds {_as_low(as_odd)} it as low: p = {chance.p_odds:.2g}.",
        f"Random units carry {strength} times what these units carry.",
    ]


def _as_low(count: int) -> str:
    return {0: "none brings", 1: "1 brings"}.get(count, f"{count} bring")


def interval(estimate: Estimate) -> str:
    """
    >>> interval(Estimate(0.5, 0.25, 1.0)), interval(Estimate(0.5))
    ('50.0 % (25–100)', '50.0 %')
    """
    return format_interval(estimate.value, estimate.low, estimate.high)


def plain(text: str) -> str:
    """A text on one line, whatever is in it.

    >>> plain("two\\nlines")
    'two lines'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


def listed(texts: Sequence[str]) -> str:
    """
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _units(report: Report) -> list[dict[str, object]]:
    return list(report.recipe["units"])


def _of(kind: object, count: object) -> str:
    return str(kind).removesuffix("s") if count == 1 else str(kind)


def _tallies(what: str, tallies: Sequence[Tally]) -> str:
    rows = [
        (
            plain(one.name),
            str(one.images),
            format_percent(one.before.value),
            interval(one.after),
            interval(one.drop),
        )
        for one in tallies
    ]
    return _table((what, "images", "recall before", "after", "fall"), rows)


def _classes(report: Report) -> list[str]:
    own = [one for one in report.classes if one.name in report.truths]
    shown = report.collateral[:MOST_CLASSES]
    rest = len(report.collateral) - len(shown)
    more = [f"… and {rest} classes that fall less"] if rest else []
    return [_tallies("class", [*own, *shown]), *more, ""]


def _curve(report: Report) -> str:
    total = report.curve.counts[-1]
    rows = [
        (plain(name), *(format_percent(row[place].value) for row in halves for place in (0, -1)))
        for name, *halves in ((name, row, report.curve.kept[name]) for name, row in report.curve.removed.items())
    ]
    return _table(("recall of", "none off", f"{total} off", "all off", f"{total} alone kept"), rows)


def _answers(report: Report, name: str) -> list[str]:
    own = [one for one in report.answers if one.set == name]
    rows = [
        (
            plain(one.image),
            f"{100 * one.confidence_before:6.2f} {plain(one.before)}",
            f"{100 * one.confidence_after:6.2f} {plain(one.after)}",
            one.state,
        )
        for one in own
    ]
    return [_table((plain(name), "before %", "after %", ""), rows), ""] if own else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what is in them."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )


__all__ = ["lead", "title", "to_text"]
