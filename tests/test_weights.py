"""Expanded weights: compared with composed kernels, and with the effect of a change in the earlier layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, load
from optvis.circuits.weights import expanded_weights, strongest_inputs, weights
from optvis.errors import NotFiniteError
from optvis.models.overrides.linear import linearize


class Residual(nn.Module):
    """x + conv(relu(x)), and two branches side by side."""

    def __init__(self):
        super().__init__()
        self.start = nn.Conv2d(3, 4, 1)
        self.block = nn.Conv2d(4, 4, 3, padding=1)
        self.left, self.right = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        x = self.start(x)
        x = x + self.block(torch.relu(x))
        return torch.cat([self.left(x), torch.relu(self.right(x))], dim=1)


class TokenNetwork(nn.Module):
    """Tokens, (B, T, C)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.tokens = nn.Identity()
        self.mixed = nn.Linear(6, 5)

    def forward(self, x):
        return torch.nn.functional.gelu(self.mixed(self.tokens(self.patches(x).flatten(2).transpose(1, 2))))


def compose(first, second):
    """Compose two kernels, as loops in float64: (O, M, h, w) after (M, I, h', w')."""
    outputs, between, height, width = second.shape
    _, inputs, above, across = first.shape
    found = np.zeros((outputs, inputs, height + above - 1, width + across - 1))
    for o in range(outputs):
        for m in range(between):
            for y in range(height):
                for x in range(width):
                    found[o, :, y : y + above, x : x + across] += second[o, m, y, x] * first[m]
    return found


def classifier(*parts, size=16):
    return Classifier(nn.Sequential(*parts).double(), None, size)


def array(module):
    return module.weight.detach().numpy().astype(np.float64)


def test_one_convolution_gives_its_own_kernel():
    net = classifier(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 5, (3, 5), padding=(1, 2)), nn.ReLU())
    assert_close(expanded_weights(net, "1", "3"), net.network[2].weight.detach())
    assert_close(expanded_weights(net, "1", "2", [4, 0]), weights(net, "2", [4, 0]))


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU(inplace=True), nn.GELU()], ids=["relu", "in place", "gelu"])
def test_two_convolutions_give_their_composition(activation):
    first, second = nn.Conv2d(2, 5, (3, 2), padding=1), nn.Conv2d(5, 3, 3, padding=1)
    net = classifier(nn.Conv2d(3, 2, 1), first, activation, second)
    assert_close(expanded_weights(net, "0", "3"), torch.from_numpy(compose(array(first), array(second))))


def test_linear_layers_give_the_product_of_their_matrices():
    first, second = nn.Linear(12, 7), nn.Linear(7, 4)
    net = classifier(nn.Conv2d(3, 12, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), first, nn.ReLU(), second)
    product = torch.from_numpy(array(second) @ array(first))
    assert_close(expanded_weights(net, "2", "5"), product)
    assert_close(expanded_weights(net, "2", "5", 2), product[2:3])


def test_batch_normalisation_scales():
    normal = nn.BatchNorm2d(4)
    normal.weight.data.uniform_(0.5, 2)
    normal.running_var.uniform_(0.5, 2)
    first = nn.Conv2d(2, 4, 3)
    net = classifier(nn.Conv2d(3, 2, 1), first, normal, nn.ReLU())
    scale = (normal.weight / (normal.running_var + normal.eps).sqrt()).detach().double()
    assert_close(expanded_weights(net, "0", "3"), first.weight.detach() * scale.view(-1, 1, 1, 1))


def test_max_pooling_averages():
    first, second = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 4, 1)
    net = classifier(nn.Conv2d(3, 2, 1), first, nn.MaxPool2d(2), second)
    product = array(second)[:, :, 0, 0] @ array(first)[:, :, 0, 0]
    assert_close(expanded_weights(net, "0", "3"), torch.from_numpy(product)[..., None, None].expand(4, 2, 2, 2) / 4)


def test_residuals_and_branches_add_up():
    net = Classifier(Residual().double(), None, 12)
    inner, left, right = (weights(net, name).numpy() for name in ("block", "left", "right"))
    inner[range(4), range(4), 1, 1] += 1
    found = expanded_weights(net, "start", "").numpy()
    np.testing.assert_allclose(found[2:], compose(inner, right), atol=1e-12)
    np.testing.assert_allclose(found[:2, :, 1:-1, 1:-1], compose(inner, left), atol=1e-12)
    assert np.all(found[:2, :, 0] == 0)


def test_tokens_are_one_axis():
    net = Classifier(TokenNetwork().double(), None, 16)
    found = expanded_weights(net, "tokens", "mixed")
    assert_close(found, net.network.mixed.weight.detach().unsqueeze(2))


