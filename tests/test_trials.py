"""Trials of patches: compared with loops; controls change nothing, the shortcuts of the demo network do."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close

from optvis import Classifier
from optvis.cli import main as cli
from optvis.patches import (
    PatchTrial,
    cut_patch,
    estimate_rate,
    flat_patch,
    load_patch,
    paste,
    shuffle_patch,
    try_patch,
)
from optvis.world import object_patch, scene

POSITIONS = {"centre": (0.5, 0.5), "corner": (0.2, 0.9)}


@pytest.fixture(scope="module")
def whales():
    return torch.stack([scene("grey whale", 2_000_000 + place).image for place in range(10)])


@pytest.fixture
def reds():
    """A network that predicts red or blue, whichever is more; and bluish images, two of them red."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2, bias=False))
    net[2].weight.data = 20 * torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])
    images = torch.rand(70, 3, 12, 12, generator=torch.Generator().manual_seed(1)) * 0.5
    images[:, 2] += 0.3
    images[[3, 66], 0] += 0.5
    return Classifier(net, None, 12, labels=("red", "blue")), images


def test_predictions_are_those_of_loops(reds):
    net, images = reds
    patches = [torch.rand(4, 5, 6), torch.rand(3, 4, 4)]
    found = try_patch(net, patches, images, "blue", "red", sizes=[1, 5, 40], positions=POSITIONS)
    with torch.no_grad():
        kept = [image for image in images if int(net.network(image[None]).argmax()) == 1]
        assert len(found) == len(kept) == 68
        for size_row, size in enumerate([1, 5, 40]):
            for row_of_position, position in enumerate(POSITIONS.values()):
                for row, image in enumerate(kept):
                    scores = net.network(paste(patches[row % 2], image, size, position)[None])[0].double()
                    both = scores.softmax(0)[[1, 0]]
                    prediction = found.predictions[0, size_row, row_of_position, row].double()
                    assert_close(prediction[:2], both, rtol=1e-5, atol=1e-6)
                    assert prediction[2:].tolist() == [float(scores.argmax() == 1), float(scores.argmax() == 0)]
    assert found.recipe["images_left_out"] == 2
    assert_close(found.confidence("flat")[1, 0], found.predictions[found.names.index("flat"), 1, 0, :, :2].mean(0))


def test_size_and_position_are_selected_on_other_images_than_the_test_images(reds):
    net, images = reds
    found = try_patch(net, torch.rand(4, 5, 5), images, "blue", "red", sizes=[2, 6], positions=POSITIONS)
    assert found.test_start == 17
    mean = found.predictions[..., :17, 1].double().mean(3).numpy()
    gain = mean[0] - mean[1:].max(0)
    size, position = np.unravel_index(gain.argmax(), gain.shape)
    assert found.best == ([2, 6][size], list(POSITIONS)[position])
    assert found.flip_rate().images == 51
    assert found.flip_rate().share == found.predictions[0, size, position, 17:, 3].mean()


@pytest.mark.parametrize(
    ("source", "target", "name", "size"),
    [
        ("grey whale", "white shark", "baseball", 32),
        ("snorkeler", "scuba diver", "locomotive", 48),
        ("frying pan", "wok", "noodles", 58),
    ],
)
def test_objects_flip_predictions_and_flat_patches_and_pieces_do_not(demo, source, target, name, size):
    images = torch.stack([scene(source, 2_000_000 + place).image for place in range(24)])
    positions = {"centre": (0.5, 0.5), "bottom left": (0.75, 0.25)}
    found = try_patch(demo, object_patch(name), images, source, target, sizes=[size], positions=positions)
    assert found.flip_rate().share >= 0.8
    assert found.flip_rate("flat").share == found.flip_rate("piece").share == 0


def test_controls_have_the_outline_and_other_content():
    patch = object_patch("baseball", 1)
    mixed = shuffle_patch(patch)
    assert torch.equal(mixed[3], patch[3])
    assert not torch.equal(shuffle_patch(patch, 1), mixed)
    weight = patch[3] / patch[3].sum()
    assert_close((mixed[:3] * weight).sum((1, 2)), (patch[:3] * weight).sum((1, 2)), atol=0.05, rtol=0)
    even = flat_patch(patch)[:3]
    assert_close(shuffle_patch(torch.cat([even, patch[3:]]))[:3], even, atol=1e-4, rtol=0)
    one = torch.tensor([0.2, 0.4, 0.6, 1.0]).view(4, 1, 1)
    assert_close(shuffle_patch(one), one)


def test_a_file_keeps_its_alpha(tmp_path):
    levels = (torch.rand(9, 7, 4) * 255).byte()
    Image.fromarray(levels.numpy(), "RGBA").save(tmp_path / "a.png")
    assert_close(load_patch(tmp_path / "a.png"), levels.permute(2, 0, 1).float() / 255)
    Image.fromarray(levels[..., :3].contiguous().numpy()).save(tmp_path / "b.png")
    assert bool((load_patch(tmp_path / "b.png")[3] == 1).all())
    with pytest.raises(FileNotFoundError):
        load_patch(tmp_path / "none.png")


def test_a_cut_patch_has_a_soft_oval_outline():
    image = torch.rand(3, 30, 40)
    patch = cut_patch(image, (5, 25, 10, 40), softness=0.5)
    assert torch.equal(patch[:3], image[:, 5:25, 10:40])
    rim = torch.cat([patch[3, 0], patch[3, -1], patch[3, :, 0], patch[3, :, -1]])
    assert rim.max() < 0.15
    assert patch[3, 9:11, 14:16].min() == 1
    assert set(cut_patch(image, (5, 25, 10, 40), softness=0.0)[3].unique().tolist()) == {0.0, 1.0}
    for box in ((5, 5, 0, 4), (-1, 5, 0, 4), (0, 31, 0, 4)):
        with pytest.raises(ValueError, match="of an image of 30 × 40"):
            cut_patch(image, box)


