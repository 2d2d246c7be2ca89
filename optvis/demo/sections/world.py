"""The section that shows a scene of each class with the network's prediction."""

from __future__ import annotations

from collections.abc import Sequence

from optvis.demo.config import TourConfig
from optvis.demo.figures import build_figure
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.models.classify import Classification, classify
from optvis.world.scenes import dataset

FILE = "world.png"


def build_section(model: Classifier, config: TourConfig) -> Content:
    """A scene of each class, with the network's prediction."""
    count, seed = len(model.labels), config.seed + 1  # seed 0 is that of the training scenes
    images, labels = dataset(count, seed)
    names = [model.labels[index] for index in labels.tolist()]
    figure = build_figure(
        FILE,
        images,
        names,
        [f"a scene of the class {name}" for name in names],
        notes=_predictions(names, classify(model, images, top=1)),
        columns=(8, 4),
        caption="Scenes that took no part in training. Below each name: the network’s prediction and its confidence.",
        code=f"images, labels = dataset({count}, seed={seed})\nclassify(net, images, top=1)",
        recipe={"scenes": f"dataset({count}, seed={seed})"},
    )
    text = (
        "Code draws every scene from a seed, so the ground truth is known: all parts of the scene, and the pixels that "
        "show them."
    )
    return Content("The world", text, (figure,))


def _predictions(names: Sequence[str], predicted: Classification) -> list[str]:
    """For each scene, whether the prediction is right, and its confidence."""
    texts = ["right" if name == best else best for name, (best,) in zip(names, predicted.labels, strict=True)]
    confidences = predicted.confidences[:, 0].tolist()
    return [f"{text}, {confidence:.0%}" for text, confidence in zip(texts, confidences, strict=True)]
