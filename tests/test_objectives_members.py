"""Properties of every objective that is listed in members.py."""

from __future__ import annotations

import math
import pickle
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing import assert_close

import optvis.objectives
from optvis import Classifier, render
from optvis.objectives import Objective

from .members import CHANNELS, IMAGES, MEMBERS, SPACE, Member, X, Y, apply_layout, random_activations

MAKERS = {"channel", "cosine", "direction", "direction_neuron", "gram", "gram_distance", "l1", "l2", "layer_norm"}
MAKERS |= {"logit", "mean_square", "neuron", "on", "total_variation", "channel_weights", "tensor_direction"}
MAKERS |= {"alignment", "diversity", "caricature", "dot_compare", "input_diff", "blur_input_each_step"}
MAKERS |= {"penalize_boundary_complexity", "log_odds", "position_norm", "activation_statistics"}
MAKERS |= {"match_distribution"}
NO_MAKERS = {"IMAGE", "INPUT", "OUTPUT", "Labels", "Objective", "Term", "constant", "gram_matrix", "pick", "positions"}
NO_MAKERS |= {"After", "Decay", "as_objective", "channel_interpolate", "interpolate", "positive_negative", "whitening"}
NO_MAKERS |= {"blur_alpha_each_step"}  # needs images with alpha; tested with the penalties
NO_MAKERS |= {"batchnorm_statistics"}  # needs a network; tested with the statistics
NO_MAKERS |= {"text"}  # needs a network of images and texts; tested with zero-shot classifiers
NO_MAKERS |= {"feature"}  # needs an autoencoder; tested with the features

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
ALONE = {name: member for name, member in MEMBERS.items() if not member.couples_images}
in_each_layout = pytest.mark.parametrize(
    ("member", "layout"),
    [pytest.param(m, layout, id=f"{name} {layout}") for name, m in MEMBERS.items() for layout in m.layouts],
)


each_alone = pytest.mark.parametrize("member", ALONE.values(), ids=ALONE)
alone_in_each_layout = pytest.mark.parametrize(
    ("member", "layout"),
    [pytest.param(m, layout, id=f"{name} {layout}") for name, m in ALONE.items() for layout in m.layouts],
)


