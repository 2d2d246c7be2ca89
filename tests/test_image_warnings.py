"""Warnings about images: at a ceiling, outside [0, 1]; and nothing where all is well."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from optvis import Classifier, accentuate, dream, load, maco, render
from optvis.models.borrow import borrow
from optvis.objectives import channel, logit, neuron, total_variation
from optvis.params import fft_image, pixel_image
from optvis.rendering.image_warnings.ceiling import find_ceilings

BOUNDED = {
    "ReLU6": nn.ReLU6(),
    "in place": nn.ReLU6(inplace=True),
    "hardtanh": nn.Hardtanh(0, 2),
    "hardsigmoid": nn.Hardsigmoid(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
}
UNBOUNDED = {"relu": nn.ReLU(), "gelu": nn.GELU(), "hardswish": nn.Hardswish(), "identity": nn.Identity()}
FUNCTIONS = {
    "relu6": F.relu6,
    "clamp": lambda x: x.clamp(0, 3),
    "clamp from above": lambda x: x.clamp(max=3),
    "sigmoid": torch.sigmoid,
}


class Apply(nn.Module):
    """A function without a module of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def bounded(function):
    """A network of which channel 0 is always at the top of a function, and channel 1 far below."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), function, nn.AvgPool2d(2), nn.Flatten(), nn.Linear(100, 3)
    )
    with torch.no_grad():
        net[0].weight[:2] *= 0.1
        net[0].bias[:2] = torch.tensor([40.0, 0.0])
    return Classifier(net, None, 12, name="bounded")


def said(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    return found


def quick(net, objective, **options):
    return render(net, objective, recipe="plain", steps=2, transform=None, progress=False, **options)


@pytest.mark.parametrize("function", BOUNDED)
@pytest.mark.parametrize("layer", ["2", "3"])
def test_an_image_at_a_ceiling_is_named_with_the_layer_to_ask(function, layer):
    (warning,) = said(lambda: quick(bounded(BOUNDED[function]), channel(layer, [1, 0])))
    text = str(warning.message)
    assert text.startswith(f"1 of 2 images are at the ceiling of '{layer}' (channel('{layer}', 0))")
    assert "use '1' instead" in text
    assert warning.filename == __file__


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_without_a_module_are_ceilings_too(function):
    (warning,) = said(lambda: quick(bounded(Apply(FUNCTIONS[function])), channel("2", 0)))
    assert "use '1' instead" in str(warning.message)


@pytest.mark.parametrize("function", UNBOUNDED)
def test_functions_without_a_top_are_none(function):
    assert not said(lambda: quick(bounded(UNBOUNDED[function]), channel("2", [0, 1])))


@pytest.mark.parametrize(
    ("objective", "is_stuck"),
    [
        (channel("2", 0), True),
        (channel("2", 1), False),
        (channel("1", 0), False),
        (channel("2@input", 0), False),
        (-channel("2", 0), False),  # its top is not where this objective goes
        (neuron("2", 0), True),
        (channel("2", 0) - 0.001 * total_variation(), True),
        (channel("2", 0) + 0.01 * channel("1", 0), True),
        (logit(0), False),
    ],
)
def test_what_counts_is_where_the_objective_asks_for_more(objective, is_stuck):
    assert bool(said(lambda: quick(bounded(nn.ReLU6()), objective))) == is_stuck


def test_the_layer_to_ask_is_not_at_the_ceiling():
    net = bounded(nn.ReLU6())
    images = torch.rand(2, 3, 12, 12)
    with borrow(net.network):
        (found,) = find_ceilings(net.network, images, images, channel("3", [0, 1]))
        assert (found.images, found.layer, found.value, found.before) == ((0,), "3", 6.0, "1")
        assert not find_ceilings(net.network, images, images, channel(found.before, [0, 1]))


def test_where_no_module_gives_the_input_the_input_is_named():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 2, 1), nn.ReLU6()

        def forward(self, x):
            return self.act(self.conv(x) * 2)

    net = Classifier(Doubled(), None, 8)
    net.network.conv.bias.data.fill_(40)
    (warning,) = said(lambda: quick(net, channel("act", 0)))
    assert "use 'act@input' instead" in str(warning.message)
    assert not said(lambda: quick(net, channel("act@input", 0)))


def test_images_of_several_batches_and_views_are_counted_once():
    (warning,) = said(lambda: quick(bounded(nn.ReLU6()), channel("2", [0, 1, 0]), batch_size=2, views=2))
    assert str(warning.message).startswith("2 of 3 images are at the ceiling of '2' (channel('2', 0), channel('2', 0))")


def test_maco_and_accentuate_say_it_as_well():
    net = bounded(nn.ReLU6())
    found = said(lambda: maco(net, channel("2", 0), steps=1, views=1, size=24, progress=False))
    assert ["at the ceiling of '2'" in str(one.message) for one in found].count(True) == 1
    found = said(lambda: accentuate(net, torch.rand(3, 12, 12), channel("2", 0), "1", steps=1, progress=False))
    assert ["at the ceiling of '2'" in str(one.message) for one in found].count(True) == 1


def test_images_outside_0_and_1_are_named():
    class Raw(nn.Module):
        def __init__(self):
            super().__init__()
            self.values = nn.Parameter(torch.linspace(-20, 23, 3 * 144).view(1, 3, 12, 12))

        def forward(self):
            return self.values

    net = bounded(nn.ReLU())
    (warning,) = said(lambda: quick(net, channel("1", 1), param=Raw()))
    assert "1 of 1 images leave [0, 1] (channel('1', 1)): pixels from -20" in str(warning.message)
    assert "torch.sigmoid" in str(warning.message)
    assert not said(lambda: quick(net, channel("1", 1), param=pixel_image(12)))


DEAD = {
    "render": lambda net, asked: render(net, asked, steps=32, progress=False),
    "dream": lambda net, asked: dream(net, torch.rand(3, 16, 16), asked, steps=16, octaves=2, progress=False),
    "maco": lambda net, asked: maco(net, asked, steps=32, progress=False),
    "accentuate": lambda net, asked: accentuate(net, torch.rand(3, 16, 16), asked, "1", steps=32, progress=False),
}


@pytest.mark.parametrize("function", DEAD)
def test_images_that_no_gradient_reaches_are_named(function):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with torch.no_grad():
        network[0].bias[2] = -100
    net = Classifier(network, None, 16)
    with pytest.warns(
        UserWarning, match=r"1 of 1 images had the same score at all 32 steps, 0 .*: nothing excited the unit"
    ):
        DEAD[function](net, channel("1", 2))
    with warnings.catch_warnings(action="error"):
        DEAD[function](net, channel("1", 1))


def test_images_that_a_decay_burns_are_named_with_the_rate_to_take():
    demo, settings = load(), {"recipe": "fast", "steps": 24, "progress": False}
    objective = channel("mixed5", 40)
    with pytest.warns(UserWarning, match=r"1 of 1 images are burnt .* at 0 or 1, because decay=1\.5 .* smaller rate"):
        render(demo, objective, fft_image(48, decay=1.5), **settings)
    with warnings.catch_warnings(action="error"):
        render(demo, objective, fft_image(48, decay=1.5), rate=0.05, **settings)
        render(demo, objective, fft_image(48), **settings)
