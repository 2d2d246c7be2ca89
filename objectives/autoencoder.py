"""Autoencoders of a layer: codes of its activations, and what changed codes make of them, in any layout."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optvis.arguments import describe_value
from optvis.errors import MissingPartError
from optvis.objectives.layout import channels_first, restore_layout

DIGEST_LENGTH = 16  # hexadecimal digits

T = TypeVar("T")


class Autoencoder:
    """A copy of anything with `encode` and `decode`, in eval mode and frozen, for the activations of one layer.

    Each place of the layer is a row of the autoencoder's input. What the caller does with the original afterwards does
    not change the copy, nor does using the copy change the original.

    Args:
        sae: an object whose `encode` takes rows (N, C) and returns codes (N, K), or a tuple (pre-codes, codes); its
            `decode` takes codes and returns rows.
        layer: what error messages call the activations.

    Raises:
        TypeError: an object without them, or one that cannot be copied.

    Example:
        >>> class Signs:
        ...     def encode(self, x):
        ...         return torch.cat([x.relu(), (-x).relu()], 1)
        ...     def decode(self, z):
        ...         return z[:, :2] - z[:, 2:]
        >>> Autoencoder(Signs(), "mixed4").encode(torch.tensor([[1.0, -2.0]]))
        tensor([[1., 0., 0., 2.]])
    """

    def __init__(self, sae: Any, layer: str) -> None:
        for name in ("encode", "decode"):
            if isinstance(sae, type) or not callable(getattr(sae, name, None)):
                raise TypeError(
                    f"sae is {describe_value(sae)}, which has no {name}(); expected an autoencoder with encode(rows) "
                    "and decode(codes)"
                )
        self.layer, self.kind = layer, type(sae).__name__
        with torch.inference_mode(mode=False), torch.no_grad():
            self.own = _copy_frozen(sae)
        self.sizes: tuple[int, int] | None = None  # (channels, features), once it has encoded something

    def encode(self, a: Tensor, channel_axis: int | None = None) -> Tensor:
        """Encode a layer's activations, (B, ...), as it gives them -> codes (B, K, ...), channels first.

        Args:
            a: activations in the layer's own layout.
            channel_axis: axis of the channels in it; by default the second, or the last of three.

        Raises:
            ValueError: activations of another width, dtype or device than the autoencoder takes; other codes than one
                row for each place.
        """
        if len(a) > 1 and a.stride(0) == 0:  # copies of one image
            return self.encode(a[:1], channel_axis).expand(len(a), *[-1] * (a.dim() - 1))
        return self.encode_pair(a, channel_axis)[0]

    def encode_pair(self, a: Tensor, channel_axis: int | None = None) -> tuple[Tensor, Tensor | None]:
        """The same codes, and the pre-codes where the encoder returns some of the same shape, (B, K, ...)."""
        x = channels_first(a, channel_axis).movedim(1, -1)
        rows = x.flatten(0, -2)
        self._check_place(rows)
        found = self._call("encode", rows)
        pre, codes = found if isinstance(found, tuple) and len(found) == 2 else (None, found)
        is_rows = isinstance(codes, Tensor) and codes.dim() == 2 and len(codes) == len(rows)
        if not is_rows or not codes.is_floating_point():
            raise ValueError(
                f"{self.kind}.encode gives {_describe(found)} for the {len(rows)} places of {self.layer!r}; expected "
                f"codes ({len(rows)}, K), or a tuple (pre-codes, codes)"
            )
        self.sizes = rows.shape[1], codes.shape[1]
        is_alike = isinstance(pre, Tensor) and pre.shape == codes.shape
        return _shape_as(codes, x), _shape_as(pre, x) if is_alike and pre is not None else None

    def decode(self, codes: Tensor, like: Tensor, channel_axis: int | None = None) -> Tensor:
        """Decode codes (B, K, ...), channels first -> activations, (B, ...) in the layout of `like`.

        Raises:
            ValueError: other rows than those of the layer.
        """
        x = codes.movedim(1, -1)
        found = self._call("decode", x.flatten(0, -2))
        rows, width = x.shape[:-1].numel(), channels_first(like, channel_axis).shape[1]
        if not isinstance(found, Tensor) or found.shape != (rows, width):
            raise ValueError(
                f"{self.kind}.decode gives {_describe(found)} for the {rows} places of {self.layer!r}; expected "
                f"{(rows, width)}: give an autoencoder of this layer's {width} channels"
            )
        return restore_layout(_shape_as(found.to(like.dtype), x), like, channel_axis)

    def atoms(self, index: Tensor, codes: Tensor) -> Tensor:
        """What a code of 1 of some features adds to a row, each scaled to length 1: (len(index), C).

        Args:
            index: of the features.
            codes: of any activations, (B, K, ...).
        """
        rows = torch.zeros(len(index), codes.shape[1], dtype=codes.dtype, device=codes.device)
        ones = rows.scatter(1, index.unsqueeze(1), 1.0)
        change = self._call("decode", ones) - self._call("decode", rows)
        return nn.functional.normalize(change, dim=1).detach()

    def replace_codes(self, a: Tensor, codes: Tensor, new: Tensor, channel_axis: int | None = None) -> Tensor:
        """Activations with other codes, a + decode(new) − decode(codes): what the codes do not explain stays."""
        return a + (self.decode(new, a, channel_axis) - self.decode(codes, a, channel_axis))

    @torch.no_grad()
    def move(self, like: Tensor) -> None:
        """Move the copy's weights to the device and dtype of a tensor; only of an nn.Module."""
        if isinstance(self.own, nn.Module):
            self.own.to(device=like.device, dtype=like.dtype)
            self.own.train().eval()  # which computes anew what an autoencoder derives from its weights

    def describe(self) -> dict[str, Any]:
        """Say which autoencoder it is, in JSON types: its class, its sizes as far as known, a digest of its weights."""
        sizes = (None, None) if self.sizes is None else self.sizes
        return {"class": self.kind, "channels": sizes[0], "features": sizes[1], "weights": self.digest()}

    def check_described(self, described: Mapping[str, Any]) -> None:
        """Raise MissingPartError where what `describe` returned was of another autoencoder."""
        if self.digest() != described["weights"]:
            raise MissingPartError(
                f"sae is {describe_autoencoder(self.describe())}; expected {describe_autoencoder(described)}: load the "
                "weights that it was saved with"
            )

    def digest(self) -> str | None:
        """A digest of the weights and buffers; None of an object that is no nn.Module."""
        if not isinstance(self.own, nn.Module):
            return None
        digest = hashlib.sha256()
        for name, tensor in sorted([*self.own.named_parameters(), *self.own.named_buffers()]):
            digest.update(name.encode() + bytes(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()))
        return digest.hexdigest()[:DIGEST_LENGTH]

    def __repr__(self) -> str:
        return f"<{self.kind}>"

    def _call(self, name: str, rows: Tensor) -> Any:
        function: Callable[[Tensor], Any] = getattr(self.own, name)
        try:
            return function(rows)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # it may raise anything for rows of another width
            reason = " ".join(str(error).split("\n", 1)[0].split()) or type(error).__name__
            raise ValueError(
                f"{self.kind}.{name} fails on rows {tuple(rows.shape)} of {self.layer!r}: {reason}; give an "
                "autoencoder that was trained on this layer"
            ) from error

    def _check_place(self, rows: Tensor) -> None:
        """Raise ValueError where the autoencoder's numbers are of another device or dtype than the activations."""
        for own in _numbers(self.own):
            if own.device != rows.device or own.dtype != rows.dtype:
                expected = f"{rows.dtype} on {rows.device}".removeprefix("torch.")
                came = f"{own.dtype} on {own.device}".removeprefix("torch.")
                raise ValueError(
                    f"the autoencoder {self.kind} is {came}, and {self.layer!r} gives {expected}; move it: "
                    f'sae.to("{rows.device}", {rows.dtype})'
                )


