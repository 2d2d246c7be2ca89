"""How many of 64 known optima `render` finds: the templates of a wired network, by parameterization and colours.

python tests/bench/wired.py            the table
python tests/bench/wired.py --out DIR  and a sheet of the images of each row
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # its `wired` is meant, not this file

from wired import FILTERS, SIDE, correlation, green_negated, templates, wired

from optvis import Rendering, render
from optvis.objectives import neuron
from optvis.params import FFT, ImageParam, Pixels, Sigmoid, Streams, pixel_image
from optvis.rendering.render import USUAL_STEPS

FOUND = 0.9  # correlation with the template from which on it counts as recovered
SEEDS = (0,) * FILTERS
FILE_NAME = str.maketrans(" ", "_", "(),")

PICTURES: dict[str, Callable[[Tensor], Tensor]] = {"as drawn": Tensor.clone, "green negated": green_negated}
IMAGES: dict[str, Callable[[], ImageParam | None]] = {
    "default (fft_image)": lambda: None,
    "FFT, plain RGB": lambda: ImageParam(FFT(SIDE, Streams(SEEDS, "canvas")), Sigmoid()),
    "pixel_image": lambda: pixel_image(SIDE, seeds=SEEDS),
    "Pixels, plain RGB": lambda: ImageParam(Pixels(SIDE, Streams(SEEDS, "canvas")), Sigmoid()),
}


def rendered(pictures: Tensor, image: ImageParam | None, steps: int) -> Rendering:
    """An image for each filter of the network of these templates, seen without transforms."""
    objective = neuron("filters", range(FILTERS))
    return render(wired(pictures), objective, image, steps=steps, transform=None, progress=False)


def table(steps: int, out: Path | None) -> None:
    machine = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{FILTERS} templates, {SIDE} px, {steps} steps, found from correlation {FOUND} on, {machine}")
    print(f"{'templates':<15}{'image':<21}{'found':>7}{'lowest':>9}{'median':>9}{'seconds':>9}")
    rendered(templates(), None, 1)
    for colours, coloured in PICTURES.items():
        pictures = coloured(templates())
        for name, image in IMAGES.items():
            start = time.perf_counter()
            made = rendered(pictures, image(), steps)
            seconds = time.perf_counter() - start
            near = correlation(made.images, pictures)
            found = int((near >= FOUND).sum())
            numbers = f"{found:>7}{float(near.min()):9.3f}{float(near.median()):9.3f}{seconds:9.2f}"
            print(f"{colours:<15}{name:<21}{numbers}", flush=True)
            if out is not None:
                made.save(out / f"{colours} {name}.png".translate(FILE_NAME))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=USUAL_STEPS)
    parser.add_argument("--out", type=Path, help="folder for the images of each row")
    options = parser.parse_args()
    table(options.steps, options.out)


if __name__ == "__main__":
    main()
