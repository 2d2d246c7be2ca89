"""Tokens have a place: what a patch of the image excites is found at its row and column, in every layout of tokens."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Channels, Classifier, activation_grid, activations, attribute, bake, blinded, load
from optvis.atlas import sample_activations
from optvis.circuits import hinton_of_activations
from optvis.features import group, receptive_fields
from optvis.grids import semantic_dictionary
from optvis.microscope.top_activations import find_top_activations
from optvis.models.hooks import hook_modules
from optvis.models.layers import find_module
from optvis.models.outputs.tokens import TokenLayout
from optvis.objectives import channel, logit, neuron, position_norm
from optvis.objectives.layout import channels_first, name_tokens, split_tokens

from .transformers_by_hand import TRANSFORMERS

ROUNDING = {"rtol": 1e-5, "atol": 1e-5}  # kernels of attention may differ with and without frozen weights


@pytest.fixture(scope="module", params=TRANSFORMERS)
def member(request):
    """(what is known of a transformer, its Classifier)"""
    known = TRANSFORMERS[request.param]
    return known, known.load()


@pytest.fixture(scope="module", params=[name for name, known in TRANSFORMERS.items() if known.channel_axis is None])
def in_a_row(request):
    """The same of those whose layer gives tokens in a row."""
    known = TRANSFORMERS[request.param]
    return known, known.load()


def read(known, net, images):
    """The layer's activations as a map, (B, C, rows, columns)."""
    return channels_first(activations(net, images, known.layer)[known.layer], known.channel_axis)


def places(known):
    """The corners of the grid, and a position inside that is on no diagonal."""
    rows, columns = known.grid
    return [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1), (1, 2)]


def patch_box(known, row, column):
    """Pixels of a patch: slices of rows and columns."""
    height, width = (side // count for side, count in zip(known.size, known.grid, strict=True))
    return slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width)


def stimuli(known, seed=0):
    """An image, and for each of `places` the same image with other pixels in that one patch."""
    generator = torch.Generator().manual_seed(seed)
    plain = torch.rand(3, *known.size, generator=generator)
    changed = plain.repeat(len(places(known)), 1, 1, 1)
    for image, place in zip(changed, places(known), strict=True):
        rows, columns = patch_box(known, *place)
        image[:, rows, columns] = 1 - image[:, rows, columns].round()
    return plain, changed


def argmax_places(maps):
    """Row and column of the largest number of each map, (B, H, W)."""
    flat = maps.flatten(1).argmax(1)
    return [divmod(int(index), maps.shape[2]) for index in flat]


def test_a_changed_patch_changes_its_own_place_most(member):
    known, net = member
    plain, changed = stimuli(known)
    difference = (read(known, net, changed) - read(known, net, plain)).norm(dim=1)
    assert difference.shape[1:] == known.grid
    assert argmax_places(difference) == places(known)


