"""Results on disk: what is saved is what is loaded, and anything else is refused in one sentence."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from optvis import ActivationGrid, Rendering, render
from optvis.data.own_files import read_kind
from optvis.features.groups import Groups
from optvis.objectives import channel
from optvis.viz.hinton_diagram import Hinton, hinton
from optvis.viz.result import Result, picture_path
from optvis.viz.sheet import to_pil_image


@dataclass(frozen=True, eq=False)
class Heatmap(Result):
    """A result that uses all that the base class offers."""

    KIND = "heatmap"
    TENSOR_FIELDS: ClassVar = {"values": "H W", "mask": "H W: bool", "extra": "..."}
    TEXT_FIELDS = ("layer",)
    JSON_FIELDS: ClassVar = {"labels": tuple[str, ...], "extent": float}

    layer: str
    values: Tensor
    labels: tuple[str, ...]
    extent: float
    recipe: Mapping[str, Any]
    mask: Tensor | None = None
    extra: Tensor | None = None

    def image(self):
        return to_pil_image(self.values[None])


def heatmap(**changes):
    plain = Heatmap("mixed5", torch.rand(4, 6), ("ship", "海"), 2.5, {"steps": 8, "nested": {"a": [1, None]}})
    return replace(plain, **changes)


def rendering():
    snapshots = {step: torch.rand(2, 3, 4, 6) for step in (0, 5, 10)}
    return Rendering(torch.rand(2, 3, 4, 6), torch.rand(3, 2), {"seeds": [1, 2]}, snapshots, ("a", "b"))


def grid(count=2):
    """Two images of 2 × 3 positions, with groups or without."""
    shape = 2, 2, 3
    groups = Groups("mixed3", torch.rand(2, count, 2, 3), torch.rand(count, 5), "nmf", None) if count else None
    icons = torch.rand(count, 3, 8, 8) if count else None
    activations, present = torch.rand(2, 5, 2, 3), torch.ones(shape).bool()
    parts = torch.rand(2, 3, 8, 8), "mixed3", activations, torch.rand(*shape, 3, 8, 8), present, torch.zeros(shape)
    return ActivationGrid(*parts, {"network": "demo"}, groups, icons)


def diagram():
    labels, icons = ["a", "b", "c", "d"], torch.rand(4, 3, 5, 5)
    return hinton(
        torch.rand(2, 2, 3, 3), labels=labels, row_labels=["x", "y"], icons=icons, row_icons=icons[:2], recipe={"a": 1}
    )


RESULTS = {
    "heatmap": heatmap,
    "rendering": rendering,
    "grid": grid,
    "naive grid": lambda: grid(0),
    "diagram": diagram,
}


@pytest.fixture(params=RESULTS)
def result(request):
    return RESULTS[request.param]()


def contents(path):
    """Tensors and header of a safetensors file."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def rewrite(path, tensors, header):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, header)


def equal(a, b):
    first, second = a._tensors(), b._tensors()
    assert list(first) == list(second) or first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name])
    assert (a.to_dict(), repr(a.recipe)) == (b.to_dict(), repr(b.recipe))


def test_what_is_saved_is_what_is_loaded(result, tmp_path):
    path = result.save(tmp_path / "new" / "folder" / "x.png")
    assert sorted(file.name for file in path.parent.iterdir()) == ["x.png", "x.safetensors"]
    for name in (path, str(path), path.with_suffix(".safetensors")):
        again = type(result).load(name)
        assert type(again) is type(result)
        equal(again, result)
        assert again.save(tmp_path / "again.png").read_bytes() == path.read_bytes()


def test_the_png_is_the_image_with_the_recipe(result, tmp_path):
    with Image.open(result.save(tmp_path / "x.png")) as picture:
        assert picture.tobytes() == result.image().tobytes()
        assert json.loads(picture.text["optvis"]) == result.recipe
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.tobytes() == result.image().tobytes()


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_a_figure_is_saved_and_known_as_the_results_own(result, tmp_path, suffix):
    path = result.save(tmp_path / f"x{suffix}")
    assert path.read_bytes() == result.save(path).read_bytes()
    equal(type(result).load(path), result)
    assert read_kind(path) == result.KIND
    path.write_bytes(b"%PDF-1.4 <svg> of somebody else")
    with pytest.raises(FileExistsError, match=f"is no {result.KIND} that optvis wrote"):
        result.save(path)


def test_tensors_that_are_none_are_left_out(tmp_path):
    path = heatmap(mask=torch.ones(4, 6).bool()).save(tmp_path / "x.png")
    again = Heatmap.load(path)
    assert again.extra is None
    assert again.mask.dtype == torch.bool
    assert contents(path.with_suffix(".safetensors"))[0].keys() == {"values", "mask"}


