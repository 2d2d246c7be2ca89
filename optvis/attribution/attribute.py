"""attribute(): how much each channel, position or group of a layer contributes to a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from optvis.attribution.image_tail import ImageTail
from optvis.attribution.layer_function import LayerFunction, widen
from optvis.attribution.methods import AttributionMethod
from optvis.attribution.names import METHODS
from optvis.attribution.result import Attribution, UnitKind
from optvis.data.images import ImageLike
from optvis.errors import warn_user
from optvis.features.feature_network import FEATURES, describe_features, expose_features, name_features
from optvis.features.groups import Groups
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.provenance import provenance
from optvis.models.tail import Tail
from optvis.objectives import IMAGE, Objective, as_objective
from optvis.objectives.layout import ALL, CLASS, name_tokens, split_tokens
from optvis.progress import progress_bar
from optvis.rendering.setup import resolve_objective

UNIT_KINDS = get_args(UnitKind)
LAYER_METHOD, PIXEL_METHOD = "midpoint", "integrated_gradients"  # by default
BATCH_SIZE = 16  # images whose activations upstream of the layer are in memory together


@plain_mode()
def attribute(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    layer: str,
    objective: Objective | str,
    *,
    features: Any = None,
    method: AttributionMethod | str | None = None,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
    progress: bool = True,
) -> Attribution:
    """Attribute a score to the channels and positions of a layer, or to the features of its autoencoder.

    Args:
        images: an image in any form that `load_image` takes, or a list of them.
        layer: name as in `layers(net)`; "<image>" attributes to the pixels.
        objective: a score per image, e.g. `logit("container ship") - logit("ocean liner")`: the objectives that
            `render` maximises. One for all images, or one for each; one image may have several.
        features: a sparse autoencoder of the layer, see `optvis.Features`: its features take the place of channels, and
            their codes that of activations. What it does not reconstruct is kept, also in `baseline_scores`.
        method: "midpoint", which approximates the ablation of each channel, the default at a layer; "grad_x_activation"
            (of pixels, input × gradient), "integrated_gradients", the default of pixels, "stochastic_ig", "smoothgrad";
            "ablation", which sets each channel to zero in turn; "saliency", the size of the gradient; "occlusion",
            which hides squares; one of `optvis.attribution` with options, `FromCaptum`, or an object of your own with
            a function `gradients(layer_function)` or `values(layer_function)`, see `AttributionMethod`.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        progress: show a progress bar, where the images need more than one batch.
        model, normalize: see `render`.

    Raises:
        KeyError, ValueError, TypeError: layers, labels or methods that do not exist; an objective that does not depend
            on the layer, or compares images; a method that returns another shape; as in `load_image`. NotFiniteError:
            activations, scores or attributions are NaN or infinite.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> from optvis.objectives import logit
        >>> net, ship = load("demo"), scene("container ship", seed=7).image
        >>> attribution = attribute(net, ship, "mixed5", logit("container ship") - logit("ocean liner"), progress=False)
        >>> attribution.channels.shape, attribution.positions.shape
        (torch.Size([1, 192]), torch.Size([1, 12, 12]))
        >>> pixels = attribute(net, ship, "<image>", logit("container ship"), method="saliency", progress=False)
        >>> pixels.positions.shape
        torch.Size([1, 96, 96])
    """
    layer = name_tokens(layer, tokens)
    resolved = resolve_method(method, layer)
    units = unit_kind(resolved)
    classifier, place = as_classifier(model, normalize), layer
    if features is not None:
        place = name_features(layer)
        classifier = expose_features(classifier, layer, features, name=FEATURES, channel_axis=channel_axis)
    each = resolve_objective(objective, classifier).to(classifier.device, classifier.image_dtype)
    loaded = classifier.load_batch(images)
    each = each.with_head(lambda: classifier.read_head(loaded))
    batch = _match_images(loaded, each)
    rows = [slice(start, start + BATCH_SIZE) for start in range(0, len(batch), BATCH_SIZE)]
    text = repr(as_objective(objective))
    with borrow(classifier.network):
        parts = [
            _attribute_batch(classifier, batch, each, place, resolved, channel_axis, some)
            for some in progress_bar(rows, show=progress and len(rows) > 1, description="attribute")
        ]
    tensors = {key: widen(torch.cat([part[key] for part in parts])).cpu() for key in parts[0]}
    recipe = provenance(classifier, "attribute", layer=layer, objective=text, **describe_method(resolved))
    if features is not None:
        recipe["features"] = describe_features(classifier)
    own: dict[str, Any] = {"recipe": recipe, "channel_axis": channel_axis, "sae": features, **tensors}
    return Attribution(batch.cpu(), layer, units, text, **own)


def describe_method(method: AttributionMethod) -> dict[str, str]:
    """The fields of a recipe that name a method and say how it finds the values."""
    name = repr(method)
    description = getattr(method, "description", f"by {name.partition('(')[0]}")
    return {"attribution_method": name, "attribution_description": description}


def resolve_method(method: AttributionMethod | str | None, layer: str) -> AttributionMethod:
    """Look up a method by its name; return objects as they are, and for None the layer's default.

    Raises:
        ValueError, TypeError: it is no method.
    """
    if method is None:
        return METHODS[PIXEL_METHOD if layer == IMAGE else LAYER_METHOD]
    if isinstance(method, str):
        if method not in METHODS:
            raise ValueError(f"no method {method!r}; there are {', '.join(map(repr, METHODS))}")
        return METHODS[method]
    if isinstance(method, type) or not (hasattr(method, "gradients") or hasattr(method, "values")):
        raise TypeError(
            f"method is {method!r}; expected a name, or an object with gradients(layer_function) or "
            "values(layer_function), such as those of optvis.attribution.methods"
        )
    return method


def unit_kind(method: AttributionMethod) -> UnitKind:
    """What a method's values are of: its attribute `units`, by default "activations"."""
    units: Any = getattr(method, "units", "activations")
    kind: UnitKind = "groups" if isinstance(units, Groups) else units
    if kind not in UNIT_KINDS:
        raise ValueError(f"units of {method!r} are {units!r}; expected one of {', '.join(map(repr, UNIT_KINDS))}")
    return kind