@pytest.fixture
def show_all_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show long targets by their numbers in the repr, not by a digest."""
    monkeypatch.setattr("optvis.arguments.describe.MAX_NUMBERS", 10**6)


def evaluate_repr(objective: Objective) -> Objective:
    names = {**vars(optvis.objectives), "torch": torch, "tests": sys.modules[__name__.partition(".")[0]]}
    found = eval(repr(objective), names)
    assert isinstance(found, Objective)
    return found


def scores(objective: Objective, canonical: Tensor, layout: str, member: Member) -> Tensor:
    return objective({member.layer: apply_layout(canonical, layout)})


def test_every_public_factory_is_a_member() -> None:
    listed = {member.of(slice(None)).terms[0].factory for member in MEMBERS.values()}
    assert listed == MAKERS | {"*"}
    assert set(optvis.objectives.__all__) == MAKERS | NO_MAKERS


@in_each_layout
def test_scores_equal_the_oracles(member: Member, layout: str) -> None:
    a = member.activations(layout)
    found = scores(member.of(slice(None), layout), a, layout, member)
    assert_close(found, member.expected(a), rtol=1e-6, atol=1e-6)


@in_each_layout
def test_one_target_for_all_equals_a_copy_for_each_image(member: Member, layout: str) -> None:
    a = member.activations(layout)
    objective = member.of(1, layout)
    assert objective.batch == 1
    assert_close(scores(objective, a, layout, member), member.expected(a, [1] * IMAGES), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("space", [(5, 7), (9, 4), (3, 3), (8, 31)], ids=str)
@each_member
def test_scores_equal_the_oracles_at_any_size(member: Member, space: tuple[int, int]) -> None:
    layout = member.layouts[-1]
    if len(SPACE[layout]) != 2 or any(isinstance(target, list) and target in (Y, X) for target in member.targets):
        pytest.skip("it reads no planes, or places in them")
    a = member.activations(layout, space)
    found = scores(member.of(slice(None), layout, space), a, layout, member)
    assert_close(found, member.expected(a), rtol=1e-6, atol=1e-6)


@alone_in_each_layout
def test_an_image_alone_scores_as_in_a_batch(member: Member, layout: str) -> None:
    a = member.activations(layout)
    together = scores(member.of(slice(None), layout), a, layout, member)
    for i in range(IMAGES):
        alone = scores(member.of(slice(i, i + 1), layout), a[i : i + 1], layout, member)
        assert_close(alone, together[i : i + 1], rtol=1e-13, atol=1e-13)


@each_alone
def test_a_slice_scores_its_rows(member: Member) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout)
    whole = member.of(slice(None), layout) * torch.tensor([0.5, -1.0, 2.0])
    for rows in (slice(0, 2), slice(1, None), slice(2, 3), slice(None, None, 2)):
        found = scores(whole[rows], a[rows], layout, member)
        assert_close(found, scores(whole, a, layout, member)[rows], rtol=1e-13, atol=1e-13)


@each_member
def test_gradients_equal_finite_differences_or_the_documented_ones(member: Member) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout).requires_grad_()
    objective = member.of(slice(None), layout)
    if member.gradient is None:
        assert torch.autograd.gradcheck(lambda x: scores(objective, x, layout, member), a, fast_mode=True)
        return
    (found,) = torch.autograd.grad(scores(objective, a, layout, member).sum(), a)
    expected = torch.stack([torch.from_numpy(member.gradient(one.detach().numpy())) for one in a])
    assert_close(found, expected, rtol=1e-10, atol=1e-10)


@each_member
def test_gradients_are_finite_at_zero_activations(member: Member) -> None:
    layout = member.layouts[-1]
    a = torch.zeros_like(member.activations(layout)).requires_grad_()
    (gradient,) = torch.autograd.grad(scores(member.of(slice(None), layout), a, layout, member).sum(), a)
    assert gradient.isfinite().all()


@in_each_layout
@pytest.mark.usefixtures("show_all_numbers")
@pytest.mark.parametrize("rows", [slice(None), slice(1, 2), 1], ids=["of three", "of one", "shared"])
def test_the_repr_evaluates_to_an_equal_one(member: Member, layout: str, rows: slice | int) -> None:
    a = member.activations(layout)[1:2] if rows == slice(1, 2) else member.activations(layout)
    objective = member.of(rows, layout)
    evaluated = evaluate_repr(objective)
    assert repr(evaluated) == repr(objective)
    assert evaluated.names == objective.names
    assert torch.equal(scores(evaluated, a, layout, member), scores(objective, a, layout, member))


@each_member
@pytest.mark.usefixtures("show_all_numbers")
@pytest.mark.parametrize("weight", [-1, -0.1, 1 / 3, math.pi, [0.1, -1 / 3, 2e-30]], ids=str)
def test_the_repr_of_a_weighted_objective_evaluates_to_an_equal_one(member: Member, weight: Any) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout)
    objective = weight * member.of(slice(None), layout)
    assert torch.equal(scores(evaluate_repr(objective), a, layout, member), scores(objective, a, layout, member))


@in_each_layout
def test_pickling_round_trips(member: Member, layout: str) -> None:
    a = member.activations(layout)
    objective = [0.5, 1, 2] * member.of(slice(None), layout)
    evaluated = pickle.loads(pickle.dumps(objective))
    assert repr(evaluated) == repr(objective)
    assert evaluated.batch == objective.batch
    assert torch.equal(scores(evaluated, a, layout, member), scores(objective, a, layout, member))


@each_member
def test_moving_to_float32_keeps_the_scores(member: Member) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout)
    moved = member.of(slice(None), layout).to(torch.device("cpu"), torch.float32)
    found = scores(moved, a.float(), layout, member)
    assert found.dtype == torch.float32
    assert_close(found.double(), member.expected(a), rtol=2e-5, atol=2e-5)


@each_member
def test_scoring_does_not_change_the_activations(member: Member) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout)
    before, objective = a.clone(), member.of(slice(None), layout)
    first = scores(objective, a, layout, member)
    assert torch.equal(first, scores(objective, a, layout, member))
    assert torch.equal(a, before)


@each_member
def test_targets_for_another_number_of_images_raise(member: Member) -> None:
    layout = member.layouts[-1]
    a = member.activations(layout)[:2]
    objective = member.of(slice(None), layout) * torch.ones(IMAGES)
    with pytest.raises(ValueError, match="is for 3 images; got activations of 2"):
        scores(objective, a, layout, member)


WITH_AXIS = [name for name, m in MEMBERS.items() if m.has_axis and not (name[:10] == "layer_norm" and not m.targets)]


@pytest.mark.parametrize("name", WITH_AXIS)
def test_a_wrong_channel_axis_raises(name: str) -> None:
    member = MEMBERS[name]
    layout = member.layouts[-1]
    for axis in (0, 4, -5):
        objective = member.build_for(0, layout, channel_axis=axis)
        with pytest.raises(ValueError, match=f"channel_axis={axis} for activations"):
            scores(objective, member.activations(layout), layout, member)


class Mixing(torch.nn.Module):
    """A layer of four channels as large as the image, in one layout, and their means as output."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        weights = torch.randn(CHANNELS, 3, 3, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
        self.weights = torch.nn.Parameter(weights)
        self.mixed = torch.nn.Identity()
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        a = torch.nn.functional.conv2d(x, self.weights, padding=1)
        a = a.mean(3)[:, :, :1].expand(-1, -1, 7) if self.layout == "BTC" else a
        a = a.mean((2, 3)) if self.layout == "BC" else a
        a = self.mixed(apply_layout(a, self.layout))
        return a.flatten(1)[:, :CHANNELS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@each_member
def test_it_renders_alike_whole_and_in_chunks(member: Member, dtype: torch.dtype) -> None:
    layout = member.layouts[-1]
    network = Classifier(Mixing(layout).to(dtype), None, (4, 6))
    objective = member.of(slice(None), layout) * torch.ones(IMAGES)
    options: dict[str, Any] = {"transform": None, "steps": 3, "progress": False}
    rendering = render(network, objective, **options)
    assert rendering.images.shape == (IMAGES, 3, 4, 6)
    assert rendering.images.isfinite().all()
    assert rendering.images.dtype == dtype
    if member.couples_images:
        with pytest.raises(ValueError, match="couples images"):
            render(network, objective, batch_size=2, **options)
        return
    parts = render(network, objective, batch_size=2, **options)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-3
    assert_close(parts.images, rendering.images, rtol=tolerance, atol=tolerance)
    assert_close(parts.scores, rendering.scores, rtol=tolerance, atol=tolerance)


COUPLED = {name: member for name, member in MEMBERS.items() if member.couples_images}


@pytest.mark.parametrize("member", COUPLED.values(), ids=COUPLED)
def test_a_coupling_objective_cannot_be_split(member: Member) -> None:
    objective = member.of(slice(None))
    assert objective.couples_images
    with pytest.raises(ValueError, match=r"couples images.*with no slice or batch_size"):
        _ = objective[:1]


def test_the_members_have_the_shapes_that_the_oracles_need() -> None:
    assert all(len(target) == IMAGES for member in MEMBERS.values() for target in member.targets)
    assert random_activations("BHWC").shape[:2] == (IMAGES, CHANNELS)


@in_each_layout
def test_recorded_operations_fit_other_targets(member: Member, layout: str) -> None:
    """No branch of Python depends on a target's numbers: renderings of other targets go on with recorded steps."""
    a = member.activations(layout)
    objective, other = (member.of(slice(None), layout).to(a.device, a.dtype, copy=True) for _ in range(2))
    for target in other.tensors:
        target.copy_(target.flip(0))
    recorded = make_fx(lambda given: scores(objective, given, layout, member))(a)
    for target, values in zip(objective.tensors, other.tensors, strict=True):
        target.copy_(values)
    assert recorded(a).equal(scores(other, a, layout, member))
