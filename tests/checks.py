"""Measure how easy the tree is to find one's way in, and compare it with the goals.

    python tests/checks.py [--list]

Print a row for each check: the number today, the goal, ok or over. With `--list`, also print what each row counts.
Exit with 1 if a goal is missed. The script reads the source files and needs Python alone.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {"optvis": ROOT / "optvis", "optvis.objectives": ROOT / "objectives", "optvis.params": ROOT / "params"}

# A name whose first word is a participle reads like a value. An imperative says what a function does.
IRREGULAR = re.compile(
    r"begun|bent|bought|brought|built|caught|chosen|dealt|done|dreamt|drawn|driven|fed|felt|"
    r"forgotten|found|frozen|given|gone|grown|heard|held|hidden|hung|kept|known|laid|learnt|led|"
    r"lent|lit|lost|made|meant|met|overwritten|paid|said|seen|sent|shown|shrunk|sold|sought|"
    r"spent|spoken|spun|stolen|stood|stuck|swept|swung|taken|taught|thought|thrown|told|torn|"
    r"understood|won|worn|woven|written"
)
# These are imperatives before an object (`read_x`, `cut_x`), and participles alone (`read`, `cut`).
EITHER = re.compile("cut|put|read|set|split|spread")
# These end in -ed and are no participles.
NO_PARTICIPLE = re.compile("bed|bleed|breed|embed|exceed|feed|hundred|need|proceed|red|seed|shred|speed|weed")

MOST_PARAMETERS = 12


@dataclass(frozen=True)
class Check:
    """A row of the table: what is counted, the largest number allowed, and each thing counted, in words."""

    title: str
    goal: float
    counted: tuple[str, ...]
    value: float
    unit: str = ""

    @property
    def ok(self) -> bool:
        """Whether the goal is met."""
        return self.value <= self.goal

    def __str__(self) -> str:
        value, goal = (f"{number:,.1f}".removesuffix(".0") + self.unit for number in (self.value, self.goal))
        return f"{self.title:<64} {value:>8}  {'≤ ' + goal:>9}  {'ok' if self.ok else 'over'}"


def count(title: str, goal: int, counted: list[str]) -> Check:
    """A row whose number is how many things were counted."""
    return Check(title, goal, tuple(counted), len(counted))


@cache
def module_files() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(path: Path) -> set[str]:
    """Dotted names that a file imports: at its top, inside functions, and for type checkers alone."""
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write imports out in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_modules(names: set[str]) -> set[str]:
    """The modules of the package that dotted names come from."""
    files = module_files()
    found = set()
    for name in names:
        while name and name not in files:
            name = name.rpartition(".")[0]
        found |= {name} if name else set()
    return found


@cache
def import_graph() -> dict[str, set[str]]:
    """The modules of the package that each module imports."""
    return {name: own_modules(imported_names(path)) - {name} for name, path in module_files().items()}


def find_cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two or more modules that each reach all others (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    cycles = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            start = stack.index(name)
            group = sorted(stack[start:])
            del stack[start:]
            if len(group) > 1:
                cycles.append(group)

    for name in graph:
        if name not in order:
            visit(name)
    return cycles


@cache
def layers() -> tuple[frozenset[str], ...]:
    """The rows of packages in pyproject.toml, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (rows,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return tuple(frozenset(re.findall(r"\w+", row)) for row in rows)


def imports_against_layers() -> list[str]:
    """Imports from a higher row, from another package of the same row, and from what is in no row, such as `optvis`."""
    rows = {package: depth for depth, row in enumerate(layers()) for package in row}
    found = []
    for name, others in import_graph().items():
        for other in sorted(others if name != "optvis" else ()):
            package, used = name.split(".")[1], other.partition(".")[2].partition(".")[0]
            if package != used and (used not in rows or package not in rows or rows[used] <= rows[package]):
                found.append(f"{name} -> {other}")
    return found


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    """Every node of every file of the package, nested functions and classes included."""
    for path in module_files().values():
        for node in ast.walk(parse(path)):
            yield path, node


def place(path: Path, node: ast.FunctionDef | ast.ClassDef) -> str:
    """Where a definition stands, and its name."""
    return f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """All functions and methods without those that Python itself calls, such as `__init__`."""
    found = [(path, node) for path, node in nodes() if isinstance(node, ast.FunctionDef)]
    return [(place(path, node), node) for path, node in found if not re.fullmatch(r"__\w+__", node.name)]


def is_participle(name: str) -> bool:
    """Whether the first word of a function's name is a participle.

    >>> [is_participle(name) for name in ("_resized", "told", "named_sets", "read", "cut")]
    [True, True, True, True, True]
    >>> [is_participle(name) for name in ("seed", "embed", "read_labels", "cut_tiles", "run", "set_seed")]
    [False, False, False, False, False, False]
    """
    word, _, rest = name.strip("_").partition("_")
    if EITHER.fullmatch(word):
        return not rest
    return bool(IRREGULAR.fullmatch(word)) or (word.endswith("ed") and not NO_PARTICIPLE.fullmatch(word))


def parameters(function: ast.FunctionDef) -> list[str]:
    """The names of a function's parameters, without `self` and `cls`."""
    given = function.args
    named = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [one.arg for one in named if one is not None and one.arg not in ("self", "cls")]


def public_functions() -> list[tuple[str, ast.FunctionDef]]:
    """Functions that the `__init__` of a folder imports: only those are public."""
    files = module_files()
    exported = {name for path in files.values() if path.name == "__init__.py" for name in imported_names(path)}
    return [
        (place(path, node), node)
        for module, path in files.items()
        for node in parse(path).body
        if isinstance(node, ast.FunctionDef)
        if f"{module}.{node.name}" in exported or (path.name == "__init__.py" and not node.name.startswith("_"))
    ]


def files_with(pattern: str) -> list[str]:
    """Files of the package in which a pattern occurs."""
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in module_files().values()}
    return [str(path) for path, text in texts.items() if re.search(pattern, text, re.MULTILINE)]