def as_autoencoder(sae: Any, layer: str) -> Autoencoder:
    """The autoencoder of a layer: the copy that was made of it, or a new one."""
    return sae if isinstance(sae, Autoencoder) else Autoencoder(sae, layer)


def _shape_as(rows: Tensor, x: Tensor) -> Tensor:
    """Rows (N, K) of the places of x, (B, ..., C) -> (B, K, ...)."""
    return rows.view(*x.shape[:-1], rows.shape[1]).movedim(-1, 1)


def describe_autoencoder(described: Mapping[str, Any]) -> str:
    """What `Autoencoder.describe` returned, in words.

    >>> describe_autoencoder({"class": "TopKSAE", "channels": 128, "features": 512, "weights": None})
    'a TopKSAE of 512 features, without weights'
    """
    count = "" if described["features"] is None else f" of {described['features']} features"
    weights = "without weights" if described["weights"] is None else f"with weights {described['weights']}"
    return f"a {described['class']}{count}, {weights}"


def require_autoencoder(sae: Any, described: Mapping[str, Any], what: str) -> None:
    """Raise MissingPartError where `what` needs an autoencoder that was not given."""
    if sae is None:
        raise MissingPartError(
            f"{what} needs {describe_autoencoder(described)}, which is not in the file; give it: load(path, sae=...)"
        )


def copy_detached(value: T) -> T:
    """Copy a module, or any object; tensors with a history, which deepcopy refuses, are copied without it.

    Modules hold such tensors where they compute weights, as `torch.nn.utils.weight_norm` does.
    """
    holders = list(value.modules()) if isinstance(value, nn.Module) else [value]
    attributes = [held for holder in holders for held in getattr(holder, "__dict__", {}).values()]
    memo = {id(one): one.detach().clone() for one in attributes if isinstance(one, Tensor) and not one.is_leaf}
    return copy.deepcopy(value, memo)


def _copy_frozen(sae: Any) -> Any:
    """A copy in eval mode whose weights get no gradients; what is no module and cannot be copied is taken as it is."""
    try:
        own = copy_detached(sae)
    except Exception as error:  # copying runs code of its own
        if isinstance(sae, nn.Module):
            raise TypeError(f"the autoencoder {type(sae).__name__} cannot be copied: {error}") from error
        return sae
    for part in _parts(own):
        if isinstance(part, nn.Module):
            part.eval().requires_grad_(False)
        elif part.is_leaf:
            part.requires_grad_(False)
    return own


def _parts(sae: Any) -> list[nn.Module | Tensor]:
    """The module itself, or the modules and tensors that an object holds."""
    held = [sae] if isinstance(sae, nn.Module) else list(getattr(sae, "__dict__", {}).values())
    return [part for part in held if isinstance(part, nn.Module | Tensor)]


def _numbers(sae: Any) -> list[Tensor]:
    """One tensor of real numbers of each part."""
    found = []
    for part in _parts(sae):
        tensors = [part] if isinstance(part, Tensor) else [*part.parameters(), *part.buffers()]
        found += [one for one in tensors if one.is_floating_point()][:1]
    return found


def _describe(found: Any) -> str:
    if isinstance(found, Tensor):
        return str(tuple(found.shape)) if found.is_floating_point() else f"{tuple(found.shape)} of {found.dtype}"
    if isinstance(found, tuple | list):
        return f"a {type(found).__name__} of {len(found)}"
    return f"a {type(found).__name__}"
