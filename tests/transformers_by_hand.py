"""Small transformers with random weights, of every layout of tokens: with their layers and grids of patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from optvis import Classifier

SIZE = 32  # pixels
HF_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "patch_size": 8,
}


@dataclass(frozen=True)
class Transformer:
    """A network and what is known of its tokens.

    Args:
        build: builds it.
        layer: one of its layers.
        grid: rows and columns of patches in the layer.
        classes, registers: how many of its tokens are which.
        size: of its input, in pixels.
        channel_axis: of the layer, where it has to be given.
    """

    build: Callable[[], nn.Module]
    layer: str
    grid: tuple[int, int] = (4, 4)
    classes: int = 0
    registers: int = 0
    size: tuple[int, int] = (SIZE, SIZE)
    channel_axis: int | None = None

    def load(self) -> Classifier:
        """The network as a Classifier, with weights that are always the same."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.build().eval()
            for name, weight in network.named_parameters():
                if weight.dim() == 1 and name.endswith("bias"):
                    nn.init.normal_(weight, std=0.02)
                if not weight.any():  # heads and layer scales that begin at zero
                    nn.init.normal_(weight, std=0.1)
        return Classifier(network, None, self.size, fixed_size=True)


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        timm = pytest.importorskip("timm")
        return timm.create_model(name, **{"img_size": SIZE, "num_classes": 5} | options)

    return build


def _timm_vit(**options: Any) -> Callable[[], nn.Module]:
    small = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return _timm("vit_tiny_patch16_224", **small | options)


def _torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIZE, 8, 2, 2, 32, 48, num_classes=5)


def _torchvision_swin(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import swin_transformer

        block = swin_transformer.SwinTransformerBlockV2 if name == "v2" else swin_transformer.SwinTransformerBlock
        merge = swin_transformer.PatchMergingV2 if name == "v2" else swin_transformer.PatchMerging
        return swin_transformer.SwinTransformer(
            [4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=5, block=block, downsample_layer=merge
        )

    return build


def _transformers(config: str, model: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        transformers = pytest.importorskip("transformers")
        settings = {"image_size": SIZE} | (options if "embed_dim" in options else HF_SIZES | options)
        return getattr(transformers, model)(getattr(transformers, config)(**settings))

    return build


SWIN = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4, "patch_size": 4}

TRANSFORMERS: dict[str, Transformer] = {
    "timm, class token": Transformer(_timm_vit(), "blocks.1", classes=1),
    "timm, no class token": Transformer(_timm_vit(class_token=False, global_pool="avg"), "blocks.1"),
    "timm, registers": Transformer(_timm_vit(reg_tokens=4), "blocks.1", classes=1, registers=4),
    "timm, not square": Transformer(_timm_vit(img_size=(24, 40)), "blocks.1", grid=(3, 5), classes=1, size=(24, 40)),
    "timm, dynamic size": Transformer(
        _timm_vit(dynamic_img_size=True), "blocks.1", grid=(6, 3), classes=1, size=(48, 24)
    ),
    "timm, distilled": Transformer(
        _timm("deit_tiny_distilled_patch16_224", patch_size=8, embed_dim=32, depth=2, num_heads=2),
        "blocks.1",
        classes=2,
    ),
    "timm, Swin": Transformer(_timm("swin_tiny_patch4_window7_224", **SWIN), "layers.0", grid=(8, 8), channel_axis=-1),
    "timm, Swin v2": Transformer(_timm("swinv2_tiny_window8_256", **SWIN), "layers.0", grid=(8, 8), channel_axis=-1),
    "torchvision, ViT": Transformer(_torchvision_vit, "encoder.layers.encoder_layer_1", classes=1),
    "torchvision, Swin": Transformer(_torchvision_swin("v1"), "features.1", grid=(8, 8), channel_axis=-1),
    "torchvision, Swin v2": Transformer(_torchvision_swin("v2"), "features.1", grid=(8, 8), channel_axis=-1),
    "Hugging Face, ViT": Transformer(
        _transformers("ViTConfig", "ViTForImageClassification"), "vit.layers.1", classes=1
    ),
    "Hugging Face, DeiT": Transformer(_transformers("DeiTConfig", "DeiTModel"), "layers.1", classes=2),
    "Hugging Face, DINOv2": Transformer(_transformers("Dinov2Config", "Dinov2Model"), "encoder.layer.1", classes=1),
    "Hugging Face, DINOv2 with registers": Transformer(
        _transformers("Dinov2WithRegistersConfig", "Dinov2WithRegistersModel", num_register_tokens=3),
        "encoder.layer.1",
        classes=1,
        registers=3,
    ),
    "Hugging Face, DINOv3": Transformer(
        _transformers("DINOv3ViTConfig", "DINOv3ViTModel", num_register_tokens=2),
        "model.layer.1",
        classes=1,
        registers=2,
    ),
    "Hugging Face, CLIP vision": Transformer(
        _transformers("CLIPVisionConfig", "CLIPVisionModel"), "encoder.layers.1", classes=1
    ),
    "Hugging Face, SigLIP": Transformer(_transformers("SiglipVisionConfig", "SiglipVisionModel"), "encoder.layers.1"),
    "Hugging Face, Swin": Transformer(
        _transformers("SwinConfig", "SwinForImageClassification", **SWIN), "swin.layernorm"
    ),
    "Hugging Face, Swin v2": Transformer(
        _transformers("Swinv2Config", "Swinv2ForImageClassification", **SWIN), "swinv2.layernorm"
    ),
}
