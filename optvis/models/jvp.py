"""Forward-mode derivatives: of a network's output along a direction in one layer, in one forward pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from optvis.interrupts import hold_lock, ignore_warnings
from optvis.models.activations import read_activations
from optvis.models.adapted.select import select_scores
from optvis.models.hooks import intercept
from optvis.models.overrides.hard_sigmoid import differentiable_hard_sigmoid
from optvis.models.overrides.replace import replace_output
from optvis.models.run import renew, run_network
from optvis.objectives import OUTPUT

_KERNELS = threading.RLock()
TOLERANCE = 1e-2  # of the norm: a dropped derivative differs by far more, rounding by far less
ROUNDING = 1e-4  # of the derivative along a random direction: one below is taken as zero


def identity(output: Tensor) -> Tensor:
    """Return an output as it is."""
    return output


def layer_jvp(
    network: nn.Module,
    inputs: Tensor,
    layer: str,
    direction: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], Tensor] = identity,
) -> tuple[Tensor, Tensor]:
    """Compute a network's output, and its derivative along a direction in a layer's activations.

    Forward-mode differentiation: one pass gives the derivatives of all outputs, Σ direction · ∂output/∂activation,
    where backward passes would take one an output.

    Args:
        network: a borrowed network.
        inputs: ready for it.
        layer: name as in `layers(net)`.
        direction: a function of the layer's activations, (B, ...), that returns a direction of the same shape.
        read: a function of the output, whose result takes its place, such as `Head.logits`.

    Returns:
        output (B, K), derivative (B, K), or another shape that the network gives; K is 0 where its output is no tensor.

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
        a = forward_ad.unpack_dual(a).primal  # type: ignore[no-untyped-call]
        return forward_ad.make_dual(a, direction(a))  # type: ignore[no-untyped-call, no-any-return]

    outputs: list[Any] = []
    with _forward_mode():
        with replace_output(network, layer, add_tangent), intercept(network, {(network, 0): outputs.append}):
            run_network(network, inputs)
        scores = select_scores(outputs[0])
        if not isinstance(scores, Tensor):
            return inputs.new_zeros(len(inputs), 0), inputs.new_zeros(len(inputs), 0)
        found = forward_ad.unpack_dual(read(scores))  # type: ignore[no-untyped-call]
    tangent = torch.zeros_like(found.primal) if found.tangent is None else found.tangent
    return found.primal.detach(), tangent.detach()


def layer_vjps(
    network: nn.Module,
    inputs: Tensor,
    layer: str,
    direction: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], Tensor] = identity,
    weights: Tensor | None = None,
) -> Tensor:
    """Compute the same derivatives as `layer_jvp` by backward passes, one for each output.

    Args:
        network: a borrowed network, which gives a score for each class.
        inputs: ready for it.
        layer: name as in `layers(net)`.
        direction, read: as in `layer_jvp`.
        weights: (K, M), for the derivatives of M weighted sums of the outputs instead of the K outputs.

    Returns:
        (B, K), or (B, M).
    """
    starts: list[Tensor] = []

    def begin(a: Tensor) -> Tensor:
        starts[:] = [renew(a).detach().requires_grad_()]
        return starts[0].clone()

    with torch.enable_grad(), replace_output(network, layer, begin):
        output = read(read_activations(network, inputs, [OUTPUT])[OUTPUT])
        columns = (output if weights is None else output @ weights).sum(0).unbind()
    along = direction(starts[0].detach())
    gradients = (
        torch.autograd.grad(column, starts[0], retain_graph=True, allow_unused=True, materialize_grads=True)[0]
        if column.requires_grad
        else torch.zeros_like(starts[0])  # no output depends on the layer
        for column in columns
    )
    return torch.stack([(gradient * along).flatten(1).sum(1) for gradient in gradients], dim=1)


@dataclass(frozen=True)
class JvpCheck:
    """What is found out about `layer_jvp` along a random direction, as long as the one that is asked about.

    Args:
        is_exact: whether one backward pass agrees; None where the direction is zero. Operations written in C++ may drop
            the derivative without a word, such as torchvision's deformable convolution.
        is_read: whether the outputs depend on the activations.
        is_rounding: whether the derivative along the direction that is asked about is zero but for rounding.
    """

    is_exact: bool | None
    is_read: bool = True
    is_rounding: bool = False


def check_jvp(
    network: nn.Module,
    inputs: Tensor,
    layer: str,
    direction: Callable[[Tensor], Tensor],
    read: Callable[[Tensor], Tensor],
    derivative: Tensor,
) -> JvpCheck:
    """Check what `layer_jvp` has found.

    Args:
        network, inputs, layer, direction, read: as in `layer_jvp`.
        derivative: what it returned, (B, K).
    """
    lengths: list[Tensor] = []

    def randomize(a: Tensor) -> Tensor:
        along = direction(a)
        noise = torch.where(along == 0, 0, _draw_normal(along.shape).to(along))
        lengths.append(along.norm())
        scaled: Tensor = noise * (along.norm() / noise.norm().clamp_min(torch.finfo(noise.dtype).tiny))
        return scaled

    _, random = layer_jvp(network, inputs, layer, randomize, read)
    if not lengths[0]:
        return JvpCheck(None)
    weights = _draw_normal((random.shape[1], 1)).to(random)
    expected, found = layer_vjps(network, inputs, layer, randomize, read, weights), random @ weights
    length, limits = expected.norm(), torch.finfo(found.dtype)
    is_exact = bool((found - expected).norm() <= TOLERANCE * length + limits.tiny)
    return JvpCheck(is_exact, bool(length), bool(derivative.norm() <= max(ROUNDING, 8 * limits.eps) * length))


def _draw_normal(shape: Sequence[int]) -> Tensor:
    """Normal numbers, the same each time."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0), dtype=torch.float32, device="cpu")


@contextmanager
def math_attention() -> Iterator[None]:
    """Inside, attention is computed by the one kernel that can be differentiated forward, and twice.

    Torch switches kernels for the whole process, so that one thread at a time can do so.
    """
    with hold_lock(_KERNELS):
        fast_path = torch.backends.mha.get_fastpath_enabled()
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            with sdpa_kernel(SDPBackend.MATH):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Inside, operations that torch cannot differentiate twice are computed in a way that can, with equal numbers."""
    with math_attention(), differentiable_hard_sigmoid():
        yield


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Forward-mode differentiation, which the process can do once at a time."""
    quiet = ignore_warnings(FutureWarning)  # torch compiles some derivatives with an old compiler
    with math_attention(), torch.no_grad(), forward_ad.dual_level(), quiet:
        yield
