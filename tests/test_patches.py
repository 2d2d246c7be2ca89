"""Pasting patches: position, transparency, edges and gradients."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from optvis.patches import flat_patch, paste
from optvis.world.object_patches import OBJECTS, object_patch

RED = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)


def test_a_patch_covers_its_square_alone():
    images = torch.rand(2, 3, 20, 30)
    pasted = paste(RED, images, 6, (0.5, 0.5))
    inside = (..., slice(7, 13), slice(12, 18))
    assert_close(pasted[inside], RED.expand(2, 3, 6, 6))
    outside = torch.ones(20, 30, dtype=torch.bool)
    outside[7:13, 12:18] = False
    assert torch.equal(pasted[..., outside], images[..., outside])


def test_the_image_shows_through_transparent_pixels():
    clear = torch.cat([torch.rand(3, 8, 8), torch.zeros(1, 8, 8)])
    images = torch.rand(3, 16, 16)
    assert_close(paste(clear, images, 8), images)
    half = torch.cat([torch.ones(3, 8, 8), torch.full((1, 8, 8), 0.5)])
    assert_close(paste(half, torch.zeros(3, 16, 16), 8)[:, 4:12, 4:12], torch.full((3, 8, 8), 0.5))


@pytest.mark.parametrize("position", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (-3.0, 0.5), (0.5, 9.0)])
def test_patches_are_cut_off_at_the_edge(position):
    pasted = paste(RED, torch.zeros(3, 10, 10), 4, position)
    assert pasted.shape == (3, 10, 10)
    assert int(pasted[0].sum()) == (4 if max(map(abs, position)) <= 1 else 0)


def test_a_patch_keeps_its_aspect_ratio():
    pasted = paste(RED.expand(3, 10, 20), torch.zeros(3, 40, 40), 16)
    assert pasted[0].any(1).sum() == 8
    assert pasted[0].any(0).sum() == 16


def test_the_images_stay_as_they_are_and_gradients_reach_both():
    images, patch = torch.rand(1, 3, 12, 12, requires_grad=True), torch.rand(4, 5, 5, requires_grad=True)
    before = images.detach().clone()
    paste(patch, images, 6).sum().backward()
    assert torch.equal(images, before)
    assert images.grad is not None
    assert patch.grad is not None
    assert patch.grad.abs().sum() > 0


@pytest.mark.parametrize("name", OBJECTS)
def test_a_control_has_the_same_outline_and_mean_colour(name):
    patch = object_patch(name, 3)
    control = flat_patch(patch)
    assert torch.equal(control[3], patch[3])
    weight = patch[3] / patch[3].sum()
    assert_close((control[:3] * weight).sum((1, 2)), (patch[:3] * weight).sum((1, 2)))
    assert control[:3].flatten(1).std(1).max() < 1e-6
    assert 0.2 < patch[3].mean() < 0.9


def test_objects_have_seeds_and_names():
    assert torch.equal(object_patch("baseball", 1), object_patch("baseball", 1))
    assert not torch.equal(object_patch("locomotive", 1), object_patch("locomotive", 2))
    with pytest.raises(KeyError, match="locomotive, baseball, noodles"):
        object_patch("football")


@pytest.mark.parametrize(
    ("patch", "images", "size", "says"),
    [
        (torch.rand(2, 4, 4), torch.rand(3, 8, 8), 4, "patch has shape"),
        (torch.rand(3, 4, 4), torch.rand(1, 8, 8), 4, "images have shape"),
        (torch.rand(3, 4, 4), torch.rand(3, 8, 8), 0, "size is 0"),
    ],
)
def test_other_shapes_are_refused(patch, images, size, says):
    with pytest.raises(ValueError, match=says):
        paste(patch, images, size)


@pytest.mark.parametrize("cast", ["patch", "images"])
def test_bytes_are_refused(cast):
    given = {"patch": torch.rand(3, 4, 4), "images": torch.rand(3, 8, 8)}
    given[cast] = (given[cast] * 255).byte()
    with pytest.raises(TypeError, match=rf"{cast} (is|are) torch.uint8; expected floats in \[0, 1\]: divide by 255"):
        paste(**given, size=4)
