"""Networks that are blind for good: `bake` answers as `blinded` does, without a hook."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from optvis import IMAGENET, Classifier, activations, layers, load, render
from optvis.ablation import Gaussian, Mean, Noise, Optimal, Resampled, bake, blinded, save_baked
from optvis.features.units import Channels, Directions
from optvis.objectives import OUTPUT, channel
from optvis.objectives.layout import channels_first

CLOSE = 1e-5  # of the largest number in the answer


def random_tensor(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relative_error(answer, expected):
    """The largest difference, as a share of the largest number."""
    return float((answer - expected).abs().max() / expected.abs().max())


def holds(net, units, fill, images):
    """The baked network, once it has answered as the blinded one does."""
    baked = bake(net, *units, fill=fill)
    assert not any(has_hooks(module) for module in baked.network.modules())
    with torch.no_grad():
        inputs = net.preprocess(images)
        seeing = net.network(inputs)
        with blinded(net, *units, fill=fill):
            expected = net.network(inputs)
        answer = baked.network(inputs)
    answer, expected, seeing = (
        said["classes"] if isinstance(said, dict) else said for said in (answer, expected, seeing)
    )
    assert relative_error(answer, expected) <= CLOSE, (units, baked.network.baked)
    assert relative_error(expected, seeing) > CLOSE, units
    return baked


def has_hooks(module):
    return any(value for key, value in vars(module).items() if "hooks" in key and key != "_load_state_dict_post_hooks")


def several(net, layer, images):
    """Units of a layer and what stands in their place."""
    a = activations(net, images, [layer])[layer]
    channels = channels_first(a).shape[1]
    some = Channels(layer, range(0, channels, 3))
    subspace = Directions(layer, random_tensor(2, channels) - 0.5)
    yield [some], 0.0
    yield [some], random_tensor(channels)
    yield [some], Mean(images)
    yield [subspace], 0.0
    yield [subspace], Mean(images)
    yield [Channels(layer, 1), subspace, Channels(layer, 0)], -0.5


def resize_input(net, size):
    """The same network, asked of smaller images."""
    return Classifier(net.network, net.normalize, size, name=net.name)


def lively(net, size):
    """Weights and statistics with which every layer's channels matter: what is normalised is so on noise."""
    torch.manual_seed(0)
    norms = [module for module in net.network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(0.2, 0.7)
    with torch.no_grad():
        net.network.train()(net.preprocess(random_tensor(4, 3, size, size)))
    net.network.eval()
    return net


def test_at_every_layer_of_the_demo_network_it_answers_as_the_blinded_one():
    net, images = resize_input(load("demo"), 32), random_tensor(2, 3, 32, 32)
    for row in layers(net):
        for units, fill in list(several(net, row.name, images))[::2]:
            holds(net, units, fill, images)


# Layers by network: before and behind a residual sum, a concatenation, batch normalisation, among tokens.
REAL = {
    "squeezenet1_0": ("features.0", "features.2", "features.7.squeeze", "features.12", "classifier.1", "classifier.2"),
    "resnet18": (
        "conv1",
        "bn1",
        "layer1.0.relu",
        "layer2.0.relu#1",
        "layer3.0.downsample",
        "layer4.1",
        "avgpool",
        "fc",
    ),
    "mobilenet_v3_small": ("features.0", "features.4.block.1", "features.4.block.2.fc1", "features.8", "classifier.1"),
    "densenet": ("features.denseblock1.denselayer2.conv1", "features.transition1.pool", "features.norm5", ""),
    "vit": ("encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1.mlp.0@all", "encoder.ln@class", "heads"),
}


def build_network(name):
    from torchvision.models import DenseNet, VisionTransformer

    torch.manual_seed(0)
    if name == "densenet":
        return lively(Classifier(DenseNet(4, (2, 2), 8, num_classes=7), None, 64), 64)
    if name == "vit":
        net = VisionTransformer(
            image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=32, num_classes=5
        )
        nn.init.normal_(net.heads.head.weight)
        return Classifier(net.eval(), None, 64)
    return lively(resize_input(load(name, weights=None), 64), 64)


@pytest.mark.parametrize("name", REAL)
def test_real_architectures_answer_as_the_blinded_one(name):
    net, images = build_network(name), random_tensor(2, 3, 64, 64)
    for layer in REAL[name]:
        for units, fill in list(several(net, layer, images))[1::4]:
            holds(net, units, fill, images)


def weights_alone(net, *units, fill=0.0):
    """Whether all went into weights that the architecture has."""
    baked = bake(net, *units, fill=fill).network
    fits = list(baked.state_dict()) == list(net.network.state_dict())
    assert fits == (baked.baked["inserted"] == [])
    return fits


def test_what_can_be_folded_goes_into_the_weights(random_squeezenet):
    net = random_squeezenet
    some, all_over = [0, 5, 9], random_tensor(512)
    for layer in (
        "features.0",
        "features.1",
        "features.2",
        "features.12",
        "classifier.0",
        "classifier.2",
        "classifier.3",
    ):
        assert weights_alone(net, Channels(layer, some)), layer
        assert weights_alone(net, Channels(layer, some), fill=0.5), layer
    assert weights_alone(net, Directions("features.12", all_over), fill=all_over)
    assert weights_alone(net, Directions("classifier.1", random_tensor(1000)))
    assert not weights_alone(net, Directions("features.1", random_tensor(96)))  # max pooling reads it
    resnet = load("resnet18", weights=None)
    assert weights_alone(resnet, Channels("layer3.1.conv1", some), fill=0.5)  # no bias: batch normalisation takes it
    assert weights_alone(resnet, Channels("layer3.1.bn1", some), Directions("avgpool", all_over), fill=0.5)
    assert weights_alone(resnet, Directions("layer4.1.relu#1", all_over))
    assert not weights_alone(resnet, Channels("layer3.0", some))  # a residual sum reads it


def test_a_channel_is_rows_of_zeros():
    net = load("demo")
    baked = bake(net, Channels("mixed5", [3, 14]))
    for weights in baked.network.mixed5[0].parameters():
        assert not weights[[3, 14]].any()
    kept = [row for row in range(192) if row not in (3, 14)]
    assert torch.equal(baked.network.mixed5[0].weight[kept], net.network.mixed5[0].weight[kept])
    constant = bake(net, Channels("mixed5", [3, 14]), fill=0.25).network.mixed5[0]
    assert bool((constant.bias[[3, 14]] == 0.25).all())


class Knot(nn.Module):
    """Everything that may stand in the way: shared modules and weights, in-place work, sums, parts used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice, self.relu = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True)
        self.left, self.right = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1, bias=False)
        self.right.weight = self.left.weight
        self.norm, self.grouped = nn.BatchNorm2d(12), nn.Conv2d(12, 12, 3, groups=4, padding=1)
        self.pool, self.drop = nn.AvgPool2d(3, 2, padding=1), nn.Dropout(0.5)
        self.head, self.bypass = nn.Linear(12 * 9, 5), nn.Identity()

    def forward(self, x):
        x = self.relu(self.stem(x))
        x = self.relu(self.twice(self.twice(x)))
        same = self.bypass(x)
        kept = self.right(x + 1)
        x = torch.cat([self.left(same), kept], dim=1)
        y = self.norm(x)
        torch.relu_(y)
        x = self.grouped(y) + y
        x = self.drop(self.pool(x))
        return {"classes": self.head(torch.flatten(x, 1))}


@pytest.fixture
def knot():
    torch.manual_seed(1)
    return lively(Classifier(Knot(), None, 8), 8)


def test_nothing_is_folded_wrongly_however_a_network_is_tied(knot):
    images = random_tensor(2, 3, 8, 8)
    for row in layers(knot):
        if row.is_tensor and row.name != "head":
            for units, fill in several(knot, row.name, images):
                holds(knot, units, fill, images)
    for name in ("twice#1", "relu", "relu#1"):
        with torch.no_grad():
            holds(knot, [Channels(name, 2), Directions("norm", random_tensor(12)), Channels("drop", 1)], 0.5, images)


def test_several_layers_at_once_keep_their_order():
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True)),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 4, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4, 3),
    )
    net, images = lively(Classifier(network, None, 10), 10), random_tensor(2, 3, 10, 10)
    places = {"0.0": 6, "0.1": 6, "0.2": 6, "0": 6, "1": 6, "2": 4, "3": 4, "4": 4, "5": 4, "6": 4, "7": 3, "": 3}
    draws = torch.Generator().manual_seed(3)
    for _ in range(60):
        chosen = [list(places)[int(i)] for i in torch.randint(len(places), (4,), generator=draws)]
        units, fill = [], {}
        for name in chosen:
            one = Channels(name, [0, 1]) if bool(torch.rand((), generator=draws) < 0.6) else None
            units.append(Directions(name, torch.randn(places[name], generator=draws)) if one is None else one)
            fill[name] = torch.rand(places[name], generator=draws)
        holds(net, units, fill, images)


class Untraceable(nn.Module):
    """Its forward pass asks after its input's values; one ReLU is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), self.relu)

    def forward(self, x):
        x = self.first(x)
        x = self.block(x) if x.sum() > -1e9 else x
        return self.relu(x - 0.1)


def test_a_network_that_cannot_be_traced_gets_modules():
    torch.manual_seed(0)
    net, images = Classifier(Untraceable().eval(), None, 8), random_tensor(2, 3, 8, 8)
    for layer in ("first", "block.0", "block", ""):
        baked = holds(net, [Channels(layer, [1, 2]), Directions(layer, random_tensor(4))], 0.2, images)
        assert baked.network.baked["inserted"] == [layer]
    with pytest.raises(ValueError, match=r"runs 2 times, .*TraceError: symbolically traced .* use blinded"):
        bake(net, Channels("relu#1", 0))
    assert bake(net.network, Channels("first", 0)).baked["inserted"] == ["first"]  # no image is needed for it
    baked = bake(net, Channels("first", 1), fill=torch.zeros(3))  # a number too few shows when it runs, as with blinded
    with pytest.raises(ValueError, match="fill has 3 numbers; the layer has 4 channels"):
        baked.network(images)
    with pytest.raises(ValueError, match="fill has 3 numbers; the layer has 4 channels"):
        bake(net, Directions("first", random_tensor(4)), fill=torch.zeros(3))


class Wrapped(nn.Module):
    """A block that gives its tensor in a tuple, as those of transformers do; its ReLU runs twice."""

    def __init__(self, asks: bool = False) -> None:
        super().__init__()
        self.conv, self.relu, self.asks = nn.Conv2d(4, 4, 1), nn.ReLU(), asks

    def forward(self, x):
        x = x * 2 if self.asks and x.sum() < -1e9 else x
        return (self.relu(x) * self.relu(self.conv(x)) + x, None)


class First(nn.Module):
    def forward(self, parts):
        return parts[0].exp()


@pytest.mark.parametrize("asks", [False, True])
def test_a_tensor_in_a_tuple_is_replaced(asks):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), Wrapped(asks), First(), nn.Conv2d(4, 4, 1)).eval()
    units = [Channels("1", [1, 2]), Directions("1", random_tensor(4))]
    baked = holds(Classifier(network, None, 8), units, 0.2, random_tensor(2, 3, 8, 8))
    assert baked.network.baked["inserted"] == ["1"]


