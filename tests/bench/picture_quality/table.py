"""The rows of the bench: what each recipe's pictures score, and what photographs score."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis import Classifier

from . import measures
from .networks import Photographs, Reading, channel_means, read
from .recipes import Recipe, Targets

TOP = 5
MEGABYTE = 2**20


@dataclass(frozen=True)
class Bench:
    """A subject, its judges, what is rendered, and the photographs for comparison.

    Args:
        subject: the network whose pictures are measured.
        judges: networks that took no part in the making, by name.
        targets: classes, or channels of a layer.
        photographs: None where there are none.
    """

    subject: Classifier
    judges: Mapping[str, Classifier]
    targets: Targets
    photographs: Photographs | None = None

    @cached_property
    def references(self) -> Mapping[str, Reading]:
        """What each judge reads in the photographs; empty without photographs."""
        if self.photographs is None:
            return {}
        return {judge: read(network, self.photographs.sources) for judge, network in self.judges.items()}

    @cached_property
    def excited(self) -> Tensor:
        """How much each photograph excites each target's channel, mean over positions, (N, B)."""
        assert self.photographs is not None
        assert self.targets.layer is not None
        means = channel_means(self.subject, self.targets.layer, self.photographs.sources)
        return means[:, list(self.targets.numbers)]

    def label(self, place: int) -> str:
        """What a picture is of."""
        number = self.targets.numbers[place]
        return self.subject.label(number) if self.targets.layer is None else f"{self.targets.layer}:{number}"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Args:
        name: of the recipe.
        values: by column.
        images: at the subject's size; None for photographs.
        answers: the first judge's answer to each picture, and whether it is right; none for channels.
    """

    name: str
    values: Mapping[str, float]
    images: Tensor | None = None
    answers: tuple[str, ...] = field(default=())


def measure_recipe(bench: Bench, name: str, recipe: Recipe, seed: int = 0) -> Row:
    """Make the pictures of a recipe, in measured time, and judge them."""
    images, costs = make_pictures(bench, recipe, seed)
    readings = {judge: read(network, images) for judge, network in bench.judges.items()}
    values = {**score(bench, images, readings), **pixel_values(bench, images), "steps": recipe.steps, **costs}
    shown = measures.resize_to(images, bench.subject.size)
    return Row(name, values, shown, _answers(bench, readings))


def make_pictures(bench: Bench, recipe: Recipe, seed: int) -> tuple[Tensor, dict[str, float]]:
    """Make pictures (B, 3, H, W), and say how many seconds and megabytes (on CUDA) that took."""
    on_cuda = bench.subject.device.type == "cuda"
    first = Targets(bench.targets.numbers[:1], bench.targets.layer)
    recipe.make(bench.subject, first, seed, 1)  # whatever happens once only
    if on_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    is_alone = bench.subject.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if is_alone else time.perf_counter  # the former, which other processes do not disturb
    start = clock()
    images = recipe.make(bench.subject, bench.targets, seed, recipe.steps).float().cpu()
    costs = {"seconds": clock() - start}
    if on_cuda:
        costs["MB"] = torch.cuda.max_memory_allocated() / MEGABYTE
    return images, costs


def score(bench: Bench, images: Tensor, readings: Mapping[str, Reading]) -> dict[str, float]:
    """What the subject and the judges say of pictures."""
    if bench.targets.layer is None:
        classes = torch.tensor(bench.targets.numbers)
        values = {"self": measures.top_share(read(bench.subject, images).logits, classes, 1)}
        for judge, reading in readings.items():
            values |= _name_shares(judge, reading.logits, classes)
    else:
        values = score_channels(bench, images, readings)
    for judge, reference in bench.references.items():
        values[f"{judge} near"] = measures.nearest_distance(readings[judge].features, reference.features)
        values[f"{judge} Fréchet"] = measures.frechet_distance(readings[judge].features, reference.features)
    return values


def score_channels(bench: Bench, images: Tensor, readings: Mapping[str, Reading]) -> dict[str, float]:
    """Share of pictures that excite their channel more than every photograph; how well judges match the two."""
    if bench.photographs is None:
        return {}
    layer, numbers = bench.targets.layer, list(bench.targets.numbers)
    assert layer is not None
    own = channel_means(bench.subject, layer, images)[range(len(images)), numbers]
    values = {"self": float((own > bench.excited.amax(0)).float().mean())}
    for judge, reference in bench.references.items():
        similarity = _cosines(readings[judge].features, reference.features)
        values[f"{judge} match"] = measures.match_share(similarity, _most_exciting(bench.excited))
    return values


def pixel_values(bench: Bench, images: Tensor) -> dict[str, float]:
    """Measures of the pictures alone; those that depend on resolution at the subject's size."""
    resized = measures.resize_to(images, bench.subject.size)
    return {
        "saturated": float(measures.saturated_share(images).mean()),
        "contrast": float(measures.contrast(resized).mean()),
        "roughness": float(measures.roughness(resized).mean()),
        "slope": float(measures.spectrum_slope(resized).mean()),
        "grey": measures.count_grey(resized),
    }


