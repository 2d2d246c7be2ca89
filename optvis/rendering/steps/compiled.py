"""The network's part of a step, forward and backward, as one compiled function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from optvis.interrupts import hold_lock
from optvis.rendering.steps.checks import agree

#: The score of each term, the gradients of the pass, and the values of the penalties.
Pass: TypeAlias = tuple[dict[str, Tensor], list[Tensor], list[Tensor]]

Names: TypeAlias = tuple[str | None, ...]  # of what a compiled pass returns before the gradients; penalties have none

NOT_ASKED = "compile=False"
_LOCK = threading.RLock()  # while operations are recorded, torch replaces nn.Module.__call__ for all threads
DIFFERS = "the compiled network gave other numbers"


class CompiledPasses:
    """Passes forward and backward that torch's compiler has made faster, one for each kind of step.

    The operations of a pass are recorded with the tensors that they read, so that hooks, gradient overrides and the
    layer at which the pass ends are part of it; then they are compiled. What cannot be compiled, or gives other numbers
    than the pass itself, runs as it is; `reason` says why.

    Args:
        reason: why nothing is compiled; "" where it may be.
    """

    def __init__(self, reason: str = NOT_ASKED) -> None:
        self.reason = reason
        self.functions: dict[Hashable, tuple[Names, Callable[..., Any]]] = {}
        self.checked: set[Hashable] = set()  # those that gave the numbers of the pass itself, in this ascent

    def run(self, kind: Hashable, evaluate: Callable[[Sequence[Tensor]], Pass], roots: Sequence[Tensor]) -> Pass:
        """Run a pass, compiled where it can be.

        Args:
            kind: of step: steps of one kind, whose roots have the same shapes, run the same operations.
            evaluate: the pass: roots -> terms, gradients and penalties.
            roots: that the pass starts from.
        """
        if self.reason:
            return evaluate(roots)
        key = (kind, *(root.shape for root in roots))
        if key in self.checked:
            return _unpack(*self.functions[key], roots)
        expected = evaluate(roots)
        try:
            if key not in self.functions:
                names: Names = (*expected[0], *[None] * len(expected[2]))
                self.functions[key] = names, compile_pass(evaluate, roots)
            found = _unpack(*self.functions[key], roots)
        except Exception as error:  # of a compiler, which may fail in any way on a foreign network
            reason = " ".join(str(error).partition("\n")[0].split())
            self._give_up(f"{type(error).__name__}: {reason}")
            return expected
        if not _agree(found, expected):
            self._give_up(DIFFERS)
            return expected
        self.checked.add(key)
        return found

    def restart(self) -> None:
        """Begin another ascent, which differs in numbers alone; what was compiled is checked again at its first use."""
        self.checked = set()

    def describe(self) -> dict[str, str]:
        """Whether passes are compiled, for a recipe; nothing where nobody asked."""
        if self.reason == NOT_ASKED:
            return {}
        return {"compile": f"no: {self.reason}" if self.reason else "yes"}

    def release(self) -> None:
        """Forget what was compiled."""
        self.functions, self.checked = {}, set()

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self.release()


def compile_pass(evaluate: Callable[[Sequence[Tensor]], Pass], roots: Sequence[Tensor]) -> Callable[..., Any]:
    """Compile a pass for roots of these shapes.

    Returns:
        A function of the roots: the scores, penalties and gradients one after the other.
    """
    from torch._inductor import compile as compile_operations  # takes seconds, for those alone who compile

    def evaluate_flat(*starts: Tensor) -> list[Tensor]:
        with torch.enable_grad():
            report, gradients, penalties = evaluate(starts)
        return [*report.values(), *penalties, *gradients]

    starts: list[Any] = [root.detach() for root in roots]
    with hold_lock(_LOCK):
        recorded = make_fx(evaluate_flat, tracing_mode="real")(*starts)
        with torch.no_grad():
            compiled: Callable[..., Any] = compile_operations(recorded, starts)
    return compiled


def _agree(found: Pass, expected: Pass) -> bool:
    pairs = zip((*found[0].values(), *found[2]), (*expected[0].values(), *expected[2]), strict=True)
    return agree(pairs, zip(found[1], expected[1], strict=True))


def _unpack(names: Names, function: Callable[..., Any], roots: Sequence[Tensor]) -> Pass:
    """Run a compiled pass."""
    with torch.no_grad():
        values = function(*(root.detach() for root in roots))
    scores, gradients = list(values[: len(names)]), list(values[len(names) :])
    report = {name: score for name, score in zip(names, scores, strict=True) if name is not None}
    return report, gradients, scores[len(report) :]