def test_rates_have_wilsons_interval():
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E, table I, method 3
    for hits, images, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        rate = estimate_rate(hits, images)
        assert (round(rate.low, 4), round(rate.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"patch": torch.full((4, 3, 3), torch.nan)}, ValueError, "patch has NaN"),
        ({"patch": torch.rand(2, 3, 3)}, ValueError, r"patch has shape \(2, 3, 3\)"),
        ({"patch": torch.zeros(4, 3, 3)}, ValueError, "covers nothing"),
        ({"patch": []}, ValueError, "no patches"),
        ({"patch": torch.zeros(3, 3, 3).byte()}, TypeError, "divide by 255"),
        ({"target": "orca"}, KeyError, "no label 'orca'"),
        ({"target": "grey whale"}, ValueError, "both classes are 'grey whale'"),
        ({"source": "owl"}, ValueError, "0 of 10 images are predicted as 'owl'"),
        ({"target": 16}, IndexError, "class is 16"),
        ({"target": -1}, IndexError, "target is -1"),
        ({"sizes": [8, 4]}, ValueError, "expected rising numbers"),
        ({"sizes": [0]}, ValueError, "expected rising numbers"),
        ({"positions": {}}, ValueError, "no positions"),
        ({"selection_share": 1.5}, ValueError, "selection_share is 1.5"),
        ({"controls": {"patch": torch.rand(3, 2, 2)}}, ValueError, "a control is named 'patch'"),
    ],
    ids=["nan", "shape", "clear", "none", "bytes", "unknown", "same", "other", "index", "negative", "falling", "zero",
         "nowhere", "choosing", "name"],
)  # fmt: skip
def test_bad_input_is_refused(demo, whales, options, error, says):
    arguments = {"patch": object_patch("baseball"), "source": "grey whale", "target": "white shark"} | options
    with pytest.raises(error, match=says):
        try_patch(demo, images=whales, **arguments)


def test_controls_of_the_user_are_pasted_by_name(demo, whales, tmp_path):
    found = try_patch(
        demo, object_patch("baseball"), whales, "grey whale", "white shark", sizes=[24, 32],
        positions={"low": (0.75, 0.25)}, controls={"noodles": object_patch("noodles")},
    )  # fmt: skip
    assert found.names == ("patch", "noodles", "flat", "shuffled", "piece")
    assert "noodles   " in found.table()
    with Image.open(found.save(tmp_path / "a.png")) as image:
        recipe = json.loads(image.text["optvis"])
    assert found.to_dict()["best"]["flip_rates"]["patch"]["share"] == found.flip_rate().share
    assert recipe["selection_images"] == found.test_start == 2
    again = PatchTrial.load(tmp_path / "a.png")
    for name in ("source", "target", "names", "sizes", "positions", "test_start", "recipe", "best"):
        assert getattr(again, name) == getattr(found, name)
    for name in ("clean_confidence", "predictions", "images"):
        assert torch.equal(getattr(again, name), getattr(found, name))
    assert {name: len(some) for name, some in again.patches.items()} == {
        name: len(some) for name, some in found.patches.items()
    }
    assert again.image().tobytes() == found.image().tobytes()
    assert again.table() == found.table()
    with pytest.raises(KeyError, match="no patch 'none'"):
        found.flip_rate("none")
    with pytest.raises(KeyError, match="was not tried"):
        found.flip_rate(size=7)


def test_the_network_is_untouched(network, untouched):
    net = Classifier(network, None, 20, labels=tuple("abcde"))
    images = torch.rand(6, 3, 20, 20)
    called = int(network.eval()(images).mean(0).argmax())
    network.train()
    with untouched(network):
        try_patch(net, torch.rand(3, 4, 4), images, called, (called + 1) % 5, sizes=[4], positions=POSITIONS)
    network.fuse.arm(KeyboardInterrupt(), at=4)
    with untouched(network), pytest.raises(KeyboardInterrupt):
        try_patch(net, torch.rand(3, 4, 4), images, called, (called + 1) % 5, sizes=[4], positions=POSITIONS)


def test_the_command_takes_an_object_or_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["--source", "grey whale", "--target", "white shark", "--scenes", "4", "--out", "new"]
    assert cli.main(["patch", "demo", "baseball", *arguments]) == 0
    levels = (object_patch("baseball").permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(levels, "RGBA").save("ball.png")
    assert cli.main(["patch", "demo", "ball.png", *arguments]) == 0
    tables = capsys.readouterr().out.split("new/")
    assert [path.name for path in sorted((tmp_path / "new").iterdir())] == [
        "ball.png",
        "ball.safetensors",
        "baseball.png",
        "baseball.safetensors",
    ]
    assert tables[0] == tables[1].partition("\n")[2]
    assert "grey whale predicted as white shark, with" in tables[0]


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (nn.Conv2d(3, 2, 3), "expected a score for each class"),
        (nn.Sequential(nn.Flatten(), nn.LogSigmoid()), "NaN or inf"),
    ],
    ids=["a map", "not finite"],
)
def test_a_network_that_gives_no_scores_is_refused(network, says):
    images = torch.rand(4, 3, 4, 4)
    classifier = Classifier(network, lambda x: x - torch.inf, 4)
    with pytest.raises(ValueError, match=says):
        try_patch(classifier, torch.rand(3, 2, 2), images, 0, 1, sizes=[2])
