"""How many of 64 known optima `render` finds: the templates of a template network, by parameterization and colours.

python tests/bench/recovery.py            the table
python tests/bench/recovery.py --out DIR  and a sheet of the images of each row
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the folder of template_network.py

from template_network import FILTERS, SIDE, correlation, negate_green, template_classifier, templates

from optvis import Rendering, render
from optvis.objectives import neuron
from optvis.params import FFT, ImageParam, Pixels, Sigmoid, Streams, pixel_image
from optvis.rendering.recipes import PLAIN_STEPS

RECOVERED = 0.9  # least correlation with the template that counts as found
SEEDS = (0,) * FILTERS
FILE_NAME = str.maketrans(" ", "_", "(),")

COLORS: dict[str, Callable[[Tensor], Tensor]] = {"as drawn": Tensor.clone, "green negated": negate_green}
PARAMS: dict[str, Callable[[], ImageParam | None]] = {
    "default (fft_image)": lambda: None,
    "FFT, plain RGB": lambda: ImageParam(FFT(SIDE, Streams(SEEDS, "canvas")), Sigmoid()),
    "pixel_image": lambda: pixel_image(SIDE, seeds=SEEDS),
    "Pixels, plain RGB": lambda: ImageParam(Pixels(SIDE, Streams(SEEDS, "canvas")), Sigmoid()),
}


def render_filters(images: Tensor, param: ImageParam | None, steps: int) -> Rendering:
    """An image for each filter of the network of these templates, without transforms."""
    objective = neuron("filters", range(FILTERS))
    return render(
        template_classifier(images), objective, param, recipe="plain", steps=steps, transform=None, progress=False
    )


def print_table(steps: int, out: Path | None) -> None:
    machine = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{FILTERS} templates, {SIDE} px, {steps} steps, found from correlation {RECOVERED} on, {machine}")
    print(f"{'templates':<15}{'image':<21}{'found':>7}{'lowest':>9}{'median':>9}{'seconds':>9}")
    render_filters(templates(), None, 1)
    for colors, change_colors in COLORS.items():
        images = change_colors(templates())
        for name, build_param in PARAMS.items():
            start = time.perf_counter()
            rendering = render_filters(images, build_param(), steps)
            seconds = time.perf_counter() - start
            correlations = correlation(rendering.images, images)
            found = int((correlations >= RECOVERED).sum())
            numbers = f"{found:>7}{float(correlations.min()):9.3f}{float(correlations.median()):9.3f}{seconds:9.2f}"
            print(f"{colors:<15}{name:<21}{numbers}", flush=True)
            if out is not None:
                rendering.save(out / f"{colors} {name}.png".translate(FILE_NAME))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=PLAIN_STEPS)
    parser.add_argument("--out", type=Path, help="folder for the images of each row")
    options = parser.parse_args()
    print_table(options.steps, options.out)


if __name__ == "__main__":
    main()
