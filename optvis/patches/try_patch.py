"""Trials of patches: does a thing turn one class into another, and does anything else of its size do so too?"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.data.dataset import Images, as_dataset
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives.labels import index_of
from optvis.patches.cutouts import cutout, shuffled
from optvis.patches.paste import flat, paste
from optvis.patches.result import Trial
from optvis.progress import progress_bar
from optvis.version import __version__

SHARES = (0.15, 0.25, 1 / 3, 0.42, 0.5, 0.6)  # patch sizes, of the image's shorter side
PLACES = MappingProxyType(
    {
        "centre": (0.5, 0.5),
        "top left": (0.25, 0.25),
        "top right": (0.25, 0.75),
        "bottom left": (0.75, 0.25),
        "bottom right": (0.75, 0.75),
    }
)
THING = "patch"
AT_ONCE = 64  # images

Patches: TypeAlias = Tensor | Sequence[Tensor]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A network, and the places of the two classes among its outputs."""

    classifier: Classifier
    of: int
    into: int

    def answers(self, images: Tensor) -> Tensor:
        """Confidence of both classes, and whether each is the likeliest, (B, 4) in [0, 1], on the CPU."""
        found = []
        for some in torch.split(images, AT_ONCE):
            scores = _checked(self.classifier.network(self.classifier.preprocess(some)), max(self.of, self.into))
            both = scores.float().softmax(1)[:, [self.of, self.into]]
            best = scores.argmax(1, keepdim=True) == scores.new_tensor([[self.of, self.into]])
            found.append(torch.cat([both, best.to(both)], dim=1).cpu())
        return torch.cat(found)


def try_patch(
    model: nn.Module | Classifier,
    patch: Patches,
    images: Images | Tensor,
    of: str | int,
    into: str | int,
    *,
    sizes: Sequence[int] | None = None,
    places: Mapping[str, tuple[float, float]] = PLACES,
    controls: Mapping[str, Patches] = MappingProxyType({}),
    choosing: float = 0.25,
    normalize: Normalizer | str = INFER,
    seed: int = 0,
    progress: bool = False,
) -> Trial:
    """Paste a patch onto images of one class, at several sizes and places, and ask how often they become another.

    So atlases are put to the test (Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015): what
    separates two classes, pasted into a picture of one, should turn it into the other. Three controls of the same
    outline are tried likewise: the patch's mean colour, its pixels in another order, and a piece of another of the
    images. The size and place where the patch does most beyond its best control are chosen on the first images and
    judged on the rest. Only images that the network calls `of` to begin with take part.

    Args:
        model: a network whose output is a score per class, or a Classifier.
        patch: (4, h, w) in [0, 1]: red, green, blue and how much it covers, or (3, h, w), which covers all; see
            `optvis.patches.cutouts` for ways to get one. Or a list, of which each image gets one in turn.
        images: of the class `of`, in any form that `as_dataset` takes.
        of: the class that they show, by text or index.
        into: the class that the patch should make of them.
        sizes: longer sides of the patch in pixels, rising; by default six, from 15 % to 60 % of the image's shorter
            side.
        places: of the patch's centre, down and across in shares of height and width, by name.
        controls: other patches by name, as `patch`; "flat", "shuffled" or "piece" stand in for those of that name.
        choosing: the share of images on which size and place are chosen.
        normalize: see `render`; by default what the model carries.
        seed: of the order of pixels and of where pieces are cut.
        progress: show a progress bar.

    Raises:
        ValueError: patches of other shapes or ranges; no sizes or places; fewer than two images that are called `of`;
            both classes the same; a network that gives no finite score per class.
        KeyError, IndexError: a class that the network does not know.
        TypeError, FileNotFoundError: as in `as_dataset`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import object_patch, scene
        >>> whales = torch.stack([scene("grey whale", seed).image for seed in range(8)])
        >>> found = try_patch(load(), object_patch("baseball"), whales, "grey whale", "white shark", sizes=[32])
        >>> found.flips().share, found.flips("flat").share
        (1.0, 0.0)
    """
    classifier = as_classifier(model, normalize)
    asked = _asked(classifier, of, into)
    given = _given(patch, controls)
    tried = _sizes(sizes, classifier), dict(places)
    if not places:
        raise ValueError("no places; give {'centre': (0.5, 0.5)}")
    for name, place in places.items():
        if not all(0 <= share <= 1 for share in place):
            raise ValueError(f"place {name!r} is {place}; expected shares of height and width, from 0 to 1")
    if not 0 < choosing < 1:
        raise ValueError(f"choosing is {choosing}; expected a share between 0 and 1")
    shown = torch.cat([some for _, some in as_dataset(images).batches(classifier.load_batch, AT_ONCE)])
    with borrow(classifier.network), torch.no_grad():
        before, shown, left_out = _called(asked, shown)
        patches = given | {name: some for name, some in _own(given[THING], shown, seed).items() if name not in given}
        answers = _answers(asked, patches, shown, *tried, progress)
    judged_from = min(len(shown) - 1, max(1, round(choosing * len(shown))))
    recipe = _recipe(classifier, seed, choosing, judged_from, left_out)
    names = _text(classifier, of), _text(classifier, into)
    return Trial(names, tuple(patches), *tried, before, answers, judged_from, shown.cpu(), patches, recipe)


