"""Heads: how scores of classes and confidences follow from a network's output. The one place that turns one into other.

A head is called softmax where its classes exclude each other, sigmoid where each is a question of its own, and an
embedding where its numbers are no classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.objectives.layout import pick
from optvis.objectives.logits import odds

Kind = Literal["softmax", "sigmoid", "embedding"]


@dataclass(frozen=True)
class Head:
    """How a network's output is read.

    Args:
        kind: "softmax", classes of which one is right; "sigmoid", classes that are right or wrong each for itself, such
            as the one output of a binary classifier; "embedding", numbers that are no classes.
        scale: what the outputs are. Logits, also shifted ones such as the log-probabilities of a log-softmax;
            probabilities; or, of a sigmoid head, log-probabilities.
        is_pair: the one output z stands for two classes, with logits −z and z.

    Example:
        >>> head = Head("softmax", "probabilities")
        >>> head.confidences(head.logits(torch.tensor([[0.25, 0.75]])))
        tensor([[0.2500, 0.7500]])
        >>> Head("sigmoid").log_odds(torch.tensor([[2.0]]), torch.tensor([0]))
        tensor([2.])
    """

    kind: Kind = "softmax"
    scale: Literal["logits", "probabilities", "log_probabilities"] = "logits"
    is_pair: bool = False

    @property
    def has_classes(self) -> bool:
        """Whether the outputs are classes."""
        return self.kind != "embedding"

    def logits(self, output: Tensor) -> Tensor:
        """Turn the network's output, (B, K) or (B, K, ...), into logits of its classes, of the same shape.

        Logits of a softmax head are right up to a constant of each image; of probabilities they are the logarithms.
        Logits of a sigmoid head are log-odds, log p / (1 − p). Both are finite, also for probabilities of 0 and 1, and
        at least float32 where they are computed from probabilities.
        """
        logits = self._unscale(output)
        return torch.cat([-logits, logits], dim=1) if self.is_pair else logits

    def _unscale(self, output: Tensor) -> Tensor:
        if self.scale == "logits" or not self.has_classes:
            return output
        values = output.to(torch.promote_types(output.dtype, torch.float32))
        limits = torch.finfo(values.dtype)
        if self.scale == "probabilities":
            log_p = values.clamp(min=limits.tiny).log()
            return log_p - (1 - values).clamp(min=limits.eps).log() if self.kind == "sigmoid" else log_p
        return values - (-torch.expm1(values)).clamp(min=limits.eps).log() if self.kind == "sigmoid" else values

    def confidences(self, logits: Tensor) -> Tensor:
        """Turn logits into probabilities in [0, 1], (..., K); over the classes of a softmax head they sum to 1.

        Raises:
            ValueError: an embedding.
        """
        self.require_classes("confidences")
        return logits.softmax(-1) if self.kind == "softmax" else logits.sigmoid()

    def log_confidences(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Compute the log-probability of one class of each image.  logits (B, K), classes (B,) or (1,) -> (B,)"""
        self.require_classes("confidences")
        return pick(logits.log_softmax(-1) if self.kind == "softmax" else F.logsigmoid(logits), classes)

    def log_odds(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Compute log p / (1 − p) of one class of each image.  logits (B, K), classes (B,) or (1,) -> (B,)

        Raises:
            ValueError: an embedding; logits that are not (B, K).
        """
        self.require_classes("log_odds")
        return odds(logits, classes) if self.kind == "softmax" else pick(logits, classes)

    def margins(self, logits: Tensor, classes: Tensor) -> Tensor:
        """How far each image's class is from being dropped, (B,), in logits; negative where it is not predicted.

        Softmax: its lead over the best other class. Sigmoid: its own logit, which is 0 at a probability of one half.

        Args:
            logits: (B, K).
            classes: an index per image, (B,).

        Example:
            >>> Head("softmax").margins(torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]]), torch.tensor([0, 1]))
            tensor([ 2., -2.])
        """
        rows = classes.view(-1, 1)
        own = logits.gather(1, rows).squeeze(1)
        return own - logits.scatter(1, rows, -torch.inf).amax(1) if self.kind == "softmax" else own

    def all_margins(self, logits: Tensor) -> Tensor:
        """The margins of all classes, as `margins` gives those of one each: (B, K) from logits (B, K).

        Example:
            >>> Head("softmax").all_margins(torch.tensor([[3.0, 1.0, 0.0]]))
            tensor([[ 2., -2., -3.]])
        """
        if self.kind != "softmax" or logits.shape[1] < 2:
            return logits
        (best, second), places = logits.topk(2, dim=1).values.unbind(1), logits.argmax(1, keepdim=True)
        return logits - best.unsqueeze(1).expand_as(logits).scatter(1, places, second.unsqueeze(1))

    def is_predicted(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Whether the network predicts a class for an image: the best one of a softmax head, any above one half else.

        Args:
            logits: (..., K).
            classes: an index each, (...).
        """
        if self.kind == "softmax":
            return logits.argmax(-1) == classes
        return logits.gather(-1, classes.unsqueeze(-1)).squeeze(-1) > 0

    def predict(self, logits: Tensor, asked: Tensor) -> Tensor:
        """The class that the network predicts for each image, (..., K) -> (...): the best one.

        Of a sigmoid head, which may predict several classes or none: the one that is asked for, if it is among them,
        else the best; −1 for none.

        Args:
            logits: (..., K).
            asked: an index each, (...).

        Example:
            >>> logits = torch.tensor([[3.0, 1.0], [-1.0, -2.0]])
            >>> Head("sigmoid").predict(logits, torch.tensor([1, 1])), Head().predict(logits, torch.tensor([1, 1]))
            (tensor([ 1, -1]), tensor([0, 0]))
        """
        best = logits.argmax(-1)
        if self.kind == "softmax":
            return best
        other = torch.where(self.is_predicted(logits, best), best, -1)
        return torch.where(self.is_predicted(logits, asked), asked, other)

    def divergence(self, after: Tensor, before: Tensor) -> Tensor:
        """The Kullback–Leibler divergence of the probabilities after from those before, the mean over images, ().

        Args:
            after: logits, (B, K).
            before: logits, (B, K).
        """
        if self.kind == "softmax":
            return F.kl_div(after.log_softmax(1), before.log_softmax(1), log_target=True, reduction="batchmean")
        sides = ((F.logsigmoid(sign * after), F.logsigmoid(sign * before)) for sign in (1, -1))
        parts = [F.kl_div(new, old, log_target=True, reduction="batchmean") for new, old in sides]
        return parts[0] + parts[1]

    def require_classes(self, purpose: str) -> None:
        """Raise a ValueError where the outputs are no classes."""
        if not self.has_classes:
            raise ValueError(
                f"{purpose}: the network's output is an embedding, not scores of classes; use channel('', index) for "
                "one of its numbers, load the network with its class head, or give head='softmax' if they are classes"
            )