def measure_photographs(bench: Bench) -> Row:
    """What photographs themselves score: those of known classes by name, all by the other measures.

    Their distance is that of every photograph to the nearest other one, and of the two halves of them (every other
    one). For channels, the picture is the photograph that excites the channel most, and matched to the others.
    """
    photographs = bench.photographs
    assert photographs is not None
    values: dict[str, float] = {}
    classes = torch.tensor([photographs.classes[place] for place in photographs.named], dtype=torch.long)
    if bench.targets.layer is None:
        logits = read(bench.subject, photographs.sources).logits
        values["self"] = measures.top_share(logits[photographs.named], classes, 1)
    for judge, reading in bench.references.items():
        if bench.targets.layer is None:
            values |= _name_shares(judge, reading.logits[photographs.named], classes)
        else:
            values[f"{judge} match"] = _match_photographs(bench, reading.features)
        values[f"{judge} near"] = measures.nearest_distance(reading.features, reading.features)
        values[f"{judge} Fréchet"] = measures.frechet_distance(reading.features[::2], reading.features[1::2])
    images = bench.subject.load_batch(list(photographs.sources)).float().cpu()
    return Row("photographs", values | pixel_values(bench, images))


def _match_photographs(bench: Bench, features: Tensor) -> float:
    similarity = _cosines(features, features).fill_diagonal_(float("nan"))[bench.excited.argmax(0)]
    return measures.match_share(similarity, _most_exciting(bench.excited))


def _most_exciting(excited: Tensor) -> Tensor:
    """The quarter of the photographs that excites each channel most: (N, B) means -> a mask (B, N)."""
    count = max(2, len(excited) // 4)
    mask = torch.zeros_like(excited.T, dtype=torch.bool)
    return mask.scatter_(1, excited.topk(count, 0).indices.T, True)


def _cosines(features: Tensor, others: Tensor) -> Tensor:
    return F.normalize(features, dim=1) @ F.normalize(others, dim=1).T


def _name_shares(judge: str, logits: Tensor, classes: Tensor) -> dict[str, float]:
    return {f"{judge} top-{k}": measures.top_share(logits, classes, k) for k in (1, TOP)}


def _answers(bench: Bench, readings: Mapping[str, Reading]) -> tuple[str, ...]:
    if bench.targets.layer is not None or not readings:
        return ()
    judge, reading = next(iter(readings.items()))
    places = reading.logits.argsort(1, descending=True).argsort(1)
    ranks = places[range(len(places)), list(bench.targets.numbers)] + 1
    best = reading.logits.argmax(1).tolist()
    names = [bench.judges[judge].label(number).partition(",")[0] for number in best]
    return tuple(f"{judge}: {name} (own: {rank})" for name, rank in zip(names, ranks.tolist(), strict=True))


def format_rows(rows: Sequence[Row]) -> str:
    """A table in Markdown: columns in the order in which they first occur, "-" where a row has no number."""
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    lines = [["recipe", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row.name, *(_format(column, row.values.get(column)) for column in columns)] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _format(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    digits = {"steps": 0, "grey": 0, "MB": 0, "seconds": 1}.get(
        column, 3 if column in ("saturated", "roughness") else 2
    )
    return f"{value:.{digits}f}"
