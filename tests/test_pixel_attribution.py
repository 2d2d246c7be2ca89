"""Attribution to pixels: against Captum, naive loops and sums; methods of the user's own; pictures with a legend."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from captum import attr
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import nn

from optvis import Attribution, Classifier, Normalize, attribute
from optvis.attribution import (
    Ablation,
    FromCaptum,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from optvis.attribution.names import METHODS
from optvis.objectives import channel, logit, total_variation
from optvis.viz.figures import NEGATIVE, POSITIVE

QUESTION = logit("b") - 2 * logit("c")
HALVES = torch.arange(8).view(8, 1).expand(8, 8) // 4


@pytest.fixture(scope="module")
def small():
    """A nonlinear network that normalises its images, float64."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 5, 3), nn.ReLU())
    net.extend([nn.Flatten(), nn.Linear(80, 3)])
    normalize = Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    return Classifier(net.double(), normalize, 8, labels=("a", "b", "c"))


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def score(net):
    """The question as a function of images in [0, 1], as Captum takes it."""
    return lambda images: (lambda out: out[:, 1] - 2 * out[:, 2])(net.network(net.preprocess(images)))


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        ("saliency", attr.Saliency, {}),
        (Saliency(is_signed=True), attr.Saliency, {"abs": False}),
        ("grad_x_activation", attr.InputXGradient, {}),
        (IntegratedGradients(20), attr.IntegratedGradients, {"n_steps": 20, "method": "riemann_middle"}),
    ],
)
def test_captum_gives_equal_numbers(small, images, ours, theirs, options):
    found = attribute(small, images, "<image>", QUESTION, method=ours)
    expected = theirs(score(small)).attribute(images.clone().requires_grad_(), **options)
    torch.testing.assert_close(found.values, expected.detach())
    assert found.positions.shape == (3, 8, 8)
    assert found.layer == "<image>"
    through = attribute(small, images, "<image>", QUESTION, method=FromCaptum(theirs, options))
    torch.testing.assert_close(through.values, expected.detach())


def test_smoothgrad_without_noise_is_the_gradient(small, images):
    smooth = Saliency(SmoothGrad(samples=3, deviation=0.0))
    found = attribute(small, images, "<image>", QUESTION, method=smooth)
    torch.testing.assert_close(found.values, attribute(small, images, "<image>", QUESTION, method="saliency").values)


def test_the_default_adds_up_to_the_score(small, images):
    found = attribute(small, images, "<image>", QUESTION)
    assert "IntegratedGradients" in found.recipe["attribution_method"]
    total = found.values.flatten(1).sum(1)
    torch.testing.assert_close(total, found.scores - found.baseline_scores, rtol=0, atol=0.01)
    torch.testing.assert_close(found.baseline_scores, score(small)(torch.zeros_like(images)).detach())


REGIONS = {
    "halves": HALVES,
    "any integers": 7 - 3 * HALVES,
    "masks": torch.stack([HALVES == 0, HALVES == 1]),
    "of each image": torch.stack([torch.stack([n == HALVES, n != HALVES]) for n in (0, 1, 0)]),
    "overlapping": torch.stack([HALVES >= 0, HALVES == 1]),
    "soft": torch.linspace(0, 1, 64).view(1, 8, 8),
    "squares": 4,
}


@pytest.mark.parametrize("fill", [None, 0.25, torch.linspace(0, 1, 192).view(1, 3, 8, 8)])
@pytest.mark.parametrize("name", REGIONS)
def test_occlusion_is_the_naive_loop(small, images, name, fill):
    found = attribute(small, images, "<image>", QUESTION, method=Occlusion(REGIONS[name], fill)).positions
    masks = torch.as_tensor(REGIONS[name])
    if name == "squares":
        rows = torch.arange(8) // 4
        masks = rows.view(8, 1) * 2 + rows.view(1, 8)
    if masks.dim() == 2:
        masks = torch.stack([masks == region for region in masks.unique()])
    masks = masks.double().expand(3, *masks.shape[-3:])
    other = torch.tensor(0.5, dtype=torch.float64) if fill is None else torch.as_tensor(fill).double()
    before, expected = score(small)(images), torch.zeros(3, 8, 8, dtype=torch.float64)
    for mask in masks.unbind(1):
        hidden = images * (1 - mask.unsqueeze(1)) + other * mask.unsqueeze(1)
        loss = (before - score(small)(hidden)).detach()
        expected += (loss / mask.sum((1, 2))).view(3, 1, 1) * mask
    torch.testing.assert_close(found, expected)


def test_regions_get_their_losses_back(small, images):
    found = attribute(small, images, "<image>", QUESTION, method=Occlusion(HALVES))
    hidden = images.clone()
    hidden[:, :, 4:] = 0.5
    loss = (score(small)(images) - score(small)(hidden)).detach()
    torch.testing.assert_close(found.by_region(HALVES)[:, 1], loss)
    ablated = FromCaptum(attr.FeatureAblation, {"feature_mask": HALVES.expand(1, 3, 8, 8), "baselines": 0.5})
    theirs = attribute(small, images, "<image>", QUESTION, method=ablated)
    torch.testing.assert_close(theirs.by_region(HALVES)[:, 1], loss)


