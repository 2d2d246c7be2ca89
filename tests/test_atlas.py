"""Atlases: every point in one cell, means equal to a loop's, layouts that keep neighbours, saving and loading."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_info
from torch import nn

from optvis import Classifier
from optvis.atlas import (
    ActivationAtlas,
    AtlasBuilder,
    AtlasOptions,
    Comparison,
    Level,
    Samples,
    activation_atlas,
    class_atlas,
    class_mask,
    compare_classes,
    lay_out,
    sample_activations,
)
from optvis.atlas.exemplars import Exemplars
from optvis.atlas.layout import cell_index, scale_differences
from optvis.atlas.levels import build_level, choose_levels
from optvis.features.receptive_field import crop, receptive_fields
from optvis.objectives import direction, whitening
from optvis.patches import load_patch
from optvis.world import LABELS, Scenes

SCENES = Scenes(160, seed=4)
OPTIONS = AtlasOptions(layout="tsne", size=16, steps=2)
QUICK = {"options": OPTIONS, "progress": False}


def quick(**options):
    """QUICK with other options."""
    return {"options": replace(OPTIONS, **options), "progress": False}


@pytest.fixture(scope="module")
def samples(demo):
    return sample_activations(demo, SCENES, "mixed5", progress=False)


@pytest.fixture(scope="module")
def atlas(demo, samples):
    return activation_atlas(demo, SCENES, "mixed5", samples=samples, levels=[8, 2, 4], **QUICK)


def random_samples(count=300, channels=5, classes=3, seed=0):
    """Random samples and points."""
    draws = torch.Generator().manual_seed(seed)
    vectors, added = torch.rand(count, channels, generator=draws), torch.randn(count, classes, generator=draws)
    nowhere, places = torch.zeros(count, 2).long(), torch.arange(count)
    names = tuple(map(str, range(count)))
    points = torch.rand(count, 2, generator=draws, dtype=torch.float64)
    return Samples("l", vectors, added, nowhere, (1, 1), places, names, ("a", "b", "c")[:classes], {}), points


# Cells


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 20, 40])
def test_every_point_is_in_one_cell_which_is_half_open(size):
    edges = torch.arange(size + 1, dtype=torch.float64) / size
    across = torch.stack([edges, torch.zeros_like(edges)], dim=1)
    assert cell_index(across, size).tolist() == [*range(size), size - 1]
    below = torch.stack([torch.nextafter(edges[1:], torch.zeros(())), edges[1:] * 0], dim=1)
    assert cell_index(below, size).tolist() == list(range(size))


@pytest.mark.parametrize("size", [1, 2, 5, 10, 20, 40])
def test_counts_add_up_and_means_equal_a_loop(size):
    samples, points = random_samples()
    level = build_level(samples, points, size, nearest=3)
    assert level.counts.sum() == len(samples)
    for place, (row, column) in enumerate(level.cells.tolist()):
        inside = [
            n
            for n, (x, y) in enumerate(points.tolist())
            if min(int(y * size), size - 1) == row and min(int(x * size), size - 1) == column
        ]
        assert level.counts[place] == len(inside)
        vectors, added = samples.vectors.double().numpy()[inside], samples.attribution.double().numpy()[inside]
        assert np.allclose(level.vectors[place], vectors.mean(0), atol=1e-6)
        assert np.allclose(level.attribution[place], added.mean(0), atol=1e-6)
        mean = vectors.mean(0)
        cosines = vectors @ mean / np.linalg.norm(vectors, axis=1) / np.linalg.norm(mean)
        nearest = [inside[n] for n in np.argsort(-cosines, kind="stable")[:3]]
        assert level.nearest[place].tolist() == nearest + [-1] * (3 - len(nearest))


def test_a_fine_cell_lies_in_one_coarse_cell():
    _, points = random_samples(5000)
    coarse, fine = cell_index(points, 10), cell_index(points, 40)
    assert torch.equal(fine // 40 // 4 * 10 + fine % 40 // 4, coarse)


def test_scaled_differences_keep_their_order_and_zero_in_the_middle():
    differences = torch.randn(50)
    found = scale_differences(differences)
    assert torch.equal(found.argsort(), differences.argsort())
    assert ((found - 0.5).sign() == differences.sign()).all()
    assert (found - 0.5).abs().max() == 0.5
    assert scale_differences(torch.zeros(3)).tolist() == [0.5] * 3


# Layouts


def clusters(count=90):
    """Vectors about three axes, of any length."""
    draws = torch.Generator().manual_seed(0)
    kinds = torch.arange(count) % 3
    vectors = torch.eye(3, 8)[kinds] + 0.1 * torch.rand(count, 8, generator=draws)
    return vectors * torch.rand(count, 1, generator=draws).add(0.1), kinds


@pytest.mark.parametrize("layout", ["tsne", "umap"])
def test_similar_vectors_lie_together(layout):
    if layout == "umap":
        pytest.importorskip("umap", reason="umap-learn is not installed", exc_type=ImportError)
    vectors, kinds = clusters()
    points, how = lay_out(vectors, layout)
    assert layout in how.casefold()
    assert (points.amin(0) == 0).all()
    assert (points.amax(0) == 1).all()
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    assert (kinds[distances.argmin(1)] == kinds).float().mean() > 0.95
    again, _ = lay_out(vectors, layout)
    assert torch.equal(points, again)


def test_torch_has_as_many_threads_after_a_layout_as_before():
    """Numba, which UMAP works with, gives torch as many as there are cores; others then wait for them."""

    class WithThreads:
        def fit_transform(self, samples):
            torch.set_num_threads(torch.get_num_threads() + 2)
            return samples[:, :2]

    before = torch.get_num_threads()
    lay_out(torch.rand(30, 4), WithThreads())
    assert torch.get_num_threads() == before


def test_a_layout_of_few_points_works_in_one_thread():
    seen = []

    class Asking:
        def fit_transform(self, samples):
            seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"})
            return samples[:, :2]

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lay_out(torch.rand(30, 4), Asking())
        lay_out(torch.rand(2000, 4), Asking())
    finally:
        torch.set_num_threads(before)
    assert seen[0] == {1}
    assert 2 in seen[1]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 11, 12, 13, 20])
def test_few_points_have_a_layout(count):
    points, _ = lay_out(torch.rand(count, 6), "tsne")
    assert points.shape == (count, 2)
    assert bool(((points >= 0) & (points <= 1)).all())


def test_a_custom_layout():
    class FirstTwo:
        def fit_transform(self, samples):
            return samples[:, :2]

        def __repr__(self):
            return "FirstTwo()"

    vectors = torch.rand(30, 4)
    points, how = lay_out(vectors, FirstTwo())
    unit = vectors.double() / torch.linalg.vector_norm(vectors.double(), dim=1, keepdim=True)
    low, high = unit[:, :2].amin(0), unit[:, :2].amax(0)
    assert torch.allclose(points, (unit[:, :2] - low) / (high - low), atol=1e-6)
    assert how == "FirstTwo()"


@pytest.mark.parametrize(
    ("vectors", "layout", "error", "words"),
    [
        (torch.zeros(20, 3), "tsne", ValueError, "all zero or not finite"),
        (torch.full((20, 3), torch.nan), "tsne", ValueError, "all zero or not finite"),
        (torch.rand(20, 3), "pca", ValueError, "no layout 'pca'; there are 'auto', 'umap', 'tsne'"),
        (torch.rand(20, 3), 7, TypeError, "layout is int"),
    ],
    ids=["zeros", "nan", "unknown", "number"],
)
def test_invalid_layouts_are_refused(vectors, layout, error, words):
    with pytest.raises(error, match=words):
        lay_out(vectors, layout)


# Whitening


def test_damping_goes_from_the_inverse_to_the_identity():
    a = torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moment = (a.T @ a / 200).numpy()
    mean = np.trace(moment) / 4
    for damping in (0.0, 0.5, 3.0):
        expected = np.linalg.inv(moment + damping * mean * np.eye(4))
        assert np.allclose(whitening(a, damping=damping), expected)
    much = whitening(a, damping=1e9)
    assert np.allclose(much / much[0, 0], np.eye(4), atol=1e-6)
    with pytest.raises(ValueError, match="damping is -1"):
        whitening(a, damping=-1)


# Atlases


def test_all_points_are_on_every_level(atlas):
    assert [level.size for level in atlas.levels] == [2, 4, 8]
    for level in atlas.levels:
        assert level.counts.sum() == len(atlas) == 160
        assert torch.equal(level.present, level.counts >= 5)
        assert level.icons[level.present].std() > 0.01
        assert (level.icons[~level.present] == 0.5).all()
        assert torch.equal(level.scores.isnan(), ~level.present)


def test_an_icon_equals_the_rendering_of_its_direction_alone(demo, samples, atlas):
    from optvis import render

    level = atlas.level(4)
    place = int(level.present.nonzero()[0])
    matrix = whitening(samples.vectors, damping=2.0)
    question = direction("mixed5", level.vectors[place], power=2.0, whitening=matrix)
    alone = render(demo, question, recipe="icon", size=16, steps=2, progress=False)
    assert torch.allclose(alone.images[0], level.icons[place], atol=2e-3)


def test_exemplars_are_cropped_from_the_images_of_the_cell(demo, atlas):
    cell = next(
        atlas.cell_at(atlas.level(2), place) for place in range(len(atlas.level(2))) if atlas.level(2).present[place]
    )
    assert len(cell.rows) == len(cell.patches) == len(cell.names) == 4
    fields = receptive_fields(demo, "mixed5")
    for row, patch, name in zip(cell.rows.tolist(), cell.patches, cell.names, strict=True):
        image = demo.load_batch(SCENES[int(atlas.samples.indices[row])][0])[0]
        assert name == atlas.samples.names[int(atlas.samples.indices[row])]
        assert torch.allclose(patch, crop(image, fields.window(*atlas.samples.positions[row].tolist()), 40))


def test_cells_describe_their_content(atlas):
    level = atlas.level(2)
    row, column = level.cells[0].tolist()
    cell = atlas.cell(row, column, size=2)
    assert cell.count == level.counts[0]
    assert repr(cell).startswith(f"Cell({row}, {column} of 2 × 2: {cell.count} points, ")
    best = level.attribution[0].argmax()
    assert cell.classes(1) == [(LABELS[best], level.attribution[0].max().item())]
    with pytest.raises(KeyError, match="no level of size 3; there are 2, 4, 8"):
        atlas.level(3)
    empty = next((r, c) for r in range(8) for c in range(8) if [r, c] not in atlas.level(8).cells.tolist())
    with pytest.raises(KeyError, match="is empty"):
        atlas.cell(*empty, size=8)


def test_the_same_seed_gives_the_same_atlas(demo, atlas):
    again = activation_atlas(demo, SCENES, "mixed5", levels=[2, 4, 8], **QUICK)
    assert torch.equal(again.points, atlas.points)
    for one, other in zip(again.levels, atlas.levels, strict=True):
        assert torch.equal(one.icons, other.icons)
        assert torch.equal(one.nearest, other.nearest)
    assert again.recipe == atlas.recipe


def test_an_atlas_is_saved_with_its_recipe(atlas, tmp_path):
    page = atlas.save(tmp_path / "map")
    names = sorted(path.name for path in page.parent.iterdir())
    assert names == [
        "atlas-2.png",
        "atlas-4.png",
        "atlas-8.png",
        "atlas.safetensors",
        "index.html",
        "samples.safetensors",
    ]
    with Image.open(page.parent / "atlas-8.png") as image:
        assert '"layer": "mixed5"' in image.text["optvis"]
        assert image.size == (128, 128)
    assert len(Samples.load(page.parent / "samples.safetensors")) == 160
    assert atlas.html().startswith("<!doctype html>")


def check_same_atlas(one, other):
    for name in ("vectors", "attribution", "positions", "indices"):
        assert torch.equal(getattr(one.samples, name), getattr(other.samples, name))
    assert torch.equal(one.points, other.points)
    assert [level.size for level in one.levels] == [level.size for level in other.levels]
    for level, same in zip(one.levels, other.levels, strict=True):
        for field in fields(Level)[1:]:
            a, b = getattr(level, field.name), getattr(same, field.name)
            assert a.dtype == b.dtype
            assert torch.equal(a.nan_to_num(7), b.nan_to_num(7))
    assert torch.equal(one.exemplars.rows, other.exemplars.rows)
    assert torch.equal(one.exemplars.patches, other.exemplars.patches)
    assert (one.min_points, one.ends, one.title) == (other.min_points, other.ends, other.title)
    assert one.recipe == other.recipe


def test_a_saved_atlas_is_loaded_again(atlas, tmp_path):
    page = atlas.save(tmp_path)
    for path in (tmp_path, page):
        again = ActivationAtlas.load(path)
        check_same_atlas(again, atlas)
        assert repr(again) == repr(atlas)
        assert again.html() == atlas.html()
        assert again.complete
    assert again.to_dict()["kind"] == "activation atlas"
    assert again.to_dict()["tensors"]["points"] == {"shape": [160, 2], "dtype": "float64"}


def without_icons(atlas):
    """An atlas as it is after Ctrl-C before the first icon."""
    return replace(atlas, levels=tuple(replace(one, present=torch.zeros_like(one.present)) for one in atlas.levels))


def test_an_atlas_without_icons_is_loaded_again(atlas, tmp_path):
    result = without_icons(atlas)
    result.save(tmp_path)
    check_same_atlas(ActivationAtlas.load(tmp_path), result)


@pytest.mark.parametrize("name", ["atlas.safetensors", "samples.safetensors"])
def test_damaged_and_missing_files_are_refused(atlas, tmp_path, name):
    atlas.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged"):
        ActivationAtlas.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        ActivationAtlas.load(tmp_path)


def test_files_of_different_atlases_are_refused(atlas, samples, tmp_path):
    atlas.save(tmp_path)
    for others in (samples[:20], replace(samples, recipe={**samples.recipe, "seed": 9})):
        others.save(tmp_path / "samples.safetensors")
        with pytest.raises(ValueError, match=r"are of different atlases|damaged or holds no activation atlas"):
            ActivationAtlas.load(tmp_path)


def test_an_atlas_is_no_comparison(atlas, tmp_path):
    atlas.save(tmp_path)
    with pytest.raises(ValueError, match="holds an atlas, not a comparison"):
        Comparison.load(tmp_path)


def test_a_builder_samples_once(demo, samples, monkeypatch):
    calls = []
    monkeypatch.setattr("optvis.atlas.builder.sample_activations", lambda *_, **__: calls.append(1) or samples)
    builder = AtlasBuilder(demo, SCENES, "mixed5", options=replace(OPTIONS, steps=0), progress=False)
    for atlas in (builder.all([2]), builder.of_class("wok", [2]), builder.compare("wok", "frying pan", [2]).atlas):
        assert atlas.levels[0].size == 2
    assert len(calls) == 1


def test_the_sheet_shows_each_icon_in_its_place(atlas):
    level, image = atlas.level(4), np.asarray(atlas.sheet(4))
    for place, (row, column) in enumerate(level.cells.tolist()):
        tile = image[row * 16 : (row + 1) * 16, column * 16 : (column + 1) * 16]
        shown = (level.icons[place] * 255).round().byte().permute(1, 2, 0).numpy() if level.present[place] else 255
        assert (tile == shown).all()
    smaller = np.asarray(atlas.sheet(4, by_count=True))
    assert (smaller == 255).mean() > (image == 255).mean()


def test_ctrl_c_while_icons_are_rendered_keeps_those_that_had_a_step(demo, samples):
    """64 icons are rendered together; Ctrl-C comes before the first step of the second 64."""
    net = Classifier(Interrupted(demo.network, after=2), demo.normalize, 96, LABELS, name="demo")
    stopped = activation_atlas(
        net,
        SCENES,
        "network.mixed5",
        samples=replace(samples, layer="network.mixed5"),
        levels=[2, 4, 8, 40],
        **quick(min_points=1),
    )
    assert stopped.recipe["interrupted"] is True
    assert [level.counts.sum().item() for level in stopped.levels] == [160] * 4
    present = torch.cat([level.present for level in stopped.levels])
    assert present[:64].all()
    assert not present[64:].any()
    assert len(present) > 64


class Interrupted(nn.Module):
    """A network that raises KeyboardInterrupt once, after some passes with gradients."""

    def __init__(self, network, after):
        super().__init__()
        self.network, self.left = network, after

    def forward(self, x):
        self.left -= int(x.requires_grad)
        if x.requires_grad and self.left == -1:
            raise KeyboardInterrupt
        return self.network(x)


def test_cells_with_too_few_points_have_no_icon(demo, samples):
    whole = activation_atlas(demo, SCENES, "mixed5", samples=samples, levels=[2], **quick(layout=PCA(2))).levels[0]
    fewest = int(whole.counts.max())
    options = quick(layout=PCA(2), min_points=fewest)
    result = activation_atlas(demo, SCENES, "mixed5", samples=samples, levels=[2], **options)
    assert torch.equal(result.levels[0].present, whole.counts >= fewest)
    assert not result.levels[0].present.all()


def test_an_atlas_without_icons_has_a_page(atlas):
    assert without_icons(atlas).html()
    assert without_icons(atlas).sheet(2).size == (32, 32)


# Levels follow the number of points


@pytest.mark.parametrize("count", [1, 2, 5, 10, 14, 40, 99])
@pytest.mark.parametrize("kind", ["all", "of_class", "compare"])
def test_a_small_atlas_has_icons_at_each_level(demo, samples, kind, count):
    rows = torch.arange(len(samples)) < count
    if kind != "all":
        rows = (class_mask(samples, "wok") | class_mask(samples, "frying pan")).nonzero().flatten()[:count]
    builder = AtlasBuilder(demo, SCENES, "mixed5", samples[rows], OPTIONS, progress=False)
    calls = {"all": (), "of_class": ("wok",), "compare": ("wok", "frying pan")}
    result = getattr(builder, kind)(*calls[kind])
    atlas = result.atlas if kind == "compare" else result
    assert all(bool(level.present.any()) for level in atlas.levels)
    assert [level.size for level in atlas.levels] == atlas.recipe["levels"]
    assert atlas.recipe["min_points"] == atlas.min_points <= 5


@pytest.mark.parametrize("points", [*range(1, 60), 100, 499, 500, 2000, 10**6])
@pytest.mark.parametrize("coarsest", [5, 10])
def test_chosen_levels_grow_with_the_points_up_to_the_largest(points, coarsest):
    min_points = AtlasOptions().choose_min_points(points)
    sizes = choose_levels(points, min_points, coarsest)
    assert sizes == (sizes[0], 2 * sizes[0], 4 * sizes[0])
    assert 1 <= sizes[0] <= coarsest
    assert sizes[0] ** 2 * min_points <= points
    assert sizes[0] == coarsest or (sizes[0] + 1) ** 2 * min_points > points


def test_levels_that_leave_the_map_empty_are_refused(demo, samples):
    some = samples[torch.arange(len(samples)) < 14]
    build = partial(activation_atlas, demo, SCENES, "mixed5", samples=some)
    with pytest.raises(ValueError, match=r"no cell of 10 × 10, 20 × 20 holds 5 of the 14 points.*min_points=\d\)"):
        build(levels=[10, 20], **quick(min_points=5))
    with pytest.raises(ValueError, match="no cell of 1 × 1, 2 × 2, 4 × 4 holds 15 of the 14 points"):
        build(**quick(min_points=15))
    with pytest.warns(UserWarning, match="no cell of 40 × 40 holds 8 points"):
        build(levels=[1, 40], **quick(min_points=8))


def test_one_image_has_an_atlas(demo):
    result = activation_atlas(demo, Scenes(1), "mixed5", levels=[1, 3], **quick(min_points=1))
    assert [level.cells.tolist() for level in result.levels] == [[[0, 0]], [[1, 1]]]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("min_points", 0, "min_points is 0"),
        ("size", 0, "size is 0"),
        ("steps", -1, "steps is -1"),
        ("power", -1, "power is -1"),
        ("damping", -1, "damping is -1"),
        ("nearest", -1, "nearest is -1"),
        ("rank", 0, "rank is 0"),
    ],
)
def test_options_out_of_range_are_refused(name, value, words):
    with pytest.raises(ValueError, match=words):
        AtlasOptions(**{name: value})


@pytest.mark.parametrize("levels", [[], [0, 3]])
def test_levels_out_of_range_are_refused_before_sampling(demo, levels):
    with pytest.raises(ValueError, match="levels are"):
        activation_atlas(demo, None, "mixed5", levels=levels)


def test_other_samples_are_refused(demo, samples):
    some = class_atlas(demo, SCENES, "mixed5", "wok", samples=samples, levels=[2], **QUICK).samples
    with pytest.raises(ValueError, match="these samples are only those that contribute to 'wok'"):
        activation_atlas(demo, SCENES, "mixed5", samples=some, **QUICK)
    other = Classifier(demo.network, demo.normalize, 96, LABELS, name="another")
    with pytest.raises(ValueError, match="samples of the network 'demo' for an atlas of 'another'"):
        activation_atlas(other, SCENES, "mixed5", samples=samples, **QUICK)
    with pytest.raises(ValueError, match="samples of 'mixed5' for an atlas of 'mixed4'"):
        activation_atlas(demo, SCENES, "mixed4", samples=samples, **QUICK)
    with pytest.raises(ValueError, match="are of 160 images, and these 32 are not the same"):
        activation_atlas(demo, Scenes(32), "mixed5", samples=samples, **QUICK)


def test_exemplars_are_found_by_their_rows():
    known = Exemplars(torch.tensor([2, 5, 9]), torch.zeros(3, 3, 4, 4))
    assert known.index(torch.tensor([[9, -1], [2, 5]])).tolist() == [[2, -1], [0, 1]]
    assert known.index(torch.tensor([3, 10])).tolist() == [-1, -1]


# Classes


def test_the_mask_of_a_class_equals_a_loop():
    samples, _ = random_samples(200, classes=3)
    for rank in (1, 2, 3):
        found = class_mask(samples, "b", rank)
        for row, added in enumerate(samples.attribution.tolist()):
            assert found[row] == (added[1] > 0 and sorted(added, reverse=True).index(added[1]) < rank)


def test_a_class_atlas_holds_what_contributes_to_the_class(demo, samples):
    result = class_atlas(demo, SCENES, "mixed5", "wok", samples=samples, levels=[2], **QUICK)
    rows = class_mask(samples, "wok")
    assert torch.equal(result.samples.indices, samples.indices[rows])
    assert result.recipe["class"] == "wok"


def test_a_comparison_runs_from_one_class_to_the_other(demo, samples):
    result = compare_classes(
        demo, SCENES, "mixed5", "frying pan", "wok", samples=samples, levels=[4], **quick(min_points=1)
    )
    pan, wok = LABELS.index("frying pan"), LABELS.index("wok")
    added = result.atlas.samples.attribution
    differences = added[:, wok] - added[:, pan]
    assert torch.equal(result.atlas.points[:, 0].argsort(), differences.argsort())
    assert result.atlas.ends == result.labels == ("frying pan", "wok")
    level = result.atlas.level()
    by_cell = result.differences(level)
    assert [cell.position for cell in result.top(3)] == [
        tuple(level.cells[n].tolist()) for n in by_cell.abs().topk(3)[1]
    ]
    assert result.toward("wok", 1)[0].position == tuple(level.cells[by_cell.argmax()].tolist())
    assert result.toward(pan, 1)[0].position == tuple(level.cells[by_cell.argmin()].tolist())
    assert {cell.position for cell in result.toward("wok", 99)}.isdisjoint(
        cell.position for cell in result.toward(pan, 99)
    )
    with pytest.raises(ValueError, match="class 'owl' is neither of 'frying pan' and 'wok'"):
        result.toward("owl")


def test_a_comparison_is_saved_with_the_cells_that_differ_most(demo, samples, tmp_path):
    result = compare_classes(
        demo, SCENES, "mixed5", "grey whale", "white shark", samples=samples, levels=[2], **quick(min_points=1)
    )
    page = result.save(tmp_path)
    assert (page.parent / "differences.png").is_file()
    first, *_ = result.toward("white shark")
    assert torch.allclose(load_patch(page.parent / "patch-1.png"), first.cutouts()[0], atol=1 / 255)
    assert len(list(page.parent.glob("patch-*.png"))) == len(result.toward("white shark"))
    assert "white shark" in page.read_text(encoding="utf-8")
    again = Comparison.load(tmp_path)
    check_same_atlas(again.atlas, result.atlas)
    assert (again.first, again.second, repr(again)) == (result.first, result.second, repr(result))
    assert again.to_dict()["first"] == LABELS.index("grey whale")
    nothing = replace(result, atlas=without_icons(result.atlas))
    assert nothing.top() == []
    with pytest.raises(ValueError, match="no cell holds 1 points"):
        nothing.sheet()


def test_classes_that_cannot_be_compared_are_refused(demo, samples):
    with pytest.raises(ValueError, match="'wok' is compared with itself"):
        compare_classes(demo, SCENES, "mixed5", "wok", 9, samples=samples, **QUICK)
    with pytest.raises(KeyError, match="no label 'wak'; nearest: 'wok'"):
        class_atlas(demo, SCENES, "mixed5", "wak", samples=samples, **QUICK)
    with pytest.raises(IndexError, match="class is 16; expected a label, or 0 to 15"):
        class_atlas(demo, SCENES, "mixed5", 16, samples=samples, **QUICK)
    bare = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), None, 8)
    with pytest.raises(ValueError, match="these samples have no classes"):
        class_atlas(bare, torch.rand(4, 3, 8, 8), "0", 0, **QUICK)


@pytest.fixture(scope="module")
def many(demo):
    """More scenes, and their samples."""
    scenes = Scenes(1600, seed=11)
    return scenes, sample_activations(demo, scenes, "mixed5", progress=False)


@pytest.mark.parametrize(
    ("first", "second", "part"),
    [("frying pan", "wok", "noodles"), ("snorkeler", "scuba diver", "tank"), ("grey whale", "white shark", "mouth")],
)
def test_the_planted_object_appears_where_two_classes_differ_most(demo, many, first, second, part):
    """One of the five cells that differ most holds mostly positions that show the object."""
    scenes, found = many
    result = compare_classes(demo, scenes, "mixed5", first, second, samples=found, **quick(steps=0))
    shares = []
    for cell in result.top(5):
        masks = [
            scenes.scene(int(result.atlas.samples.indices[row])).masks.get(part, torch.zeros(96, 96))
            for row in cell.rows
        ]
        middles = [(result.atlas.samples.positions[row] * 8 + 4).tolist() for row in cell.rows]
        seen = [mask[y - 4 : y + 4, x - 4 : x + 4].mean() > 0.25 for mask, (y, x) in zip(masks, middles, strict=True)]
        shares.append(sum(map(float, seen)) / len(seen))
    assert max(shares) >= 0.75
