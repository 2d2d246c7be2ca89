"""Sampling: a stream of photographs through a network, and a vector of one layer from each."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optvis.atlas.samples import Samples
from optvis.data.dataset import ImageDataset, as_dataset
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.jvp import layer_jvp
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives.layout import channels_first, restore_layout
from optvis.progress import progress_bar
from optvis.version import __version__

AT_ONCE = 32  # photographs in a batch
EDGE = 1  # positions that are left out at each side, where padding is seen and little else


def sample(
    model: nn.Module | Classifier,
    pictures: Any,
    layer: str,
    *,
    seed: int = 0,
    at_once: int = AT_ONCE,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Samples:
    """An activation vector of each of many photographs, at one random position, and what it added to each class.

    Photographs are read as they are needed and one batch is held at a time, so a folder may be of any size. One forward
    pass gives both: the derivative of all scores along the one vector is carried along with it, Σ_c a_c ∂score/∂a_c
    (forward-mode differentiation). Positions at the layer's edges are left out where there are others, and so are
    photographs whose vector is all zero; the recipe counts these. Ctrl-C stops early and returns what is there.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        model: a network, or a Classifier.
        pictures: a folder with its subfolders, a list, a tensor or a dataset, see `optvis.data.dataset.album`.
        layer: name as in `layers(net)`.
        seed: of the positions; a photograph gets the same one whatever the batches.
        at_once: photographs in a batch.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        progress: show a progress bar.

    Raises:
        KeyError: no such layer; the nearest are named.
        ValueError: no photograph can be read, or the layer is silent in all of them; at_once under 1.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> sample(load("demo"), Scenes(20), "mixed5", progress=False)
        Samples('mixed5', 20 vectors of 192 channels, 16 classes)
    """
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}; expected 1 or more photographs")
    classifier, source = as_classifier(model, normalize), as_dataset(pictures)
    drawer = _Drawer(classifier, layer, channel_axis, np.random.default_rng(seed))
    parts, interrupted = _streamed(drawer, source, at_once, progress)
    if not parts:
        raise KeyboardInterrupt
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    active = found["vectors"].ne(0).any(1)
    if not bool(active.any()):
        raise ValueError(f"every vector of {layer!r} is zero in all {len(active)} photographs; choose another layer")
    classes = found["attribution"].shape[1]
    recipe = _recipe(classifier, layer, seed, len(source), int((~active).sum()), interrupted)
    return Samples(
        layer,
        **{name: values[active] for name, values in found.items()},
        grid=drawer.grid,
        names=tuple(source.names),
        labels=_labels(classifier.labels, classes),
        recipe=recipe,
    )


def _streamed(
    drawer: _Drawer, source: ImageDataset, at_once: int, progress: bool
) -> tuple[list[dict[str, Tensor]], bool]:
    """What each batch gave, and whether Ctrl-C came."""
    parts: list[dict[str, Tensor]] = []
    with progress_bar(total=len(source), show=progress, unit="img", description="sample") as bar:
        try:
            for places, images in source.batches(drawer.classifier.load_batch, at_once):
                parts.append(drawer.drawn(images) | {"places": torch.tensor(places)})
                bar.update(len(places))
        except KeyboardInterrupt:
            return parts, True
    return parts, False


@dataclass(eq=False)
class _Drawer:
    """Draws a vector from each image of a batch.

    Args:
        classifier: whose network is asked.
        layer: of which.
        channel_axis: of its output.
        chance: two numbers a photograph.
    """

    classifier: Classifier
    layer: str
    channel_axis: int | None
    chance: np.random.Generator
    grid: tuple[int, int] = (0, 0)

    def drawn(self, images: Tensor) -> dict[str, Tensor]:
        """vectors (B, C), attribution (B, K), positions (B, 2)"""
        inputs, chances = self.classifier.preprocess(images), torch.from_numpy(self.chance.random((len(images), 2)))
        if not self.grid[0]:
            self._look(inputs[:1])
        kept, positions = dict[str, Tensor](), self._positions(chances)

        def alone(a: Tensor) -> Tensor:
            laid = channels_first(a, self.channel_axis)
            kept["vectors"], rest = _alone(laid, positions)
            return restore_layout(rest, a, self.channel_axis).contiguous()

        with borrow(self.classifier.network):
            _, added = layer_jvp(self.classifier.network, inputs, self.layer, alone)
        scores = added if added.dim() == 2 else added.new_zeros(len(images), 0)
        return {"vectors": kept["vectors"].float().cpu(), "attribution": scores.float().cpu(), "positions": positions}

    def _look(self, inputs: Tensor) -> None:
        """How many positions the layer has.

        Raises:
            KeyError, ValueError, TypeError: as in `activations`.
        """
        with borrow(self.classifier.network), torch.no_grad():
            a = channels_first(
                read_activations(self.classifier.network, inputs, [self.layer])[self.layer], self.channel_axis
            )
        self.grid = (1, *(a.shape[2:] if a.dim() > 2 else [1]))[-2:]

    def _positions(self, chances: Tensor) -> Tensor:
        """Rows and columns by chance, (B, 2), the edges left out where there is something between them."""
        is_map = min(self.grid) > 1  # tokens in a row have no edge
        edges = [EDGE if is_map and side > 2 * EDGE else 0 for side in self.grid]
        inner = torch.tensor([side - 2 * edge for side, edge in zip(self.grid, edges, strict=True)])
        return (chances * inner).long() + torch.tensor(edges)


def _alone(laid: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors at some positions, (B, C), and activations (B, C, ...) with nothing but these."""
    flat = laid.flatten(2) if laid.dim() > 2 else laid.unsqueeze(2)
    width = laid.shape[-1] if laid.dim() > 2 else 1
    index = (positions[:, 0] * width + positions[:, 1]).to(laid.device).view(-1, 1, 1).expand(-1, flat.shape[1], 1)
    vectors = flat.gather(2, index)
    return vectors.squeeze(2), torch.zeros_like(flat).scatter_(2, index, vectors).view_as(laid)


def _labels(labels: Sequence[str], classes: int) -> tuple[str, ...]:
    return tuple(labels) if len(labels) == classes else tuple(f"class {place}" for place in range(classes))


def _recipe(
    classifier: Classifier, layer: str, seed: int, photographs: int, silent: int, interrupted: bool
) -> dict[str, Any]:
    return {
        "network": classifier.name,
        "layer": layer,
        "photographs": photographs,
        "silent": silent,
        "seed": seed,
        "interrupted": interrupted,
        "normalize": repr(classifier.normalize),
        "dtype": str(classifier.image_dtype),
        "device": str(classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


__all__ = ["sample"]
