"""Attribution: which channels, positions and groups of a layer carried an answer."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from optvis.attribution.captum import FromCaptum
from optvis.attribution.layer_function import Inquiry
from optvis.attribution.methods import METHODS, Ablation, GradientMethod, parts_of
from optvis.data.files import atomic_write, ensure_dir
from optvis.data.images import ImageLike
from optvis.features.groups import Groups
from optvis.features.units import Channels
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.tail import Tail
from optvis.objectives import Objective, as_objective, positions
from optvis.objectives.layout import channels_first
from optvis.progress import progress_bar
from optvis.rendering.setup import asked
from optvis.version import __version__
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.plots import plot_bars
from optvis.viz.result import png_path
from optvis.viz.sheet import encode_png, stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image

Method: TypeAlias = GradientMethod | Ablation | FromCaptum | str
BATCH_SIZE = 16  # whose upstream activations are held together
LEAST_SIDE = 192  # pixels of an image's height in plots


@dataclass(frozen=True, eq=False)
class Attribution:
    """How much of a score each part of a layer accounts for.

    Args:
        images: what was asked about, (B, 3, H, W) in [0, 1], on the CPU.
        layer: whose activations answer.
        of: what `values` are of: "activations" (methods with gradients), or the units that were switched off.
        values: in the score's own units; (B, ...) like the activations, or (B, C), (B, positions …), (B, K groups).
        activations: the layer's, (B, ...), on the CPU.
        scores: f(a), the question's answers, (B,).
        without: f(0), the answers with all of the layer at zero, (B,).
        recipe: everything that made it, in JSON's types.
        gradients: by which activations were multiplied, (B, ...); None for ablation.
        channel_axis: axis of the channels in the layer's output.
    """

    images: Tensor
    layer: str
    of: Literal["activations", "channels", "positions", "groups"]
    values: Tensor
    activations: Tensor
    scores: Tensor
    without: Tensor
    recipe: Mapping[str, Any]
    gradients: Tensor | None = None
    channel_axis: int | None = None

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def channels(self) -> Tensor:
        """Of each channel, over all its positions, (B, C).

        Raises:
            ValueError: something else was switched off.
        """
        if self.of == "activations":
            return positions(self.values, self.channel_axis).sum(2)
        return self._measured("channels")

    @cached_property
    def positions(self) -> Tensor:
        """Of each position, over all its channels, (B, H, W), or (B, T) for tokens.

        Raises:
            ValueError: something else was switched off.
        """
        if self.of == "activations":
            return channels_first(self.values, self.channel_axis).sum(1)
        return self._measured("positions")

    def by_group(self, groups: Groups) -> Tensor:
        """Of each group of an activation grid, Σ (map ⊗ direction) · gradient, (B, K).

        Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010.

        Args:
            groups: of the same images and layer.

        Raises:
            ValueError: this attribution has no gradients (`method=Ablation(groups)` asks groups exactly), or the
                groups are of others.
        """
        if self.gradients is None:
            raise ValueError(f"{self.recipe['method']} has no gradients; use method=Ablation(groups)")
        parts = parts_of(groups, self.layer, self.activations, self.channel_axis)
        return torch.stack([(part * self.gradients).flatten(1).sum(1) for part in parts], dim=1)

    def top(self, count: int = 10) -> Channels:
        """The channels that speak most for the answer, strongest first, on average over images.

        Args:
            count: how many at most; none that speaks against it.

        Raises:
            ValueError: count under 1; something else than channels was switched off.

        Example:
            >>> from optvis import attribute, load
            >>> from optvis.world import scene
            >>> from optvis.objectives import logit
            >>> ship = scene("container ship", seed=7).image
            >>> attribute(load("demo"), ship, "mixed5", logit("container ship")).top(3)
            Channels('mixed5', [..., ..., ...])
        """
        return self._chosen(self.channels.mean(0), count)

    def against(self, count: int = 10) -> Channels:
        """The channels that speak most against the answer, strongest first; see `top`."""
        return self._chosen(-self.channels.mean(0), count)

    def table(self, count: int = 10) -> str:
        """The channels that speak most for the answer and most against it, on average over images, as text.

        Args:
            count: how many of each at most.

        Raises:
            ValueError: as in `top`.
        """
        mean = self.channels.mean(0)
        rows = [*self.top(count).indices, *reversed(self.against(count).indices)]
        total = f"{float(self.scores.mean()):+.4g}, and {float(self.without.mean()):+.4g} without all of {self.layer}"
        return "\n".join(
            [f"{self.recipe['question']}: {total}", *(f"{index:>9}  {float(mean[index]):+10.4g}" for index in rows)]
        )

    @property
    def gaps(self) -> Tensor:
        """How far attributions are from adding up, `|Σ − (f(a) − f(0))| / |f(a) − f(0)|`, (B,)."""
        whole = self.scores - self.without
        return (self.values.flatten(1).sum(1) - whole).abs() / whole.abs()

    def overlay(self, place: int = 0, extent: float | None = None) -> Tensor:
        """One image with its positions' attribution over it, (3, H, W): orange speaks for, violet against.

        Args:
            place: which image.
            extent: the attribution that gets the full colour; by default the largest absolute one of this image.

        Raises:
            ValueError: something else than positions was switched off; positions that are no map.
        """
        values = self.positions[place]
        if values.dim() != 2:
            raise ValueError(f"positions of {self.layer!r} are {tuple(values.shape)}, no map; see .positions")
        return overlay_heatmap(self.images[place], values, extent)

    def plot(self, top: int = 8) -> Image.Image:
        """Each image, its overlay, and its strongest channels, as far as they were asked.

        Args:
            top: how many channels.
        """
        return stack_rows([self._plotted(place, top) for place in range(len(self))])

    def save(self, path: str | Path) -> Path:
        """Write the plot as PNG with the recipe in it; returns its path. Written whole or not at all.

        Raises:
            ValueError: a path that does not end in .png.
            OSError: the folder cannot be written.
        """
        target = png_path(path)
        ensure_dir(target.parent)
        return atomic_write(target, encode_png(self.plot(), json.dumps(dict(self.recipe))))

    def _plotted(self, place: int, top: int) -> list[Image.Image]:
        _, height, width = self.images[place].shape
        side = max(height, LEAST_SIDE)
        tiles = [self.images[place]]
        if self.of in ("activations", "positions") and self.positions.dim() == 3:
            tiles.append(self.overlay(place))
        row = [to_pil_image(tile).resize((side * width // height, side)) for tile in tiles]
        if self.of != "positions":
            values = self.values[place] if self.of == "groups" else self.channels[place]
            best = values.abs().topk(min(top, len(values))).indices
            word = "group" if self.of == "groups" else "channel"
            texts = [f"{word} {index}" for index in best.tolist()]
            row.append(plot_bars(values[best].tolist(), texts, (side, side * 3 // 2)))
        return row

    def _repr_png_(self) -> bytes:
        return encode_png(self.plot())

    def _chosen(self, strengths: Tensor, count: int) -> Channels:
        if count < 1:
            raise ValueError(f"count is {count}; expected 1 or more")
        best = strengths.topk(min(count, len(strengths)))
        return Channels(self.layer, best.indices[best.values > 0].tolist(), channel_axis=self.channel_axis)

    def _measured(self, wanted: str) -> Tensor:
        if self.of != wanted:
            raise ValueError(
                f"{self.of} were switched off, not {wanted}; use method=Ablation({wanted!r}), or one with gradients"
            )
        return self.values

    def __repr__(self) -> str:
        return f"Attribution({len(self)} images, {self.layer!r}, {self.recipe['question']}, of {self.of})"


def attribute(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layer: str,
    question: Objective | str,
    *,
    method: Method = "halved",
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = False,
) -> Attribution:
    """Which channels and positions of a layer carried an answer: the same questions that `render` maximises.

    Args:
        model: a network, or a Classifier.
        images: a photograph in any form that `load_image` takes, or a list of them.
        layer: name as in `layers(net)`.
        question: a score per image, e.g. `logit("container ship") - logit("ocean liner")`; one for all images, or one
            for each. One image may be asked several.
        method: "halved", the nearest to switching each channel off that 32 passes give; "gradient", "path",
            "stochastic", "smooth"; "ablation", which does switch off each channel; or one of
            `optvis.attribution.methods`, or `FromCaptum` of `optvis.attribution.captum`.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        progress: show a progress bar.

    Returns:
        An Attribution: `.channels`, `.positions`, `.top(5)`, `.plot()`.

    Raises:
        KeyError, ValueError, TypeError: layers, labels or methods that do not exist; a question that does not depend on
            the layer, or compares images; as in `load_image`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> from optvis.objectives import logit
        >>> net, ship = load("demo"), scene("container ship", seed=7).image
        >>> found = attribute(net, ship, "mixed5", logit("container ship") - logit("ocean liner"))
        >>> found.channels.shape, found.positions.shape
        (torch.Size([1, 192]), torch.Size([1, 12, 12]))
    """
    how = named_method(method)
    classifier = as_classifier(model, normalize)
    seen, objective = _matched(classifier.load_batch(images), asked(question, classifier))
    moved = objective.to(classifier.device, classifier.image_dtype)
    pieces = [slice(start, start + BATCH_SIZE) for start in range(0, len(seen), BATCH_SIZE)]
    with borrow(classifier.network):
        found = [_piece(classifier, seen, moved, layer, how, channel_axis, rows) for rows in _bar(pieces, progress)]
    joined = {key: torch.cat([part[key] for part in found]).cpu() for key in found[0]}
    recipe = _recipe(classifier, layer, question, how)
    return Attribution(seen.cpu(), layer, _of(how), recipe=recipe, channel_axis=channel_axis, **joined)


def named_method(method: Method) -> GradientMethod | Ablation | FromCaptum:
    """A method by its name, or itself.

    Raises:
        ValueError: no method is so called.
        TypeError: it is none.
    """
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(f"no method {method!r}; there are {', '.join(map(repr, METHODS))}")
        return METHODS[method]
    if not isinstance(method, Ablation | FromCaptum) and not hasattr(method, "gradients"):
        raise TypeError(f"method is {method!r}; expected a name, or one of optvis.attribution.methods")
    return method


def _matched(images: Tensor, question: Objective) -> tuple[Tensor, Objective]:
    """As many images as questions.

    Raises:
        ValueError: there are several of both, and not as many; the question compares images.
    """
    if question.couples_images:
        raise ValueError(f"{question} compares images; attribution asks of each image alone")
    if len(images) > 1 and question.batch not in (1, len(images)):
        raise ValueError(f"{len(images)} images and {question.batch} questions; give one of either, or as many")
    return (images.expand(question.batch, -1, -1, -1) if len(images) == 1 else images), question


def _piece(
    classifier: Classifier,
    images: Tensor,
    question: Objective,
    layer: str,
    how: GradientMethod | Ablation | FromCaptum,
    channel_axis: int | None,
    rows: slice,
) -> dict[str, Tensor]:
    """The tensors of an Attribution for some of the images."""
    tail = Tail(classifier.network, images[rows], classifier.preprocess(images[rows]), layer)
    inquiry = Inquiry(tail, question[rows], channel_axis, rows)
    a = inquiry.activations
    scores, without = inquiry.scores(torch.stack([a, torch.zeros_like(a)]))
    found = {"activations": a, "scores": scores, "without": without}
    if isinstance(how, Ablation):
        return found | {"values": how.drops(inquiry)}
    if isinstance(how, FromCaptum):
        return found | {"values": how.values(inquiry)}
    gradients = how.gradients(inquiry)
    return found | {"gradients": gradients, "values": gradients * a}


def _of(how: GradientMethod | Ablation | FromCaptum) -> Literal["activations", "channels", "positions", "groups"]:
    if not isinstance(how, Ablation):
        return "activations"
    return how.of if isinstance(how.of, str) else "groups"


def _recipe(classifier: Classifier, layer: str, question: Objective | str, how: object) -> dict[str, Any]:
    return {
        "network": classifier.name,
        "layer": layer,
        "question": repr(as_objective(question)),
        "method": repr(how),
        "normalize": repr(classifier.normalize),
        "dtype": str(classifier.image_dtype),
        "device": str(classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _bar(pieces: Sequence[slice], progress: bool) -> Any:
    return progress_bar(pieces, show=progress, description="attribute")


__all__ = ["Attribution", "attribute"]
