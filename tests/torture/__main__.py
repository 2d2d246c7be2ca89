"""`python -m tests.torture interrupts`, or `kills`: how many of them each operation survives."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

from tests.operations import OPERATIONS, Subject, embedded, squeezenet, tiny
from tests.torture.interrupts import Trial
from tests.torture.kills import JOBS, count_equal

NETWORKS: dict[str, Callable[[], Subject]] = {"tiny": tiny, "demo": embedded, "squeezenet1_0": squeezenet}
COUNTS = {"interrupts": 200, "kills": 20}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("what", choices=COUNTS)
    parser.add_argument("--count", type=int, help="of each operation; 200 interrupts, 20 kills by default")
    parser.add_argument("--network", choices=NETWORKS, default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    options = parser.parse_args()
    count = COUNTS[options.what] if options.count is None else options.count
    subject, rng, survived, tried = NETWORKS[options.network](), random.Random(options.seed), 0, 0
    for name in (name for name in (OPERATIONS if options.what == "interrupts" else JOBS) if options.only in name):
        if options.what == "interrupts":
            broken = Trial(OPERATIONS[name], subject).run(count, rng)
        else:
            broken = ["other bytes"] * (count - count_equal(JOBS[name], subject, count, rng))
        survived, tried = survived + count - len(broken), tried + count
        print(f"{name:<36}{count - len(broken):>6} of {count}  {'; '.join(broken[:2])}", flush=True)
    print(f"{'all':<36}{survived:>6} of {tried}")


if __name__ == "__main__":
    main()
