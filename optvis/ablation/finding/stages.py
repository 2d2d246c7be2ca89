"""Where units may be switched off: the last stage of a network, and the layers that are its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier, check_logits
from optvis.models.hooks import hook_modules
from optvis.models.layers import find_module
from optvis.objectives.layout import channels_first

LARGEST_STAGE = 0.5  # of the network's innermost modules; what holds more is the network, not a stage of it


@dataclass(frozen=True, eq=False)
class Ran:
    """One call of a module in a forward pass.

    Args:
        name: as objectives take it.
        module: what ran.
        output: what it gave.
    """

    name: str
    module: nn.Module
    output: Any

    @property
    def channels(self) -> int | None:
        """How many; None where it gave no tensor that has some."""
        return channels_first(self.output).shape[1] if self._is_laid else None

    @property
    def positions(self) -> int:
        """How many."""
        return channels_first(self.output)[0, 0].numel() if self._is_laid else 0

    @property
    def _is_laid(self) -> bool:
        return isinstance(self.output, Tensor) and self.output.dim() > 1


def last_stage(classifier: Classifier) -> str:
    """The last layer with positions whose channels are not the classes; its whole stage rather than a part of it.

    Raises:
        ValueError: no layer has positions.

    Example:
        >>> from optvis import load
        >>> last_stage(load("demo"))
        'mixed5'
    """
    rows = _pass(classifier)
    classes = _classes(rows)
    spread = [row for row in rows[:-1] if row.positions > 1 and row.channels != classes]
    if not spread:
        raise ValueError("no layer of this network has positions; name the layers: layers=['…']")
    last = spread[-1].output
    same = [row for row in spread if row.output.shape == last.shape and row.output.equal(last)]
    leaves = _leaves(classifier.network)
    stage = same[0]
    for row in same[1:]:
        encloses = stage.name.startswith(f"{row.name}.")
        if encloses and _leaves(row.module) <= LARGEST_STAGE * leaves:
            stage = row
    return stage.name


def ordered(classifier: Classifier, layers: Sequence[str]) -> tuple[str, ...]:
    """Layers in the order in which they run, each once.

    Raises:
        KeyError: a layer that does not exist.
        ValueError: none; one that never runs; one whose channels are the classes.
        TypeError: one whose output is no tensor.
    """
    if isinstance(layers, str):
        raise TypeError(f"layers is the text {layers!r}; expected a list of names, [{layers!r}]")
    if not layers:
        raise ValueError("no layers; leave layers out for the last stage, or name some")
    rows = _pass(classifier)
    places = {row.name: place for place, row in enumerate(rows)}
    for layer in dict.fromkeys(layers):
        find_module(classifier.network, layer)
        if layer not in places:
            raise ValueError(f"layer {layer!r} never ran in this forward pass; layers(net) lists those that do")
        _refuse(rows, places[layer])
    return tuple(sorted(dict.fromkeys(layers), key=places.__getitem__))


def _refuse(rows: Sequence[Ran], place: int) -> None:
    row = rows[place]
    if row.channels is None:
        raise TypeError(f"layer {row.name!r} gives a {type(row.output).__name__}; expected activations with channels")
    behind = any(True for later in rows[place + 1 :] for _ in later.module.parameters(recurse=False))
    if not behind and row.channels == _classes(rows):
        raise ValueError(
            f"the channels of {row.name!r} are the {row.channels} classes: switching one off removes its answer, not "
            "what the network sees; name a layer before the class head, or leave layers out"
        )


def _pass(classifier: Classifier) -> list[Ran]:
    """Every call of a module on one grey image, in the order in which they end; the network itself is the last."""
    names = {module: name for name, module in reversed(list(classifier.network.named_modules()))}
    rows: list[Ran] = []
    calls: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        call = calls.get(module, 0)
        calls[module] = call + 1
        given = output.clone() if isinstance(output, Tensor) else output
        rows.append(Ran(names[module] + (f"#{call}" if call else ""), module, given))

    grey = torch.rand(1, 3, *classifier.size, generator=torch.Generator().manual_seed(0))
    with borrow(classifier.network), torch.no_grad(), hook_modules(names, after=note):
        classifier.network(classifier.preprocess(grey.to(classifier.device)))
    return rows


def _classes(rows: Sequence[Ran]) -> int:
    output = rows[-1].output
    return check_logits(output).shape[1]


def _leaves(module: nn.Module) -> int:
    return sum(not list(part.children()) for part in module.modules())


__all__ = ["last_stage", "ordered"]
