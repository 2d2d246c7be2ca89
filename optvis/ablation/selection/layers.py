"""Layers that units are selected from: the last stage by default, never the classes themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optvis.features.channels_first import known_axis
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier, check_logits
from optvis.models.layers import find_module, layers
from optvis.models.outputs.token_evidence import read_evidence
from optvis.models.overrides.replace import replace_output
from optvis.objectives import OUTPUT
from optvis.objectives.layout import HEADS, INPUT, channels_first, split_tokens

MAX_STAGE_SHARE = 0.5  # of the network's innermost modules; a module that holds more is the network's body, not a stage
ROUNDING = 1e-6  # of the scores, which may change by so much where nothing depends on what was changed


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What a layer returns for one image.

    Args:
        name: as in `layers(model)`.
        module: that returned it.
        output: the tensor, or None where it is no tensor.
        description: its shape, or what came instead of a tensor.
    """

    name: str
    module: nn.Module
    output: Tensor | None
    description: str

    @property
    def channels(self) -> int | None:
        """Number of channels; None without a channel axis."""
        return None if self._channels_first is None else self._channels_first.shape[1]

    @property
    def positions(self) -> int:
        """Number of positions; 0 without a channel axis."""
        return 0 if self._channels_first is None else self._channels_first[0, 0].numel()

    @property
    def _channels_first(self) -> Tensor | None:
        if self.output is None or self.output.dim() < 2:
            return None
        return channels_first(self.output, known_axis(self.output))


def last_stage(classifier: Classifier) -> str:
    """Find the last layer that has positions and whose channels are not the classes; a ValueError says there is none.

    Patches that no class token reads any more do not count, nor does a single channel. Where a layer and the modules
    around it return the same tensor, the outermost of these is chosen that is a stage of the network and not most of
    it.

    >>> from optvis import load
    >>> last_stage(load("demo"))
    'mixed5'
    """
    outputs = _run_layers(classifier)
    classes = _count_classes(outputs)
    maps = [one for one in outputs[:-1] if one.positions > 1 and one.channels not in (1, classes)]
    if not maps:
        raise ValueError("no layer of this network has positions; name the layers: layers=['…']")
    leaves = _count_leaves(classifier.network)
    maps = _end_at_read(classifier, maps, check_logits(outputs[-1].output), leaves)
    last: Any = maps[-1].output
    same = [one for one in maps if one.output is not None and last.equal(one.output)]
    stage = same[0].name
    for one in same[1:]:
        if stage.startswith(f"{one.name}.") and _count_leaves(one.module) <= MAX_STAGE_SHARE * leaves:
            stage = one.name
    return stage


def _end_at_read(classifier: Classifier, maps: list[LayerOutput], scores: Tensor, leaves: int) -> list[LayerOutput]:
    """The layers up to the last one whose patches the scores depend on; nothing inside a stage where they do not."""
    unread: list[str] = []
    for index in reversed(range(len(maps))):
        name = maps[index].name
        if any(name.startswith(f"{stage}.") for stage in unread):
            continue
        if _is_read(classifier, name, scores):
            return maps[: index + 1]
        if _count_leaves(maps[index].module) <= MAX_STAGE_SHARE * leaves:
            unread.append(name)
    return maps


def _is_read(classifier: Classifier, layer: str, scores: Tensor) -> bool:
    """Whether the scores of the noise change without a layer's patches; true of networks without class tokens."""
    network, evidence = classifier.network, read_evidence(classifier.network)
    if evidence is None or not evidence.classes:
        return True
    inputs = classifier.preprocess(classifier.noise_image())
    with borrow(network), torch.no_grad(), replace_output(network, layer, torch.zeros_like):
        without = read_activations(network, inputs, [OUTPUT])[OUTPUT]
    return bool((scores - without).norm() > ROUNDING * scores.norm())


