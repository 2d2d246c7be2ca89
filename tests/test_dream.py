"""dream: gradient ascent on pixels as written by hand, in octaves and tiles, from any image."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from optvis import IMAGENET, Classifier, dream
from optvis.errors import NotFiniteError
from optvis.objectives import channel, gram, layer_norm, mean_square, on
from optvis.params import Streams
from optvis.rendering.dreams.dream import black_start, divide_by_std, identity, noise_start
from optvis.rendering.dreams.octaves import Octaves, tiles
from optvis.rendering.dreams.video import dream_video
from optvis.viz import read_video

quiet = partial(dream, progress=False)


@pytest.fixture
def photo():
    return torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(0))


def by_hand(network, image, steps, step_size, scale):
    """DeepDream without octaves or tiles: shift, L2 norm of conv2, gradient, step, clip."""
    body = copy.deepcopy(network).eval()[:5]
    streams = Streams((0,), "dream")
    scores = []
    for index in range(steps):
        shift = (streams.seek(index).uniform(2)[0] * torch.tensor(image.shape[2:])).long().tolist()
        rolled = image.roll(shift, (2, 3)).detach().requires_grad_()
        score = body(IMAGENET(rolled)).square().sum().sqrt()
        (gradient,) = torch.autograd.grad(score, rolled)
        gradient = gradient.roll([-s for s in shift], (2, 3))
        if scale:
            gradient = gradient / gradient.std()
        image = (image + step_size * gradient).clamp(0, 1)
        scores.append(score.detach())
    return image, torch.stack(scores)


@pytest.mark.parametrize(("scaling", "step_size"), [(divide_by_std, 0.02), (identity, 0.5)])
def test_one_octave_is_gradient_ascent_as_written_by_hand(small, photo, scaling, step_size):
    made = quiet(small, photo, layer_norm("conv2"), steps=4, octaves=1, step_size=step_size, gradient_scaling=scaling)
    expected, scores = by_hand(small.network, photo.double(), 4, step_size, scaling is divide_by_std)
    torch.testing.assert_close(made.images, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(made.scores[:, 0], scores, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "objective", [layer_norm("conv2"), 1e-5 * gram("conv2"), mean_square("conv2"), channel("conv2", 3)]
)
def test_every_usual_loss_grows(small, photo, objective):
    made = quiet(small, photo, objective, steps=6, octaves=1)
    assert made.scores[-1] > made.scores[0]
    assert made.images.shape == photo.shape


def test_no_steps_give_the_image_back(small, photo):
    for options in ({"octaves": 1}, {"octaves": 3}, {"octaves": Octaves(2, passes=3)}):
        made = quiet(small, photo, layer_norm("conv2"), steps=0, **options)
        torch.testing.assert_close(made.images, photo.double(), atol=1e-6, rtol=0)
        assert made.scores.shape == (0, 1)


def test_pixels_stay_in_range_whatever_the_step(small, photo):
    made = quiet(small, photo, layer_norm("conv2"), steps=3, step_size=50.0)
    assert made.images.min() == 0
    assert made.images.max() == 1


def test_the_gradient_over_its_deviation_has_deviation_one_in_each_image():
    gradient = torch.randn(3, 3, 8, 8) * torch.tensor([1e-3, 1.0, 1e3]).view(3, 1, 1, 1)
    torch.testing.assert_close(divide_by_std(gradient).flatten(1).std(1), torch.ones(3), atol=1e-4, rtol=0)
    assert divide_by_std(torch.zeros(1, 3, 4, 4)).abs().sum() == 0
    assert identity(gradient) is gradient


def test_a_factor_of_the_objective_has_no_effect(small, photo):
    once = quiet(small, photo, layer_norm("conv2"), steps=3)
    louder = quiet(small, photo, 1000 * layer_norm("conv2"), steps=3)
    torch.testing.assert_close(once.images, louder.images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(100, 140), (33, 47), (5, 5)])
def test_octaves_grow_by_their_scale_to_the_whole(size):
    sizes = Octaves(4, 1.4).sizes(size)
    assert sizes[-1] == size
    for place, sides in enumerate(reversed(sizes)):
        assert all(abs(side - whole / 1.4**place) <= 0.5 for side, whole in zip(sides, size, strict=True))


def test_octaves_smaller_than_a_tile_are_left_out():
    assert Octaves(4, 1.4, tile_size=60).sizes((100, 140)) == [(71, 100), (100, 140)]
    assert Octaves(4, 1.4, tile_size=60).sizes((10, 10)) == [(10, 10)]


def test_each_octave_is_seen_at_its_size(small, photo):
    seen = []
    small.network.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    made = quiet(small, photo, layer_norm("conv1"), steps=2, octaves=Octaves(3, 1.3))
    expected = [sides for sides in Octaves(3, 1.3).sizes((20, 26)) for _ in range(2)]
    assert seen[-6:] == expected
    assert made.recipe["octaves"] == [list(sides) for sides in Octaves(3, 1.3).sizes((20, 26))]
    assert made.scores.shape == (6, 1)


def test_the_images_detail_survives_the_small_octaves(small):
    """The change of the small octaves is enlarged; the image itself is never resized twice."""
    checks = torch.zeros(1, 3, 24, 24)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1
    made = quiet(small, checks, layer_norm("conv2"), steps=1, octaves=4, step_size=1e-4)
    assert (made.images - checks).abs().max() < 0.01


@pytest.mark.parametrize("size", [(50, 30), (30, 30), (31, 64), (7, 90)])
@pytest.mark.parametrize("side", [None, 30, 16])
def test_tiles_cover_every_pixel_and_lie_within(size, side):
    seen = torch.zeros(size)
    for rows, columns in tiles(size, side):
        piece = seen[rows, columns]
        if side is not None:
            assert piece.shape == (min(side, size[0]), min(side, size[1]))
        piece += 1
    assert seen.min() >= 1


def test_no_piece_is_larger_than_a_tile_so_memory_does_not_grow(small):
    seen = []
    small.network.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    quiet(small, torch.rand(1, 3, 40, 61), layer_norm("conv2"), steps=1, octaves=Octaves(2, tile_size=16))
    assert seen
    assert set(seen) == {(1, 3, 16, 16)}


def test_a_tile_as_large_as_the_canvas_is_the_canvas(small, photo):
    square = photo[..., :20]
    whole = quiet(small, square, layer_norm("conv2"), steps=3, octaves=1)
    tiled = quiet(small, square, layer_norm("conv2"), steps=3, octaves=Octaves(1, tile_size=20))
    assert torch.equal(whole.images, tiled.images)


def test_tiles_of_a_network_that_sees_single_pixels_are_the_whole():
    """A network of 1 × 1 convolutions shows no seams; shifts differ, and have no effect."""
    network = Classifier(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softplus()), None, 8)
    total = on("1", lambda a: a.flatten(1).sum(1))
    image = torch.rand(1, 3, 16, 24)
    whole = quiet(network, image, total, steps=3, octaves=1)
    tiled = quiet(network, image, total, steps=3, octaves=Octaves(1, tile_size=8))
    torch.testing.assert_close(whole.images, tiled.images, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.scores, tiled.scores)


def test_passes_feed_the_result_back(small, photo):
    """Two passes are one pass from the result of the first, but for the shifts, which go on."""
    twice = quiet(small, photo, layer_norm("conv2"), steps=2, octaves=Octaves(1, passes=2))
    longer = quiet(small, photo, layer_norm("conv2"), steps=4, octaves=1)
    torch.testing.assert_close(twice.images, longer.images, atol=1e-9, rtol=0)
    assert twice.scores.shape == (4, 1)


def test_the_start_can_be_noise_black_or_any_form_of_image(small, tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (26, 20), (10, 200, 90)).save(path)
    for start in (noise_start((20, 26)), black_start((20, 26)), path, str(path), Image.open(path)):
        made = quiet(small, start, layer_norm("conv2"), steps=1, octaves=1)
        assert made.images.shape == (1, 3, 20, 26)
        assert made.images.isfinite().all()


def test_noise_is_the_same_for_the_same_seed_and_black_is_black():
    assert torch.equal(noise_start(9, 3), noise_start((9, 9), 3))
    assert not torch.equal(noise_start(9, 3), noise_start(9, 4))
    assert abs(float(noise_start(64).mean()) - 0.5) < 0.01
    assert abs(float(noise_start(64).std()) - 0.1) < 0.01
    assert black_start((2, 3)).shape == (1, 3, 2, 3)
    assert black_start(4).abs().sum() == 0


def test_a_black_image_changes(small):
    made = quiet(small, black_start(20), layer_norm("conv2"), steps=3, octaves=1)
    assert made.images.max() > 0


@pytest.mark.parametrize(("size", "expected"), [(13, (10, 13)), (52, (40, 52)), (None, (20, 26))])
def test_the_image_is_resized_to_its_longer_side(small, photo, size, expected):
    made = quiet(small, photo, layer_norm("conv2"), steps=1, octaves=1, size=size)
    assert tuple(made.images.shape[2:]) == expected


def test_each_image_is_the_same_as_alone(small):
    photos = [torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    together = quiet(small, photos, channel("conv2", [1, 5, 9]), steps=2, octaves=2)
    for place, one in enumerate(photos):
        alone = quiet(small, one, channel("conv2", [1, 5, 9][place]), steps=2, octaves=2)
        torch.testing.assert_close(alone.images[0], together.images[place], atol=1e-10, rtol=0)


def test_the_same_call_dreams_the_same_and_another_seed_another(small, photo):
    first, again, other = (quiet(small, photo, layer_norm("conv2"), steps=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_snapshots_are_the_images_after_each_octave(small, photo):
    made = quiet(small, photo, layer_norm("conv2"), steps=2, octaves=Octaves(2, passes=2), snapshots=True)
    assert list(made.snapshots) == [2, 4, 6, 8]
    assert all(images.shape == photo.shape for images in made.snapshots.values())
    torch.testing.assert_close(made.snapshots[8], made.images, atol=1e-12, rtol=0)


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_an_interrupt_returns_what_is_there(small, photo, at):
    small.network.fuse.arm(KeyboardInterrupt(), at)
    made = quiet(small, photo, layer_norm("conv2"), steps=2, octaves=3)
    assert made.recipe["interrupted"] is True
    assert len(made.scores) == at - 1
    assert made.images.shape == photo.shape
    assert made.images.isfinite().all()
    small.network.fuse.error = None
    assert quiet(small, photo, layer_norm("conv2"), steps=2, octaves=3).recipe["interrupted"] is False


def test_a_score_that_is_not_finite_stops_by_step_with_the_images_so_far(small, photo):
    calls = []

    def broken(a):
        calls.append(1)
        return a.flatten(1).mean(1) * (float("nan") if len(calls) == 4 else 1)

    with pytest.raises(NotFiniteError, match=r"step 3: the score of .*broken") as caught:
        quiet(small, photo, on("conv1", broken), steps=2, octaves=3)
    assert caught.value.rendering.images.isfinite().all()
    assert caught.value.rendering.images.shape == photo.shape


def test_a_gradient_that_is_not_finite_stops_though_the_score_is(small, photo):
    with pytest.raises(NotFiniteError, match="step 0: the gradient of"):
        quiet(small, photo, on("conv1", lambda a: (a.flatten(1).mean(1) * 0).abs().sqrt()), octaves=1)


@pytest.mark.parametrize("function", [lambda a: a.new_ones(len(a)), lambda a: a.detach().flatten(1).mean(1)])
def test_an_objective_that_ignores_the_image_is_refused(small, photo, function):
    with pytest.raises(ValueError, match="does not depend on the image"):
        quiet(small, photo, on("conv1", function))


class Fixed(nn.Module):
    """Takes 8 pixels only."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(192, 2)

    def forward(self, x):
        return self.fc(x.flatten(1))


