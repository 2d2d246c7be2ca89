"""Classifiers whose classes are texts, made of a network of images and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.crop import ResizeCrop
from optvis.models.adapted.needs import DEFAULT_SIZE, find_size
from optvis.models.adapted.network import AdaptedNetwork, original_of
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier, unwrap
from optvis.models.normalize import INFER, Normalize, Normalizer
from optvis.models.texts.encoders import check_encoders, embed_images, embed_texts, is_pairwise, read_scale
from optvis.objectives.texts import EMBEDDING

PROMPTS = "prompts"  # the layer that compares an embedding with each class's texts


class UnitNorm(nn.Module):
    """Vectors of norm 1."""

    def forward(self, a: Tensor) -> Tensor:
        """(B, D) -> (B, D)"""
        return nn.functional.normalize(a, dim=-1)


class ZeroShotNetwork(AdaptedNetwork):
    """A network of images and texts that compares images with given texts; see `zero_shot`.

    Its layers are the original's, and two more: "image_embedding", of norm 1, and "prompts", the logits.

    Args:
        original: the network.
        tokenizer: that it was trained with.
        texts: of each class, one or more.
    """

    def __init__(self, original: nn.Module, tokenizer: Any, texts: Sequence[Sequence[str]]) -> None:
        super().__init__(original)
        vars(self).update(_tokenizer=tokenizer)
        vectors = torch.stack([self.embed_texts(group).mean(0) for group in texts])
        self.add_layers({EMBEDDING: UnitNorm(), PROMPTS: self._build_head(nn.functional.normalize(vectors, dim=-1))})

    def _build_head(self, vectors: Tensor) -> nn.Linear:
        """A linear layer that gives the logits: scale · cosine + bias."""
        scale, bias = read_scale(self.original)
        weight = next(self.original.parameters())
        head = nn.Linear(vectors.shape[1], len(vectors), device="meta").to_empty(device=weight.device)
        with torch.no_grad():
            head.weight.copy_(scale * vectors)
            head.bias.fill_(bias)
        return head.to(weight.dtype).requires_grad_(requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, classes)"""
        own = vars(self)["_modules"]
        logits: Tensor = own[PROMPTS](own[EMBEDDING](embed_images(self.original, inputs)))
        return logits

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Embed texts, (N, D), of norm 1."""
        device = next(self.original.parameters()).device
        with borrow(self.original), torch.no_grad():
            return embed_texts(self.original, self._tokenizer, texts, device)


@plain_mode()
def zero_shot(
    model: nn.Module | Classifier,
    prompts: Sequence[str] | Mapping[str, str | Sequence[str]],
    tokenizer: Any,
    *,
    normalize: Normalizer | str = INFER,
) -> Classifier:
    """Make a classifier whose classes are texts of a network of images and texts, such as CLIP or SigLIP.

    Its logits are the cosines of an image's embedding with those of the texts, times the network's own scale, plus its
    bias. Of CLIP the classes exclude each other; of SigLIP each is right or wrong for itself. All that takes a
    Classifier works on it: `logit(prompt)`, `attribute`, `find_units`, `evaluate`, `classify`; and the objective
    `text(prompt)` for any other text. Layers keep their names; "image_embedding" and "prompts" are two more.

    Args:
        model: a network of transformers or open_clip with encoders of images and texts; or a Classifier of it, such as
            `load("hf/openai/clip-vit-base-patch32")`, which says how images are fed.
        prompts: a text per class; or a dict of texts by label, where the embeddings of several are averaged.
        tokenizer: of the network: `AutoTokenizer.from_pretrained(name)`, or `open_clip.get_tokenizer(name)`.
        normalize: of a bare network, as in Classifier; networks that open_clip made say it themselves.

    Returns:
        A Classifier with the prompts, or the keys of the dict, as labels. It shares the network.

    Raises:
        ValueError: a network without these encoders; no prompts; a normalisation that is neither given nor known.

    Example:
        Without weights of its own this example shows the form alone:

        >>> def build(clip, tokenizer):
        ...     return zero_shot(clip, {"cat": ["a photo of a cat", "a drawing of a cat"], "dog": "a dog"}, tokenizer)
    """
    network = original_of(model.network if isinstance(model, Classifier) else unwrap(model))
    check_encoders(network)
    classes = _list_classes(prompts)
    fed = model if isinstance(model, Classifier) else _read_feed(network, normalize)
    return Classifier(
        ZeroShotNetwork(network, tokenizer, tuple(classes.values())),
        fed.normalize if isinstance(normalize, str) else normalize,
        fed.size,
        tuple(classes),
        fed.crop,
        f"{fed.name} with {len(classes)} prompts",
        fixed_size=fed.fixed_size,
        head="sigmoid" if is_pairwise(network) else "softmax",
        channels=fed.channels,
        prefix_tokens=_count_prefix(network),
    )


def _count_prefix(network: Any) -> int | None:
    """How many tokens come before the patches in open_clip's transformers, which do not say it as others do."""
    visual = getattr(network, "visual", None)
    has_class_token = isinstance(getattr(visual, "class_embedding", None), nn.Parameter)
    return 1 if has_class_token and hasattr(visual, "conv1") else None


def _list_classes(prompts: Any) -> dict[str, tuple[str, ...]]:
    """The texts of each class, by its label."""
    texts = prompts.items() if isinstance(prompts, Mapping) else [(one, one) for one in prompts]
    groups = [(label, (group,) if isinstance(group, str) else tuple(group)) for label, group in texts]
    are_texts = all(isinstance(one, str) for label, group in groups for one in (label, *group))
    if isinstance(prompts, str) or not groups or not are_texts or not all(group for _, group in groups):
        raise ValueError(f"prompts are {prompts!r}; expected a text per class, or a dict of texts by label")
    if len(dict(groups)) < len(groups):
        raise ValueError(f"prompts are {prompts!r}; expected each text once")
    return dict(groups)


def _read_feed(network: Any, normalize: Normalizer | str) -> Classifier:
    """How a bare network is fed with images: open_clip keeps it in the part for images."""
    visual = getattr(network, "visual", None)
    config: Mapping[str, Any] = getattr(visual, "preprocess_cfg", None) or {}
    side = config.get("size") or getattr(visual, "image_size", None) or find_size(network) or DEFAULT_SIZE
    size = (side, side) if isinstance(side, int) else tuple(side)
    if isinstance(normalize, str):
        if not config.get("mean"):
            raise ValueError(
                f"{type(network).__name__} does not say how its input is normalised; give normalize=Normalize(mean, "
                "std) or its image processor, or a Classifier: load('hf/NAME')"
            )
        normalize = Normalize(config["mean"], config["std"])
    covers = config.get("resize_mode", "shortest") == "shortest" and size[0] == size[1]
    crop = ResizeCrop(size[0] if covers else size, size, config.get("interpolation", "bicubic"))
    return Classifier(network, normalize, size, (), crop)
