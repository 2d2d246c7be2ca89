"""Every operation on another device beside the CPU: which fail there, and whose numbers differ.

python tests/bench/devices.py               on CUDA; at once where there is none
python tests/bench/devices.py --device mps --seconds 60

A line for each operation whose largest difference is over 1e-4 of its largest number: pictures differ by rounding that
ascent amplifies, and what is computed from them. It exits with 1 where an operation fails.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of this checkout's `optvis` and `tests`

import numpy as np
import torch
from torch import Tensor, nn

from optvis import Classifier
from tests import operations

NEAR = 1e-4
DEEPEST = 6  # level of nested results


def list_numbers(result: Any, level: int = 0) -> Iterator[Tensor]:
    """All numbers of a result, a flat tensor for each part."""
    if isinstance(result, Tensor):
        given = torch.view_as_real(result) if result.is_complex() else result
        yield given.detach().double().cpu().flatten()
    elif isinstance(result, np.ndarray):
        if result.dtype.kind in "fiub":
            yield torch.as_tensor(result.astype("float64")).flatten()
    elif isinstance(result, bool | str | bytes) or level > DEEPEST:
        return
    elif isinstance(result, int | float):
        yield torch.tensor([float(result)], dtype=torch.float64)
    elif isinstance(result, dict | list | tuple):
        for part in result.values() if isinstance(result, dict) else result:
            yield from list_numbers(part, level + 1)
    elif not isinstance(result, Classifier | nn.Module | operations.Subject) and hasattr(result, "__dict__"):
        yield from list_numbers([value for name, value in vars(result).items() if name[0] != "_"], level + 1)


def measure_gap(one: Any, other: Any) -> float:
    """The largest difference, in the largest number of its part; infinity where there are other numbers of numbers."""
    pairs = list(list_numbers(one)), list(list_numbers(other))
    if [len(part) for part in pairs[0]] != [len(part) for part in pairs[1]]:
        return float("inf")
    gaps = [
        float((a.nan_to_num(7) - b.nan_to_num(7)).abs().max() / (a.nan_to_num(7).abs().max() + 1e-6))
        for a, b in zip(*pairs, strict=True)
        if len(a)
    ]
    return max(gaps, default=0.0)


def compare(name: str, make: Any, device: str, end: float) -> int:
    """Run all operations of a subject on both devices; return how many fail."""
    here, there = make(), make()
    there.classifier.network.to(device)
    near, failed = 0, 0
    for title, operation in operations.OPERATIONS.items():
        if time.perf_counter() > end:
            print(f"{name}: out of time before {title}")
            break
        expected = operation(here)
        try:
            gap = measure_gap(expected, operation(there))
        except Exception:  # whatever it is, the others are tried too
            failed += 1
            print(f"{name:10}{title:50} fails\n{traceback.format_exc()[-900:]}", flush=True)
        else:
            near += gap <= NEAR
            if gap > NEAR:
                print(f"{name:10}{title:50} {gap:.1e}", flush=True)
    print(f"{name}: {near} operations within {NEAR:g} of the CPU, {failed} fail")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=120, help="after which no further operation is begun")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA here: nothing is compared")
        return
    warnings.simplefilter("ignore")
    end = time.perf_counter() + options.seconds
    subjects = {"tiny": operations.tiny, "embedded": operations.embedded}
    failed = [compare(name, make, options.device, end) for name, make in subjects.items()]
    sys.exit(1 if sum(failed) else 0)


if __name__ == "__main__":
    main()
