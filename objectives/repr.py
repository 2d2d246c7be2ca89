"""How an objective is written: the constructor calls that make it again."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from optvis.objectives.labels import Labels
from optvis.objectives.product import factors
from optvis.objectives.schedules import After, Decay

if TYPE_CHECKING:
    from optvis.objectives.term import Schedule, Term

MOST_NUMBERS = 64  # larger tensors are given by shape and digest


def format_sum(terms: Sequence[Term]) -> str:
    """`2.0 * channel('a', 1) - total_variation()`."""
    text = ""
    for term in terms:
        minus = len(term.weight) == 1 and float(term.weight) < 0
        product = _product(term, -term.weight if minus else term.weight)
        joint = (" - " if text else "-") if minus else (" + " if text else "")
        text += joint + product
    return text if text else "Objective(())"


def _product(term: Term, weight: Tensor) -> str:
    # Schedules come last: a number times a function would be no objective yet.
    call = " * ".join([*map(_call, factors(term)), *map(_schedule, term.schedules)])
    if len(weight) > 1:
        return f"{_rows(weight, weight.tolist(), usual=(weight.dtype,))} * {call}"
    return call if float(weight) == 1 else f"{_number(float(weight))} * {call}"


def _call(term: Term) -> str:
    custom = term.factory == "on"
    layers = [repr(term.layers[0] if len(term.layers) == 1 else term.layers)]
    if not custom and term.factory in LAYERLESS.get(term.layers, ()):
        layers = []
    rowed = term.factory in ROWED
    arguments = layers + ([_function(term.fn)] if custom else []) + [_target(t, rowed) for t in term.targets]
    keywords = [f"{key}={_number(value)}" for key, value in term.options]
    if custom and term.name != default_name(term.fn, term.layers):
        keywords.append(f"name={term.name!r}")
    if custom and term.couples_images:
        keywords.append("couples_images=True")
    return f"{term.factory}({', '.join(arguments + keywords)})"


# Makers that name no layer, because they always read this one.
LAYERLESS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("",): ("logit", "log_odds"),
    ("<image>",): (
        "total_variation",
        "blur_input_each_step",
        "blur_alpha_each_step",
        "penalize_boundary_complexity",
        "input_diff",
    ),
}
# Makers whose targets come with the images' axis even where there is one for all.
ROWED = ("on", "caricature", "dot_compare")


def default_name(fn: Callable[..., Any], layers: Sequence[str]) -> str:
    """What logs call a custom term: its function's name and its layers'."""
    return " ".join((getattr(fn, "__name__", type(fn).__name__), *layers))


def _target(target: Tensor | Labels, rowed: bool) -> str:
    """A target, without the first axis where it is shared and the factory adds it (all do so to numbers)."""
    if isinstance(target, Labels):
        return repr(target.texts[0] if len(target) == 1 else list(target.texts))
    bare = len(target) == 1 and (target.dim() == 1 or not rowed)
    usual = (torch.int64, torch.bool, torch.get_default_dtype())
    return _rows(target, (target[0] if bare else target).tolist(), usual)


def _rows(rows: Tensor, values: Any, usual: Sequence[torch.dtype]) -> str:
    """The values of a tensor as nested lists, with the dtype where it is unusual; long ones by shape and digest."""
    if rows.numel() > MOST_NUMBERS:
        digest = hashlib.sha256(rows.cpu().contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()
        return f"<{tuple(rows.shape)} {str(rows.dtype).removeprefix('torch.')} sha256 {digest[:12]}>"
    text = _numbers(values, rows.dtype)
    return text if rows.dtype in usual else f"torch.tensor({text}, dtype={rows.dtype})"


def _number(value: Any) -> str:
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"


def _numbers(values: Any, dtype: torch.dtype) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_numbers(value, dtype) for value in values)}]"
    if not isinstance(values, float) or dtype == torch.float64 or not math.isfinite(values):
        return _number(values)
    exact = torch.tensor(values, dtype=dtype)
    short = (f"{values:.{digits}g}" for digits in range(1, 10))
    found = next((text for text in short if torch.tensor(float(text), dtype=dtype).equal(exact)), repr(values))
    return repr(float(found))


def _schedule(schedule: Schedule) -> str:
    return repr(schedule) if isinstance(schedule, After | Decay) else _function(schedule)


def _function(fn: Callable[..., Any]) -> str:
    """`module.name` where that is what importing finds, and a description that is no code otherwise."""
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    if not module or not name or "<" in name:
        return f"<function {name or type(fn).__name__}>"
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    spelled = name if module in ("__main__", "builtins") else f"{module}.{name}"
    return spelled if found is fn else f"<function {spelled}>"
