"""What to do where a network's own code fails, as a clause for an error message."""

from __future__ import annotations

import re

from torch import Tensor, nn

from optvis.models.adapted.needs import explain_call, find_size, first_channels
from optvis.models.adapted.network import original_of

SIZE_ERRORS = (ValueError, AssertionError)  # of networks that take one size
CALL_ERRORS = (TypeError, AttributeError)  # of networks that take more than images
KEY_ERRORS = (IndexError, KeyError)  # of networks that take images inside a dict or a list
NETWORK_ERRORS = (RuntimeError, *SIZE_ERRORS, *CALL_ERRORS, *KEY_ERRORS)

EXPORTED_BATCH = ".size()[0] =="  # in what torch.export says of another number of images
GOT_CHANNELS = re.compile(r"to have \d+ channels, but got (\d+) channels")  # in what a convolution says
AXES = re.compile(r"values to unpack \(expected (\d+)")  # in what Python says of a shape of fewer or more axes
DTYPES = re.compile(r"dtype|scalar ?type|weight type|\bHalf\b|\bBFloat16\b", re.IGNORECASE)


def explain_failure(network: nn.Module, error: Exception, inputs: Tensor) -> str | None:
    """What to do about an error of a network's own code; None where nothing shows that its input is the cause.

    Args:
        network: as it was called, adapted or not.
        error: what it raised.
        inputs: what it was given, (B, C, H, W).
    """
    original, text = original_of(network), str(error)
    if isinstance(error, AssertionError) and EXPORTED_BATCH in text:
        return (
            "it was exported for another number of images: use the module that was exported, or export it with "
            "torch.export.export(..., dynamic_shapes=[{0: torch.export.Dim.AUTO}])"
        )
    call = explain_call(original) if original is network else ""
    if call or isinstance(error, CALL_ERRORS):
        return call or None
    if isinstance(error, KEY_ERRORS):
        return "unless it takes a tensor, say how it is called, Classifier(..., forward=lambda net, images: ...)"
    axes = _explain_axes(original, text, inputs)
    if axes:
        return axes
    if isinstance(error, SIZE_ERRORS) and find_size(original) in (None, tuple(inputs.shape[2:])):
        return None
    return _explain_dtype(original, text) or _explain_channels(original, text, inputs) or _explain_size(original)


def _explain_dtype(network: nn.Module, text: str) -> str:
    kinds = {weight.dtype for weight in network.parameters() if weight.is_floating_point()}
    if len(kinds) < 2 or not DTYPES.search(text):
        return ""
    listing = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    return f"its weights are {listing}: make them one, as network.float() does, or convert inside its forward"


def _explain_axes(network: nn.Module, text: str, inputs: Tensor) -> str:
    """Of videos, whose frames are on an axis of their own: the third of 3-d convolutions, the second of others."""
    found, has_depth = AXES.search(text), any(isinstance(module, nn.Conv3d) for module in network.modules())
    is_unpacked = found is not None and int(found[1]) == inputs.dim() + 1
    if not is_unpacked and not (has_depth and GOT_CHANNELS.search(text)):
        return ""
    axis = 1 if is_unpacked else 2
    sizes = ", ".join("frames" if place == axis else "1" for place in range(inputs.dim() + 1))
    return (
        "where it takes videos, say how images become one, Classifier(..., forward=lambda net, images: "
        f"net(images.unsqueeze({axis}).repeat({sizes})))"
    )


def _explain_channels(network: nn.Module, text: str, inputs: Tensor) -> str:
    """Of a convolution that got a side as its channels, or of images with too few or too many."""
    found, given = GOT_CHANNELS.search(text), inputs.shape[1]
    if found is None:
        return ""
    if int(found[1]) != given and int(found[1]) in inputs.shape[2:]:
        return (
            "where it takes images with the channels last, say so, "
            "Classifier(..., forward=lambda net, images: net(images.permute(0, 2, 3, 1)))"
        )
    wanted = first_channels(network, (inputs.shape[2], inputs.shape[3]))
    if wanted == given:
        return ""
    return (
        f"its first layer takes images of {wanted} channel{'s' * (wanted > 1)}: give them by the parameterization "
        f"channels_image(size, {wanted}), and say so, Classifier(..., channels={wanted}), in the normalisation as well"
    )


def _explain_size(network: nn.Module) -> str:
    size = find_size(network)
    own = "its own size" if size is None else f"the size {size[0]} × {size[1]}"
    return (
        f"if the images are the cause, give such as it takes, of as many channels (Classifier(..., channels=...)) and "
        f"of {own} (Classifier(..., size, fixed_size=True))"
    )