def test_a_checkerboard_is_seen_as_one(member):
    """Along the difference of white and black, each white patch is above each black one beside it."""
    known, net = member
    board = torch.zeros(3, *known.size)
    for row in range(known.grid[0]):
        for column in range(known.grid[1]):
            rows, columns = patch_box(known, row, column)
            board[:, rows, columns] = (row + column) % 2
    white, black, seen, inverse = read(known, net, torch.stack([board * 0 + 1, board * 0, board, 1 - board]))
    along = ((seen - inverse) * (white - black)).sum(0)  # of each position; what it says of its place cancels
    is_white = board[0, :: known.size[0] // known.grid[0], :: known.size[1] // known.grid[1]].bool()
    assert along[is_white].min() > 0 > along[~is_white].max()


def test_channel_and_neuron_read_the_map(member):
    known, net = member
    a, image = read(known, net, stimuli(known)[0]), stimuli(known)[0]
    row, column = 1, 2
    axis = {"channel_axis": known.channel_axis}
    found = attribute(net, image, known.layer, neuron(known.layer, 3, row, column, **axis), progress=False, **axis)
    assert_close(found.scores, a[:, 3, row, column], atol=1e-5, rtol=1e-4)
    expected = torch.zeros(1, *known.grid)
    expected[0, row, column] = a[0, 3, row, column]
    assert_close(found.positions, expected, atol=1e-5, rtol=1e-4)
    mean = attribute(net, image, known.layer, channel(known.layer, 3, **axis), progress=False, **axis)
    assert_close(mean.scores, a[:, 3].mean((1, 2)), atol=1e-5, rtol=1e-4)


def test_overlays_show_the_place(member):
    known, net = member
    axis = {"channel_axis": known.channel_axis}
    for row, column in places(known):
        objective = position_norm(known.layer, row, column, **axis)
        gray = torch.full((3, *known.size), 0.5)
        found = attribute(net, gray, known.layer, objective, progress=False, **axis)
        color = np.ptp(np.asarray(found.overlay(), dtype=float), axis=2)  # the image is gray
        rows, columns = patch_box(known, row, column)
        y, x = argmax_places(torch.from_numpy(color)[None])[0]
        assert rows.start <= y < rows.stop
        assert columns.start <= x < columns.stop


def test_grids_dictionaries_and_hinton_diagrams_have_the_places(member):
    known, net = member
    axis = {"channel_axis": known.channel_axis}
    image = stimuli(known)[0]
    a = read(known, net, image)
    grid = activation_grid(net, image, known.layer, groups=2, size=8, steps=1, progress=False, **axis)
    assert grid.icons.shape[1:3] == known.grid
    assert_close(grid.activations, a, atol=1e-5, rtol=1e-4)
    dictionary = semantic_dictionary(net, image, known.layer, top=2, size=8, steps=1, progress=False, **axis)
    assert torch.equal(dictionary.indices, a[0].movedim(0, -1).topk(2).indices)
    shown = hinton_of_activations(net, image, known.layer, [0, 1], **axis)
    assert_close(shown.values.flatten(), a[0, :2].flatten(), atol=1e-5, rtol=1e-4)


def test_microscopes_and_atlases_have_the_places(member):
    known, net = member
    plain, changed = stimuli(known)
    images = torch.cat([plain[None], changed])
    maps = read(known, net, images)
    from optvis.data import as_dataset

    top = find_top_activations(net, as_dataset(images), [known.layer], 1, known.channel_axis)[known.layer]
    for index in range(4):
        image = int(top.indices[index, 0])
        assert tuple(top.positions[index, 0].tolist()) == argmax_places(maps[image, index][None])[0]
    with warnings.catch_warnings(action="ignore"):  # patches of a last block may have no attribution
        samples = sample_activations(net, images, known.layer, channel_axis=known.channel_axis, progress=False)
    assert samples.grid == known.grid
    for vector, place, image in zip(samples.vectors, samples.positions, maps, strict=True):
        assert_close(vector, image[:, place[0], place[1]], atol=1e-5, rtol=1e-4)
    fields = receptive_fields(net, known.layer, channel_axis=known.channel_axis)
    assert (len(fields.rows), len(fields.columns)) == known.grid


def raw_output(known, net, images):
    """What the layer's module returns."""
    kept = []
    module, _ = find_module(net.network, known.layer)
    with hook_modules([module], after=lambda _module, _inputs, output: kept.append(output)), torch.no_grad():
        net.network(images)
    return kept[0]


def test_kinds_of_tokens_are_those_of_the_layer(in_a_row):
    known, net = in_a_row
    images = stimuli(known)[1][:2]
    raw, prefix = raw_output(known, net, images), known.classes + known.registers
    rows, columns = known.grid
    found = {
        tokens: activations(net, images, known.layer, tokens=tokens)[known.layer]
        for tokens in ("patches", "all", *["class"] * bool(known.classes), *["registers"] * bool(known.registers))
    }
    assert_close(found["all"], raw, **ROUNDING)
    for row, column in places(known):
        assert_close(found["patches"][:, :, row, column], raw[:, prefix + row * columns + column], **ROUNDING)
    if known.classes:
        classes = raw[:, 0] if known.classes == 1 else raw[:, : known.classes]
        assert_close(found["class"], classes, **ROUNDING)
    if known.registers:
        assert_close(found["registers"], raw[:, known.classes : prefix], **ROUNDING)
    assert raw.shape[1] == prefix + rows * columns


def test_units_are_off_in_the_tokens_that_are_meant(in_a_row):
    known, net = in_a_row
    images, prefix = stimuli(known)[1][:2], known.classes + known.registers
    plain = raw_output(known, net, images)
    spans = {"patches": slice(prefix, None), "all": slice(None)}
    spans |= {"class": slice(known.classes)} if known.classes else {}
    spans |= {"registers": slice(known.classes, prefix)} if known.registers else {}
    for tokens, span in spans.items():
        with blinded(net, Channels(known.layer, 5, tokens=tokens)):
            off = activations(net, images, known.layer, tokens="all")[known.layer]
        expected = plain.clone()
        expected[:, span, 5] = 0
        assert_close(off, expected, **ROUNDING)
        assert not off[:, span, 5].any()


def test_tokens_that_a_network_lacks_are_refused():
    net = TRANSFORMERS["timm, class token"].load()
    with pytest.raises(ValueError, match="there are no registers: the layer gives 1 class tokens"):
        activations(net, torch.rand(1, 3, 32, 32), "blocks.1", tokens="registers")
    with pytest.raises(ValueError, match="tokens is 'patch'; expected 'patches', 'class', 'registers' or 'all'"):
        channel("blocks.1", 3, tokens="patch")
    with pytest.raises(ValueError, match="whose name says 'class'"):
        channel("blocks.1@class", 3, tokens="all")
    with pytest.raises(ValueError, match="no tokens of known places"):
        activations(load("squeezenet1_0", weights=None), torch.rand(1, 3, 224, 224), "features.3", tokens="class")


class Plain(nn.Module):
    """A transformer that says nothing of its tokens: one of classes, then 4 x 4 patches."""

    def __init__(self):
        super().__init__()
        self.cut, self.start = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.randn(1, 1, 8))
        self.mix, self.head = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 5)

    def forward(self, x):
        tokens = torch.cat([self.start.expand(len(x), -1, -1), self.cut(x).flatten(2).mT], 1)
        return self.head(self.mix(tokens).mean(1))


