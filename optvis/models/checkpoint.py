"""Weights read from a file, as data only."""

from __future__ import annotations

import pickletools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from optvis.data.files import check_readable, utf8_path
from optvis.errors import warn_user

# Where training scripts put the weights: Lightning, timm, DINO, PyTorch's tutorials and others. Averages come first:
# they are what the scripts evaluate.
KEYS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model",
    "model_state_dict",
    "net",
    "network",
    "weights",
    "teacher",
)

# Modules of arguments, paths and numbers that training scripts save beside weights.
DATA = (
    *("argparse.Namespace", "types.SimpleNamespace", "pathlib.", "datetime.", "omegaconf."),
    *("numpy.", "_codecs.encode"),
)

MAX_NAMES = 3  # of weights in a message
MODULE = frozenset(("_parameters", "_buffers", "_modules"))  # the attributes of every pickled network
MAX_PICKLES = 5  # in a file of torch's older format, of which the fourth holds what was saved

MAX_RATIO = 4  # of an archive's unpacked size to its own; compressed weights are about as large as they are
FREE_BYTES = 2**24  # an archive may unpack to as much, whatever its size


def read_state_dict(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Read the weights of a file as data: no code in it runs.

    Args:
        path: of a .safetensors file, or of one that torch saved, whose dict of tensors may lie one level down,
            under "state_dict", "model" or the like.
        key: where in it the weights are; by default averages over training ("state_dict_ema") are taken before others,
            with a warning.

    Raises:
        ValueError: the file is damaged, holds a whole network or other code, or no weights by name; an archive that
            unpacks to far more than its own size.
        KeyError: no weights at this key.
        PermissionError: the file may not be read.
    """
    check_readable(path)
    try:
        _check_unpacked_size(path)
        _refuse_network(path)
        state = _read_file(path)
    except RefusedFileError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged, or holds code beside weights, which is not run; save its state_dict() alone"
        ) from error
    weights = _find_weights(state) if key is None else _take_weights(state, key, path)
    if weights is None:
        raise ValueError(f"{path.name} holds a {type(state).__name__}, not weights by name; save its state_dict()")
    return weights


def _find_weights(state: Any) -> dict[str, Tensor] | None:
    """Find the dict of tensors in what a file holds: the usual keys first, then any dict one level down."""
    if not isinstance(state, dict):
        return None
    inner = [state[key] for key in KEYS if key in state] + [value for key, value in state.items() if key not in KEYS]
    candidates = (*inner, state) if any(key in state for key in KEYS) else (state, *inner)
    found = next(filter(_is_weights, candidates), None)
    keys = [key for key in KEYS if _is_weights(state.get(key))]
    if len(keys) > 1:
        warn_user(
            f"weights lie under {', '.join(map(repr, keys))}: the first are taken; weights={keys[1]!r} takes others"
        )
    return found


def _take_weights(state: Any, key: str, path: Path) -> dict[str, Tensor]:
    """The weights at a key of what a file holds."""
    known = [name for name, value in state.items() if _is_weights(value)] if isinstance(state, dict) else []
    if key not in known:
        listing = f"has weights at {', '.join(map(repr, known))}" if known else "has weights at no key"
        raise KeyError(f"no weights {key!r} in {path.name}, which {listing}")
    weights: dict[str, Tensor] = state[key]
    return weights


def _is_weights(candidate: Any) -> bool:
    is_state = isinstance(candidate, dict) and all(isinstance(key, str) for key in candidate)
    return is_state and any(isinstance(value, Tensor) for value in candidate.values())


def match_names(weights: Mapping[str, Tensor], expected: Collection[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Strip the prefix under which most of a network's weights are found ("module.", "model.", "_orig_mod.").

    What lies beside the network, such as the weights of a loss or of a copy, is left out. Under the prefix, tensors of
    parts that the network does not have are left out too; those of parts that it has stay, since they say that the
    weights are another network's.

    Args:
        weights: tensors by name.
        expected: the names that the network has.

    Returns:
        The network's weights by its own names, and the names of tensors that are left out.

    Example:
        >>> match_names({"module.fc.weight": torch.zeros(1), "loss.weight": torch.ones(1)}, ["fc.weight"])
        ({'fc.weight': tensor([0.])}, ['loss.weight'])
    """
    prefix, own = _find_prefix(weights, frozenset(expected)), {_part(name) for name in expected}
    found, left_over = dict[str, Tensor](), list[str]()
    for name, value in weights.items():
        inner = name.removeprefix(prefix)
        if name.startswith(prefix) and (inner in expected or _part(inner) in own):
            found[inner] = value
        else:
            left_over.append(name)
    return found, left_over


def _find_prefix(weights: Iterable[str], expected: Collection[str]) -> str:
    """The prefix under which the most of the expected names are found; of equals an average, else the first."""
    counts = Counter[str]()
    for name in weights:
        parts = name.split(".")
        heads = (".".join([*parts[:n], ""]) for n in range(len(parts)))
        counts.update(head for head in heads if name.removeprefix(head) in expected)
    return max(counts, key=lambda head: (counts[head], _is_average(head))) if counts else ""


def _is_average(prefix: str) -> bool:
    """Whether a prefix names an average over training."""
    return "ema" in re.split(r"[._]", prefix)


def _part(name: str) -> str:
    """The part of a network that a weight belongs to; those that have numbers are parts of one sequence."""
    head, dot, _ = name.partition(".")
    return "0" if dot and head.isdecimal() else head


def explain_misfit(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    left_over: Sequence[str],
    name: str,
    labels: Collection[str] | None = None,
) -> str:
    """Say in what weights differ from those of a network, and the nearest cure.

    Args:
        own: the network's weights by name.
        state: those of the file.
        left_over: names in the file beside these.
        name: of the network.
        labels: that were given.
    """
    missing, extra = [key for key in own if key not in state], [key for key in (*state, *left_over) if key not in own]
    other = [key for key in own if key in state and own[key].shape != getattr(state[key], "shape", None)]
    parts = [
        f"{len(names)} {what} ({list_names(names)})"
        for what, names in (("missing", missing), ("left over", extra), ("of another shape", other))
        if names
    ]
    shapes = "".join(f"; {key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}" for key in other[:1])
    classes = (
        None if missing or not state.keys() <= own.keys() else _count_classes([(own[key], state[key]) for key in other])
    )
    if classes is None:
        cure = (
            f"they are another network's than {name}: name theirs with architecture, on the command line --architecture"
        )
    elif labels is None:
        cure = f"for {classes} classes give labels=[...], one text for each class, on the command line --labels FILE"
    else:
        cure = f"{len(labels)} labels were given, and the weights are of {classes} classes: give a label for each"
    return f"{', '.join(parts)}{shapes}; {cure}"


def _count_classes(pairs: Sequence[tuple[Tensor, Tensor]]) -> int | None:
    """How many classes weights are of that differ from a network's in that alone; None where they differ otherwise."""
    rows = {(*own.shape[:1], *state.shape[:1]) for own, state in pairs}
    differs = any(own.shape[1:] != state.shape[1:] or not own.shape for own, state in pairs)
    return None if differs or len(rows) != 1 else rows.pop()[-1]


def list_names(names: Sequence[str]) -> str:
    """The first names of many, for a message."""
    return f"{', '.join(names[:MAX_NAMES])}{', …' if len(names) > MAX_NAMES else ''}"


class RefusedFileError(ValueError):
    """A file that is whole, and not read: it would fill the memory, or holds a program."""


def _check_unpacked_size(path: Path) -> None:
    """Refuse a small archive of huge weights before it is read: torch.save does not compress."""
    if not is_zipfile(path):
        return
    with ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(FREE_BYTES, MAX_RATIO * path.stat().st_size):
        raise RefusedFileError(
            f"{path.name} has {path.stat().st_size:,} bytes and would unpack to {unpacked:,}, which no weights do; "
            "save its state_dict() again"
        )


def _refuse_network(path: Path) -> None:
    """Refuse a network that was saved whole, as a pickle or a program, since its code would have to run."""
    names = set[str]()
    if is_zipfile(path):
        with ZipFile(path) as archive:
            names = {entry.rpartition("/")[2] for entry in archive.namelist()}
    if "constants.pkl" in names:
        kind, load = "a TorchScript program", f"torch.jit.load({path.name!r})"
    elif "archive_format" in names:
        kind, load = "a program of torch.export", f"torch.export.load({path.name!r}).module()"
    elif any(texts >= MODULE for texts in _read_texts(path)):
        kind, load = "a whole pickled network", f"torch.load({path.name!r}, weights_only=False)"
    else:
        return
    raise RefusedFileError(
        f"{path.name} holds {kind}, not weights alone, and no code in a file is run: if you trust it, load it yourself "
        f"with {load}, and save its state_dict(), or give the network itself to Classifier(network, normalize, size)"
    )


def _read_texts(path: Path) -> Iterator[set[str]]:
    """The texts in each pickle of a file, which is scanned and not unpickled."""
    if not is_zipfile(path):
        with path.open("rb") as file:
            for _ in range(MAX_PICKLES):
                yield _scan_pickle(file)
        return
    with ZipFile(path) as archive:
        for name in archive.namelist():
            if name.rpartition("/")[2] == "data.pkl":
                with archive.open(name) as file:
                    yield _scan_pickle(file)


def _scan_pickle(file: IO[bytes]) -> set[str]:
    """The texts of the pickle at a place in a file; up to the damage where there is some."""
    texts = set[str]()
    with suppress(Exception):  # whatever a damaged file makes of it; reading it says so
        texts.update(text for _, text, _ in pickletools.genops(file) if isinstance(text, str))
    return texts


def _read_file(path: Path) -> Any:
    if path.suffix.casefold() == ".safetensors":
        from safetensors.torch import load_file

        with utf8_path(path) as own:
            return load_file(own)
    with torch.serialization.safe_globals(_list_inert(path)):
        return torch.load(path, map_location="cpu", weights_only=True)


class _Inert:
    """Stands for data of a known class beside the weights, such as arguments of a script. It keeps and does nothing."""

    def __new__(cls, *_args: Any, **_options: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_args: Any, **_options: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


def _list_inert(path: Path) -> list[Any]:
    """What stands for classes of data in a file that torch would refuse, by their names; none of them is imported."""
    if not is_zipfile(path):
        return []
    names = torch.serialization.get_unsafe_globals_in_checkpoint(str(path))
    return [(_Inert, name) for name in names if name.startswith(DATA)]
