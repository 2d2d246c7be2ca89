"""Classifiers whose classes are texts: their logits are the network's own, and all that takes a Classifier works."""

from __future__ import annotations

import pytest
import torch

from optvis import (
    Classifier,
    Normalize,
    activations,
    attribute,
    classify,
    evaluate,
    find_units,
    layers,
    load,
    render,
    zero_shot,
)
from optvis.ablation import blinded
from optvis.features import Channels
from optvis.models.adapted.network import original_of
from optvis.objectives import logit, text

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers and open_clip
SIDE, LENGTH = 32, 12
PROMPTS = ["a cat", "a dog on a boat", "a red boat"]
WORDS = ["<pad>", "<s>", "</s>", "a", "cat", "dog", "on", "boat", "red", "<unk>"]
GROUPS = {"boat": ["a boat", "a red boat"], "cat": "a cat"}
NORMALIZE = Normalize((0.5,) * 3, (0.25,) * 3)
TOWER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def transformers_tokenizer():
    transformers, tokenizers = pytest.importorskip("transformers"), pytest.importorskip("tokenizers")
    words = tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>")
    built = tokenizers.Tokenizer(words)
    built.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    built.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, pad_token="<pad>", eos_token="</s>")


def of_transformers(name, **vision):
    transformers = pytest.importorskip("transformers")
    text_config = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": LENGTH, "eos_token_id": 2,
                   "bos_token_id": 1, "pad_token_id": 0}  # fmt: skip
    vision_config = {**TOWER, "patch_size": 8, **(vision or {"image_size": SIDE})}
    options = {"projection_dim": 16} if name == "CLIP" else {}
    config = getattr(transformers, f"{name}Config")(text_config=text_config, vision_config=vision_config, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{name}Model")(config).eval(), transformers_tokenizer()


def of_open_clip(kind, **options):
    model = pytest.importorskip("open_clip.model")
    vision = model.CLIPVisionCfg(layers=2, width=32, head_width=16, patch_size=8, image_size=SIDE)
    texts = model.CLIPTextCfg(context_length=LENGTH, vocab_size=len(WORDS), width=16, heads=2, layers=2)

    def tokenize(texts):
        rows = [[1, *(WORDS.index(word) for word in text.split())] for text in texts]
        return torch.tensor([[*row, 9, *[0] * (LENGTH - 1 - len(row))] for row in rows])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(model, kind)(16, vision, texts, **options).eval(), tokenize


def own_logits(network, tokenizer, images):
    """What the network itself says of pairs of images and texts."""
    with torch.no_grad():
        if hasattr(network, "encode_text"):
            image, texts, scale, *bias = network(images, tokenizer(PROMPTS))
            return scale * image @ texts.T + (bias[0] if bias else 0)
        padding = "max_length" if hasattr(network, "logit_bias") else True
        tokens = tokenizer(PROMPTS, padding=padding, max_length=LENGTH, return_tensors="pt")
        inputs = {"pixel_values": images}
        if "Siglip2" in type(network).__name__:
            cut = images.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 4, 5, 1).reshape(len(images), 16, -1)
            mask, shapes = torch.ones(len(images), 16, dtype=torch.long), torch.tensor([[4, 4]] * len(images))
            inputs = {"pixel_values": cut, "pixel_attention_mask": mask, "spatial_shapes": shapes}
        return network(**inputs, **tokens).logits_per_image


NETWORKS = {
    "CLIP of transformers": lambda: of_transformers("CLIP"),
    "SigLIP of transformers": lambda: of_transformers("Siglip"),
    "SigLIP 2 of transformers": lambda: of_transformers("Siglip2", num_patches=16),
    "CLIP of open_clip": lambda: of_open_clip("CLIP"),
    "CustomTextCLIP of open_clip": lambda: of_open_clip("CustomTextCLIP"),
    "SigLIP of open_clip": lambda: of_open_clip("CustomTextCLIP", init_logit_bias=-3.0, init_logit_scale=2.0),
}


@pytest.fixture(scope="module", params=NETWORKS)
def built(request):
    """The network, its tokenizer, and the classifier of the prompts."""
    network, tokenizer = NETWORKS[request.param]()
    model = Classifier(network, NORMALIZE, SIDE)
    return network, tokenizer, zero_shot(model, PROMPTS, tokenizer)


@pytest.fixture
def images():
    return torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def test_logits_are_the_networks_own(built, images):
    network, tokenizer, net = built
    torch.testing.assert_close(
        net.logits(images), own_logits(network, tokenizer, NORMALIZE(images)), atol=1e-4, rtol=1e-4
    )
    assert net.labels == tuple(PROMPTS)
    is_pairwise = "iglip" in type(network).__name__ or getattr(network, "logit_bias", None) is not None
    assert net.read_head(images).kind == ("sigmoid" if is_pairwise else "softmax")


def test_it_classifies_renders_and_attributes(built, images):
    _, _, net = built
    assert classify(net, images, top=3).confidences.shape == (6, 3)
    names = layers(net).names
    assert names[-3:] == ("image_embedding", "prompts", "")
    blocks = [name for name in names if name.endswith((".1", "resblocks.1")) and "text" not in name]
    picture = render(net, logit("a red boat") - logit("a cat"), size=SIDE, steps=2, progress=False)
    assert picture.scores.isfinite().all()
    for layer in (blocks[-1], "image_embedding"):
        shares = attribute(net, images[:1], layer, logit("a dog on a boat"), progress=False)
        assert shares.values.isfinite().all()


