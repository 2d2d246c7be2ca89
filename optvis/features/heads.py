"""Heads of attention as units, and maps of what they attend to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from optvis.data.images import ImageLike
from optvis.features.units import Channels
from optvis.models.activations import input_size
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.hooks import intercept
from optvis.models.infer import as_classifier
from optvis.models.jvp import math_attention
from optvis.models.layers import find_module
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.token_evidence import suggest_prefix
from optvis.models.outputs.tokens import TokenLayout, find_layout
from optvis.models.run import run_network
from optvis.objectives.layout import ALL, HEADS, name_tokens

SDPA_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")  # that may be given by position
SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)


class Heads(Channels):
    """Some heads of an attention: units whose outputs are replaced before they are mixed.

    The layer `"blocks.3.attn@heads"`, what goes into the attention's last linear layer, has the heads as its channels:
    (B, heads, numbers, rows, columns) of patches. So all functions that take a layer and channels take heads:
    `attribute(model, images, heads.layer, logit(3)).channels` is (B, heads), and `layer_norm(heads.layer, 2)` is what
    to maximise for images that the head responds to.

    Args:
        layer: name of the attention, as in `layers(net)`.
        heads: their indices; duplicates are dropped.
        tokens: of which tokens; "all" by default, "patches", "class" or "registers".

    Raises:
        TypeError: indices that are not integers.
        ValueError: a negative index; inside `blinded`, a layer that is no attention whose heads are known.

    Example:
        >>> Heads("blocks.3.attn", [1, 2]), Heads("blocks.3.attn", 0).layer
        (Heads('blocks.3.attn', [1, 2]), 'blocks.3.attn@heads@all')
    """

    def __init__(self, layer: str, heads: int | Iterable[int] | Tensor, *, tokens: str = ALL) -> None:
        super().__init__(name_tokens(layer + HEADS, tokens), heads)

    def __repr__(self) -> str:
        name, _, tokens = self.layer.partition(HEADS)
        return f"Heads({name!r}, {list(self.indices)}{'' if tokens == f'@{ALL}' else f', tokens={tokens[1:]!r}'})"


@plain_mode()
def attention_map(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layer: str,
    *,
    query: str | tuple[int, int] | None = None,
    normalize: Normalizer | str = INFER,
) -> Tensor:
    """Read how much each head of an attention attends to each patch.

    Args:
        model: a network, or a Classifier.
        images: an image in any form that `load_image` takes, or a list of them.
        layer: name of the attention, as in `layers(net)`.
        query: whose attention: "class", "registers" or "patches", the mean over them; or the row and column of a patch.
            By default the class token's, and of networks without one the mean over patches.
        normalize: see `render`; by default the model's own.

    Returns:
        (B, heads, rows, columns) in [0, 1]; with the shares of class token and registers, they sum to 1.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        ValueError: a layer in which no attention over all tokens is computed; a query that the network lacks.
        IndexError: a patch that is not there.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> attention_map(load("demo-vit"), scene("owl", seed=2).image, "blocks.3.attn").shape
        torch.Size([1, 4, 12, 12])
    """
    classifier = as_classifier(model, normalize)
    network, inputs = classifier.network, classifier.preprocess(classifier.load_batch(images))
    call, recorder = find_module(network, layer), _AttentionRecorder()
    with borrow(network), torch.no_grad(), math_attention():
        begin, end = {call: recorder.begin}, {call: recorder.end}
        with recorder, intercept(network, end, before=begin):
            run_network(network, inputs)
    weights = recorder.weights
    if weights is None or weights.shape[0] != len(inputs):
        what = "attends in windows" if weights is not None else "computes no attention that can be read"
        raise ValueError(f"layer {layer!r} {what}; expected an attention over all tokens, such as 'blocks.3.attn'")
    layout = find_layout(network, weights[:, 0], input_size(inputs))
    if layout is None:
        raise ValueError(
            f"layer {layer!r} attends to {weights.shape[3]} tokens of unknown places; say how many come before the "
            f"patches: {suggest_prefix(weights.shape[3])}"
        )
    found = _select_query(weights, layout, query)[:, :, layout.prefix :]
    return found.reshape(*found.shape[:2], *layout.grid).cpu()


def _select_query(weights: Tensor, layout: TokenLayout, query: str | tuple[int, int] | None) -> Tensor:
    """The attention of some tokens to all, (B, heads, T), from that of all to all, (B, heads, T, T)."""
    if query is None:
        query = "class" if layout.classes else "patches"
    if not isinstance(query, str):
        (row, column), (rows, columns) = query, layout.grid
        if not (0 <= row < rows and 0 <= column < columns):
            raise IndexError(f"query is {query}; expected a patch in 0..{rows - 1}, 0..{columns - 1}")
        return weights[:, :, layout.prefix + row * columns + column]
    if query not in ("class", "registers", "patches"):
        raise ValueError(f"query is {query!r}; expected 'class', 'registers', 'patches', or (row, column) of a patch")
    first, last = layout.span(query)
    chosen = weights[:, :, first:last]
    if not chosen.shape[2]:
        raise ValueError(f"query is {query!r}, and the network has none; give 'patches', or (row, column) of a patch")
    return chosen.mean(2)


class _AttentionRecorder(TorchFunctionMode):
    """Keeps the attention weights that are computed between `begin` and `end`, (B, heads, T, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: Tensor | None = None
        self.is_inside = False

    def begin(self, _inputs: Any) -> None:
        self.is_inside = True

    def end(self, _output: Any) -> None:
        self.is_inside = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = {} if kwargs is None else kwargs
        if not self.is_inside:
            return func(*args, **named)
        if func is F.multi_head_attention_forward:
            output, weights = func(*args, **named | {"need_weights": True, "average_attn_weights": False})
            self._keep(weights)
            return output, weights if named.get("need_weights", True) else None
        if func is F.scaled_dot_product_attention:
            self._keep(_attention_weights(args, named))
        output = func(*args, **named)
        if func in SOFTMAX:
            self._keep(output)
        return output

    def _keep(self, weights: Any) -> None:
        if weights.dim() == 4 and weights.shape[2] == weights.shape[3]:
            self.weights = weights


def _attention_weights(args: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
    """What `scaled_dot_product_attention` weighs values with: what it gives for the values of an identity matrix."""
    given = dict(zip(SDPA_ARGUMENTS, args, strict=False)) | dict(named)
    key = given["key"]
    ones = torch.eye(key.shape[-2], dtype=key.dtype, device=key.device)
    given |= {"value": ones.expand(*key.shape[:-1], -1), "dropout_p": 0.0}
    return F.scaled_dot_product_attention(**given)
