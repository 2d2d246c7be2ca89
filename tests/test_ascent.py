"""ascend: each step is an update of torch's optimizer by torch's gradient, and nothing else changes."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap
from functools import partial
from itertools import islice, pairwise

import pytest
import torch
from torch import nn

from optvis import IMAGENET, Classifier, ascend
from optvis.errors import NotFiniteError
from optvis.objectives import IMAGE, channel, on, total_variation
from optvis.params import ImageParam, Pixels, Sigmoid, Streams, fft_image, pixel_image
from optvis.rendering import Prior
from optvis.rendering.optimizers import describe_optimizer
from optvis.rendering.steps.step import Step
from optvis.transforms import STANDARD, Compose

SGD = partial(torch.optim.SGD, lr=0.5)


def by_hand(network, image, score, steps, optimizer, transform=None, priors=()):
    """Gradient ascent written out, with backward() through a copy of the network; returns images and scores.

    Priors are pairs of a function of the images and a share.
    """
    network = copy.deepcopy(network).eval()
    update = optimizer(image.parameters())
    streams = Streams((0,) * len(image), "transform")
    seen = []
    for index in range(steps):
        update.zero_grad()
        images = image()
        shown = images if transform is None else transform(images, streams.seek(index))
        scores = score(network(IMAGENET(shown)))
        seen.append((images.detach().clone(), scores.detach()))
        (total,) = torch.autograd.grad(-scores.sum(), images, retain_graph=True)
        size = total.square().mean((1, 2, 3), keepdim=True).sqrt()
        for penalty, share in priors:
            (own,) = torch.autograd.grad(penalty(images).sum(), images, retain_graph=True)
            total = total + own * share * size / own.square().mean((1, 2, 3), keepdim=True).sqrt()
        images.backward(total)
        update.step()
    return seen


@pytest.mark.parametrize("transform", [None, STANDARD], ids=["still", "standard"])
@pytest.mark.parametrize("make", [fft_image, pixel_image])
@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize(
    "optimizer", [SGD, partial(torch.optim.Adam, lr=0.05), partial(torch.optim.RMSprop, lr=0.01, centered=True)]
)
def test_it_is_gradient_ascent_as_written_by_hand(small, make, optimizer, transform, share):
    def contrast(images):
        return images.flatten(1).var(1)

    network = nn.Sequential(*list(small.network)[:5])
    classifier = Classifier(network, IMAGENET, 20)
    expected = by_hand(
        network,
        make(20, seeds=(0, 0)).double(),
        lambda a: a[torch.arange(2), torch.tensor([1, 4])].mean((1, 2)),
        4,
        optimizer,
        transform,
        [(contrast, share)],
    )
    image = make(20, seeds=(0, 0)).double()
    options = {"optimizer": optimizer, "transform": transform, "redirect_steps": 0}
    loop = ascend(classifier, channel("", [1, 4]), image, priors=[Prior(on(IMAGE, contrast), share)], **options)
    for step, (images, scores) in zip(loop, expected, strict=False):
        torch.testing.assert_close(step.images, images, atol=1e-9, rtol=0)
        torch.testing.assert_close(step.scores, scores, atol=1e-9, rtol=0)


def test_steps_are_numbered_and_report_each_term(small):
    objective = channel("conv2", 1) - 0.01 * total_variation()
    for index, step in enumerate(islice(ascend(small, objective, size=16), 3)):
        assert isinstance(step, Step)
        assert step.index == index
        assert list(step.report) == ["channel conv2", "total_variation <image>"]
        torch.testing.assert_close(sum(step.report.values()), step.scores)
        assert not step.images.requires_grad
        assert not step.scores.requires_grad


def test_a_steps_images_are_those_before_its_update_and_stay_so(small):
    image = pixel_image(16).double()
    first = image().detach().clone()
    kept = [step.images for step in islice(ascend(small, channel("conv1", 0), image), 3)]
    assert torch.equal(kept[0], first)
    assert not torch.equal(kept[1], kept[0])


class Raw(nn.Module):
    """A parameterization whose output is its parameter itself."""

    def __init__(self, size=16):
        super().__init__()
        self.pixels = nn.Parameter(torch.full((1, 3, size, size), 0.5))

    def forward(self):
        return self.pixels


@pytest.mark.parametrize("make", [Raw, lambda: ImageParam(Pixels(16, Streams((0,), "canvas")))])
def test_a_steps_images_stay_so_even_where_they_are_the_parameters_themselves(network, make):
    image = make()
    first = image().detach().clone()
    loop = ascend(network, channel("conv1", 0), image, normalize=None, optimizer=SGD)
    kept = [step.images for step in islice(loop, 3)]
    assert torch.equal(kept[0], first)
    assert not torch.equal(kept[1], kept[0])


def test_the_given_image_is_updated_in_place(small):
    image = fft_image(16).double()
    before = [values.detach().clone() for values in image.parameters()]
    next(ascend(small, channel("conv1", 0), image))
    assert all(not torch.equal(new, old) for new, old in zip(image.parameters(), before, strict=True))


def test_frozen_parameters_of_an_image_stay(small):
    image = ImageParam(Pixels(16, Streams((0, 1), "canvas")), Sigmoid()).double()
    image.register_parameter("extra", nn.Parameter(torch.ones(2), requires_grad=False))
    before = image.extra.clone()
    next(ascend(small, channel("conv1", 0), image))
    assert torch.equal(image.extra, before)
    assert image.extra.grad is None


def test_errors_come_at_the_call_not_at_the_first_step(small):
    for wrong, error in ((channel("nowhere", 0), KeyError), (channel("conv1", 99), IndexError)):
        with pytest.raises(error):
            ascend(small, wrong)


def test_two_loops_may_run_at_once(small):
    objectives = channel("conv2", 1), channel("conv2", 2)
    apart = [[s.images for s in islice(ascend(small, objective, size=16), 3)] for objective in objectives]
    loops = [ascend(small, objective, size=16) for objective in objectives]
    mixed = [[step.images for step in pair] for pair in zip(*(islice(loop, 3) for loop in loops), strict=True)]
    for place in range(2):
        for index in range(3):
            assert torch.equal(mixed[index][place], apart[place][index])


def test_a_loop_that_is_never_ended_says_nothing_when_python_exits():
    code = """
        from torch import nn
        from optvis import Classifier, ascend
        from optvis.objectives import channel

        loop = ascend(Classifier(nn.Conv2d(3, 4, 3), None, 8), channel("", 0), size=8)
        next(loop)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_it_works_where_gradients_are_switched_off(small):
    with torch.no_grad():
        steps = list(islice(ascend(small, channel("conv2", 1), size=16), 2))
    assert not torch.equal(steps[0].images, steps[1].images)