def test_a_view_is_not_written_with_its_whole_storage(tmp_path):
    path = heatmap(values=torch.rand(1000, 6)[:4]).save(tmp_path / "x.png")
    assert path.with_suffix(".safetensors").stat().st_size < 2000


def test_numbers_of_numpy_and_torch_are_plain_in_the_recipe(tmp_path):
    recipe = {"a": np.float64(0.5), "b": torch.tensor([1, 2]), "c": np.int64(3)}
    assert Heatmap.load(heatmap(recipe=recipe).save(tmp_path / "x.png")).recipe == {"a": 0.5, "b": [1, 2], "c": 3}


def test_the_names_in_the_files_stay(tmp_path):
    tensors, header = contents(rendering().save(tmp_path / "r.png").with_suffix(".safetensors"))
    assert tensors.keys() == {"images", "scores", "snapshot 0", "snapshot 5", "snapshot 10"}
    assert header == {"recipe": '{"seeds": [1, 2]}', "labels": '["a", "b"]', "kind": "rendering"}
    tensors, header = contents(grid().save(tmp_path / "g.png").with_suffix(".safetensors"))
    plain = {"images", "activations", "icons", "present", "scores"}
    assert tensors.keys() == plain | {"maps", "directions", "group_icons"}
    assert header == {
        "recipe": '{"network": "demo"}',
        "layer": "mixed3",
        "groups": '["nmf", null]',
        "kind": "activation grid",
    }
    tensors, header = contents(grid(0).save(tmp_path / "g.png").with_suffix(".safetensors"))
    assert (tensors.keys(), header["groups"]) == (plain, "null")


def test_files_that_do_not_name_their_kind_are_read(result, tmp_path):
    path = result.save(tmp_path / "x.png")
    tensors, header = contents(path.with_suffix(".safetensors"))
    del header["kind"]
    rewrite(path.with_suffix(".safetensors"), tensors, header)
    equal(type(result).load(path), result)


@pytest.mark.parametrize("wanted", [Heatmap, Rendering, ActivationGrid, Hinton])
def test_another_kind_of_result_is_refused(result, wanted, tmp_path):
    path = result.save(tmp_path / "x.png")
    if isinstance(result, wanted):
        return
    with pytest.raises(ValueError, match=rf"holds the kind of result '{result.KIND}'; expected '{wanted.KIND}'"):
        wanted.load(path)
    tensors, header = contents(path.with_suffix(".safetensors"))
    del header["kind"]
    rewrite(path.with_suffix(".safetensors"), tensors, header)
    with pytest.raises(ValueError, match=rf"x\.safetensors' is damaged or holds no {wanted.KIND}: "):
        wanted.load(path)


def test_a_missing_file_is_refused(result, tmp_path):
    path = result.save(tmp_path / "x.png")
    path.with_suffix(".safetensors").unlink()
    for name in (path, tmp_path / "none.png", tmp_path / "no folder" / "x.png", tmp_path):
        with pytest.raises(FileNotFoundError, match=rf"safetensors': the tensors of a saved {result.KIND} lie beside"):
            type(result).load(name)


@pytest.mark.parametrize("damage", ["truncated", "cut in the header", "empty", "text", "folder of zeros"])
def test_a_damaged_file_is_refused(result, damage, tmp_path):
    path = result.save(tmp_path / "x.png")
    file = path.with_suffix(".safetensors")
    whole = file.read_bytes()
    file.write_bytes(
        {
            "truncated": whole[:-1],
            "cut in the header": whole[:40],
            "empty": b"",
            "text": b"hello" * 99,
            "folder of zeros": bytes(1000),
        }[damage]
    )
    with pytest.raises(ValueError, match=rf"x\.safetensors' is damaged or holds no {result.KIND}") as caught:
        type(result).load(path)
    assert "\n" not in str(caught.value)


def test_a_file_without_a_header_is_refused(result, tmp_path):
    path = result.save(tmp_path / "x.png")
    tensors, _ = contents(path.with_suffix(".safetensors"))
    for header in (None, {}):
        rewrite(path.with_suffix(".safetensors"), tensors, header)
        with pytest.raises(ValueError, match=rf"holds no {result.KIND}: '\w+' is missing"):
            type(result).load(path)


def test_each_key_that_is_missing_is_named(result, tmp_path):
    path = result.save(tmp_path / "x.png")
    file = path.with_suffix(".safetensors")
    tensors, header = contents(file)
    for key in header.keys() - {"kind"}:
        rewrite(file, tensors, {name: value for name, value in header.items() if name != key})
        with pytest.raises(ValueError, match=rf"holds no {result.KIND}: '{key}' is missing"):
            type(result).load(path)
    optional = {field.name for field in fields(result) if field.default is None}
    for key in [name for name in tensors if not name.startswith("snapshot") and name not in optional]:
        rewrite(file, {name: tensor for name, tensor in tensors.items() if name != key}, header)
        with pytest.raises(ValueError, match=rf"holds no {result.KIND}: (the tensor )?'{key}' is missing"):
            type(result).load(path)


