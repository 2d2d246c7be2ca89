"""A Sphinx extension: each page that runs is a notebook too, which its reader can download and run anywhere.

Both come from the same Markdown, read by MyST-NB. The notebook has one cell more, which installs what it needs.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.application import Sphinx

FOLDER = "notebooks"  # in the built site
# What a page's code imports or loads, and the extra that brings it.
EXTRAS = {
    "timm": r"\btimm\b",
    "hf": r"\btransformers\b",
    "imagenet": r"efficientnet_lite0",
    "captum": r"\bcaptum\b|FromCaptum",
    "atlas": r'"umap"',
    "video": r"\.mp4",
}
PACKAGES = {"tensorboard": r"\btensorboard\b"}
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{.*?^\1 *$\n?", re.MULTILINE | re.DOTALL)
PAGE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")
TARGET = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)


def build_notebook(text: str) -> nbformat.NotebookNode:
    """The notebook of a page: a cell that installs, then the page's own cells.

    Markdown loses what only Sphinx reads: directives, and links to other pages of the site.
    """
    notebook = read_myst_markdown_notebook(text)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    notebook.cells = [nbformat.v4.new_code_cell(install_line(code)), *filter(None, map(clean_cell, notebook.cells))]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # by default another one each time
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    notebook.nbformat_minor = 5
    return notebook


def install_line(code: str) -> str:
    """The magic that installs optvis and what else some code needs."""
    extras, packages = (
        sorted(name for name, pattern in table.items() if re.search(pattern, code)) for table in (EXTRAS, PACKAGES)
    )
    wanted = f"optvis[{','.join(extras)}]" if extras else "optvis"
    wanted = f"'optvis[{','.join(extras)}]'" if extras else "optvis"
    return " ".join(["%pip install --quiet", wanted, *packages])


def clean_cell(cell: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    """A cell as Jupyter reads it; None for Markdown that was for Sphinx alone."""
    cell.metadata = nbformat.from_dict({name: cell.metadata[name] for name in ("tags",) if name in cell.metadata})
    if cell.cell_type == "markdown":
        cell.source = TARGET.sub("", PAGE_LINK.sub(r"\1", DIRECTIVE.sub("", cell.source))).strip()
    return cell if cell.source else None


def write_notebooks(app: Sphinx) -> Iterable[str]:
    """Write the notebook of each page that runs."""
    if app.builder.format != "html":
        return ()
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for page in sorted(app.env.found_docs):
        text = Path(app.env.doc2path(page)).read_text(encoding="utf-8")
        if is_notebook(text):
            nbformat.write(build_notebook(text), folder / f"{page}.ipynb")
    return ()


def is_notebook(text: str) -> bool:
    """Whether a page runs."""
    return bool(is_myst_markdown_notebook(text))


def add_link(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Link the notebook at the end of its page."""
    source = Path(app.srcdir) / f"{page}.md"
    if source.is_file() and is_notebook(source.read_text(encoding="utf-8")):
        link = f'<a href="{FOLDER}/{page}.ipynb" download>Download this page as a notebook</a>'
        context["body"] += f'<p class="notebook">{link}, for Jupyter or, by <i>File › Upload notebook</i>, Colab.</p>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-collect-pages", write_notebooks)
    app.connect("html-page-context", add_link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
