"""What modules import, what `import optvis` costs, and where it can be found."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest

from .checks import FOLDERS, ROOT, module_files, own_modules, parse

FILES = module_files()


def imports(path, *, top_only=False):
    """Dotted names that a file imports when it runs, not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    branches = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    checked = [branch for branch in branches if "TYPE_CHECKING" in ast.unparse(branch.test)]
    skipped = {id(inner) for branch in checked for inner in ast.walk(branch)}
    found = set()
    for node in tree.body if top_only else ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are written out"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def foreign(names):
    """Top-level names of other people's packages."""
    tops = {name.partition(".")[0] for name in names}
    return tops - set(sys.stdlib_module_names) - {"optvis"}


GRAPH = {name: own_modules(imports(path)) - {name} for name, path in FILES.items()}


def test_there_is_something_to_check():
    assert len(FILES) > 25
    assert "optvis.rendering.job" in GRAPH["optvis.rendering.render"]


BORDER = {"optvis.errors", "optvis.arguments"}
MOST_MODULES, MOST_OWN_MODULES = 30, 327  # that `import optvis` brings in after torch


@pytest.mark.parametrize("package", ["optvis.objectives", "optvis.params"])
def test_objectives_and_params_import_only_torch_the_border_and_themselves(package):
    for name, path in FILES.items():
        if name.startswith(package):
            assert foreign(imports(path)) <= {"torch"}, name
            assert all(other.startswith(package) or other in BORDER for other in GRAPH[name]), name


def test_no_module_imports_itself_through_others():
    inner = {name: others - {"optvis"} for name, others in GRAPH.items() if name != "optvis"}
    assert set(TopologicalSorter(inner).static_order()) == set(inner)


def test_nobody_imports_the_command():
    assert [name for name, others in GRAPH.items() if "optvis.cli.main" in others] == ["optvis.cli.entry"]


def test_few_files_draw():
    drawing = {name for name, path in FILES.items() if imports(path) & {"PIL.ImageDraw", "PIL.ImageFont"}}
    assert drawing == {"optvis.viz.sheet", "optvis.viz.labels", "optvis.world.drawing.canvas"}


def test_foreign_packages_are_those_that_are_declared():
    declared = {
        "torch",
        "torchvision",
        "kornia",
        "numpy",
        "matplotlib",
        "sklearn",
        "threadpoolctl",
        "scipy",
        "PIL",
        "safetensors",
        "tqdm",
        "timm",
        "transformers",
        "umap",
        "av",
        "jinja2",
        "ray",
    }
    for name, path in FILES.items():
        assert foreign(imports(path)) <= declared, name


def test_pages_are_templates():
    for name, path in FILES.items():
        text, tree = path.read_text(encoding="utf-8"), parse(path)
        assert "<!doctype" not in text.casefold(), name
        documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        docstrings = {ast.get_docstring(node, clean=False) for node in documented}
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        long = [text for text in strings if isinstance(text, str) and text.count("\n") > 40 and text not in docstrings]
        assert long == [], name


def test_slow_packages_are_imported_where_they_are_used():
    slow = {
        "torchvision",
        "kornia",
        "sklearn",
        "PIL",
        "matplotlib",
        "jinja2",
        "safetensors",
        "tqdm",
        "timm",
        "transformers",
        "umap",
        "ray",
        "av",
    }
    for name, path in FILES.items():
        assert not foreign(imports(path, top_only=True)) & slow, name


def test_every_name_in_all_is_there():
    import importlib

    for name in FILES:
        module = importlib.import_module(name)
        for exported in getattr(module, "__all__", ()):
            assert hasattr(module, exported), f"{name}.{exported}"


def in_python(code, *flags, cwd=None):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_optvis_brings_in_few_modules_beside_its_own(tmp_path):
    """What takes long to import is counted, not timed: after torch, a few small ones of Python and of numpy."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        "import optvis, optvis.objectives, optvis.params\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    brought = in_python(code, cwd=tmp_path).split()
    assert "optvis.rendering.render" in brought
    others = [name for name in brought if name.partition(".")[0] != "optvis"]
    assert {name.partition(".")[0] for name in others} <= sys.stdlib_module_names | {"numpy"}
    assert len(others) <= MOST_MODULES
    assert len(brought) - len(others) <= MOST_OWN_MODULES


@pytest.mark.parametrize("recipe", ["natural", "fast", "plain"])
def test_a_first_rendering_does_not_wait_for_torchs_compiler(tmp_path, recipe):
    code = (
        "import sys, optvis, optvis.objectives\n"
        f"options = dict(steps=2, size=48, recipe={recipe!r}, progress=False)\n"
        "optvis.render(optvis.load('demo'), 'mixed3:4', **options)\n"
        "optvis.render(optvis.load('demo'), optvis.objectives.channel('mixed3', [4, 5]), **options)  # of one seed\n"
        "print('torch._dynamo' in sys.modules)"
    )
    assert in_python(code, cwd=tmp_path).strip() == "False"


def test_a_checkout_imports_whole_from_its_own_root_without_install():
    """-S leaves out what an installation adds to the path; torch's folder is put back by hand."""
    import torch

    site = str(Path(torch.__file__).parent.parent)
    code = (
        f"import sys; sys.path.append({site!r})\n"
        "import optvis, optvis.objectives, optvis.params, optvis.cli.main\n"
        "from optvis.objectives import channel\n"
        "from optvis.params import fft_image\n"
        "print(optvis.__file__, optvis.objectives.__file__, optvis.params.__file__, sep='\\n')"
    )
    places = [Path(line).parent for line in in_python(code, "-S", cwd=ROOT).splitlines()]
    assert places == [ROOT / "optvis", ROOT / "objectives", ROOT / "params"]


def test_a_users_own_params_and_objectives_are_theirs(tmp_path):
    for name in ("params", "objectives"):
        (tmp_path / f"{name}.py").write_text(f"mine = {name!r}\n", encoding="utf-8")
    code = (
        "import optvis, params, objectives, optvis.params\n"
        "print(params.mine, objectives.mine, optvis.params.FFT.__name__)"
    )
    assert in_python(code, cwd=tmp_path).split() == ["params", "objectives", "FFT"]


def test_what_is_installed_is_the_whole_tree():
    installed = {path.as_posix() for path in metadata.files("optvis") if path.parts[0] == "optvis"}
    if not installed:
        pytest.skip("an editable install points at the tree itself")
    tree = {
        (Path(package.replace(".", "/")) / path.relative_to(folder)).as_posix()
        for package, folder in FOLDERS.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in installed if "__pycache__" not in name} == tree


def test_every_folder_with_modules_is_installed():
    with (ROOT / "pyproject.toml").open("rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]
    folders = sorted(name for name, path in FILES.items() if path.name == "__init__.py")
    assert packages == [*folders, "optvis_command"]  # optvis.cli.entry again, to be imported without optvis


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "optvis" / "py.typed").is_file()
