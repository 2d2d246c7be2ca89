"""Groups of neurons: the factors of scikit-learn, in order, at every position, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import decomposition as methods
from torch.testing import assert_close

from optvis import Classifier, activations
from optvis.features.groups import Groups, group
from optvis.features.units import Directions
from optvis.models.borrow import borrow

from .conftest import small_network


def positive(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def signed(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def rows(a: torch.Tensor) -> np.ndarray:
    return a.movedim(1, -1).reshape(-1, a.shape[1]).numpy()


def reconstruct(found: Groups) -> np.ndarray:
    return rows(found.maps) @ found.directions.numpy()


def test_groups_by_nmf_are_those_of_scikit_learn():
    a = positive(2, 7, 4, 5)
    found = group(a, 3, layer="mixed", seed=4)
    theirs = methods.NMF(3, random_state=4)
    maps = theirs.fit_transform(rows(a))
    np.testing.assert_allclose(reconstruct(found), maps @ theirs.components_, atol=1e-12)
    assert found.maps.shape == (2, 3, 4, 5)
    assert found.directions.min() >= 0
    assert "NMF" in found.decomposition
    strengths = sorted(maps.sum(0) * np.linalg.norm(theirs.components_, axis=1), reverse=True)
    assert_close(found.maps.sum((0, 2, 3)), torch.tensor(strengths, dtype=torch.float64))
    assert_close(found.shares, torch.tensor(strengths, dtype=torch.float64) / sum(strengths))


@pytest.mark.parametrize("name", ["PCA", "FastICA", "TruncatedSVD", "SparsePCA"])
def test_signed_activations_have_groups_by_other_methods(name):
    a = signed(1, 5, 6, 4)
    found = group(a, 3, layer="mixed", decomposition=name, seed=2)
    theirs = getattr(methods, name)(3, random_state=2)
    expected = theirs.inverse_transform(theirs.fit_transform(rows(a))) - getattr(theirs, "mean_", 0)
    np.testing.assert_allclose(reconstruct(found), expected, atol=1e-8)
    assert_close(torch.linalg.vector_norm(found.directions, dim=1), torch.ones(3, dtype=torch.float64))
    strengths = found.maps.abs().sum((0, 2, 3))
    assert (strengths.diff() <= 0).all()
    flat = found.maps.transpose(0, 1).flatten(1)
    assert (flat.amax(1) == flat.abs().amax(1)).all()


def test_an_estimator_is_copied_before_it_is_fitted():
    own = methods.NMF(2, init="random", random_state=0)
    assert len(group(positive(1, 5, 4, 4), layer="mixed", decomposition=own)) == 2
    assert not hasattr(own, "components_")


def test_the_same_seed_gives_the_same_groups():
    made = [group(signed(1, 5, 6, 4), 3, layer="a", decomposition="FastICA", seed=7) for _ in range(2)]
    assert torch.equal(made[0].maps, made[1].maps)
    assert torch.equal(made[0].directions, made[1].directions)


def test_every_layout_keeps_its_positions():
    a = positive(2, 6, 3, 4)
    first = group(a, 2, layer="a")
    last = group(a.movedim(1, -1), 2, layer="a", channel_axis=-1)
    tokens = group(a.flatten(2).mT, 2, layer="a")
    assert torch.equal(first.maps, last.maps)
    assert torch.equal(first.maps.flatten(2), tokens.maps)
    assert group(a.flatten(2)[..., 0], 2, layer="a").maps.shape == (2, 2)
    assert last.units(0).channel_axis == -1


def test_normalized_maps_are_divided_by_their_largest_value():
    found = group(positive(2, 6, 3, 4), 3, layer="a")
    by_hand = found.maps.numpy() / found.maps.numpy().max(axis=(0, 2, 3))[None, :, None, None]
    np.testing.assert_allclose(found.normalized_maps().numpy(), by_hand)


def test_groups_are_units_of_the_layer():
    classifier = Classifier(small_network(), None, 20)
    with torch.no_grad():
        a = activations(classifier, torch.rand(2, 3, 20, 20), ["relu2"])["relu2"]
    found = group(a, 3, layer="relu2")
    units = found.units()
    assert isinstance(units, Directions)
    assert (units.layer, len(units), len(found.units(2, 0)), len(found)) == ("relu2", 3, 2, 3)
    assert torch.equal(found.units(2, 0).vectors, found.directions[[2, 0]])
    with borrow(classifier.network):
        left = units.replace(a).movedim(1, -1) @ found.directions.T
    assert_close(left, torch.zeros_like(left), rtol=0, atol=1e-5)
    with pytest.raises(IndexError, match=r"group 3 of 3: expected 0\.\.2"):
        found.units(3)


def test_factors_that_are_zero_are_left_out():
    a = torch.outer(torch.arange(1.0, 9), torch.tensor([1.0, 2, 0, 1])).T.reshape(1, 4, 2, 4).double()
    assert len(group(a, 3, layer="a", decomposition="PCA")) == 1


def test_nmf_refuses_negative_activations_but_not_rounding_errors():
    with pytest.raises(ValueError, match=r"activations of 'conv1' are negative, down to -.*decomposition='PCA'.*ReLU"):
        group(signed(1, 5, 4, 4), 2, layer="conv1", decomposition="NMF")
    with pytest.raises(ValueError, match="activations of 'conv1' are negative"):
        group(signed(1, 5, 4, 4), layer="conv1", decomposition=methods.MiniBatchNMF(2))
    a = positive(1, 5, 4, 4)
    a[0, 0, 0, 0] = -1e-9
    assert group(a, 2, layer="a").maps.min() >= 0


@pytest.mark.parametrize(
    ("a", "groups", "message"),
    [
        (torch.zeros(1, 5, 4, 4), 2, "every activation of 'a' is zero"),
        (torch.full((1, 5, 4, 4), float("nan")), 2, "have NaN or infinite"),
        (torch.rand(1, 5, 4, 4), 6, "6 groups of 5 channels at 16 positions"),
        (torch.rand(1, 50, 2, 2), 5, "5 groups of 50 channels at 4 positions"),
        (torch.rand(1, 5, 4, 4), 0, "0 groups"),
        (torch.rand(5), 1, r"activations are \(5,\)"),
    ],
)
def test_activations_that_cannot_be_decomposed_are_refused(a, groups, message):
    with pytest.raises(ValueError, match=message):
        group(a, groups, layer="a")


def test_unknown_decompositions_are_refused():
    with pytest.raises(KeyError, match=r"no decomposition 'NFM' in scikit-learn; nearest: .*NMF"):
        group(positive(1, 5, 4, 4), 2, layer="a", decomposition="NFM")
    with pytest.raises(TypeError, match="decomposition is int"):
        group(positive(1, 5, 4, 4), 2, layer="a", decomposition=3)
    with pytest.raises(TypeError, match="KernelPCA has no components_"):
        group(positive(1, 5, 4, 4), 2, layer="a", decomposition="KernelPCA")
    with pytest.raises(ValueError, match=r"PCA finds no factor.*the same"):
        group(torch.ones(1, 5, 4, 4), 2, layer="a", decomposition="PCA")


def test_too_few_iterations_raise_no_warning():
    hasty = methods.NMF(2, max_iter=1, init="random", random_state=0)
    assert len(group(positive(1, 5, 4, 4), layer="a", decomposition=hasty)) == 2
