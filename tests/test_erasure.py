"""Linear erasure: LEACE, SPLINCE, INLP and mean projection against their definitions and a published package."""

from __future__ import annotations

from statistics import NormalDist

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from optvis import Channels, Classifier, NotFiniteError, bake, blinded, evaluate, find_units
from optvis.ablation import Inlp, Leace, MeanProjection, Splince
from optvis.ablation.moments import Moments
from optvis.ablation.selection.erasure.eraser import encode_labels_to_keep
from optvis.ablation.selection.task import build_task
from optvis.features import Projection
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow

ROWS, FEATURES = 300, 7
METHODS = (Leace(), Splince(), Inlp(max_accuracy=0.5001), MeanProjection())


def random_rows(seed: int = 0, rank: int = FEATURES) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(rank, FEATURES, generator=generator, dtype=torch.float64)
    return torch.randn(ROWS, rank, generator=generator, dtype=torch.float64) @ mixing + 2


def binary_labels(x: Tensor, seed: int = 1) -> Tensor:
    noise = torch.randn(len(x), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x[:, 0] - 0.5 * x[:, 3] + noise > 1).double()


def covariance(x: Tensor, z: Tensor) -> Tensor:
    columns = z[:, None] if z.dim() == 1 else z
    return (x - x.mean(0)).T @ (columns - columns.mean(0)) / len(x)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_erasure_is_idempotent_and_leaves_no_cross_covariance(method):
    x = random_rows()
    z = binary_labels(x)
    units = method.fit(x, z, layer="a")
    erased = units.replace(x)
    assert units.layer == "a"
    torch.testing.assert_close(units.replace(erased), erased, atol=1e-6, rtol=0)
    bound = 2e-3 if isinstance(method, Inlp) else 1e-6  # INLP stops where classifiers are no better than chance
    assert float(covariance(erased, z).abs().max()) < bound * float(covariance(x, z).abs().max())


@pytest.mark.parametrize("labels", ["binary", "one-hot", "numbers"])
@pytest.mark.parametrize("rank", [FEATURES, 4])
def test_leace_equals_the_published_package(labels, rank):
    erasure = pytest.importorskip("concept_erasure")
    x = random_rows(rank=rank)
    z = {
        "binary": binary_labels(x)[:, None],
        "one-hot": nn.functional.one_hot((x[:, 0] > 2).long() + (x[:, 1] > 2)).double(),
        "numbers": torch.stack([x[:, 0].sin(), x[:, 2].cos()], dim=1),
    }[labels]
    fitter = erasure.LeaceFitter(FEATURES, z.shape[1], dtype=torch.float64, shrinkage=False, svd_tol=1e-9)
    for rows in (slice(0, 100), slice(100, ROWS)):
        fitter.update(x[rows], z[rows])
    torch.testing.assert_close(Leace().fit(x, z).replace(x), fitter.eraser(x), atol=1e-6, rtol=0)


