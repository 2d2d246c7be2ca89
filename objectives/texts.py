"""Objectives on texts: how near an image's embedding is to a text's, in a network of images and texts."""

from __future__ import annotations

from collections.abc import Iterable

from optvis.objectives.directions import mean_cosine
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.prompts import Prompts

EMBEDDING = "image_embedding"  # the layer of a zero-shot classifier


def text(prompt: str | Iterable[str]) -> Objective:
    """Maximise the cosine between an image's embedding and that of a text, as CLIP and SigLIP have them.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021. It is in
    [−1, 1], and needs a network that `zero_shot` made. A class of that network is asked for by `logit(prompt)`, which
    multiplies the cosine by the network's own scale.

    Args:
        prompt: a text, or one per image.

    Raises:
        TypeError: no text.
        ValueError: once the network is known, one that takes no texts.

    Example:
        >>> text("a photo of a dog") - text("a photo of a wolf")
        text('a photo of a dog') - text('a photo of a wolf')
    """
    texts = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    if not texts or not all(isinstance(one, str) for one in texts):
        raise TypeError(f"text has {prompt!r}; expected a text, or one per image")
    return make_objective("text", EMBEDDING, mean_cosine, Prompts(texts))
