"""The numbers of a shard: peaks of all channels of all layers, and where those are that may matter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from optvis.features.peaks import Locate, find_peaks, find_totals
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.outputs.finite import check_finite
from optvis.survey.visit import visit_activations, visit_attributions

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
        target: index of a class, for attributions to its logit in place of activations.

    Attributes:
        least: the `top`-th largest peak of each channel so far, (C,); minus infinity where there are fewer.
    """

    def __init__(
        self,
        classifier: Classifier,
        channels: Mapping[str, int],
        top: int,
        sample: Collection[int],
        channel_axis: int | None = None,
        target: int | None = None,
    ) -> None:
        self.target = target
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
        values = self._full(len(images), 0)
        # Of a layer on which the score does not depend all attributions are zero, and the first of them is largest.
        start = UNKNOWN if self.target is None else 0
        positions = torch.full((len(images), self.total), start, dtype=torch.int32, device="cpu")
        in_sample = torch.tensor([index in self.sample for index in indices], device="cpu")

        def record(layer: str, peaks: Tensor, locate: Locate) -> None:
            span = self.spans[layer]
            values[:, span] = peaks
            rows, columns = self._matter(peaks, span, in_sample).nonzero().T
            if len(rows):
                positions[rows, columns + span.start] = locate(rows, columns).int()

        def visit(layer: str, a: Tensor, same: str | None) -> None:
            if same is None:
                record(layer, *find_peaks(a, self.channel_axis)[:2])
            else:
                values[:, self.spans[layer]] = values[:, self.spans[same]]
                positions[:, self.spans[layer]] = positions[:, self.spans[same]]

        self._visit(images, visit, record, values)
        self.indices += indices
        self.values.append(values)
        self.positions.append(positions)
        self.pending.append(values)
        self.count += len(indices)
        if self.count >= self.due:  # as often as the number of images doubles, and with each shard
            self._raise_least()
            self.due = 2 * self.count

    def _visit(
        self,
        images: Tensor,
        visit: Callable[[str, Tensor, str | None], None],
        record: Callable[[str, Tensor, Locate], None],
        values: Tensor,
    ) -> None:
        """Run the network; `visit` takes activations, and `record` sums of attributions. Refuse NaN and infinity."""
        network, target = self.classifier.network, self.target
        with borrow(network), torch.no_grad():
            inputs = self.classifier.preprocess(images)
            if target is None:
                visit_activations(network, inputs, self.layers, visit)
            else:
                head = self.classifier.read_head(images)
                visit_attributions(
                    network,
                    inputs,
                    self.layers,
                    lambda output: head.logits(output)[:, target],
                    lambda layer, a: record(layer, *find_totals(a, self.channel_axis)),
                )
            if not bool(values.isfinite().all()):
                what = "activations" if target is None else "attributions"
                for layer, span in self.spans.items():
                    check_finite(values[:, span], f"the {what} of {layer!r}", network, inputs)

    def take_shard(self, labels: Sequence[int | None]) -> dict[str, Tensor]:
        """End the shard, and return its tensors.

        Args:
            labels: the class of each image that was recorded.
        """
        values = torch.cat([self._full(0, 0), *self.values])
        positions = torch.cat([self._full(0, 0).int(), *self.positions])
        order = values.sort(dim=0, descending=True, stable=True).indices[: self.top]
        self._raise_least()
        rows = [row for row, index in enumerate(self.indices) if index in self.sample]
        tensors = {
            "values": values,
            "indices": torch.tensor(self.indices, dtype=torch.long, device="cpu"),
            "labels": torch.tensor([UNKNOWN if one is None else one for one in labels], dtype=torch.long, device="cpu"),
            "top_rows": order.int(),
            "top_positions": _forget(positions.gather(0, order), values.gather(0, order), self.earlier, self.top),
            "sample_rows": torch.tensor(rows, dtype=torch.long, device="cpu"),
            "sample_positions": positions[rows],
        }
        self.clear()
        return tensors

    def take_over(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Go on after a shard that another recorder has recorded by itself; return it as this one had recorded it."""
        strongest = tensors["values"].gather(0, tensors["top_rows"].long())
        positions = _forget(tensors["top_positions"], strongest, self.earlier, self.top)
        self.resume(strongest)
        return {**tensors, "top_positions": positions}

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


def _forget(positions: Tensor, strongest: Tensor, earlier: Tensor, top: int) -> Tensor:
    """Forget where the strongest peaks of a shard are that come after `top` peaks of earlier shards, (K, C) each."""
    before = (earlier.unsqueeze(0) >= strongest.unsqueeze(1)).sum(1)  # images that come first
    is_among = before + torch.arange(len(strongest), device="cpu").unsqueeze(1) < top
    return positions.where(is_among, UNKNOWN)


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
