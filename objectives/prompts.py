"""Texts in objectives, until a network of images and texts turns them into embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

Embed: TypeAlias = Callable[[Sequence[str]], Tensor]  # a network's encoder of texts, (N,) -> (N, C)


@dataclass(frozen=True)
class Prompts:
    """Texts that stand for their embeddings, one per image, or one for all.

    Example:
        >>> import torch
        >>> Prompts(("a cat",)).embeddings(lambda texts: torch.ones(len(texts), 2))
        tensor([[1., 1.]])
    """

    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, images: slice) -> Prompts:
        return Prompts(self.texts[images])

    def embeddings(self, embed: Embed | None) -> Tensor:
        """Embed each text, (B, C).

        Raises:
            ValueError: the network takes no texts.
        """
        if embed is None:
            raise ValueError(
                f"objective with text {self.texts[0]!r} for a network that takes no texts; give one of images and "
                "texts, with its tokenizer: zero_shot(model, prompts, tokenizer)"
            )
        return embed(self.texts)
