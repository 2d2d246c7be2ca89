"""Classes named by their label texts, until a network with labels turns the names into indices."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Labels:
    """Label texts, one an image (or one for all), standing for class indices.

    Example:
        >>> Labels(("Cat",)).indices(["dog", "cat"])
        tensor([1])
    """

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, images: slice) -> Labels:
        return Labels(self.texts[images])

    def indices(self, labels: Sequence[str] | None) -> Tensor:
        """The index of each text among a network's labels, (B,).

        Raises:
            ValueError: the network has no labels.
            KeyError: no label is so called, or two are.
        """
        if not labels:
            raise ValueError(
                f"label {self.texts[0]!r} was asked of a network without labels; give the class's index, "
                "or a Classifier: load(name), or Classifier(network, ..., labels=[...])"
            )
        return torch.tensor([index_of(text, labels) for text in self.texts])


def index_of(text: str, labels: Sequence[str]) -> int:
    """The index of the one label called `text`; case does not count, and one of several synonyms suffices.

    >>> index_of("Tinca tinca", ["goldfish", "tench, Tinca tinca"])
    1
    """
    wanted = text.strip().casefold()
    whole = [i for i, label in enumerate(labels) if label.strip().casefold() == wanted]
    found = whole if whole else [i for i, label in enumerate(labels) if wanted in _synonyms(label)]
    if len(found) == 1:
        return found[0]
    if found:
        raise KeyError(
            f"label {text!r} names classes {' and '.join(map(str, found))}: give the index of the one you mean"
        )
    names = {name: label for label in labels for name in (label.casefold(), *_synonyms(label))}
    close = [names[name] for name in difflib.get_close_matches(wanted, names, n=4)]
    close += [label for label in labels if wanted in label.casefold()][:4]
    nearest = ", ".join(repr(label) for label in dict.fromkeys(close))
    raise KeyError(f"no label {text!r}; " + (f"nearest: {nearest}" if nearest else f"there are {len(labels)} labels"))


def _synonyms(label: str) -> list[str]:
    return [name.strip() for name in label.casefold().split(",")]