@pytest.mark.parametrize("layer", ["0", "1.conv", "1.relu#1", "2", "3", ""])
@pytest.mark.parametrize("hooked", ["0", "1", "2", "3", ""])
def test_hooks_of_the_user_see_tensors_alone_and_stay(hooked, layer):
    torch.manual_seed(0)
    network, images = (
        nn.Sequential(nn.Conv2d(3, 4, 3), Wrapped(), First(), nn.Conv2d(4, 4, 1)).eval(),
        random_tensor(2, 3, 8, 8),
    )
    seen = []

    def double(module, inputs, output):
        seen.append(output)
        return (output[0] * 2 + 1, None) if isinstance(output, tuple) else output * 2 + 1

    network.get_submodule(hooked).register_forward_hook(double)
    baked = bake(network, Channels(layer, [1]), fill=0.5)
    with torch.no_grad(), blinded(network, Channels(layer, [1]), fill=0.5):
        assert relative_error(baked(images), network(images)) <= CLOSE
    tensors = [one[0] if isinstance(one, tuple) else one for one in seen]
    assert tensors
    assert {type(one) for one in tensors} <= {torch.Tensor}


def test_the_network_itself_is_never_touched(small, untouched):
    images = random_tensor(3, 3, 20, 20, dtype=torch.float64)
    with untouched(small.network):
        baked = bake(small, Channels("relu1", [1, 2]), Directions("conv2", random_tensor(12)), fill=Mean(images))
        render(baked, channel("conv2", 1), steps=2, transform=None, progress=False)
    assert {module.training for module in baked.network.modules()} == {True}
    assert all(weight.requires_grad for weight in baked.network.parameters())
    mine = {weight.data_ptr() for weight in small.network.state_dict().values()}
    assert not mine & {weight.data_ptr() for weight in baked.network.state_dict().values()}


