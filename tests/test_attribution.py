"""Attribution: against the exact values of a template network, against naive loops, and against each other."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Attribution, Classifier, attribute, load
from optvis.attribution.captum import FromCaptum
from optvis.attribution.methods import (
    Ablation,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    SmoothGrad,
    StochasticIntegratedGradients,
)
from optvis.attribution.names import METHODS
from optvis.features.groups import group
from optvis.features.units import Channels
from optvis.objectives import After, channel, diversity, logit, on, position_norm
from optvis.world import LABELS, scene

from . import template_network

SHORT = {
    "midpoint": MidpointAblation(4),
    "grad_x_activation": GradientTimesActivation(),
    "integrated_gradients": IntegratedGradients(8),
    "stochastic_ig": StochasticIntegratedGradients(8),
    "smoothgrad": SmoothGrad(4, deviation=0.0),
}


@pytest.fixture(scope="module")
def ships():
    return torch.stack([scene(label, seed=3).image for label in ("container ship", "ocean liner", "lighthouse")])


@pytest.fixture
def small():
    """A network with a nonlinear tail, float64."""
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 16, 3)
    )
    return Classifier(net.double(), None, 8, labels=("a", "b", "c"))


def random_images(batch=2):
    return torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


# Linear tails: every method is exact


@pytest.mark.parametrize("method", [*SHORT, "ablation"])
def test_on_a_linear_tail_every_method_is_exact(method):
    images = template_network.templates()[:6]
    truth = template_network.attribution(images)[torch.arange(6), 0]
    how = SHORT.get(method, method)
    if method == "stochastic_ig":  # which scales channels, and the gradient of a linear tail is the same everywhere
        how = StochasticIntegratedGradients(2)
    found = attribute(template_network.template_classifier(), images, "relu", logit(0), method=how)
    torch.testing.assert_close(found.channels, truth, rtol=1e-4, atol=1e-5)


def test_ablation_is_the_known_drop_of_the_template_network():
    images = template_network.templates()[:3]
    found = attribute(template_network.template_classifier(), images, "relu", logit(2), method="ablation").channels
    for index in (8, 9, 11, 40):
        torch.testing.assert_close(
            found[:, index], template_network.logit_drop(images, [index])[:, 2], rtol=1e-4, atol=1e-5
        )


def test_at_the_last_stage_of_the_embedded_network_gradients_are_exact(demo, ships):
    exact = attribute(demo, ships, "mixed5", logit("container ship"), method="ablation").channels
    found = attribute(demo, ships, "mixed5", logit("container ship"), method="grad_x_activation").channels
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-5)


# Exact ablation against naive loops


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_ablation_of_channels_is_the_naive_loop(small, layer):
    images = random_images()
    found = attribute(small, images, layer, logit("b") - 2 * logit("c"), method="ablation").channels
    score = lambda out: out[:, 1] - 2 * out[:, 2]  # noqa: E731
    place = small.network[int(layer)]
    with torch.no_grad():
        whole = score(small.network(images.clone()))
        for index in range(found.shape[1]):

            def off(_module, _inputs, output, index=index):
                without = output.clone()
                without[:, index] = 0
                return without

            handle = place.register_forward_hook(off)
            torch.testing.assert_close(found[:, index], whole - score(small.network(images.clone())))
            handle.remove()


def test_ablation_of_positions_is_the_naive_loop(small):
    images = random_images()
    found = attribute(small, images, "1", logit(0), method=Ablation("positions")).positions
    assert found.shape == (2, 6, 6)
    with torch.no_grad():
        a = small.network[:2](images.clone())
        for y, x in ((0, 0), (2, 5), (5, 3)):
            without = a.clone()
            without[:, :, y, x] = 0
            torch.testing.assert_close(found[:, y, x], (small.network[2:](a) - small.network[2:](without))[:, 0])


def test_ablation_of_groups_subtracts_them(small):
    images = random_images()
    with torch.no_grad():
        a = small.network[:2](images.clone())
        groups = group(a, 3, layer="1")
        found = attribute(small, images, "1", logit(0), method=Ablation(groups))
        parts = torch.einsum("bkhw,kc->kbchw", groups.maps.double(), groups.directions.double())
        expected = torch.stack([(small.network[2:](a) - small.network[2:](a - part))[:, 0] for part in parts], 1)
    torch.testing.assert_close(found.values, expected)
    with pytest.raises(ValueError, match=r"maps of groups .* for 1 image; expected 1 on the first axis"):
        attribute(small, images[:1], "1", logit(0), method=Ablation(groups))


def test_by_group_is_map_times_direction_times_gradient(small):
    images = random_images()
    found = attribute(small, images, "1", logit(0), method="grad_x_activation")
    groups = group(found.activations, 3, layer="1")
    maps, directions = groups.maps.numpy(), groups.directions.numpy()
    expected = np.einsum("bkhw,kc,bchw->bk", maps, directions, found.gradients.numpy())
    np.testing.assert_allclose(found.by_group(groups).numpy(), expected, rtol=1e-6)


# Completeness, midpoints and noise


def test_integrated_gradients_add_up_and_more_steps_add_up_better(small):
    methods = [IntegratedGradients(steps) for steps in (5, 50, 500)]
    gaps = [attribute(small, random_images(8), "1", logit(0), method=how).completeness_gap.mean() for how in methods]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-3


def test_integrated_gradients_are_the_mean_over_midpoints(small):
    images = random_images()
    found = attribute(small, images, "1", logit(1), method=IntegratedGradients(4))
    with torch.no_grad():
        a = small.network[:2](images.clone())
    gradients = []
    for share in (0.125, 0.375, 0.625, 0.875):
        start = (a * share).requires_grad_()
        gradients.append(torch.autograd.grad(small.network[2:](start)[:, 1].sum(), start)[0])
    torch.testing.assert_close(found.values, torch.stack(gradients).mean(0) * a)


def test_midpoint_ablation_takes_each_channel_s_gradient_where_its_fold_is_halved(small):
    images = random_images(1)
    found = attribute(small, images, "1", logit(1), method=MidpointAblation(2)).channels[0]
    with torch.no_grad():
        a = small.network[:2](images.clone())

    def values(start):
        start = start.clone().requires_grad_()
        gradient = torch.autograd.grad(small.network[2:](start)[:, 1].sum(), start)[0]
        return (gradient * a).sum((0, 2, 3))

    order = values(a).abs().argsort(descending=True)
    for fold in (order[::2], order[1::2]):
        halved = a.clone()
        halved[:, fold] /= 2
        torch.testing.assert_close(found[fold], values(halved)[fold])


def test_midpoint_ablation_with_a_fold_for_each_channel_is_the_midpoint_rule(small):
    """For a score that is quadratic in each channel the midpoint rule is exact."""
    square = on("0", lambda a: a.square().flatten(1).sum(1))
    found = attribute(small, random_images(), "0", square, method=MidpointAblation(6)).channels
    exact = attribute(small, random_images(), "0", square, method="ablation").channels
    torch.testing.assert_close(found, exact)


def test_noise_without_deviation_changes_nothing(small):
    quiet, plain = (
        attribute(small, random_images(), "1", logit(0), method=how).values
        for how in (SmoothGrad(3, deviation=0), GradientTimesActivation())
    )
    torch.testing.assert_close(quiet, plain)


@pytest.mark.parametrize("method", [SmoothGrad(4), StochasticIntegratedGradients(4)])
def test_random_methods_are_seeded(small, method):
    one, again = (attribute(small, random_images(), "1", logit(0), method=method).values for _ in range(2))
    other = attribute(small, random_images(), "1", logit(0), method=type(method)(4, seed=1)).values
    assert one.equal(again)
    assert not one.equal(other)


# Captum, a second implementation and a source of methods


def test_captum_s_integrated_gradients_are_ours(small):
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    theirs = FromCaptum(captum.IntegratedGradients, {"n_steps": 16, "method": "riemann_middle"})
    found = attribute(small, random_images(), "1", logit(["a", "b"]), method=theirs)
    ours = attribute(small, random_images(), "1", logit(["a", "b"]), method=IntegratedGradients(16))
    torch.testing.assert_close(found.values, ours.values)


@pytest.mark.parametrize("images", [0, 1, 2])
def test_captum_s_feature_ablation_is_our_exact_ablation_also_with_a_mask(small, images):
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    mask = torch.arange(6).view(1, 6, 1, 1).expand(images, 6, 6, 6)
    options = {"feature_mask": mask} if images else {}
    found = attribute(small, random_images(), "1", logit(1), method=FromCaptum(captum.FeatureAblation, options))
    ours = attribute(small, random_images(), "1", logit(1), method="ablation")
    torch.testing.assert_close(found.channels, ours.channels)


CAPTUM_WORKS = {
    "Saliency": {},
    "InputXGradient": {},
    "IntegratedGradients": {"n_steps": 2},
    "GradientShap": {"baselines": torch.zeros(1, 6, 6, 6, dtype=torch.float64), "n_samples": 2},
    "FeatureAblation": {},
    "Occlusion": {"sliding_window_shapes": (6, 4, 4)},
    "ShapleyValueSampling": {"n_samples": 1},
    "ShapleyValues": {"feature_mask": (torch.arange(6) // 3).view(1, 6, 1, 1).repeat(1, 1, 6, 6)},
    "KernelShap": {"n_samples": 3},
    "Lime": {"n_samples": 3},
}


def list_captum_methods():
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    return [name for name in captum.__all__ if hasattr(getattr(captum, name), "attribute")]


@pytest.mark.parametrize("name", list_captum_methods())
def test_every_method_of_captum_works_or_is_refused_in_one_sentence(small, name):
    method = getattr(pytest.importorskip("captum.attr"), name)
    images = random_images()[:1]
    if name in CAPTUM_WORKS:
        found = attribute(small, images, "1", logit(1), method=FromCaptum(method, CAPTUM_WORKS[name]), progress=False)
        assert found.values.isfinite().all()
        assert found.values.any() or name == "Lime"  # its Lasso of few samples may be zero
    else:
        with pytest.raises(TypeError, match=f"need only a forward function, such as .*; {name} (needs|permutes)"):
            FromCaptum(method)


def test_options_that_captum_s_method_lacks_or_does_not_have_are_named():
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    with pytest.raises(TypeError, match=r"Occlusion needs sliding_window_shapes: FromCaptum\(Occlusion, {'sliding"):
        FromCaptum(captum.Occlusion)
    with pytest.raises(TypeError, match="IntegratedGradients has no option 'steps'; nearest: 'n_steps'"):
        FromCaptum(captum.IntegratedGradients, {"steps": 5})


def test_captum_s_layer_method_with_a_hook_is_our_gradient_times_activation(small):
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    images = random_images()
    layer = small.network[2]  # no ReLU that works in place follows
    theirs = captum.LayerGradientXActivation(small.network, layer).attribute(images.clone(), target=1)
    ours = attribute(small, images, "2", logit(1), method="grad_x_activation")
    torch.testing.assert_close(ours.values, theirs.detach())


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_summed_in_float32(small, method):
    half = copy.deepcopy(small.network).to(torch.bfloat16)
    found = attribute(replace(small, network=half), random_images().float(), "1", logit(1), method=method)
    assert {found.values.dtype, found.scores.dtype, found.activations.dtype} == {torch.float32}
    if found.gradients is not None:
        torch.testing.assert_close(found.values, found.gradients * found.activations)
    if method == "integrated_gradients":
        total = found.scores - found.baseline_scores
        exact = (found.values.double().flatten(1).sum(1) - total).abs() / total.abs()
        torch.testing.assert_close(found.completeness_gap.double(), exact, atol=1e-5, rtol=1e-3)


# Batches, objectives, layers


@pytest.mark.parametrize("method", [*SHORT.values(), Ablation()])
def test_an_image_alone_is_the_image_in_a_batch(small, method):
    images = random_images(20)
    together = attribute(small, images, "1", logit(["a", "b"] * 10), method=method).values
    for place in (0, 1, 17):
        alone = attribute(small, images[place], "1", logit("ab"[place % 2]), method=method).values
        torch.testing.assert_close(together[place], alone[0])


@pytest.mark.parametrize("layer", ["conv", "<image>"])
@pytest.mark.parametrize("method", ["grad_x_activation", "saliency"])
def test_an_image_alone_is_the_image_in_a_batch_before_batch_norm(layer, method):
    """torch reads the gradient of BatchNorm in the wrong order where one image's batch axis has an odd stride."""
    torch.manual_seed(2)
    parts = {"first": nn.BatchNorm2d(3), "conv": nn.Conv2d(3, 5, 3), "norm": nn.BatchNorm2d(5), "flat": nn.Flatten()}
    if layer == "<image>":
        del parts["conv"], parts["norm"]
    size = 3 * 64 if layer == "<image>" else 5 * 36
    net = Classifier(nn.Sequential(OrderedDict(parts, head=nn.Linear(size, 2))).double(), None, 8)
    picture = random_images(1)[0].permute(1, 2, 0).contiguous()  # as arrays are
    together = attribute(net, torch.stack([picture.permute(2, 0, 1)] * 2), layer, logit(0), method=method)
    alone = attribute(net, picture.permute(2, 0, 1), layer, logit(0), method=method)
    torch.testing.assert_close(alone.values, together.values[:1])