def lines_with(text: str) -> list[str]:
    """Lines of the package that hold a text."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in module_files().values()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if text in line
    ]


def fullest_folder() -> list[str]:
    """The Python files of the folder that has most of them; `objectives`, one file a family, is left out."""
    folders: dict[Path, list[str]] = {}
    for path in module_files().values():
        folders.setdefault(path.parent, []).append(str(path.relative_to(ROOT)))
    del folders[ROOT / "objectives"]
    return max(folders.values(), key=len)


def readme_modules() -> list[str]:
    """The modules of optvis that the README's Python example imports from."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    found = [node for block in blocks for node in ast.walk(ast.parse(block))]
    modules = {str(node.module) for node in found if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    return sorted(modules & set(module_files()))


def participle_share() -> Check:
    """The row of participles: their share of all function names, in percent."""
    names = functions()
    found = [where for where, node in names if is_participle(node.name)]
    return Check("function names that begin with a participle", 2, tuple(found), 100 * len(found) / len(names), " %")


def repeated_classes() -> list[str]:
    """Class names that are defined more than once."""
    times = Counter(node.name for _, node in nodes() if isinstance(node, ast.ClassDef))
    return [name for name, number in sorted(times.items()) if number > 1]


CHECKS: tuple[Callable[[], Check], ...] = (
    lambda: count("files directly in optvis/", 5, sorted(path.name for path in FOLDERS["optvis"].glob("*.py"))),
    lambda: count("files in the fullest folder (objectives exempt)", 14, fullest_folder()),
    lambda: count(
        "file cycles, lazy and TYPE_CHECKING imports included", 0, list(map(" ".join, find_cycles(import_graph())))
    ),
    lambda: count("imports against the layers, lazy and TYPE_CHECKING ones included", 0, imports_against_layers()),
    participle_share,
    lambda: count("class names defined twice", 0, repeated_classes()),
    lambda: count('places that write `"optvis": __version__`', 1, lines_with('"optvis": __version__')),
    lambda: count("files that import tqdm", 1, files_with(r"^\s*(import|from) tqdm\b")),
    lambda: count("files that register forward hooks", 1, files_with(r"\bregister_forward_(pre_)?hook\b")),
    lambda: count(
        f"functions with more than {MOST_PARAMETERS} parameters",
        4,
        [where for where, node in functions() if len(parameters(node)) > MOST_PARAMETERS],
    ),
    lambda: count(
        "public functions whose first argument is `net`",
        0,
        [where for where, node in public_functions() if parameters(node)[:1] == ["net"]],
    ),
    lambda: count("modules that the README's example imports from", 2, readme_modules()),
)


def main(arguments: list[str] | None = None) -> int:
    """Print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print what each row counts, too")
    options = parser.parse_args(arguments)
    rows = [check() for check in CHECKS]
    print(f"{'check':<64} {'today':>8}  {'goal':>9}")
    for row in rows:
        print(row, *(f"    {line}" for line in row.counted if options.list), sep="\n")
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
