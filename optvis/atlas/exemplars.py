"""Exemplars: patches of images at the positions that vectors were sampled from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optvis.arguments import TensorFields
from optvis.atlas.samples import Samples
from optvis.data.dataset import ImageDataset
from optvis.data.images import pad
from optvis.features.receptive_field import ReceptiveFields, crop, receptive_fields
from optvis.models.classifier import Classifier
from optvis.progress import progress_bar
from optvis.viz.sheet import as_rgb

PATCH_SIZE = 40  # side in pixels
FIELD_SHARE = 0.5  # side of a patch as a share of the receptive field's


@dataclass(frozen=True, eq=False)
class Exemplars(TensorFields):
    """Patches of E images.

    Args:
        rows: of the samples that they belong to, ascending, (E,).
        patches: the middle of each position's receptive field, (E, 3, p, p) in [0, 1].
    """

    TENSOR_FIELDS: ClassVar = {"rows": "E: int", "patches": "E 3 p q"}

    rows: Tensor
    patches: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def index(self, rows: Tensor) -> Tensor:
        """The indices of samples among the exemplars, of the shape of `rows`; -1 for rows without an exemplar."""
        if not len(self):
            return torch.full_like(rows, -1)
        indices = torch.searchsorted(self.rows, rows.clamp(min=0)).clamp(max=len(self) - 1)
        return torch.where(self.rows[indices] == rows, indices, -1)


def crop_exemplars(
    classifier: Classifier,
    dataset: ImageDataset,
    samples: Samples,
    rows: Tensor,
    *,
    channel_axis: int | None = None,
    progress: bool = True,
) -> tuple[Exemplars, int]:
    """Crop the patches that some samples come from; after Ctrl-C return those that are ready.

    Images that can no longer be read are left out, with a warning.

    Args:
        classifier: the network that was sampled.
        dataset: the images that were sampled.
        samples: of them.
        rows: which of the samples, in any shape and order; -1 stands for none.
        channel_axis: as in `sample_activations`.
        progress: whether to show a progress bar.

    Returns:
        The exemplars, and how many samples have none because their image cannot be read.
    """
    nothing = torch.empty(0, 3, PATCH_SIZE, PATCH_SIZE, dtype=torch.float32, device="cpu")
    wanted = rows[rows >= 0].unique()  # type: ignore[no-untyped-call]
    if not len(wanted):
        return Exemplars(wanted, nothing), 0
    fields = receptive_fields(classifier, samples.layer, channel_axis=channel_axis)
    patches, tried = dict[int, Tensor](), 0
    images = dataset.each_readable(samples.indices[wanted].tolist(), classifier.load_batch)
    with (
        suppress(KeyboardInterrupt),
        progress_bar(total=len(wanted), show=progress, unit="img", description="patches") as bar,
    ):
        for place, image in images:
            patches[place] = _crop_patch(as_rgb(image[0].float().cpu()), samples, int(wanted[place]), fields)
            bar.update(place + 1 - tried)
            tried = place + 1
        tried = len(wanted)
    rows = wanted[list(patches)]
    return Exemplars(rows, torch.stack([*patches.values()]) if patches else nothing), tried - len(patches)


def _crop_patch(image: Tensor, samples: Samples, row: int, fields: ReceptiveFields) -> Tensor:
    """The middle of the receptive field; the whole image where positions have no place in it, such as tokens."""
    if (len(fields.rows), len(fields.columns)) != samples.grid:
        window = (0, image.shape[1], 0, image.shape[2])
    else:
        y, x = samples.positions[row].tolist()
        window = fields.window(y, x, FIELD_SHARE)
    return pad(crop(image, window, PATCH_SIZE), (PATCH_SIZE, PATCH_SIZE))
