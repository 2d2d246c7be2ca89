"""Classifiers of torchvision, by name."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from optvis.data.crop import ResizeCrop
from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.models.normalize import Normalize
from optvis.models.zoo.build import build_network


def load_torchvision(name: str, weights: str | None, **options: Any) -> Classifier:
    """Load a classifier of torchvision; see `optvis.load`."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        if name in models.list_models():
            raise KeyError(_explain_other(name))
        if name and os.path.isdir(name):  # noqa: PTH112, since Path.is_dir raises for long names
            raise KeyError(
                f"no network {name!r}, but a folder: load('hf/{name}') reads one of Hugging Face's save_pretrained, "
                f"load('local-dir:{name}') one of timm's"
            )
        nearest = suggest(name, known, "torchvision.models.list_models() lists them", cutoff=0.6)
        raise KeyError(
            f"no network {name!r}; {nearest}; timm's begin with 'timm/', Hugging Face's with 'hf/'; ours is 'demo'"
        )
    published = models.get_model_weights(name)
    if weights is not None and weights not in published.__members__:
        raise KeyError(f"no weights {weights!r} of {name}; there are {', '.join(published.__members__)}")
    entry = published.DEFAULT if weights is None else published[weights]
    network = build_network(name, partial(models.get_model, name, weights=weights and entry, **options), weights)
    preset = entry.transforms()
    crop = ResizeCrop(preset.resize_size[0], (preset.crop_size[0],) * 2, preset.interpolation.value)
    fixed = getattr(network, "image_size", None) is not None
    normalize = Normalize(preset.mean, preset.std)
    return Classifier(network, normalize, crop.crop, entry.meta["categories"], crop, name, fixed_size=fixed)


def _explain_other(name: str) -> str:
    """How a network of torchvision is used that is no classifier."""
    from torchvision import models

    build = f"torchvision.models.get_model({name!r}, weights='DEFAULT')"
    if name in models.list_models(module=models.detection):
        cure = (
            f"build a detector yourself, and give it as it is: render({build}, ...) or Classifier({build}, None, size)"
        )
    elif name in models.list_models(module=models.segmentation):
        cure = f"build a segmentation network yourself: Classifier({build}, IMAGENET, size)"
    else:
        cure = f"build it yourself, {build}; one that takes more than single images needs Classifier(..., forward=...)"
    return f"no network {name!r} among the classifiers, which alone are loaded by name; {cure}"