@pytest.mark.parametrize("text", ["{", "", "3", "null", '"text"', "[[[1]]]", '{"a": 1}', "[" * 100_000])
def test_json_of_another_form_is_refused(result, text, tmp_path):
    path = result.save(tmp_path / "x.png")
    file = path.with_suffix(".safetensors")
    tensors, header = contents(file)
    legal = {"recipe": ['{"a": 1}'], "groups": ["null"], "extent": ["3"], "layer": [text], "kind": [text]}
    legal |= {"panels_per_row": ["3", "null"]}
    for key in [key for key in header if text not in legal.get(key, ())]:
        rewrite(file, tensors, header | {key: text})
        with pytest.raises(ValueError, match=rf"x\.safetensors' is damaged or holds no {result.KIND}: "):
            type(result).load(path)


def test_tensors_of_another_form_are_refused(result, tmp_path):
    path = result.save(tmp_path / "x.png")
    file = path.with_suffix(".safetensors")
    tensors, header = contents(file)
    for name, axes in result.TENSOR_FIELDS.items():
        if name in tensors and axes != "...":
            rewrite(file, tensors | {name: torch.zeros(())}, header)
            with pytest.raises(ValueError, match=rf"{name} has shape \(\); expected \("):
                type(result).load(path)
    for extra in ("weight", "snapshot five"):
        rewrite(file, tensors | {extra: torch.zeros(1)}, header)
        with pytest.raises(ValueError, match=rf"is damaged or holds no {result.KIND}: "):
            type(result).load(path)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failure_leaves_whole_files_and_no_picture_of_other_tensors(result, tmp_path, monkeypatch, failing):
    path = result.save(tmp_path / "x.png")
    move, calls = Path.replace, []

    def full(self, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError("no space left on device")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", full)
    other = replace(result, recipe={"other": 1})
    with pytest.raises(OSError, match="no space left"):
        other.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
    monkeypatch.undo()
    equal(type(result).load(path), result if failing == 1 else other)


def test_nothing_is_written_where_drawing_fails(tmp_path):
    with pytest.raises(TypeError):
        heatmap(values=None).save(tmp_path / "new" / "x.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", ["x.jpg", "x", "x.png.gz", ".png", "x.safetensors"])
def test_only_a_png_is_written(result, wrong, tmp_path):
    with pytest.raises(ValueError, match=r"give a path ending in \.png"):
        result.save(tmp_path / "new" / wrong)
    assert list(tmp_path.iterdir()) == []
    assert picture_path("a/B.PNG") == Path("a/B.PNG")


def test_an_interrupted_result_is_incomplete():
    assert heatmap().complete
    assert heatmap(recipe={"interrupted": False}).complete
    assert not heatmap(recipe={"interrupted": True}).complete


def test_to_dict_has_json_types(result):
    told = result.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert (told["kind"], told["complete"], told["recipe"]) == (result.KIND, True, dict(result.recipe))
    assert {name: tuple(each["shape"]) for name, each in told["tensors"].items()} == {
        name: tuple(tensor.shape) for name, tensor in result._tensors().items()
    }


def test_to_dict_has_the_fields():
    told = heatmap().to_dict()
    assert (told["layer"], told["labels"], told["extent"]) == ("mixed5", ["ship", "海"], 2.5)
    assert told["tensors"] == {"values": {"shape": [4, 6], "dtype": "float32"}}
    assert rendering().to_dict()["labels"] == ["a", "b"]
    assert (grid().to_dict()["layer"], grid().to_dict()["groups"]) == ("mixed3", ["nmf", None])


def test_a_result_states_how_it_is_drawn():
    class Blank(Result):
        KIND = "blank"

    with pytest.raises(TypeError, match="abstract"):
        Blank()


def test_a_result_is_shown_in_the_viewer_or_the_notebook_or_says_that_there_is_none(small, monkeypatch):
    from IPython import display
    from PIL import ImageShow

    made, shown = render(small, channel("conv2", 1), size=16, steps=0, progress=False), []

    class Viewer(ImageShow.Viewer):
        def show(self, image, **options):
            shown.append(image.size)
            return True

    monkeypatch.setattr(ImageShow, "_viewers", [Viewer()])
    made.show()
    assert shown == [made.image().size]
    monkeypatch.setattr(ImageShow, "_viewers", [])
    with pytest.warns(UserWarning, match=r"no viewer of images on this machine; .* \.save"):
        made.show()
    monkeypatch.setattr("optvis.viz.result.runs_in_kernel", lambda: True)
    monkeypatch.setattr(display, "display", shown.append)
    made.show()
    assert shown[-1] is made
