"""Ctrl-C at random moments of every operation: is the network, and torch, as it was, and can it go on?"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import torch

from tests.operations import OPERATIONS, Operation, Subject, numbers
from tests.torture.state import is_free, state_of

TRIES_PER_LOOK = 25  # after so many, the operation runs undisturbed, and must give what it gave before


class Alarm(Protocol):
    """Raises SIGINT once, at a moment after its start."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class AtInstruction:
    """At the n-th moment in which Python looks for signals: when a function begins, and when one of C has returned."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 0

    def start(self) -> None:
        sys.setprofile(self.look)

    def stop(self) -> None:
        sys.setprofile(None)

    def look(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event in ("call", "c_return"):
            self.count += 1
            if self.count == self.number:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)


class AtTime:
    """After some seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1e-6, seconds)

    def start(self) -> None:
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def interrupt(run: Callable[[], Any], alarm: Alarm) -> bool:
    """Run something under an alarm; whether KeyboardInterrupt came out of it."""
    try:
        try:
            alarm.start()
            run()
        finally:
            alarm.stop()
    except KeyboardInterrupt:
        alarm.stop()
        return True
    return False


class Trial:
    """One operation on one subject, undisturbed first, then interrupted again and again."""

    def __init__(self, operation: Operation, subject: Subject) -> None:
        self.operation, self.subject, self.network = operation, subject, subject.classifier.network
        operation(subject)  # imports what it needs
        start = time.perf_counter()
        self.expected = numbers(operation(subject))
        self.seconds = time.perf_counter() - start
        counter = AtInstruction(-1)
        interrupt(lambda: operation(subject), counter)
        self.moments = counter.count
        self.before = state_of(self.network)
        self.answer = self._answer()

    def run(self, tries: int, rng: random.Random) -> list[str]:
        """Interrupt so many times, at instructions and at times in turn; what was broken, a text each."""
        broken = []
        for index in range(tries):
            by_instruction = index % 2 == 0
            moment = rng.randint(1, self.moments) if by_instruction else rng.uniform(0, self.seconds)
            alarm: Alarm = AtInstruction(moment) if by_instruction else AtTime(moment)
            interrupt(lambda: self.operation(self.subject), alarm)
            damage = self.look(whole=index % TRIES_PER_LOOK == TRIES_PER_LOOK - 1 or index == tries - 1)
            if damage:
                broken.append(f"{'instruction' if by_instruction else 'second'} {moment}: {damage}")
        return broken

    def look(self, whole: bool = True) -> str:
        """What differs from before, or nothing."""
        after = state_of(self.network)
        differing = [key for key in self.before | after if self.before.get(key) != after.get(key)]
        if differing:
            return f"{', '.join(differing)} changed"
        if not is_free(self.network):
            return "the network is locked"
        try:
            if self._answer() != self.answer:
                return "a forward pass differs"
            return "" if not whole or numbers(self.operation(self.subject)) == self.expected else "its result differs"
        except BaseException as error:
            return f"the next call fails: {type(error).__name__}: {error}"

    def _answer(self) -> Any:
        """What a forward pass of one's own gives; statistics stay, since the network is in eval mode for it."""
        training = {module: module.training for module in self.network.modules()}
        try:
            with torch.no_grad():
                return numbers(self.network.eval()(self.subject.classifier.preprocess(self.subject.images[:2])))
        finally:
            for module, flag in training.items():
                module.training = flag


def survey(subject: Subject, tries: int, seed: int = 0, only: str = "") -> dict[str, list[str]]:
    """For each operation what interrupts have broken."""
    rng = random.Random(seed)
    chosen = {name: operation for name, operation in OPERATIONS.items() if only in name}
    return {name: Trial(operation, subject).run(tries, rng) for name, operation in chosen.items()}
