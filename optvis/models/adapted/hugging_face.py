"""How networks of Hugging Face are called with images alone, and where in their output the embedding of an image is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.adapted.needs import PIXELS

EMBEDDINGS = ("image_embeds", "pooler_output")  # fields of outputs


def takes_images(network: Any) -> bool:
    """Whether a network of transformers, or a class of them, takes images alone; CLIP and its like take texts too."""
    return getattr(network, "main_input_name", None) == PIXELS


def takes_patches(network: Any) -> bool:
    """Whether a network takes images as rows of patches, as SigLIP 2 does."""
    return str(getattr(getattr(network, "config", None), "model_type", "")).startswith("siglip2")


def call_with_images(network: Any, images: Tensor) -> Any:
    """Call a network of transformers with images, (B, C, H, W); of one that takes texts too, its part for images."""
    inputs = _cut_patches(images, _patch_size(network)) if takes_patches(network) else {PIXELS: images}
    if hasattr(network, "get_image_features"):
        return network.get_image_features(**inputs)
    return network(**inputs)


def read_embedding(output: Any) -> Tensor:
    """Find the embedding of each image in an output, (B, C): pooled, else the class token's, else the mean of a map."""
    if isinstance(output, Tensor):
        return output
    found = next((value for name in EMBEDDINGS if (value := getattr(output, name, None)) is not None), None)
    if isinstance(found, Tensor):
        return found.flatten(1)
    maps = getattr(output, "feature_maps", None)  # of a backbone, one for each stage
    hidden: Tensor = maps[-1] if maps else output.last_hidden_state
    return hidden[:, 0] if hidden.dim() == 3 else hidden.mean((2, 3))


def _patch_size(network: nn.Module) -> int:
    config: Any = network.config
    return int(getattr(config, "vision_config", config).patch_size)


def _cut_patches(images: Tensor, side: int) -> dict[str, Tensor]:
    """Cut images into patches, row by row: (B, C, H, W) -> (B, patches, side² · C), and say how many rows, columns."""
    count, channels, height, width = images.shape
    rows, columns = height // side, width // side
    whole = images[:, :, : rows * side, : columns * side]  # as a convolution with this stride does
    cut = whole.reshape(count, channels, rows, side, columns, side).permute(0, 2, 4, 3, 5, 1)
    shapes = torch.tensor([[rows, columns]] * count, device=images.device)
    return {
        PIXELS: cut.reshape(count, rows * columns, -1),
        "pixel_attention_mask": torch.ones(count, rows * columns, dtype=torch.int64, device=images.device),
        "spatial_shapes": shapes,
    }
