"""Find out what a network's outputs are: logits, probabilities or an embedding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import torch
from torch import Tensor, nn

from optvis.formatting import format_count
from optvis.models.adapted.network import AdaptedNetwork
from optvis.models.adapted.select import require_scores
from optvis.models.borrow import borrow
from optvis.models.hooks import suspend_intercepts
from optvis.models.outputs.head import Head, Kind
from optvis.models.run import run_network

#: What a Classifier takes as `head`. Of the first three it is found whether the outputs are probabilities already.
HEADS = (*get_args(Kind), "probabilities", "sigmoid_probabilities")
#: What class heads are called in torchvision's and timm's networks.
CLASS_HEADS = ("fc", "classifier", "head", "heads", "heads.head", "head.fc", "last_linear")
FEATURES = ("embed", "pool", "hidden", "feature")  # in the name of an output that holds no classes
PROBES = 3  # images, so that one whose numbers happen to sum to 1 decides nothing
SUM_TOLERANCE, SUM_EPS = 1e-4, 8  # of probabilities' sum: absolute, and in the output's machine epsilon
LINEAR = ("Addmm", "Mm", "Linear")
SIGMOIDS = ("Sigmoid", "Hardsigmoid")
#: Operations that make probabilities of probabilities: views of them, averages, products, complements.
PASSED = (
    *("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "Index", "Clone", "ToCopy", "Alias"),
    *("Transpose", "Permute", "T", "Expand", "Mean", "Stack", "Cat", "Div", "Mul", "Add", "Sum", "Rsub", "Clamp"),
)


def detect_head(
    network: nn.Module, preprocess: Callable[[Tensor], Tensor], images: Tensor, declared: str | None, labels: int
) -> tuple[Head, bool]:
    """Find a network's head.

    The network runs on a few random images. Rows of numbers in [0, 1] that sum to 1 for all of them are probabilities;
    so are numbers in [0, 1] that come out of a sigmoid. One logit is a sigmoid head. Networks without class head, such
    as timm's with num_classes=0, are embeddings.

    Args:
        network: that is called with preprocessed images.
        preprocess: makes its input of images.
        images: (B, C, H, W), for the shape.
        declared: one of `HEADS`, or None to find out.
        labels: how many there are; two for one output name its two sides.

    Returns:
        The head, and whether that is certain: outputs that are not finite say nothing.

    Raises:
        ValueError: labels that do not fit the outputs; a softmax head with one output; outputs that hold no scores.
    """
    if declared == "embedding":
        return Head("embedding"), True
    output = _probe(network, preprocess, images)
    if output.dim() < 2:  # whoever needs scores says so
        return Head(), False
    if declared is None and not labels and _is_headless(network, output.grad_fn):
        return Head("embedding"), True
    head = _read_output(output, declared)
    return _fit_labels(head, output, declared, labels), bool(output.isfinite().all())


def _fit_labels(head: Head, output: Tensor, declared: str | None, labels: int) -> Head:
    """Check the number of labels; two of them for one output make it a pair."""
    count = output.shape[1]
    if count == 1 and head.kind == "softmax":
        raise ValueError(f"head is {declared!r} for a network with one output; expected head='sigmoid'")
    if count == 1 and labels == 2:
        return replace(head, is_pair=True)
    if labels not in (0, count) and output.dim() != 3:  # of three axes the second may be tokens
        raise ValueError(
            f"{format_count(labels, 'label')} for a network with {format_count(count, 'output')}; give a text for each "
            f"output, in their order{'' if count > 1 else ' (two for one output name its two sides)'}, or no labels"
        )
    return head


def _probe(network: nn.Module, preprocess: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The network's scores for random images of a shape, with the graph that computed them."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(PROBES, *images.shape[1:], generator=generator, dtype=torch.float32, device="cpu")
    contrast = torch.linspace(0.2, 1, PROBES, dtype=torch.float32, device="cpu").view(-1, 1, 1, 1)
    probes = (0.5 + (noise - 0.5) * contrast).to(images.device, images.dtype)
    with borrow(network), suspend_intercepts(network), torch.random.fork_rng(devices=[]), torch.enable_grad():
        inputs = preprocess(probes).detach().requires_grad_()
        return require_scores(run_network(network, inputs.clone()))  # the network may begin in place


def _read_output(output: Tensor, declared: str | None) -> Head:
    """What the outputs are, (B, K, ...): from what is declared, the values, and the operations they come from."""
    count, kind = output.shape[1], declared if declared in get_args(Kind) else None
    if declared in ("probabilities", "sigmoid_probabilities"):
        return Head("softmax" if declared == "probabilities" and count > 1 else "sigmoid", "probabilities")
    are_in_range = bool(((output >= 0) & (output <= 1)).all())
    if count > 1 and are_in_range and _sum_to_one(output):
        return Head(kind or "softmax", "probabilities")  # type: ignore[arg-type]
    sources = set(_sources(output.grad_fn))
    if are_in_range and sources and sources <= set(SIGMOIDS):
        return Head(kind or "sigmoid", "probabilities")  # type: ignore[arg-type]
    if sources == {"LogSigmoid"}:
        return Head(kind or "sigmoid", "log_probabilities")  # type: ignore[arg-type]
    return Head(kind or ("sigmoid" if count == 1 else "softmax"))  # type: ignore[arg-type]


def _sum_to_one(output: Tensor) -> bool:
    tolerance = max(SUM_TOLERANCE, SUM_EPS * torch.finfo(output.dtype).eps)
    return bool(((output.detach().double().sum(1) - 1).abs() <= tolerance).all())


def _sources(operation: Any) -> Iterator[str]:
    """The operations that numbers come from, looking through those that keep them probabilities."""
    seen, waiting = {operation}, [operation]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        name = re.sub(r"Backward\d*$", "", node.name())
        if name not in PASSED:
            yield name
            continue
        following = {each for each, _ in node.next_functions} - seen
        seen |= following
        waiting += following


def _is_headless(network: nn.Module, operation: Any) -> bool:
    """Whether a network ends before its class head: timm says so, others have an identity in its place."""
    if getattr(network, "num_classes", None) == 0:
        return True
    selector = getattr(network, "output", None) if isinstance(network, AdaptedNetwork) else None
    if isinstance(selector, str) and "logit" not in selector and any(part in selector for part in FEATURES):
        return True
    modules = dict(network.named_modules())
    heads = [modules[name] for name in CLASS_HEADS if name in modules]
    return (
        bool(heads)
        and all(isinstance(head, nn.Identity) for head in heads)
        and set(_sources(operation)).isdisjoint(LINEAR)
    )