def test_occlusion_works_at_layers_with_zero(small, images):
    masks = torch.arange(36).view(6, 6)
    found = attribute(small, images, "1", QUESTION, method=Occlusion(masks))
    exact = attribute(small, images, "1", QUESTION, method=Ablation("positions"))
    torch.testing.assert_close(found.positions, exact.positions)


OWN_MASKS = torch.rand(20, 2, 8, 8, generator=torch.Generator().manual_seed(1))
OWN_FILL = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(2))
OWN_FEATURES = torch.randint(4, (20, 3, 8, 8), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "build",
    [
        lambda rows: Occlusion(OWN_MASKS[rows]),
        lambda rows: Occlusion(4, OWN_FILL[rows]),
        lambda rows: FromCaptum(attr.FeatureAblation, {"feature_mask": OWN_FEATURES[rows]}),
    ],
    ids=["masks", "fill", "feature_mask"],
)
def test_what_is_of_each_image_goes_with_it(small, build):
    many = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    together = attribute(small, many, "<image>", QUESTION, method=build(slice(None))).positions
    for place in (0, 17):
        row = slice(place, place + 1)
        alone = attribute(small, many[row], "<image>", QUESTION, method=build(row)).positions
        torch.testing.assert_close(together[row], alone)
    with pytest.raises(ValueError, match="for 20 images; expected 20 on the first axis, or 1"):
        attribute(small, many, "<image>", QUESTION, method=build(slice(10)))


def test_noise_does_not_depend_on_the_number_of_images():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(100, 2)).double()
    classifier, many = Classifier(net, None, 7), torch.rand(5, 3, 7, 7, dtype=torch.float64)
    together = attribute(classifier, many, "<image>", logit(0), method=SmoothGrad(samples=4)).values
    alone = attribute(classifier, many[:1], "<image>", logit(0), method=SmoothGrad(samples=4)).values
    torch.testing.assert_close(together[:1], alone)


@pytest.mark.parametrize(("masks", "hidden"), [(4, "squares"), (HALVES, "regions")])
def test_a_plot_says_what_is_hidden(masks, hidden):
    assert Occlusion(masks).description == f"measured by hiding {hidden}"


@pytest.mark.parametrize("method", [*METHODS, None])
def test_every_method_takes_pixels(small, images, method, tmp_path):
    found = attribute(small, images, "<image>", QUESTION, method=method)
    assert len(found) == 3
    assert found.image().size[1] > 0
    found.save(tmp_path / "why.png")
    again = Attribution.load(tmp_path / "why.png")
    torch.testing.assert_close(again.values, found.values)
    assert "of a black image" in again.table()


@dataclass(frozen=True)
class Flat:
    """The same for each pixel."""

    units = "positions"

    def values(self, layer_function):
        return torch.ones_like(layer_function.activations[:, 0])


def test_methods_of_the_users_own_take_pixels(small, images):
    assert attribute(small, images, "<image>", QUESTION, method=Flat()).positions.unique().tolist() == [1.0]


@pytest.mark.parametrize(
    "objective", [channel("0", [1, 2, 3]), logit(0) - 0.1 * total_variation(), channel("0@input", 1)]
)
def test_any_objective_is_attributed(small, images, objective):
    found = attribute(small, images, "<image>", objective, method=GradientTimesActivation())
    assert bool((found.values != 0).any())


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.zeros(4, 4).long(), r"masks have shape \(4, 4\) for images .*expected regions \(H, W\)"),
        (torch.zeros(2, 2, 8, 8), "for 3 images; expected 3 on the first axis, or 1"),
        (torch.zeros(1, 1, 2, 8, 8), "for images"),
        (torch.zeros(8, 8), "masks is one map of numbers; expected integers"),
        (torch.full((1, 8, 8), 2.0), r"outside \[0, 1\]"),
        (0, "masks is 0; expected masks, or the side"),
    ],
)
def test_masks_that_do_not_fit_are_refused(small, images, masks, message):
    with pytest.raises(ValueError, match=message):
        attribute(small, images, "<image>", QUESTION, method=Occlusion(masks))


@pytest.mark.parametrize(
    ("channels", "folds"), [(3, 31), (128, 31), (192, 31), (256, 64), (512, 91), (672, 104), (1280, 143)]
)
def test_folds_follow_the_number_of_channels(channels, folds):
    assert MidpointAblation().choose_folds(channels) == folds
    assert MidpointAblation(5).choose_folds(channels) == 5


def test_a_plot_says_the_question_and_what_colors_mean(small, images):
    found = attribute(small, images[:1], "1", QUESTION)
    figure = found.figure()
    how = "estimated from gradients with channels halved"
    assert figure.get_suptitle() == f"What makes {found.objective} high or low: activations of 1, {how}"
    assert len({method.description for method in METHODS.values()}) == len(METHODS)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["raises it", "lowers it"]
    assert [to_hex(patch.get_facecolor()) for patch in legend.get_patches()] == [POSITIVE, NEGATIVE]
    tiles, bars = figure.axes
    assert len(tiles.images) == 2
    best = found.channels[0].abs().topk(len(bars.patches)).indices
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(found.channels[0][best].tolist())
    alone = Figure().add_subplot()
    assert found.figure(alone) is alone.figure
    assert len(alone.patches) == len(bars.patches)
