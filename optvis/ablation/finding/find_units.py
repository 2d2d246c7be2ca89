"""Which units to switch off so that a network no longer sees a class, and everything else is kept."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.ablation.evaluation.image_sets import digests
from optvis.ablation.finding.cached import Cached
from optvis.ablation.finding.case import Case, case_of
from optvis.ablation.finding.contrast import Contrast
from optvis.ablation.finding.cost import margins
from optvis.ablation.finding.recipes import Commonest, Loudest
from optvis.ablation.finding.search import Search
from optvis.ablation.finding.selection import Evidence, Found, single, spelled
from optvis.ablation.finding.subspace import Subspace
from optvis.features.units import Units
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.version import __version__

Method: TypeAlias = Callable[[Case], tuple[Units, ...]]

METHODS: dict[str, Method] = {
    "search": Search(),
    "subspace": Subspace(),
    "contrast": Contrast(),
    "loudest": Loudest(),
    "commonest": Commonest(),
}


def find(
    net: nn.Module | Classifier,
    target_images: Any,
    target: int | str,
    *,
    keep: Any = None,
    layers: Sequence[str] | None = None,
    method: str | Method = "search",
    most: int | None = None,
    seed: int = 0,
    progress: bool = True,
    normalize: Normalizer | str = INFER,
) -> Found:
    """Units without which a network no longer sees a class, though it sees all the rest.

    Args:
        net: a network whose output is a score per class, or a Classifier.
        target_images: images of the class, (B, 3, H, W) in [0, 1], or photographs in any form, or the path of a folder
            of them, or a list of such. The network need not recognise all.
        target: the class: its index, or its label text.
        keep: images whose labels must stay, in any of these forms; what the network calls them is what is kept. The
            recipes "loudest" and "commonest" do without.
        layers: where units may be switched off; by default the last stage before the class head.
        method: "search" (channels, with a price on harm), "subspace" (directions), "contrast" (channels by
            contrastive attribution), "loudest" and "commonest" (the two original recipes); or one of the classes of
            these names with settings of its own; or any function of a Case that gives Units.
        most: how many channels, over all layers ("search", "contrast") or of each layer (the recipes); by default as
            the method says. A subspace has `dimensions` instead.
        seed: of what is drawn; the same seed, the same units.
        progress: show a progress bar.
        normalize: see `render`; by default what the model carries.

    Returns:
        A sequence of Units, one a layer, with the evidence for each channel: `blinded(net, *found)`.

    Raises:
        ValueError: no image of the target is called so; an image to be kept is; `keep` is missing where it is needed;
            a layer whose channels are the classes; as in `load_image`.
        KeyError: no such layer, label or method.
        IndexError: no such class.

    Example:
        >>> from optvis import load
        >>> from optvis.world import dataset
        >>> images, labels = dataset(32)
        >>> found = find(load("demo"), images[labels == 0], "container ship", keep=images[labels != 0], progress=False)
        >>> found[0].layer, len(found[0])
        ('mixed5', 10)
    """
    classifier = as_classifier(net, normalize)
    how = chosen_method(method, most)
    case = case_of(classifier, target_images, target, keep, layers, seed, progress)
    with borrow(classifier.network):
        units = how(case)
        evidence = _evidence(case, units)
    return Found(units, case.target, case.label, evidence, _recipe(case, how, units))


def chosen_method(method: str | Method, most: int | None) -> Method:
    if isinstance(method, str):
        if method not in METHODS:
            raise KeyError(f"no method {method!r}; there are {', '.join(METHODS)}")
        method = METHODS[method]
    if not callable(method):
        raise TypeError(f"method is {method!r}; expected one of {', '.join(METHODS)}, or Search(…) and its like")
    if most is None:
        return method
    if not isinstance(method, Search | Contrast | Loudest | Commonest):
        raise TypeError(f"most={most} for {method!r}, which has no such number; settings belong to the method itself")
    return replace(method, most=most)


def _evidence(case: Case, units: Sequence[Units]) -> tuple[Evidence, ...]:
    """What each channel and direction does alone."""
    own = torch.where(case.shows, case.target, case.called)
    rows = []
    for together in units:
        cached = Cached(case.classifier, case.images, [together.layer])
        before = margins(cached.before, own)
        for name, unit in single([together]):
            with torch.no_grad():
                changes = margins(cached.logits({unit.layer: partial(_off, unit)}), own) - before
            rows.append(_row(case, unit, name, changes))
    return tuple(rows)


def _off(unit: Units, a: Tensor) -> Tensor:
    return unit.replace(a)


def _row(case: Case, unit: Units, name: str, changes: Tensor) -> Evidence:
    target, kept = float(changes[case.shows].mean()), changes[~case.shows]
    if not len(kept):
        return Evidence(unit.layer, name, target, None, "")
    place = int(kept.argmin())
    worst = min(0.0, float(kept[place]))
    image = case.names[int((~case.shows).nonzero()[place])]
    return Evidence(unit.layer, name, target, worst, image if worst < 0 else "")


def _recipe(case: Case, how: Method, units: Sequence[Units]) -> dict[str, Any]:
    settings = asdict(how) if isinstance(how, Search | Subspace | Contrast | Loudest | Commonest) else {}
    return {
        "network": case.classifier.name,
        "target": case.target,
        "label": case.label,
        "method": {"name": getattr(how, "__name__", type(how).__name__), **settings},
        "layers": list(case.layers),
        "images": {"target": int(case.shows.sum()), "keep": int((~case.shows).sum())},
        "digests": digests(case.images),
        "units": spelled(units),
        "seed": case.seed,
        "normalize": repr(case.classifier.normalize),
        "dtype": str(case.classifier.image_dtype),
        "device": str(case.classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


__all__ = ["METHODS", "Method", "chosen_method", "find"]
