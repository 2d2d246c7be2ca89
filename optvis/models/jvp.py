"""Forward-mode derivatives: of a network's output along a direction in one layer, in one forward pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from optvis.models.activations import read_activations, replace_output
from optvis.objectives import OUTPUT


def layer_jvp(
    network: nn.Module, inputs: Tensor, layer: str, direction: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Compute a network's output, and its derivative along a direction in a layer's activations.

    Forward-mode differentiation: one pass gives the derivatives of all outputs, Σ direction · ∂output/∂activation,
    where backward passes would take one an output.

    Args:
        network: a borrowed network.
        inputs: ready for it.
        layer: name as in `layers(net)`.
        direction: a function of the layer's activations, (B, ...), that returns a direction of the same shape.

    Returns:
        output (B, K), derivative (B, K), or another shape that the network gives.

    Raises:
        KeyError, ValueError, TypeError: as in `activations`, for the layer.

    Example:
        >>> from optvis.models.borrow import borrow
        >>> net = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 4, bias=False))
        >>> with borrow(net):
        ...     output, derivative = layer_jvp(net, torch.rand(5, 3), "1", lambda a: a)
        >>> torch.allclose(output, derivative)
        True
    """

    def add_tangent(a: Tensor) -> Tensor:
        return forward_ad.make_dual(a, direction(a))  # type: ignore[no-untyped-call, no-any-return]

    with _forward_mode(), replace_output(network, layer, add_tangent):
        found = forward_ad.unpack_dual(read_activations(network, inputs, [OUTPUT])[OUTPUT])  # type: ignore[no-untyped-call]
    tangent = torch.zeros_like(found.primal) if found.tangent is None else found.tangent
    return found.primal, tangent


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Forward-mode differentiation, without the attention kernels that do not support it."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch compiles some derivatives with an old compiler
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
