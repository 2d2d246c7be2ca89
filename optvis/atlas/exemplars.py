"""Exemplars: what photographs show at the positions that vectors were drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.atlas.samples import Samples
from optvis.data.dataset import ImageDataset
from optvis.features.receptive_field import ReceptiveFields, crop, receptive_fields
from optvis.models.classifier import Classifier
from optvis.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Parts of photographs.

    Args:
        rows: of the samples that they belong to, ascending, (E,).
        patches: the middle of what each position can see, (E, 3, p, p) in [0, 1].
    """

    rows: Tensor
    patches: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def places(self, rows: Tensor) -> Tensor:
        """Where samples lie among the exemplars, of the same shape; -1 for rows of -1 and those without an exemplar."""
        if not len(self):
            return torch.full_like(rows, -1)
        found = torch.searchsorted(self.rows, rows.clamp(min=0)).clamp(max=len(self) - 1)
        return torch.where(self.rows[found] == rows, found, -1)


def exemplars_of(
    classifier: Classifier,
    album: ImageDataset,
    samples: Samples,
    rows: Tensor,
    size: int,
    *,
    share: float = 0.5,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Exemplars:
    """The parts of photographs that some samples were drawn from; after Ctrl-C those that were cut until then.

    Args:
        classifier: whose network was sampled.
        album: the photographs, as they were sampled.
        samples: of them.
        rows: which of them, in any shape and order; -1 stands for none.
        size: side of a patch in pixels.
        share: side of what is cut out, as a share of the receptive field's.
        channel_axis: as it was sampled.
        progress: show a progress bar.
    """
    wanted = rows[rows >= 0].unique()  # type: ignore[no-untyped-call]
    if not len(wanted):
        return Exemplars(wanted, torch.empty(0, 3, size, size))
    fields = receptive_fields(classifier, samples.layer, channel_axis=channel_axis)
    shown = progress_bar(wanted.tolist(), show=progress, unit="img", description="photographs")
    patches = list[Tensor]()
    with suppress(KeyboardInterrupt):
        for row in shown:
            patches.append(_patch(classifier, album, samples, row, fields, size, share))
    empty = torch.empty(0, 3, size, size)
    return Exemplars(wanted[: len(patches)], torch.stack(patches) if patches else empty)


def _patch(
    classifier: Classifier,
    album: ImageDataset,
    samples: Samples,
    row: int,
    fields: ReceptiveFields,
    size: int,
    share: float,
) -> Tensor:
    image = album.load([int(samples.places[row])], classifier.load_batch)[0].float().cpu()
    if (len(fields.rows), len(fields.columns)) != samples.grid:
        return _square(crop(image, (0, image.shape[1], 0, image.shape[2]), size), size)
    y, x = samples.positions[row].tolist()
    return _square(crop(image, fields.window(y, x, share), size), size)


def _square(patch: Tensor, size: int) -> Tensor:
    """On white where it is not square, (3, h, w) -> (3, size, size)."""
    down, across = size - patch.shape[1], size - patch.shape[2]
    return torch.nn.functional.pad(patch, (across // 2, across - across // 2, down // 2, down - down // 2), value=1.0)


def check_album(album: ImageDataset, names: Sequence[str]) -> None:
    """Refuse photographs that are not those that were sampled.

    Raises:
        ValueError: others, or in another order.
    """
    if tuple(album.names) != tuple(names):
        raise ValueError(
            f"the samples are of {len(names)} photographs, and these {len(album)} are not the same; "
            "give those that were sampled, or samples=None"
        )


__all__ = ["Exemplars", "exemplars_of"]
