"""Networks that people have, small: of torchvision, timm and Hugging Face, wrapped, and written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis import IMAGENET, Classifier, as_classifier, zero_shot
from optvis.data.crop import ResizeCrop
from optvis.models.zoo.hugging_face import classifier_from_hugging_face

from .hugging_face import FOLDERS, build_small
from .test_zero_shot import of_open_clip, of_transformers
from .wrapped import WRAPPED

CLASSES = 4
COLORS = tuple("abcd")


@dataclass(frozen=True)
class Case:
    """A network to ask.

    Args:
        build: makes a Classifier with random weights.
        layer: a layer near its end that has channels and, where there are such, places.
        channel_axis: where its layout does not say it.
    """

    build: Callable[[], Classifier]
    layer: str
    channel_axis: int | None = None


def torchvision(name: str, layer: str, size: int = 64, axis: int | None = None, **options: Any) -> Case:
    """A network of torchvision by the name of its builder."""
    from torchvision import models

    def build() -> Classifier:
        network = models.get_model(name, weights=None, num_classes=CLASSES, **options)
        return Classifier(network, IMAGENET, size, COLORS)

    return Case(build, layer, axis)


def small_torchvision(build: Callable[[Any], nn.Module], layer: str, size: int = 48, axis: int | None = None) -> Case:
    """A network of torchvision that is narrower than those with names."""

    def make() -> Classifier:
        from torchvision import models

        return Classifier(build(models), IMAGENET, size, COLORS)

    return Case(make, layer, axis)


def timm(name: str, layer: str, axis: int | None = None, **options: Any) -> Case:
    """A network of timm as it says that it is fed; one that takes any size, with small images."""

    def build() -> Classifier:
        from timm import create_model

        net = as_classifier(create_model(name, **{"num_classes": CLASSES, **options}))
        return net if "img_size" in options else replace(net, size=(64, 64), crop=ResizeCrop(64, (64, 64)))

    return Case(build, layer, axis)


def hugging_face(name: str, layer: str, axis: int | None = None) -> Case:
    """A network of transformers with its image processor."""
    return Case(lambda: classifier_from_hugging_face(*build_small(name), name), layer, axis)


def wrapped(name: str) -> Case:
    """A tiny network in a wrapper."""
    build, prefix = WRAPPED[name]
    return Case(lambda: Classifier(build(), None, 24, COLORS), f"{prefix}relu2")


def clip(build: Callable[[], tuple[nn.Module, Any]], layer: str) -> Case:
    """A classifier of texts."""

    def make() -> Classifier:
        network, tokenizer = build()
        return zero_shot(Classifier(network, IMAGENET, 32), ["a cat", "a dog", "a boat"], tokenizer)

    return Case(make, layer)


def convolutions(channels: int = 3, outputs: int = CLASSES) -> nn.Sequential:
    """A network that somebody wrote."""
    parts = [nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(12, outputs)).eval()


class Returns(nn.Module):
    """A network by hand whose output is packed, or that takes more than images."""

    def __init__(self, pack: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body, self.pack = convolutions(), pack

    def forward(self, images: Tensor, scale: Tensor | None = None) -> Any:
        scores = self.body(images)
        return self.pack(scores if scale is None else scores * scale)


class Segments(nn.Module):
    """Scores for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, CLASSES, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": self.body(images)}


