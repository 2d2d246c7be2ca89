"""Heads of attention are units: read, switched off, attributed and rendered; maps of attention have places."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from optvis import Classifier, Heads, activations, attention_map, attribute, bake, blinded, find_units, load, render
from optvis.ablation import GreedySearch
from optvis.objectives import layer_norm, logit
from optvis.world import dataset

from .transformers_by_hand import TRANSFORMERS

ATTENTION = {
    "timm, class token": "blocks.1.attn",
    "timm, registers": "blocks.1.attn",
    "timm, not square": "blocks.1.attn",
    "Hugging Face, ViT": "vit.layers.1.attention",
    "Hugging Face, DINOv2 with registers": "encoder.layer.1.attention",
    "Hugging Face, DINOv3": "model.layer.1.attention",
    "Hugging Face, CLIP vision": "encoder.layers.1.self_attn",
    "Hugging Face, SigLIP": "encoder.layers.1.self_attn",
}
MAPS = ATTENTION | {"torchvision, ViT": "encoder.layers.encoder_layer_1.self_attention"}


@pytest.fixture(scope="module", params=ATTENTION)
def member(request):
    """(what is known of a transformer, its Classifier, the name of an attention)"""
    known = TRANSFORMERS[request.param]
    return known, known.load(), ATTENTION[request.param]


def images_for(known, count=2):
    return torch.rand(count, 3, *known.size, generator=torch.Generator().manual_seed(0))


def test_the_layer_of_heads_has_a_channel_for_each(member):
    known, net, name = member
    found = activations(net, images_for(known), f"{name}@heads")[f"{name}@heads"]
    assert found.shape == (2, 2, 16, *known.grid)
    whole = activations(net, images_for(known), f"{name}@heads@all")[f"{name}@heads@all"]
    prefix = known.classes + known.registers
    assert whole.shape == (2, 2, 16, prefix + known.grid[0] * known.grid[1])
    assert torch.equal(whole[..., prefix:], found.flatten(3))


def test_without_all_heads_the_attention_gives_its_bias(member):
    known, net, name = member
    projection = next(
        part
        for key, part in net.network.get_submodule(name).named_children()
        if key.endswith("proj"[-4:]) and key in ("proj", "o_proj", "out_proj")
    )
    path = next(key for key, module in net.network.named_modules() if module is projection)
    with blinded(net, Heads(name, [0, 1])):
        off = activations(net, images_for(known), f"{path}@all")[f"{path}@all"]
    assert_close(off, projection.bias.detach().expand_as(off))
    with blinded(net, Heads(name, [0, 1], tokens="patches")):
        off = activations(net, images_for(known), f"{path}@all")[f"{path}@all"]
    prefix = known.classes + known.registers
    assert_close(off[:, prefix:], projection.bias.detach().expand_as(off[:, prefix:]))
    assert not prefix or not torch.allclose(off[:, :prefix], projection.bias.detach().expand_as(off[:, :prefix]))


def test_attribution_to_heads_is_their_ablation():
    net = TRANSFORMERS["timm, registers"].load()
    images, heads = images_for(TRANSFORMERS["timm, registers"]), Heads("blocks.1.attn", [1])
    found = attribute(net, images, heads.layer, logit(3), method="ablation", progress=False)
    assert found.channels.shape == (2, 2)
    plain = net.logits(images)[:, 3]
    with blinded(net, heads):
        drop = plain - net.logits(images)[:, 3]
    assert_close(found.channels[:, 1], drop, atol=1e-5, rtol=1e-4)
    assert found.top(1).layer == heads.layer


def test_heads_are_rendered_and_written_as_text():
    net, heads = TRANSFORMERS["timm, registers"].load(), Heads("blocks.1.attn", [1, 1, 0])
    made = render(net, layer_norm(heads.layer, list(heads.indices)), size=32, steps=8, progress=False)
    assert (made.scores[-1] > made.scores[0]).all()
    assert repr(heads) == "Heads('blocks.1.attn', [1, 0])"
    assert repr(Heads("blocks.1.attn", 1, tokens="class")) == "Heads('blocks.1.attn', [1], tokens='class')"


def test_layers_without_heads_are_refused():
    net, images = TRANSFORMERS["timm, registers"].load(), torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match="is a Mlp, no attention whose heads"):
        activations(net, images, "blocks.1.mlp@heads")
    with pytest.raises(KeyError, match=r"no layer 'blocks\.7\.attn'"):
        activations(net, images, "blocks.7.attn@heads")
    with pytest.raises(ValueError, match=r"use blinded\(\)"):
        bake(net, Heads("blocks.1.attn", 0))
    torchvision = TRANSFORMERS["torchvision, ViT"].load()
    with (
        pytest.raises(ValueError, match="computes its heads in one function"),
        blinded(torchvision, Heads(MAPS["torchvision, ViT"], 0)),
    ):
        pass


@pytest.mark.parametrize("name", MAPS)
def test_attention_maps_are_what_mixes_the_values(name):
    """Of a patch whose value alone is changed, a query sees as much as it attends to it."""
    known = TRANSFORMERS[name]
    net, images, layer = known.load(), images_for(known), MAPS[name]
    maps = attention_map(net, images, layer, query=(1, 2))
    assert maps.shape == (2, 2, *known.grid)
    assert 0 <= maps.min() <= maps.max() <= 1
    every = torch.stack(
        [
            attention_map(net, images, layer, query=(row, column))
            for row in range(known.grid[0])
            for column in range(known.grid[1])
        ]
    )
    assert_close(attention_map(net, images, layer, query="patches"), every.mean(0))
    if known.classes + known.registers == 0:
        assert_close(maps.sum((2, 3)), torch.ones(2, 2))
    else:
        assert (maps.sum((2, 3)) < 1).all()


def test_attention_maps_weigh_the_values_that_heads_give():
    known = TRANSFORMERS["timm, no class token"]
    net, images = known.load(), images_for(known)
    qkv = activations(net, images, "blocks.1.attn.qkv@all")["blocks.1.attn.qkv@all"]
    values = qkv.unflatten(2, (3, 2, 16))[:, :, 2]  # (B, T, heads, numbers)
    weights = attention_map(net, images, "blocks.1.attn", query=(1, 2)).flatten(2)
    given = activations(net, images, "blocks.1.attn@heads")["blocks.1.attn@heads"][..., 1, 2]
    assert_close(torch.einsum("bht,bthn->bhn", weights, values), given, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("token", ValueError, "query is 'token'; expected 'class'"),
        ("registers", ValueError, "the network has none"),
        ((0, 4), IndexError, r"query is \(0, 4\); expected a patch in 0..3, 0..3"),
    ],
)
def test_wrong_queries_are_refused(query, error, words):
    net = TRANSFORMERS["timm, class token"].load()
    with pytest.raises(error, match=words):
        attention_map(net, torch.rand(1, 3, 32, 32), "blocks.1.attn", query=query)
    with pytest.raises(ValueError, match="computes no attention"):
        attention_map(net, torch.rand(1, 3, 32, 32), "blocks.1.mlp")


def test_heads_are_selected_like_channels():
    net, (images, labels) = load("demo-vit"), dataset(16, 77)
    own, others = images[labels == 7], images[labels != 7]
    options = {"method": GreedySearch(max_units=1, max_swaps=0), "skip_mistaken": True, "progress": False}
    chosen = find_units(net, own, 7, keep=others, layers=["blocks.4.attn@heads@all"], **options)
    assert len(chosen) == 1
    assert all(one.layer == "blocks.4.attn@heads@all" and max(one.indices) < 4 for one in chosen)


class OwnAttention(nn.Module):
    """Two heads, which call `scaled_dot_product_attention` as they are told."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.qkv, self.proj, self.how = nn.Linear(8, 24), nn.Linear(8, 8), how

    def forward(self, x):
        q, k, v = self.qkv(x).view(len(x), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        ways = {
            "by name": lambda: F.scaled_dot_product_attention(query=q, key=k, value=v),
            "causal": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            "causal by position": lambda: F.scaled_dot_product_attention(q, k, v, None, 0.0, True),
            "grouped": lambda: F.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True),
        }
        return self.proj(ways[self.how]().transpose(1, 2).flatten(2))

    def weights(self, x):
        q, k, _ = self.qkv(x).view(len(x), -1, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = q @ (k[:, :1] if self.how == "grouped" else k).mT / 2
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        return (scores.masked_fill(ahead, -torch.inf) if "causal" in self.how else scores).softmax(-1)


@pytest.mark.parametrize("how", ["by name", "causal", "causal by position", "grouped"])
def test_attention_maps_are_of_what_was_asked_for(how):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch_embed, self.attn, self.head = nn.Conv2d(3, 8, 4, 4), OwnAttention(how), nn.Linear(8, 3)

        def tokens(self, x):
            return self.patch_embed(x).flatten(2).mT

        def forward(self, x):
            return self.head(self.attn(self.tokens(x)).mean(1))

    network, images = Net().eval(), torch.rand(2, 3, 16, 16)
    found = attention_map(Classifier(network, None, 16, prefix_tokens=0), images, "attn", query=(1, 2))
    with torch.no_grad():
        expected = network.attn.weights(network.tokens(images))[:, :, 6]
    assert_close(found.flatten(2), expected)
