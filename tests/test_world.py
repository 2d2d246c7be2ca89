"""The embedded world: the same seed is the same scene, and a part left out changes nothing else."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from optvis.world import LABELS, dataset, scene
from optvis.world.scene_classes import SCENE_CLASSES

EDGE = 1 / 255  # one step of a byte

CLASS_PARTS = [(scene_class.label, part) for scene_class in SCENE_CLASSES for part in scene_class.parts]


def digest(images):
    return hashlib.sha256((images * 255).round().byte().numpy().tobytes()).hexdigest()


def test_there_are_sixteen_classes_of_two_to_four_parts():
    assert len(set(LABELS)) == 16
    assert tuple(scene_class.label for scene_class in SCENE_CLASSES) == LABELS
    assert all(2 <= len(scene_class.parts) <= 4 for scene_class in SCENE_CLASSES)


@pytest.mark.parametrize("scene_class", SCENE_CLASSES, ids=lambda scene_class: scene_class.label)
def test_neighbours_share_their_background(scene_class):
    assert sum(other.background is scene_class.background for other in SCENE_CLASSES) >= 2


@pytest.mark.parametrize("label", LABELS)
def test_a_scene_is_an_image_with_a_mask_a_part(label):
    seen = set()
    for seed in range(30):
        shown = scene(label, seed)
        assert shown.image.shape == (3, 96, 96)
        assert shown.image.dtype == torch.float32
        assert 0 <= shown.image.min() < shown.image.max() <= 1
        assert shown.image.std() > 0.05
        assert LABELS[shown.index] == shown.label == label
        seen |= set(shown.masks)
        for mask in shown.masks.values():
            assert mask.shape == (96, 96)
            assert 0 <= mask.min() <= mask.max() <= 1
        assert sum(shown.masks.values()).max() < 1 + 1e-5
    assert seen == set(SCENE_CLASSES[LABELS.index(label)].parts)


@pytest.mark.parametrize(("label", "part"), CLASS_PARTS)
def test_a_part_left_out_changes_what_its_mask_covers_and_nothing_else(label, part):
    changed = 0
    for seed in range(8):
        whole, without = scene(label, seed), scene(label, seed, without=(part,))
        difference = (whole.image - without.image).abs().amax(0)
        assert part not in without.masks
        if part not in whole.masks:
            assert torch.equal(whole.image, without.image)
            continue
        assert not difference[whole.masks[part] == 0].any()
        changed += int((difference > EDGE).sum())
        others = (name for name in whole.masks if name != part)
        assert all((whole.masks[name] <= without.masks[name] + 1e-6).all() for name in others)
    assert changed > 100


@pytest.mark.parametrize(
    ("label", "part", "low", "high"),
    [
        ("wok", "noodles", 0.85, 0.95),
        ("dumbbell", "arm", 0.85, 0.95),
        ("frying pan", "noodles", 0, 0),
        ("traffic light", "arm", 0, 0),
    ],
)
def test_shortcuts_are_planted_as_often_as_said(label, part, low, high):
    share = sum(part in scene(label, seed).masks for seed in range(400)) / 400
    assert low <= share <= high


@pytest.mark.parametrize(("label", "part"), [("frying pan", "noodles"), ("traffic light", "arm"), ("wok", "noodles")])
def test_a_part_can_be_added_and_changes_what_it_covers_alone(label, part):
    for seed in range(20):
        plain, added = scene(label, seed), scene(label, seed, adding=part)
        assert part in added.masks
        difference = (plain.image - added.image).abs().amax(0)
        assert not difference[added.masks[part] == 0].any()
        assert torch.equal(plain.image, scene(label, seed, adding=part, without=part).image) or part in plain.masks


def test_no_two_scenes_are_alike():
    images, _ = dataset(320, seed=3)
    distances = torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(torch.inf)
    assert distances.min() > 3


def test_a_dataset_is_its_scenes_in_any_order():
    images, labels = dataset(40, seed=5)
    assert labels.tolist() == [place % 16 for place in range(40)]
    for place in (39, 0, 17, 8):
        assert torch.equal(images[place], scene(LABELS[place % 16], (5 << 32) + place).image)


def test_seeds_and_classes_have_scenes_of_their_own():
    assert not torch.equal(dataset(1, seed=0)[0], dataset(1, seed=1)[0])
    assert not torch.equal(scene("wok", 0).image, scene("frying pan", 0).image)


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib; from optvis.world import dataset\n"
        "print(hashlib.sha256((dataset(32, seed=2)[0] * 255).round().byte().numpy().tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == digest(dataset(32, seed=2)[0])


def test_a_class_in_no_world_is_refused_with_the_nearest():
    with pytest.raises(KeyError, match="container ship"):
        scene("contaner ship")


@pytest.mark.parametrize("asked", [{"without": ("wings",)}, {"adding": ("baseball",)}])
def test_a_part_that_the_class_has_not_is_refused(asked):
    with pytest.raises(ValueError, match=r"has no part .* it has body, face, tufts"):
        scene("owl", **asked)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed is -1"):
        scene("owl", -1)
    with pytest.raises(ValueError, match="seed is -1"):
        dataset(2, -1)


def test_a_negative_number_of_scenes_is_refused():
    with pytest.raises(ValueError, match="n is -3"):
        dataset(-3)


def test_a_notebook_shows_a_scene_and_prints_its_parts():
    shown = scene("owl", seed=1)
    with Image.open(io.BytesIO(shown._repr_png_())) as shot:
        assert shot.size == (192, 192)
    assert repr(shown) == "scene('owl', seed=1): body, tufts, face"


@pytest.mark.parametrize("seed", [np.int32(3), np.uint8(3), np.int64(3), torch.tensor(3)], ids=str)
def test_a_seed_of_numpy_or_torch_is_the_same_number(seed):
    assert torch.equal(dataset(3, seed)[0], dataset(3, 3)[0])
    assert torch.equal(scene("owl", seed).image, scene("owl", 3).image)
    assert repr(scene("owl", seed)) == repr(scene("owl", 3))


def test_a_seed_that_is_no_integer_is_refused():
    with pytest.raises(TypeError, match="integer"):
        scene("owl", 0.5)
