"""A network with another way of calling it, or of reading its output; its layers keep their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

from torch import Tensor, nn

from optvis.models.adapted.select import Selector, select_scores

own_buffers = attrgetter("_buffers")  # what `buffers()` reads, which is slow
Forward: TypeAlias = Callable[[nn.Module, Tensor], Any] | None


class AdaptedNetwork(nn.Module):
    """A network that is called by a function of the caller's own, and returns the scores in what that returns.

    It shares the original's layers, parameters and buffers, under the same names.

    Args:
        original: the network.
        call: (network, inputs) -> output, which calls the network; by default with the inputs alone.
        output: see `select_scores`.

    Example:
        >>> import torch
        >>> class Pair(nn.Module):
        ...     def forward(self, x, scale):
        ...         return {"scores": x.mean((2, 3)) * scale, "extra": x}
        >>> AdaptedNetwork(Pair(), lambda net, x: net(x, 0.0), "scores")(torch.rand(1, 3, 4, 4))
        tensor([[0., 0., 0.]])
    """

    def __init__(self, original: nn.Module, call: Forward = None, output: Selector = None) -> None:
        super().__init__()
        own = {"original": original, "call": call, "output": output, "has_own_layers": False}
        vars(self).update(own, training=original.training)
        for shared in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"):
            vars(self)[shared] = vars(original)[shared]

    def add_layers(self, layers: Mapping[str, nn.Module]) -> None:
        """Add layers of its own, by name, which a subclass runs besides the original's."""
        vars(self).update(has_own_layers=True, _modules={**vars(self)["_modules"], **layers})

    def forward(self, inputs: Tensor) -> Any:
        """Call the network, and return its scores."""
        called = self.original(inputs) if self.call is None else self.call(self.original, inputs)
        return select_scores(called, self.output)

    def train(self, mode: bool = True) -> AdaptedNetwork:
        """Switch the original to training or eval mode."""
        self.original.train(mode)
        self.training = mode
        return self

    def __getattr__(self, name: str) -> Any:
        own = vars(self).get("_modules", {}) if vars(self).get("has_own_layers") else {}
        return own[name] if name in own else getattr(vars(self)["original"], name)


def original_of(network: nn.Module) -> nn.Module:
    """The network itself, where it is adapted, once or more."""
    while isinstance(network, AdaptedNetwork):
        network = network.original
    return network


def adapt(network: nn.Module, call: Forward, output: Selector) -> nn.Module:
    """Adapt a network where there is something to adapt; one that is adapted in this way stays the same object."""
    if isinstance(network, AdaptedNetwork) and network.has_own_layers:
        return network
    original = original_of(network)
    if call is None and output is None:
        return original
    if isinstance(network, AdaptedNetwork) and network.call is call and network.output == output:
        return network
    return AdaptedNetwork(original, call, output)


def list_modules(network: nn.Module) -> list[nn.Module]:
    """A network and all modules in it, each once, in the order of `network.modules()`, in a tenth of its time.

    Example:
        >>> len(list_modules(nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))))
        4
    """
    found: dict[nn.Module, None] = {}
    waiting = [network]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = None
            waiting += [child for child in reversed(list(module._modules.values())) if child is not None]
    return list(found)


def list_weights(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of some modules themselves, each once."""
    found = (weight for module in modules for weight in module._parameters.values())
    return list({id(weight): weight for weight in found if weight is not None}.values())


def list_buffers(modules: Iterable[nn.Module]) -> list[Tensor]:
    """The buffers of some modules themselves, each once."""
    found = (buffer for module in modules for buffer in own_buffers(module).values())
    return list({id(buffer): buffer for buffer in found if buffer is not None}.values())
