"""What objective, parameterization, transforms and network have to agree on before the first step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import RGB, ImageLike, load_image
from optvis.models.activations import read_activations, running_statistics
from optvis.models.adapted.needs import find_patch
from optvis.models.adapted.network import original_of
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.run import run_network
from optvis.objectives import Objective, as_objective
from optvis.params import ImageParam, Streams, channels_image, fft_image
from optvis.params.canvas import height_and_width
from optvis.params.streams import MAX_IMAGES
from optvis.transforms import Compose, Resize
from optvis.transforms.sizes import scale_size

LONG_NUMBER = re.compile(r"\b\d+\.\d{7,}\b")  # such as 0.20000000298, which is 0.2 in float32


def default_param(classifier: Classifier, size: int | tuple[int, int] | None, seeds: Sequence[int]) -> ImageParam:
    """Build the parameterization of `render` for a network: `fft_image`, or `channels_image` where it takes no RGB."""
    sides, channels = classifier.resolve_size(size), classifier.channels
    return fft_image(sides, seeds=seeds) if channels == RGB else channels_image(sides, channels, seeds=seeds)


def describe_default(classifier: Classifier, size: int | tuple[int, int] | None) -> str:
    """The call that makes the default parameterization, for the recipe."""
    sides, channels = classifier.resolve_size(size), classifier.channels
    return f"fft_image({sides})" if channels == RGB else f"channels_image({sides}, {channels})"


def load_whole(classifier: Classifier, images: ImageLike | Sequence[ImageLike], size: int | None) -> Tensor:
    """Load an image or several of one shape, (B, C, H, W), with the longer side resized to `size` pixels."""
    if isinstance(images, Sequence) and not isinstance(images, str):
        if not images:
            raise ValueError("no images: the list is empty")
        return torch.cat([load_image(image, size, classifier.channels) for image in images])
    return load_image(images, size, classifier.channels)


def check_param_size(param: nn.Module | None, size: int | tuple[int, int] | None) -> None:
    """Refuse a size beside a parameterization that has another one.

    Raises:
        ValueError: the sizes differ.
    """
    if param is None or size is None:
        return
    with torch.no_grad():
        own, given = tuple(param().shape[2:]), height_and_width(size)
    if own != given:
        raise ValueError(
            f"size is {given[0]} × {given[1]} px for a parameterization of {own[0]} × {own[1]} px, which has its own; "
            f"leave size out, or build the parameterization with it, such as fft_image({given})"
        )


def resolve_objective(objective: Objective | str, classifier: Classifier) -> Objective:
    """Replace what an objective takes from a network: indices of labels, embeddings of texts, statistics of BatchNorm.

    Raises:
        KeyError, ValueError: no such label or layer.
    """
    embed = getattr(classifier.network, "embed_texts", None)
    resolved = as_objective(objective).resolve(classifier.labels, embed)
    return resolved.resolve_statistics(partial(running_statistics, classifier))


def common_group(objective: Objective, penalties: Iterable[Objective]) -> int | None:
    """Number of successive images that must stay in one batch, of a score and of penalties: see `group_size`."""
    return Objective(tuple(term for part in (objective, *penalties) for term in part.terms)).group_size


def resolve_seeds(
    seed: int | Sequence[int], objective: Objective, param: nn.Module | None, penalties: Iterable[Objective] = ()
) -> tuple[int, ...]:
    """Return one seed per image, (B,). B is the batch size of seeds, objective and parameterization.

    Images that the objective or a penalty compares get seeds of their own.
    """
    seeds = _integers(seed)
    images = len(param()) if param is not None and not isinstance(param, ImageParam) else len(param or seeds)
    sizes = {"seeds": len(seeds), "the objective": objective.batch, "the image parameterization": images}
    batch = max(sizes.values())
    wrong = {what: size for what, size in sizes.items() if size not in (1, batch)}
    if param is not None and images != batch:
        wrong["the image parameterization"] = images
    if wrong:
        listing = ", ".join(f"{what} {size}" for what, size in sizes.items())
        cure = "give one for all, or as many everywhere"
        if images == 1 and param is not None:
            cure = (
                f"build the parameterization with a seed for each image, such as fft_image(size, seeds=[0] * {batch})"
            )
        raise ValueError(f"the numbers of images differ: {listing}; {cure}")
    if len(seeds) == batch:
        return seeds
    group = common_group(objective, penalties)
    return tuple(seeds[0] + place % (batch if group is None else group) for place in range(batch))


def _integers(seed: Any) -> tuple[int, ...]:
    """Convert one seed or several, of Python, NumPy or torch, to plain integers."""
    try:
        return (index(seed),)
    except TypeError:
        seeds = tuple(index(one) for one in islice(seed, MAX_IMAGES + 1))
    if len(seeds) > MAX_IMAGES:
        raise ValueError(f"more than {MAX_IMAGES:,} seeds; expected at most so many, one for each image")
    return seeds


def image_labels(objective: Objective, images: int) -> tuple[str, ...]:
    """The objective of each image as text, (B,), with short numbers; empty where the objective compares images."""
    if objective.couples_images:
        return ()
    return tuple(LONG_NUMBER.sub(_shorten, repr(objective[i : i + 1])) for i in range(images))


def _shorten(number: re.Match[str]) -> str:
    return f"{float(number[0]):.4g}"


def input_transform(
    classifier: Classifier, param: nn.Module, transform: nn.Module | None, seeds: Sequence[int]
) -> Compose:
    """The chain from image to network; it ends with a Resize where the network takes one size only."""
    chain = Compose() if transform is None else Compose(transform)
    return add_resize(classifier, param, chain, seeds) if classifier.fixed_size else chain


def add_resize(
    classifier: Classifier, param: nn.Module, chain: Compose, seeds: Sequence[int], layers: Iterable[str] | None = None
) -> Compose:
    """Resize the images of a chain to the network's own size where it takes no other, see `needs_own_size`."""
    with torch.no_grad():
        inputs = chain(param()[:1], Streams(seeds[:1], "transform"))
    needs_resize = needs_own_size(classifier, (inputs.shape[2], inputs.shape[3]), layers)
    return Compose(chain, Resize(classifier.size)) if needs_resize else chain