@pytest.mark.parametrize("make", [fft_image, pixel_image])
def test_lbfgs_raises_the_score_and_repeats(small, make):
    optimizer = partial(torch.optim.LBFGS, lr=1, max_iter=4, line_search_fn="strong_wolfe")
    runs = []
    for _ in range(2):
        loop = ascend(
            small, channel("conv2", 1), make(16).double(), optimizer=optimizer, transform=None, redirect_steps=0
        )
        runs.append(list(islice(loop, 4)))
    assert all(torch.equal(a.images, b.images) for a, b in zip(*runs, strict=True))
    scores = [float(step.scores) for step in runs[0]]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]


def test_lbfgs_sees_the_same_transforms_at_each_evaluation_of_a_step(small):
    """A line search on a function that changes under it would fail."""
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x.detach().clone())
            return x

    loop = ascend(
        small,
        channel("conv2", 1),
        pixel_image(16, sd=0).double(),
        transform=Compose(STANDARD, Spy()),
        optimizer=partial(torch.optim.LBFGS, lr=0, max_iter=3, tolerance_change=-1, tolerance_grad=-1),
    )
    next(loop)
    assert len(seen) >= 3
    assert all(torch.equal(x, seen[1]) for x in seen[2:])


@pytest.mark.parametrize("at", [0, 3])
def test_a_score_that_is_not_finite_stops_with_step_and_term_and_the_image_as_before(small, at):
    image = pixel_image(16).double()
    seen = []

    def broken(a):
        seen.append(image().detach().clone())
        return a.flatten(1).mean(1) * (float("nan") if len(seen) > at else 1)

    loop = ascend(small, channel("conv2", 0) + on("conv1", broken), image)
    with pytest.raises(NotFiniteError, match=rf"step {at}: the score of 'broken conv1' is nan for image 0") as caught:
        for _ in loop:
            pass
    assert "image is as before" in str(caught.value)
    assert torch.equal(image(), seen[at])
    assert image().isfinite().all()
    assert list(loop) == []


