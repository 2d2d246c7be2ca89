"""The list of layers: what runs, in order, as a person reads it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optvis import (
    Classifier,
    activation_grid,
    attribute,
    layers,
    render,
    sample_activations,
    semantic_dictionary,
)
from optvis.models.layers import Layer, LayerTable
from optvis.objectives import channel


class Branches(nn.Module):
    """A reused ReLU, a layer that gives a tuple, one that never runs, a dict at the end."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.unused = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(1, 1)
        self.attend = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        x = self.relu(self.conv(x)).flatten(2).mT
        return {"scores": self.relu(self.attend(x, x, x)[0])}


@pytest.fixture
def table():
    return layers(Classifier(Branches(), None, 8))


def test_every_call_is_listed_in_the_order_in_which_it_ends(table):
    assert [row.name for row in table] == ["conv", "relu", "attend", "relu#1", ""]
    assert [row.type for row in table] == ["Conv2d", "ReLU", "MultiheadAttention", "ReLU", "Branches"]


def test_shapes_are_for_one_image_and_what_is_no_tensor_is_described(table):
    assert [row.output for row in table] == [
        "1 × 4 × 6 × 6",
        "1 × 4 × 6 × 6",
        "a tuple of (1 × 36 × 4, 1 × 36 × 36)",
        "1 × 36 × 4",
        "a dict of scores",
    ]
    assert [row.is_tensor for row in table] == [True, True, False, True, False]


def test_it_prints_in_straight_columns(table):
    lines = str(table).splitlines()
    assert lines[0].split() == ["layer", "type", "output"]
    assert lines[-1].split()[0] == "(output)"
    assert len(lines) == len(table) + 1
    for column, word in ((1, "type"), (2, "output")):
        start = lines[0].index(word)
        assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines), column
    assert repr(table) == str(table)


def test_it_is_a_sequence_and_its_slices_are_tables(table):
    assert len(table) == 5
    assert isinstance(table[0], Layer)
    assert isinstance(table[1:3], LayerTable)
    assert [row.name for row in table[1:3]] == ["relu", "attend"]
    assert table[-1].name == ""
    assert table[0] in table


def test_a_notebook_shows_names_as_text():
    hostile = LayerTable((Layer("<script>alert(1)</script>", "<b>", "1 & 2", True),))
    shown = hostile._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert "1 &amp; 2" in shown


def test_an_empty_table_prints_its_head():
    assert str(LayerTable(())) == "layer  type  output"


def test_the_size_of_the_image_can_be_chosen():
    network = Classifier(nn.Sequential(nn.Conv2d(3, 2, 1)), None, 8)
    assert layers(network)[0].output == "1 × 2 × 8 × 8"
    assert layers(network, size=5)[0].output == "1 × 2 × 5 × 5"
    assert layers(network, size=(5, 7))[0].output == "1 × 2 × 5 × 7"


def test_a_network_in_half_precision_is_listed_too():
    network = Classifier(nn.Sequential(nn.Conv2d(3, 2, 1)).to(torch.bfloat16), None, 8)
    assert layers(network)[0].output == "1 × 2 × 8 × 8"


def test_no_gradient_is_recorded_and_no_random_number_drawn():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Dropout())
    seen = []
    network[0].register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    before = torch.get_rng_state()
    layers(Classifier(network, None, 8))
    assert seen == [False]
    assert torch.equal(torch.get_rng_state(), before)


def test_the_root_names_itself_output_and_every_other_name_can_be_asked(small):
    table = layers(small)
    names = dict(small.network.named_modules())
    assert [row.name for row in table] == [*(name for name in names if name), ""]


class Residual(nn.Module):
    """A convolution, an identity, and dropout that does nothing in eval mode."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Identity(), nn.Dropout(), nn.ReLU())
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.head(self.body(x))


def test_layers_are_found_by_name_depth_and_pattern():
    table = layers(Classifier(Residual(), None, 8))
    assert table.names == ("body.0", "body.1", "body.2", "body.3", "body", "head", "")
    assert table["body.3"].type == "ReLU"
    assert table[""].output == "1 × 2 × 6 × 6"
    assert table.select().names == ("body.0", "body.3", "body", "head", "")
    assert table.select(identities=True).names == table.names
    assert table.select(depth=1).names == ("body", "head", "")
    assert table.select("body.?").names == ("body.0", "body.3")
    assert table.select("body.[01]", identities=True).names == ("body.0", "body.1")
    assert len(table.select("tail*")) == 0


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(KeyError, match=r"no layer 'hed' runs; nearest: 'head'"):
        layers(Classifier(Residual(), None, 8))["hed"]


class ChannelsLast(nn.Module):
    """(B, C, H, W) -> (B, H, W, C), normalised and mixed there, in a block with a layer that does nothing."""

    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.norm, self.mix, self.drop = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Dropout()

    def forward(self, x):
        return self.drop(self.mix(self.norm(self.stem(x).permute(0, 2, 3, 1))))


class BackAgain(nn.Module):
    """A block as ConvNeXt has it: channels are last inside, and first outside."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 12, 4, 4), nn.LayerNorm(12)

    def forward(self, x):
        x = self.conv(x)
        return x + self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def render_one_step(network, layer, size, axis):
    net = Classifier(network, None, size)
    return render(net, channel(layer, 1, channel_axis=axis), transform=None, steps=1, progress=False)


