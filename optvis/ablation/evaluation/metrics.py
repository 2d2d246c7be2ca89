"""What a network says of images whose classes are known, and how it falls."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from optvis.objectives.logits import odds


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Answers about B images, for one network or for K variations of it: each tensor is (B,), or (K, B).

    Args:
        classes: the likeliest class.
        shares: its softmax probability, in [0, 1].
        right: whether it is the true one.
        confidence: the true class's softmax probability, in [0, 1].
        odds: the true class's log-odds against all others, log p / (1 − p): unlike `confidence` it does not
            saturate, and no two images tie.
    """

    classes: Tensor
    shares: Tensor
    right: Tensor
    confidence: Tensor
    odds: Tensor

    def __getitem__(self, rows: slice) -> Verdicts:
        """Those about some of the images."""
        return Verdicts(*(values[..., rows] for values in vars(self).values()))


def verdicts(logits: Tensor, truth: Tensor) -> Verdicts:
    """What scores say of images.

    Args:
        logits: a score per class, (B, classes), or (K, B, classes) for K variations.
        truth: the class of each image, (B,).

    Raises:
        ValueError: other shapes, one class alone, or scores that are not finite.

    Example:
        >>> import torch
        >>> said = verdicts(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0]))
        >>> said.right, recall(said.right)
        (tensor([ True, False]), tensor(0.5000, dtype=torch.float64))
    """
    if logits.dim() not in (2, 3) or logits.shape[-1] < 2 or logits.shape[-2] != len(truth):
        raise ValueError(
            f"the network gives {tuple(logits.shape)}; expected a score per class, ({len(truth)}, classes)"
        )
    if not bool(logits.isfinite().all()):
        raise ValueError("the network gives scores that are NaN or infinite; choose another fill, or fewer units")
    exact = logits.double()
    likelihoods = exact.softmax(-1)
    best = exact.argmax(-1)
    wanted = truth.to(best.device).expand(best.shape)
    against_others = odds(exact.flatten(0, -2), wanted.flatten()).view(best.shape)
    own = likelihoods.gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    return Verdicts(best, likelihoods.gather(-1, best.unsqueeze(-1)).squeeze(-1), best == wanted, own, against_others)


def recall(right: Tensor) -> Tensor:
    """The share of images that are called what they are: (..., B) of bool -> (...), float64, in [0, 1]."""
    return right.double().mean(-1)


def falls(before: Tensor, after: Tensor) -> Tensor:
    """By how much the mean over images falls: (B,) and (..., B) -> (...), float64.

    Args:
        before: `right`, `confidence` or `odds` of each image before.
        after: the same after, for one network or for K variations.

    Example:
        >>> import torch
        >>> falls(torch.tensor([True, True]), torch.tensor([[True, False], [False, False]]))
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return before.double().mean(-1) - after.double().mean(-1)


__all__ = ["Verdicts", "falls", "recall", "verdicts"]