def renew_inference_tensors(module: nn.Module) -> None:
    """Copy parameters and buffers that were made in torch.inference_mode(), which autograd cannot use, in place."""
    for part in module.modules():
        for name, values in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            if values.is_inference():
                is_trained = isinstance(values, nn.Parameter)
                setattr(
                    part, name, nn.Parameter(values.clone(), values.requires_grad) if is_trained else values.clone()
                )


def accepts_size(classifier: Classifier, size: tuple[int, int], layers: Iterable[str] | None = None) -> bool:
    """Whether a network runs on images of a size, (H, W) in pixels, as far as some layers; by default to its end.

    One with a linear layer over pixels may not.
    """
    images = classifier.gray_image(size)
    try:
        with borrow(classifier.network), torch.no_grad():
            inputs = classifier.preprocess(images)
            if layers is None:
                run_network(classifier.network, inputs)
            else:
                read_activations(classifier.network, inputs, layers, images=images, any_dtype=True)
    except (RuntimeError, ValueError, AssertionError):
        return False
    return True


def needs_own_size(classifier: Classifier, size: tuple[int, int], layers: Iterable[str] | None = None) -> bool:
    """Whether a network takes its own size only, and not images of this one, (H, W) in pixels.

    `Classifier.fixed_size` says so; else the network is tried as far as some layers. One that takes images twice as
    large as its own finds this size too small; one whose patches do not fill it takes its own size.
    """
    if size == classifier.size or classifier.fixed_size:
        return size != classifier.size
    names = None if layers is None else list(layers)
    if accepts_size(classifier, size, names):
        return False
    if not accepts_size(classifier, classifier.size, names):
        return False
    patch = find_patch(original_of(classifier.network))
    is_cut = patch is not None and (size[0] % patch[0] or size[1] % patch[1]) and min(size) > max(patch)
    return bool(is_cut) or not accepts_size(classifier, scale_size(classifier.size, 2), names)
