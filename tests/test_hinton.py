"""Hinton diagrams: areas in proportion to numbers, colours by sign; diagrams of weights and activations."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from optvis import activations
from optvis.circuits.hinton import hinton_of_activations, hinton_of_expanded_weights, hinton_of_weights
from optvis.circuits.weights import expanded_weights
from optvis.cli import main as cli
from optvis.viz.hinton_diagram import Hinton, draw_squares, hinton
from optvis.viz.sheet import NEGATIVE_COLOR, POSITIVE_COLOR, to_pil_image
from optvis.viz.tiles import GROUND
from optvis.world import LABELS, scene


def areas(pixels, cell, colour):
    """How many pixels of a colour each cell holds, (R, C), measured on the image."""
    ink = np.array(colour) / 255
    channel = int(np.argmax(np.abs(GROUND - ink)))
    cover = (GROUND - pixels[channel]) / (GROUND - ink[channel])
    height, width = (side // cell for side in cover.shape)
    return cover.reshape(height, cell, width, cell).sum((1, 3))


@pytest.mark.parametrize("cell", [2, 5, 16, 24])
@pytest.mark.parametrize(("sign", "colour"), [(1, POSITIVE_COLOR), (-1, NEGATIVE_COLOR)], ids=["positive", "negative"])
def test_areas_are_in_proportion_and_colours_are_signs(cell, sign, colour):
    sizes = torch.rand(1, 6, 7)
    pixels = draw_squares(sign * sizes, float(sizes.max()), cell)[0].double().numpy()
    expected = sizes[0].numpy() / float(sizes.max()) * (cell - 1) ** 2
    np.testing.assert_allclose(areas(pixels, cell, colour), expected, atol=1e-3 * cell**2)


def test_the_image_shows_the_squares():
    made = hinton([[1.0, -0.25], [0.0, 0.5]])
    drawn = np.asarray(made.image(cell=21))
    for colour, expected in ((POSITIVE_COLOR, [[400, 0], [0, 200]]), (NEGATIVE_COLOR, [[0, 100], [0, 0]])):
        hit = (np.abs(drawn.astype(int) - np.array(colour)) <= 1).all(2)[6:-6, 6:-6]
        found = hit.reshape(2, 21, 2, 21).sum((1, 3))
        assert np.all(np.abs(found - expected) <= 4 * np.sqrt(np.array(expected)))  # soft edges are other colours
        assert np.all((found > 0) == (np.array(expected) > 0))


def test_squares_lie_in_the_middle_of_their_cells():
    pixels = draw_squares(torch.tensor([[[0.3]]]), 1.0, 15)
    assert_close(pixels, pixels.flip(2))
    assert_close(pixels, pixels.flip(3))


def test_panels_share_one_extent():
    values = torch.tensor([[[1.0]], [[0.25]]])
    made = hinton(values)
    assert made.extent == 1.0
    assert_close(draw_squares(made.values, made.extent, 9)[1], draw_squares(values[1:], 1.0, 9)[0])
    assert torch.equal(draw_squares(values, 0.5, 9)[0], draw_squares(values / 2, 0.5, 9)[0])


@pytest.mark.parametrize("shape", [(1, 1), (3,), (4, 5), (2, 3, 3), (2, 5, 3, 3)], ids=str)
def test_zeros_and_every_number_of_axes_can_be_drawn(shape):
    drawn = np.asarray(hinton(torch.zeros(shape)).image())
    assert {tuple(pixel) for pixel in drawn.reshape(-1, 3)} == {(240, 240, 240), (255, 255, 255)}


def test_four_axes_are_rows_of_panels():
    made = hinton(torch.rand(2, 5, 3, 3))
    assert (len(made), made.panels_per_row) == (10, 5)
    assert made.image(cell=8).size == (5 * 24 + 6 * 6 + 12, 2 * 24 + 3 * 6 + 12)
    whole = hinton(np.arange(6).reshape(2, 3))
    assert_close(whole.values, torch.arange(6.0).view(1, 2, 3))


def test_it_is_saved_with_its_recipe(tmp_path):
    made = hinton(torch.rand(3, 4), row_labels="abc", column_labels="wxyz", recipe={"what": "a try"})
    path = made.save(tmp_path / "new" / "a.png")
    with Image.open(path) as image:
        assert json.loads(image.text["optvis"]) == {"what": "a try"}
        assert np.array_equal(np.asarray(image), np.asarray(made.image()))
    assert made._repr_png_().startswith(b"\x89PNG")
    again = Hinton.load(path)
    for name in ("extent", "labels", "row_labels", "column_labels", "panels_per_row", "recipe"):
        assert getattr(again, name) == getattr(made, name)
    assert torch.equal(again.values, made.values)
    with pytest.raises(ValueError, match=r"ending in \.png"):
        made.save(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ([[1.0, float("nan")]], {}, "1 of 2 values are NaN or infinite"),
        ([[float("inf")]], {}, "1 of 1 values"),
        (torch.rand(2, 2, 2, 2, 2), {}, r"values are \(2, 2, 2, 2, 2\); expected"),
        (torch.rand(0, 3), {}, r"values are \(0, 3\)"),
        (1.0, {}, r"values are \(\)"),
        ([[1.0]], {"extent": 0.0}, "extent is 0.0; expected a positive number"),
        (torch.rand(3, 2, 2), {"labels": ["a"]}, "1 labels for 3"),
        (torch.rand(2, 2), {"row_labels": ["a"]}, "1 row_labels for 2"),
        (torch.rand(2, 2), {"column_labels": ["a"]}, "1 column_labels for 2"),
        (torch.rand(2, 2, 2), {"column_labels": ["a", "b"]}, "column_labels belong to a single panel"),
        (torch.rand(3, 2, 2), {"icons": torch.rand(2, 3, 4, 4)}, "2 icons for 3"),
    ],
    ids=["nan", "inf", "axes", "empty", "number", "extent", "labels", "rows", "columns", "several", "icons"],
)
def test_values_and_options_that_do_not_fit_are_refused(values, options, says):
    with pytest.raises(ValueError, match=says):
        hinton(values, **options)


def test_by_default_panels_stand_alike_in_the_image_and_the_figure():
    made = hinton(torch.rand(3, 4, 4), row_labels=["all in one row"])
    assert made.image().width > 3 * made.image().height
    assert made.figure().axes[0].get_xlim()[1] > 2.5 * made.figure().axes[0].get_ylim()[0]
    with pytest.raises(ValueError, match="2 row_labels for 1"):
        hinton(torch.rand(3, 4, 4), row_labels=["a", "b"])
    icons = hinton(torch.rand(4, 4, 4), row_icons=torch.rand(2, 3, 8, 8)).image()
    assert icons.width > icons.height


def test_complex_numbers_and_huge_tables_are_refused():
    with pytest.raises(TypeError, match="complex64; expected real numbers"):
        hinton(torch.zeros(2, 2, dtype=torch.complex64))
    with pytest.raises(ValueError, match="5000 × 5000 numbers are too many for an image at 4 pixels"):
        hinton(torch.zeros(5000, 5000)).image()
    with pytest.raises(ValueError, match="cell is 1"):
        hinton([[1.0]]).image(cell=1)


def test_a_linear_layer_is_a_table_of_classes(demo):
    made = hinton_of_weights(demo, "head", top=12)
    columns = [int(text) for text in made.column_labels]
    assert made.row_labels == LABELS
    assert_close(made.values[0], demo.network.head.weight.detach()[:, columns])
    norms = demo.network.head.weight.detach().norm(dim=0)
    assert set(columns) == set(norms.topk(12).indices.tolist())


def test_a_convolution_is_a_row_of_panels_a_channel(demo):
    made = hinton_of_weights(demo, "mixed3.0", [3, 17], top=4)
    kernel = demo.network.mixed3[0].weight.detach()
    assert (made.row_labels, made.panels_per_row) == (("mixed3.0 3", "mixed3.0 17"), 4)
    for place, text in enumerate(made.labels):
        assert_close(made.values[place], kernel[(3, 17)[place // 4], int(text)])


def test_expanded_weights_come_with_icons(demo):
    made = hinton_of_expanded_weights(demo, "mixed3", "mixed4", [17, 40], top=3, icons=24, steps=2, progress=False)
    found = expanded_weights(demo, "mixed3", "mixed4", [17, 40])
    for place, text in enumerate(made.labels):
        assert_close(made.values[place], found[place // 3, int(text.removeprefix("mixed3 "))])
    assert (made.icons.shape, made.row_icons.shape) == ((6, 3, 24, 24), (2, 3, 24, 24))
    assert made.row_labels == ("mixed4 17", "mixed4 40")
    assert made.image().width > hinton(made.values, panels_per_row=3).image().width


def test_a_table_says_that_it_has_no_icons(demo):
    with pytest.warns(UserWarning, match="from 'flat' to 'head' are one table, which has no icons"):
        made = hinton_of_expanded_weights(demo, "flat", "head", [1, 2], top=3, icons=24, progress=False)
    assert made.icons is None


def test_images_rank_channels_by_their_activations(demo):
    owl = scene("owl", seed=2).image
    made = hinton_of_expanded_weights(demo, "mixed3", "mixed4", 17, top=5, images=owl)
    a = activations(demo, owl, ["mixed3"])["mixed3"][0].double().numpy()
    kernel = expanded_weights(demo, "mixed3", "mixed4", 17)[0].double().numpy()
    strength = np.sqrt((kernel**2).sum((1, 2))) * np.sqrt((a**2).mean((1, 2)))
    assert made.labels == tuple(f"mixed3 {i}" for i in np.argsort(-strength)[:5])
    assert made.labels != hinton_of_expanded_weights(demo, "mixed3", "mixed4", 17, top=5).labels


def test_activations_are_maps_or_a_table(demo):
    owl = scene("owl", seed=2).image
    a = activations(demo, owl, ["mixed5", "head"])
    made = hinton_of_activations(demo, owl, "mixed5", top=6)
    best = a["mixed5"][0].flatten(1).norm(dim=1).topk(6).indices
    assert made.labels == tuple(f"mixed5 {i}" for i in best.tolist())
    assert_close(made.values, a["mixed5"][0, best])
    chosen = hinton_of_activations(demo, owl, "head", [7, 0])
    assert chosen.row_labels == ("owl", "container ship")
    assert_close(chosen.values[0, :, 0], a["head"][0, [7, 0]])
    with pytest.raises(ValueError, match="2 images; give one"):
        hinton_of_activations(demo, torch.rand(2, 3, 96, 96), "mixed5")


def test_the_network_is_untouched(demo, untouched):
    with untouched(demo.network):
        hinton_of_weights(demo, "head")
        hinton_of_expanded_weights(demo, "mixed4", "mixed5", 3, icons=16, steps=1, progress=False)
        hinton_of_activations(demo, scene("owl", seed=2).image, "mixed4")


@pytest.mark.parametrize(
    ("arguments", "name", "method"),
    [
        ("mixed4 --from mixed3 --channels 17 --top 2 --icons 0", "mixed3-to-mixed4.png", "hinton_of_expanded_weights"),
        ("mixed3.0 --channels 1-2", "mixed3.0-weights.png", "hinton_of_weights"),
        ("mixed5 --image owl.png", "owl-mixed5.png", "hinton_of_activations"),
        (
            "mixed4 --from mixed3 --channels 17 --icons 0 --image owl.png",
            "mixed3-to-mixed4.png",
            "hinton_of_expanded_weights",
        ),
    ],
    ids=["expanded", "weights", "activations", "expanded, ranked by an image"],
)
def test_the_command_writes_one_image(tmp_path, monkeypatch, capsys, arguments, name, method):
    monkeypatch.chdir(tmp_path)
    to_pil_image(scene("owl", seed=2).image).save("owl.png")
    assert cli.main(["hinton", "demo", *arguments.split(), "--out", "some/where"]) == 0
    assert capsys.readouterr().out == f"some/where/{name}\n"
    tensors = name.replace(".png", ".safetensors")
    assert {path.name for path in (tmp_path / "some" / "where").iterdir()} == {name, tensors}
    assert Hinton.load(tmp_path / "some" / "where" / tensors).recipe["method"] == method
    with Image.open(tmp_path / "some" / "where" / name) as image:
        assert json.loads(image.text["optvis"])["method"] == method


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["hinton", "demo", "mixed4", "--from", "mixed3"]) == 2
    assert capsys.readouterr().err == "optvis: error: --from needs --channels: which of 'mixed4', like 3,17\n"
    assert list(tmp_path.iterdir()) == []
