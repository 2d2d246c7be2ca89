"""Atlas samples of scenes through a folder, shards and a table of Hugging Face; and the memory of a long survey.

python tests/bench/sources.py                                  20,000 scenes, memory over 50,000
python tests/bench/sources.py --scenes 500 --survey 2000       sooner
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, Features
from datasets import Image as ImageColumn
from PIL import Image

from optvis import load
from optvis.atlas import sample_activations
from optvis.survey import survey_channels
from optvis.world import Scenes

LAYER, SHARD = "mixed4", 1000
MAX_MEGABYTES = 1500  # above the import


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20_000)
    parser.add_argument("--survey", type=int, default=50_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    net, are_same, before = load(), True, peak_megabytes()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        survey = survey_channels(net, Scenes(options.survey), folder, progress=False)
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
