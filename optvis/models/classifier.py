"""A network together with what its publisher says of it: normalisation, input size, labels."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Self
from weakref import WeakSet

import torch
from torch import Tensor, nn

from optvis.data.crop import ResizeCrop
from optvis.data.images import check_levels, load_batch
from optvis.data.labels import LabelsLike, list_labels
from optvis.errors import warn_user
from optvis.models.adapted.needs import DEFAULT_SIZE, find_size
from optvis.models.adapted.network import Forward, adapt, original_of
from optvis.models.adapted.normalizer import normalizes_inside
from optvis.models.adapted.select import Selector, list_parts, require_scores
from optvis.models.borrow import borrow
from optvis.models.normalize import Normalizer, as_normalizer, count_channels
from optvis.models.outputs.detect import HEADS, detect_head
from optvis.models.outputs.finite import check_finite
from optvis.models.outputs.head import Head
from optvis.models.outputs.token_evidence import set_prefix_tokens
from optvis.models.run import renew, restride, run_network
from optvis.params.canvas import height_and_width

_WARNED: WeakSet[nn.Module] = WeakSet()  # networks of which a warning was given

BATCH_SIZE = 64  # images that go through a network together


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Classifier:
    """A network and how it is fed. Every function of optvis that takes a network takes a Classifier.

    Args:
        network: any module that takes images (B, C, H, W).
        normalize: what is done to images in [0, 1] before the network sees them; None leaves them as they are. Of a
            chain or preset of torchvision, or an image processor of Hugging Face, the mean and standard deviation.
        size: side, or (height, width), of its input in pixels; by default what the network was built for, else 224.
        labels: a text per class, in the order of its outputs; or a dict of them by index, such as `config.id2label`; or
            the path of a text file with one on each line. A network with one output takes one text, or two: of the
            side where it is negative, then of the side where it is positive.
        crop: how its publisher resizes and crops images; by default the shorter side is resized to the input's, and so
            where it is a `ResizeCrop` to another size: `dataclasses.replace(classifier, size=320)` takes images of 320.
        name: what recipes and tables call it.
        fixed_size: whether it takes its own size only, as most transformers do.
        head: what its outputs are; by default it is found out. "softmax": of classes that exclude each other;
            "sigmoid": of classes that are each right or wrong, also a single one; of both it is found whether they are
            probabilities already. "probabilities" and "sigmoid_probabilities" say that. "embedding": of no classes.
        output: which part of what it returns holds its scores: a key, an index, or a function of the output; by default
            "logits" or "out", where there is one of them.
        channels: of the images that it is given; by default those of its normalisation, else of its first layer.
        forward: how it is called, (network, inputs) -> output, where it takes more than the images; by default with
            these alone. The function calls the network.
        prefix_tokens: how many tokens come before the patches in its layers: the class token, then registers; by
            default what the names of its parameters say.

    Where `output` or `forward` is given, the attribute `network` is a module that does both. Its layers have the
    original's names.

    Example:
        >>> from optvis import IMAGENET
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        >>> Classifier(net, IMAGENET, 8, labels=("cat", "dog")).size, Classifier(net, IMAGENET).size
        ((8, 8), (224, 224))
    """

    network: nn.Module
    normalize: Normalizer
    size: tuple[int, int]
    labels: tuple[str, ...]
    crop: Callable[[Any], Any]
    name: str
    fixed_size: bool
    head: str | None
    output: Selector
    forward: Forward
    channels: int
    prefix_tokens: int | None

    def __init__(
        self,
        network: nn.Module,
        normalize: Normalizer,
        size: int | tuple[int, int] | None = None,
        labels: LabelsLike = (),
        crop: Callable[[Any], Any] | None = None,
        name: str = "",
        fixed_size: bool = False,
        head: str | None = None,
        output: Selector = None,
        forward: Forward = None,
        channels: int | None = None,
        prefix_tokens: int | None = None,
    ) -> None:
        network = unwrap(network)
        if not isinstance(network, nn.Module):
            raise TypeError(f"network is a {type(network).__name__}; expected an nn.Module")
        if normalize is not None and not callable(normalize):
            raise TypeError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")
        normalize, texts = as_normalizer(normalize), list_labels(labels)
        _warn_twice(network, normalize)
        if head is not None and head not in HEADS:
            raise ValueError(f"head is {head!r}; expected {', '.join(map(repr, HEADS))}, or None to find out")
        if head == "embedding" and texts:
            raise ValueError(f"{len(texts)} labels for an embedding, which has no classes; leave head or labels out")
        sides = height_and_width(find_size(original_of(network)) or DEFAULT_SIZE if size is None else size)
        vars(self).update(
            network=adapt(network, forward, output),
            normalize=normalize,
            size=sides,
            labels=texts,
            crop=_fit_crop(crop, sides),
            name=name if name else type(original_of(network)).__name__,
            fixed_size=fixed_size,
            head=head,
            output=output,
            forward=forward,
            channels=count_channels(network, normalize, sides) if channels is None else channels,
            prefix_tokens=prefix_tokens,
            _found=None,
            _outputs=None,
        )
        self._declare_prefix()

    def _declare_prefix(self) -> None:
        if self.prefix_tokens is not None:
            set_prefix_tokens(self.network, self.prefix_tokens)

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device, in place, as `nn.Module.to` does; returns this Classifier.

        Example:
            >>> Classifier(nn.Conv2d(3, 4, 3), None, 8).to("cpu").device
            device(type='cpu')
        """
        self.network.to(device)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For another process: a network on a card is copied beside it, as that process may have other cards."""
        state = dict(vars(self))
        if self.device.type != "cpu":
            state |= {"network": copy.deepcopy(self.network).to("cpu"), "_device": str(self.device)}
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update({name: value for name, value in state.items() if name != "_device"})
        device = torch.device(state.get("_device", "cpu"))
        if device.type != "cpu":
            has_card = device.type != "cuda" or (device.index or 0) < torch.cuda.device_count()
            self.network.to(device if has_card else device.type)
        self._declare_prefix()

    @property
    def device(self) -> torch.device:
        """Where the network's parameters and buffers are; the CPU if it has none."""
        return self._example.device

    @property
    def on_gpu(self) -> bool:
        """Whether the network is on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's real parameters or buffers; float32 if it has none."""
        return self._example.dtype

    @property
    def image_dtype(self) -> torch.dtype:
        """Of images and their parameters: the network's, but at least float32."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def _example(self) -> Tensor:
        weights = chain(self.network.parameters(), self.network.buffers())
        real = (weight for weight in weights if weight.is_floating_point())
        return next(real, torch.empty(0, dtype=torch.float32, device="cpu"))

    def resolve_size(self, size: int | tuple[int, int] | None) -> tuple[int, int]:
        """(H, W) in pixels: the given size, or the network's own."""
        return self.size if size is None else height_and_width(size)

    def load_batch(self, images: Any) -> Tensor:
        """Load images as this network's publisher does: resized, cropped, in [0, 1].

        Args:
            images: an image in any form that `optvis.data.load_image` takes, or a list of them. A tensor of the
                network's own size is taken as it is.

        Returns:
            (B, C, H, W) in [0, 1], on the network's device, of its dtype (float32 for half-precision networks).

        Raises:
            ValueError, FileNotFoundError, TypeError: as in `load_image`.
        """
        batch = load_batch(images, self.crop, self.size, self.device, self.image_dtype, self.channels)
        return renew(batch)

    def gray_image(self, size: int | tuple[int, int] | None = None) -> Tensor:
        """A gray image of a size, by default the network's own, (1, C, H, W)."""
        shape = (1, self.channels, *self.resolve_size(size))
        return torch.full(shape, 0.5, dtype=self.image_dtype, device=self.device)

    def noise_image(self) -> Tensor:
        """An image of noise in [0, 1], the same each time, (1, C, H, W); no two of its pixels are alike."""
        shape, generator = (1, self.channels, *self.size), torch.Generator().manual_seed(0)
        noise = torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
        return noise.to(self.device, self.image_dtype)

    def preprocess(self, images: Tensor) -> Tensor:
        """Turn images (B, C, H, W) in [0, 1] into the network's input: normalised, channels last, of its dtype."""
        images = images.to(self.image_dtype)
        try:
            inputs = images if self.normalize is None else self.normalize(images)
        except (TypeError, AttributeError) as error:
            raise TypeError(
                f"normalize fails on images {tuple(images.shape)}: {error}; expected a function "
                "of tensors (B, C, H, W) in [0, 1]"
            ) from error
        if not isinstance(inputs, Tensor):
            raise TypeError(f"normalize returns a {type(inputs).__name__}; expected a tensor, the network's input")
        ready = inputs.to(self.dtype)
        if ready.dim() == 4:
            ready = restride(ready.contiguous(memory_format=torch.channels_last))
        # A network may begin in place, and must not reach the images themselves.
        return ready.clone() if ready.data_ptr() == images.data_ptr() else ready

    def read_head(self, images: Tensor) -> Head:
        """Find out what the network's outputs are, by running it on images of a shape; what is found is kept.

        Args:
            images: (B, C, H, W) in [0, 1], of any number; their shape, dtype and device count.

        Raises:
            ValueError: labels that do not fit the outputs; outputs that hold no scores.
        """
        found: Head | None = vars(self)["_found"]
        if found is not None:
            return found
        head, is_certain = detect_head(self.network, self.preprocess, images, self.head, len(self.labels))
        vars(self)["_found"] = head if is_certain else None
        return head

    def __call__(self, images: Tensor) -> Tensor:
        """Compute a logit for each class, as `logits` does, of images (B, C, H, W) in [0, 1].

        Raises:
            TypeError, ValueError: images outside [0, 1], such as normalised ones, which would be normalised twice.

        Example:
            >>> net = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2)), None, 8)
            >>> net(torch.rand(5, 3, 8, 8)).shape
            torch.Size([5, 2])
        """
        check_levels(images)
        return self.logits(images)

    def logits(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """Compute a logit for each class, (B, classes), float32, in eval mode and without gradients.

        They are the network's outputs; where these are probabilities, what `Head.logits` makes of them.

        Args:
            images: (B, 3, H, W) in [0, 1], on any device.
            batch_size: how many images go through the network together.

        Raises:
            ValueError: the output is no score for each class; labels that do not fit; NotFiniteError: NaN or infinity.
        """
        with borrow(self.network), torch.no_grad():
            images = images.to(self.device)
            head = self.read_head(images)
            return torch.cat([self._logits(head, one) for one in torch.split(images, batch_size)])

    def _logits(self, head: Head, images: Tensor) -> Tensor:
        inputs = self.preprocess(images)
        outputs = check_logits(run_network(self.network, inputs)).detach()
        check_finite(outputs, f"the outputs of {self.name}", self.network, inputs)
        before = vars(self)["_outputs"]
        vars(self)["_outputs"] = outputs.shape[1]
        if before not in (None, outputs.shape[1]):  # the network's last layer was replaced
            vars(self)["_found"] = None
            head = self.read_head(images)
        return head.logits(outputs).float()

    def label(self, index: int) -> str:
        """The label of a class; with its index where several have it; "class 17" where there is none."""
        if index >= len(self.labels):
            return f"class {index}"
        label = self.labels[index]
        return f"{label} (class {index})" if label in _find_repeated(self.labels) else label

    def __repr__(self) -> str:
        height, width = self.size
        return (
            f"Classifier({self.name!r}, {height} × {width} px, {len(self.labels)} labels, "
            f"normalize={self.normalize}, {self.dtype} on {self.device})"
        )


def _fit_crop(crop: Callable[[Any], Any] | None, size: tuple[int, int]) -> Callable[[Any], Any]:
    """A crop to a size: the given one, unless it is None or one to another size."""
    if crop is None or (isinstance(crop, ResizeCrop) and crop.crop != size):
        return ResizeCrop(size[0] if size[0] == size[1] else size, size)
    return crop


def _warn_twice(network: nn.Module, normalize: Normalizer) -> None:
    """Warn once of each network that normalises images itself, where they are normalised before it as well."""
    original = original_of(network)
    if normalize is None or original in _WARNED or not normalizes_inside(original):
        return
    _WARNED.add(original)
    warn_user(
        f"{type(original).__name__} normalises images itself, and normalize={normalize} does so before it; "
        "give None, unless it expects both"
    )


@lru_cache(maxsize=64)
def _find_repeated(labels: tuple[str, ...]) -> frozenset[str]:
    """The labels that several classes have, as two of ImageNet's are called crane."""
    return frozenset(label for label, count in Counter(labels).items() if count > 1)


def unwrap(network: Any) -> Any:
    """Return the original of a network that torch.compile has wrapped: compiled networks skip hooks."""
    return getattr(network, "_orig_mod", network)


def check_logits(output: Any) -> Tensor:
    """Return the scores in a network's output if there is one for each class, (B, classes).

    Raises:
        ValueError: there is none.
    """
    scores = require_scores(output)
    if scores.dim() != 2:
        raise ValueError(
            f"the network gives {tuple(scores.shape)}; expected a score for each class, (B, classes)"
            f"{_suggest_mean(output, scores)}"
        )
    return scores


def _suggest_mean(output: Any, scores: Tensor) -> str:
    """How to make one score for each class of several, for the end of an error message."""
    key = next((key for key, part in list_parts(output).items() if part is scores), None)
    part = "out" if key is None else f"out[{key!r}]" if isinstance(output, Mapping | tuple | list) else f"out.{key}"
    kinds = {3: ("positions or queries, (B, N, classes),", "1"), 4: ("each pixel", "(2, 3)")}
    if scores.dim() not in kinds:
        return "; say how they are made of it: Classifier(..., output=function)"
    what, axes = kinds[scores.dim()]
    return f"; of scores for {what} take the mean: Classifier(..., output=lambda out: {part}.mean({axes}))"