def test_a_network_of_fixed_size_dreams_in_tiles_of_its_own():
    network = Classifier(Fixed(), None, 8, fixed_size=True)
    made = quiet(network, torch.rand(3, 20, 30), channel("", 0), steps=2, octaves=3)
    assert made.images.shape == (1, 3, 20, 30)
    assert made.recipe["tile_size"] == 8
    with pytest.raises(ValueError, match=r"takes tiles of 8 px only.*size="):
        quiet(network, torch.rand(3, 6, 30), channel("", 0))
    with pytest.raises(ValueError, match="tile_size is 9; Fixed takes tiles of 8 px only"):
        quiet(network, torch.rand(3, 20, 30), channel("", 0), octaves=Octaves(tile_size=9))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_of_other_precision_dream_too(network, photo, dtype):
    made = quiet(Classifier(network.to(dtype), IMAGENET, 20), photo, layer_norm("conv2"), steps=2)
    assert made.images.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert made.images.isfinite().all()


def test_the_given_image_is_not_changed(small):
    """Not even where it needs no conversion."""
    given = torch.rand(1, 3, 20, 20, dtype=torch.float64)
    before = given.clone()
    quiet(small, given, layer_norm("conv2"), steps=2, octaves=1)
    assert torch.equal(given, before)


def test_a_function_of_ones_own_can_scale(small, photo):
    made = quiet(small, photo, layer_norm("conv2"), steps=1, octaves=1, gradient_scaling=torch.sign, step_size=0.1)
    moved = (made.images - photo).abs()
    assert F.relu(moved - 0.1 - 1e-6).max() == 0
    assert made.recipe["gradient_scaling"] == "sign"


