"""The list of layers: what runs, in order, as a person reads it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optvis import Classifier, layers
from optvis.models.layers import Layer, LayerTable


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
