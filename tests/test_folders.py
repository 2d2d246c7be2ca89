"""One reader of image folders: the same files for everyone who reads one."""

import pytest
from PIL import Image

from optvis.data import as_dataset, list_images
from optvis.data.folders import FORMATS, image_formats, image_suffixes


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