def test_a_baked_network_is_what_went_in(small):
    baked = bake(small, Channels("relu1", 1))
    assert (baked.size, baked.labels, baked.normalize) == (small.size, small.labels, small.normalize)
    assert baked.name == "small without Channels('relu1', [1])"
    assert type(bake(small.network, Channels("relu1", 1))) is nn.Sequential
    images = random_tensor(2, 3, 20, 20, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(bake(small).network.eval()(images), small.network.eval()(images))


def test_the_recipe_says_all(small):
    vector = random_tensor(12)
    baked = bake(small, Channels("relu1", [1, 3]), Directions("relu2", vector), fill={"relu1": 0.5, "relu2": vector})
    recipe = json.loads(json.dumps(baked.network.baked))
    assert recipe["units"] == [
        {"kind": "channels", "layer": "relu1", "indices": [1, 3], "within": None, "channel_axis": None},
        {"kind": "directions", "layer": "relu2", "vectors": [vector.tolist()], "within": None, "channel_axis": None},
    ]
    assert (recipe["method"], recipe["network"], recipe["normalize"]) == ("bake", "small", repr(small.normalize))
    assert recipe["fills"] == [0.5, vector.double().tolist()]
    assert (recipe["folded"], recipe["inserted"]) == (["relu1", "relu2"], [])


def test_saved_weights_go_into_the_same_architecture(tmp_path, random_squeezenet):
    from safetensors import safe_open

    images = random_tensor(1, 3, 64, 64)
    baked = bake(random_squeezenet, Channels("features.12", [7, 50]), Directions("features.4", random_tensor(128)))
    path = save_baked(baked, tmp_path / "new" / "blind.safetensors")
    again = load(path, architecture="squeezenet1_0", size=224, normalize=IMAGENET)
    with torch.no_grad():
        inputs = again.preprocess(images)
        assert torch.equal(again.network(inputs), baked.network(inputs))
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["baked"]) == baked.network.baked


