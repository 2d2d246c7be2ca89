"""Label texts in objectives, until a network's labels turn them into class indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.errors import suggest

MAX_SUGGESTIONS = 4


@dataclass(frozen=True)
class Labels:
    """Label texts that stand for class indices, one per image, or one for all.

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
        """Find the index of each text in a network's labels, (B,).

        Raises:
            ValueError: the network has no labels.
            KeyError: no label matches a text, or two do.
        """
        if not labels:
            raise ValueError(
                f"objective with label {self.texts[0]!r} for a network without labels; give the class's index, "
                "or a Classifier: load(name), or Classifier(network, ..., labels=[...]); an embedding has no classes: "
                "use channel('', index)"
            )
        return torch.tensor([index_of(text, labels) for text in self.texts], device="cpu")


def class_index(label: int | str, labels: Sequence[str], count: int | None, name: str = "class") -> int:
    """The index of a class that is given by index or label.

    Args:
        label: text or index.
        labels: of the network; may be none.
        count: how many classes there are; None where that is not known, and any index is taken.
        name: of the argument, for errors.

    Raises:
        KeyError: no such label.
        IndexError: no such index.
        ValueError: a label of a network without labels.

    Example:
        >>> class_index("cat", ["dog", "cat"], 2), class_index(0, [], 2)
        (1, 0)
    """
    if isinstance(label, str):
        if not labels:
            raise ValueError(f"{name} is the label {label!r}, but the network has no labels; give the class's index")
        return index_of(label, labels)
    if label < 0 or (count is not None and label >= count):
        expected = "0 or more" if count is None else f"{'a label, or ' if labels else ''}0 to {count - 1}"
        raise IndexError(f"{name} is {label}; expected {expected}")
    return int(label)


def index_of(text: str, labels: Sequence[str]) -> int:
    """Find the index of the one label that matches a text.

    Upper and lower case are the same. Of a label with several synonyms, "tench, Tinca tinca", one is enough.

    Raises:
        KeyError: no label matches, or two do.

    Example:
        >>> index_of("Tinca tinca", ["goldfish", "tench, Tinca tinca"])
        1
    """
    wanted = text.strip().casefold()
    whole = [i for i, label in enumerate(labels) if label.strip().casefold() == wanted]
    matches = whole if whole else [i for i, label in enumerate(labels) if wanted in _synonyms(label.casefold())]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise KeyError(f"label {text!r} matches classes {' and '.join(map(str, matches))}; give the index of one")
    containing = [repr(label) for label in labels if wanted in label.casefold()][:MAX_SUGGESTIONS]
    names = [name for label in labels for name in (label, *_synonyms(label))]
    alike = suggest(text, names, f"there are {len(labels)} labels", count=MAX_SUGGESTIONS)
    raise KeyError(f"no label {text!r}; {'nearest: ' + ', '.join(containing) if containing else alike}")


def _synonyms(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]
