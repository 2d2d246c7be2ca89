"""Constructors check the axes of their tensors, whatever they are called from: one sentence that names the field."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import fields, is_dataclass

import pytest
import torch
from torch import Tensor

import optvis
from optvis.arguments import TensorFields
from optvis.atlas.cell import Cell
from optvis.atlas.exemplars import Exemplars
from optvis.atlas.levels import Level
from optvis.atlas.samples import Samples
from optvis.features import ChannelImages, Groups
from optvis.microscope import ChannelRenderings, Effects
from optvis.models import Classification
from optvis.viz import Hinton

WHOLE = torch.zeros(2).long()
RIGHT = {
    Groups: {"layer": "conv1", "maps": torch.rand(1, 2, 3, 3), "directions": torch.rand(2, 8), "decomposition": "NMF"},
    Cell: {"size": 2, "position": (0, 1), "count": 3, "vector": torch.rand(4), "attribution": torch.rand(2),
           "labels": ("a", "b"), "icon": torch.rand(3, 8, 8), "rows": WHOLE, "patches": torch.rand(2, 3, 4, 4),
           "names": ("x", "y")},
    Level: {"size": 2, "cells": torch.zeros(2, 2).long(), "counts": WHOLE + 1, "vectors": torch.rand(2, 4),
            "attribution": torch.rand(2, 0), "nearest": torch.zeros(2, 3).long(), "icons": torch.rand(2, 3, 8, 8),
            "present": torch.ones(2).bool(), "scores": torch.rand(2)},
    Samples: {"layer": "conv1", "vectors": torch.rand(2, 4), "attribution": torch.rand(2, 0),
              "positions": torch.zeros(2, 2).long(), "grid": (1, 1), "indices": WHOLE, "names": ("a",), "labels": (),
              "recipe": {}},
    Exemplars: {"rows": WHOLE, "patches": torch.rand(2, 3, 4, 4)},
    ChannelImages: {"values": torch.rand(3, 2), "indices": torch.zeros(3, 2).long(),
                     "positions": torch.zeros(3, 2, 2).long()},
    Effects: {"attribution": torch.rand(2, 5), "before": torch.rand(2, 5), "after": torch.rand(2, 5)},
    ChannelRenderings: {"positive": torch.rand(2, 3, 8, 8), "negative": torch.rand(2, 3, 8, 8),
                        "diverse": torch.rand(2, 4, 3, 8, 8), "scores": torch.rand(2)},
    Classification: {"labels": (("a",), ("b",)), "indices": torch.zeros(2, 1).long(), "confidences": torch.rand(2, 1)},
    Hinton: {"values": torch.rand(1, 2, 3), "extent": 1.0},
}  # fmt: skip
CASES = [(cls, name) for cls, values in RIGHT.items() for name, value in values.items() if isinstance(value, Tensor)]


@pytest.mark.parametrize("cls", RIGHT)
def test_what_fits_is_taken(cls):
    cls(**RIGHT[cls])


@pytest.mark.parametrize(("cls", "name"), CASES)
def test_other_axes_and_dtypes_are_refused(cls, name):
    right = RIGHT[cls][name]
    for wrong in (right.new_zeros(()), right.to(torch.complex64)):
        with pytest.raises(ValueError, match=r"^\w+ (has shape|is complex64)"):
            cls(**RIGHT[cls] | {name: wrong})


def test_each_dataclass_with_a_tensor_that_users_can_build_checks_it():
    packages = [importlib.import_module(f"optvis.{package.name}") for package in pkgutil.iter_modules(optvis.__path__)]
    public = [getattr(package, name) for package in packages for name in getattr(package, "__all__", ())]
    classes = {value for value in public if inspect.isclass(value) and is_dataclass(value)}
    unchecked = [
        cls.__name__
        for cls in classes
        if not issubclass(cls, TensorFields) and any(field.type in ("Tensor", "Tensor | None") for field in fields(cls))
    ]
    # Units check what they are made of themselves; a scene, a step and a term are handed out, and read by nothing.
    assert sorted(unchecked) == ["Directions", "Projection", "Scene", "SelectionTask", "Step", "Term"]
