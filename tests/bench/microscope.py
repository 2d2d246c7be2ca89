"""Measure the microscope: the time of all six renderings of a channel beside that of the bare network.

python tests/bench/microscope.py             32 channels of SqueezeNet's features.12
python tests/bench/microscope.py --whole     all 512, measured as well
python tests/bench/microscope.py --steps 8   sooner
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from bare_networks import bare_step, network, squeezenet_to
from torch._C import DisableTorchFunction

from optvis import IMAGENET, Classifier
from optvis.microscope.builder import STEPS
from optvis.microscope.renderings import DIVERSE_COUNT, VIEWS, ChannelRenderer
from optvis.params import Streams
from optvis.rendering.ascent import PIXELS_PER_BATCH, split_evenly
from optvis.rendering.optimizers import ImageAdam

LAYER, SIDE, GROUP, SOME, ALL = "features.12", 128, 8, 32, 512
MAX_RATIO = 1.15
Parts: TypeAlias = Callable[[int, int], list[int]]


def whole_batch(images: int, _side: int) -> list[int]:
    """All images of a batch go through the network at once."""
    return [images]


def batch_sizes(images: int, side: int) -> list[int]:
    """How many images go through the network together, as in an ascent."""
    among = 1 if images == GROUP else DIVERSE_COUNT
    parts = split_evenly(images, PIXELS_PER_BATCH / side**2, among)
    return [part.stop - part.start for part in parts]


def input_sizes(steps: int) -> list[int]:
    """The side of what the network sees at each step: the microscope's own transforms show less at first."""
    image, streams = torch.rand(1, 3, SIDE, SIDE), Streams((0,), "transform")
    return [VIEWS(image, streams.seek(step)).shape[-1] for step in range(steps)]


class Floor:
    """The bare forward and backward pass of as many images, as large as the network gets them; it sums up its seconds.

    Args:
        net: the whole network.
        parts: how many images of a batch go through the network together.
        sides: of the images at each step, in pixels; the last holds from then on.
    """

    def __init__(self, net: torch.nn.Module, parts: Parts, sides: Sequence[int]) -> None:
        cut = squeezenet_to(12)(copy.deepcopy(net))
        self.parts = parts
        wanted = {
            (size, side)
            for images in (GROUP, DIVERSE_COUNT * GROUP)
            for side in set(sides)
            for size in parts(images, side)
        }
        self.steps: dict[tuple[int, int], Callable[[], object]] = {
            (size, side): bare_step(cut, size, side) for size, side in wanted
        }
        self.sides, self.seconds = sides, 0.0

    def step(self, images: int, taken: int) -> None:
        start = time.perf_counter()
        side = self.sides[min(taken, len(self.sides)) - 1]
        with DisableTorchFunction():  # the microscope may be replacing ReLUs here
            for size in self.parts(images, side):
                self.steps[size, side]()
        self.seconds += time.perf_counter() - start


@contextmanager
def interleave(floor: Floor) -> Iterator[None]:
    """After each step of the microscope's own, a bare one of as many images."""
    own = ImageAdam.step

    def step(optimizer: ImageAdam, closure=None):  # type: ignore[no-untyped-def]
        loss = own(optimizer, closure)
        floor.step(len(optimizer.param_groups[0]["params"][0]), optimizer.step_count)
        return loss

    ImageAdam.step = step  # type: ignore[method-assign]
    try:
        yield
    finally:
        ImageAdam.step = own  # type: ignore[method-assign]


def measure(
    classifier: Classifier, channels: Sequence[int], renderer: ChannelRenderer, parts: Parts
) -> tuple[float, float]:
    """Measure the seconds of the microscope's renderings, and of the bare network beside them."""
    floor = Floor(classifier.network, parts, input_sizes(renderer.steps))
    start = time.perf_counter()
    with interleave(floor):
        for first in range(0, len(channels), GROUP):
            renderer.render(classifier, LAYER, channels[first : first + GROUP])
    return time.perf_counter() - start - floor.seconds, floor.seconds


def time_alone(classifier: Classifier, renderer: ChannelRenderer) -> float:
    """Measure the seconds of all channels' renderings alone."""
    start = time.perf_counter()
    for first in range(0, ALL, GROUP):
        renderer.render(classifier, LAYER, range(first, first + GROUP))
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--whole", action="store_true", help="also draw all 512 channels, and say how long it took")
    options = parser.parse_args()
    classifier = Classifier(network("squeezenet1_0"), IMAGENET, 224)
    renderer = ChannelRenderer(SIDE, options.steps, 0)
    measure(classifier, range(GROUP), ChannelRenderer(SIDE, 2, 0), whole_batch)
    print(f"{SOME} channels of {LAYER}, {2 + DIVERSE_COUNT} renderings each, {SIDE} px, {options.steps} steps, "
          f"groups of {GROUP}, {torch.get_num_threads()} threads")  # fmt: skip
    ours, bare = measure(classifier, range(SOME), renderer, whole_batch)
    print(f"beside the bare network, the same batches: {ours:.1f} s, {bare:.1f} s: {ours / bare:.3f}; "
          f"limit {MAX_RATIO}")  # fmt: skip
    mine, cut = measure(classifier, range(SOME), renderer, batch_sizes)
    print(f"the same batches, split as an ascent splits them: {mine:.1f} s, {cut:.1f} s: "
          f"{mine / cut:.3f}")  # fmt: skip
    print(f"all {ALL}, extrapolated: {ours * ALL / SOME:.0f} s")
    if options.whole:
        print(f"all {ALL}, measured: {time_alone(classifier, renderer):.0f} s")
    sys.exit(0 if ours / bare <= MAX_RATIO else 1)


if __name__ == "__main__":
    main()
