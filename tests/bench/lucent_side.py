"""torch-lucent 0.1.8, made to run beside today's kornia, for comparison."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn


def lucent_modules():  # type: ignore[no-untyped-def]
    """Its modules, or None with a word on how to have them."""
    import kornia
    import kornia.geometry.transform as geometry

    kornia.get_rotation_matrix2d = geometry.get_rotation_matrix2d
    kornia.warp_affine = geometry.warp_affine
    try:
        from lucent.optvis import objectives, param, render, transform
    except ImportError as error:
        print(f"torch-lucent is not here ({error}): pip install --no-deps torch-lucent==0.1.8 ipython decorator future")
        return None
    return objectives, param, render, transform


class _Clocked:
    """An optimizer that notes the time after each step."""

    def __init__(self, inner: torch.optim.Optimizer, clock: Callable[[], float]) -> None:
        self.inner, self.clock, self.times = inner, clock, [clock()]

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> None:
        self.inner.step(closure)
        self.times.append(self.clock())


def lucent_step_times(net: nn.Module, layer: str, batch: int, side: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of a few steps of its render_vis, the first left out."""
    modules = lucent_modules()
    assert modules is not None
    objectives, param, render, _ = modules
    name = layer.replace(".", "_")
    asked = objectives.Objective.sum([objectives.channel(name, n, batch=n) for n in range(batch)])
    clocks: list[_Clocked] = []

    def optimizer(params: list[Tensor]) -> _Clocked:
        clocks.append(_Clocked(torch.optim.Adam(params, lr=5e-2), clock))
        return clocks[0]

    render.render_vis(
        net, asked, lambda: param.image(side, batch=batch), optimizer, thresholds=(5,),
        progress=False, show_image=False,
    )  # fmt: skip
    return [after - before for before, after in pairwise(clocks[0].times[1:])]