def test_the_caller_can_declare_how_many_tokens_come_first():
    network, images = Plain().eval(), torch.rand(2, 3, 32, 32)
    silent = activations(Classifier(network, None, 32), images, "mix")["mix"]
    assert silent.shape == (2, 17, 8)
    with pytest.raises(ValueError, match=r"no 'class'; .*say how many .*: Classifier\(\.\.\., prefix_tokens=1\)$"):
        activations(Classifier(network, None, 32), images, "mix", tokens="class")
    declared = Classifier(network, None, 32, prefix_tokens=1)
    assert_close(activations(declared, images, "mix")["mix"], silent[:, 1:].mT.unflatten(2, (4, 4)))
    assert_close(activations(declared, images, "mix@class")["mix@class"], silent[:, 0])
    with pytest.raises(ValueError, match="prefix_tokens is -1; expected the number of tokens before the patches"):
        Classifier(network, None, 32, prefix_tokens=-1)
    with pytest.raises(TypeError, match="prefix_tokens must be int or None"):
        Classifier(network, None, 32, prefix_tokens=True)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), lambda one: bake(one, Channels("mix", ()))],
    ids=["deepcopy", "pickle", "bake"],
)
def test_a_copy_keeps_the_declared_number_of_tokens(copied):
    declared, images = Classifier(Plain().eval(), None, 32, prefix_tokens=1), torch.rand(2, 3, 32, 32)
    expected = activations(declared, images, "mix")["mix"]
    assert_close(activations(copied(declared), images, "mix")["mix"], expected)


