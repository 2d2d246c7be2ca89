"""A network together with what its publisher says of it: normalisation, input size, labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.crop import ResizeCrop
from optvis.data.images import load_batch
from optvis.models.borrow import borrow, run_network
from optvis.models.normalize import Normalizer
from optvis.params.canvas import height_and_width

BATCH_SIZE = 64  # images that go through a network together


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Classifier:
    """A network and how it is fed. Every function of optvis that takes a network takes a Classifier.

    Args:
        network: any module that takes images (B, 3, H, W).
        normalize: what is done to images in [0, 1] before the network sees them; None leaves them as they are.
        size: side, or (height, width), of its input in pixels.
        labels: a text per class, in the order of its outputs.
        crop: how its publisher resizes and crops images; by default the shorter side is resized to the input's.
        name: what recipes and tables call it.
        fixed_size: whether it takes its own size only, as most transformers do.

    Example:
        >>> from optvis import IMAGENET
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        >>> Classifier(net, IMAGENET, 8, labels=("cat", "dog")).size
        (8, 8)
    """

    network: nn.Module
    normalize: Normalizer
    size: tuple[int, int]
    labels: tuple[str, ...]
    crop: Callable[[Any], Any]
    name: str
    fixed_size: bool

    def __init__(
        self,
        network: nn.Module,
        normalize: Normalizer,
        size: int | tuple[int, int],
        labels: Sequence[str] = (),
        crop: Callable[[Any], Any] | None = None,
        name: str = "",
        fixed_size: bool = False,
    ) -> None:
        network = unwrap(network)
        if not isinstance(network, nn.Module):
            raise TypeError(f"network is a {type(network).__name__}; expected an nn.Module")
        if normalize is not None and not callable(normalize):
            raise TypeError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")
        if isinstance(labels, str):
            raise TypeError(f"labels is the text {labels!r}; expected a text per class, [{labels!r}, …]")
        sides = height_and_width(size)
        covering = min(sides) if sides[0] == sides[1] else sides
        vars(self).update(
            network=network,
            normalize=normalize,
            size=sides,
            labels=tuple(labels),
            crop=ResizeCrop(covering, sides) if crop is None else crop,
            name=name if name else type(network).__name__,
            fixed_size=fixed_size,
        )

    @property
    def device(self) -> torch.device:
        """Where the network's parameters and buffers are; the CPU if it has none."""
        return self._example.device

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
            (B, 3, H, W) in [0, 1], on the network's device, of its dtype (float32 for half-precision networks).

        Raises:
            ValueError, FileNotFoundError, TypeError: as in `load_image`.
        """
        return load_batch(images, self.crop, self.size, self.device, self.image_dtype)

    def preprocess(self, images: Tensor) -> Tensor:
        """Turn images (B, 3, H, W) in [0, 1] into the network's input: normalised, channels last, of its dtype."""
        images = images.to(self.image_dtype)
        inputs = images if self.normalize is None else self.normalize(images)
        if not isinstance(inputs, Tensor):
            raise TypeError(f"normalize returns a {type(inputs).__name__}; expected a tensor, the network's input")
        ready = inputs.to(self.dtype)
        if ready.dim() == 4:
            ready = ready.contiguous(memory_format=torch.channels_last)
        # A network may begin in place, and must not reach the images themselves.
        return ready.clone() if ready.data_ptr() == images.data_ptr() else ready

    def logits(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """Compute the network's output for images, (B, classes), float32, in eval mode and without gradients.

        Args:
            images: (B, 3, H, W) in [0, 1].
            batch_size: how many images go through the network together.

        Raises:
            ValueError: the output is no score for each class.
        """
        with borrow(self.network), torch.no_grad():
            batches = map(self.preprocess, torch.split(images, batch_size))
            return torch.cat([check_logits(run_network(self.network, inputs)).detach() for inputs in batches]).float()

    def label(self, index: int) -> str:
        """The label of a class, or "class 17" where there is none."""
        return self.labels[index] if index < len(self.labels) else f"class {index}"

    def __repr__(self) -> str:
        height, width = self.size
        return (
            f"Classifier({self.name!r}, {height} × {width} px, {len(self.labels)} labels, "
            f"normalize={self.normalize}, {self.dtype} on {self.device})"
        )


def unwrap(network: Any) -> Any:
    """Return the original of a network that torch.compile has wrapped: compiled networks skip hooks."""
    return getattr(network, "_orig_mod", network)


def check_logits(output: Any) -> Tensor:
    """Return a network's output if it is a score for each class, (B, classes).

    Raises:
        ValueError: it is not.
    """
    if not isinstance(output, Tensor) or output.dim() != 2:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the network gives {shape}; expected a score for each class, (B, classes)")
    return output
