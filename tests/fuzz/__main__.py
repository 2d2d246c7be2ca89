"""Run long: `python -m tests.fuzz --examples 10000 [--only parts]` prints a table of outcomes."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from .outcomes import Outcome, outcome_of
from .targets import TARGETS

EXAMPLES_PER_CHUNK = 50
LONGEST_CALL = 60  # seconds of the processor
MEMORY = 6 * 2**30  # bytes of address space beyond what the imports take


class _TookTooLongError(BaseException):
    pass


def main() -> int:
    """Draw examples, and count their outcomes; exit with 1 if one was raw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="of each kind of input")
    parser.add_argument("--only", choices=TARGETS, help="one kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no more of a kind are drawn")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _interrupt)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: SIM115, PTH123
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, -1))
    failed = False
    for kind in [options.only] if options.only else TARGETS:
        start, counts, first = time.monotonic(), Counter[str](), dict[str, tuple[int, str]]()
        run(kind, options, counts, first)
        total = ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())
        print(f"{kind}: {sum(counts.values())} tries in {time.monotonic() - start:.0f} s: {total}")
        for place, (count, example) in sorted(first.items(), key=lambda item: -item[1][0]):
            print(f"  {count} × {place}\n      {example}")
        failed |= counts["RAW"] + counts["HANG"] > 0
    return int(failed)


def run(kind: str, options: argparse.Namespace, counts: Counter[str], first: dict[str, tuple[int, str]]) -> None:
    """Draw examples of one kind, and count."""
    end = time.monotonic() + options.seconds
    for chunk, first_example in enumerate(range(0, options.examples, EXAMPLES_PER_CHUNK)):
        if time.monotonic() < end:
            _run_chunk(
                kind,
                1000 * options.seed + chunk,
                min(EXAMPLES_PER_CHUNK, options.examples - first_example),
                counts,
                first,
            )


def _run_chunk(kind: str, number: int, examples: int, counts: Counter[str], first: dict[str, tuple[int, str]]) -> None:
    @seed(number)
    @settings(max_examples=examples, phases=[Phase.generate], deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def draw(data: Any) -> None:
        home = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            try:
                os.chdir(folder)
                call, text = TARGETS[kind](data)
                signal.setitimer(signal.ITIMER_PROF, LONGEST_CALL)
                found = outcome_of(call)
            except _TookTooLongError:
                found = Outcome("HANG", text=text)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
                os.chdir(home)
        counts[found.kind] += 1
        if found.kind in ("RAW", "HANG"):
            place = found.where or found.text[:80]
            first[place] = (first.get(place, (0, ""))[0] + 1, f"{found.text[:160]}\n      {text[:300]}")

    draw()


def _interrupt(*_: Any) -> None:
    raise _TookTooLongError


if __name__ == "__main__":
    sys.exit(main())
