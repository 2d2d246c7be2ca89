"""The most likely classes of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from optvis.arguments import TensorFields, check_count, check_minimum
from optvis.data.images import ImageLike
from optvis.formatting import format_html_table
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives.labels import class_index


@dataclass(frozen=True, eq=False)
class Classification(TensorFields):
    """The most likely classes of each image; prints as a table.

    Args:
        labels: for each image, the most likely labels, best first ("class 17" where there are none).
        indices: their indices, (B, K).
        confidences: their probabilities, (B, K), in [0, 1].
    """

    TENSOR_FIELDS: ClassVar = {"indices": "B K: int", "confidences": "B K"}

    labels: tuple[tuple[str, ...], ...]
    indices: Tensor
    confidences: Tensor

    def _check(self, sizes: Mapping[str, int]) -> None:
        check_count("labels", len(self.labels), sizes["B"], "images")
        for row in self.labels:
            check_count("labels", len(row), sizes["K"], "classes")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, image: int) -> list[tuple[str, float]]:
        """The classes of one image with their probabilities, best first."""
        return list(zip(self.labels[image], self.confidences[image].tolist(), strict=True))

    def __str__(self) -> str:
        return "\n\n".join(
            "\n".join(f"{float(share):7.2%}  {label}" for label, share in zip(texts, shares, strict=True))
            for texts, shares in zip(self.labels, self.confidences, strict=True)
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (str(index), label, f"{float(share):.2%}")
            for index, (texts, shares) in enumerate(zip(self.labels, self.confidences, strict=True))
            for label, share in zip(texts, shares, strict=True)
        ]
        return format_html_table(("image", "class", "confidence"), rows)


def classify(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    *,
    top: int = 5,
    normalize: Normalizer | str = INFER,
) -> Classification:
    """Classify images: their most likely classes, with their probabilities.

    Probabilities are the softmax of the outputs, of a sigmoid head their sigmoid, or the outputs themselves where these
    are probabilities already; see `head` of Classifier.

    Args:
        model: a network whose output is a score for each class, (B, classes), or a Classifier.
        images: an image in any form that `load_image` takes, or a list of them.
        top: how many classes of each, K at most.
        normalize: see `render`; by default the model's own.

    Raises:
        ValueError: the network's output is no (B, classes), or an embedding; labels that do not fit it; `top` under 1;
            as in `load_image`. NotFiniteError: an output is NaN or infinite.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        >>> result = classify(Classifier(net, None, 8, labels=("cat", "dog")), torch.rand(3, 8, 8))
        >>> result.indices.shape, len(result[0])
        (torch.Size([1, 2]), 2)
    """
    check_minimum(1, top=top)
    classifier = as_classifier(model, normalize)
    batch = classifier.load_batch(images)
    head = classifier.read_head(batch)
    head.require_classes("classify")
    confidences = head.confidences(classifier.logits(batch))
    best = confidences.topk(min(top, confidences.shape[1]), dim=1)
    texts = tuple(tuple(classifier.label(index) for index in row) for row in best.indices.tolist())
    return Classification(texts, best.indices.cpu(), best.values.cpu())


def find_class(classifier: Classifier, label: int | str, name: str) -> int:
    """The index of a class that is given by index or label; the network runs to count its classes.

    Args:
        classifier: a classifier.
        label: text or index.
        name: of the argument, for errors.

    Raises:
        KeyError, IndexError, ValueError: as in `class_index`.
    """
    count = None if isinstance(label, str) else classifier.logits(classifier.gray_image()).shape[1]
    return class_index(label, classifier.labels, count, name)
