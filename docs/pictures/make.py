"""Make the pictures of docs/gallery.md: `python docs/pictures/make.py`, or some of them: `... make.py channels dream`.

Each function that returns a Picture draws the file of its name; `--list` names them. The gallery shows the functions
as they stand here. Install first: `pip install -e '.[imagenet]' scikit-image`.
"""

import argparse
import inspect
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.data import astronaut, chelsea, coffee, rocket
from sklearn.datasets import load_sample_image
from torch import Tensor

import optvis
from optvis.atlas import AtlasBuilder, AtlasOptions
from optvis.objectives import channel, layer_norm, log_odds, logit
from optvis.viz import Result, draw_sheet, encode_png, stack_rows, to_pil_image
from optvis.viz.result import to_json
from optvis.world import LABELS, Scenes, scene

HERE = Path(__file__).resolve().parent
WIDTH = 1000  # pixels, of the widest file


@dataclass(frozen=True)
class Picture:
    """A picture, and the results that it shows, whose recipes its file holds."""

    image: Image.Image
    results: list[Result]


def channels() -> Picture:
    """Eight channels of each of four stages."""
    net = optvis.load("efficientnet_lite0")
    counts = {"blocks.1": 24, "blocks.2": 40, "blocks.4": 112, "blocks.6": 320}
    made, names = [], []
    for layer, count in counts.items():
        numbers = range(0, count, count // 8)
        objective = channel(layer, numbers)
        made.append(optvis.render(net, objective, size=128, recipe="fast"))
        names += [f"{layer}:{number}" for number in numbers]
    images = torch.cat([each.images for each in made])
    return Picture(draw_sheet(images, names, columns=8), made)


def classes() -> Picture:
    """Eight of 1,000 classes."""
    net = optvis.load("efficientnet_lite0")
    numbers = range(7, 1000, 125)
    made = optvis.render(net, logit(numbers), size=192, recipe="fast")
    names = [net.labels[number] for number in numbers]
    return Picture(made.sheet(columns=4, labels=names), [made])


def fft_and_maco() -> Picture:
    """Four channels: above with the default parameterization, below with MACO."""
    net = replace(optvis.load("efficientnet_lite0"), size=(128, 128))
    objective = channel("blocks.4", range(14, 112, 28))
    fft = optvis.render(net, objective, size=224, recipe="fast")
    maco = optvis.maco(net, objective, size=224, steps=128, views=2)
    rows = fft.images, maco.with_transparency()
    sheets = [[draw_sheet(images, columns=4, gap=2)] for images in rows]
    return Picture(stack_rows(sheets), [fft, maco])


def grid() -> Picture:
    """A photograph, and an icon for each position of a layer."""
    net, photo = optvis.load("efficientnet_lite0"), load_sample_image("china.jpg")
    made = optvis.activation_grid(net, photo, "blocks.4", size=48, steps=160)
    icons = made.sheet(gap=1)
    seen = to_pil_image(made.images[0]).resize((icons.height // 2, icons.height // 2))
    return Picture(stack_rows([[seen, icons]]), [made])


def attribution() -> Picture:
    """Two photographs side by side, and what tells the cat from the coffee."""
    net = replace(optvis.load("efficientnet_lite0"), size=(224, 448))
    both = np.hstack([chelsea()[:, 75:375], coffee()[60:360, 150:450]])
    photo = optvis.load_image(both, size=448)
    question = logit("tiger cat") - logit("espresso")
    made = optvis.attribute(net, photo, "blocks.6", question)
    pair = [to_pil_image(photo[0]), made.overlay()]
    return Picture(stack_rows([pair]), [made])


def dream() -> Picture:
    """DeepDream from a photograph."""
    net, photo = optvis.load("efficientnet_lite0"), load_sample_image("china.jpg")
    made = optvis.dream(net, photo, layer_norm("blocks.4"))
    return Picture(made.image(), [made])


def atlas() -> Picture:
    """An atlas of 600 squares cut from six photographs."""
    net = optvis.load("efficientnet_lite0")
    photos = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    photos += [astronaut(), chelsea(), coffee(), rocket()]
    squares, options = cut_squares(photos, 600), AtlasOptions("tsne", size=64)
    builder = AtlasBuilder(net, squares, "blocks.4", options=options)
    made = builder.all([6])
    return Picture(made.sheet(), [made])


def embedded_classes() -> Picture:
    """All classes of the embedded network."""
    made = optvis.render(optvis.load(), logit(LABELS))
    return Picture(made.sheet(columns=8, labels=LABELS), [made])


def embedded_grid() -> Picture:
    """A scene, an icon for each position of a layer, and where the class comes from."""
    net, diver = optvis.load(), scene("scuba diver", seed=9).image
    made = optvis.activation_grid(net, diver, "mixed4", size=48, steps=128)
    question, method = log_odds("scuba diver"), "grad_x_activation"
    sources = optvis.attribute(net, diver, "mixed4", question, method=method)
    icons = made.sheet(gap=1)
    side = icons.height // 2
    seen = to_pil_image(diver).resize((side, side))
    overlay = sources.overlay().resize((side, side))
    tiles = stack_rows([[seen], [overlay]])
    return Picture(stack_rows([[icons, tiles]]), [made, sources])


def embedded_atlas() -> Picture:
    """An atlas of 1,600 scenes, and the cells in which two classes differ most."""
    scenes, options = Scenes(1600, seed=5), AtlasOptions("tsne", size=64)
    builder = AtlasBuilder(optvis.load(), scenes, "mixed5", options=options)
    made = builder.all([10])
    compared = builder.compare("grey whale", "white shark", [8])
    rows = [[cell.icon, *cell.patches] for cell in compared.top(5)]
    tiles = [[to_pil_image(tile).resize((128, 128)) for tile in row] for row in rows]
    cells = stack_rows(tiles)
    icons = made.sheet().resize(cells.size)
    return Picture(stack_rows([[icons, cells]]), [made, compared])


def cut_squares(photos: list[np.ndarray], count: int) -> Tensor:
    """Cut squares of random size and place from photographs, (count, 3, 224, 224) in [0, 1]."""
    draw = np.random.default_rng(0)
    squares = []
    for number in range(count):
        photo = photos[number % len(photos)]
        side = draw.integers(96, min(photo.shape[:2]) + 1)
        y, x = (draw.integers(0, length - side + 1) for length in photo.shape[:2])
        square = Image.fromarray(photo[y : y + side, x : x + side]).resize((224, 224))
        squares.append(optvis.load_image(square))
    return torch.cat(squares)


PICTURES = {
    draw.__name__: draw
    for draw in (
        channels,
        classes,
        fft_and_maco,
        grid,
        attribution,
        dream,
        atlas,
        embedded_classes,
        embedded_grid,
        embedded_atlas,
    )
}
CODE = {name: inspect.getsource(draw).rstrip() for name, draw in PICTURES.items()}  # as it is read, not as edited later


def write(name: str) -> None:
    """Draw a picture, and write it as a PNG of 256 colors, which holds its code and its recipes."""
    started = time.process_time()
    picture = PICTURES[name]()
    image = picture.image.copy()
    image.thumbnail((WIDTH, 2 * WIDTH), Image.Resampling.LANCZOS)
    recipes = [dict(result.recipe) for result in picture.results]
    path = HERE / f"{name}.png"
    path.write_bytes(encode_png(image.quantize(256, kmeans=3), to_json({"code": CODE[name], "recipes": recipes})))
    seconds = time.process_time() - started
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {seconds:.0f} s of processor time", flush=True)


def main() -> None:
    """Read the command line, and write the pictures that it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a picture; all by default")
    parser.add_argument("--list", action="store_true", help="list the pictures, and make none")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in PICTURES]
    if unknown:
        parser.error(f"no picture {unknown[0]!r}; there are {', '.join(PICTURES)}")
    for name in given.names or PICTURES:
        if given.list:
            print(f"{name}: {inspect.getdoc(PICTURES[name])}")
        else:
            write(name)


if __name__ == "__main__":
    main()