def test_one_image_may_have_several_objectives(small):
    both = attribute(small, random_images(1), "1", logit(["a", "c"]), method="grad_x_activation")
    apart = [
        attribute(small, random_images(1), "1", logit(label), method="grad_x_activation").values[0] for label in "ac"
    ]
    torch.testing.assert_close(both.values, torch.stack(apart))


def test_layer_to_layer(small):
    above = position_norm("3", [0, 3], [0, 3])
    found = attribute(small, random_images(1), "1", above, method="grad_x_activation").positions
    assert found[0, 3:, :].abs().sum() == 0  # outside the receptive field of (0, 0)
    assert found[1, :3, :].abs().sum() == 0  # outside that of (3, 3)
    assert found[0, :3, :3].abs().sum() > 0


def test_tokens_and_channels_last():
    vit = load("vit_b_16", weights=None)
    layer = "encoder.layers.encoder_layer_10"
    nn.init.normal_(vit.network.heads.head.weight)
    found = attribute(vit, torch.rand(3, 224, 224), layer, logit(3), method="grad_x_activation")
    assert (found.channels.shape, found.positions.shape) == ((1, 768), (1, 14, 14))
    swin = load("swin_t", weights=None)
    found = attribute(
        swin, torch.rand(3, 224, 224), "features.7", logit(3), method="grad_x_activation", channel_axis=-1
    )
    assert (found.channels.shape, found.positions.shape) == ((1, 768), (1, 7, 7))
    assert found.top(2).channel_axis == -1


