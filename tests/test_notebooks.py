"""Each page of the docs that runs is a notebook as well: valid, with the cells that the docs execute."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest

from .checks import ROOT

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("myst_nb")
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(?::[^\n]*\n|---\n.*?\n---\n)+\n?", re.DOTALL)
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if "{code-cell}" in path.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def notebooks():
    spec = importlib.util.spec_from_file_location("docs_notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("docs_notebooks", None)


def test_every_page_is_a_valid_notebook_with_the_cells_that_the_docs_execute(notebooks):
    assert len(PAGES) > 20
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert notebooks.is_notebook(text), path.name
        made = notebooks.build_notebook(text)
        nbformat.validate(made)
        assert nbformat.writes(made) == nbformat.writes(notebooks.build_notebook(text))
        install, *cells = [cell.source for cell in made.cells if cell.cell_type == "code"]
        assert install.startswith("%pip install --quiet ")
        assert cells == [OPTIONS.sub("", code).strip("\n") for code in CELL.findall(text)], path.name
        prose = "\n".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
        assert not re.search(r"^(```|:::)\{|\]\((?!https?:)", prose, re.MULTILINE), path.name


def test_the_first_cell_installs_what_the_page_needs(notebooks):
    assert notebooks.install_line("import timm\nload('efficientnet_lite0')") == (
        "%pip install --quiet 'optvis[imagenet,timm]'"
    )
    assert notebooks.install_line("load()") == "%pip install --quiet optvis"
