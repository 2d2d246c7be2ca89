"""DeepDream of a video: each frame starts from the dream before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective
from optvis.progress import progress_bar
from optvis.rendering.dreams.dream import DreamOptions, dream
from optvis.rendering.dreams.octaves import Octaves
from optvis.rendering.result import Rendering
from optvis.rendering.runner import conclude, run
from optvis.rendering.setup import load_whole
from optvis.viz.video import read_video


@plain_mode()
def dream_video(
    model: nn.Module | Classifier,
    frames: str | Path | Iterable[ImageLike],
    objective: Objective | str,
    *,
    blend: float = 0.5,
    size: int | None = None,
    steps: int = 4,
    octaves: int | Octaves = 2,
    normalize: Normalizer | str = INFER,
    progress: bool = True,
    **options: Unpack[DreamOptions],
) -> Rendering:
    """Dream each frame of a video, starting from a blend of the frame and of the dream of the frame before it.

    So the dream stays from frame to frame, and moves with the video. All frames have the same random shifts, which
    keeps what does not move still. Ctrl-C stops early and returns the frames so far.

    Args:
        model: a network, or a Classifier.
        frames: of one size: a video file, which `read_video` reads, or images in any form.
        objective: what is maximised, as in `dream`.
        blend: the share of the previous dream in each start, in [0, 1); 0 dreams each frame alone.
        size, steps, octaves: of each frame's dream, as in `dream`. Dreams accumulate, so steps and octaves are fewer.
        normalize, progress: see `render`.
        options: those of `dream`: step_size, gradient_scaling and seed.

    Returns:
        A Rendering of the last frame, whose snapshots are all frames: `animate("dream.mp4")` writes the video. Its
        scores are those of the steps of all frames.

    Raises:
        ValueError: no frames, or frames of several sizes; a blend out of range; as in `dream` and `read_video`.
        NotFiniteError: as in `dream`; its attribute `rendering` has the frames so far.

    Example:
        >>> from optvis.objectives import layer_norm
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> made = dream_video(net, torch.rand(3, 3, 24, 32), layer_norm(""), steps=1, progress=False)
        >>> list(made.snapshots), made.scores.shape
        ([0, 1, 2], torch.Size([6, 1]))
    """
    if not 0 <= blend < 1:
        raise ValueError(f"blend is {blend}; expected 0 or more, under 1")
    classifier = as_classifier(model, normalize)
    source = read_video(frames) if isinstance(frames, str | Path) else frames
    made: list[Rendering] = []

    def dream_frame(start: Tensor) -> Rendering:
        return dream(classifier, start, objective, steps=steps, octaves=octaves, progress=False, **options)

    def record(frame: Rendering) -> int:
        made.append(frame)
        return 1

    def result(interrupted: bool) -> Rendering:
        last = made[-1]
        interrupted = interrupted or last.recipe["interrupted"]
        changes = {"method": "dream_video", "blend": blend, "frames": len(made), "interrupted": interrupted}
        snapshots = {index: one.images for index, one in enumerate(made)}
        scores = torch.cat([one.scores for one in made])
        return Rendering(last.images, scores, {**last.recipe, **changes}, snapshots, last.labels)

    starts = (load_whole(classifier, frame, size) for frame in source)
    total = len(source) if isinstance(source, Sized) else None
    with progress_bar(show=progress, description="dream", unit="frame", total=total) as bar:
        stop = run(_dream_each(dream_frame, starts, blend), bar, record)
    if made:
        return conclude(stop, result)
    if stop is not None:
        raise stop
    raise ValueError("no frames; expected one or more")


def _dream_each(
    dream_frame: Callable[[Tensor], Rendering], starts: Iterable[Tensor], blend: float
) -> Iterator[Rendering]:
    """Dream frames, each from a blend with the dream before it, until one was interrupted."""
    before: Tensor | None = None
    for index, start in enumerate(starts):
        if before is not None and start.shape != before.shape:
            sizes = (tuple(one.shape[2:]) for one in (start, before))
            raise ValueError("frame {} is {}; expected {}, as those before it".format(index, *sizes))
        made = dream_frame(start if before is None else blend * before.to(start) + (1 - blend) * start)
        yield made
        if made.recipe["interrupted"]:
            return
        before = made.images
