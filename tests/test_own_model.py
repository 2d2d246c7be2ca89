"""A user's own models: the page on them runs as it stands, and networks that take one size, or more than images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from optvis import IMAGENET, Classifier, NetworkError, accentuate, attribute, build_microscope, dream, layers, render
from optvis.models.infer import as_classifier
from optvis.objectives import channel, logit

from .hugging_face import save_small
from .test_zero_shot import of_transformers

PAGE = Path(__file__).resolve().parent.parent / "docs" / "own_model.md"
BLOCKS = re.findall(r"(?ms)^```(?:\{code-cell\}|python)\n(.*?)^```$", PAGE.read_text("utf-8"))


@pytest.fixture
def files(monkeypatch, tmp_path):
    """The files that the page names."""
    timm = pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    torch.save(models.resnet18(num_classes=3).state_dict(), "mine.pth")
    torch.save(timm.create_model("convnext_atto", num_classes=2).state_dict(), "other.pth")
    Path("labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    timm.models.save_for_hf(timm.create_model("test_resnet"), "my_resnet")
    pytest.importorskip("transformers")
    save_small("ViT", Path("my_vit"))


@pytest.fixture
def hub(monkeypatch):
    """Small networks of Hugging Face in place of published ones."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", num_labels=3
    )
    network = transformers.ResNetForImageClassification(config)
    monkeypatch.setattr(transformers.AutoModelForImageClassification, "from_pretrained", lambda _name: network)
    read = transformers.AutoImageProcessor.from_pretrained

    def read_or_make(name, **options):
        return read(name, **options) if Path(name).exists() else transformers.ConvNextImageProcessor()

    monkeypatch.setattr(transformers.AutoImageProcessor, "from_pretrained", read_or_make)
    clip, tokenizer = of_transformers("CLIP")
    clip.save_pretrained("my_clip")
    size = {"height": 32, "width": 32}
    transformers.CLIPImageProcessor(size=size, crop_size=size).save_pretrained("my_clip")
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", lambda _name: tokenizer)


# Of the page, by what is on this machine.
STANDS_FOR = {
    '"cuda"': '"cpu"',
    '"hf/google/vit-base-patch16-224"': '"hf/my_vit"',
    '"timm/resnet18"': '"timm/test_resnet", weights=None',
    'f"hf/{name}"': '"hf/my_clip"',
    '"timm/hf-hub:timm/resnet18.a1_in1k"': '"timm/local-dir:my_resnet"',
}


def test_every_block_of_the_page_runs(files, hub):
    space: dict[str, object] = {}
    for block in BLOCKS:
        for published, here in STANDS_FOR.items():
            block = block.replace(published, here)
        exec(compile(block, "own_model.md", "exec"), space)
    assert len(BLOCKS) >= 6
    assert space["net"].channels == 1


SIDE = 64
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
STEPS = {"steps": 1, "progress": False}


def hugging_face_vit():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(image_size=SIDE, patch_size=16, num_labels=3, **SMALL)
    return transformers.ViTForImageClassification(config), "vit.layers.1"


def hugging_face_clip_vision():
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(image_size=SIDE, patch_size=16, num_labels=3, **SMALL)
    return transformers.CLIPForImageClassification(transformers.CLIPConfig(vision_config=config.to_dict())), None


def timm_of_another_size():
    timm = pytest.importorskip("timm")
    return timm.create_model("vit_tiny_patch16_224", img_size=SIDE, num_classes=3, depth=2), "blocks.1"


def torchvision_vit():
    return models.VisionTransformer(SIDE, 16, 2, 2, 16, 16, num_classes=3), "encoder.layers.encoder_layer_1"


def linear_over_pixels():
    return nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3)), "3"


ONE_SIZE = [hugging_face_vit, timm_of_another_size, torchvision_vit, linear_over_pixels]


@pytest.fixture(scope="module", params=ONE_SIZE, ids=lambda build: build.__name__)
def one_size(request):
    """A network that takes one size only, which nobody says; a layer; and the Classifier."""
    torch.manual_seed(0)
    network, layer = request.param()
    return network, layer, Classifier(network, IMAGENET, SIDE, labels=["cat", "dog", "horse"])


@pytest.mark.parametrize("recipe", ["natural", "fast", "plain"])
@pytest.mark.parametrize("size", [None, 48, 80, (72, 100)])
def test_a_picture_of_any_size_is_shown_to_a_network_that_takes_one(one_size, recipe, size):
    _, layer, net = one_size
    found = render(net, logit("dog") + channel(layer, 1), size=size, recipe=recipe, **STEPS)
    height, width = (size if isinstance(size, tuple) else (size, size)) if size else net.size
    assert found.images.shape == (1, 3, height, width)