def test_saving_says_what_an_architecture_lacks(tmp_path):
    net, unit = load("resnet18", weights=None), Channels("layer1.0", [3])
    baked = bake(net, unit)
    with pytest.warns(UserWarning, match=r"modules were inserted behind 'layer1\.0', which resnet18 lacks"):
        path = save_baked(baked, tmp_path / "blind.safetensors")
    from safetensors.torch import load_file

    again = bake(net, unit)
    again.network.load_state_dict(load_file(path))
    images = random_tensor(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again.network(images), baked.network(images))
    with pytest.raises(ValueError, match="not baked"):
        save_baked(net, tmp_path / "seeing.safetensors")
    with pytest.raises(ValueError, match=r"ending in \.safetensors"):
        save_baked(baked, tmp_path / "blind.pth")


@pytest.mark.parametrize(
    "units", [[Channels("relu1", 2)], [Channels("relu1", 2), Directions("fuse", random_tensor(8))]]
)
def test_it_is_exported(small, units):
    from .conftest import Fuse

    small.network.eval().fuse = nn.Identity() if len(units) == 1 else Fuse()
    small.network.fuse.forward = nn.Identity().forward  # a fuse counts its calls, which no export may
    fill = random_tensor(8)
    baked = bake(small, *units, fill=fill).network.eval()
    images = random_tensor(2, 3, 20, 20, dtype=torch.float64)
    exported = torch.export.export(baked, (images,)).module()
    with torch.no_grad(), blinded(small, *units, fill=fill):
        assert relative_error(exported(images), small.network(images)) <= CLOSE


