"""Train the embedded transformer: each token learns what the embedded CNN says at its place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from optvis.models.embedded.network import NORMALIZE, demo_classifier
from optvis.models.embedded.vit import DemoViT

from .augment import augment

PRECISION = torch.bfloat16  # of matrix products


@dataclass(frozen=True)
class Lesson:
    """What a batch of images teaches.

    Args:
        labels: (B,).
        maps: the teacher's logits at each position, (B, P, K), in the order of the patches.
    """

    labels: Tensor
    maps: Tensor


def build_lesson(teacher: nn.Module, images: Tensor, labels: Tensor) -> Lesson:
    """Read the embedded CNN's logits at each of its 12 x 12 last positions, whose means are its logits."""
    features = NORMALIZE(images)
    with torch.no_grad():
        for name, stage in teacher.named_children():
            if name == "mean":
                break
            features = stage(features)
        return Lesson(labels, teacher.get_submodule("head")(features.flatten(2).mT).float())


def lesson_loss(network: DemoViT, images: Tensor, lesson: Lesson, label_smoothing: float) -> Tensor:
    """Cross-entropy of the logits, plus how far patches and class token are from the teacher.

    Distances are mean squares, in units of the variances of the teacher's logits.
    """
    logits = network.head(network.forward_features(NORMALIZE(images))).float()
    patches, class_token = logits[:, network.num_prefix_tokens :], logits[:, 0]
    means = lesson.maps.mean(1)
    distance = F.mse_loss(patches, lesson.maps) / lesson.maps.var() + F.mse_loss(class_token, means) / means.var()
    pooled = (class_token + patches.mean(1)) / 2
    return F.cross_entropy(pooled, lesson.labels, label_smoothing=label_smoothing) + distance


class DistillationStep:
    """Two updates on a batch, the second against an adversary that costs nothing.

    The first update sees random noise, and its backward pass also gives the gradient of the images; the second sees
    images moved along the sign of that: free adversarial training (Shafahi et al. 2019, arXiv:1904.12843).

    Args:
        network: in training.
        optimizer, schedule: of its weights.
        label_smoothing: of the cross-entropy.
    """

    MAX_NORM = 1.0  # of the gradient of all weights

    def __init__(
        self,
        network: DemoViT,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        label_smoothing: float,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.label_smoothing = label_smoothing
        self.teacher = demo_classifier().network.requires_grad_(False)

    def run(self, images: Tensor, labels: Tensor, epsilon: float, generator: Generator) -> None:
        """Update the weights twice on images (B, 3, H, W), changed by at most epsilon in each number."""
        images = augment(images, generator)
        with torch.autocast("cpu", PRECISION):
            lesson = build_lesson(self.teacher, images, labels)
        offset = (torch.rand(images.shape, generator=generator) * 2 - 1) * epsilon
        gradient = self._update(images + offset, lesson)
        self._update(images + (offset + 1.25 * epsilon * gradient.sign()).clamp(-epsilon, epsilon), lesson)

    def _update(self, images: Tensor, lesson: Lesson) -> Tensor:
        """Update the weights once; returns the gradient of the images."""
        images = images.clamp(0, 1).requires_grad_()
        with torch.autocast("cpu", PRECISION):
            loss = lesson_loss(self.network, images, lesson, self.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.MAX_NORM)
        self.optimizer.step()
        self.schedule.step()
        assert images.grad is not None
        return images.grad
