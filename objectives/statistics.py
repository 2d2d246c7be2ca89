"""Priors: images whose activations have the mean and the variance that a network knows from photographs."""

from __future__ import annotations

from collections.abc import Sequence

from optvis.objectives.objective import Objective
from optvis.objectives.statistics_term import (
    Per,
    RunningStatistics,
    Statistics,
    check_per,
    statistics_distance,
    statistics_term,
)
from optvis.objectives.term import Term, own_options


def activation_statistics(
    statistics: Statistics,
    *,
    weights: Sequence[float] | None = None,
    per: Per = "image",
    relative: bool = False,
    channel_axis: int | None = None,
) -> Objective:
    """Measure how far the mean and the variance of channels are from given ones. Subtract it: it is a distance.

    Σ_layers w (‖mean(A) − mean‖₂ + ‖var(A) − var‖₂), with norms over channels, and mean and variance (the mean of
    squared deviations) over positions. It is the prior of DeepInversion (Yin et al. 2020, arXiv:1912.08795, eq. 4) for
    any layers; `batchnorm_statistics` is the same with the statistics that a network carries.

    Args:
        statistics: by layer, the mean and the variance of its channels, both (C,), or (B, C) with a row per image:
            what `optvis.features.measure_statistics(model, images)` returns, or a dictionary. "bn1@input" is what a
            layer takes, "conv1" what it gives.
        weights: a weight w per layer; 1 by default.
        per: "image" takes mean and variance of each image alone. "batch", as in the paper, takes them of all images
            and views together: each image gets the same score, and the batch cannot be split.
        relative: divide differences of means by the standard deviation, those of variances by the variance, and norms
            by √C; and average over layers instead of summing up. Then a weight fits all networks. To the variance is
            added 0.001 of the layer's mean variance, for channels that never vary.
        channel_axis: axis of the channels in all these layers; by default the one of the measured statistics, else
            axis 1, or axis 2 of three.

    Raises:
        ValueError: no statistics, or of different shapes; weights that are not one per layer; at the first step,
            statistics of another number of channels than the layer has.

    Example:
        >>> import torch
        >>> prior = activation_statistics({"conv1": ([2.0], [1.0])})
        >>> prior({"conv1": torch.tensor([[[[1.0, 3.0]]], [[[5.0, 7.0]]]])})
        tensor([0., 4.])
    """
    axis = getattr(statistics, "channel_axis", None) if channel_axis is None else channel_axis
    return Objective((statistics_term(statistics, weights, per, relative, axis, "activation_statistics"),))


def batchnorm_statistics(
    layers: Sequence[str] | str | None = None,
    *,
    weights: Sequence[float] | None = None,
    per: Per = "image",
    relative: bool = False,
) -> Objective:
    """Measure how far inputs of BatchNorm layers are from their running mean and variance. Subtract it.

    Σ_layers w (‖mean − running_mean‖₂ + ‖var − running_var‖₂), with mean and variance of the layer's input: the prior
    of DeepInversion (Yin et al. 2020, arXiv:1912.08795, eq. 4). The network carries these statistics of its training
    images, so that the prior needs no images. They are read once, when a network is given to `render` and the like.

    Args:
        layers: names of BatchNorm layers, or one; by default all that run, in this order.
        weights: a weight w per layer; 1 by default. The paper's code gives the first layer 10.
        per: "image" takes mean and variance of each image alone. "batch", as in the paper, takes them of all images
            and views together: each image gets the same score, and the batch cannot be split.
        relative: see `activation_statistics`; then a weight fits all networks.

    Raises:
        ValueError: a network without such layers; weights that are not one per layer.
        KeyError: a layer that is no BatchNorm with running statistics.

    Example:
        >>> from optvis.objectives import logit
        >>> logit(17) - 0.01 * batchnorm_statistics()
        logit(17) - 0.01 * batchnorm_statistics()
    """
    layers = [layers] if isinstance(layers, str) else layers
    chosen = RunningStatistics(
        None if layers is None else tuple(layers),
        None if weights is None else tuple(map(float, weights)),
        relative,
    )
    if layers is not None and weights is not None and len(layers) != len(weights):
        raise ValueError(f"{len(weights)} weights for {len(layers)} layers; expected one per layer")
    check_per(per)
    term = Term(
        "batchnorm_statistics",
        (),
        statistics_distance,
        (chosen,),
        own_options(statistics_distance, per=per),
        couples_images=per == "batch",
        pools_images=per == "batch",
        factory="batchnorm_statistics",
    )
    return Objective((term,))
