"""Properties of every parameterization that is listed in param_members.py."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import optvis.params
from optvis import Classifier, render
from optvis.objectives import channel
from optvis.params import CPPN, FFT, ImageParam, Phase, Pixels, Pyramid, SharedLowRes

from .param_members import MEMBERS, Member

SIZES = [(8, 8), (7, 7), (6, 9), (5, 8), (17, 23), (1, 1), (1, 6), (7, 1)]
MAKERS = {"alpha_image", "channels_image", "cppn_image", "fft_image", "fix_images", "fix_region", "grayscale_image"}
MAKERS |= {"phase_image", "pixel_image", "pyramid_image", "shared_image"}
PARTS = {
    "CPPN",
    "FFT",
    "DecorrelatedColor",
    "FixedRegion",
    "Grayscale",
    "Phase",
    "Pixels",
    "Pyramid",
    "SharedLowRes",
    "Sigmoid",
}
OTHERS = {"Canvas", "ColorMap", "IMAGENET_COLOR", "ImageParam", "Streams"}
OTHERS |= {"mean_spectrum", "color_matrix", "one_over_f"}

each_member = pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
at_each_size = pytest.mark.parametrize("size", SIZES, ids=str)
CANVASES = (CPPN, FFT, Phase, Pixels, Pyramid, SharedLowRes)


@torch.no_grad()
def perturb(image: ImageParam) -> ImageParam:
    """Move the parameters far from their first values, as after some steps."""
    generator = torch.Generator().manual_seed(1)
    for values in image.parameters():
        values += 0.3 * torch.randn(values.shape, generator=generator, dtype=torch.float64).to(values)
    return image


def render_images(image: ImageParam) -> Tensor:
    return image().detach()


def test_every_public_name_is_listed() -> None:
    assert set(optvis.params.__all__) == MAKERS | PARTS | OTHERS
    params = [member.make((8, 8), (0, 1)) for member in MEMBERS.values()]
    assert {type(image.canvas) for image in params} == set(CANVASES)
    assert {type(part).__name__ for image in params for part in (image.canvas, *image.maps)} == PARTS


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("size", [(6, 9), (7, 8), (1, 5), (17, 4)], ids=str)
@each_member
def test_images_equal_the_oracles(member: Member, size: tuple[int, int]) -> None:
    image = perturb(member.make(size, (3, 4)))
    for index, found in enumerate(render_images(image)):
        values = [p.detach().numpy()[min(index, len(p) - 1)] for p in image.parameters()]
        if member.oracle is not None:
            assert_close(found, torch.from_numpy(member.oracle(values, size)), rtol=0, atol=1e-6)


@each_member
@at_each_size
def test_any_size_and_both_precisions(member: Member, size: tuple[int, int], dtype: torch.dtype) -> None:
    image = perturb(member.make(size, (0, 1)))
    found = render_images(image)
    assert found.shape == (2, member.channels, *size)
    assert found.dtype == dtype
    assert found.isfinite().all()
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert (len(image), image.size) == (2, size)
    assert_close(render_images(copy.deepcopy(image).double()), found.double(), rtol=0, atol=2e-5)
    gradients = torch.autograd.grad(image().square().sum(), list(image.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


@each_member
@at_each_size
def test_fill_sets_the_output(member: Member, size: tuple[int, int], dtype: torch.dtype) -> None:
    image = perturb(member.make(size, (0, 2)))
    generator = torch.Generator().manual_seed(5)
    wanted = member.fillable(0.01 + 0.98 * torch.rand(2, member.channels, *size, generator=generator))
    if not member.fills:
        before = render_images(image)
        with pytest.raises(TypeError, match=f"a {type(image.canvas).__name__} cannot start from an image"):
            image.fill_(wanted)
        assert torch.equal(render_images(image), before)
        return
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    assert image.fill_(wanted) is image
    assert_close(render_images(image), wanted, rtol=0, atol=tolerance)
    image.fill_(wanted[:1])
    assert_close(render_images(image), wanted[:1].repeat(2, 1, 1, 1), rtol=0, atol=tolerance)
    even = member.fillable(torch.full_like(wanted, 0.25))
    gradients = torch.autograd.grad(image.fill_(even)().sum(), list(image.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert_close(render_images(image), even, rtol=0, atol=tolerance)


@each_member
def test_an_image_starts_the_same_alone_and_in_a_batch_and_a_slice_has_its_rows(member: Member) -> None:
    together = member.make((6, 9), (5, 6, 5, 2))
    if member.couples_images:
        assert together.couples_images
        with pytest.raises(ValueError, match=r"couples images, .* with no slice or batch_size"):
            together[1:2]
        return
    for index, seed in enumerate((5, 6, 5, 2)):
        alone = member.make((6, 9), (seed,))
        assert_close(render_images(alone), render_images(together)[index : index + 1], rtol=0, atol=1e-6)
    perturb(together)
    for rows in (slice(1, 2), slice(2, None), slice(None, None, 3)):
        part, before = together[rows], render_images(together)
        assert type(part) is type(together)
        assert_close(render_images(part), before[rows], rtol=0, atol=1e-6)
        assert len(part) == len(before[rows])
        perturb(part).double()
        assert torch.equal(render_images(together), before)
        assert render_images(together).dtype == before.dtype
    assert member.same_at_first or not torch.equal(render_images(together)[0], render_images(together)[1])


@each_member
def test_gradients_stay_in_their_own_image(member: Member) -> None:
    image = perturb(member.make((6, 9), (1, 3)))
    for gradient in torch.autograd.grad(image()[0].square().sum(), list(image.parameters())):
        assert gradient[0].any()
        assert member.couples_images or not gradient[1].any()


@each_member
def test_the_state_can_be_saved_and_loaded(member: Member, tmp_path: Any) -> None:
    saved, other = perturb(member.make((5, 8), (1, 3))), member.make((5, 8), (4, 6))
    if member.fills:
        saved.fill_(member.fillable(torch.rand(2, member.channels, 5, 8, generator=torch.Generator().manual_seed(0))))
    torch.save(saved.state_dict(), tmp_path / "image.pt")
    other.load_state_dict(torch.load(tmp_path / "image.pt"))
    assert torch.equal(render_images(saved), render_images(other))
    assert torch.equal(render_images(pickle.loads(pickle.dumps(saved))), render_images(saved))


@each_member
def test_the_repr_evaluates_to_an_equal_one(member: Member) -> None:
    image = member.make((5, 8), (7, 9))
    if not member.has_code_repr:
        assert "sha256" in repr(image)
        return
    names = {**vars(optvis.params), "torch": torch}
    again = eval(repr(image), names)
    assert repr(again) == repr(image)
    assert torch.equal(render_images(again), render_images(image))
    if not member.couples_images:
        assert torch.equal(render_images(eval(repr(image[1:]), names)), render_images(image[1:]))


@each_member
def test_it_renders_alike_in_chunks_and_at_once(member: Member) -> None:
    """Chunks change the order of some sums, hence float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(nn.Conv2d(member.channels, 4, 3, padding=1).double(), None, (6, 9))
    objective = channel("", [0, 2, 3])
    one, other = (member.make((6, 9), (5, 6, 7)).double() for _ in range(2))
    options: dict[str, Any] = {"steps": 3, "progress": False, "transform": None}
    together = render(net, objective, one, **options)
    assert_close(render_images(one).cpu(), together.images, rtol=0, atol=1e-12)
    if member.couples_images:
        with pytest.raises(ValueError, match="with no slice or batch_size"):
            render(net, objective, other, batch_size=2, **options)
        return
    apart = render(net, objective, other, batch_size=2, **options)
    assert_close(apart.images, together.images, rtol=0, atol=1e-9)
    assert_close(render_images(other).cpu(), together.images, rtol=0, atol=1e-9)
    assert together.scores[-1].sum() > together.scores[0].sum() or "fixed" in repr(member.make)