# The result


def test_top_and_bottom_are_units_in_order(small):
    found = attribute(small, random_images(), "1", logit(0), method="grad_x_activation")
    mean = found.channels.mean(0)
    top, bottom = found.top(3), found.bottom(6)
    assert isinstance(top, Channels)
    assert list(top.indices) == [i for i in mean.argsort(descending=True).tolist() if mean[i] > 0][:3]
    assert all(mean[i] < 0 for i in bottom.indices)


def test_the_image_is_saved_with_its_recipe(demo, ships, tmp_path):
    found = attribute(demo, ships, "mixed5", logit("container ship") - logit("ocean liner"))
    path = found.save(tmp_path / "new" / "why.png")
    with Image.open(path) as image:
        recipe = json.loads(image.text["optvis"])
        assert image.size[0] > 3 * 192
    assert recipe["objective"] == "logit('container ship') - logit('ocean liner')"
    assert recipe["attribution_method"] == "MidpointAblation(folds=None)"


@pytest.mark.parametrize("method", ["midpoint", "ablation", Ablation("positions")])
def test_a_saved_attribution_is_loaded_as_it_was(small, tmp_path, method):
    found = attribute(small, random_images(), "1", logit("a"), method=method, channel_axis=1)
    again = Attribution.load(found.save(tmp_path / "why.png"))
    for name in ("images", "values", "activations", "scores", "baseline_scores"):
        assert getattr(again, name).equal(getattr(found, name))
    assert (again.gradients is None) == (found.gradients is None)
    assert again.gradients is None or again.gradients.equal(found.gradients)
    assert (again.layer, again.units, again.objective, again.channel_axis) == ("1", found.units, "logit('a')", 1)
    assert again.recipe == dict(found.recipe)
    assert again.image().tobytes() == found.image().tobytes()