def test_leace_changes_least_of_all_maps_without_cross_covariance():
    """The closed form of the paper, P* = argmin E ‖P a − a‖² with P Σ_az = 0, solved here as a constrained problem."""
    x = random_rows()
    z = binary_labels(x)
    cross, sigma = covariance(x, z), covariance(x, x)
    lagrange = sigma.inverse() @ cross / (cross.T @ sigma.inverse() @ cross)
    least = torch.eye(FEATURES).double() - cross @ lagrange.T
    units = Leace().fit(x, z)
    torch.testing.assert_close(torch.eye(FEATURES).double() - units.projector(FEATURES), least)
    own = (units.replace(x) - x).square().sum()
    for seed in range(20):
        step = torch.randn(FEATURES, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        step -= step @ cross @ cross.T / cross.square().sum()  # any other map with the same kernel
        other = (x - x.mean(0)) @ (least + 0.01 * step).T + x.mean(0)
        assert float((other - x).square().sum()) > float(own)


def test_splince_keeps_the_covariance_with_other_labels_at_the_least_change():
    x = random_rows()
    z, y = binary_labels(x), torch.stack([x[:, 0].sin(), x[:, 5]], dim=1)
    units = Splince().fit(x, z, y)
    erased = units.replace(x)
    torch.testing.assert_close(covariance(erased, y), covariance(x, y), atol=1e-6, rtol=0)
    assert float(covariance(erased, z).abs().max()) < 1e-6
    assert float((covariance(Leace().fit(x, z).replace(x), y) - covariance(x, y)).abs().max()) > 1e-2
    fixed = torch.cat([covariance(x, z), covariance(x, y)], dim=1)  # the map is given on these, and nearest to 1 else
    sigma = covariance(x, x)
    wanted = torch.cat([0 * fixed[:, :1], fixed[:, 1:]], dim=1) - fixed
    inverse = torch.linalg.inv(sigma)
    least = torch.eye(FEATURES).double() + wanted @ torch.linalg.inv(fixed.T @ inverse @ fixed) @ fixed.T @ inverse
    torch.testing.assert_close(torch.eye(FEATURES).double() - units.projector(FEATURES), least)
    torch.testing.assert_close(Splince().fit(x, z).replace(x), Leace().fit(x, z).replace(x))


def test_inlp_takes_the_classifiers_of_least_squares_one_by_one():
    x = random_rows()
    z = binary_labels(x)
    with pytest.warns(UserWarning, match="raise max_directions"):
        directions = Inlp(max_directions=3, max_accuracy=0.5001, penalty=0).fit(x, z).vectors
    rest = x - x.mean(0)
    for direction in directions:
        weights = torch.linalg.lstsq(rest, (z - z.mean())[:, None], driver="gelsd").solution[:, 0]
        torch.testing.assert_close(weights / weights.norm(), direction)
        rest = rest - rest @ direction[:, None] * direction
    with pytest.raises(ValueError, match=r"accuracy above 0\.9999: there is nothing to erase"):
        Inlp(max_accuracy=0.9999).fit(x, z)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_inlp_ends_where_no_activations_are_left(penalty):
    """Of channels that are zero everywhere, only rounding is left when all others are off."""
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).double().relu()
    x[:, ::3] = 0
    units = Inlp(max_accuracy=0.5001, penalty=penalty).fit(x, torch.arange(20).double() % 2)
    assert len(units) <= 4
    torch.testing.assert_close(units.vectors @ units.vectors.T, torch.eye(len(units), dtype=torch.float64))


def test_inlp_keeps_the_mean_activation():
    x = random_rows() + 3
    left = Inlp().fit(x, binary_labels(x)).replace(x)
    torch.testing.assert_close(left.mean(0), x.mean(0))
    assert float((left - x).norm()) > 0.1 * float((x - x.mean(0)).norm())


def test_a_penalty_makes_inlp_need_fewer_directions():
    """Where directions of small variance read the label best, the classifiers of least squares remove it slowly."""
    generator = torch.Generator().manual_seed(3)
    z = (torch.rand(4000, generator=generator) > 0.5).double()
    scales = torch.logspace(0, -1.5, 24, dtype=torch.float64)
    x = (torch.randn(4000, 24, generator=generator).double() + z[:, None]) * scales
    x = x @ torch.linalg.qr(torch.randn(24, 24, generator=generator).double()).Q
    sharp, smooth = (Inlp(max_accuracy=0.51, penalty=penalty).fit(x, z) for penalty in (0.0, 1.0))
    assert len(smooth) <= len(sharp) / 2
    for units in (sharp, smooth):
        rest = units.replace(x)
        weights = torch.linalg.lstsq(rest - rest.mean(0), (z - z.mean())[:, None], driver="gelsd").solution
        found = (rest - rest.mean(0)) @ weights > 0
        assert float((found[:, 0] == z.bool()).double().mean()) <= 0.53


def test_mean_projection_sets_the_part_along_the_pattern_to_the_mean_without():
    x = random_rows()
    z = binary_labels(x)
    difference = x[z == 1].mean(0) - x[z == 0].mean(0)
    along = difference / difference.norm()
    erased = MeanProjection().fit(x, z).replace(x)
    torch.testing.assert_close(erased @ along, (x[z == 0].mean(0) @ along).expand(ROWS))
    torch.testing.assert_close(erased - (erased @ along)[:, None] * along, x - (x @ along)[:, None] * along)
    some = MeanProjection(is_conditional=True).fit(x, z).replace(x)
    near = x @ along > (x[z == 0].mean(0) + x[z == 1].mean(0)) @ along / 2
    assert some[near].equal(erased[near])
    assert some[~near].equal(x[~near])


