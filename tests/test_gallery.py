"""The gallery: each picture is made by a function of make.py as it stands there, and all are shown above their code."""

from __future__ import annotations

import ast
import json
import re

import pytest
from PIL import Image

from .checks import ROOT

FOLDER = ROOT / "docs" / "pictures"
SOURCE = (FOLDER / "make.py").read_text(encoding="utf-8")
PAGES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/index.md", "docs/gallery.md")}
MOST_BYTES, WIDEST = 450_000, 88


def find_functions():
    """The functions that draw a picture, by name: those that return a Picture."""
    functions = [node for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef)]
    return {node.name: node for node in functions if node.returns and ast.unparse(node.returns) == "Picture"}


DRAWN = find_functions()


def code_of(name):
    """The lines of a function."""
    node = DRAWN[name]
    return "\n".join(SOURCE.splitlines()[node.lineno - 1 : node.end_lineno])


def test_the_gallery_shows_each_picture_above_its_code():
    shown = re.findall(
        r"```\{image\} pictures/(\w+)\.png\n:alt: \S.*\n(?::.*\n)*```\n"  # the picture
        r"(?:(?!```).*\n)*"  # what it is
        r"```\{literalinclude\} pictures/make\.py\n:pyobject: (\w+)\n",  # its code
        PAGES["docs/gallery.md"],
    )
    assert shown == [(name, name) for name in DRAWN]
    assert PAGES["docs/gallery.md"].count("{image}") == len(shown)


def test_no_picture_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.png")} == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_each_file_holds_the_code_that_made_it(name):
    path = FOLDER / f"{name}.png"
    with Image.open(path) as image:
        kept = json.loads(image.text["optvis"])
    assert kept["code"] == code_of(name), f"the code has changed: python docs/pictures/make.py {name}"
    assert kept["recipes"]
    assert all(recipe["optvis"] and recipe["torch"] for recipe in kept["recipes"])
    assert path.stat().st_size <= MOST_BYTES
    assert all(len(line) <= WIDEST for line in code_of(name).splitlines())


def test_the_first_pages_link_each_picture_to_its_code():
    links = re.findall(r"\[!\[[^\]]+\]\(docs/pictures/(\w+)\.png\)\]\((.*)\)", PAGES["README.md"])
    expected = [f"docs/pictures/make.py#L{DRAWN[name].lineno}-L{DRAWN[name].end_lineno}" for name, _ in links]
    assert [link for _, link in links] == expected
    assert len(links) == PAGES["README.md"].count("![") >= 3
    index = re.findall(r"\{image\} pictures/(\w+)\.png\n(?::(?!target).*\n)*:target: (\S+)\n", PAGES["docs/index.md"])
    assert len(index) == PAGES["docs/index.md"].count("{image}") >= 3
    headings = re.findall(r"(?m)^## (.+)$", PAGES["docs/gallery.md"])
    anchors = {re.sub(r"[^\w -]", "", heading).casefold().replace(" ", "-") for heading in headings}
    assert all(name in DRAWN and link.removeprefix("gallery.html#") in anchors for name, link in index)
