"""What the pages of the API reference show: each public subpackage, its public names in groups, one group for a file.

autosummary makes a page for each subpackage from `_templates/subpackage.rst`, which calls `describe` for the content.
The public names of a subpackage are those in its `__all__`. A name that several subpackages export is described once,
under the shortest path.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from functools import cache

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import optvis

LOGGER = logging.getLogger(__name__)
LONGEST_VALUE = 64  # characters of a constant's value that are shown


@dataclass
class Group:
    """The public names of one file, and what the file's docstring says in its first paragraph."""

    title: str
    summary: str
    directives: list[str] = field(default_factory=list)


@dataclass
class Subpackage:
    """The content of a page: summary, names that other pages and this one describe, groups of names, subpackages."""

    title: str
    summary: str
    elsewhere: list[str]
    callables: list[str]
    groups: list[Group]
    subpackages: list[str]


@cache
def subpackages() -> tuple[str, ...]:
    """Packages with an `__all__`, those with the shortest path first."""
    inner = [module.name for module in pkgutil.walk_packages(optvis.__path__[:1], "optvis.") if module.ispkg]
    found = {"optvis", "optvis.objectives", "optvis.params", *inner}
    public = [name for name in found if hasattr(importlib.import_module(name), "__all__")]
    return tuple(sorted(public, key=lambda name: (name.count("."), name)))


@cache
def homes() -> dict[tuple[str, str], str]:
    """The subpackage that describes each definition, by file and name."""
    found: dict[tuple[str, str], str] = {}
    for subpackage in subpackages():
        for name in importlib.import_module(subpackage).__all__:
            found.setdefault(origin(subpackage, name), subpackage)
    return found


@cache
def sources(module: str) -> dict[str, tuple[str, str]]:
    """Where the names that a module imports come from: file and name there."""
    tree = ast.parse(ModuleAnalyzer.for_module(module).code)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}


def origin(module: str, name: str) -> tuple[str, str]:
    """The file that defines a name, and the name there."""
    source = sources(module).get(name)
    return origin(*source) if source and source[0].startswith("optvis") else (module, name)


def describe(subpackage: str) -> Subpackage:
    """The content of a subpackage's page."""
    package = importlib.import_module(subpackage)
    groups: dict[str, Group] = {}
    elsewhere, callables = [], []
    for name in sorted(package.__all__, key=lambda name: (origin(subpackage, name)[0], not name[0].isupper(), name)):
        file, original = origin(subpackage, name)
        home = homes()[file, original]
        if home != subpackage:
            elsewhere.append(f":py:obj:`{name} <{home}.{original}>`")
        elif not name.startswith("__"):
            title = file.rpartition(".")[2].replace("_", " ")
            group = groups.setdefault(file, Group(title, summarize(importlib.import_module(file))))
            group.directives.append(directive(name, getattr(package, name), file))
            callables += [name] if has_docstring(getattr(package, name)) else []
    inside = sorted(set(homes().values()) - {subpackage}, key=subpackages().index) if subpackage == "optvis" else []
    return Subpackage(subpackage, summarize(package), elsewhere, callables, list(groups.values()), inside)


def has_docstring(value: object) -> bool:
    """Whether a value is a class or a function, which say what they are, and not a constant."""
    return inspect.isclass(value) or inspect.isroutine(value)


def summarize(module: object) -> str:
    """The first paragraph of a docstring."""
    return (inspect.getdoc(module) or "").partition("\n\n")[0]


def directive(name: str, value: object, file: str) -> str:
    """The lines that describe a class, an exception, a function or a constant."""
    if inspect.isclass(value):
        kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
        bases = "   :show-inheritance:\n" if value.__bases__ != (object,) else ""
        return f".. {kind}:: {name}\n   :members:\n{bases}"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}\n"
    return "\n".join([f".. py:data:: {name}", *value_of(name, file), "", *comment_on(name, file), ""])


def value_of(name: str, file: str) -> list[str]:
    """The value of a constant as its file writes it, where that is short."""
    analyzer = ModuleAnalyzer.for_module(file)
    for node in ast.parse(analyzer.code).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in map(ast.unparse, filter(None, targets)):
            text = ast.unparse(node.value)
            return [f"   :value: {text}"] if len(text) <= LONGEST_VALUE else []
    return []


def comment_on(name: str, file: str) -> list[str]:
    """The comment on a constant that begins with `#:`."""
    comment = ModuleAnalyzer.for_module(file).find_attr_docs().get(("", name), [])
    if not comment:
        LOGGER.warning("%s of %s is public and has no comment that begins with `#:`", name, file)
    return [f"   {line}" for line in comment]


def report_missing(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names without a description."""
    described = {name for name, *_ in env.get_domain("py").get_objects()}
    for (_, name), subpackage in homes().items():
        if not name.startswith("__") and f"{subpackage}.{name}" not in described:
            LOGGER.warning("%s.%s is public and not in the reference", subpackage, name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx check that the reference is complete."""
    app.connect("env-check-consistency", report_missing)
    return {"parallel_read_safe": True}
