"""Saved files of every kind, mutated, and given back to their loaders."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from optvis import ActivationGrid, Rendering, Report, UnitSelection, attribute, evaluate, load
from optvis.ablation import Evidence, compare_renderings
from optvis.atlas import ActivationAtlas, AtlasBuilder, AtlasOptions, Samples
from optvis.data.schema import parse_json
from optvis.features import Channels, Groups
from optvis.objectives import channel
from optvis.patches import PatchTrial, load_patch, try_patch
from optvis.viz import Result, hinton

from .calls import photos
from .values import LABELS, SIZE, FirstTwo, tiny_classifier, tiny_network

Loader = Callable[[str], Any]
ODD_PATHS = ("", ".", "x" * 300, "no/such.png", "a\0b", "\udce9.png", "out", "saved", "日本.png", "/dev/null")
ODD_JSON = (
    *("3", "null", '"text"', "[]", "{}", "[[[1]]]", "{", "", "NaN", "1e999", "-1", "true", "[" * 100_000),
    *('["a", 3]', '{"a": {"b": [1, null]}}', '"<script>alert(1)</script>"', "[1, 2]", "99999999999999999999"),
)


def use(result: Any) -> None:
    """Draw and print what was loaded, as a user does next."""
    repr(result)
    if isinstance(result, Result):
        result.to_dict()
        result.image()
    if isinstance(result, Report):
        result.html()
    if isinstance(result, ActivationAtlas):
        result.html()


def _load_and_use(loader: Loader, path: str) -> None:
    use(loader(path))


@functools.cache
def saved() -> dict[str, tuple[dict[str, bytes], str, Loader]]:
    """For each kind of result: its files by name, the path that is loaded, and the loader."""
    import tempfile

    net, images = tiny_classifier(), photos()
    quick: dict[str, Any] = {"progress": False}
    shape = 1, 2, 3
    groups = Groups("conv1", torch.rand(1, 2, 2, 3), torch.rand(2, 8), "nmf", None)
    icons, parts = torch.rand(*shape, 3, 8, 8), (torch.ones(shape).bool(), torch.zeros(shape))
    grid = ActivationGrid(torch.rand(1, 3, 8, 8), "conv1", torch.rand(1, 8, 2, 3), icons, *parts, {}, groups,
                          torch.rand(2, 3, 8, 8))  # fmt: skip
    rendering = Rendering(images, torch.rand(2, 3), {"seeds": [0, 1, 2]}, {0: images}, ("a", "b", "c"))
    selection = UnitSelection((Channels("conv1", [1]),), 0, "cat", (Evidence("conv1", "channel 1", -1.0, None, ""),))
    truth = {"ships": (images, [int(k) for k in net.logits(images).argmax(1)])}
    results: dict[str, Any] = {
        "rendering": rendering,
        "grid": grid,
        "attribution": attribute(net, images, "conv2", channel("head", 0), **quick),
        "hinton": hinton(torch.rand(2, 3, 3), labels=["a", "b"]),
        "selection": selection,
        "before and after": compare_renderings(
            net, Channels("conv1", [0]), channel("conv2", 0), steps=1, size=SIZE, **quick
        ),
        "report": evaluate(net, Channels("conv2", [0]), truth, random_sets=3, **quick),
        "trial": _trial(net, images),
    }
    options = AtlasOptions(FirstTwo(), min_points=1, size=8, steps=1)
    results["atlas"] = AtlasBuilder(net, torch.rand(6, 3, SIZE, SIZE), "conv1", None, options, **quick).all([2])
    loaders: dict[str, Loader] = {name: type(result).load for name, result in results.items()}
    paths = dict.fromkeys(results, "x.png") | {"report": "", "atlas": ""}
    found = {}
    with tempfile.TemporaryDirectory() as root:
        for name, result in results.items():
            folder = Path(root) / name
            result.save(folder / paths[name] if paths[name] else folder)
            found[name] = (_read(folder), paths[name], loaders[name])
        atlas = Path(root) / "atlas"
        found["samples"] = (_read(atlas), "samples.safetensors", Samples.load)
        report = _read(Path(root) / "report")
        found["report.json"] = (
            report,
            "report.json",
            lambda path: Report.from_json(Path(path).read_bytes().decode(errors="replace")),
        )
        torch.save(tiny_network().state_dict(), Path(root) / "w.pth")
        own = {"architecture": tiny_network(), "size": SIZE, "normalize": None}
        weights = {"w.pth": (Path(root) / "w.pth").read_bytes()}
        found["checkpoint"] = (weights, "w.pth", lambda path: load(path, **own))
        found["patch"] = ({"x.png": _read(Path(root) / "rendering")["x.png"]}, "x.png", load_patch)
    return found


def _trial(net: Any, images: torch.Tensor) -> PatchTrial:
    same = images[:1].expand(4, -1, -1, -1)
    source = int(net.logits(same).argmax(1)[0])
    return try_patch(net, torch.rand(4, 4, 4), same, source, (source + 1) % len(LABELS), sizes=[4], progress=False)


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def draw_file(data: Any) -> tuple[Callable[[], Any], str]:
    """A damaged file, or an odd path, and its loader."""
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    kind = dice.choice(sorted(saved()))
    files, path, loader = saved()[kind]
    folder = Path("saved")
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if dice.random() < 0.1 and kind != "report.json":
        odd = dice.choice(ODD_PATHS)
        return functools.partial(_load_and_use, loader, odd), f"{kind} from {odd[:40]!r}"
    names = [name for name in files if name.endswith((".safetensors", ".json", ".pth"))] or list(files)
    target = folder / dice.choice([path] if path in names else names)
    how = dice.choice((_cut, _flip, _insert, *[_rewrite] * 6))
    what = how(target, dice)
    return functools.partial(
        _load_and_use, loader, str(folder / path if path else folder)
    ), f"{kind}: {target.name} {what}"


def _cut(path: Path, dice: random.Random) -> str:
    content = path.read_bytes()
    place = dice.randrange(len(content))
    path.write_bytes(content[:place])
    return f"cut at {place}"


def _flip(path: Path, dice: random.Random) -> str:
    content = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 3, 20))):
        content[dice.randrange(min(len(content), dice.choice((64, 10**9))))] = dice.randrange(256)
    path.write_bytes(content)
    return "with other bytes"


def _insert(path: Path, dice: random.Random) -> str:
    content = path.read_bytes()
    place = dice.randrange(len(content))
    path.write_bytes(content[:place] + dice.randbytes(dice.choice((1, 9))) + content[place:])
    return "with more bytes"


def _rewrite(path: Path, dice: random.Random) -> str:
    """Change a tensor, a text or a number of the file, which stays well-formed."""
    if path.suffix == ".json":
        value = json.loads(path.read_text("utf-8"))
        what = _mutate(value, dice)
        path.write_text(json.dumps(value), "utf-8")
        return what
    if path.suffix != ".safetensors":
        return _flip(path, dice)
    with safe_open(path, "pt") as file:
        header, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if header and (not tensors or dice.random() < 0.5):
        key = dice.choice(sorted(header))
        if dice.random() < 0.5:
            header[key] = dice.choice(ODD_JSON)
            what = f"with {key} {header[key][:40]}"
        else:
            try:
                value = [parse_json(header[key])]
            except ValueError:
                value = [header[key]]
            what = f"with {key}: {_mutate(value, dice)}"
            header[key] = json.dumps(value[0])
    else:
        name = dice.choice(sorted(tensors))
        tensors[name] = dice.choice((_other_shape, _other_type, _other_values))(tensors[name], dice).contiguous()
        what = f"with {name} {tensors[name].dtype} {tuple(tensors[name].shape)}"
        if dice.random() < 0.15:
            tensors["stray"] = torch.zeros(2)
    save_file(tensors, path, header)
    return what


def _mutate(value: Any, dice: random.Random) -> str:
    """Change one value anywhere inside."""
    place = None
    while isinstance(value, dict | list) and value:
        parent, place = value, dice.choice(sorted(value, key=str) if isinstance(value, dict) else range(len(value)))
        value = parent[place]
        if dice.random() < 0.3:
            break
    if place is None:
        return "unchanged"
    odd = (None, True, -1, 10**25, 0.5, float("nan"), "", "<b>", [], {}, [1, "a"], {"a": 1}, [[]], "x" * 3000)
    parent[place] = dice.choice(odd)
    return f"{place} = {str(parent[place])[:40]}"


def _other_shape(tensor: torch.Tensor, dice: random.Random) -> torch.Tensor:
    if not tensor.dim():
        return tensor.new_zeros(3)
    less = (tensor[:0], tensor.flatten(), tensor[:1], tensor.new_zeros(()), tensor[..., :1])
    return dice.choice((*less, tensor.unsqueeze(0), torch.cat([tensor, tensor])))


def _other_type(tensor: torch.Tensor, dice: random.Random) -> torch.Tensor:
    return tensor.to(dice.choice((torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool, torch.complex64)))


def _other_values(tensor: torch.Tensor, dice: random.Random) -> torch.Tensor:
    if not tensor.is_floating_point():
        return (
            torch.full_like(tensor, dice.choice((0, 1)))
            if tensor.dtype == torch.bool
            else tensor + dice.choice((-9, 9, 10**12))
        )
    return torch.full_like(tensor, dice.choice((0.0, float("nan"), float("inf"), -1e30)))
