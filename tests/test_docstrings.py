"""Every example in a public docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import optvis
import optvis.objectives
import optvis.params


def modules_of(package):
    """The package itself, and all modules below it."""
    folders = package.__path__[:1]  # in a checkout optvis has a second one: the root
    return [package.__name__, *(module.name for module in pkgutil.walk_packages(folders, f"{package.__name__}."))]


MODULES = sorted({name for package in (optvis, optvis.objectives, optvis.params) for name in modules_of(package)})


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) > 40
