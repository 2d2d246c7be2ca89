"""Albums: any source of photographs, read a batch at a time, and nothing lost to one bad file."""

import pytest
import torch
from PIL import Image

from optvis import Classifier
from optvis.data.dataset import ImageDataset
from optvis.data.sources import as_dataset
from optvis.models.embedded.labels import LABELS
from optvis.world import Scenes, dataset, scene

NET = Classifier(torch.nn.Conv2d(3, 4, 3), None, 16)


@pytest.fixture
def folder(tmp_path):
    """Two photographs, one of them in a subfolder, a hidden file and a text."""
    (tmp_path / "inner").mkdir()
    for name, colour in (("b.png", "red"), ("inner/a.png", "blue"), (".hidden.png", "green")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    return tmp_path


def joined(found, at_once):
    batches = list(found.batches(NET.load_batch, at_once))
    return [place for places, _ in batches for place in places], torch.cat([images for _, images in batches])


def test_a_folder_is_read_with_its_subfolders_and_without_what_is_hidden(folder):
    found = as_dataset(folder)
    assert found.names == ("b.png", "inner/a.png")
    assert found.load([1], NET.load_batch)[0, :, 0, 0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 100])
def test_batches_of_any_size_hold_the_same_images_in_order(at_once):
    images = torch.rand(7, 3, 16, 16)
    places, read = joined(as_dataset(images), at_once)
    assert places == list(range(7))
    assert torch.equal(read, images)


def test_lists_tensors_and_datasets_are_one():
    images, labels = dataset(5, seed=2)
    for source in (images, list(images), list(zip(images, labels.tolist(), strict=True)), Scenes(5, seed=2)):
        net = Classifier(NET.network, None, 96)
        assert torch.equal(as_dataset(source).load(range(5), net.load_batch), images)


def test_an_album_is_itself():
    one = as_dataset(torch.rand(2, 3, 16, 16))
    assert as_dataset(one) is one


def test_what_cannot_be_read_is_left_out_and_named(folder):
    (folder / "c.png").write_bytes((folder / "b.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match=r"1 of 3 images are left out: image 'c.png'"):
        places, images = joined(as_dataset(folder), 2)
    assert places == [0, 2]
    assert len(images) == 2


def test_a_folder_of_broken_files_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no image could be read; the first: image 'a.png'"):
        list(as_dataset(tmp_path).batches(NET.load_batch))


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("nowhere", FileNotFoundError, "no folder 'nowhere'"),
        ([], ValueError, "the source is empty"),
        (iter([1]), TypeError, "list_iterator"),
        (7, TypeError, "int"),
        ({"a": 1}, TypeError, "dict"),
    ],
)
def test_other_sources_are_refused_by_what_they_are(source, error, words):
    with pytest.raises(error, match=words):
        as_dataset(source)


def test_an_empty_folder_and_a_file_are_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no images in the folder"):
        as_dataset(tmp_path / "empty")
    with pytest.raises(ValueError, match="is a file"):
        as_dataset(folder / "b.png")


def test_an_item_of_several_photographs_is_refused():
    with pytest.raises(ValueError, match="item '0' holds 2 images"):
        ImageDataset([torch.rand(2, 3, 16, 16)], ("0",)).load([0], NET.load_batch)


def test_scenes_are_those_of_the_dataset_with_all_that_is_known():
    scenes, (images, labels) = Scenes(20, seed=3), dataset(20, seed=3)
    assert len(scenes) == 20
    for place in (0, 7, 19, -1):
        image, label = scenes[place]
        assert torch.equal(image, images[place])
        assert label == int(labels[place])
    known = scenes.scene(7)
    assert torch.equal(known.masks["face"], scene(LABELS[7], (3 << 32) + 7).masks["face"])
    assert [label for _, label in scenes[2:4]] == [2, 3]
    with pytest.raises(IndexError):
        scenes[20]
    with pytest.raises(ValueError, match="expected 0"):
        Scenes(-1)


@pytest.mark.parametrize("images", ["{inner}", "link", "{inner}/../{inner}"])
@pytest.mark.parametrize("results", ["{inner}/results", "link/results", "../{outer}/{inner}/results"])
def test_results_among_the_images_are_no_images_by_whatever_path(images, results, tmp_path, monkeypatch):
    outer = tmp_path / "outer"
    (outer / "inner" / "results" / "pages").mkdir(parents=True)
    (outer / "link").symlink_to("inner")
    monkeypatch.chdir(outer)
    for name in ("a.png", "results/b.png", "results/pages/c.png"):
        Image.new("RGB", (20, 20)).save(outer / "inner" / name)
    names = {"inner": "inner", "outer": "outer"}
    found = as_dataset(images.format(**names)).outside(results.format(**names))
    assert found.names == ["a.png"]
