"""Atlas samples of scenes through a folder, shards and a table of Hugging Face; and the memory of a long survey.

python tests/bench/sources.py                                  20,000 scenes, memory over 50,000
python tests/bench/sources.py --scenes 500 --survey 2000       sooner
python tests/bench/sources.py --workers 2 --survey 1000 5000   the memory of each worker of a local Ray cluster alone
"""

from __future__ import annotations

import argparse
import io
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
import torch
from datasets import Dataset, Features
from datasets import Image as ImageColumn
from PIL import Image

from optvis import load
from optvis.atlas import sample_activations
from optvis.engines import RayEngine
from optvis.survey import survey_channels
from optvis.world import Scenes

LAYER, SHARD = "mixed4", 1000
MAX_MEGABYTES = 1500  # above the import
SECONDS_BETWEEN_LOOKS = 0.2
IMPORT = """
import ray, optvis.survey
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def write_sources(count: int, root: Path) -> dict[str, Any]:
    """Write scenes as PNG to a folder, and the same bytes to shards and a table."""
    (root / "folder").mkdir()
    (root / "shards").mkdir()
    encoded = []
    for index, (image, _) in enumerate(Scenes(count, seed=7)[:count]):
        data = io.BytesIO()
        Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(data, "PNG")
        encoded.append(data.getvalue())
        (root / "folder" / f"{index:06d}.png").write_bytes(data.getvalue())
    for start in range(0, count, SHARD):
        with tarfile.open(root / "shards" / f"{start:06d}.tar", "w") as archive:
            for index, data in enumerate(encoded[start : start + SHARD], start):
                member = tarfile.TarInfo(f"{index:06d}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    rows = {"image": [{"bytes": data, "path": None} for data in encoded]}
    table = Dataset.from_dict(rows, Features({"image": ImageColumn()}))
    return {"folder": root / "folder", "shards": root / "shards", "table": table}


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def watch_workers(peaks: dict[int, float]) -> Iterator[None]:
    """Inside, keep the peak memory in MB of each worker that descends from this process, by its process."""
    done = Event()

    def look() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError, StopIteration):  # it ends in between
                    if "".join(process.cmdline()).startswith("ray::Worker"):
                        peaks[process.pid] = read_peak(process.pid)

    thread = Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def read_peak(process: int) -> float:
    """The largest resident memory of a process so far, in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def measure_workers(count: int, sizes: list[int]) -> float:
    """Survey scenes on a local Ray cluster, print the peak of each worker above the import, and return the largest."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
    bare, most = int(done.stdout) / 1024, 0.0
    for size in sizes:
        peaks: dict[int, float] = {}
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, watch_workers(peaks):
            survey_channels(load(), Scenes(size), None, folder, engine=RayEngine(workers=count), progress=False)
        above = sorted(peak - bare for peak in peaks.values())
        most = max(most, *above)
        print(f"{size:,} scenes, {time.perf_counter() - start:.0f} s: {len(above)} workers, "
              f"{', '.join(f'{each:.0f}' for each in above)} MB above the import ({bare:.0f} MB), "
              f"at most {MAX_MEGABYTES}", flush=True)  # fmt: skip
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20_000)
    parser.add_argument("--survey", type=int, nargs="+", default=[50_000])
    parser.add_argument("--workers", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.workers is not None:
        sys.exit(0 if measure_workers(options.workers, options.survey) <= MAX_MEGABYTES else 1)
    net, are_same, before = load(), True, peak_megabytes()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        survey = survey_channels(net, Scenes(max(options.survey)), None, folder, progress=False)
        used = peak_megabytes() - before
        print(f"{survey}: {time.perf_counter() - start:.0f} s, {used:.0f} MB above the import, at most {MAX_MEGABYTES}")
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for name, source in write_sources(options.scenes, Path(folder)).items():
            start = time.perf_counter()
            found = sample_activations(net, source, LAYER, progress=False)
            first = found if first is None else first
            same = all(torch.equal(getattr(first, each), getattr(found, each)) for each in ("vectors", "attribution"))
            are_same = are_same and same
            print(f"{name:8} {len(found)} samples, {time.perf_counter() - start:.1f} s, {'same' if same else 'OTHER'}")
    sys.exit(0 if are_same and used <= MAX_MEGABYTES else 1)


if __name__ == "__main__":
    main()
