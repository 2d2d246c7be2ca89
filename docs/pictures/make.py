"""Write the images of the README: `python docs/pictures/make.py`.

Other weights of SqueezeNet have other features under the same numbers.
"""

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

HERE = Path(__file__).parent
CHANNELS = [450, 266, 234, 138, 90, 362, 66, 18]
WIDTH = 720  # pixels, of each file


def write(image: Image.Image, name: str) -> None:
    """Write a PNG of 256 colours, which is a third of the size."""
    height = round(image.height * WIDTH / image.width)
    image.resize((WIDTH, height), Image.Resampling.LANCZOS).quantize(256).save(HERE / name, optimize=True)


def stack(images: list[Image.Image]) -> Image.Image:
    """Draw images of equal size one above the other, without a gap."""
    column = Image.new("RGB", (images[0].width, sum(image.height for image in images)))
    for index, image in enumerate(images):
        column.paste(image, (0, index * image.height))
    return column


classes = render(load(), logit(LABELS))
write(classes.sheet(columns=8, labels=LABELS), "classes.png")

diver = scene("scuba diver", seed=9).image
grid = activation_grid(load(), diver, "mixed4", size=48)
attribution = attribute(load(), diver, "mixed4", log_odds("scuba diver"), method="grad_x_activation")
icons = grid.sheet(gap=1)
pair = [
    to_pil_image(image).resize((icons.height // 2, icons.height // 2), Image.Resampling.BICUBIC)
    for image in (diver, attribution.overlay())
]
write(stack_rows([[icons, stack(pair)]]), "grid.png")

with Image.open(BytesIO(build_section(load(), TourConfig()).figures[0].png)) as atlas:
    write(atlas.convert("RGB"), "atlas.png")

net = load("squeezenet1_0")
channels = render(net, channel("features.12", CHANNELS), steps=32, batch_size=4)
write(channels.sheet(columns=4, labels=()), "channels.png")

noise = fft_image((224, 896), seeds=(4,), sd=0.3, decay=1.2)().detach()
write(dream(net, noise, layer_norm("features.10"), steps=12, octaves=5).sheet(), "dream.png")