def _match_images(images: Tensor, objective: Objective) -> Tensor:
    """Repeat a single image for several objectives.

    Raises:
        ValueError: an objective that compares images, or changes with the step, or is for another number of images.
    """
    if objective.couples_images:
        raise ValueError(f"{objective} compares images; attribution needs a score of each image alone")
    if objective.has_schedule:
        raise ValueError(f"{objective} changes with the step, and attribution has none; give objective.at_step(step)")
    if len(images) > 1 and objective.batch not in (1, len(images)):
        raise ValueError(f"{len(images)} images and {objective.batch} objectives; give one of either, or as many")
    return images.expand(objective.batch, -1, -1, -1) if len(images) == 1 else images


def _attribute_batch(
    classifier: Classifier,
    images: Tensor,
    objective: Objective,
    layer: str,
    method: AttributionMethod,
    channel_axis: int | None,
    rows: slice,
) -> dict[str, Tensor]:
    """Compute the tensors of an Attribution for some of the images."""
    tail = build_tail(classifier, images[rows], layer)
    layer_function = LayerFunction(tail, objective[rows], channel_axis, rows, len(images))
    a = layer_function.activations
    scores, baseline_scores = layer_function.scores(torch.stack([a, torch.zeros_like(a)]))

    def check(what: str, values: Tensor) -> None:
        check_finite(values, f"{what} of {classifier.name}", tail.network, tail.inputs)

    check(f"the activations of {layer!r}", a)
    check("the scores", torch.stack([scores, baseline_scores]))
    tensors = {"activations": a, "scores": scores, "baseline_scores": baseline_scores}
    if bool(a.any()) and torch.equal(scores, baseline_scores):
        _warn_of_patches(tail, objective)
    if hasattr(method, "values"):
        values = method.values(layer_function)
        _check_shape(values, layer_function, method, unit_kind(method))
        check("the attributions", values)
        return tensors | {"values": values}
    gradients = method.gradients(layer_function)
    _check_shape(gradients, layer_function, method, "activations")
    check("the attributions", gradients)
    return tensors | {"gradients": gradients, "values": widen(gradients) * widen(a)}


def _warn_of_patches(tail: Tail | ImageTail, objective: Objective) -> None:
    """Warn where a score does not change without a transformer's patches, which its class token has read before."""
    layout = tail.view.layout if isinstance(tail, Tail) else None
    if layout is not None and layout.prefix and split_tokens(tail.layer)[1] is None:
        others = " or ".join(repr(name_tokens(tail.layer, tokens)) for tokens in (CLASS, ALL))
        warn_user(
            f"{objective} is the same without the patches of {tail.layer!r}: what follows reads other tokens; "
            f"attribute to {others}, or to an earlier layer"
        )


def build_tail(classifier: Classifier, images: Tensor, layer: str) -> Tail | ImageTail:
    """Build the function that is attributed: the network behind a layer, or all of it."""
    if layer == IMAGE:
        return ImageTail(classifier, images)
    return Tail(classifier.network, images, classifier.preprocess(images), layer)


def _check_shape(values: object, layer_function: LayerFunction, method: object, units: UnitKind) -> None:
    """Raise ValueError where a method returns anything but a tensor of the shape that its units have."""
    count, channels, *places = layer_function.channels_first.shape
    expected: dict[UnitKind, tuple[int, ...]] = {
        "activations": tuple(layer_function.activations.shape),
        "channels": (count, channels),
        "positions": (count, *places),
    }
    came = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    if units in expected and came != expected[units]:
        raise ValueError(f"{method!r} returns {came} for {units}; expected {expected[units]}")
