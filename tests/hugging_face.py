"""Small networks of transformers, saved to folders as their publishers save them, with their image processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SIDE, PATCH, CLASSES = 32, 8, 5  # pixels, pixels
TOKENS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
PATCHES = {"image_size": SIDE, "patch_size": PATCH}
WINDOWS = {"image_size": SIDE, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "image_size": SIDE}
LABELS = {0: "cat", 1: "dog", 2: "horse", 3: "owl", 4: "sheep"}
SQUARE = {"height": SIDE, "width": SIDE}

#: By name: the class, its config's class, options of the config, the processor's class, its options.
FOLDERS: dict[str, tuple[str, str, dict[str, Any], str, dict[str, Any]]] = {
    "ViT": ("ViTForImageClassification", "ViTConfig", {**TOKENS, **PATCHES, "intermediate_size": 32},
            "ViTImageProcessor", {"size": SQUARE}),
    "DeiT": ("DeiTForImageClassification", "DeiTConfig", {**TOKENS, **PATCHES, "intermediate_size": 32},
             "DeiTImageProcessor", {"size": {"height": 36, "width": 36}, "crop_size": SQUARE}),
    "BEiT": ("BeitForImageClassification", "BeitConfig", {**TOKENS, **PATCHES, "intermediate_size": 32},
             "BeitImageProcessor", {"size": {"height": 36, "width": 36}, "crop_size": SQUARE, "do_center_crop": True}),
    "Swin": ("SwinForImageClassification", "SwinConfig", WINDOWS, "ViTImageProcessor", {"size": SQUARE}),
    "SwinV2": ("Swinv2ForImageClassification", "Swinv2Config", WINDOWS, "ViTImageProcessor", {"size": SQUARE}),
    "ConvNeXt": ("ConvNextForImageClassification", "ConvNextConfig", STAGES,
                 "ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}}),
    "ConvNeXtV2": ("ConvNextV2ForImageClassification", "ConvNextV2Config", STAGES,
                   "ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}, "crop_pct": 0.5}),
    "ResNet": ("ResNetForImageClassification", "ResNetConfig",
               {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
               "ConvNextImageProcessor", {"size": {"shortest_edge": SIDE}}),
    "MobileNetV2": ("MobileNetV2ForImageClassification", "MobileNetV2Config",
                    {"image_size": SIDE, "depth_multiplier": 0.35},
                    "MobileNetV2ImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": SQUARE}),
    "DINOv2": ("Dinov2Model", "Dinov2Config", {**TOKENS, **PATCHES},
               "BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": SQUARE}),
    "DINOv2 with registers": (
        "Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig",
        {**TOKENS, **PATCHES, "num_register_tokens": 3},
        "BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": SQUARE},
    ),
    "DINOv3": ("DINOv3ViTModel", "DINOv3ViTConfig",
               {**TOKENS, **PATCHES, "num_register_tokens": 2, "intermediate_size": 32},
               "ViTImageProcessor", {"size": SQUARE}),
    "DINOv3 ConvNeXt": ("DINOv3ConvNextModel", "DINOv3ConvNextConfig",
                        {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "image_size": SIDE},
                        "ViTImageProcessor", {"size": SQUARE}),
    "CLIP vision": ("CLIPVisionModelWithProjection", "CLIPVisionConfig",
                    {**TOKENS, **PATCHES, "intermediate_size": 32, "projection_dim": 12},
                    "CLIPImageProcessor", {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE}),
    "SigLIP": ("SiglipVisionModel", "SiglipVisionConfig", {**TOKENS, **PATCHES, "intermediate_size": 32},
               "SiglipImageProcessor", {"size": SQUARE}),
    "SigLIP 2": ("Siglip2VisionModel", "Siglip2VisionConfig",
                 {**TOKENS, "patch_size": PATCH, "num_patches": 16, "intermediate_size": 32},
                 "Siglip2ImageProcessor", {"patch_size": PATCH, "max_num_patches": 16}),
}  # fmt: skip


def build_small(name: str, **options: Any) -> tuple[Any, Any]:
    """Build a small network with random weights, and its image processor; options are of the config."""
    import transformers

    kind, config, own, processor, processing = FOLDERS[name]
    labels = {"id2label": LABELS, "label2id": {text: key for key, text in LABELS.items()}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = getattr(transformers, config)(**own | (labels if "For" in kind else {}) | options)
        network = getattr(transformers, kind)(built).eval()
    return network, getattr(transformers, processor)(**processing)


def save_small(name: str, folder: Path, **options: Any) -> Any:
    """Save such a network and its processor to a folder; returns the network."""
    network, processor = build_small(name, **options)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return network
