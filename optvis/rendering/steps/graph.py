"""The step of an ascent as a CUDA graph: its kernels are recorded once, and launched together at each step."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from torch import Tensor

from optvis.models.adapted.network import list_modules
from optvis.models.overrides.fold import HOOKS
from optvis.rendering.steps.checks import agree
from optvis.rendering.steps.draws import DrawnStreams

if TYPE_CHECKING:
    from optvis.rendering.steps.step import Step

Evaluation: TypeAlias = "tuple[Step, Sequence[Tensor | None]]"

FEWEST_STEPS = 8  # of an ascent whose recording pays

ON_CPU = "the network is not on CUDA"
OPEN_LOOP = "the loop is open"
FEW_STEPS = f"there are fewer than {FEWEST_STEPS} steps"
CHOSEN_IMAGES = "each step chooses its images"
OWN_FUNCTION = "the objective has a function of its own"
SCHEDULE = "the objective changes with the step"
FOREIGN_PARAM = "the parameterization keeps something from step to step, or is not of optvis"
HOOKED = "modules of the network have hooks"
DIFFERS = "the recorded step gave other numbers"


class Recording(Protocol):
    """Kernels that were recorded, and the tensors that they write."""

    evaluation: Evaluation

    def replay(self) -> None:
        """Run the kernels again; `evaluation` has the new numbers."""


@dataclass(eq=False)
class _Phase:
    """Steps that run the same kernels on tensors of the same shapes."""

    recording: Recording
    streams: DrawnStreams
    is_checked: bool = False


class CudaRecording:
    """A CUDA graph of an evaluation, in whose tensors each replay writes.

    Args:
        evaluate: makes the same kernels on the same tensors at each call, and waits for none of them.
        pool: the memory of recordings that are replayed one after the other.
    """

    def __init__(self, evaluate: Callable[[], Evaluation], pool: Any = None) -> None:
        self.graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream), _without_collection():
            self.graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                self.evaluation = evaluate()
            finally:
                self.graph.capture_end()
        torch.cuda.current_stream().wait_stream(stream)

    def replay(self) -> None:
        """Run the kernels again."""
        self.graph.replay()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Inside, Python collects no garbage: an old graph in it cannot be freed during a capture, and keeps its memory."""
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


class CudaRecorder:
    """Makes recordings that share their memory: what one returns is used before the next one is replayed."""

    def __init__(self) -> None:
        self.pool: Any = None
        self.memory = 0  # bytes that the recordings hold

    def __call__(self, evaluate: Callable[[], Evaluation]) -> CudaRecording:
        before = torch.cuda.memory_reserved()
        recording = CudaRecording(evaluate, self.pool)
        self.pool, self.memory = recording.graph.pool(), self.memory + torch.cuda.memory_reserved() - before
        return recording


