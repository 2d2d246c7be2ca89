"""Every example in a public docstring runs and prints what it says."""

import doctest
import importlib
import inspect
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


class Finder(doctest.DocTestFinder):
    """Finds examples in the file that defines a function, and not again where a package exports its checked wrapper."""

    def _from_module(self, module, found):
        return super()._from_module(module, inspect.unwrap(found) if inspect.isfunction(found) else found)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for example in Finder().find(module, module.__name__):
        runner.run(example)
    assert runner.summarize().failed == 0


def test_there_are_examples():
    finder = Finder(exclude_empty=True)
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(examples) > 40