def test_a_change_before_changes_the_later_layer_by_the_expanded_weights():
    net = Classifier(load("demo").network, None, 48)
    made = expanded_weights(net, "conv2", "mixed4", [9])[0].double()
    parts = dict(net.network.double().named_children())
    try:
        change = torch.randn(48, *made.shape[1:], dtype=torch.float64)
        whole = torch.zeros(1, 48, 12, 12, dtype=torch.float64)
        whole[0, :, 1:, 1:] = change  # position 3 behind the pool sees 1 to 12, of which there are 11
        with linearize(), torch.no_grad():
            moved, still = (parts["mixed4"](parts["pool3"](parts["mixed3"](x)))[0, 9, 3, 3] for x in (whole, 0 * whole))
        assert_close(moved - still, (made * change).sum(), rtol=1e-4, atol=1e-5)
    finally:
        net.network.float()


def test_another_position_has_other_neighbours():
    net = classifier(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 3, padding=1), size=8)
    kernel = net.network[1].weight.detach()
    assert_close(expanded_weights(net, "0", "1", position=(0, 0)), kernel[:, :, 1:, 1:])
    assert_close(expanded_weights(net, "0", "1", position=(0, 3)), kernel[:, :, 1:])
    for position in ((8, 0), (0,), (-1, 0)):
        with pytest.raises(IndexError, match=r"of '1', which has 8 × 8"):
            expanded_weights(net, "0", "1", position=position)


def test_dead_channels_leave_one_zero_each():
    net = classifier(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 3))
    net.network[1].weight.data.zero_()
    assert torch.equal(expanded_weights(net, "0", "1"), torch.zeros(4, 2, 1, 1, dtype=torch.float64))


def test_own_weights_are_copies():
    net = load("demo")
    before = net.network.head.weight.detach().clone()
    weights(net, "head").zero_()
    assert torch.equal(net.network.head.weight, before)
    turned = nn.Sequential(nn.ConvTranspose2d(3, 5, 2))
    assert_close(weights(turned, "0", 4)[0], turned[0].weight[:, 4].detach())


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("mixed4", "mixed3", "'mixed3' finishes before 'mixed4'; give the earlier layer first: 'mixed3', 'mixed4'"),
        ("mixed4", "mixed4.2", "'mixed4.2' finishes before 'mixed4'"),
        ("mixed4", "mixed4", "both layers are 'mixed4'"),
    ],
    ids=["turned round", "inside", "the same"],
)
def test_the_wrong_order_is_named(before, after, says):
    with pytest.raises(ValueError, match=says):
        expanded_weights(load("demo"), before, after, 0)


def test_a_layer_of_another_branch_is_named():
    net = Classifier(Residual(), None, 12)
    with pytest.raises(ValueError, match="'right' does not depend on 'left'"):
        expanded_weights(net, "left", "right")


def test_unknown_layers_channels_and_positions_are_named():
    net = load("demo")
    with pytest.raises(KeyError, match="nearest: 'mixed4'"):
        expanded_weights(net, "mixed3", "mixd4")
    with pytest.raises(IndexError, match=r"channel 128 of 'mixed4', which has 0\.\.127"):
        expanded_weights(net, "mixed3", "mixed4", [3, 128])
    with pytest.raises(IndexError, match=r"channel -1 of 'head'"):
        weights(net, "head", -1)
    with pytest.raises(ValueError, match=r"'mixed4' is a Sequential, .*; inside it: 'mixed4\.0', 'mixed4\.2'"):
        weights(net, "mixed4")
    with pytest.raises(ValueError, match=r"'pool1' is a MaxPool2d, .*; name a convolution"):
        weights(net, "pool1")


def test_the_strongest_inputs_have_the_largest_norm():
    made = torch.randn(3, 7, 4, 4)
    norms = np.sqrt((made.double().numpy() ** 2).sum((2, 3)))
    assert np.array_equal(strongest_inputs(made, 7).numpy(), np.argsort(-norms, 1))
    assert strongest_inputs(made, 99).shape == (3, 7)
    with pytest.raises(ValueError, match="count is 0"):
        strongest_inputs(made, 0)
    made[1, 2, 3, 3] = torch.nan
    with pytest.raises(ValueError, match="weights has NaN or infinite numbers"):
        strongest_inputs(made, 2)


def test_weights_that_are_not_finite_are_refused():
    net = classifier(nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 3))
    net.network[1].weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(NotFiniteError, match=r"the weights from '0' to '1' are NaN or infinite; .*'1.weight'"):
        expanded_weights(net, "0", "1", 0)


def test_the_network_is_untouched(network, untouched):
    with untouched(network):
        expanded_weights(network, "relu1", "relu2", normalize=None)
    network.fuse.arm(KeyboardInterrupt(), at=2)
    with untouched(network), pytest.raises(KeyboardInterrupt):
        expanded_weights(network, "relu1", "relu2", normalize=None)
    with untouched(network), pytest.raises(ValueError, match="finishes before"):
        expanded_weights(network, "relu2", "relu1", normalize=None)
