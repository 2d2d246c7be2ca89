"""Heads of attention: where in a module their outputs are, before they are mixed."""

from __future__ import annotations

from torch import nn

from optvis.models.adapted.compiled import layer_name
from optvis.objectives.layout import HEADS

#: Names of an attention's number of heads, and of the linear layer behind them: timm's, torch's, transformers'.
HEAD_COUNTS = ("num_heads", "num_attention_heads")
PROJECTIONS = ("proj", "out_proj", "o_proj")


def find_projection(network: nn.Module, name: str) -> tuple[str, int]:
    """Find the linear layer that mixes the heads of an attention.

    Args:
        network: in which the attention is.
        name: of the attention, with or without "@heads".

    Returns:
        The name of the linear layer, and the number of heads.

    Raises:
        AttributeError: no such layer.
        ValueError: the layer is no attention with such a layer.
    """
    plain = name.removesuffix(HEADS)
    path, numbered, call = plain.partition("#")
    attention = network.get_submodule(layer_name(path))
    if isinstance(attention, nn.MultiheadAttention):
        raise ValueError(
            f"{plain!r} is torch's MultiheadAttention, which computes its heads in one function, so that they cannot "
            "be read or switched off; attention_map shows what they attend to"
        )
    heads = next((getattr(attention, key) for key in HEAD_COUNTS if hasattr(attention, key)), None)
    projection = next((key for key, _ in attention.named_children() if key in PROJECTIONS), None)
    if not isinstance(heads, int) or projection is None:
        raise ValueError(
            f"{plain!r} is a {type(attention).__name__}, no attention whose heads are known: expected an attribute "
            f"{' or '.join(HEAD_COUNTS)} and a layer {', '.join(PROJECTIONS[:-1])} or {PROJECTIONS[-1]}"
        )
    return f"{path}.{projection}".removeprefix(".") + numbered + call, heads
