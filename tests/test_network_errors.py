"""An error of a network's own code names the nearest cure, which works; errors of others stay as they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from optvis import (
    Channels,
    Classifier,
    NetworkError,
    Normalize,
    attribute,
    blinded,
    layers,
    render,
    sample_activations,
)
from optvis.ablation import Fill
from optvis.circuits import expanded_weights
from optvis.objectives import channel, logit
from optvis.params import channels_image, fft_image

SIZE = 12
STEPS = {"steps": 1, "progress": False}


class Body(nn.Module):
    """A convolution, a ReLU and a linear layer."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.Linear(6, 4)

    def logits(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4)"""
        return self.fc(self.relu(self.conv(images)).mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images)


class Scaled(Body):
    """Takes a keyword without a default."""

    def forward(self, images: Tensor, *, scale: float) -> Tensor:
        return self.logits(images * scale)


class Sample(Body):
    """Takes a dict with the images in it."""

    def forward(self, sample: dict[str, Tensor]) -> Tensor:
        return self.logits(sample["image"])


class ChannelsLast(Body):
    """Takes (B, H, W, C)."""

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images.permute(0, 3, 1, 2))


CALLS = {
    "a keyword": (Scaled, r"takes more than images \(scale\): .*forward=", lambda net, x: net(x, scale=1.0)),
    "a dict": (Sample, r"unless it takes a tensor, say how it is called, .*forward=", lambda net, x: net({"image": x})),
    "channels last": (
        ChannelsLast,
        r"channels last, .*permute\(0, 2, 3, 1\)",
        lambda net, x: net(x.permute(0, 2, 3, 1)),
    ),
}


@pytest.mark.parametrize(("build", "cure", "forward"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("ask", [layers, lambda net: render(net, logit(1), **STEPS)], ids=["layers", "render"])
def test_a_network_that_is_called_otherwise_says_how(build, cure, forward, ask):
    network = build()
    with pytest.raises(NetworkError, match=cure):
        ask(Classifier(network, None, SIZE))
    assert ask(Classifier(network, None, SIZE, forward=forward))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("normalize", [None, Normalize((0.5,) * 3, (0.5,) * 3)], ids=["none", "RGB's"])
def test_images_of_other_channels_name_the_parameterization_and_the_normalization(count, normalize):
    net = Classifier(Body(count), normalize, SIZE)
    with pytest.raises(NetworkError, match=rf"images of {count} channels?: .*channels_image\(size, {count}\)"):
        render(net, channel("conv", 0), fft_image(SIZE), **STEPS)
    render(Classifier(Body(count), None, SIZE, channels=count), logit(1), channels_image(SIZE, count), **STEPS)


class Video(nn.Module):
    """Takes (B, T, C, H, W), or with the frames behind the channels."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.conv, self.fc = axis, nn.Conv3d(3, 6, 3, padding=1), nn.Linear(6, 4)

    def forward(self, video: Tensor) -> Tensor:
        if self.axis == 1:
            _, _, _, _, _ = video.shape
            video = video.transpose(1, 2)
        return self.fc(self.conv(video).mean((2, 3, 4)))


@pytest.mark.parametrize("axis", [1, 2])
def test_a_network_of_videos_is_given_images_as_frames(axis):
    network = Video(axis)
    with pytest.raises(NetworkError, match=r"where it takes videos") as caught:
        layers(Classifier(network, None, SIZE))
    forward = eval(str(caught.value).partition("forward=")[2].removesuffix(")"), {"frames": 2})
    assert layers(Classifier(network, None, SIZE, forward=forward))["fc"].output == "1 × 4"


def test_weights_of_two_dtypes_are_named():
    network = Body()
    network.fc.half()
    with pytest.raises(NetworkError, match=r"its weights are float16 and float32: make them one, as network.float\(\)"):
        render(Classifier(network, None, SIZE), logit(1), **STEPS)
    assert render(Classifier(network.float(), None, SIZE), logit(1), **STEPS)


class Broken(Fill):
    """Fails in the network's forward pass."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def measure(self, model, units):
        """Fail later."""

        def fail(activations):
            raise self.error

        return [fail for _ in units]


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, IndexError, KeyError, TypeError])
def test_an_error_of_a_users_own_fill_is_not_said_to_be_the_networks(kind):
    error = kind("of the user's own")
    net = Classifier(Body(), None, SIZE)
    with pytest.raises(kind) as caught, blinded(net, Channels("relu", [0]), fill=Broken(error)):
        net.logits(torch.rand(1, 3, SIZE, SIZE))
    assert caught.value is error


class Frozen(nn.Conv2d):
    """Computes in inference mode, as a backbone that is not trained."""

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        return super().forward(images)


METHODS = ("midpoint", "ablation", "grad_x_activation")


@pytest.mark.filterwarnings("ignore:Body has operations without forward-mode derivative")
@pytest.mark.parametrize("layer", ["conv", "relu"])
def test_what_follows_a_part_in_inference_mode_is_computed_as_without_it(layer):
    network, frozen = Body(), Body()
    frozen.conv = Frozen(3, 6, 3)
    frozen.load_state_dict(network.state_dict())
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))

    def compute(net: nn.Module) -> list[Tensor]:
        model = Classifier(net, None, SIZE)
        return [
            *(attribute(model, images, layer, logit(1), method=how, progress=False).values for how in METHODS),
            sample_activations(model, images, layer, progress=False).attribution,
            expanded_weights(model, layer, "fc", [1]),
        ]

    for found, expected in zip(compute(frozen), compute(network), strict=True):
        torch.testing.assert_close(found, expected)
