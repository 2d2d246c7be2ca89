"""try_patch(): whether a patch changes the prediction from one class to another, and whether controls do so too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor, nn

from optvis.data.dataset import Images
from optvis.data.sources import as_dataset
from optvis.formatting import format_count
from optvis.models.adapted.needs import RGB
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives.labels import class_index
from optvis.patches.controls import crop_into_outline, flat_patch, shuffle_patch
from optvis.patches.paste import paste
from optvis.patches.sources import load_patch
from optvis.patches.trial import PatchTrial
from optvis.progress import progress_bar

SIZE_SHARES = (0.15, 0.25, 1 / 3, 0.42, 0.5, 0.6)  # patch sizes, of the image's shorter side
#: Named positions of a patch's centre, down and across as shares of height and width.
POSITIONS = MappingProxyType(
    {
        "centre": (0.5, 0.5),
        "top left": (0.25, 0.25),
        "top right": (0.25, 0.75),
        "bottom left": (0.75, 0.25),
        "bottom right": (0.75, 0.75),
    }
)
PATCH_NAME = "patch"
BATCH_SIZE = 64  # images

Patches: TypeAlias = Tensor | Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class _ClassPair:
    """A network, and the indices of two of its classes."""

    classifier: Classifier
    source: int
    target: int

    def predict(self, images: Tensor) -> Tensor:
        """Confidence of both classes, and whether each is the predicted one, (B, 4) in [0, 1], on the CPU."""
        head = self.classifier.read_head(images)
        head.require_classes("try_patch")
        logits = self.classifier.logits(images, BATCH_SIZE)
        highest = max(self.source, self.target)
        if highest >= logits.shape[1]:
            raise IndexError(f"class is {highest}; expected 0 to {logits.shape[1] - 1}")
        pair = [self.source, self.target]
        confidence = head.confidences(logits)[:, pair]
        predicted = logits.argmax(1, keepdim=True) == logits.new_tensor([pair])
        return torch.cat([confidence, predicted.to(confidence)], dim=1).cpu()


@plain_mode()
def try_patch(
    model: nn.Module | Classifier,
    patch: Patches,
    images: Images | Tensor,
    source: str | int,
    target: str | int,
    *,
    sizes: Sequence[int] | None = None,
    positions: Mapping[str, tuple[float, float]] = POSITIONS,
    controls: Mapping[str, Patches] = MappingProxyType({}),
    selection_share: float = 0.25,
    normalize: Normalizer | str = INFER,
    seed: int = 0,
    progress: bool = True,
) -> PatchTrial:
    """Paste a patch onto images of one class, at several sizes and positions, and count predictions of another class.

    This tests explanations such as an activation atlas (Carter et al., "Activation Atlas", Distill 2019,
    doi:10.23915/distill.00015): if something separates two classes, then pasting it into images of one should change
    the prediction to the other. Three control patches with the same outline are pasted likewise: the patch's mean
    color, its pixels in another order, and a piece of another of the images. The first images select the size and the
    position where the patch has the largest effect beyond its best control; flip rates are measured on the rest. Only
    images that are predicted as `source` without a patch take part.

    Args:
        model: a network whose output is a score per class, or a Classifier.
        patch: (4, h, w) in [0, 1]: red, green, blue and alpha, or (3, h, w), which is opaque; see `load_patch` and
            `cut_patch`. Or a list of patches, which are used in turn, one an image.
        images: of the source class, in any form that `as_dataset` takes.
        source: the class of the images, by label or index.
        target: the class that the patch should change the prediction to.
        sizes: longer sides of the patch in pixels, rising; by default six, from 15 % to 60 % of the image's shorter
            side.
        positions: of the patch's centre by name, down and across as shares of height and width.
        controls: further control patches by name; "flat", "shuffled" or "piece" replace the control of that name.
        selection_share: the share of images that select size and position, between 0 and 1.
        seed: of shuffled pixels and of random pieces.
        normalize, progress: see `render`.

    Raises:
        ValueError: patches of other shapes or ranges; no sizes or positions; fewer than two images that are predicted
            as `source`; both classes the same; a network that gives no finite score per class, or
            does not take RGB.
        KeyError, IndexError: a class that the network does not have.
        TypeError, FileNotFoundError: as in `as_dataset`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import object_patch, scene
        >>> whales = torch.stack([scene("grey whale", seed).image for seed in range(8)])
        >>> ball = object_patch("baseball")
        >>> trial = try_patch(load(), ball, whales, "grey whale", "white shark", sizes=[32], progress=False)
        >>> trial.flip_rate().share, trial.flip_rate("flat").share
        (1.0, 0.0)
    """
    classifier = as_classifier(model, normalize)
    if classifier.channels != RGB:
        count = format_count(classifier.channels, "channel")
        raise ValueError(f"patches are RGB, and this network takes {count}; try_patch is for networks that take 3")
    pair = _resolve_classes(classifier, source, target)
    given = _load_patches(patch, controls)
    sizes = _resolve_sizes(sizes, classifier)
    _check_options(positions, selection_share)
    batch = torch.cat([some for _, some in as_dataset(images).batches(classifier.load_batch, BATCH_SIZE)])
    with borrow(classifier.network), torch.no_grad():
        clean, batch, left_out = _select_source(pair, batch)
        own = _build_controls(given[PATCH_NAME], batch, seed)
        patches = given | {name: some for name, some in own.items() if name not in given}
        predictions = _predict_all(pair, patches, batch, sizes, positions, progress)
    test_start = min(len(batch) - 1, max(1, round(selection_share * len(batch))))
    recipe = provenance(
        classifier,
        "try_patch",
        source=classifier.label(pair.source),
        target=classifier.label(pair.target),
        sizes=list(sizes),
        positions={name: list(position) for name, position in positions.items()},
        seed=seed,
        selection_share=selection_share,
        selection_images=test_start,
        images_left_out=left_out,  # predicted as another class without a patch
    )
    return PatchTrial(
        source=recipe["source"],
        target=recipe["target"],
        names=tuple(patches),
        sizes=sizes,
        positions=dict(positions),
        clean_confidence=clean,
        predictions=predictions,
        test_start=test_start,
        images=batch.cpu(),
        patches=patches,
        recipe=recipe,
    )


def _resolve_classes(classifier: Classifier, source: str | int, target: str | int) -> _ClassPair:
    named = {"source": source, "target": target}
    indices = [class_index(one, classifier.labels, None, name) for name, one in named.items()]
    if indices[0] == indices[1]:
        raise ValueError(f"both classes are {classifier.label(indices[0])!r}; give two")
    return _ClassPair(classifier, *indices)


def _load_patches(patch: Patches, controls: Mapping[str, Patches]) -> dict[str, list[Tensor]]:
    """Check the patch and the user's controls, and return lists of (4, h, w) by name."""
    if PATCH_NAME in controls:
        raise ValueError(f"a control is named {PATCH_NAME!r}; give it another name")
    patches: dict[str, list[Tensor]] = {}
    for name, some in ({PATCH_NAME: patch} | dict(controls)).items():
        single = isinstance(some, Tensor) and some.dim() == 3
        patches[name] = [load_patch(one) for one in ([some] if single else some)]
        if not patches[name]:
            raise ValueError(f"{name}: no patches in the list")
    return patches