def _checked(scores: Tensor, highest: int) -> Tensor:
    """A score per class, (B, classes), finite, with the classes that are asked about."""
    if not isinstance(scores, Tensor) or scores.dim() != 2:
        came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(f"the network gives {came}; expected a score per class, (B, classes)")
    if highest >= scores.shape[1]:
        raise IndexError(f"class {highest} of a network with 0..{scores.shape[1] - 1}")
    if not bool(scores.isfinite().all()):
        raise ValueError("the network gives scores that are NaN or infinite")
    return scores


def _given(patch: Patches, controls: Mapping[str, Patches]) -> dict[str, list[Tensor]]:
    """The patch and the user's controls, by name."""
    if THING in controls:
        raise ValueError(f"a control is named {THING!r}; name it otherwise")
    return {name: _listed(some, name) for name, some in ({THING: patch} | dict(controls)).items()}


def _called(asked: _Asked, images: Tensor) -> tuple[Tensor, Tensor, int]:
    """Both classes' confidence (B, 2), the images that are called the first class, and how many are not."""
    before = asked.answers(images)
    kept = before[:, 2] > 0
    if int(kept.sum()) < 2:
        text = _text(asked.classifier, asked.of)
        raise ValueError(f"{int(kept.sum())} of {len(kept)} images are called {text!r}; give 2 or more that are")
    return before[kept, :2], images[kept.to(images.device)], int((~kept).sum())


def _asked(classifier: Classifier, of: str | int, into: str | int) -> _Asked:
    places = [index_of(one, classifier.labels) if isinstance(one, str) else one for one in (of, into)]
    if min(places) < 0:
        raise IndexError(f"class {min(places)}; expected 0 or more")
    if places[0] == places[1]:
        raise ValueError(f"both classes are {_text(classifier, of)!r}; give two")
    return _Asked(classifier, *places)


def _text(classifier: Classifier, of: str | int) -> str:
    index = index_of(of, classifier.labels) if isinstance(of, str) else of
    return classifier.labels[index] if 0 <= index < len(classifier.labels) else f"class {index}"


def _listed(patches: Patches, name: str) -> list[Tensor]:
    """Patches (4, h, w), checked.

    Raises:
        ValueError: none, or one of another shape or range.
    """
    found = [patches] if isinstance(patches, Tensor) and patches.dim() == 3 else list(patches)
    if not found:
        raise ValueError(f"{name}: no patches in the list")
    return [cutout(one) for one in found]


def _own(patches: Sequence[Tensor], images: Tensor, seed: int) -> dict[str, list[Tensor]]:
    """The controls that are always tried: one of each for every patch, and a piece for every image."""
    draws = torch.Generator().manual_seed(seed)
    pieces = [_piece(patches[place % len(patches)], images[place - 1].cpu(), draws) for place in range(len(images))]
    return {
        "flat": [flat(one) for one in patches],
        "shuffled": [shuffled(one, seed) for one in patches],
        "piece": pieces,
    }


def _piece(patch: Tensor, image: Tensor, draws: torch.Generator) -> Tensor:
    """A part of an image, half as large as it is, in a patch's outline."""
    sides = [max(1, side // 2) for side in image.shape[1:]]
    shares = torch.rand(2, generator=draws).tolist()
    top, left = (int(share * (whole - side)) for share, whole, side in zip(shares, image.shape[1:], sides, strict=True))
    part = image[None, :, top : top + sides[0], left : left + sides[1]]
    filled = nn.functional.interpolate(part, patch.shape[1:], mode="bilinear", antialias=True)[0]
    return torch.cat([filled.clamp(0, 1), patch[3:]])


def _sizes(sizes: Sequence[int] | None, classifier: Classifier) -> tuple[int, ...]:
    if sizes is None:
        return tuple(dict.fromkeys(max(1, round(share * min(classifier.size))) for share in SHARES))
    if not sizes or min(sizes) < 1 or list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes are {list(sizes)}; expected rising numbers of pixels, 1 or more")
    return tuple(sizes)


def _answers(
    asked: _Asked,
    patches: Mapping[str, Sequence[Tensor]],
    images: Tensor,
    sizes: Sequence[int],
    places: Mapping[str, tuple[float, float]],
    progress: bool,
) -> Tensor:
    """What is said with each patch at each size and place, (N, S, L, B, 4)."""
    ways = list(product(patches.values(), sizes, places.values()))
    found = [
        torch.cat([asked.answers(some) for some in _pasted(these, images, size, place)])
        for these, size, place in progress_bar(ways, show=progress, description="patch")
    ]
    return torch.stack(found).view(len(patches), len(sizes), len(places), len(images), 4)


def _pasted(patches: Sequence[Tensor], images: Tensor, size: int, place: tuple[float, float]) -> Iterator[Tensor]:
    """Images with a patch on each, some at a time; the patches are taken in turn."""
    for start in range(0, len(images), AT_ONCE):
        some = images[start : start + AT_ONCE]
        if len(patches) == 1:
            yield paste(patches[0], some, size, place)
        else:
            turn = (patches[(start + row) % len(patches)] for row in range(len(some)))
            yield torch.stack([paste(one, image, size, place) for one, image in zip(turn, some, strict=True)])


def _recipe(classifier: Classifier, seed: int, choosing: float, chosen_on: int, left_out: int) -> dict[str, Any]:
    return {
        "network": classifier.name,
        "seed": seed,
        "choosing": choosing,
        "images that chose": chosen_on,
        "images left out, called otherwise": left_out,
        "normalize": repr(classifier.normalize),
        "device": str(classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


__all__ = ["PLACES", "try_patch"]
