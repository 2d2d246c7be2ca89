"""Samples of an atlas: vectors, attributions, independence of batches, and the network unchanged."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from optvis import Classifier, activations, attribute
from optvis.atlas import Samples, sample_activations
from optvis.models.borrow import borrow
from optvis.models.jvp import layer_jvp
from optvis.objectives import logit
from optvis.world import Scenes


@pytest.fixture(scope="module")
def samples(demo):
    return sample_activations(demo, Scenes(40, seed=3), "mixed4", progress=False)


def test_vectors_are_those_of_the_layer(demo, samples):
    images = torch.stack([image for image, _ in Scenes(40, seed=3)])
    with torch.no_grad():
        a = activations(demo, images, ["mixed4"])["mixed4"]
    y, x = samples.positions.T
    assert torch.allclose(samples.vectors, a[samples.indices, :, y, x], atol=1e-5)


@pytest.mark.parametrize("label", [0, 9, 15])
def test_attributions_are_gradient_times_activation(demo, samples, label):
    images = torch.stack([image for image, _ in Scenes(40, seed=3)])
    found = attribute(demo, images, "mixed4", logit(label), method="grad_x_activation").positions
    y, x = samples.positions.T
    assert torch.allclose(samples.attribution[:, label], found[samples.indices, y, x], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_batches_change_nothing(small, batch_size):
    images = torch.rand(20, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    one, other = (
        sample_activations(small, images, "relu1", batch_size=count, progress=False) for count in (20, batch_size)
    )
    assert torch.equal(one.positions, other.positions)
    assert torch.allclose(one.vectors, other.vectors, atol=1e-12)
    assert torch.allclose(one.attribution, other.attribution, atol=1e-12)


def test_positions_cover_the_inside_and_leave_out_the_edges(demo):
    found = sample_activations(demo, torch.rand(400, 3, 96, 96), "mixed5", progress=False).positions
    assert (found.min().item(), found.max().item()) == (1, 10)
    counts = np.bincount(found[:, 0] * 10 + found[:, 1] - 11, minlength=100)
    assert (counts > 0).sum() > 80  # 400 draws of 100 leave two empty, on average


def test_another_seed_draws_other_positions(demo):
    images = torch.rand(20, 3, 96, 96)
    one, other = (sample_activations(demo, images, "mixed5", seed=seed, progress=False).positions for seed in (0, 1))
    assert not torch.equal(one, other)


def test_a_layer_without_positions_has_one(demo):
    found = sample_activations(demo, Scenes(6), "flat", progress=False)
    assert found.grid == (1, 1)
    assert found.positions.tolist() == [[0, 0]] * 6


def tokens():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 4, 4)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            return self.head(self.block(self.embed(x).flatten(2).mT).mean(1))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(Tokens().double(), None, 16, labels=("a", "b", "c", "d", "e"))


def test_attributions_pass_through_attention():
    """Compared with the gradient of each logit."""
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    net = tokens()
    found = sample_activations(net, images, "embed", progress=False)
    with borrow(net.network):
        a = net.network.embed(net.preprocess(images)).detach().requires_grad_()
        answers = net.network.head(net.network.block(a.flatten(2).mT).mean(1))
        for k in range(5):
            (gradient,) = torch.autograd.grad(answers[:, k].sum(), a, retain_graph=True)
            y, x = found.positions.T
            expected = (gradient * a).sum(1)[torch.arange(3), y, x]
            assert torch.allclose(found.attribution[:, k], expected.float(), atol=1e-6)


def test_tokens_lie_in_one_row():
    found = sample_activations(tokens(), torch.rand(9, 3, 16, 16), "block", progress=False)
    assert found.grid == (1, 16)
    assert found.positions[:, 0].unique().tolist() == [0]
    assert 0 <= found.positions[:, 1].min() < found.positions[:, 1].max() <= 15


def test_layer_jvp_is_the_product_with_the_jacobian(small):
    inputs = small.preprocess(torch.rand(2, 3, 20, 20))
    direction = torch.rand(2, 8, 20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with borrow(small.network):
        a = small.network[:3](inputs).detach()
        output, found = layer_jvp(small.network, inputs, "relu1", lambda _: direction)
        expected = torch.autograd.functional.jvp(lambda given: small.network[3:](given.clone()), a, direction)
    assert torch.allclose(output, expected[0])
    assert torch.allclose(found, expected[1])


@pytest.mark.parametrize("error", [None, ValueError("a fuse"), KeyboardInterrupt()])
def test_the_network_is_untouched(small, untouched, error):
    fastpath = torch.backends.mha.get_fastpath_enabled()
    if error is not None:
        small.network.fuse.arm(error, at=6)  # a pass finds the head, and the first batch takes three
    images = torch.rand(10, 3, 20, 20)
    stops = pytest.raises(ValueError, match="a fuse") if isinstance(error, ValueError) else nullcontext()
    with untouched(small.network), stops:
        found = sample_activations(small, images, "relu1", batch_size=2, progress=False)
        assert len(found) == (10 if error is None else 4)
        assert found.recipe["interrupted"] is (error is not None)
    assert torch.backends.mha.get_fastpath_enabled() is fastpath


def test_ctrl_c_before_the_first_batch_raises(small):
    small.network.fuse.arm(KeyboardInterrupt(), at=1)
    with pytest.raises(KeyboardInterrupt):
        sample_activations(small, torch.rand(4, 3, 20, 20), "relu1", progress=False)


def test_zero_vectors_are_left_out_and_counted():
    net = Classifier(nn.Sequential(nn.Identity(), nn.Flatten(), nn.Linear(48, 2)), None, 4)
    images = torch.rand(5, 3, 4, 4)
    images[[1, 3]] = 0
    found = sample_activations(net, images, "0", progress=False)
    assert found.indices.tolist() == [0, 2, 4]
    assert found.recipe["zero_vectors"] == 2
    with pytest.raises(ValueError, match="every vector of '0' is zero in all 2 images"):
        sample_activations(net, torch.zeros(2, 3, 4, 4), "0", progress=False)


def test_a_network_without_classes_has_no_attributions():
    net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), None, 8)
    found = sample_activations(net, torch.rand(4, 3, 8, 8), "0", progress=False)
    assert found.attribution.shape == (4, 0)
    assert found.labels == ()


def test_samples_are_saved_and_loaded_again(samples, tmp_path):
    path = samples.save(tmp_path / "new" / "a.safetensors")
    again = Samples.load(path)
    for name in ("vectors", "attribution", "positions", "indices"):
        assert torch.equal(getattr(again, name), getattr(samples, name))
    assert (again.layer, again.grid, again.names, again.labels) == (
        samples.layer,
        (12, 12),
        samples.names,
        samples.labels,
    )
    assert again.recipe == samples.recipe
    assert [file.name for file in path.parent.iterdir()] == ["a.safetensors"]


def test_damaged_samples_are_refused(samples, tmp_path):
    path = samples.save(tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="damaged or holds no samples"):
        Samples.load(path)
    with pytest.raises(FileNotFoundError, match=r"no file .*b.safetensors"):
        Samples.load(tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"ending in .safetensors"):
        samples.save(tmp_path / "a.pt")


def test_an_unknown_layer_is_named(demo):
    with pytest.raises(KeyError, match="nearest: 'mixed5'"):
        sample_activations(demo, Scenes(2), "mixed6", progress=False)
    with pytest.raises(ValueError, match="batch_size is 0"):
        sample_activations(demo, Scenes(2), "mixed5", batch_size=0)
