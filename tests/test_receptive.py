"""Receptive fields: compared with kernel arithmetic; a linearised network is linear."""

import pytest
import torch
from torch import nn

from optvis import Classifier, load
from optvis.features.receptive_field import crop, receptive_fields
from optvis.models.overrides.linear import linearize


def compute_field(steps, position, size):
    """Compute the ends of a receptive field from (kernel, stride, padding) of each layer."""
    first = last = position
    for kernel, stride, padding in reversed(steps):
        first, last = first * stride - padding, last * stride - padding + kernel - 1
    return max(0, first), min(size, last + 1)


def network(steps, maximum=False):
    parts = []
    for kernel, stride, padding in steps:
        pool = nn.MaxPool2d(kernel, stride, padding)
        parts += [pool if maximum else nn.Conv2d(3, 3, kernel, stride, padding), nn.ReLU()]
    return Classifier(nn.Sequential(*parts), None, (40, 33))


STEPS = [((3, 1, 1),), ((5, 2, 2), (2, 2, 0), (3, 1, 1)), ((3, 2, 0), (3, 1, 0)), ((7, 4, 3), (3, 1, 1), (3, 2, 1))]


@pytest.mark.parametrize("maximum", [False, True])
@pytest.mark.parametrize("steps", STEPS)
def test_fields_are_those_of_kernel_arithmetic(steps, maximum):
    found = receptive_fields(network(steps, maximum), str(2 * len(steps) - 1))
    assert found.rows == tuple(compute_field(steps, y, 40) for y in range(len(found.rows)))
    assert found.columns == tuple(compute_field(steps, x, 33) for x in range(len(found.columns)))


def test_fields_of_the_embedded_network_are_those_of_its_kernels():
    found = receptive_fields(load(), "mixed5")
    steps = [(5, 2, 2), (2, 2, 0), (3, 1, 1), (3, 1, 1), (2, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1)]
    assert found.box(5, 6) == (*compute_field(steps, 5, 96), *compute_field(steps, 6, 96))
    assert found.max_side == 75


def test_the_field_of_a_layer_without_positions_is_the_image():
    found = receptive_fields(load(), "head")
    assert found.box(0, 0) == (0, 96, 0, 96)
    with pytest.raises(IndexError, match=r"position \(1, 0\) of a layer with 1 × 1"):
        found.box(1, 0)


def test_windows_have_one_size_and_lie_in_the_image():
    found = receptive_fields(load(), "mixed5")
    for y in range(12):
        for x in range(12):
            top, bottom, left, right = found.window(y, x)
            assert (bottom - top, right - left) == (38, 38)
            assert 0 <= top < bottom <= 96
            assert 0 <= left < right <= 96
    assert found.window(6, 6, share=2.0) == (0, 96, 0, 96)


def test_the_network_is_untouched(network, untouched):
    with untouched(network):
        receptive_fields(network, "relu2", normalize=None)


def test_a_crop_keeps_its_aspect():
    image = torch.rand(3, 20, 20)
    assert crop(image, (0, 10, 0, 20), 40).shape == (3, 20, 40)
    assert torch.equal(crop(image, (2, 12, 3, 13), 10), image[:, 2:12, 3:13])


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.ELU(),
     nn.Mish(), nn.Softplus(), nn.PReLU(), nn.Hardtanh()],
)  # fmt: skip
def test_a_linearised_network_is_linear(activation):
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), activation, nn.MaxPool2d(2), nn.Conv2d(4, 2, 1, bias=False))
    net = net.double().requires_grad_(False)
    x, y = torch.randn(2, 1, 2, 8, 8, dtype=torch.float64)
    assert not torch.allclose(net(x + 2 * y), net(x) + 2 * net(y))
    with linearize():
        assert torch.allclose(net(x + 2 * y), net(x) + 2 * net(y), atol=1e-12)


def test_functions_are_linearised_like_modules():
    x = torch.tensor([[-1.0, 2.0]])
    with linearize():
        assert torch.equal(x.relu(), x)
        assert torch.equal(nn.functional.relu_(x.clone()), x)
        assert torch.equal(x.clone().relu_(), x)


def test_pooling_that_cannot_be_averaged_is_refused():
    with linearize(), pytest.raises(ValueError, match="with dilation"):
        nn.MaxPool2d(2, dilation=2)(torch.rand(1, 1, 8, 8))
    with linearize(), pytest.raises(ValueError, match="with indices"):
        nn.MaxPool2d(2, return_indices=True)(torch.rand(1, 1, 8, 8))
