"""The text of the documentation: code is not cut off, the first page has pictures, and words that people search for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import optvis

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
README = DOCS.parent / "README.md"
WIDEST = 88  # characters of code beside a menu
LANGUAGES = r"\{code-cell\}[^\n]*|python|console|sh|bash|html|js|javascript|css"


def blocks(text):
    """The blocks of code, without printed tables and drawings."""
    return re.findall(rf"(?ms)^```(?:{LANGUAGES})\n(.*?)^```$", text)


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_code_fits_beside_the_menu(page):
    wide = [line for block in blocks(page.read_text("utf-8")) for line in block.splitlines() if len(line) > WIDEST]
    assert not [line for line in wide if "pytest" not in line]  # the command of the tests is one line


def test_each_block_of_code_is_read():
    text = "\n".join(
        f"```{language}\n{n}\n```\nText." for n, language in enumerate(("{code-cell} python", "sh", "text", "js"))
    )
    assert blocks(text) == ["0\n", "1\n", "3\n"]


def test_every_page_is_in_the_menu():
    listed = set(re.findall(r"(?m)^(\w+)$", (DOCS / "index.md").read_text("utf-8")))
    assert {page.stem for page in PAGES} - {"index"} <= listed


def test_the_first_page_shows_pictures_that_exist():
    shown = re.findall(r"\{image\} (\S+)", (DOCS / "index.md").read_text("utf-8"))
    assert len(shown) >= 3
    assert all((DOCS / name).is_file() for name in shown)


@pytest.mark.parametrize(
    "word",
    [
        *("feature visualization", "saliency", "Grad-CAM", "logits", "GPU", "fine-tuned", "Hugging Face", "DeepDream"),
        *("integrated gradients", "SmoothGrad", "occlusion", "ImageNet", "cuda", "superpixels", "transformer"),
    ],
)
def test_words_that_people_search_for_are_there(word):
    assert any(word.casefold() in page.read_text("utf-8").casefold() for page in PAGES if page.stem != "changelog")


def test_both_ways_to_cite_name_the_same_version():
    given = yaml.safe_load((DOCS / "CITATION.cff").read_text("utf-8"))
    assert given["cff-version"] == "1.2.0"
    assert given["version"] == optvis.__version__
    entry = re.search(r"(?s)```bibtex\n(.*?)```", README.read_text("utf-8")).group(1)
    assert optvis.__version__.startswith(re.search(r"version = {(.*)}", entry).group(1))
    assert given["title"] in entry
    assert given["authors"][0]["name"] in entry
