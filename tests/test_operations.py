"""Laws of all public operations: the network is untouched, its mode does not matter, threads may share it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
import torch
from torch import nn

from tests.operations import NOT_OPERATIONS, OPERATIONS, Operation, numbers, tiny

PACKAGES = ("", ".models", ".rendering", ".features", ".attribution", ".circuits", ".patches", ".ablation", ".grids",
         ".atlas", ".microscope")  # fmt: skip
each_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


def public_operations() -> set[str]:
    """Every public function or class that takes a network."""
    found = set()
    for package in PACKAGES:
        module = importlib.import_module(f"optvis{package}")
        for name in module.__all__:
            value = getattr(module, name)
            is_other = inspect.isclass(value) and issubclass(value, BaseException | dict)
            is_usable = inspect.isfunction(value) or (inspect.isclass(value) and not is_other)
            taken = list(inspect.signature(value).parameters)[:1] if is_usable else []
            found |= {name} if {"model", "classifier", "network"}.intersection(taken) else set()
    return found


def test_every_public_operation_is_tried() -> None:
    tried = {name.partition(" ")[0].partition(".")[0] for name in OPERATIONS} | set(NOT_OPERATIONS)
    assert public_operations() - tried == set()


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What each operation gives for a network in eval mode."""
    subject = tiny()
    subject.classifier.network.eval()
    return {name: numbers(operation(subject)) for name, operation in OPERATIONS.items()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_network_in_training_gives_the_same_and_is_untouched(name, expected, untouched) -> None:
    subject = tiny()
    assert subject.classifier.network.training
    with untouched(subject.classifier.network):
        result = numbers(OPERATIONS[name](subject))
    assert without_modes(result) == without_modes(expected[name])


def without_modes(value: Any) -> Any:
    """A result without the training flags of a network that it holds."""
    if isinstance(value, dict):
        return {key: without_modes(part) for key, part in value.items() if key != "training"}
    return [without_modes(part) for part in value] if isinstance(value, list) else value


def run_together(jobs: list[Callable[[], None]]) -> None:
    """Run each job in a thread of its own, all at once; raise the first error."""
    barrier, errors = Barrier(len(jobs)), list[BaseException]()

    def work(job: Callable[[], None]) -> None:
        try:
            barrier.wait()
            job()
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_that_share_a_network_get_what_they_would_get_alone(expected, untouched) -> None:
    """Each thread tries all operations, in an order of its own, so that every one meets others."""
    subject, names, count = tiny(), list(OPERATIONS), 3
    differing: list[str] = []

    def job(start: int) -> Callable[[], None]:
        def run() -> None:
            for name in names[start:] + names[:start]:
                if without_modes(numbers(OPERATIONS[name](subject))) != without_modes(expected[name]):
                    differing.append(name)

        return run

    with untouched(subject.classifier.network):
        run_together([job(index * len(names) // count) for index in range(count)])
    assert differing == []


@pytest.mark.parametrize("name", ["activations", "attribute by midpoint", "blinded", "bake", "find_units", "render"])
def test_a_forward_pass_of_ones_own_beside_an_operation_is_right(name) -> None:
    """It sees none of the operation's hooks and replacements; the network is in eval mode all the time."""
    subject = tiny()
    network = subject.classifier.network.eval()
    inputs = subject.classifier.preprocess(subject.images)
    with torch.no_grad():
        answer = network(inputs)
    wrong: list[Any] = []
    is_over = False

    def operate() -> None:
        nonlocal is_over
        try:
            for _ in range(3):
                OPERATIONS[name](subject)
        finally:
            is_over = True

    def look() -> None:
        while not is_over:
            with torch.no_grad():
                wrong.extend([1] if not torch.equal(network(inputs), answer) else [])

    run_together([operate, look])
    assert not wrong


def test_baking_leaves_other_networks_alone() -> None:
    """Whatever traces a network, no class of torch is changed for others."""
    seen = set()

    class Watch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Identity()  # with a module inside, it is traced through

        def forward(self, x):
            seen.add((nn.Module.__call__, nn.Module.__getattr__))
            return self.inner(x)

    subject = tiny()
    subject.classifier.network.drop1 = Watch()
    before = nn.Module.__call__, nn.Module.__getattr__
    OPERATIONS["bake"](subject)
    assert seen == {before}


@each_operation
def test_two_networks_in_two_threads_do_not_meet(operation: Operation) -> None:
    first, second = tiny(), tiny()
    alone = numbers(operation(first))
    results: list[Any] = []
    run_together([lambda s=s: results.append(numbers(operation(s))) for s in (first, second)])
    assert results == [alone, alone]
