"""The embedded world: a seed always gives the same scene, and leaving out a part changes nothing else."""

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

BYTE_STEP = 1 / 255

CLASS_PARTS = [(scene_class.label, part) for scene_class in SCENE_CLASSES for part in scene_class.parts]


def digest(images):
    return hashlib.sha256((images * 255).round().byte().numpy().tobytes()).hexdigest()


def test_world_has_sixteen_classes_of_two_to_four_parts():
    assert len(set(LABELS)) == 16
    assert tuple(scene_class.label for scene_class in SCENE_CLASSES) == LABELS
    assert all(2 <= len(scene_class.parts) <= 4 for scene_class in SCENE_CLASSES)


@pytest.mark.parametrize("scene_class", SCENE_CLASSES, ids=lambda scene_class: scene_class.label)
def test_each_background_belongs_to_several_classes(scene_class):
    assert sum(other.background is scene_class.background for other in SCENE_CLASSES) >= 2


@pytest.mark.parametrize("label", LABELS)
def test_scene_has_an_image_and_a_mask_for_each_part(label):
    parts = set()
    for seed in range(30):
        drawn = scene(label, seed)
        assert drawn.image.shape == (3, 96, 96)
        assert drawn.image.dtype == torch.float32
        assert 0 <= drawn.image.min() < drawn.image.max() <= 1
        assert drawn.image.std() > 0.05
        assert LABELS[drawn.index] == drawn.label == label
        parts |= set(drawn.masks)
        for mask in drawn.masks.values():
            assert mask.shape == (96, 96)
            assert 0 <= mask.min() <= mask.max() <= 1
        assert sum(drawn.masks.values()).max() < 1 + 1e-5
    assert parts == set(SCENE_CLASSES[LABELS.index(label)].parts)


@pytest.mark.parametrize(("label", "part"), CLASS_PARTS)
def test_leaving_out_a_part_changes_only_pixels_under_its_mask(label, part):
    changed = 0
    for seed in range(8):
        whole, without = scene(label, seed), scene(label, seed, without=(part,))
        difference = (whole.image - without.image).abs().amax(0)
        assert part not in without.masks
        if part not in whole.masks:
            assert torch.equal(whole.image, without.image)
            continue
        assert not difference[whole.masks[part] == 0].any()
        changed += int((difference > BYTE_STEP).sum())
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
def test_shortcuts_have_their_stated_frequency(label, part, low, high):
    share = sum(part in scene(label, seed).masks for seed in range(400)) / 400
    assert low <= share <= high


@pytest.mark.parametrize(("label", "part"), [("frying pan", "noodles"), ("traffic light", "arm"), ("wok", "noodles")])
def test_adding_a_part_changes_only_pixels_under_its_mask(label, part):
    for seed in range(20):
        plain, added = scene(label, seed), scene(label, seed, adding=part)
        assert part in added.masks
        difference = (plain.image - added.image).abs().amax(0)
        assert not difference[added.masks[part] == 0].any()
        assert torch.equal(plain.image, scene(label, seed, adding=part, without=part).image) or part in plain.masks


def test_scenes_of_a_dataset_differ():
    images, _ = dataset(320, seed=3)
    distances = torch.cdist(images.flatten(1), images.flatten(1)).fill_diagonal_(torch.inf)
    assert distances.min() > 3


def test_dataset_equals_its_single_scenes():
    images, labels = dataset(40, seed=5)
    assert labels.tolist() == [index % 16 for index in range(40)]
    for index in (39, 0, 17, 8):
        assert torch.equal(images[index], scene(LABELS[index % 16], (5 << 32) + index).image)


def test_seeds_and_classes_give_different_scenes():
    assert not torch.equal(dataset(1, seed=0)[0], dataset(1, seed=1)[0])
    assert not torch.equal(scene("wok", 0).image, scene("frying pan", 0).image)


def test_another_process_draws_the_same_bytes():
    code = (
        "import hashlib; from optvis.world import dataset\n"
        "print(hashlib.sha256((dataset(32, seed=2)[0] * 255).round().byte().numpy().tobytes()).hexdigest())"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert process.stdout.strip() == digest(dataset(32, seed=2)[0])


def test_unknown_class_raises_and_names_the_nearest():
    with pytest.raises(KeyError, match="container ship"):
        scene("contaner ship")


@pytest.mark.parametrize("options", [{"without": ("wings",)}, {"adding": ("baseball",)}])
def test_unknown_part_raises(options):
    with pytest.raises(ValueError, match=r"has no part .* it has body, face, tufts"):
        scene("owl", **options)


def test_negative_seed_raises():
    with pytest.raises(ValueError, match="seed is -1"):
        scene("owl", -1)
    with pytest.raises(ValueError, match="seed is -1"):
        dataset(2, -1)


def test_negative_number_of_scenes_raises():
    with pytest.raises(ValueError, match="n is -3"):
        dataset(-3)


def test_scene_has_a_png_and_a_repr_for_notebooks():
    drawn = scene("owl", seed=1)
    with Image.open(io.BytesIO(drawn._repr_png_())) as image:
        assert image.size == (192, 192)
    assert repr(drawn) == "scene('owl', seed=1): body, tufts, face"


@pytest.mark.parametrize("seed", [np.int32(3), np.uint8(3), np.int64(3), torch.tensor(3)], ids=str)
def test_seed_may_be_an_integer_of_numpy_or_torch(seed):
    assert torch.equal(dataset(3, seed)[0], dataset(3, 3)[0])
    assert torch.equal(scene("owl", seed).image, scene("owl", 3).image)
    assert repr(scene("owl", seed)) == repr(scene("owl", 3))


def test_seed_that_is_no_integer_raises():
    with pytest.raises(TypeError, match=r"integer|seed must be int"):
        scene("owl", 0.5)
