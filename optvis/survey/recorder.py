"""The numbers of a shard: peaks of all channels of all layers, and where those are that may matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.outputs.finite import check_finite
from optvis.survey.peaks import find_peaks
from optvis.survey.visit import visit_activations

UNKNOWN = -1  # a position that was not looked for, a label that the source has not


class Recorder:
    """Records the peaks of the images of one shard after the other.

    A peak is looked for on the map only where it exceeds the `top`-th largest so far, or where the image is in the
    sample: no other can be among the strongest at the end.

    Args:
        classifier: the network.
        channels: of each layer.
        top: how many images of each channel are wanted.
        sample: the images whose peaks are all located.
        channel_axis: axis of the channels in the layers' output.
        least: the `top`-th largest peak of each channel so far, (C,); minus infinity where there are fewer.
    """

    def __init__(
        self,
        classifier: Classifier,
        channels: Mapping[str, int],
        top: int,
        sample: Collection[int],
        channel_axis: int | None = None,
    ) -> None:
        self.classifier, self.layers, self.top, self.sample = classifier, tuple(channels), top, frozenset(sample)
        self.channel_axis, self.spans = channel_axis, find_spans(channels)
        self.total = sum(channels.values())
        self.best = torch.empty(0, self.total, dtype=torch.float32, device="cpu")
        self.least = self._full(1, -torch.inf)[0]
        self.count = self.due = 0
        self.clear()

    def clear(self) -> None:
        """Begin a shard."""
        self.earlier = self.best
        self.indices: list[int] = []
        self.values: list[Tensor] = []
        self.positions: list[Tensor] = []
        self.pending: list[Tensor] = []

    def add(self, indices: Sequence[int], images: Tensor) -> None:
        """Record a batch."""
        network = self.classifier.network
        values = self._full(len(images), 0)
        positions = torch.full((len(images), self.total), UNKNOWN, dtype=torch.int32, device="cpu")
        in_sample = torch.tensor([index in self.sample for index in indices], device="cpu")

        def visit(layer: str, a: Tensor, same: str | None) -> None:
            span = self.spans[layer]
            if same is not None:
                values[:, span], positions[:, span] = values[:, self.spans[same]], positions[:, self.spans[same]]
                return
            peaks, locate, _ = find_peaks(a, self.channel_axis)
            values[:, span] = peaks
            rows, columns = self._matter(peaks, span, in_sample).nonzero().T
            if len(rows):
                positions[rows, columns + span.start] = locate(rows, columns).int()

        with borrow(network), torch.no_grad():
            inputs = self.classifier.preprocess(images)
            visit_activations(network, inputs, self.layers, visit)
            if not bool(values.isfinite().all()):
                for layer, span in self.spans.items():
                    check_finite(values[:, span], f"the activations of {layer!r}", network, inputs)
        self.indices += indices
        self.values.append(values)
        self.positions.append(positions)
        self.pending.append(values)
        self.count += len(indices)
        if self.count >= self.due:  # as often as the number of images doubles, and with each shard
            self._raise_least()
            self.due = 2 * self.count

    def take_shard(self, labels: Sequence[int | None]) -> dict[str, Tensor]:
        """End the shard, and return its tensors.

        Args:
            labels: the class of each image that was recorded.
        """
        values, positions = torch.cat(self.values), torch.cat(self.positions)
        order = values.sort(dim=0, descending=True, stable=True).indices[: self.top]
        strongest = values.gather(0, order)
        before = (self.earlier.unsqueeze(0) >= strongest.unsqueeze(1)).sum(1)  # images that come first
        is_among = before + torch.arange(len(order), device="cpu").unsqueeze(1) < self.top
        self._raise_least()
        rows = [row for row, index in enumerate(self.indices) if index in self.sample]
        tensors = {
            "values": values,
            "indices": torch.tensor(self.indices, dtype=torch.long, device="cpu"),
            "labels": torch.tensor([UNKNOWN if one is None else one for one in labels], dtype=torch.long, device="cpu"),
            "top_rows": order.int(),
            "top_positions": positions.gather(0, order).where(is_among, UNKNOWN),
            "sample_rows": torch.tensor(rows, dtype=torch.long, device="cpu"),
            "sample_positions": positions[rows],
        }
        self.clear()
        return tensors

    def resume(self, values: Tensor) -> None:
        """Go on after earlier images, of which the strongest peaks are known, (N, C)."""
        self.pending.append(values)
        self._raise_least()
        self.earlier = self.best

    def _matter(self, peaks: Tensor, span: slice, in_sample: Tensor) -> Tensor:
        """Which peaks are looked for, (B, C)."""
        least = self.least[span]
        if len(self.best) < self.top and len(peaks) > self.top:  # of the first batch half would be in vain
            least = peaks.topk(self.top, 0).values[-1].nextafter(peaks.new_tensor(-torch.inf))
        return (peaks > least) | in_sample.unsqueeze(1)

    def _raise_least(self) -> None:
        if self.pending:
            self.best = torch.cat([self.best, *self.pending])
            if len(self.best) > self.top:
                self.best = self.best.topk(self.top, 0).values
            if len(self.best) == self.top:
                self.least = self.best.amin(0)
            self.pending = []

    def _full(self, rows: int, value: float) -> Tensor:
        return torch.full((rows, self.total), value, dtype=torch.float32, device="cpu")


def find_spans(channels: Mapping[str, int]) -> dict[str, slice]:
    """The columns of each layer among all channels.

    >>> find_spans({"a": 2, "b": 3})
    {'a': slice(0, 2, None), 'b': slice(2, 5, None)}
    """
    spans, start = {}, 0
    for layer, count in channels.items():
        spans[layer] = slice(start, start + count)
        start += count
    return spans
