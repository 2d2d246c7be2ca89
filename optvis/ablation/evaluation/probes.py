"""Whether a class can still be read inside the network without some units, and how soon the network relearns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.ablation.blinded import replace_units
from optvis.ablation.evaluation.readout import FOLDS, MIN_IMAGES, folds, linear_cka, probe_linearly, probe_neighbors
from optvis.ablation.evaluation.variants import Variant
from optvis.ablation.fills import Replacement
from optvis.ablation.selection.layers import stages_from
from optvis.ablation.unit_activations import split_batch
from optvis.features.channels_first import known_axis
from optvis.models.activations import read_activations
from optvis.models.classifier import Classifier, check_logits
from optvis.models.run import run_network
from optvis.objectives.autoencoder import copy_detached
from optvis.objectives.layout import positions
from optvis.progress import progress_bar

BATCH_SIZE = 32  # images of a step of fine-tuning; half of them show the target
BACK = 0.9  # of the recall with all units, at which the class counts as back


@dataclass(frozen=True)
class Probes:
    """Settings of what `evaluate` measures inside a network with `probes=`.

    Args:
        neighbors: number of nearest neighbours, k.
        relearn_steps: steps of fine-tuning at most; 0 leaves relearning out.
        learning_rate: of Adam.
        reference: a network of the same kind that was never trained on the class, to compare relearning with.
    """

    neighbors: int = 5
    relearn_steps: int = 20
    learning_rate: float = 1e-3
    reference: nn.Module | Classifier | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.neighbors < 1 or self.relearn_steps < 0 or not self.learning_rate > 0:
            raise ValueError(
                f"{self}: expected neighbors of 1 or more, relearn_steps of 0 or more, and a positive learning_rate"
            )

    def to_dict(self) -> dict[str, Any]:
        """The settings in JSON types; of the reference its name."""
        given = self.reference
        name = given.name if isinstance(given, Classifier) else None if given is None else type(given).__name__
        numbers = {"neighbors": self.neighbors, "relearn_steps": self.relearn_steps}
        return {**numbers, "learning_rate": self.learning_rate, "reference": name}


@dataclass(frozen=True)
class LayerProbe:
    """How well the target is read from the mean activations of a layer, with all units and without some.

    Accuracies are balanced, of rows that took no part in the fit: 0.5 is chance, 1 perfect.

    Args:
        layer: name; "" is the network itself, where no module computes its output.
        linear_before: of a linear probe, fitted with all units.
        linear_after: of another one, fitted without the units.
        neighbors_before: of the nearest neighbours.
        neighbors_after: the same without the units.
        target_similarity: linear CKA of the target's images with all units and without, in [0, 1]; None where
            activations are constant.
        other_similarity: the same of all other images.
    """

    layer: str
    linear_before: float
    linear_after: float
    neighbors_before: float
    neighbors_after: float
    target_similarity: float | None
    other_similarity: float | None


@dataclass(frozen=True)
class Relearning:
    """How many steps of fine-tuning bring the target's recall back, with the units still off.

    Half of the images are trained on, the recall is that of the other half.

    Args:
        goal: the recall that counts as back: 0.9 times that with all units.
        steps: until it is back; None where it is not within `max_steps`.
        reference_steps: the same of the reference network; None where it is not, or there is no reference.
        max_steps: number of steps at most.
        has_reference: whether a reference was given.
    """

    goal: float
    steps: int | None
    reference_steps: int | None
    max_steps: int
    has_reference: bool


@dataclass(frozen=True, eq=False)
class AblationCase:
    """Units that are off in a network, and B images to see it on.

    Args:
        classifier: the network.
        images: (B, 3, H, W) in [0, 1].
        truth: the class of each image, (B,).
        is_target: whether it shows the target, (B,).
        units: what is off.
        replacements: what replaces each of the units.
    """

    classifier: Classifier
    images: Tensor
    truth: Tensor
    is_target: Tensor
    units: Variant
    replacements: Sequence[Replacement]


def look_inside(
    case: AblationCase, settings: Probes, seed: int, progress: bool
) -> tuple[tuple[LayerProbe, ...], Relearning | None]:
    """Probe the layers of the units and every later stage, and relearn. The network has to be borrowed.

    Raises:
        ValueError: fewer than four images of the target's classes, or of others.
    """
    own, fewest = int(case.is_target.sum()), FOLDS * MIN_IMAGES
    if min(own, len(case.is_target) - own) < fewest:
        raise ValueError(
            f"{own} images of the target's classes and {len(case.is_target) - own} others; probes need {fewest} of each"
        )
    return _probe_layers(case, settings.neighbors), _relearn(case, settings, seed, progress)


def _probe_layers(case: AblationCase, neighbors: int) -> tuple[LayerProbe, ...]:
    network, layers = case.classifier.network, stages_from(case.classifier, [one.layer for one in case.units])
    before = _mean_activations(case, layers)
    with replace_units(network, case.units, case.replacements):
        after = _mean_activations(case, layers)
    shows = case.is_target.cpu()
    rows = []
    for layer in layers:
        pair = before[layer], after[layer]
        linear = [probe_linearly(one, shows) for one in pair]
        near = [probe_neighbors(one, shows, neighbors) for one in pair]
        alike = [linear_cka(*(one[group] for one in pair)) for group in (shows, ~shows)]
        rows.append(LayerProbe(layer, *linear, *near, *alike))
    return tuple(rows)


def _relearn(case: AblationCase, settings: Probes, seed: int, progress: bool) -> Relearning | None:
    """Fine-tune a copy with the units off, and the reference; None where that is not asked for, or nothing is lost."""
    is_held_out = folds(case.is_target) == 0
    test = is_held_out & case.is_target
    goal = BACK * _recall(case.classifier, case.images[test], case.truth[test])
    if not settings.relearn_steps or not goal:
        return None

    def count_steps(model: Classifier, units: Variant, replacements: Sequence[Replacement]) -> int | None:
        network = copy_detached(model.network).eval()  # not borrowed, which would freeze its weights
        with replace_units(network, units, replacements):
            recalls = _fine_tune(replace(model, network=network), case, is_held_out, settings, seed)
            bar = progress_bar(recalls, total=settings.relearn_steps + 1, show=progress, description="relearning")
            return next((step for step, recall in enumerate(bar) if recall >= goal), None)

    steps = count_steps(case.classifier, case.units, case.replacements)
    given = settings.reference
    other = replace(case.classifier, network=given) if isinstance(given, nn.Module) else given
    reference_steps = None if other is None else count_steps(other, (), ())
    return Relearning(goal, steps, reference_steps, settings.relearn_steps, other is not None)


def _fine_tune(
    model: Classifier, case: AblationCase, is_held_out: Tensor, settings: Probes, seed: int
) -> Iterator[float]:
    """Yield the recall of held-out images of the target before each step of fine-tuning, and after the last."""
    test = is_held_out & case.is_target
    groups = [(~is_held_out & shows).nonzero().flatten() for shows in (case.is_target, ~case.is_target)]
    generator = torch.Generator().manual_seed(seed)
    weights = [weight for weight in model.network.parameters() if weight.is_floating_point()]
    for weight in weights:
        weight.requires_grad_()
    adam = torch.optim.Adam(weights, lr=settings.learning_rate)
    head = model.read_head(case.images)
    for _ in range(settings.relearn_steps):
        yield _recall(model, case.images[test], case.truth[test])
        draws = [torch.randint(len(rows), (BATCH_SIZE // 2,), generator=generator, device="cpu") for rows in groups]
        batch = torch.cat([rows[draw.to(rows.device)] for rows, draw in zip(groups, draws, strict=True)])
        with torch.enable_grad():
            logits = head.logits(check_logits(run_network(model.network, model.preprocess(case.images[batch]))))
            loss = -head.log_confidences(logits, case.truth[batch]).mean()
            gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        adam.step()
    yield _recall(model, case.images[test], case.truth[test])


def _recall(model: Classifier, images: Tensor, truth: Tensor) -> float:
    """The share of images that a network in eval mode recognises."""
    head, right = model.read_head(images), []
    with torch.no_grad():
        for rows in split_batch(images):
            logits = head.logits(check_logits(run_network(model.network, model.preprocess(images[rows]))))
            right.append(head.is_predicted(logits, truth[rows]))
    return float(torch.cat(right).double().mean())


def _mean_activations(case: AblationCase, layers: Sequence[str]) -> dict[str, Tensor]:
    """The mean over positions of each layer's activations, (B, C), on the CPU."""
    classifier = case.classifier
    parts: list[list[Tensor]] = [[] for _ in layers]
    with torch.no_grad():
        for rows in split_batch(case.images):
            found = read_activations(classifier.network, classifier.preprocess(case.images[rows]), layers)
            for part, layer in zip(parts, layers, strict=True):
                part.append(positions(found[layer], known_axis(found[layer])).double().mean(2).cpu())
    return {layer: torch.cat(part) for layer, part in zip(layers, parts, strict=True)}