def test_the_image_whose_score_is_not_finite_is_named(small):
    def broken(a):
        return a.flatten(1).mean(1) / torch.tensor([1.0, 0.0, 1.0], dtype=a.dtype)

    with pytest.raises(NotFiniteError, match=r"'broken conv1' is -?inf for image 1"):
        next(ascend(small, on("conv1", broken), seed=(0, 1, 2)))


def test_a_gradient_that_is_not_finite_stops_though_the_score_is(small):
    image = pixel_image(16).double()
    before = image().detach().clone()

    def rooted(a):
        return (a.flatten(1).mean(1) * 0).abs().sqrt()

    with pytest.raises(NotFiniteError, match=r"step 0: the gradient of 'rooted conv1' is not finite") as caught:
        next(ascend(small, on("conv1", rooted), image))
    assert "division at zero" in str(caught.value)
    assert torch.equal(image(), before)


@pytest.mark.parametrize(
    "function", [lambda a: a.new_ones(len(a)), lambda a: a.detach().flatten(1).mean(1)], ids=["constant", "detached"]
)
def test_an_objective_that_ignores_the_image_is_refused(small, function):
    with pytest.raises(ValueError, match="does not depend on the image"):
        next(ascend(small, on("conv1", function)))


def test_relu_gradients_are_redirected_for_so_many_steps(small):
    """The image of a dead channel changes while gradients are redirected, and not afterwards."""
    with torch.no_grad():
        small.network.conv2.bias[3] = -1e3
    options = {"param": None, "size": 16, "transform": None, "optimizer": SGD}
    stuck = [s.images for s in islice(ascend(small, channel("relu2", 3), redirect_steps=0, **options), 3)]
    assert torch.equal(stuck[0], stuck[2])
    moved = [s.images for s in islice(ascend(small, channel("relu2", 3), redirect_steps=2, **options), 5)]
    changes = [not torch.equal(a, b) for a, b in pairwise(moved)]
    assert changes == [True, True, False, False]


def test_a_fixed_size_network_is_shown_its_own_size_whatever_the_canvas():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.fc = nn.Flatten(), nn.Linear(3 * 8 * 8, 2)

        def forward(self, x):
            return self.fc(self.flat(x))

    classifier = Classifier(Fixed(), None, 8, fixed_size=True)
    for size in (8, 20, (5, 11)):
        step = next(ascend(classifier, channel("", 1), size=size))
        assert tuple(step.images.shape[2:]) == (size if isinstance(size, tuple) else (size, size))


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (partial(torch.optim.Adam, lr=0.05), "Adam(lr=0.05)"),
        (torch.optim.SGD, "SGD"),
        (lambda values: torch.optim.SGD(values, 1), "<lambda>"),
        (partial(torch.optim.LBFGS, max_iter=3), "LBFGS(max_iter=3)"),
    ],
)
def test_an_optimizer_is_named_in_recipes(optimizer, text):
    assert describe_optimizer(optimizer) == text