class StepGraphs:
    """Evaluations of a closed loop: each phase is recorded after its first step, and compared at its first and second.

    A phase ends where ReLU gradients are redirected no more, or a stage of the transforms begins. What cannot be
    recorded, or gives other numbers than the same step without a graph, runs without one; `reason` says why.

    Args:
        evaluate: (step, streams or None for the step's own) -> the evaluation without a graph.
        device: of the network.
        draws: the random numbers, drawn in advance.
        redirect_steps: number of first steps whose ReLU gradients are redirected.
        reason: why nothing is recorded; "" where it may be.
        record: makes a recording.
    """

    def __init__(
        self,
        evaluate: Callable[[int, DrawnStreams | None], Evaluation],
        device: torch.device,
        draws: Any,
        redirect_steps: int,
        reason: str,
        record: Callable[[Callable[[], Evaluation]], Recording] | None = None,
    ) -> None:
        self.run_eagerly, self.draws, self.redirect_steps = evaluate, draws, redirect_steps
        self.reason, self.record = reason, CudaRecorder() if record is None else record
        self.row = torch.zeros(1, dtype=torch.long, device=device)  # of the tables of draws: this step's
        self.phases: dict[tuple[bool, int], _Phase] = {}
        self.replays = 0

    def evaluate(self, index: int) -> Evaluation:
        """Evaluate a step."""
        if self.reason:
            return self.run_eagerly(index, None)
        key = self._find_phase(index)
        phase = self.phases.get(key)
        if phase is not None and phase.is_checked:
            found = self._replay(phase, index)
            return self.run_eagerly(index, None) if found is None else found
        expected = self.run_eagerly(index, None)
        if phase is None:
            self._record(key, index)
            phase = self.phases.get(key)
            found = None if phase is None else self._compare(phase, index, expected)
        else:
            found = self._compare(phase, index, expected)
            phase.is_checked = found is not None
        return expected if found is None else found

    def _find_phase(self, index: int) -> tuple[bool, int]:
        """Whether ReLU gradients are redirected at a step, and the stage of its transforms."""
        return index < self.redirect_steps, sum(start <= index for start in self.draws.starts)

    def restart(self) -> None:
        """Begin another ascent, which differs in numbers alone: its steps use the recordings, checked at the first."""
        self.replays = 0
        first = self.phases.get(self._find_phase(0))
        if first is not None:
            first.is_checked = False

    def release(self) -> None:
        """Free the recordings and their memory, which cycles of references would keep."""
        self.phases = {}

    @property
    def memory(self) -> int:
        """The bytes on the device that recordings hold."""
        return int(getattr(self.record, "memory", 0))

    def describe(self) -> str:
        """How steps were evaluated, for a recipe."""
        if self.reason or not self.replays:
            return f"without a graph: {self.reason or FEW_STEPS}"
        return "CUDA graph"

    def _record(self, key: tuple[bool, int], index: int) -> None:
        streams = self.draws.drawn
        if self.draws.reason or streams is None:
            self._give_up(self.draws.reason)
            return

        def evaluate() -> Evaluation:
            with streams.read_row(self.row):
                return self.run_eagerly(index, streams)

        try:
            with torch.cuda.device_of(self.row):  # type: ignore[no-untyped-call]
                self.phases[key] = _Phase(self.record(evaluate), streams)
        except (RuntimeError, torch.OutOfMemoryError) as error:  # what waits for the device cannot be recorded
            self._give_up(" ".join(str(error).split("\n", 1)[0].split()))

    def _compare(self, phase: _Phase, index: int, expected: Evaluation) -> Evaluation | None:
        """Run a recorded step, and compare it with the same one without a graph; if they differ, record no more."""
        found = self._replay(phase, index)
        if found is None or _agree(found, expected):
            return found
        self._give_up(DIFFERS)
        return None

    def _replay(self, phase: _Phase, index: int) -> Evaluation | None:
        """Run a recorded step; None where its draws lie elsewhere now."""
        step, gradients = phase.recording.evaluation
        self.draws.at(index, step.images)
        if self.draws.drawn is not phase.streams:
            self.phases = {key: one for key, one in self.phases.items() if one is not phase}
            return None
        self.row.fill_(index - phase.streams.steps[0])
        with torch.cuda.device_of(self.row):  # type: ignore[no-untyped-call]
            phase.recording.replay()
        self.replays += 1
        report = {name: scores.clone() for name, scores in step.report.items()}
        return replace(
            step, index=index, images=step.images.clone(), scores=step.scores.clone(), report=report
        ), gradients

    def _give_up(self, reason: str) -> None:
        self.reason, self.phases = reason or FOREIGN_PARAM, {}


def may_record(device: torch.device) -> bool:
    """Whether steps can be recorded on a device."""
    return device.type == "cuda"


def find_reason(ascent: Any, steps: int) -> str:
    """Why the steps of an ascent cannot be recorded; "" where that has to be tried."""
    params = (type(module).__module__ for module in ascent.param.modules())
    own = all(name.startswith(("optvis.params.", "torch.nn.modules.container")) for name in params)
    first = {ON_CPU: not may_record(ascent.classifier.device), FEW_STEPS: steps < FEWEST_STEPS}
    return _first_that_holds(first) or find_variation(ascent) or ("" if own else FOREIGN_PARAM)


def find_variation(ascent: Any) -> str:
    """Why the network's part of a step may be other operations at each step; "" where it is the same."""
    objectives = (ascent.objective, *(prior.penalty for prior in ascent.priors))
    hooked = (getattr(module, name) for module in list_modules(ascent.classifier.network) for name in HOOKS)
    return _first_that_holds(
        {
            CHOSEN_IMAGES: ascent.chooses_images,
            OWN_FUNCTION: any(one.has_custom_terms for one in objectives),
            SCHEDULE: any(one.has_schedule for one in objectives),
            HOOKED: any(hooked),
        }
    )


def _first_that_holds(reasons: Mapping[str, bool]) -> str:
    return next((reason for reason, holds in reasons.items() if holds), "")


def _agree(found: Evaluation, expected: Evaluation) -> bool:
    return agree([(found[0].scores, expected[0].scores)], zip(found[1], expected[1], strict=True))
