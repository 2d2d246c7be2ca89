"""Rendering: saving and loading keeps all of it, and files are written atomically."""

from __future__ import annotations

import io
import json
import os
from base64 import b64decode

import pytest
import torch
from PIL import Image, ImageSequence
from safetensors.torch import save_file

from optvis import Rendering, objectives, render
from optvis.objectives import channel, on
from optvis.rendering.result import concatenate


@pytest.fixture
def made(small):
    """Two images with labels and snapshots."""
    objective = torch.tensor([1.0, 0.25]) * channel("conv2", [1, 5])
    return render(small, objective, size=(16, 24), steps=3, seed=(3, 4), snapshots=range(4), progress=False)


def equal(a, b):
    assert torch.equal(a.images, b.images)
    assert a.images.dtype == b.images.dtype
    torch.testing.assert_close(a.scores, b.scores, atol=0, rtol=0, equal_nan=True)
    assert list(a.snapshots) == list(b.snapshots)
    assert all(torch.equal(a.snapshots[step], b.snapshots[step]) for step in a.snapshots)
    assert (dict(a.recipe), a.labels) == (dict(b.recipe), b.labels)


def test_what_is_saved_is_what_is_loaded(made, tmp_path):
    path = made.save(tmp_path / "new" / "pictures" / "two.png")
    assert path == tmp_path / "new" / "pictures" / "two.png"
    assert sorted(file.name for file in path.parent.iterdir()) == ["two.png", "two.safetensors"]
    for name in (path, str(path), path.with_suffix(".safetensors")):
        equal(Rendering.load(name), made)


def test_one_image_is_written_pixel_for_pixel_with_its_recipe(made, tmp_path):
    path = made[1].save(tmp_path / "one.png")
    with Image.open(path) as image:
        image.load()
        assert image.size == (24, 16)
        assert json.loads(image.text["optvis"]) == made[1].recipe
        levels = (made.images[1] * 255).round().byte().permute(1, 2, 0).numpy()
        assert image.tobytes() == levels.tobytes()


def test_several_are_written_as_their_sheet(made, tmp_path):
    with Image.open(made.save(tmp_path / "two.png")) as image:
        assert image.tobytes() == made.sheet().tobytes()


def test_a_recipe_of_any_text_comes_back(tmp_path):
    recipe = {"objective": '写真 ünïcödé \n\t"quoted" \u202e 🐈', "nested": {"a": [1, 2.5, None, True]}}
    whole = Rendering(torch.rand(1, 3, 4, 4), torch.zeros(0, 1), recipe, {}, ("<b>",))
    equal(Rendering.load(whole.save(tmp_path / "x.png")), whole)


def test_scores_that_an_image_did_not_get_come_back(tmp_path):
    scores = torch.tensor([[1.0, 2.0], [3.0, torch.nan]])
    whole = Rendering(torch.rand(2, 3, 4, 4), scores, {})
    equal(Rendering.load(whole.save(tmp_path / "x.png")), whole)


def test_a_slice_of_images_on_disk_is_not_the_whole_storage(tmp_path):
    many = torch.rand(50, 3, 32, 32)
    path = Rendering(many[:1], torch.zeros(1, 1), {}).save(tmp_path / "x.png")
    assert path.with_suffix(".safetensors").stat().st_size < 3 * 32 * 32 * 4 * 2


@pytest.mark.parametrize("place", [0, 1, -1, -2])
def test_one_of_them_carries_its_own_question_and_seed(small, made, place):
    one = made[place]
    assert len(one) == 1
    assert torch.equal(one.images[0], made.images[place])
    assert torch.equal(one.scores[:, 0], made.scores[:, place])
    assert one.recipe["seeds"] == [made.recipe["seeds"][place]]
    assert one.recipe["objective"] == ["channel('conv2', 1)", "0.25 * channel('conv2', 5)"][place]
    assert torch.equal(one.snapshots[2], made.snapshots[2][[place]])
    objective = eval(one.recipe["objective"], vars(objectives))
    again = render(small, objective, size=(16, 24), steps=3, seed=one.recipe["seeds"], progress=False)
    assert torch.equal(again.images, one.images)


def test_they_can_be_counted_and_gone_through(made):
    assert len(made) == 2
    assert [torch.equal(one.images[0], image) for one, image in zip(made, made.images, strict=True)] == [True, True]
    with pytest.raises(IndexError):
        made[2]


def test_images_that_saw_each_other_share_their_question(small):
    objective = on("conv2", lambda a: (a - a.mean(0)).square().flatten(1).mean(1), couples_images=True, name="apart")
    two = render(small, objective * torch.ones(2), size=16, steps=1, progress=False)
    assert two[1].recipe["objective"] == two.recipe["objective"]
    assert two[1].recipe["seeds"] == [1]