def test_moments_of_batches_are_those_of_all_rows():
    x = random_rows() + 1000
    z = torch.stack([binary_labels(x - 1000), x[:, 1]], dim=1)
    moments = Moments(FEATURES, 2)
    for rows in (slice(0, 1), slice(1, 90), slice(90, 90), slice(90, ROWS)):
        moments.update(x[rows], z[rows])
    torch.testing.assert_close(moments.mean, x.mean(0))
    torch.testing.assert_close(moments.covariance, covariance(x, x))
    torch.testing.assert_close(moments.cross_covariance, covariance(x, z))
    torch.testing.assert_close(moments.label_variance, z.var(0, correction=0))


def test_moments_are_merged_and_their_labels_mapped():
    x = random_rows() + 1000
    z, matrix = torch.stack([binary_labels(x - 1000), x[:, 1]], dim=1), torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 1.0]])
    merged = Moments(FEATURES, 2)
    for rows in (slice(0, 90), slice(90, 90), slice(90, ROWS)):
        part = Moments(FEATURES, 2)
        part.update(x[rows], z[rows])
        merged.merge(part)
    expected = Moments(FEATURES, 3)
    expected.update(x, z @ matrix.to(z))
    found = merged.map_labels(matrix)
    for name in ("count", "mean", "label_mean", "covariance", "cross_covariance", "label_variance"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(
    ("run", "match"),
    [
        (lambda x, z: Leace().fit(x, 0 * z), "nothing to erase"),
        (lambda x, z: Inlp().fit(x, 0 * z + 1), "nothing to erase"),
        (lambda x, z: Leace().fit(x, z[1:]), "expected \\(N, C\\)"),
        (lambda x, z: Leace().fit(x, z, y=z), "use Splince"),
        (lambda x, z: Splince().fit(x, z, y=2 * z), "exactly as those to erase"),
        (lambda x, z: MeanProjection().fit(x, 3 * z), "one label of 0 and 1"),
        (lambda x, z: MeanProjection().fit(x, torch.stack([z, z], 1)), "one label of 0 and 1"),
        (lambda x, z: Inlp(max_accuracy=0.5), "expected max_accuracy"),
        (lambda x, z: Inlp(penalty=-1.0), "penalty of 0 or more"),
        (lambda x, z: Inlp(penalty=float("nan")), "penalty of 0 or more"),
    ],
)
def test_labels_that_cannot_be_erased_are_refused(run, match):
    x = random_rows()
    with pytest.raises(ValueError, match=match):
        run(x, binary_labels(x))


def colored(channel: int, count: int, seed: int) -> Tensor:
    images = 0.4 * torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    images[:, channel] += 0.4
    return images


@pytest.fixture(scope="module")
def net() -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    network[0].weight.data[:3, :, 0, 0] = 3 * torch.eye(3)
    network[4].weight.data[:, :3] = 9 * torch.eye(3)
    network[4].weight.data[:, 3:] = 0
    network[4].bias.data.zero_()
    return Classifier(network.eval(), None, 6)


OWN, KEEP = colored(0, 20, 0), torch.cat([colored(1, 10, 1), colored(2, 10, 2)])


@pytest.mark.parametrize("method", ["leace", "splince", "inlp", "mean_projection"])
def test_a_class_is_erased_from_positions_and_means_and_baked(net, method):
    found = find_units(net, OWN, 0, keep=KEEP, layers=["1"], method=method, progress=False)
    images = torch.cat([OWN, KEEP])
    z = torch.cat([torch.ones(20), torch.zeros(20)]).double()
    with torch.no_grad(), blinded(net, *found), borrow(net.network):
        a = read_activations(net.network, images, ["1"])["1"].double()
    before = covariance(read_activations(net.network, images, ["1"])["1"].double().mean((2, 3)), z)
    left = covariance(a.mean((2, 3)), z)
    assert float(left.detach().norm()) < (0.05 if method == "inlp" else 1e-6) * float(before.detach().norm())
    positions = covariance(a.movedim(1, 3).flatten(0, 2), z.repeat_interleave(36))
    torch.testing.assert_close(positions, left)
    baked = bake(net, *found)
    with torch.no_grad(), blinded(net, *found):
        torch.testing.assert_close(baked.network(images), net.network(images), atol=1e-5, rtol=0)
    assert len(found.evidence) == len(found[0])
    assert found.attempts[-1].held_out is False
    report = evaluate(net, found, {"own": (OWN, 0), "others": KEEP}, random_sets=3, progress=False)
    assert report.target_metrics.after.value == found.attempts[-1].target_kept / 20


def test_a_later_layer_is_erased_as_it_is_without_the_earlier_one(net):
    found = find_units(net, OWN, 0, keep=KEEP, layers=["1", "0"], method="leace", progress=False)
    assert [one.layer for one in found] == ["0", "1"]
    z = torch.cat([torch.ones(20), torch.zeros(20)]).double()
    with torch.no_grad(), blinded(net, *found), borrow(net.network):
        a = read_activations(net.network, torch.cat([OWN, KEEP]), ["0", "1"])
    for values in a.values():
        assert float(covariance(values.double().mean((2, 3)), z).abs().max()) < 1e-6


def test_labels_to_keep_do_not_covary_with_the_target(net):
    task = build_task(net, OWN, 0, KEEP, ["1"])
    labels = encode_labels_to_keep(task)
    assert labels.shape == (40, 2)
    assert float(covariance(labels, task.is_target.double()).abs().max()) < 1e-12
    assert labels[20:].sum(1).tolist() == [1.0] * 20


def test_conditional_erasure_is_no_affine_map_and_is_not_baked(net):
    found = find_units(net, OWN, 0, keep=KEEP, layers=["1"], method=MeanProjection(is_conditional=True), progress=False)
    assert isinstance(found[0], Projection)
    with pytest.raises(ValueError, match="within a range only"):
        bake(net, *found)


def test_channels_and_projections_of_other_layers_go_together(net):
    (erased,) = find_units(net, OWN, 0, keep=KEEP, layers=["1"], method="leace", progress=False)
    units = Channels("0", [5]), erased
    baked = bake(net, *units)
    with torch.no_grad(), blinded(net, *units):
        torch.testing.assert_close(baked.network(KEEP), net.network(KEEP), atol=1e-5, rtol=0)


def convolutions(images: Tensor) -> Classifier:
    """A network that calls some of the images each of its classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = (nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        network = nn.Sequential(*parts).eval()
    with torch.no_grad():
        network[2].bias -= network(images).mean(0)
    return Classifier(network, None, 20)


@pytest.mark.parametrize("method", [Leace(), Inlp(), MeanProjection()], ids=repr)
def test_batches_of_images_give_the_units_of_all_images_together(method):
    images = torch.rand(60, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    classifier = convolutions(images)
    shows = classifier.logits(images).argmax(1) == 2
    batches = ((images[start : start + 25], shows[start : start + 25].double()) for start in range(0, 60, 25))
    found = method.fit_batches(classifier, batches, "1")
    task = build_task(classifier, images[shows], 2, images[~shows], ["1"], progress=False)
    with borrow(classifier.network):
        (expected,) = method(task)
    a = torch.randn(9, 6, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(found.replace(a), expected.replace(a), atol=1e-8, rtol=0)


@pytest.mark.parametrize("method", [Leace(), Inlp()], ids=repr)
def test_a_label_that_no_row_has_changes_nothing(method):
    x = random_rows()
    labels = (x[:, 0] > 2).long() + (x[:, 1] > 2)
    found, expected = (method.fit(x, nn.functional.one_hot(labels, count)) for count in (5, 3))
    torch.testing.assert_close(found.replace(x), expected.replace(x), atol=1e-6, rtol=0)


def test_inlp_goes_on_while_a_rare_label_is_read_though_a_common_one_explains_as_much():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20000, 4, generator=generator, dtype=torch.float64)
    common, rare = torch.arange(20000) % 2, torch.arange(20000) % 100 == 0
    x[:, 0] += 0.07 * common
    x[:, 1] += 0.3 * rare
    z = torch.stack([common.double(), rare.double()], dim=1)
    erased = Inlp(max_accuracy=0.52).fit(x, z).replace(x)
    left = erased[rare].mean(0) - erased[~rare].mean(0)
    assert NormalDist().cdf(float(left.norm()) / 2) < 0.521


@pytest.mark.parametrize("broken", ["x", "z"])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_numbers_that_are_not_finite_are_refused(method, broken):
    x = random_rows()
    rows = {"x": x, "z": binary_labels(x)}
    rows[broken][3] = torch.nan
    with pytest.raises(NotFiniteError, match="features or labels are NaN or infinite"):
        method.fit(rows["x"], rows["z"])


@pytest.mark.parametrize(
    ("images", "labels", "error", "says"),
    [
        (lambda x: 255 * x, torch.arange(4) % 2, ValueError, "divide by 255"),
        (lambda x: x, torch.arange(3) % 2, ValueError, r"labels \(3,\) of 4 images; expected \(4,\)"),
        (lambda x: x, torch.tensor([0, 1, 0, torch.inf]), NotFiniteError, "labels are NaN"),
    ],
)
def test_batches_that_mean_nothing_are_refused(images, labels, error, says):
    batch = torch.rand(4, 3, 20, 20)
    with pytest.raises(error, match=says):
        Leace().fit_batches(convolutions(batch), [(images(batch), labels)], "2")


def test_batches_may_be_empty_and_of_layers_with_channels_last():
    class Swapped(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return self[1](self[0](x).permute(0, 2, 3, 1)).mean((1, 2))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(Swapped(nn.Conv2d(3, 7, 3), nn.Linear(7, 5)), None, 8)
        images = torch.rand(12, 3, 8, 8)
    labels = torch.arange(12) % 2
    units = Leace().fit_batches(net, [(images, labels), (images[:0], labels[:0])], "1")
    assert (units.layer, units.channel_axis) == ("1", -1)
    with torch.no_grad(), blinded(net, units):
        after = net.network(images).double()
    assert float(covariance(after, labels.double()).abs().max()) < 1e-6


def test_a_batch_may_be_one_image_in_any_form(tmp_path):
    net, labels = convolutions(torch.rand(4, 3, 20, 20)), (1, 0, 1)
    levels = torch.randint(256, (3, 20, 20, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures = [Image.fromarray(one.numpy()) for one in levels]
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    files = [tmp_path / f"{index}.png" for index in range(3)]
    found = [
        Leace().fit_batches(net, ((one, torch.tensor([label])) for one, label in zip(some, labels, strict=True)), "2")
        for some in (pictures, files)
    ]
    whole = Leace().fit_batches(net, [(files, torch.tensor(labels))], "2")
    for units in found:
        torch.testing.assert_close(units.projector(4), whole.projector(4), atol=1e-4, rtol=0)


def test_labels_are_not_rounded_to_the_dtype_of_features():
    x, z = random_rows()[:, :4].bfloat16(), torch.arange(ROWS)  # beyond 256 a bfloat16 holds no odd number
    torch.testing.assert_close(Leace().fit(x, z).projector(4), Leace().fit(x.double(), z).projector(4))


def test_inlp_says_where_its_directions_do_not_suffice():
    x = random_rows()
    z = binary_labels(x)
    needed = len(Inlp().fit(x, z))
    assert needed > 1
    with pytest.warns(UserWarning, match="still reads the labels, with a balanced accuracy of .*raise max_directions"):
        assert len(Inlp(max_directions=needed - 1).fit(x, z)) == needed - 1


def test_no_batches_are_refused():
    tiny = convolutions(torch.rand(4, 3, 20, 20))
    with pytest.raises(ValueError, match="no images to fit"):
        Leace().fit_batches(tiny, [], "2")


@pytest.mark.parametrize("count", [1000, 4000])
def test_what_a_sample_leaves_readable_is_as_its_size_says(count):
    """The best linear probe of normal features after LEACE: Φ(√(2C / n) / 2)."""
    channels, gap = 128, torch.zeros(128, dtype=torch.float64)
    gap[0] = 3.0
    generator = torch.Generator().manual_seed(count)
    z = torch.arange(2 * count) % 2
    x = torch.randn(2 * count, channels, generator=generator, dtype=torch.float64) + z[:, None] * gap
    units = Leace().fit(x, z)
    zero = units.replace(torch.zeros(1, channels, dtype=torch.float64))
    linear = units.replace(torch.eye(channels, dtype=torch.float64)) - zero
    left = units.replace(gap[None]) - zero
    distance = float((left @ torch.linalg.pinv(linear.T @ linear, rtol=1e-9) @ left.T).sqrt())
    assert distance == pytest.approx((2 * channels / count) ** 0.5, rel=0.15)