def stages_from(classifier: Classifier, names: Sequence[str]) -> tuple[str, ...]:
    """Layers, and all later stages of the network, in the order in which they finish; the last computes its output.

    Stages are modules that lie no deeper in the network than the deepest of the layers. Of modules that return the
    same, such as dropout and what it follows, only the first counts.

    >>> from optvis import load
    >>> stages_from(load("demo"), ["mixed4"])
    ('mixed4', 'mixed5', 'mean', 'head')
    """
    outputs = [one for one in _run_layers(classifier) if one.output is not None and one.channels is not None]
    full = {_plain(name): name for name in names}
    first = min(index for index, one in enumerate(outputs) if one.name in full)
    depth = max(name.count(".") for name in full)
    stages: list[LayerOutput] = []
    for one in outputs[first:]:
        is_stage = one.name in full or one.name == outputs[-1].name or one.name.count(".") <= depth
        is_same = any(_is_same(one, other) for other in stages)
        if one.name in full or (is_stage and not is_same):
            stages.append(one)
    return tuple(full.get(one.name, one.name) for one in stages)


def _is_same(one: LayerOutput, other: LayerOutput) -> bool:
    a, b = one.output, other.output
    return a is not None and b is not None and a.numel() == b.numel() and a.flatten().equal(b.flatten())


def order_layers(classifier: Classifier, names: Sequence[str]) -> tuple[str, ...]:
    """Sort layers by the order in which they finish, each once.

    Raises:
        KeyError: a layer that does not exist.
        ValueError: no layers, one that never runs, one whose channels are the classes.
        TypeError: a layer whose output is no tensor.
    """
    if isinstance(names, str):
        raise TypeError(f"layers is the text {names!r}; expected a list of names, [{names!r}]")
    if not names:
        raise ValueError("no layers; leave layers out for the last stage, or name some")
    outputs = _run_layers(classifier)
    order = {one.name: index for index, one in enumerate(outputs)}
    for name in dict.fromkeys(names):
        find_module(classifier.network, name)
        if _plain(name) not in order:
            raise ValueError(f"layer {name!r} never ran in this forward pass; layers(model) lists those that do")
        _check_layer(outputs, order[_plain(name)])
    return tuple(sorted(dict.fromkeys(names), key=lambda name: order[_plain(name)]))


def _plain(name: str) -> str:
    """The name of a layer without the tokens that are meant."""
    return split_tokens(name)[0].removesuffix(INPUT).removesuffix(HEADS)


def _check_layer(outputs: Sequence[LayerOutput], index: int) -> None:
    layer = outputs[index]
    if layer.channels is None:
        raise TypeError(f"layer {layer.name!r} gives {layer.description}; expected activations with channels")
    has_weights_behind = any(True for later in outputs[index + 1 :] for _ in later.module.parameters(recurse=False))
    if not has_weights_behind and layer.channels == _count_classes(outputs):
        raise ValueError(
            f"the channels of {layer.name!r} are the {layer.channels} classes: switching one off only removes its "
            "score; name a layer before the class head, or leave layers out"
        )


def _run_layers(classifier: Classifier) -> list[LayerOutput]:
    """The output of every layer for one image, in the order in which they finish; the network itself is the last.

    The image is uniform noise: a constant image would make different layers return equal outputs.
    """
    rows, network = layers(classifier), classifier.network
    image = classifier.noise_image()
    names = [row.name for row in rows if row.is_per_image or row.name == OUTPUT]  # scores may be in an object
    with borrow(network), torch.no_grad():
        found = read_activations(network, classifier.preprocess(image), names)
    return [LayerOutput(row.name, find_module(network, row.name)[0], found.get(row.name), row.output) for row in rows]


def _count_classes(outputs: Sequence[LayerOutput]) -> int:
    network = outputs[-1]
    if network.output is None:
        raise ValueError(f"the network gives {network.description}; expected a score for each class, (B, classes)")
    return check_logits(network.output).shape[1]


def _count_leaves(module: nn.Module) -> int:
    return sum(not list(part.children()) for part in module.modules())