def test_a_residual_network_is_exported():
    net, images = lively(load("resnet18", weights=None), 64), random_tensor(1, 3, 64, 64)
    units = (
        Channels("layer1.0.relu#1", [1, 2]),
        Directions("layer2.0", random_tensor(128)),
        Channels("layer4.1.relu", [1]),
    )
    baked = holds(net, units, 0.5, images)
    exported = torch.export.export(baked.network, (images,)).module()
    with torch.no_grad(), blinded(net, *units, fill=0.5):
        assert relative_error(exported(images), net.network(images)) <= CLOSE


def test_it_is_written_as_onnx(tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    net, images = load("demo"), random_tensor(1, 3, 96, 96)
    units = Channels("mixed5", [3]), Directions("pool1", random_tensor(32))
    path = tmp_path / "blind.onnx"
    torch.onnx.export(bake(net, *units, fill=0.5).network, (images,), path, dynamo=True)
    session = runtime.InferenceSession(path)
    (answer,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad(), blinded(net, *units, fill=0.5):
        assert relative_error(torch.from_numpy(answer), net.network(images)) <= CLOSE


@pytest.mark.parametrize(
    ("unit", "fill", "error", "match"),
    [
        (Channels("relu1", 0), Noise([]), ValueError, "Noise is drawn anew in each pass"),
        (Channels("relu1", 0), Gaussian(1.0), ValueError, "Gaussian is drawn anew in each pass"),
        (Channels("relu1", 0), Resampled([]), ValueError, "Resampled is drawn anew in each pass"),
        (Channels("relu1", 0, within=(0.0, 1.0)), 0.0, ValueError, "within a range only"),
        (Channels("relu1", 0), torch.zeros(1, 8, 18, 18), ValueError, "one per channel"),
        (Channels("relu1", 9), 0.0, IndexError, "channel 9 of 'relu1'"),
        (Directions("relu1", [1.0, 2.0]), 0.0, ValueError, "directions of 2 numbers"),
        (Channels("relu1#1", 0), 0.0, ValueError, "never runs"),
        (Channels("relu9", 0), 0.0, KeyError, "nearest"),
        ("relu1", 0.0, TypeError, "must be Channels"),
    ],
)
def test_what_cannot_be_baked_is_refused(small, untouched, unit, fill, error, match):
    with untouched(small.network), pytest.raises(error, match=match):
        bake(small, unit, fill=fill)


def test_a_network_that_is_blinded_just_now_is_not_baked(small):
    with blinded(small, Channels("relu1", 0)), pytest.raises(ValueError, match="inside a blinded"):
        bake(small, Channels("relu1", 1))


def test_the_optimal_constant_is_baked(small):
    small.network.eval()
    images = random_tensor(3, 3, 20, 20, dtype=torch.float64)
    holds(
        small,
        [Channels("relu1", [1, 2]), Directions(OUTPUT, random_tensor(5))],
        Optimal(images, 0, steps=3, progress=False),
        images,
    )


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.spectral_norm, weight_norm, spectral_norm])
@pytest.mark.parametrize("ran_with_gradients", [False, True])
def test_a_network_whose_weights_are_computed_is_baked_as_it_is_blinded(wrap, ran_with_gradients):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), wrap(nn.Conv2d(4, 5, 3)), nn.Flatten(), nn.Linear(80, 2))
    images = torch.rand(2, 3, 8, 8)
    if ran_with_gradients:
        network(images)
    net = Classifier(network.eval(), None, 8)
    with blinded(net, Channels("2", [1, 3])) as ablated:
        expected = ablated.logits(images)
    torch.testing.assert_close(bake(net, Channels("2", [1, 3])).logits(images), expected)


def test_a_number_is_baked_in_the_precision_of_the_network():
    net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)).double(), None, 8)
    units, images = Channels("2", [1]), random_tensor(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert bake(net, units, fill=0.7).network(images)[:, 1].tolist() == [0.7, 0.7]