# A video


def test_each_frame_starts_from_the_dream_before_it(small, photo):
    frames = [photo[0], photo[0].flip(1), 0.5 * photo[0]]
    how = {"steps": 2, "octaves": 1}
    made = dream_video(small, frames, layer_norm("conv2"), blend=0.25, **how, progress=False)
    assert list(made.snapshots) == [0, 1, 2]
    assert (made.recipe["method"], made.recipe["frames"], len(made.scores)) == ("dream_video", 3, 6)
    before = quiet(small, frames[0], layer_norm("conv2"), **how).images
    torch.testing.assert_close(made.snapshots[0], before)
    for index, frame in enumerate(frames[1:], start=1):
        before = quiet(small, 0.25 * before + 0.75 * frame[None], layer_norm("conv2"), **how).images
        torch.testing.assert_close(made.snapshots[index], before)
    assert torch.equal(made.images, made.snapshots[2])


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_file_is_read_dreamt_and_written_again(small, tmp_path, suffix):
    levels = torch.linspace(0, 1, 5).view(5, 1, 1, 1).expand(5, 3, 24, 32)
    still = dream_video(small, levels, layer_norm("conv2"), steps=0, blend=0.0, progress=False)
    path = still.animate(tmp_path / f"levels{suffix}").path
    read = torch.stack(list(read_video(path)))
    torch.testing.assert_close(read, levels, atol=0.03, rtol=0)
    torch.testing.assert_close(torch.stack(list(read_video(path, every=2, count=2))), read[[0, 2]])
    made = dream_video(small, path, layer_norm("conv2"), steps=1, progress=False)
    assert len(made.snapshots) == 5


