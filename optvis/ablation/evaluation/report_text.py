"""A report as text: a title, sentences and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optvis.ablation.evaluation.results import EvaluationResults, SetMetrics
from optvis.formatting import format_count, format_percent, format_table

MAX_CLASSES = 10  # in the table of classes
METRICS = ("images", "recall before", "after", "drop")  # columns


def format_report(results: EvaluationResults) -> str:
    """What matters in sentences, and the metrics of sets and classes; each number once."""
    parts = [
        report_title(results),
        *([f"! {warning}" for warning in results.warnings]),
        *_lead(results),
        *probe_sentences(results),
        _count_changes(results),
        "",
        _set_table(results),
        "",
        *_class_tables(results),
        *_probe_table(results),
    ]
    return "\n".join(parts).rstrip()


def format_predictions(results: EvaluationResults) -> str:
    """The prediction for each image before and after, a table for each set."""
    tables = (_prediction_table(results, one.name) for one in results.sets if one.images)
    return "\n\n".join(tables)


@dataclass(frozen=True)
class UnitsRecord:
    """An entry of a recipe's "units": what `units_to_json` writes, how many they are, and of how many channels."""

    kind: str
    layer: str
    count: int
    of: int
    within: Any
    channel_axis: int | None
    indices: tuple[int, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    readers: tuple[tuple[float, ...], ...] = ()
    center: tuple[float, ...] = ()
    sae: Mapping[str, Any] | None = None


def report_title(results: EvaluationResults) -> str:
    """What is switched off, such as "squeezenet1_0 without 10 channels of features.12"."""
    rows = results.recipe["units"]
    kinds = [one["kind"].removesuffix("s") if one["count"] == 1 else one["kind"] for one in rows]
    names = zip(rows, kinds, strict=True)
    units = [f"{one['count']} {kind} of {one['layer'] or 'the output'}" for one, kind in names]
    return to_one_line(f"{results.recipe['network']} without {join_words(units)}")


def _lead(results: EvaluationResults) -> list[str]:
    """The main results in sentences."""
    target, worst = results.target_metrics, results.worst
    before, after = format_percent(target.before.value), str(target.after)
    count = len(results.collateral)
    classes = "1 other class" if count == 1 else f"{count} other classes"
    others = f"Of {classes}, none drops." if count else "There are no images of other classes."
    if worst is not None and worst.drop.value:
        others = f"Of {classes}, {worst.name} drops most: by {worst.drop}."
    sentences = [f"Recall of {results.target} goes from {before} to {after}.", others]
    group = results.worst_group
    if group is not None and group.after.value != 1:
        recalls = format_percent(group.before.value), str(group.after)
        sentences.append(f"Worst group: {group.name}, whose recall goes from {recalls[0]} to {recalls[1]}.")
    return [*map(to_one_line, sentences), *baseline_sentences(results)]


def baseline_sentences(results: EvaluationResults) -> list[str]:
    """The comparison with random units in sentences."""
    baseline, count = results.baseline, len(results.baseline.drops)
    by_recall, by_log_odds = (round(p * (1 + count)) - 1 for p in (baseline.p_drop, baseline.p_log_odds))
    chance = f"{baseline.smallest_p:.2g}"
    ties = f" A random set is these units themselves with a chance of {chance}; ties are broken at random."
    strength = join_words([f"{value:.2f}" for value in baseline.strength.values()])
    distinct = "" if baseline.distinct == count else f" ({baseline.distinct} of them different)"
    return [
        f"Of {count} random sets of as many units{distinct}, {_bring(by_recall)} it as low: p = {baseline.p_drop:.2g}.",
        f"By log-odds {_bring(by_log_odds)} it as low: p = {baseline.p_log_odds:.2g}."
        + (ties if baseline.smallest_p > 1 / (1 + count) else ""),
        f"The random units have {strength} times the activation mass of these units.",
    ]


def probe_sentences(results: EvaluationResults) -> list[str]:
    """What is left inside, in sentences; none where it was not measured."""
    sentences = []
    if results.probes:
        highest = max(results.probes, key=lambda one: max(one.linear_after, one.neighbors_after))
        value = max(highest.linear_after, highest.neighbors_after)
        sentences.append(
            f"Inside, the target is read with a balanced accuracy of up to {format_percent(value)}, from "
            f"{highest.layer or 'the output'}; chance is 50.0 %."
        )
    relearning = results.relearning
    if relearning is not None:
        own, other = (
            f"not back at {format_percent(relearning.goal)} after {relearning.max_steps} steps"
            if steps is None
            else f"back at {format_percent(relearning.goal)} after {steps} steps"
            for steps in (relearning.steps, relearning.reference_steps)
        )
        beside = f"; of a network that never saw the class it is {other}" if relearning.has_reference else ""
        sentences.append(f"Fine-tuned with the units off, the recall is {own}{beside}.")
    return [to_one_line(sentence) for sentence in sentences]


def _probe_table(results: EvaluationResults) -> list[str]:
    if not results.probes:
        return []
    heads = ("layer", "linear probe before", "after", "neighbours before", "after", "CKA of target", "of others")
    rows = [
        (
            to_one_line(one.layer or "the output"),
            *(format_percent(value) for value in (one.linear_before, one.linear_after)),
            *(format_percent(value) for value in (one.neighbors_before, one.neighbors_after)),
            *("–" if value is None else f"{value:.3f}" for value in (one.target_similarity, one.other_similarity)),
        )
        for one in results.probes
    ]
    return [format_table(heads, rows), ""]


def _bring(count: int) -> str:
    return {0: "none brings", 1: "1 brings"}.get(count, f"{count} bring")


def to_one_line(text: str) -> str:
    r"""Write any text on one line, without characters that do not print.

    >>> to_one_line("two\nlines")
    'two lines'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


def join_words(texts: Sequence[str]) -> str:
    """Join texts by commas and "and".

    >>> join_words(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _count_changes(results: EvaluationResults) -> str:
    states = Counter(one.state for one in results.predictions)
    images = format_count(len(results.predictions), "image")
    return f"The right label is lost by {states['lost']} of {images}, and gained by {states['gained']}; see table()."


def _metrics_cells(one: SetMetrics) -> tuple[str, ...]:
    before, after, drop = format_percent(one.before.value), str(one.after), str(one.drop)
    return to_one_line(one.name), str(one.images), before, after, drop


def _set_table(results: EvaluationResults) -> str:
    """The metrics of each set, its class where that is not its name, and what its recall is without all units."""
    curve, classes = results.curve, _classes_by_set(results)
    named = {name: next(iter(own)) if len(own) == 1 else f"{len(own)} classes" for name, own in classes.items()}
    is_needed = any(name != text for name, text in named.items())
    rows = []
    for one in results.sets:
        name, *metrics = _metrics_cells(one)
        ends = [format_percent(curve.kept[one.name][step].value) for step in (0, -1)]
        rows.append((name, *[to_one_line(named.get(one.name, "–"))] * is_needed, *metrics, *ends))
    ends = ["all off", f"{curve.counts[-1]} alone kept"]
    return format_table(("set", *["class"] * is_needed, *METRICS, *ends), rows)


def _class_tables(results: EvaluationResults) -> list[str]:
    """The metrics of each class whose images are not those of one set, which the table of sets has."""
    by_set = _classes_by_set(results)
    counts = Counter(name for own in by_set.values() for name in own)
    in_sets = {name for own in by_set.values() for name in own if len(own) == 1 and counts[name] == 1}
    own = [one for one in results.classes if one.name in results.target_labels and one.name not in in_sets]
    others = [one for one in results.collateral if one.name not in in_sets]
    rest = len(others) - MAX_CLASSES
    more = [f"… and {rest} classes that drop less"] if rest > 0 else []
    rows = list(map(_metrics_cells, [*own, *others[:MAX_CLASSES]]))
    return [format_table(("class", *METRICS), rows), *more, ""] if rows else []


def _classes_by_set(results: EvaluationResults) -> dict[str, set[str]]:
    """The classes that the images of each set show; none of an empty set."""
    found: dict[str, set[str]] = {}
    for one in results.predictions:
        found.setdefault(one.set, set()).add(one.truth)
    return found


def _prediction_table(results: EvaluationResults, name: str) -> str:
    rows = [
        (
            to_one_line(one.image),
            f"{100 * one.confidence_before:.2f}",
            to_one_line(one.before),
            f"{100 * one.confidence_after:.2f}",
            to_one_line(one.after),
            one.state,
        )
        for one in results.predictions
        if one.set == name
    ]
    return format_table((to_one_line(name), "before %", "label", "after %", "label", ""), rows)
