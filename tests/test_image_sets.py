"""Images from any source: one reader for selection and evaluation."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from optvis.ablation import LabeledImages, evaluate, find_units
from optvis.ablation.image_sets import digest_each, load_images, load_sets, resolve_classes
from optvis.features.units import Channels


def random_images(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, 20, 20, generator=generator, dtype=torch.float64) * 255).round() / 255


def save_image(image, path, **options):
    Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().numpy()).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two images among files that are none, or hidden."""
    own = tmp_path / "ships"
    own.mkdir()
    for name, image in zip(("a.jpg", ".b.jpg", "c.jfif"), random_images(3), strict=True):
        save_image(image, own / name, format="JPEG")
    save_image(random_images(1)[0], own / "notes.pdf", format="PDF")
    (own / "inner").mkdir()
    save_image(random_images(1)[0], own / "inner" / "d.png")
    return own


def test_find_units_and_evaluate_load_the_same_images_of_a_folder(small, folder):
    files = [folder / "a.jpg", folder / "c.jfif"]
    expected = digest_each(small.load_batch(files))
    target = int(small.logits(small.load_batch(files)).argmax(1)[0])
    options = {"method": "most_frequent", "layers": ["relu2"], "progress": False}
    selection = find_units(small, folder, target, **options)
    assert selection.recipe["digests"] == expected
    report = evaluate(small, Channels("relu2", [1]), {"ships": folder}, random_sets=3, progress=False)
    assert [one.image for one in report.predictions] == ["ships/a.jpg", "ships/c.jfif"]
    own = evaluate(small, selection, {"ships": str(folder)}, random_sets=3, progress=False)
    assert own.recipe["overlap"] == {"ships": 2}


def test_sources_may_be_mixed_and_each_image_has_a_name(small, folder):
    images = random_images(4)
    source = [folder, images[:2], folder / "a.jpg", images[2], Image.open(folder / "c.jfif"), images[:0]]
    found, names = load_images(source, small)
    assert names == ("ships/a.jpg", "ships/c.jfif", "image 2", "image 3", "ships/a.jpg", "image 5", "image 6")
    assert found.shape == (7, 3, 20, 20)
    assert found.dtype == small.image_dtype
    assert torch.equal(found[2:4].double(), images[:2])
    assert torch.equal(found[4], found[0])
    assert torch.equal(found[6], found[1])


@pytest.mark.parametrize("empty", [[], torch.empty(0, 3, 20, 20)])
def test_no_images_are_an_empty_batch(small, empty):
    found, names = load_images(empty, small)
    assert (found.shape, names) == ((0, 3, 20, 20), ())


@pytest.mark.parametrize("labels", [[], (), torch.empty(0, dtype=torch.long), 1, "cat"])
def test_a_set_without_images_may_have_no_labels_either(small, labels):
    (found,) = load_sets({"none": (torch.empty(0, 3, 20, 20), labels)}, small)
    assert (len(found), found.classes.tolist(), found.classes.dtype) == (0, [], torch.long)
    with pytest.raises((TypeError, ValueError), match="labels of set 'some'"):
        load_sets({"some": (torch.rand(2, 3, 20, 20), [])}, small)


def test_a_folder_without_images_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="no images in the folder"):
        load_images([tmp_path], small)


def test_labels_are_indices_or_texts_one_for_all_or_one_each(small):
    images = random_images(2)
    sets = {"one": (images, "cat"), "each": LabeledImages(images, [2, 0]), "none": images}
    loaded = {one.name: one.classes for one in load_sets(sets, small)}
    assert loaded["one"].tolist() == [small.labels.index("cat")] * 2
    assert loaded["each"].tolist() == [2, 0]
    assert loaded["none"] is None
    with pytest.raises(ValueError, match="3 classes for 2 images; give one for all, or one each"):
        resolve_classes([0, 1, 2], small, 2)