# Methods of the user


class Doubled:
    """Twice gradient × activation."""

    def __init__(self, shape=None):
        self.shape = shape

    def gradients(self, layer_function):
        gradients = 2 * layer_function.gradients(layer_function.activations[None])[0]
        return gradients if self.shape is None else gradients.reshape(self.shape)

    def __repr__(self):
        return f"Doubled({self.shape})"


class ChannelDrops:
    """Ablation of each channel, one by one."""

    units = "channels"

    def values(self, layer_function):
        a = layer_function.activations
        drops = []
        for index in range(a.shape[1]):
            without = a.clone()
            without[:, index] = 0
            drops.append(layer_function.scores(a[None])[0] - layer_function.scores(without[None])[0])
        return torch.stack(drops, dim=1)


def test_a_method_of_the_user_with_gradients(small):
    found = attribute(small, random_images(20), "1", logit("a"), method=Doubled())
    ours = attribute(small, random_images(20), "1", logit("a"), method="grad_x_activation")
    torch.testing.assert_close(found.values, 2 * ours.values)
    assert found.recipe["attribution_method"] == "Doubled(None)"


def test_a_method_of_the_user_with_values(small):
    found = attribute(small, random_images(), "1", logit("a"), method=ChannelDrops())
    torch.testing.assert_close(
        found.channels, attribute(small, random_images(), "1", logit("a"), method="ablation").channels
    )
    assert found.units == "channels"