def _resolve_sizes(sizes: Sequence[int] | None, classifier: Classifier) -> tuple[int, ...]:
    if sizes is None:
        return tuple(dict.fromkeys(max(1, round(share * min(classifier.size))) for share in SIZE_SHARES))
    if not sizes or min(sizes) < 1 or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes are {list(sizes)}; expected rising numbers of pixels, 1 or more")
    return tuple(sizes)


def _check_options(positions: Mapping[str, tuple[float, float]], selection_share: float) -> None:
    if not positions:
        raise ValueError("no positions; give {'centre': (0.5, 0.5)}")
    for name, position in positions.items():
        if not all(0 <= share <= 1 for share in position):
            raise ValueError(f"position {name!r} is {position}; expected shares of height and width, from 0 to 1")
    if not 0 < selection_share < 1:
        raise ValueError(f"selection_share is {selection_share}; expected a share between 0 and 1")


def _select_source(pair: _ClassPair, images: Tensor) -> tuple[Tensor, Tensor, int]:
    """Confidence of both classes (B, 2) and the images that are predicted as the source; how many are not."""
    clean = pair.predict(images)
    mask = clean[:, 2] > 0
    if int(mask.sum()) < 2:
        label = pair.classifier.label(pair.source)
        raise ValueError(f"{int(mask.sum())} of {len(mask)} images are predicted as {label!r}; give 2 or more that are")
    return clean[mask, :2], images[mask.to(images.device)], int((~mask).sum())


def _build_controls(patches: Sequence[Tensor], images: Tensor, seed: int) -> dict[str, list[Tensor]]:
    """Build the controls that are always tried: one of each for every patch, and a piece for every image."""
    generator = torch.Generator().manual_seed(seed)
    pieces = [
        crop_into_outline(patches[index % len(patches)], images[index - 1].cpu(), generator)
        for index in range(len(images))
    ]
    return {
        "flat": [flat_patch(patch) for patch in patches],
        "shuffled": [shuffle_patch(patch, seed) for patch in patches],
        "piece": pieces,
    }


def _predict_all(
    pair: _ClassPair,
    patches: Mapping[str, Sequence[Tensor]],
    images: Tensor,
    sizes: Sequence[int],
    positions: Mapping[str, tuple[float, float]],
    progress: bool,
) -> Tensor:
    """Predictions with each patch at each size and position, (N, S, L, B, 4)."""
    settings = list(product(patches.values(), sizes, positions.values()))
    predictions = [
        torch.cat([pair.predict(batch) for batch in _paste_in_turn(some, images, size, position)])
        for some, size, position in progress_bar(settings, show=progress, description="patch")
    ]
    return torch.stack(predictions).view(len(patches), len(sizes), len(positions), len(images), 4)


def _paste_in_turn(
    patches: Sequence[Tensor], images: Tensor, size: int, position: tuple[float, float]
) -> Iterator[Tensor]:
    """Yield batches of images with one patch on each; the patches are used in turn."""
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        if len(patches) == 1:
            yield paste(patches[0], batch, size, position)
        else:
            own = (patches[(start + row) % len(patches)] for row in range(len(batch)))
            yield torch.stack([paste(patch, image, size, position) for patch, image in zip(own, batch, strict=True)])
