"""The measures of `tests/checks.py` count what they say, and a skip needs an allowed reason."""

import doctest
import re

import pytest

from . import checks
from .conftest import SkipGate


def test_examples_run():
    assert doctest.testmod(checks).failed == 0


def test_cycles_are_groups_that_reach_each_other():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert sorted(checks.find_cycles(graph)) == [["a", "b", "c"], ["d", "e"]]


def test_imports_for_type_checkers_and_inside_functions_count(tmp_path):
    path = tmp_path / "module.py"
    lines = "if TYPE_CHECKING:", "    from a import b", "def f():", "    import c.d", "    from e.f import g as h"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert checks.imported_names(path) == {"a.b", "c.d", "e.f.g"}


def test_every_room_is_in_one_row_of_the_layers():
    packages = {name.split(".")[1] for name in checks.module_files() if "." in name}
    rows = [package for row in checks.layers() for package in row]
    assert len(rows) == len(set(rows))
    assert packages <= set(rows)


def test_the_tests_that_ci_runs_with_the_oldest_versions_exist():
    run = (checks.ROOT / ".ci" / "run").read_text(encoding="utf-8")
    names = re.findall(r"\btests/\w+\.py", run)
    assert len(names) > 10
    assert [name for name in names if not (checks.ROOT / name).is_file()] == []
    for name, test in re.findall(r"\b(tests/\w+\.py)::(\w+)", run):
        assert f"def {test}(" in (checks.ROOT / name).read_text(encoding="utf-8")


def test_the_table_has_a_row_for_each_check_and_the_exit_code_says_whether_all_hold(capsys):
    code = checks.main([])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["check", "today", "goal"]
    assert len(rows) == len(checks.CHECKS)
    assert all(row.endswith((" ok", " over")) for row in rows)
    assert code == any(row.endswith(" over") for row in rows)


def test_the_tree_meets_its_goals():
    rows = [check() for check in checks.CHECKS]
    assert ["\n".join([str(row), *row.counted]) for row in rows if not row.ok] == []


@pytest.mark.parametrize(
    ("reason", "refused"), [("root may write everywhere", 0), ("root may write everywhere, or not", 1), ("too slow", 1)]
)
def test_a_skip_for_a_reason_that_is_not_listed_is_refused(reason, refused):
    gate = SkipGate()
    place = ("tests/test_x.py", 3, f"Skipped: {reason}")
    report = pytest.TestReport("tests/test_x.py::test_y", ("", 3, ""), {}, "skipped", place, "setup")
    gate.check(report)
    assert len(gate.refused) == refused