def test_a_method_of_the_user_that_returns_another_shape_is_refused(small):
    with pytest.raises(ValueError, match=r"Doubled\(.*returns \(2, 216\) for activations; expected \(2, 6, 6, 6\)"):
        attribute(small, random_images(), "1", logit("a"), method=Doubled((2, 216)))


def test_the_overlay_is_orange_where_the_attribution_is_positive(demo, ships):
    found = attribute(demo, ships[:1], "mixed5", logit("container ship"), method="grad_x_activation")
    overlay, values = found.overlay(), found.positions[0]
    assert (overlay.mode, overlay.size) == ("RGB", (96, 96))
    y, x = divmod(int(values.argmax()), 12)
    red, _, blue = overlay.getpixel((8 * x + 4, 8 * y + 4))
    assert red > blue + 50


# The network afterwards, and bad input


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_untouched(network, untouched, method):
    net = Classifier(network.train(), None, 20)
    with untouched(network):
        attribute(net, torch.rand(2, 3, 20, 20), "conv2", channel("conv2", 1), method=method)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_network_is_untouched_by_errors(network, untouched, error):
    def blow(_):
        raise error

    with untouched(network), pytest.raises(error):
        attribute(Classifier(network, None, 20), torch.rand(3, 20, 20), "conv1", on("conv2", blow))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda net: attribute(net, random_images(), "1", logit(0), method="grad"),
            ValueError,
            "'midpoint', 'grad_x_activation'",
        ),
        (lambda net: attribute(net, random_images(), "1", logit(0), method=3), TypeError, "expected a name"),
        (lambda net: attribute(net, random_images(), "1", logit(0), method=Ablation), TypeError, "expected a name"),
        (lambda net: attribute(net, random_images(), "9", logit(0)), KeyError, "no layer '9'"),
        (lambda net: attribute(net, random_images(), "1", logit("z")), KeyError, "no label 'z'"),
        (lambda net: attribute(net, random_images(), "3", channel("1", 0)), ValueError, "does not depend on layer '3'"),
        (lambda net: attribute(net, random_images(), "1", diversity("1")), ValueError, "compares images"),
        (lambda net: attribute(net, random_images(), "1", logit(0) * After(9)), ValueError, r"give objective\.at_step"),
        (lambda net: attribute(net, random_images(3), "1", logit([0, 1])), ValueError, "3 images and 2 objectives"),
        (lambda net: Ablation("heads"), ValueError, "'channels', 'positions' or Groups"),
        (lambda net: IntegratedGradients(0), ValueError, "expected 1 or more"),
        (lambda net: SmoothGrad(deviation=-1), ValueError, "expected 0 or more"),
        (lambda net: attribute(net, random_images(), "1", logit(0)).top(0), ValueError, "expected 1 or more"),
        (
            lambda net: attribute(net, random_images(), "1", logit(0), method="ablation").positions,
            ValueError,
            "Ablation",
        ),
        (lambda net: attribute(net, random_images(), "5", logit(0)).overlay(), ValueError, "no map"),
        (lambda net: attribute(net, random_images() * 200, "1", logit(0)), ValueError, "divide by 255"),
    ],
)
def test_bad_input_is_refused(small, call, error, message):
    with pytest.raises(error, match=message):
        call(small)


def test_labels_of_the_world_work_as_objectives(demo, ships):
    found = attribute(demo, ships[:1], "mixed5", logit(LABELS[0]))
    assert found.scores.shape == (1,)
