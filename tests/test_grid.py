"""Activation grids: the pool of icons, the optimizer, results and bad input."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier
from optvis.errors import NotFiniteError
from optvis.features.groups import group
from optvis.grids import ActivationGrid, IconOptions, SoftSignSGD, activation_grid
from optvis.grids.ascent import IconAscent, select_images, shuffle_batches
from optvis.grids.icon_pool import BORDER
from optvis.grids.optimizer import require_stateless
from optvis.objectives import direction
from optvis.params import FFT, Streams
from optvis.params.image_pool import ImagePool
from optvis.rendering.optimizers import ADAM, FAST_ADAM

from . import oracles

SIZES = [(6, 9), (7, 8), (8, 8), (5, 5)]


def draw(model, images, batch_size=7, power=2.0, optimizer=None, **options):
    icons = IconOptions(batch_size=batch_size, power=power, optimizer=optimizer)
    options = {"layer": "relu1", "groups": 2, "size": 14, "steps": 3} | options
    return activation_grid(model, images, icons=icons, progress=False, **options)


@pytest.fixture
def few(small):
    """The small network on an image of 6 × 6 pixels, so that a grid has 36 icons."""
    return Classifier(small.network, small.normalize, 6, name="few")


def random_image(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(5))


# The pool of images


@torch.no_grad()
def add_noise(canvas: ImagePool) -> ImagePool:
    generator = torch.Generator().manual_seed(1)
    canvas.pool += torch.randn(canvas.pool.shape, generator=generator)
    canvas.select(canvas.rows)
    for values in (canvas.pool, canvas.unique, canvas.groups):
        values += torch.randn(values.shape, generator=generator)
    canvas.write_back()
    return canvas


def weights(images: int, groups: int) -> torch.Tensor:
    return torch.rand(images, groups, generator=torch.Generator().manual_seed(2))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_image_is_the_sum_of_its_parts(size):
    canvas = add_noise(ImagePool(size, range(5), weights(5, 3), active=2))
    found = canvas.images(torch.arange(5)).numpy()
    groups, g = canvas.groups.detach().numpy(), canvas.weights.numpy()
    for place, unique in enumerate(canvas.pool.numpy()):
        spectrum = 0.7 * unique + 0.5 * sum(g[place, j] * groups[j] for j in range(3))
        np.testing.assert_allclose(found[place], oracles.fft_image(spectrum, size, 1.0), atol=1e-12)


@pytest.mark.usefixtures("exact")
def test_active_images_are_rows_of_the_pool():
    canvas = add_noise(ImagePool((6, 9), range(8), weights(8, 3), active=3))
    everything = canvas.images(torch.arange(8))
    for rows in (torch.tensor([7, 0, 4]), torch.tensor([1, 2, 4])):
        assert_close(canvas.select(rows)().detach(), everything[rows], rtol=0, atol=1e-12)


def test_without_groups_images_are_those_of_the_fourier_canvas():
    canvas = ImagePool((6, 9), (3, 4, 5), torch.zeros(3, 0), active=2)
    assert torch.equal(canvas.images(torch.arange(3)), FFT((6, 9), Streams((3, 4, 5), "canvas"))().detach())
    assert [name for name, _ in canvas.named_parameters()] == ["unique"]


def test_inactive_images_do_not_change_and_active_ones_are_written_back():
    canvas = ImagePool(8, range(6), weights(6, 2), active=2)
    before = canvas.pool.clone()
    canvas.select(torch.tensor([4, 1]))
    with torch.no_grad():
        canvas.unique += 1
    canvas.select(torch.tensor([0, 5]))
    moved = torch.tensor([1, 4])
    assert_close(canvas.pool[moved], before[moved] + 1)
    others = torch.tensor([0, 2, 3, 5])
    assert torch.equal(canvas.pool[others], before[others])


def test_free_parameters_do_not_grow_with_the_pool():
    def count_free(images):
        canvas = ImagePool(8, range(images), weights(images, 2), active=4)
        return [values.numel() for values in canvas.parameters()]

    assert count_free(5) == count_free(500)


@pytest.mark.parametrize("groups", [0, 2])
def test_a_pool_starts_from_images(groups):
    canvas = ImagePool((7, 8), range(6), weights(6, groups), active=2).select(torch.tensor([5, 3]))
    images = torch.rand(2, 3, 7, 8)
    assert_close(canvas.fill_(images)(), images)


@pytest.mark.parametrize(
    ("shape", "active", "message"),
    [((4, 2), 1, r"weights are \(4, 2\); expected \(5, K\)"), ((5, 2), 6, "active is 6"), ((5, 2), 0, "active is 0")],
)
def test_a_pool_that_does_not_fit_is_refused(shape, active, message):
    with pytest.raises(ValueError, match=message):
        ImagePool(8, range(5), torch.zeros(shape), active)
    assert "5 images of 2 groups, 3 active" in repr(ImagePool(8, range(5), torch.zeros(5, 2), 3))


# Batches and the optimizer


@pytest.mark.parametrize(("count", "batch_size"), [(10, 3), (7, 7), (9, 5), (64, 63), (5, 1)])
def test_batches_contain_every_icon_equally_often(count, batch_size):
    draws = shuffle_batches(count, batch_size, seed=3)
    seen = torch.zeros(count, dtype=torch.long)
    for _ in range(40):
        rows = next(draws)
        assert len(rows.unique()) == len(rows) == batch_size
        seen[rows] += 1
        assert seen.max() - seen.min() <= 1


def test_batches_are_shuffled_and_repeat_by_seed():
    first, again, other = (
        torch.stack([rows for rows, _ in zip(shuffle_batches(50, 20, seed), range(5), strict=False)])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_step_follows_the_formula():
    values, gradient = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.randn(3, 2, 4, 5, dtype=torch.float64)
    gradient[1] *= 1e7
    gradient[2] = 0
    free = nn.Parameter(values.clone())
    steps = SoftSignSGD([free], lr=0.3, eps=0.8, half_updates=5.0, share=0.25)
    expected = values.numpy().copy()
    for n in range(3):
        free.grad = gradient.clone()
        steps.step()
        for row in range(2):
            g = gradient[row].numpy() / np.sqrt(np.mean(gradient[row].numpy() ** 2))
            expected[row] -= 0.3 / (1 + n * 0.25 / 5) * g / (np.abs(g) + 0.8)
    np.testing.assert_allclose(free.detach().numpy(), expected, atol=1e-12)
    assert not steps.state


def test_optimizers_with_state_are_refused(few):
    for optimizer in (ADAM, FAST_ADAM, partial(torch.optim.SGD, lr=0.1, momentum=0.9), torch.optim.LBFGS):
        with pytest.raises(ValueError, match=r"keeps state of gradients.*SoftSignSGD"):
            draw(few, random_image(), optimizer=optimizer)
    require_stateless(SoftSignSGD)
    made = draw(few, random_image(), optimizer=partial(torch.optim.SGD, lr=0.1))
    assert made.recipe["optimizer"] == "SGD(lr=0.1)"


def test_an_objective_for_some_images_in_any_order():
    vectors = torch.rand(6, 4)
    objective = select_images(direction("a", vectors, power=2.0), torch.tensor([5, 0]))
    a = {"a": torch.rand(2, 4, 3, 3)}
    assert torch.equal(objective(a), direction("a", vectors[[5, 0]], power=2.0)(a))


# Grids


def test_each_icon_maximises_the_vector_of_its_position(few, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        IconAscent, "steps", lambda self: iter(seen.update(pool=self.pool_objective, canvas=self.canvas) or ())
    )
    made = draw(few, random_image(2), power=1.0)
    term = seen["pool"].terms[0]
    here = made.present
    expected = torch.cat([made.activations.movedim(1, -1)[here], made.groups.directions])
    assert_close(term.targets[0].float(), expected)
    assert dict(term.options)["power"] == 1.0
    g = made.groups.normalized_maps().movedim(1, -1)[here]
    assert_close(seen["canvas"].weights.float(), torch.cat([g, torch.eye(2)]))


def test_the_groups_are_those_of_all_images(few):
    made = draw(few, list(random_image(2)))
    alone = group(made.activations, 2, layer="relu1")
    assert torch.equal(made.groups.maps, alone.maps)
    assert torch.equal(made.groups.directions, alone.directions)
    assert made.groups.units().layer == "relu1"


def test_shapes_ranges_and_recipe(few):
    made = draw(few, random_image(2))
    assert made.icons.shape == (2, 6, 6, 3, 14, 14)
    assert made.group_icons.shape == (2, 3, 14, 14)
    assert made.icons.dtype == torch.float32
    assert 0 <= made.icons.min() < made.icons.max() <= 1
    expected = {
        "method": "activation_grid",
        "network": "few",
        "layer": "relu1",
        "groups": 2,
        "steps": 3,
        "batch_size": 7,
    }
    assert {key: made.recipe[key] for key in expected} == expected
    assert made.recipe["optimizer"].startswith("SoftSignSGD(share=")
    assert "Crop((14, 14))" in made.recipe["transform"]
    assert not made.recipe["interrupted"]
    assert int(made.scores.isfinite().sum()) <= 3 * 7
    assert len(made) == 2
    assert torch.equal(made[1].icons, made.icons[1:])
    assert torch.equal(made[-1].groups.maps, made.groups.maps[1:])
    with pytest.raises(IndexError):
        made[2]


def test_the_same_seed_is_the_same_grid_and_another_is_another(few):
    first, again, other = (draw(few, random_image(), seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.icons, again.icons)
    assert torch.equal(first.scores.nan_to_num(-1), again.scores.nan_to_num(-1))
    assert not torch.equal(first.icons, other.icons)


def test_a_naive_grid_starts_each_icon_from_its_own_noise(few):
    made = draw(few, random_image(), groups=0, steps=0)
    assert made.groups is None
    assert made.group_icons is None
    count = int(made.present.sum())
    canvas = FFT(14 + 2 * BORDER, Streams(range(count), "canvas"))()
    first = made.icons[made.present]
    middle = slice(BORDER, -BORDER)
    assert len({icon.numpy().tobytes() for icon in first}) == count
    assert float(np.corrcoef(canvas[0, 0, middle, middle].detach().flatten(), first[0, 0].flatten())[0, 1]) > 0.5
    with pytest.raises(ValueError, match="no groups"):
        made.groups_sheet()


def test_icons_that_share_everything_start_alike(few):
    made = draw(few, random_image(), steps=0, groups=1)
    assert float(made.icons[made.present].std(0).max()) < 0.01


def test_each_step_updates_its_batch_alone(few):
    before, after = (draw(few, random_image(), groups=0, steps=steps) for steps in (0, 1))
    moved = (before.icons != after.icons).flatten(3).any(-1)
    assert int(moved.sum()) == 7
    assert torch.equal(moved, after.scores.isfinite())


def test_positions_where_nothing_is_active_have_no_icon():
    net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.ReLU()), None, 6)
    with torch.no_grad():
        net.network[0].weight.abs_()
    made = draw(net, random_image() * (torch.arange(6) > 1), layer="1")
    absent = ~made.present
    assert torch.equal(absent, (torch.arange(6) < 2).expand(1, 6, 6))
    assert (made.icons[absent] == 0.5).all()
    assert made.scores[absent].isnan().all()
    assert made.icons.isfinite().all()
    paper = np.asarray(made.sheet(gap=0))
    row, column = absent[0].nonzero()[0].tolist()
    assert (paper[14 * row : 14 * row + 14, 14 * column : 14 * column + 14] == 255).all()


def test_the_network_is_as_it_was(network, untouched):
    with untouched(network):
        draw(Classifier(network, None, 6), random_image())
    network.fuse.arm(ZeroDivisionError("mine"), at=2)
    with untouched(network), pytest.raises(ZeroDivisionError):
        draw(Classifier(network, None, 6), random_image(), layer="relu2")


def test_ctrl_c_returns_the_icons_so_far(few):
    few.network.fuse.arm(KeyboardInterrupt(), at=4)
    made = draw(few, random_image(), layer="relu2", steps=50)
    assert made.recipe["interrupted"]
    assert 0 < int(made.scores.isfinite().sum()) < made.scores.numel()


def test_not_finite_scores_are_named_and_the_grid_so_far_is_kept(few):
    def mostly(images):
        return images if len(images) == 1 else images * float("nan")

    with pytest.raises(NotFiniteError, match="step 0") as error:
        draw(few, random_image(), normalize=mostly)
    assert isinstance(error.value.rendering, ActivationGrid)


def test_channels_may_lie_last(few):
    class Last(nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    net = Classifier(nn.Sequential(few.network.conv1, few.network.relu1, Last()), None, 6)
    last = draw(net, random_image(), layer="2", channel_axis=-1)
    second = draw(net, random_image(), layer="1")
    assert_close(last.icons, second.icons, rtol=0, atol=1e-6)
    assert last.groups.units().channel_axis == -1


def test_layers_without_positions_are_refused(few):
    with pytest.raises(ValueError, match=r"layer 'fc' gives \(1, 5\), without rows and columns.*take 'pool', the last"):
        draw(few, random_image(), layer="fc")
    with pytest.raises(KeyError, match="no layer 'relu9'; nearest"):
        draw(few, random_image(), layer="relu9")
    with pytest.raises(ValueError, match=r"activations of 'conv1' are negative.*decomposition='PCA'"):
        draw(few, random_image(), layer="conv1", decomposition="NMF")
    assert len(draw(few, random_image(), layer="conv1", decomposition="PCA").groups) == 2


def test_activations_of_zero_are_refused(few):
    with pytest.raises(ValueError, match="are all zero"):
        draw(Classifier(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Threshold(9, 0)), None, 6), random_image(), layer="1")


@pytest.mark.parametrize(
    "options", [{"groups": -1}, {"size": 0}, {"steps": -1}, {"batch_size": 0}, {"batch_size": 2.5}]
)
def test_numbers_out_of_range_are_refused(few, options):
    with pytest.raises((ValueError, TypeError), match=r"or more|must be int"):
        draw(few, random_image(), **options)


@pytest.mark.parametrize("groups", [0, 2])
def test_a_grid_is_saved_and_read_again(few, tmp_path, groups):
    made = draw(few, random_image(2), groups=groups)
    path = made.save(tmp_path / "new" / "grid.png")
    again = ActivationGrid.load(path)
    assert repr(again) == repr(made)
    assert again.recipe == made.recipe
    for name in ("images", "activations", "icons", "present"):
        assert torch.equal(getattr(again, name), getattr(made, name))
    assert torch.equal(again.scores.nan_to_num(-1), made.scores.nan_to_num(-1))
    if groups:
        assert torch.equal(again.groups.maps, made.groups.maps)
        assert again.groups.decomposition == made.groups.decomposition
        assert torch.equal(again.group_icons, made.group_icons)
    assert made._repr_png_()[:4] == b"\x89PNG"


def test_files_without_a_grid_are_refused(few, tmp_path):
    with pytest.raises(FileNotFoundError, match="beside its PNG"):
        ActivationGrid.load(tmp_path / "none.png")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no activation grid"):
        ActivationGrid.load(tmp_path / "bad.png")
    with pytest.raises(ValueError, match=r"ending in \.png"):
        draw(few, random_image(), steps=0).save(tmp_path / "grid.jpg")


def test_sheets_show_icons_at_their_positions(few):
    made = draw(few, random_image(), steps=1)
    paper = np.asarray(made.sheet(gap=3))
    assert paper.shape == (6 * 17 + 3, 6 * 17 + 3, 3)
    for row, column in made.present[0].nonzero().tolist():
        tile = paper[3 + 17 * row : 17 + 17 * row, 3 + 17 * column : 17 + 17 * column]
        levels = (made.icons[0, row, column].permute(1, 2, 0) * 255).round().byte().numpy()
        assert (tile == levels).all()
    assert made.groups_sheet().size[0] > 4 * 14


def test_icons_are_drawn_in_proportion_to_the_activation(few):
    made = draw(few, random_image(), steps=0, groups=0)
    dark = ActivationGrid(made.images, "a", made.activations, 0 * made.icons, made.present, made.scores, {})
    paper = np.asarray(dark.sheet_by_strength(gap=0))
    norms = torch.linalg.vector_norm(made.activations[0], dim=0)
    for row, column in np.ndindex(6, 6):
        tile = paper[14 * row : 14 * row + 14, 14 * column : 14 * column + 14]
        side = round(14 * float((norms[row, column] / norms.max()).sqrt()))
        assert int((tile == 0).all(-1).sum()) == side**2