def test_the_cosine_with_a_text_is_maximised_and_is_the_cosine(built):
    _, _, net = built
    objective = text("a red cat")
    found = render(net, objective, size=SIDE, steps=16, recipe="plain", transform=None, progress=False)
    assert found.scores[-1] > found.scores[0]
    embedding = activations(net, found.images, "image_embedding")["image_embedding"]
    expected = embedding @ net.network.embed_texts(["a red cat"]).mT
    torch.testing.assert_close(objective.resolve((), net.network.embed_texts)({"image_embedding": embedding}),
                               expected[:, 0], atol=1e-3, rtol=1e-3)  # fmt: skip
    assert repr(objective) == "text('a red cat')"
    assert "text('a red cat')" in str(found.recipe)
    two = render(net, text(["a cat", "a dog"]), size=SIDE, steps=1, progress=False)
    assert len(two.images) == 2
    product = text("a cat") * (1 + text("a dog"))
    assert render(net, product, size=SIDE, steps=1, progress=False).scores.isfinite().all()


def test_units_are_found_switched_off_and_judged(built, images):
    _, _, net = built
    predicted = net.logits(images).argmax(1)
    source = int(predicted[0])
    own, others = images[predicted == source], images[predicted != source]
    units = Channels("image_embedding", range(5))
    with blinded(net, units):
        changed = net.logits(images)
    assert not changed.equal(net.logits(images))
    result = evaluate(net, units, {"own": (own, source)}, random_sets=1, progress=False)
    assert result is not None
    if len(others) and net.head == "softmax":
        options = {"layers": ["image_embedding"], "max_units": 2, "progress": False, "skip_mistaken": True}
        find_units(net, own, source, keep=others, **options)


def test_the_network_stays_as_it_is(built, untouched, images):
    network, tokenizer, _ = built
    with untouched(network):
        net = zero_shot(
            Classifier(network, NORMALIZE, SIDE), {"boat": ["a boat", "a red boat"], "cat": "a cat"}, tokenizer
        )
        net.logits(images)
        render(net, text("a cat") + logit("boat"), size=SIDE, steps=1, progress=False)
    assert net.labels == ("boat", "cat")
    assert original_of(net.network) is network


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_surroundings_change_nothing(built, images, mode):
    network, tokenizer, net = built
    with mode():
        same = zero_shot(Classifier(network, NORMALIZE, SIDE), PROMPTS, tokenizer)
        logits = same.logits(images)
        picture = render(same, text("a cat"), size=SIDE, steps=1, progress=False)
    assert logits.equal(net.logits(images))
    assert picture.images.equal(render(net, text("a cat"), size=SIDE, steps=1, progress=False).images)


def test_several_texts_of_a_class_are_averaged(built):
    network, tokenizer, net = built
    both = zero_shot(
        Classifier(network, NORMALIZE, SIDE), {"boat": ["a boat", "a red boat"], "cat": "a cat"}, tokenizer
    )
    rows = net.network.embed_texts(["a boat", "a red boat"])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    mean = torch.nn.functional.normalize(rows.mean(0), dim=0)
    found = torch.nn.functional.normalize(both.network.prompts.weight[0], dim=0)
    torch.testing.assert_close(found, mean)


def test_a_loaded_network_says_how_images_are_fed(tmp_path):
    network, tokenizer = of_transformers("CLIP")
    transformers = pytest.importorskip("transformers")
    network.save_pretrained(tmp_path)
    size = {"height": SIDE, "width": SIDE}
    transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=size).save_pretrained(tmp_path)
    model = load(f"hf/{tmp_path}")
    assert model.read_head(torch.rand(1, 3, SIDE, SIDE)).kind == "embedding"
    net = zero_shot(model, PROMPTS, tokenizer)
    assert net.normalize == model.normalize
    assert net.size == (SIDE, SIDE)


def test_open_clip_says_it_itself():
    network, tokenizer = of_open_clip("CLIP")
    with pytest.raises(ValueError, match=r"CLIP does not say how its input is normalised; .*load\('hf/NAME'\)"):
        zero_shot(network, PROMPTS, tokenizer)
    network.visual.preprocess_cfg = {"size": 32, "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5),
                                     "interpolation": "bicubic", "resize_mode": "squash"}  # fmt: skip
    net = zero_shot(network, PROMPTS, tokenizer)
    assert net.normalize == Normalize((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert net.crop.resize == (32, 32)


@pytest.mark.parametrize("prompts", [[], {}, {"cat": []}, ["a cat", "a cat"]])
def test_prompts_that_make_no_sense_are_one_sentence(prompts):
    network, tokenizer = of_transformers("CLIP")
    with pytest.raises(ValueError, match=r"prompts are .*; expected"):
        zero_shot(Classifier(network, NORMALIZE, SIDE), prompts, tokenizer)


def test_a_network_without_texts_is_refused(small):
    with pytest.raises(ValueError, match="Sequential has no encoders of images and texts"):
        zero_shot(small, PROMPTS, None)
    with pytest.raises(ValueError, match=r"text 'a cat' for a network that takes no texts; .*zero_shot\("):
        render(small, text("a cat"), steps=1, progress=False)
    with pytest.raises(ValueError, match="for a network that takes no texts"):
        text("a cat")({"image_embedding": torch.rand(1, 4)})
    for wrong in (3, [], ["a", 2]):
        with pytest.raises(TypeError, match=r"expected a text, or one per image|must be str or an iterable of str"):
            text(wrong)
