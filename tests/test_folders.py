"""One reader of image folders: the same files for everyone who reads one."""

import os

import pytest
import torch
from PIL import Image

from optvis import Rendering
from optvis.data import as_dataset, list_images, load_image
from optvis.data.folders import FORMATS, image_formats, image_suffixes
from optvis.data.labels import read_labels
from optvis.models.checkpoint import read_state_dict
from optvis.viz.tensor_file import encode_tensors


@pytest.fixture
def mixed(tmp_path):
    """Two images, a hidden one, a PDF and a text, and an image in a subfolder."""
    image = Image.new("RGB", (20, 20), "red")
    for name in ("a.jpg", ".b.jpg", "c.jfif"):
        image.save(tmp_path / name, "JPEG")
    image.save(tmp_path / "notes.pdf", "PDF")
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    image.save(tmp_path / "inner" / "d.webp")
    return tmp_path


def test_images_are_listed_by_name_without_hidden_files_and_documents(mixed):
    assert [path.name for path in list_images(mixed)] == ["a.jpg", "c.jfif"]


def test_subfolders_are_read_on_request(mixed):
    files = [path.relative_to(mixed).as_posix() for path in list_images(mixed, recursive=True)]
    assert files == ["a.jpg", "c.jfif", "inner/d.webp"]
    assert list(as_dataset(mixed).names) == files


def test_a_folder_within_a_hidden_one_is_not_hidden(mixed, tmp_path_factory):
    hidden = tmp_path_factory.mktemp("outer") / ".hidden"
    mixed.rename(hidden)
    assert len(list_images(hidden)) == 2


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nowhere", FileNotFoundError, "no folder"),
        ("a.jpg", ValueError, "is a file"),
        ("empty", ValueError, "no images in the folder"),
    ],
)
def test_other_paths_are_refused(mixed, name, error, words):
    (mixed / "empty").mkdir()
    with pytest.raises(error, match=words):
        list_images(mixed / name)


def test_only_formats_that_pillow_decodes_by_itself_are_read():
    assert {"JPEG", "PNG"} <= set(image_formats()) <= set(FORMATS)
    assert {".jpg", ".jfif", ".png", ".webp"} <= set(image_suffixes())
    assert not {".pdf", ".eps", ".ps", ".svg"} & set(image_suffixes())


def test_a_file_of_another_format_is_refused_whatever_its_name(tmp_path):
    from optvis.data import load_image

    path = tmp_path / "drawing.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(ValueError, match="no image of a known format"):
        load_image(path)


@pytest.fixture
def deny(monkeypatch):
    """Let the system say that a path may not be read, as it says to all but the administrator."""

    def refuse(denied):
        allows = os.access
        monkeypatch.setattr(
            os, "access", lambda path, mode: os.fspath(path) != os.fspath(denied) and allows(path, mode)
        )

    return refuse


def test_a_subfolder_that_may_not_be_read_is_an_error(mixed, deny):
    deny(mixed / "inner")
    with pytest.raises(PermissionError, match=r"cannot read '.*inner'; change its permissions"):
        list_images(mixed, recursive=True)
    assert len(list_images(mixed)) == 2


def test_a_file_that_may_not_be_read_is_named_by_every_reader(mixed, deny):
    torch.save({"a": torch.zeros(1)}, mixed / "w.pth")
    encoded = encode_tensors({"a": torch.zeros(1)}, {})
    (mixed / "x.safetensors").write_bytes(encoded)
    for name, read in {
        "a.jpg": load_image,
        "notes.txt": read_labels,
        "w.pth": read_state_dict,
        "x.safetensors": Rendering.load,
    }.items():
        deny(mixed / name)
        with pytest.raises(PermissionError, match=rf"cannot read '.*{name}'; change its permissions"):
            read(mixed / name)


def test_links_to_folders_are_left_out_and_named(mixed):
    (mixed / "link").symlink_to("inner")
    (mixed / "loop").symlink_to(".")
    with pytest.warns(UserWarning, match=r"links to folders are not followed, 2 here, the first '.*(link|loop)'"):
        assert len(list_images(mixed, recursive=True)) == 3
    assert len(list_images(mixed)) == 2
    assert [path.name for path in list_images(mixed / "link")] == ["d.webp"]