@pytest.mark.parametrize("size", [32, (32, 48), (64, 32)], ids=str)
@pytest.mark.parametrize("layer", ["norm", "mix", "drop", ""])
def test_channels_on_the_last_axis_are_asked_by_it(layer, size):
    network = ChannelsLast(12)
    with pytest.raises(
        ValueError, match="channels are on the last axis, not on axis 1; give channel_axis=-1"
    ) as caught:
        render_one_step(network, layer, size, None)
    assert "\n" not in str(caught.value)
    for axis in (-1, 3):
        assert render_one_step(network, layer, size, axis).complete


@pytest.mark.parametrize("ask", [activation_grid, semantic_dictionary, attribute, sample_activations])
def test_no_operation_takes_rows_of_the_image_for_channels(ask):
    net, photo = Classifier(ChannelsLast(12), None, 32), torch.rand(3, 32, 32)
    with pytest.raises(ValueError, match="give channel_axis=-1"):
        ask(net, photo, "mix", *([channel("mix", 1, channel_axis=-1)] if ask is attribute else []))
    first = Classifier(nn.Sequential(nn.Conv2d(3, 12, 4, 4), nn.ReLU()), None, 32)
    with pytest.raises(ValueError, match=r"its 12 channels are on axis 1, not on axis -1; leave channel_axis out"):
        ask(first, photo, "1", *([channel("1", 1)] if ask is attribute else []), channel_axis=-1)


LINEAR = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8))
FIRST = {
    "one position": (nn.Sequential(nn.Conv2d(3, 8, 32)), "0", 32),
    "as many channels as rows": (nn.Sequential(nn.Conv2d(3, 8, 4, 4), *LINEAR), "0", 32),
    "as many channels as rows, on wide images": (nn.Sequential(nn.Conv2d(3, 8, 4, 4), *LINEAR), "0", (32, 48)),
    "as many channels as rows, of narrow maps": (nn.Sequential(nn.Conv2d(3, 8, 4, (4, 8)), nn.Linear(4, 4)), "0", 32),
    "pooled to a square, on wide images": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(4)), "1", (24, 32)),
    "mixed along the rows": (nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8)), "1", 32),
    "channels last inside a block": (BackAgain(), "", 32),
    "one channel": (nn.Conv2d(3, 1, 1), "", 8),
}  # fmt: skip


@pytest.mark.parametrize("case", FIRST)
def test_channels_on_the_first_axis_are_not_taken_for_rows(case):
    network, layer, size = FIRST[case]
    net = Classifier(network, None, size)
    assert render(net, channel(layer, 0), transform=None, steps=1, progress=False).complete


class Attention(nn.Module):
    """A map of patches, then tokens in heads, whose queries and weights have four axes as well."""

    def __init__(self, patches):
        super().__init__()
        self.patches, self.norm, self.weigh = nn.Conv2d(3, 8, patches, patches), nn.LayerNorm(4), nn.Softmax(-1)
        self.out = nn.Linear(8, 8)

    def forward(self, x):
        tokens = self.out(self.patches(x).flatten(2).mT)
        heads = self.norm(tokens.unflatten(2, (2, 4)).transpose(1, 2))
        weights = self.weigh(heads @ heads.mT)
        return self.out((weights @ heads).transpose(1, 2).flatten(2))


@pytest.mark.parametrize("ask", [activation_grid, semantic_dictionary])
@pytest.mark.parametrize("patches", [16, 8, 4])
def test_a_map_has_the_rows_of_an_image_and_not_as_many_as_tokens(ask, patches):
    net = Classifier(Attention(patches), None, 32)
    with pytest.raises(ValueError, match=r"(without|no) rows and columns") as caught:
        ask(net, torch.rand(3, 32, 32), "out")
    assert "; take 'patches', the last that has, or say how many tokens come before" in str(caught.value)
    assert str(caught.value).endswith("Classifier(..., prefix_tokens=0)")  # a square of patches, and no class token
