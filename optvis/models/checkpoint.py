"""Weights read from a file, as data only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

# Where training scripts put the weights: Lightning, timm, DINO, PyTorch's tutorials and others.
KEYS = (
    "state_dict",
    "model",
    "model_state_dict",
    "state_dict_ema",
    "model_ema",
    "net",
    "network",
    "weights",
    "teacher",
)

MAX_RATIO = 4  # of an archive's unpacked size to its own; compressed weights are about as large as they are
FREE_BYTES = 2**24  # an archive may unpack to as much, whatever its size


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file as data: no code in it runs.

    Args:
        path: of a .safetensors file, or of one that torch saved, whose dict of tensors may lie one level down,
            under "state_dict", "model" or the like.

    Raises:
        ValueError: the file is damaged, holds more than data, or no weights by name; an archive that unpacks to far
            more than its own size.
    """
    try:
        _check_unpacked_size(path)
        state = _read_file(path)
    except _TooLargeError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged, or holds code beside weights, which is not run; save its state_dict() alone"
        ) from error
    weights = _find_weights(state)
    if weights is None:
        raise ValueError(f"{path.name} holds a {type(state).__name__}, not weights by name; save its state_dict()")
    return weights


def _find_weights(state: Any) -> dict[str, Tensor] | None:
    """Find the dict of tensors in what a file holds: the usual keys first, then any dict one level down."""
    if not isinstance(state, dict):
        return None
    inner = [state[key] for key in KEYS if key in state] + [value for key, value in state.items() if key not in KEYS]
    candidates = (*inner, state) if any(key in state for key in KEYS) else (state, *inner)
    return next(filter(_is_weights, candidates), None)


def _is_weights(candidate: Any) -> bool:
    is_state = isinstance(candidate, dict) and all(isinstance(key, str) for key in candidate)
    return is_state and any(isinstance(value, Tensor) for value in candidate.values())


def match_names(weights: Mapping[str, Tensor], expected: Collection[str]) -> dict[str, Tensor]:
    """Strip the prefix that a wrapper has put before all names ("module.", "model.", "_orig_mod."), where that helps.

    Args:
        weights: tensors by name.
        expected: the names that the network has.

    Example:
        >>> match_names({"module.fc.weight": torch.zeros(1)}, ["fc.weight"])
        {'fc.weight': tensor([0.])}
    """
    found = dict(weights)
    while not set(found) & set(expected):
        heads = {name.partition(".")[0] for name in found}
        if len(heads) != 1 or not all("." in name for name in found):
            return dict(weights)
        found = {name.partition(".")[2]: value for name, value in found.items()}
    return found


class _TooLargeError(ValueError):
    """An archive that would fill the memory."""


def _check_unpacked_size(path: Path) -> None:
    """Refuse a small archive of huge weights before it is read: torch.save does not compress."""
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(FREE_BYTES, MAX_RATIO * path.stat().st_size):
        raise _TooLargeError(
            f"{path.name} has {path.stat().st_size:,} bytes and would unpack to {unpacked:,}, which no weights do; "
            "save its state_dict() again"
        )


def _read_file(path: Path) -> Any:
    if path.suffix.casefold() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