def test_what_is_no_video_is_told(small, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"x\.mp4' is no video that can be read"):
        list(read_video(tmp_path / "x.mp4"))
    with pytest.raises(FileNotFoundError, match="no file"):
        read_video(tmp_path / "none.mp4")
    sizes = [torch.rand(3, 8, 8), torch.rand(3, 9, 8)]
    for frames, says in (([], "no frames"), (sizes, r"frame 1 is \(9, 8\); expected \(8, 8\)")):
        with pytest.raises(ValueError, match=says):
            dream_video(small, frames, layer_norm("conv2"), steps=0, octaves=1, progress=False)
    with pytest.raises(ValueError, match="blend is 1"):
        dream_video(small, [torch.rand(3, 8, 8)], layer_norm("conv2"), blend=1.0)


def frames_before(error, photo):
    """Two frames, and an error where the third is read."""
    yield photo[0]
    yield photo[0]
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NotFiniteError("NaN")], ids=lambda one: type(one).__name__)
def test_what_ends_a_video_leaves_the_frames_before_it(small, photo, error):
    frames, how = frames_before(error, photo), {"steps": 1, "octaves": 1, "progress": False}
    run = partial(dream_video, small, frames, layer_norm("conv2"), **how)
    if isinstance(error, KeyboardInterrupt):
        made = run()
        assert made.recipe["interrupted"]
    else:
        with pytest.raises(NotFiniteError) as raised:
            run()
        made = raised.value.rendering
    assert (list(made.snapshots), made.recipe["method"], made.recipe["frames"]) == ([0, 1], "dream_video", 2)