@pytest.mark.filterwarnings("ignore:logit.* is the same without the patches")  # only the class token is read on
def test_all_that_renders_works_on_a_network_that_takes_one_size(one_size, tmp_path):
    _, layer, net = one_size
    photo = torch.rand(3, 90, 120, generator=torch.Generator().manual_seed(0))
    assert dream(net, photo, logit("dog"), **STEPS).images.shape == (1, 3, 90, 120)
    assert accentuate(net, photo, logit("dog"), layer, size=100, **STEPS).images.shape == (1, 3, 75, 100)
    assert attribute(net, photo, layer, logit("dog")).layer == layer
    assert build_microscope(net, [photo, photo], layer, tmp_path / "pages", channels=[1], **STEPS).exists()
    with pytest.raises(ValueError, match=r"takes tiles of 64 px only, .* enlarge it with size=") as caught:
        dream(net, photo[:, :40], logit("dog"), **STEPS)
    assert "\n" not in str(caught.value)


def test_a_size_that_a_network_does_not_take_is_one_sentence(one_size):
    network, layer, net = one_size
    for call in (
        lambda: layers(net, size=80),
        lambda: attribute(Classifier(network, IMAGENET, 80), photo(), layer, logit(1)),
    ):
        with pytest.raises(
            NetworkError, match=r"fails on images of shape \(\d, 3, 80, 80\): .*fixed_size=True"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert isinstance(network, nn.Sequential) or "the size 64 × 64" in str(caught.value)


def photo():
    return torch.rand(3, 80, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("build", [*ONE_SIZE[:3], hugging_face_clip_vision], ids=lambda build: build.__name__)
def test_a_bare_network_is_fed_images_of_the_size_that_it_says(build):
    assert as_classifier(build()[0], IMAGENET).size == (SIDE, SIDE)


def test_a_question_before_the_part_that_takes_one_size_is_answered_at_any(monkeypatch):
    network, _ = linear_over_pixels()
    seen: list[tuple[int, ...]] = []
    network[0].register_forward_pre_hook(lambda _module, inputs: seen.append(tuple(inputs[0].shape)))
    render(Classifier(network, IMAGENET, SIDE), channel("1", 0), size=96, transform=None, **STEPS)
    assert set(seen) == {(1, 3, 96, 96)}


def test_a_network_that_takes_other_sizes_is_not_shown_its_own_only():
    """One that pools is merely too deep for a small image."""
    pools = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3), nn.MaxPool2d(2)) for _ in range(3)))
    net = Classifier(pools, IMAGENET, SIDE)
    with pytest.raises(NetworkError, match="fails on images of shape"):
        render(net, channel("2", 1), size=8, transform=None, **STEPS)


class WithText(nn.Module):
    """Takes images and a text."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images, text):
        return self.conv(images) * text


def clip():
    transformers = pytest.importorskip("transformers")
    text = {**SMALL, "vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**SMALL, "image_size": SIDE, "patch_size": 16}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))


@pytest.mark.parametrize(
    ("build", "cure"),
    [(WithText, r"more than images \(text\): .*forward="), (clip, r"more than images \(input_ids\): .*\.vision_model")],
)
@pytest.mark.parametrize("ask", [layers, lambda net: render(net, channel("", 1), **STEPS)], ids=["layers", "render"])
def test_a_network_that_takes_more_than_images_says_how_it_is_called(build, cure, ask):
    with pytest.raises(NetworkError, match=cure) as caught:
        ask(Classifier(build(), IMAGENET, SIDE))
    assert "\n" not in str(caught.value)
    called = Classifier(WithText(), IMAGENET, SIDE, forward=lambda net, images: net(images, 1.0))
    assert layers(called).names == ("conv", "")


def test_a_network_that_was_exported_for_one_image_says_how_to_export_it() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    exported = torch.export.export(network, (torch.rand(1, 3, 16, 16),)).module()
    two = torch.rand(2, 3, 16, 16)
    with pytest.raises(NetworkError, match=r"exported for another number of images: .*dynamic_shapes"):
        Classifier(exported, None, 16).logits(two)
    shapes = [{0: torch.export.Dim.AUTO}]
    cured = torch.export.export(network, (two,), dynamic_shapes=shapes).module()
    torch.testing.assert_close(Classifier(cured, None, 16).logits(two), network(two))
