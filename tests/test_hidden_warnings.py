"""Warnings of other libraries are hidden without a trace, also where several threads do so at once."""

from __future__ import annotations

import copy
import sys
import threading
import warnings

import pytest
import torch
from PIL import Image

from optvis import load_image
from optvis.atlas import lay_out
from optvis.features import group
from optvis.interrupts import ignore_warnings
from tests.operations import OPERATIONS, tiny

THREADS = 6


def at_once(call, times=4):
    """Call in several threads at once, several times each; they take turns after few instructions."""
    barrier, errors = threading.Barrier(THREADS), []

    def work():
        barrier.wait()
        try:
            for _ in range(times):
                call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors, errors


def many_blocks():
    for _ in range(200):
        with ignore_warnings(FutureWarning), ignore_warnings(RuntimeWarning, "mean of"):
            warnings.warn("this will change", FutureWarning, stacklevel=1)


def copies_of_filters():
    for _ in range(50):
        with ignore_warnings(FutureWarning), warnings.catch_warnings(), ignore_warnings(UserWarning):
            warnings.simplefilter("error")
            with ignore_warnings():
                warnings.warn("hidden", stacklevel=1)


ACTIVATIONS = torch.rand(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
VECTORS = torch.rand(14, 5, generator=torch.Generator().manual_seed(0))
NETWORK = tiny()  # built in threads, it would draw random numbers while another one looks whether its network does
READERS = {
    "blocks": many_blocks,
    "groups": lambda: group(ACTIVATIONS, 3, layer="conv1"),
    "a layout": lambda: lay_out(VECTORS[:8]),
    "attribution of samples": lambda: OPERATIONS["sample_activations"](copy.deepcopy(NETWORK)),
    "images": lambda: load_image(Image.new("P", (8, 8))),
}


@pytest.mark.parametrize("name", READERS)
def test_filters_of_warnings_are_as_before_after_several_threads(name):
    READERS[name]()  # imports, which may add filters of their own
    before = list(warnings.filters)
    at_once(READERS[name], 1 if name == "attribution of samples" else 4)
    assert list(warnings.filters) == before


def test_a_copy_of_the_filters_inside_is_no_trouble():
    before = list(warnings.filters)
    copies_of_filters()
    assert list(warnings.filters) == before


def test_only_the_category_and_the_message_are_hidden():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with ignore_warnings(FutureWarning), ignore_warnings(message="hidden"):
            warnings.warn("seen", UserWarning, stacklevel=1)
            warnings.warn("hidden", UserWarning, stacklevel=1)
            warnings.warn("that too", FutureWarning, stacklevel=1)
    assert [str(each.message) for each in shown] == ["seen"]


def test_a_filter_of_the_user_that_is_the_same_stays():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        before = list(warnings.filters)
        with ignore_warnings(FutureWarning):
            pass
        assert list(warnings.filters) == before
