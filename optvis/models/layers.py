"""The layers of a network: their names, types and output shapes, and how a name is found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, overload

import torch
from torch import Tensor, nn

from optvis.errors import suggest
from optvis.formatting import format_html_table, format_table
from optvis.models.adapted.compiled import layer_name, name_modules
from optvis.models.adapted.network import original_of
from optvis.models.adapted.single import single_tensor
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.hooks import Call, hook_modules, refuse_torchscript
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.attention import find_projection
from optvis.models.outputs.axes import is_grid
from optvis.models.outputs.token_evidence import suggest_prefix
from optvis.models.run import run_network
from optvis.objectives.layout import HEADS, INPUT, name_call, split_tokens

HEAD = ("layer", "type", "output")
#: Modules that give what they get, in eval mode.
IDENTITIES = frozenset({"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DropPath", "StochasticDepth"})


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Args:
        name: as objectives take it; "" is the network itself; "relu#1" the second call of "relu".
        type: name of the module's class.
        output: its shape for one image ("1 × 64 × 56 × 56"), or what came instead of a tensor.
        is_tensor: whether it is a tensor, so that objectives can read it.
    """

    name: str
    type: str
    output: str
    is_tensor: bool

    @property
    def is_per_image(self) -> bool:
        """Whether its first axis is the images'; not inside blocks that cut the image into windows."""
        return self.is_tensor and self.output.startswith("1 × ")


