"""Weights read from a file, as data only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file as data: no code in it runs.

    Args:
        path: of a .safetensors file, or of one that torch saved, whose dict of tensors is found under "state_dict" or
            "model" as well.

    Raises:
        ValueError: the file is damaged, holds more than data, or no weights by name.
    """
    try:
        state = _read_file(path)
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged, or holds code beside weights, which is not run; save its state_dict() alone"
        ) from error
    nested = [state[key] for key in ("state_dict", "model") if isinstance(state, dict) and key in state]
    found: dict[str, Tensor] = nested[0] if nested else state
    is_state = isinstance(found, dict) and all(isinstance(key, str) for key in found)
    if not is_state or not any(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path.name} holds a {type(found).__name__}, not weights by name; save its state_dict()")
    return found


def _read_file(path: Path) -> Any:
    if path.suffix.casefold() == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


__all__ = ["read_state_dict"]
