"""Makes the pictures of the README: `python docs/pictures/make.py`.

Other weights of SqueezeNet than those it was run with have other features under the same numbers.
"""

from pathlib import Path

from PIL import Image

from optvis import dream, load, render
from optvis.demo import LABELS
from optvis.objectives import channel, layer_norm, logit
from optvis.params import fft_image

HERE = Path(__file__).parent
CHANNELS = [450, 266, 234, 138, 90, 362, 66, 18]
WIDTH = 720  # pixels, of both files


def write(picture: Image.Image, name: str) -> None:
    """A PNG of 256 colours, which is a third of the size."""
    height = round(picture.height * WIDTH / picture.width)
    picture.resize((WIDTH, height), Image.Resampling.LANCZOS).quantize(256).save(HERE / name, optimize=True)


classes = render(load(), logit(LABELS))
write(classes.sheet(columns=8, labels=LABELS), "classes.png")

net = load("squeezenet1_0")
channels = render(net, channel("features.12", CHANNELS), steps=32, chunk=4)
write(channels.sheet(columns=4, labels=()), "channels.png")

noise = fft_image((224, 896), seeds=(4,), sd=0.3, decay=1.2)().detach()
write(dream(net, noise, layer_norm("features.10"), steps=12, octaves=5).sheet(), "dream.png")
