"""`python -m tests.torture interrupts`: how many interrupts at random moments each operation survives."""

from __future__ import annotations

import argparse
import random

from tests.operations import OPERATIONS, tiny
from tests.torture.interrupts import Trial


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("what", choices=["interrupts"])
    parser.add_argument("--count", type=int, default=200, help="interrupts of each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="operations whose name contains this")
    options = parser.parse_args()
    rng, survived, tried = random.Random(options.seed), 0, 0
    for name, operation in OPERATIONS.items():
        if options.only in name:
            broken = Trial(operation, tiny()).run(options.count, rng)
            survived, tried = survived + options.count - len(broken), tried + options.count
            print(f"{name:<36}{options.count - len(broken):>6} of {options.count}  {'; '.join(broken[:2])}", flush=True)
    print(f"{'all':<36}{survived:>6} of {tried}")


if __name__ == "__main__":
    main()