@pytest.mark.parametrize("wrong", ["picture.jpg", "picture", "picture.png.gz", ".png"])
def test_another_suffix_is_refused_before_anything_is_written(made, wrong, tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.png"):
        made.save(tmp_path / "sub" / wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_capital_suffix_is_a_suffix(made, tmp_path):
    equal(Rendering.load(made.save(tmp_path / "A.PNG")), made)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_disk_that_fills_up_leaves_old_files_and_no_parts(made, tmp_path, monkeypatch, failing):
    path = made.save(tmp_path / "two.png")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    fdopen, calls = os.fdopen, []

    def full(descriptor, *mode, **options):
        calls.append(descriptor)
        if len(calls) == failing:
            raise OSError("no space left on device")
        return fdopen(descriptor, *mode, **options)

    monkeypatch.setattr(os, "fdopen", full)
    other = Rendering(torch.rand(1, 3, 4, 4), torch.zeros(0, 1), {})
    with pytest.raises(OSError, match="no space left"):
        other.save(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_in_the_way_of_the_folder_is_refused(made, tmp_path):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="cannot make the folder"):
        made.save(tmp_path / "taken" / "x.png")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign"])
def test_a_damaged_file_is_refused_by_name(made, tmp_path, damage):
    path = made.save(tmp_path / "two.png")
    tensors = path.with_suffix(".safetensors")
    whole = tensors.read_bytes()
    if damage == "foreign":
        save_file({"weight": torch.ones(2)}, tensors)
    else:
        tensors.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello" * 99}[damage])
    with pytest.raises(ValueError, match=r"two\.safetensors' is damaged or holds no rendering"):
        Rendering.load(path)


@pytest.mark.parametrize(
    "notes", [None, {}, {"recipe": "{", "labels": "[]"}, {"recipe": "{}"}, {"recipe": "{}", "labels": "3"}]
)
def test_foreign_notes_are_refused(tmp_path, notes):
    save_file({"images": torch.rand(1, 3, 4, 4), "scores": torch.zeros(0, 1)}, tmp_path / "x.safetensors", notes)
    with pytest.raises(ValueError, match="holds no rendering"):
        Rendering.load(tmp_path / "x.png")


def test_tensors_that_are_missing_are_named(made, tmp_path):
    path = made.save(tmp_path / "two.png")
    path.with_suffix(".safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"two\.safetensors'.*beside its PNG"):
        Rendering.load(path)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "apng"])
def test_an_animation_shows_every_snapshot(made, tmp_path, suffix):
    for rendering, size in ((made[0], (24, 16)), (made, made.sheet(labels=()).size)):
        path = rendering.animate(tmp_path / "new" / f"growing.{suffix}", milliseconds=60)
        with Image.open(path) as moving:
            assert moving.size == size
            assert moving.info["loop"] == 0
            assert sum(frame.load() and frame.info["duration"] for frame in ImageSequence.Iterator(moving)) == 4 * 60
        assert str(path) == str(path.path)
        kind, _, data = path._repr_html_().partition(";base64,")
        assert kind == f'<img src="data:image/{"apng" if suffix == "png" else suffix}'
        assert b64decode(data.partition('"')[0]) == path.path.read_bytes()


def test_an_animation_without_snapshots_is_refused(made, tmp_path):
    still = Rendering(made.images, made.scores, made.recipe)
    with pytest.raises(ValueError, match="no frames"):
        still.animate(tmp_path / "new" / "x.gif")
    assert list(tmp_path.iterdir()) == []


def test_sheets_are_labelled_by_objective_by_default(made):
    plain, default = made.sheet(labels=()), made.sheet()
    assert default.height > plain.height
    assert made[0].sheet().size == (24 + 12, 16 + 12)
    assert made.sheet(columns=2).width > made.sheet(columns=1).width
    assert made.sheet(labels=["a", "b"]).size != plain.size


def test_labels_have_short_numbers(small):
    weights = torch.linspace(0, 1, 6)[1:3]  # in float32, in which 0.2 is 0.20000000298…
    made = render(small, weights * channel("conv2", 1), size=16, steps=1, progress=False)
    assert made.labels == ("0.2 * channel('conv2', 1)", "0.4 * channel('conv2', 1)")


def test_a_notebook_shows_the_sheet(made):
    with Image.open(io.BytesIO(made._repr_png_())) as shown:
        assert shown.tobytes() == made.sheet().tobytes()


def test_it_says_what_it_is(made):
    assert repr(made).startswith("Rendering(2 of 16 × 24 px, 3 steps, scores ")
    assert repr(Rendering(torch.rand(1, 3, 4, 4), torch.zeros(0, 1), {})).endswith("0 steps, scores nan)")
    assert "…" in repr(Rendering(torch.rand(9, 3, 4, 4), torch.zeros(1, 9), {}))


def test_parts_joined_are_the_whole(made):
    whole = concatenate([made[0], made[1]], made.recipe)
    equal(whole, made)
    short = Rendering(made.images[:1], made.scores[:1, :1], {}, {0: made.images[:1]}, ("short",))
    mixed = concatenate([made[1], short], {})
    assert mixed.scores[1:, 1].isnan().all()
    assert list(mixed.snapshots) == [0]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_files_are_readable_as_any_new_file(made, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert made.save(tmp_path / "x.png").stat().st_mode == plain.stat().st_mode