class ChannelsLast(nn.Module):
    """Blocks on (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 4, 4)
        self.block = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 12), nn.GELU())
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.block(self.stem(images).permute(0, 2, 3, 1)).mean((1, 2)))


def by_hand(network: Callable[[], nn.Module], layer: str, size: int = 24, **options: Any) -> Case:
    """A network that somebody wrote."""
    settings = {"labels": COLORS} | options
    return Case(lambda: Classifier(network(), None, size, **settings), layer)


def quantized() -> nn.Module:
    network = convolutions()
    with torch.no_grad():  # so that predictions differ
        network[-1].bias -= network(nn.functional.interpolate(torch.rand(16, 3, 3, 3), 24)).median(0).values
    return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)


BLOCK = {"patch_size": [2, 2], "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": [4, 4]}

NETWORKS: dict[str, Case] = {
    # torchvision
    "resnet18": torchvision("resnet18", "layer3", 32),
    "squeezenet1_1": torchvision("squeezenet1_1", "features.12"),
    "mobilenet_v2": torchvision("mobilenet_v2", "features.16", width_mult=0.25),
    "mobilenet_v3_small": torchvision("mobilenet_v3_small", "features.10"),
    "efficientnet_b0": torchvision("efficientnet_b0", "features.5", 32),
    "shufflenet_v2_x0_5": torchvision("shufflenet_v2_x0_5", "stage4"),
    "mnasnet0_5": torchvision("mnasnet0_5", "layers.13"),
    "DenseNet": small_torchvision(lambda m: m.DenseNet(4, (2, 2), 8, num_classes=CLASSES), "features.denseblock2"),
    "ConvNeXt": small_torchvision(
        lambda m: m.ConvNeXt([m.convnext.CNBlockConfig(8, 16, 1), m.convnext.CNBlockConfig(16, None, 1)],
                             num_classes=CLASSES), "features.3"),
    "VisionTransformer": small_torchvision(
        lambda m: m.VisionTransformer(48, 16, 2, 2, 16, 32, num_classes=CLASSES), "encoder.layers.encoder_layer_1"),
    "SwinTransformer": small_torchvision(
        lambda m: m.SwinTransformer(**BLOCK, num_classes=CLASSES), "features.3", 32, -1),
    "lraspp (segmentation)": Case(
        lambda: Classifier(_segmentation(), IMAGENET, 48), "backbone.12"),
    # timm
    "timm/test_resnet": timm("test_resnet", "layer3"),
    "timm/test_vit (class token)": timm("test_vit", "blocks.3", img_size=48),
    "timm/test_vit3 (registers)": timm("test_vit3", "blocks.3", img_size=48),
    "timm/test_convnext": timm("test_convnext", "stages.2"),
    "timm/test_efficientnet": timm("test_efficientnet", "blocks.4"),
    "timm/test_nfnet": timm("test_nfnet", "stages.2"),
    "timm/test_byobnet": timm("test_byobnet", "stages.3"),
    "timm/test_mambaout": timm("test_mambaout", "stages.2", -1),
    "timm/test_maxvit": timm("test_maxvit", "stages.2", img_size=64),
    "timm/swin": timm("swin_tiny_patch4_window7_224", "layers.1", -1, img_size=32, patch_size=2, window_size=4,
                      embed_dim=8, depths=(1, 1), num_heads=(2, 2)),
    "timm/mixer": Case(lambda: Classifier(_mixer(), IMAGENET, 32, COLORS), "blocks.1"),
    "timm/deit distilled": timm("deit_tiny_distilled_patch16_224", "blocks.1", img_size=48, depth=2, embed_dim=24),
    "timm/features alone": timm("test_resnet", "layer3", num_classes=0),
    # Hugging Face
    "hf/ViT": hugging_face("ViT", "vit.layers.1"),
    "hf/DeiT": hugging_face("DeiT", "deit.layers.1"),
    "hf/BEiT": hugging_face("BEiT", "beit.layers.1"),
    "hf/Swin": hugging_face("Swin", "swin.encoder.layers.1.blocks.0"),
    "hf/SwinV2": hugging_face("SwinV2", "swinv2.encoder.layers.1.blocks.0"),
    "hf/ConvNeXt": hugging_face("ConvNeXt", "convnext.encoder.stages.1"),
    "hf/ConvNeXtV2": hugging_face("ConvNeXtV2", "convnextv2.encoder.stages.1"),
    "hf/ResNet": hugging_face("ResNet", "resnet.encoder.stages.1"),
    "hf/MobileNetV2": hugging_face("MobileNetV2", "mobilenet_v2.layer.10"),
    "hf/DINOv2": hugging_face("DINOv2", "encoder.layer.1"),
    "hf/DINOv2 with registers": hugging_face("DINOv2 with registers", "dinov2_with_registers.encoder.layer.1"),
    "hf/DINOv3": hugging_face("DINOv3", "model.layer.1"),
    "hf/DINOv3 ConvNeXt": hugging_face("DINOv3 ConvNeXt", "model.stages.2"),
    "hf/CLIP vision": hugging_face("CLIP vision", "vision_model.encoder.layers.1"),
    "hf/SigLIP": hugging_face("SigLIP", "encoder.layers.1"),
    "hf/SigLIP 2": hugging_face("SigLIP 2", "encoder.layers.1"),
    # texts as classes
    "zero-shot CLIP of hf": clip(partial(of_transformers, "CLIP"), "vision_model.encoder.layers.1"),
    "zero-shot SigLIP of hf": clip(partial(of_transformers, "Siglip"), "vision_model.encoder.layers.1"),
    "zero-shot CLIP of open_clip": clip(partial(of_open_clip, "CLIP"), "visual.transformer.resblocks.1"),
    # wrapped
    **{name: wrapped(name) for name in WRAPPED},
    # by hand
    "one channel": by_hand(lambda: convolutions(1), "3"),
    "four channels": by_hand(lambda: convolutions(4), "3"),
    "nine channels": by_hand(lambda: convolutions(9), "3"),
    "one logit": by_hand(lambda: convolutions(3, 1), "3", labels=("no cat", "cat")),
    "softmax inside": by_hand(lambda: nn.Sequential(*convolutions(), nn.Softmax(1)), "3"),
    "independent classes": by_hand(lambda: nn.Sequential(*convolutions(), nn.Sigmoid()), "3"),
    "a dict": by_hand(lambda: Returns(lambda a: {"boxes": a[:, :2], "scores": a}), "body.3", output="scores"),
    "a tuple": by_hand(lambda: Returns(lambda a: (a[:, :2], a)), "body.3", output=1),
    "a second input": by_hand(
        lambda: Returns(lambda a: a), "body.3", forward=lambda net, images: net(images, torch.tensor(2.0))),
    "segmentation": by_hand(Segments, "body.1", labels=()),
    "channels last": Case(lambda: Classifier(ChannelsLast(), None, 24, COLORS), "block", -1),
    "vectors": by_hand(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 9), nn.ReLU(), nn.Linear(9, 4)), "2"),
    "scripted": by_hand(lambda: torch.jit.script(convolutions()), "3"),
    "quantised": by_hand(quantized, "3"),
    "empty (meta)": by_hand(lambda: convolutions().to("meta"), "3"),
}  # fmt: skip

assert set(FOLDERS) <= {name.removeprefix("hf/") for name in NETWORKS}


def _mixer() -> nn.Module:
    from timm.models.mlp_mixer import MlpMixer

    return MlpMixer(num_classes=CLASSES, img_size=32, patch_size=8, num_blocks=2, embed_dim=16)


def _segmentation() -> nn.Module:
    from torchvision import models

    return models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=CLASSES)
