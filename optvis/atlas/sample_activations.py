"""sample_activations(): one activation vector of each image at a random position, with its attribution to classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optvis.arguments import check_minimum
from optvis.atlas.samples import Samples
from optvis.data.dataset import ImageDataset
from optvis.data.sources import as_dataset
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, resolve_engine, run_tasks
from optvis.errors import warn_user
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.jvp import JvpCheck, check_jvp, layer_jvp, layer_vjps
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.provenance import provenance
from optvis.objectives.layout import CLASS, channels_first, name_tokens, restore_layout, split_tokens
from optvis.progress import progress_bar

BATCH_SIZE = 32
BATCHES_PER_TASK = 16  # of a cluster's worker
EDGE = 1  # positions left out at each side, where the receptive field is mostly padding


@plain_mode()
def sample_activations(
    model: nn.Module | Classifier,
    images: Any,
    layer: str,
    *,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
    batch_size: int = BATCH_SIZE,
    engine: EngineLike = PROCESS,
    progress: bool = True,
) -> Samples:
    """Sample an activation vector of each image, at one random position, with its attribution to each class.

    Images are loaded a batch at a time, so that a folder may be of any size. One forward pass gives both the vector and
    its attribution: forward-mode differentiation computes the derivative of all scores along the vector,
    Σ_c a_c ∂score/∂a_c. Positions at the edges of the layer are left out if there are others. Images whose vector is
    all zero are left out; the recipe counts them. Ctrl-C stops early and returns the samples so far.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        model: a network, or a Classifier.
        images: a folder with its subfolders, a list, a tensor or a dataset, see `optvis.data.as_dataset`.
        layer: name as in `layers(net)`.
        seed: of the positions; they do not depend on the batch size, and not on other images that cannot be read.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        batch_size: images in a batch.
        engine: what runs the network, see `optvis.engines.run_tasks`; samples are the same with any.
        progress: whether to show a progress bar.

    Raises:
        KeyError: no such layer; the message names the nearest.
        ValueError: no image can be read, or all vectors are zero; batch_size below 1; labels that do not fit the
            network's outputs. NotFiniteError: vectors or attributions are NaN or infinite.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> sample_activations(load("demo"), Scenes(20), "mixed5", progress=False)
        Samples('mixed5', 20 vectors of 192 channels, 16 classes)
    """
    layer = name_tokens(layer, tokens)
    check_minimum(1, batch_size=batch_size)
    classifier, dataset = as_classifier(model, normalize), as_dataset(images)
    numbers = torch.from_numpy(np.random.default_rng(seed).random((len(dataset), 2)))
    grid = _read_grid(classifier, layer, channel_axis)
    sampler = _VectorSampler(classifier, dataset, layer, channel_axis, grid, numbers, batch_size)
    parts, interrupted = _sample_batches(sampler, engine, progress)
    if not parts:
        raise KeyboardInterrupt
    tensors = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    nonzero = tensors["vectors"].ne(0).any(1)
    if not bool(nonzero.any()):
        raise ValueError(f"every vector of {layer!r} is zero in all {len(nonzero)} images; choose another layer")
    recipe = provenance(
        classifier,
        "sample_activations",
        layer=layer,
        images=len(dataset),
        zero_vectors=int((~nonzero).sum()),
        seed=seed,
        interrupted=interrupted,
    )
    return Samples(
        layer,
        **{name: values[nonzero] for name, values in tensors.items()},
        grid=grid,
        names=tuple(dataset.names),
        labels=tuple(map(classifier.label, range(tensors["attribution"].shape[1]))),
        recipe=recipe,
    )


def _sample_batches(
    sampler: _VectorSampler, engine: EngineLike, progress: bool
) -> tuple[list[dict[str, Tensor]], bool]:
    """The samples of each batch, and whether Ctrl-C was pressed."""
    parts: list[dict[str, Tensor]] = []
    failures: list[str] = []
    dataset, on_gpu = sampler.dataset, sampler.classifier.on_gpu
    tasks = dataset.ranges(sampler.batch_size * BATCHES_PER_TASK if resolve_engine(engine) else len(dataset))
    with progress_bar(total=len(dataset), show=progress, unit="img", description="sample") as bar:
        try:
            if len(tasks) == 1:
                for part in sampler.sample_range(tasks[0], failures):
                    parts.append(part)
                    bar.update(len(part["indices"]))
            else:
                for found, wrong in merge_in_order(run_tasks(sampler, tasks, engine, on_gpu=on_gpu)):
                    parts += found
                    failures += wrong
                    bar.update(sum(len(part["indices"]) for part in found))
        except KeyboardInterrupt:
            return parts, True
    dataset.report_failures(failures)
    return parts, False


@dataclass(eq=False)
class _VectorSampler:
    """Samples a vector of each image of a range.

    Args:
        classifier: the network.
        dataset: the images.
        layer: name of the layer.
        channel_axis: of its output.
        grid: rows and columns of its positions.
        numbers: two for each image of the data set, in [0, 1), (N, 2).
        batch_size: images that go through the network together.
        is_forward: whether forward-mode differentiation is exact, known after the first batch.
    """

    classifier: Classifier
    dataset: ImageDataset
    layer: str
    channel_axis: int | None
    grid: tuple[int, int]
    numbers: Tensor
    batch_size: int
    is_forward: bool | None = None

    @plain_mode()
    def __call__(self, indices: range) -> tuple[list[dict[str, Tensor]], list[str]]:
        """The samples of each batch, and what was wrong with each image that could not be read."""
        failures: list[str] = []
        return list(self.sample_range(indices, failures)), failures

    def sample_range(self, indices: range, failures: list[str]) -> Iterator[dict[str, Tensor]]:
        """Sample a range of images, a batch at a time; `failures` gets what was wrong with those that are left out."""
        load = self.classifier.load_batch
        for found, images in self.dataset.read_batches(indices, load, self.batch_size, failures):
            yield self.sample(images, found) | {"indices": torch.tensor(found, device="cpu")}

    def sample(self, images: Tensor, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return vectors (B, C), attribution (B, K) and positions (B, 2)."""
        inputs, numbers = self.classifier.preprocess(images), self.numbers[list(indices)]
        positions, vectors = self._positions(numbers), list[Tensor]()

        def select(a: Tensor) -> Tensor:
            chosen, others_zero = _select_positions(channels_first(a, self.channel_axis), positions)
            vectors.append(chosen)  # of the first pass; another one may compute attention by another kernel
            return restore_layout(others_zero, a, self.channel_axis).contiguous()

        network = self.classifier.network
        with borrow(network):
            derivative = self._differentiate(
                inputs, select, lambda output: self.classifier.read_head(images).logits(output)
            )
            has_classes = (
                derivative.dim() == 2 and derivative.shape[1] and self.classifier.read_head(images).has_classes
            )
            scores = derivative if has_classes else derivative.new_zeros(len(images), 0)
            for values, what in ((vectors[0], f"activations of {self.layer!r}"), (scores, "attributions")):
                check_finite(values, f"the {what} of {self.classifier.name}", network, inputs)
        return {"vectors": vectors[0].float().cpu(), "attribution": scores.float().cpu(), "positions": positions}

    def _differentiate(
        self, inputs: Tensor, direction: Callable[[Tensor], Tensor], read: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Differentiate all logits in one forward pass; by backward passes where an operation does not allow that."""
        arguments = self.classifier.network, inputs, self.layer, direction, read
        if self.is_forward is not False:
            try:
                _, derivative = layer_jvp(*arguments)
                is_comparable = derivative.dim() == 2 and derivative.numel() and bool(derivative.isfinite().all())
                is_checked = self.is_forward is not None or not is_comparable
                if is_checked or self._check(check_jvp(*arguments, derivative)):
                    return derivative
            except torch.OutOfMemoryError:
                raise
            except (NotImplementedError, RuntimeError):  # what torch raises where a derivative is missing
                self.is_forward = False
            warn_user(
                f"{self.classifier.name} has operations without forward-mode derivative behind {self.layer!r}: "
                "attribution takes one backward pass for each class"
            )
        return layer_vjps(*arguments)

    def _check(self, found: JvpCheck) -> bool:
        """Note and return whether forward-mode differentiation is exact; warn where attribution says nothing."""
        self.is_forward = found.is_exact
        outputs = f"the outputs of {self.classifier.name}"
        if not found.is_read:
            warn_user(
                f"{outputs} do not depend on the activations of {self.layer!r}, so that these have no attribution: "
                "what follows reads others; name an earlier layer, or the class token of a transformer's last block, "
                f"{name_tokens(split_tokens(self.layer)[0], CLASS)!r}"
            )
        elif found.is_exact and found.is_rounding:
            warn_user(
                f"{outputs} do not change with the norm of the activations of {self.layer!r}, as where only a "
                "LayerNorm reads them: their attribution, activation × gradient, is rounding; name the layer behind "
                "the norm, or an earlier one"
            )
        return found.is_exact is not False

    def _positions(self, numbers: Tensor) -> Tensor:
        """Rows and columns from numbers in [0, 1), (B, 2); the edges are left out if there is an inside."""
        is_map = min(self.grid) > 1  # tokens in a row have no edge
        edges = [EDGE if is_map and side > 2 * EDGE else 0 for side in self.grid]
        inner = torch.tensor([side - 2 * edge for side, edge in zip(self.grid, edges, strict=True)], device="cpu")
        return (numbers * inner).long() + torch.tensor(edges, device="cpu")


def _read_grid(classifier: Classifier, layer: str, channel_axis: int | None) -> tuple[int, int]:
    """Rows and columns of positions that a layer has.

    Raises:
        KeyError, ValueError, TypeError: as in `activations`.
    """
    with borrow(classifier.network), torch.no_grad():
        inputs = classifier.preprocess(classifier.gray_image())
        a = channels_first(read_activations(classifier.network, inputs, [layer])[layer], channel_axis)
    rows, columns = (1, *(a.shape[2:] if a.dim() > 2 else [1]))[-2:]
    return rows, columns


def _select_positions(a: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors at some positions, (B, C), and the activations (B, C, ...) with zero everywhere else."""
    flat = a.flatten(2) if a.dim() > 2 else a.unsqueeze(2)
    width = a.shape[-1] if a.dim() > 2 else 1
    index = (positions[:, 0] * width + positions[:, 1]).to(a.device).view(-1, 1, 1).expand(-1, flat.shape[1], 1)
    vectors = flat.gather(2, index)
    return vectors.squeeze(2), torch.zeros_like(flat).scatter_(2, index, vectors).view_as(a)
