"""The encoders of a network of images and texts: transformers' and open_clip's CLIP and SigLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.adapted.hugging_face import call_with_images, read_embedding

METHODS = (("get_image_features", "get_text_features"), ("encode_image", "encode_text"))


def check_encoders(network: nn.Module) -> None:
    """Raise ValueError where a network has no encoders of images and texts."""
    if not any(all(hasattr(network, name) for name in names) for names in METHODS):
        raise ValueError(
            f"{type(network).__name__} has no encoders of images and texts; zero_shot takes CLIP, SigLIP and "
            "similar models of transformers and open_clip, whole: the part for images has no texts"
        )


def is_pairwise(network: nn.Module) -> bool:
    """Whether each pair of an image and a text is judged for itself, as SigLIP does: it has a bias."""
    return getattr(network, "logit_bias", None) is not None


def embed_images(network: Any, images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, D)"""
    if hasattr(network, "encode_image"):
        embedding: Tensor = network.encode_image(images)
        return embedding
    return read_embedding(call_with_images(network, images))


def embed_texts(network: Any, tokenizer: Any, texts: Sequence[str], device: torch.device) -> Tensor:
    """Embed texts, (N, D), of norm 1.

    Args:
        network: with encoders, borrowed.
        tokenizer: that the network was trained with.
        texts: N.
        device: of the network.
    """
    tokens = _tokenize(network, tokenizer, texts)
    inputs = {name: value.to(device) for name, value in tokens.items()}
    if hasattr(network, "encode_text"):
        found = network.encode_text(*inputs.values())
    else:
        found = network.get_text_features(**inputs)
    vectors = found if isinstance(found, Tensor) else getattr(found, "text_embeds", None)
    vectors = found.pooler_output if vectors is None else vectors
    return nn.functional.normalize(vectors.float(), dim=-1)


def _tokenize(network: Any, tokenizer: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    """The tokens of texts, as inputs by name. SigLIP was trained on texts that are filled up to the greatest length."""
    if hasattr(network, "encode_text"):
        tokens = tokenizer(list(texts))
    else:
        config = network.config.text_config
        padding = "max_length" if is_pairwise(network) else True
        length = config.max_position_embeddings
        tokens = tokenizer(list(texts), padding=padding, truncation=True, max_length=length, return_tensors="pt")
    return dict(tokens) if isinstance(tokens, Mapping) else {"input_ids": tokens}


def read_scale(network: Any) -> tuple[float, float]:
    """What the cosine of an image and a text is multiplied by, and what is added to it then."""
    scale, bias = getattr(network, "logit_scale", None), getattr(network, "logit_bias", None)
    return 1.0 if scale is None else float(scale.detach().exp()), 0.0 if bias is None else float(bias.detach())