@pytest.mark.parametrize("tokens", ["patches", "class", "registers", "all"])
def test_restore_is_the_inverse_of_select(tokens):
    layout, a = TokenLayout(1, 3, (2, 4)), torch.rand(3, 12, 5)
    chosen = layout.select(a, tokens)
    assert torch.equal(layout.restore(chosen, a, tokens), a)
    first, last = layout.span(tokens)
    expected = a.clone()
    expected[:, first:last] = 2
    assert torch.equal(layout.restore(torch.full_like(chosen, 2), a, tokens), expected)


@pytest.mark.parametrize("layer", ["blocks.1", "norm@input", "relu#1", ""])
@pytest.mark.parametrize("tokens", [None, "class", "registers", "all"])
def test_names_of_tokens_are_split_again(layer, tokens):
    assert split_tokens(name_tokens(layer, tokens)) == (layer, tokens)


def test_a_named_channel_axis_is_refused_where_patches_are_a_map():
    net = TRANSFORMERS["timm, class token"].load()
    objective = channel("blocks.1", 3, channel_axis=1)
    assert attribute(net, torch.rand(3, 32, 32), "blocks.1", objective, progress=False).positions.shape == (1, 4, 4)
    with pytest.raises(ValueError, match="leave channel_axis out"):
        attribute(net, torch.rand(3, 32, 32), "blocks.1", channel("blocks.1", 3, channel_axis=-1), progress=False)


def test_signed_activations_have_groups_by_default():
    signed = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    assert group(signed, 3, layer="a").decomposition.startswith("PCA")
    assert group(signed.abs(), 3, layer="a").decomposition.startswith("NMF")


def test_attribution_to_class_token_and_patches_add_up_to_that_of_all_tokens():
    net = TRANSFORMERS["timm, registers"].load()
    image, options = torch.rand(3, 32, 32), {"method": "grad_x_activation", "progress": False}
    everything = attribute(net, image, "blocks.0", logit(2), tokens="all", **options).channels
    parts = [attribute(net, image, "blocks.0", logit(2), tokens=one, **options) for one in ("class", "registers", None)]
    assert parts[2].positions.shape == (1, 4, 4)
    assert_close(sum(part.channels for part in parts), everything, atol=1e-5, rtol=1e-4)


def test_an_atlas_of_patches_that_nothing_reads_says_so():
    net = TRANSFORMERS["timm, class token"].load()
    with pytest.warns(UserWarning, match=r"do not depend on the activations of 'blocks.1'.*, 'blocks.1@class'$"):
        found = sample_activations(net, torch.rand(3, 3, 32, 32), "blocks.1", progress=False)
    assert not found.attribution.any()


def test_patches_that_nothing_reads_any_more_are_said_to_be_so():
    net = TRANSFORMERS["timm, class token"].load()
    with pytest.warns(UserWarning, match=r"the same without the patches of 'blocks.1'.* 'blocks.1@class' or "):
        found = attribute(net, torch.rand(3, 32, 32), "blocks.1", logit(2), progress=False)
    assert not found.values.any()
    assert attribute(net, torch.rand(3, 32, 32), "blocks.1", logit(2), tokens="class", progress=False).values.any()


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("timm, class token", "patch_embed"),
        ("timm, not square", "patch_embed"),
        ("Hugging Face, ViT", "vit.embeddings.patch_embeddings"),
    ],
)
def test_the_receptive_field_of_an_embedded_patch_is_the_patch(name, layer):
    known = TRANSFORMERS[name]
    fields = receptive_fields(known.load(), layer)
    assert fields.rows == tuple((8 * row, 8 * row + 8) for row in range(known.grid[0]))
    assert fields.columns == tuple((8 * column, 8 * column + 8) for column in range(known.grid[1]))


def test_a_part_of_the_patches_is_no_map():
    from transformers import ViTMAEConfig, ViTMAEModel

    config = ViTMAEConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    net = Classifier(ViTMAEModel(config), None, 224)
    activations(net, torch.rand(1, 3, 224, 224), "layers.1")
    with pytest.warns(UserWarning, match="draws random numbers in eval mode"):
        found = activations(net, torch.rand(1, 3, 224, 224), "layers.1")["layers.1"]
    assert found.shape == (1, 50, 32)
