"""torch-lucent 0.1.8, patched for current versions of kornia, for comparison."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn


def lucent_modules():  # type: ignore[no-untyped-def]
    """Import its modules; print how to install them and return None where they are missing."""
    import kornia
    import kornia.geometry.transform as geometry

    kornia.get_rotation_matrix2d = geometry.get_rotation_matrix2d
    kornia.warp_affine = geometry.warp_affine
    try:
        from lucent.optvis import objectives, param, render, transform
    except ImportError as error:
        print(f"no torch-lucent ({error}): pip install --no-deps torch-lucent==0.1.8 ipython decorator future")
        return None
    return objectives, param, render, transform


class TimedOptimizer:
    """An optimizer that records the time after each step."""

    def __init__(self, inner: torch.optim.Optimizer, clock: Callable[[], float]) -> None:
        self.inner, self.clock, self.times = inner, clock, [clock()]

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> None:
        self.inner.step(closure)
        self.times.append(self.clock())


def lucent_step_times(net: nn.Module, layer: str, batch: int, side: int, clock: Callable[[], float]) -> list[float]:
    """Measure the seconds of a few steps of its render_vis, without the first."""
    modules = lucent_modules()
    assert modules is not None
    objectives, param, render, _ = modules
    name = layer.replace(".", "_")
    objective = objectives.Objective.sum([objectives.channel(name, n, batch=n) for n in range(batch)])
    clocks: list[TimedOptimizer] = []

    def optimizer(params: list[Tensor]) -> TimedOptimizer:
        clocks.append(TimedOptimizer(torch.optim.Adam(params, lr=5e-2), clock))
        return clocks[0]

    render.render_vis(
        net, objective, lambda: param.image(side, batch=batch), optimizer, thresholds=(5,),
        progress=False, show_image=False,
    )  # fmt: skip
    return [after - before for before, after in pairwise(clocks[0].times[1:])]
