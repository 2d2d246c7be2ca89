"""The measures of tests/bench/pictures.py: pixels, spectra, distances of features, judges, sheets."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from scipy.linalg import sqrtm
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, load
from optvis.params import one_over_f

from .bench.picture_quality import measures, networks, precisions, sheets, table, time_to_quality
from .bench.picture_quality.recipes import RECIPES, Recipe, Targets, rendered
from .training.judge import JUDGES

SIDE = 96


def noise(exponent: float, side: int = 128, count: int = 8) -> torch.Tensor:
    """Pictures whose amplitude falls with frequency as f^-exponent."""
    white = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))
    shaped = torch.fft.irfft2(torch.fft.rfft2(white) * one_over_f(side, exponent), (side, side))
    return (0.5 + 0.1 * shaped / shaped.std()).clamp(0, 1)


def test_saturated_numbers_are_counted_from_one_step_of_eight_bits_on():
    images = torch.full((2, 3, 4, 4), 0.5)
    images[0, :, 0] = 0.0
    images[0, :, 1] = 255 / 255
    images[1, 0, 0, 0] = 1 / 255
    images[1, 0, 0, 1] = 254 / 255
    images[1, 0, 0, 2] = 2 / 255
    images[1, 0, 0, 3] = 253 / 255
    assert_close(measures.saturated_share(images), torch.tensor([0.5, 2 / 48]))


def test_contrast_and_roughness_of_stripes():
    stripes = torch.tensor([0.25, 0.75]).repeat(4).expand(1, 3, 8, 8)
    assert_close(measures.contrast(stripes), torch.tensor([0.25]))
    assert_close(measures.roughness(stripes), torch.tensor([0.5]))
    assert_close(measures.roughness(stripes.transpose(2, 3)), torch.tensor([0.0]))
    assert measures.count_grey(torch.cat([stripes, 0.5 + (stripes - 0.5) / 10])) == 1


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("side", [SIDE, 224])
def test_the_spectrums_slope_is_that_of_the_noise(exponent, side):
    slopes = measures.spectrum_slope(noise(exponent, side))
    assert abs(float(slopes.mean()) + exponent) < 0.1


def test_the_spectrums_slope_depends_neither_on_contrast_nor_on_brightness():
    images = noise(1.0)
    assert_close(measures.spectrum_slope(0.1 + images / 2), measures.spectrum_slope(images), atol=1e-3, rtol=0)


def test_the_frechet_distance_of_a_set_to_itself_is_zero_and_it_is_symmetric():
    first, second = torch.randn(2, 20, 50, generator=torch.Generator().manual_seed(1)).unbind()
    assert measures.frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert measures.frechet_distance(first, second) == pytest.approx(measures.frechet_distance(second, first))
    assert measures.frechet_distance(first, second) > 0.5


def test_the_frechet_distance_is_that_of_the_matrix_square_root():
    sets = [nn.functional.normalize(torch.rand(60, 6, dtype=torch.float64), dim=1) for _ in range(2)]
    means, covariances = [rows.mean(0) for rows in sets], [torch.cov(rows.T, correction=0) for rows in sets]
    root = torch.from_numpy(sqrtm((covariances[0] @ covariances[1]).numpy()).real)
    squared = (means[0] - means[1]).square().sum() + (covariances[0] + covariances[1] - 2 * root).trace()
    assert measures.frechet_distance(*sets) == pytest.approx(float(squared.sqrt()), rel=1e-6)


def test_nearest_distance_of_a_set_to_itself_leaves_each_row_out():
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert measures.nearest_distance(rows, rows) == pytest.approx(1)
    assert measures.nearest_distance(rows, rows.clone()) == pytest.approx(0)


def test_matches_are_one_for_the_right_photographs_and_a_half_by_chance():
    exciting = torch.eye(4, dtype=torch.bool).repeat(1, 2)
    assert measures.match_share(exciting.float(), exciting) == 1
    assert measures.match_share(-exciting.float(), exciting) == 0
    near_to_all = torch.rand(8).expand(4, 8)
    assert measures.match_share(near_to_all, exciting) == 0.5


def test_top_shares_count_classes_among_the_largest():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert measures.top_share(logits, torch.tensor([0, 1]), 1) == 0.5
    assert measures.top_share(logits, torch.tensor([0, 1]), 2) == 1


def test_features_are_the_input_of_the_last_layer():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = nn.Sequential(body, nn.Dropout(), nn.Linear(5, 2)).eval()
    images = torch.rand(3, 3, 8, 8)
    reading = networks.read(Classifier(network, None, 8), images)
    assert_close(reading.features, body(images).detach())
    assert_close(reading.logits, network(images).detach())


def test_features_of_convolutional_heads_are_means_over_positions(random_squeezenet):
    images = torch.rand(2, 3, 224, 224)
    reading = networks.read(random_squeezenet, images)
    assert reading.features.shape == (2, 512)
    assert reading.logits.shape == (2, 1000)


@pytest.mark.parametrize("architecture", JUDGES)
def test_a_judges_architecture_is_told_from_its_weights(architecture, tmp_path):
    torch.manual_seed(0)
    built = JUDGES[architecture]().eval()
    save_file(built.state_dict(), tmp_path / "other-3.safetensors")
    judge = networks.load_network(str(tmp_path / "other-3.safetensors"))
    images = torch.rand(2, 3, SIDE, SIDE)
    assert judge.name == "other-3"
    assert_close(judge.logits(images), built(judge.preprocess(images)).detach())


def test_weights_under_other_names_are_taken_in_their_order(tmp_path):
    own = load(networks.EFFICIENTNET, weights=None).network.state_dict()
    torch.save({f"weight{place}": values + 1 for place, values in enumerate(own.values())}, tmp_path / "renamed.pth")
    state = networks.load_efficientnet(tmp_path / "renamed.pth").network.state_dict()
    assert all(torch.equal(values + 1, state[name]) for name, values in own.items())


@pytest.mark.parametrize(("count", "wanted"), [(50, tuple(range(7, 1000, 20))), (2, (7, 507))])
def test_classes_are_every_twentieth(random_squeezenet, count, wanted):
    assert networks.choose_classes(random_squeezenet, count) == wanted
    assert networks.choose_classes(load(), 50) == tuple(range(16))


def test_no_judge_is_the_subject(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "JUDGE_FOLDER", tmp_path)
    subject = load()
    with pytest.raises(ValueError, match="train one: python -m"):
        networks.load_judges(subject)
    for name in ("residual", "separable"):
        save_file(JUDGES[name]().state_dict(), tmp_path / f"{name}.safetensors")
    assert list(networks.load_judges(subject)) == ["residual", "separable"]
    with pytest.raises(ValueError, match="'demo' is the subject itself"):
        networks.load_judges(subject, ["demo"])


def test_the_default_judge_is_the_first_that_is_not_the_subject(monkeypatch):
    known = {"squeezenet": networks.load_network("demo"), "efficientnet": load("demo", weights=None)}
    monkeypatch.setattr(networks, "load_network", lambda name, weights=None: known[name])
    for name, other in (("squeezenet", "efficientnet"), ("efficientnet", "squeezenet")):
        subject = Classifier(known[name].network, None, SIDE)
        assert list(networks.load_judges(subject)) == [other]


def test_a_judge_knows_photographs(squeezenet, photographs):
    found = networks.load_photographs(photographs[0].parent.parent, [squeezenet])
    assert len(found.named) >= 11
    logits = networks.read(squeezenet, [found.sources[place] for place in found.named]).logits
    classes = torch.tensor([found.classes[place] for place in found.named])
    assert measures.top_share(logits, classes, 5) == 1


@pytest.fixture
def bench(monkeypatch) -> table.Bench:
    """The embedded network as its own judge, which is enough to test the table."""
    monkeypatch.setattr(networks, "SCENES", 32)
    return table.Bench(load(), {"itself": load()}, Targets((3, 5)), networks.load_scenes())


@pytest.mark.parametrize("layer", [None, "mixed5"])
def test_every_recipe_of_ours_gives_a_row_and_photographs_too(bench, layer):
    bench = table.Bench(bench.subject, bench.judges, Targets((3, 5), layer), bench.photographs)
    names = [name for name in RECIPES if not name.startswith(("lucent", "statistics"))]
    rows = [table.measure_recipe(bench, name, replace(RECIPES[name], steps=1)) for name in names]
    photographs = table.measure_photographs(bench)
    assert all(row.images.shape == (2, 3, SIDE, SIDE) for row in rows)
    assert photographs.values.keys() <= rows[0].values.keys() | {"self"}
    assert all(row.values.keys() == rows[0].values.keys() for row in rows)
    assert photographs.values.get("itself top-5", 1) == 1
    assert photographs.values.get("itself match", 1) > 0.5
    lines = table.format_rows([*rows, photographs]).splitlines()
    assert len(lines) == len(rows) + 3
    assert len({line.count("|") for line in lines}) == 1


def test_a_recipe_with_the_statistics_of_batchnorm_layers_says_that_a_network_has_none(bench):
    with pytest.raises(ValueError, match="no BatchNorm layer of demo"):
        table.measure_recipe(bench, "statistics", replace(RECIPES["statistics"], steps=1))


def test_a_judge_never_runs_while_pictures_are_made(bench):
    judge, made = load(), []

    def fail(*_):
        assert made, "a judge took part"

    def make(classifier, targets, seed, steps):
        images = rendered()(classifier, targets, seed, steps)
        made.append(len(targets.numbers) == 2)
        return images

    judge.network.register_forward_pre_hook(fail)
    bench = table.Bench(bench.subject, {"judge": judge}, bench.targets)
    table.measure_recipe(bench, "ours", Recipe(make, 1))
    assert made == [False, True]


def test_pairs_are_in_hidden_order_and_the_key_tells_it(bench, tmp_path):
    bench = table.Bench(bench.subject, {}, Targets(tuple(range(16))))
    rows = [table.Row(name, {}, torch.full((16, 3, 64, 64), level)) for name, level in [("dark", 0.0), ("light", 1.0)]]
    path = sheets.write_pairs(tmp_path / "pairs.png", bench, *rows, tmp_path / "key.json", seed=0)
    key = json.loads((tmp_path / "key.json").read_text())
    assert {one["left"] for one in key} == {"dark", "light"}
    assert all({one["left"], one["right"]} == {"dark", "light"} for one in key)
    image = sheets.Image.open(path).convert("L")
    step = (image.width - sheets.GAP) / sheets.COLUMNS
    for place, one in enumerate(key[:4]):
        pixel = image.getpixel((round(sheets.GAP + 2 * place * step) + 20, sheets.GAP + 20))
        assert pixel == (0 if one["left"] == "dark" else 255)


def test_curves_have_a_run_for_each_number_of_steps(bench, capsys):
    quick = {"one": Recipe(rendered(), 16), "two": Recipe(rendered(), 8)}
    curves = time_to_quality.measure_curves(bench, quick)
    assert [sorted(point.steps for point in points) for points in curves.values()] == [[8, 16], [8]]
    assert capsys.readouterr().out.count("steps") == 3


def test_seconds_to_half_and_all_of_each_best():
    slow = [time_to_quality.Point(8, 1.0, 0.1), time_to_quality.Point(16, 2.0, 0.4)]
    fast = [time_to_quality.Point(8, 0.5, 0.2)]
    table_rows = time_to_quality.compare({"slow": slow, "fast": fast}).splitlines()[2:]
    assert [row.split(" | ")[2:] for row in table_rows] == [
        ["2.0", "2.0 |"], ["1.0", "2.0 |"], ["0.5", "never |"], ["0.5", "0.5 |"],
    ]  # fmt: skip


def test_time_to_a_quality_is_of_the_fastest_run_that_reaches_it():
    points = [time_to_quality.Point(8, 1.0, 0.2), time_to_quality.Point(16, 2.0, 0.5)]
    assert time_to_quality.time_to(points, 0.2) == 1
    assert time_to_quality.time_to(points, 0.3) == 2
    assert time_to_quality.time_to(points, 0.6) is None
    assert time_to_quality.doubled_steps(64) == (64, 32, 16, 8)


def test_channels_are_those_that_photographs_excite(bench):
    numbers = networks.exciting_channels(bench.subject, "mixed5", bench.photographs, 64)
    means = networks.channel_means(bench.subject, "mixed5", bench.photographs.sources)
    assert len(set(numbers)) == 64
    assert (means.amax(0)[list(numbers)] > 0).all()


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_products_are_rounded_forward_and_backward(precision, side):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, 9, 9, generator=generator).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, bias = torch.randn(6, 2, side, side, generator=generator), torch.randn(6, generator=generator)
    with precisions.round_products(precision):
        found = nn.functional.conv2d(images, weight, bias, 2, 1, groups=2)
    rounded = precisions.round_numbers(images.detach(), precision).requires_grad_()
    expected = nn.functional.conv2d(rounded, precisions.round_numbers(weight, precision), bias, 2, 1, groups=2)
    coarse = 2**-8 if precision == "bf16" else 0
    assert_close(found, expected, rtol=coarse, atol=0)
    gradient = torch.randn(found.shape, generator=generator)
    own = torch.autograd.grad(found, images, gradient)[0]
    other = torch.autograd.grad(expected, rounded, precisions.round_numbers(gradient, precision))[0]
    assert_close(own, other, rtol=max(coarse, 1e-5), atol=1e-5)


def test_tf32_has_ten_bits_behind_the_leading_one_and_bfloat16_seven():
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-12, -3.0, 0.0])
    expected = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-10, 1 + 2**-10, -3.0, 0.0])
    assert precisions.round_numbers(values, "tf32").equal(expected)
    numbers = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert precisions.round_numbers(numbers, "bf16").equal(numbers.bfloat16().float())
