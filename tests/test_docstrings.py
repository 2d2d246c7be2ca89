"""Every example in a public docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import optvis
import optvis.ablation
import optvis.atlas
import optvis.commands
import optvis.demo
import optvis.microscope
import optvis.objectives
import optvis.pages
import optvis.params
import optvis.transforms

PACKAGES = (
    optvis,
    optvis.ablation,
    optvis.atlas,
    optvis.commands,
    optvis.demo,
    optvis.microscope,
    optvis.objectives,
    optvis.pages,
    optvis.params,
    optvis.transforms,
)


def modules_of(package):
    """The package itself, and its modules."""
    inner = (f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__[:1]))
    return [package.__name__, *inner]


MODULES = sorted({name for package in PACKAGES for name in modules_of(package)})


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) > 40