@dataclass(frozen=True)
class LayerTable(Sequence[Layer]):
    """Layers in the order in which they finish; prints as a table.

    Args:
        rows: one per call of a layer.

    Example:
        >>> from optvis import load
        >>> table = layers(load("demo"))
        >>> table["mixed4"].output, len(table.select("mixed*", depth=1))
        ('1 × 128 × 12 × 12', 3)
    """

    rows: tuple[Layer, ...]

    @overload
    def __getitem__(self, place: int) -> Layer: ...
    @overload
    def __getitem__(self, place: str) -> Layer: ...
    @overload
    def __getitem__(self, place: slice) -> LayerTable: ...
    def __getitem__(self, place: int | str | slice) -> Layer | LayerTable:
        """Return the layer at a place or of a name, or a table of the layers of a slice.

        Raises:
            KeyError: no layer of this name runs.
        """
        if isinstance(place, str):
            return self._find(place)
        return LayerTable(self.rows[place]) if isinstance(place, slice) else self.rows[place]

    def _find(self, name: str) -> Layer:
        by_name = {row.name: row for row in self.rows}
        if name not in by_name:
            raise KeyError(f"no layer {name!r} runs; {suggest(name, by_name, 'print the table to see all')}")
        return by_name[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, in order."""
        return tuple(row.name for row in self.rows)

    def select(self, pattern: str = "*", *, depth: int | None = None, identities: bool = False) -> LayerTable:
        """Select layers by their names.

        Args:
            pattern: of names, as file names have it: `*` is any text, `?` any character, `[ab]` one of these.
            depth: largest number of parts of a name, which dots separate; by default any. `depth=1` lists the
                network's own children.
            identities: whether to list layers that do nothing: Identity, and Dropout and DropPath in eval mode.
        """
        return LayerTable(
            tuple(
                row
                for row in self.rows
                if fnmatchcase(row.name, pattern)
                and (depth is None or len(row.name.split(".")) <= depth)
                and (identities or row.type not in IDENTITIES)
            )
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.rows)

    def __str__(self) -> str:
        return format_table(HEAD, self._cells())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return format_html_table(HEAD, self._cells())

    def _cells(self) -> list[tuple[str, str, str]]:
        return [(row.name if row.name else "(output)", row.type, row.output) for row in self.rows]


def layers(
    model: nn.Module | Classifier, *, size: int | tuple[int, int] | None = None, normalize: Normalizer | str = INFER
) -> LayerTable:
    """List every layer that runs: name, type and output shape for one image, in the order in which they finish.

    Args:
        model: a network, or a Classifier.
        size: side, or (height, width), of the image in pixels; the network's own by default.
        normalize: see `render`; by default the model's own.

    Returns:
        A sequence that prints as a table.

    Example:
        >>> from optvis import Classifier
        >>> print(layers(Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), None, 8)))
        layer     type        output
        0         Conv2d      1 × 4 × 6 × 6
        1         ReLU        1 × 4 × 6 × 6
        (output)  Sequential  1 × 4 × 6 × 6
    """
    classifier = as_classifier(model, normalize, on_meta=True)
    inputs = classifier.gray_image(size)
    with borrow(classifier.network, on_meta=True), torch.no_grad():
        return _table(classifier.network, classifier.preprocess(inputs))


def _table(network: nn.Module, inputs: Tensor) -> LayerTable:
    """Run a forward pass and list every call of every module."""
    rows: list[Layer] = []
    names = name_modules(network)
    calls: Counter[nn.Module] = Counter()

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        name = name_call(names[module], calls[module])
        calls[module] += 1
        found = output if module in (network, original_of(network)) else single_tensor(output)
        rows.append(Layer(name, type(module).__name__, describe_output(found), isinstance(found, Tensor)))

    def restart() -> None:
        rows.clear()
        calls.clear()

    with hook_modules(names, after=note):
        run_network(network, inputs, restart)
    return LayerTable(tuple(rows))


def suggest_map(classifier: Classifier, tokens: int | None) -> str:
    """What to do where a layer has no rows and columns of the image, for the end of an error message.

    The last layer that has them is named. Attention gives (1, heads, tokens, ...) as well: what has as many rows as
    there are tokens is no map.

    Args:
        classifier: the network.
        tokens: how many the layer gives, where its output may be tokens; else None.
    """
    table = layers(classifier)
    shapes = {row.name: tuple(map(int, row.output.split(" × "))) for row in table if row.is_tensor and row.output}
    rows = {shape[1] for shape in shapes.values() if len(shape) == 3}
    maps = [
        name
        for name, shape in shapes.items()
        if len(shape) == 4 and shape[0] == 1 and shape[2] not in rows and is_grid(shape[2:], classifier.size)
    ]
    cure = f"; take {maps[-1]!r}, the last that has" if maps else "; render its channels instead: channel(layer, index)"
    return cure if tokens is None else f"{cure}, or say how many tokens come before patches: {suggest_prefix(tokens)}"


def find_module(network: nn.Module, name: str) -> Call:
    """Find the module of a layer's name, and which of its calls is meant.

    Raises:
        KeyError: no such layer; the nearest names are given.
        TypeError: a TorchScript network.
    """
    refuse_torchscript(network)
    plain = split_tokens(name)[0].removesuffix(INPUT)
    if plain.endswith(HEADS):
        find_module(network, plain.removesuffix(HEADS))
        return find_module(network, find_projection(network, plain)[0])
    path, numbered, call = plain.partition("#")
    path = layer_name(path)
    try:
        if numbered and not call.isdecimal():
            raise AttributeError(name)
        return network.get_submodule(path), int(call) if call else 0
    except AttributeError as error:
        paths = (layer_name(path) for path, _ in network.named_modules(remove_duplicate=False))
        known = [found for found in dict.fromkeys(paths) if found]
        raise KeyError(f"no layer {plain!r}; {_nearest(path, known)}") from error


def _nearest(name: str, names: Sequence[str]) -> str:
    if name.casefold() in ("input", "image", "images", "x"):
        return "the image itself is '<image>'"
    listing = "layers(network) lists them" + (f", the last is {names[-1]!r}" if names else "")
    return suggest(name, names, listing)


def suggest_layer(network: nn.Module, inputs: Tensor, name: str) -> str:
    """Suggest a layer that gives a tensor instead of one that does not, or never runs.

    It is the last one inside, such as that of a Sequential whose modules are called directly; else the nearest
    enclosing one, the next to run, or the most alike.
    """
    with torch.no_grad():
        table = _table(network, inputs)
    tensors = [row.name for row in table if row.is_tensor]
    parts = name.partition("#")[0].split(".")
    parents = [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
    enclosing = [parent for parent in parents if parent in tensors]
    order = [row.name for row in table]
    inside = [row for row in tensors if row.startswith(f"{name}.") and row.count(".") == name.count(".") + 1]
    later = [row for row in order[order.index(name) + 1 :] if row in tensors] if name in order else []
    choice = [row for row in inside[:-2:-1] + enclosing + later if row][:1]
    return f"use {choice[0]!r}" if choice else _nearest(name, [row for row in tensors if row])


def explain_no_gradient(network: nn.Module) -> str:
    """Why something may have no gradient, for the end of an error message: "" or a clause that begins with ": "."""
    quantized = next((m for m in network.modules() if ".quantized" in type(m).__module__), None)
    if quantized is None:
        return ""
    return f": quantised modules such as {type(quantized).__name__} have no gradients, so use the network of floats"


def describe_output(output: Any) -> str:
    """Describe a layer's output for a message: its shape, or what came instead of a tensor."""
    if isinstance(output, Tensor):
        return " × ".join(map(str, output.shape))
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of ({', '.join(describe_output(part) for part in output)})"
    if isinstance(output, dict):
        return f"a {type(output).__name__} of {', '.join(map(str, output))}"
    return "None" if output is None else f"a {type(output).__name__}"
