"""The repr of an objective: the constructor calls that build it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import abbreviate_tensor
from optvis.objectives.autoencoder import Autoencoder
from optvis.objectives.labels import Labels
from optvis.objectives.product import factors
from optvis.objectives.prompts import Prompts
from optvis.objectives.schedules import After, Decay
from optvis.objectives.statistics_term import RunningStatistics
from optvis.objectives.term import Schedule, Target, Term

# Names of factories without an argument for the layer, by the layer that they read.
LAYERLESS: dict[tuple[str, ...], str] = {
    ("",): "logit log_odds",
    ("image_embedding",): "text",
    ("<image>",): "total_variation blur_input_each_step blur_alpha_each_step penalize_boundary_complexity input_diff",
}
# Factories whose targets keep the axis of images also where one target is for all images.
KEEP_BATCH_AXIS = ("on", "caricature", "dot_compare")
# Factories whose targets hold several layers.
STATISTICS = ("activation_statistics", "batchnorm_statistics", "match_distribution")


def format_sum(terms: Sequence[Term]) -> str:
    """Write a sum of terms, e.g. `2.0 * channel('a', 1) - total_variation()`."""
    text = ""
    for term in terms:
        minus = len(term.weight) == 1 and float(term.weight) < 0
        product = _format_product(term, -term.weight if minus else term.weight)
        sign = (" - " if text else "-") if minus else (" + " if text else "")
        text += sign + product
    return text if text else "Objective(())"


def default_name(fn: Callable[..., Any], layers: Sequence[str]) -> str:
    """Name a custom term after its function and its layers."""
    return " ".join((getattr(fn, "__name__", type(fn).__name__), *layers))


def _format_product(term: Term, weight: Tensor) -> str:
    # Schedules come last: a number times a function would not be an objective.
    call = " * ".join([*map(_format_call, factors(term)), *map(_format_schedule, term.schedules)])
    if len(weight) > 1:
        return f"{_format_tensor(weight, weight.tolist(), usual=(weight.dtype,))} * {call}"
    return call if float(weight) == 1 else f"{_format_number(float(weight))} * {call}"


def _format_call(term: Term) -> str:
    if term.factory in STATISTICS:
        return f"{term.factory}({', '.join(_format_statistics(term))})"
    custom = term.factory == "on"
    layers = [repr(term.layers[0] if len(term.layers) == 1 else term.layers)]
    if not custom and term.factory in LAYERLESS.get(term.layers, "").split():
        layers = []
    layers += [repr(value) for _, value in term.options if isinstance(value, Autoencoder)]
    keep_batch_axis = term.factory in KEEP_BATCH_AXIS
    targets = [_format_target(target, keep_batch_axis) for target in term.targets]
    arguments = layers + ([_format_function(term.fn)] if custom else []) + targets
    keywords = [f"{key}={_format_number(value)}" for key, value in term.options if not isinstance(value, Autoencoder)]
    if custom and term.name != default_name(term.fn, term.layers):
        keywords.append(f"name={term.name!r}")
    if custom and term.couples_images:
        keywords.append("couples_images=True")
    return f"{term.factory}({', '.join(arguments + keywords)})"


def _format_statistics(term: Term) -> list[str]:
    """Write the arguments of a term on statistics: those of each layer, or those that stand for a network's own."""
    options = dict(term.options)
    own = [target for target in term.targets if isinstance(target, RunningStatistics)]
    if own:
        arguments = [] if own[0].layers is None else [repr(list(own[0].layers))]
        weights, options["relative"] = own[0].weights, own[0].relative
    else:
        rows = [rows for rows in term.targets if isinstance(rows, Tensor)]
        channels = options.pop("channels", None)
        if channels is not None:
            parts = zip(*(torch.split(each, list(channels), 1) for each in rows[:2]), strict=True)
            texts = [f"({', '.join(_format_target(each, False) for each in pair)})" for pair in parts]
            weights = tuple(rows[2][0].tolist())
        else:
            texts = [_format_target(each, True) for each in rows[: len(term.layers)]]
            weights = tuple(rows[len(term.layers)][0].tolist())
        arguments = [f"{{{', '.join(f'{name!r}: {text}' for name, text in zip(term.layers, texts, strict=True))}}}"]
    if weights is not None and any(weight != 1 for weight in weights):
        arguments.append(f"weights={list(weights)}")
    return arguments + [f"{key}={value!r}" for key, value in options.items() if value is not False]


def _format_target(target: Target, keep_batch_axis: bool) -> str:
    """Write a target, without its batch axis where the factory adds it. All factories add it to single numbers."""
    if isinstance(target, Labels | Prompts):
        return repr(target.texts[0] if len(target) == 1 else list(target.texts))
    if not isinstance(target, Tensor):
        return repr(target)
    drop_batch_axis = len(target) == 1 and (target.dim() == 1 or not keep_batch_axis)
    usual = (torch.int64, torch.bool, torch.get_default_dtype())
    return _format_tensor(target, (target[0] if drop_batch_axis else target).tolist(), usual)


def _format_tensor(rows: Tensor, values: Any, usual: Sequence[torch.dtype]) -> str:
    """Write a tensor's values as nested lists, with the dtype if it is unusual; a large one by shape and digest."""
    short = abbreviate_tensor(rows)
    if short is not None:
        return short
    text = _format_values(values, rows.dtype)
    return text if rows.dtype in usual else f"torch.tensor({text}, dtype={rows.dtype})"


def _format_number(value: Any) -> str:
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"


def _format_values(values: Any, dtype: torch.dtype) -> str:
    """Write nested lists of numbers, each with the fewest digits that give the same number in this dtype."""
    if isinstance(values, list):
        return f"[{', '.join(_format_values(value, dtype) for value in values)}]"
    if not isinstance(values, float) or dtype == torch.float64 or not math.isfinite(values):
        return _format_number(values)
    exact = torch.tensor(values, dtype=dtype, device="cpu")
    candidates = (f"{values:.{digits}g}" for digits in range(1, 10))
    shortest = next(
        (text for text in candidates if torch.tensor(float(text), dtype=dtype, device="cpu").equal(exact)), repr(values)
    )
    return repr(float(shortest))


def _format_schedule(schedule: Schedule) -> str:
    return repr(schedule) if isinstance(schedule, After | Decay) else _format_function(schedule)


def _format_function(fn: Callable[..., Any]) -> str:
    """Write `module.name` if it can be imported by that name, and otherwise a description in angle brackets."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if not module or not name or "<" in name:
        return f"<function {name or type(fn).__name__}>"
    importable: Any = sys.modules.get(module)
    for part in name.split("."):
        importable = getattr(importable, part, None)
    text = name if module in ("__main__", "builtins") else f"{module}.{name}"
    return text if importable is fn else f"<function {text}>"
