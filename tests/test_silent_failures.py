"""What was to be read or replaced and was not is an error, never a result."""

from __future__ import annotations

import copy
from threading import Thread

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn import functional as F

from optvis import Classifier, activations, attribute, classify, layers, load, render
from optvis.ablation import blinded
from optvis.atlas import lay_out, sample_activations
from optvis.data import load_image
from optvis.features.units import Channels
from optvis.models.borrow import borrow
from optvis.objectives import channel


def small() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 5),
        ).eval()


@pytest.fixture
def network() -> nn.Sequential:
    return small()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Direct(nn.Module):
    """Uses one module's forward directly, one module's weights alone, and one in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = F.linear(self.first.forward(x), self.second.weight)
        return self.third(x) if self.training else x


@pytest.mark.parametrize("layer", ["first", "second", "third"])
def test_ablating_a_layer_whose_hook_never_runs_is_an_error(layer):
    direct = Direct().eval()
    with blinded(direct, Channels(layer, [0])), pytest.raises(RuntimeError, match=f"layer '{layer}' did not run"):
        direct(torch.rand(1, 4))


def test_ablating_a_call_that_never_comes_is_an_error(network, images):
    with blinded(network, Channels("3#7", [0])), pytest.raises(RuntimeError, match=r"'3#7' did not run .* ran 1 times"):
        network(images)


def test_ablating_the_projection_of_multi_head_attention_is_an_error():
    vit = torchvision.models.VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=3).eval()
    layer = "encoder.layers.encoder_layer_0.self_attention.out_proj"
    with (
        torch.no_grad(),
        blinded(vit, Channels(layer, [0])),
        pytest.raises(RuntimeError, match="did not run"),
    ):
        vit(torch.rand(1, 3, 32, 32))


def test_a_pass_that_is_cut_before_the_layer_is_no_error(network, images):
    with blinded(Classifier(network, None, 32), Channels("3", [0])) as same:
        activations(same, images, ["0"])


@pytest.mark.parametrize("ran_before", [False, True])
def test_a_compiled_network_is_ablated_through_its_original(network, images, ran_before):
    compiled = torch.compile(network, backend="eager")
    if ran_before:
        compiled(images)
    plain, wrapped = Classifier(network, None, 32), Classifier(compiled, None, 32)
    units = Channels("3", range(16))
    with blinded(plain, units):
        expected = plain.logits(images)
    with blinded(wrapped, units):
        assert torch.equal(wrapped.logits(images), expected)
    assert [row.name for row in layers(wrapped)] == [row.name for row in layers(plain)]
    with blinded(wrapped, Channels("_orig_mod.3", range(16))):
        assert torch.equal(wrapped.logits(images), expected)


def test_a_compiled_part_runs_uncompiled_where_it_is_ablated(network, images):
    whole, units = nn.Sequential(torch.compile(network, backend="eager")), Channels("0.3", range(16))
    before = whole(images)
    with blinded(network, Channels("3", range(16))):
        expected = network(images)
    with blinded(whole, units):
        assert whole(images).equal(expected)
    assert whole(images).equal(before)


@pytest.mark.parametrize("convert", [torch.jit.script, lambda net: torch.jit.trace(net, torch.rand(1, 3, 32, 32))])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused_in_words(network, images, convert):
    scripted = Classifier(convert(network), None, 32)
    with pytest.raises(TypeError, match="TorchScript networks run no hooks"):
        activations(scripted, images, ["3"])
    with pytest.raises(TypeError, match="TorchScript networks run no hooks"), blinded(scripted, Channels("3", [0])):
        pass


class Tokens(nn.Module):
    """A layer whose first axis is the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block, self.total = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 8), nn.Sequential()

    def forward(self, x):
        a = self.block(self.embed(x).flatten(2).permute(2, 0, 1))
        return self.total(a.mean(0)) + a.sum()


def test_a_layer_whose_first_axis_is_not_the_batch_is_refused(images):
    tokens = Classifier(Tokens(), None, 32)
    with pytest.raises(ValueError, match=r"'block' gives 16 rows for 2 images.*not the batch"):
        activations(tokens, images, ["block"])
    with pytest.raises(ValueError, match="not the batch"):
        render(tokens, channel("block", 1), steps=1, progress=False)


def test_threads_that_share_a_network_get_the_right_answers(network):
    classifier = Classifier(network, None, 32)
    network.train()
    inputs = [torch.full((3, 32, 32), value / 4) for value in range(4)]
    expected = [activations(classifier, image, ["3"])["3"] for image in inputs]
    wrong: list[object] = []

    def work(place: int) -> None:
        try:
            for _ in range(25):
                if not activations(classifier, inputs[place], ["3"])["3"].equal(expected[place]):
                    wrong.append(place)
        except BaseException as error:
            wrong.append(error)

    threads = [Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_another_thread_waits_until_an_ablation_is_over(network, images):
    classifier = Classifier(network, None, 32)
    expected = classifier.logits(images)
    found: list[torch.Tensor] = []
    other = Thread(target=lambda: found.append(classifier.logits(images)))
    with blinded(classifier, Channels("3", range(16))):
        other.start()
        other.join(0.2)
        assert not found
    other.join()
    assert torch.equal(found[0], expected)


class Observer(nn.Module):
    """Counts its calls in buffers, in eval mode too, as observers of quantisation do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.register_buffer("largest", torch.zeros(()))

    def forward(self, x):
        a = self.conv(x)
        self.largest.copy_(torch.maximum(self.largest, a.detach().abs().max()))
        return a.mean((2, 3))


def test_buffers_that_a_network_writes_in_eval_mode_are_restored(images):
    observer = Observer()
    classify(Classifier(observer, None, 32), images)
    assert float(observer.largest) == 0


def test_surroundings_do_not_change_results(network, images):
    classifier = Classifier(network, None, 32)
    expected = classifier.logits(images)
    with torch.inference_mode():
        assert torch.equal(classifier.logits(images.clone()), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(classifier.logits(images), expected)


def test_weights_made_in_inference_mode_are_refused_in_words(images):
    with torch.inference_mode():
        made = copy.deepcopy(small())
    with pytest.raises(RuntimeError, match="inference_mode"), borrow(made):
        pass


@pytest.mark.parametrize("shape", [(1, 192), (1, 3, 1, 8, 8)])
def test_a_normalization_may_give_inputs_of_any_rank(shape):
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    classifier = Classifier(network, lambda images: images.reshape(len(images), *shape[1:]), 8)
    assert render(classifier, channel("1", 1), steps=1, progress=False).images.shape == (1, 3, 8, 8)


def test_a_normalization_that_gives_no_tensor_is_refused():
    classifier = Classifier(nn.Flatten(), lambda images: {"pixel_values": images}, 8)
    with pytest.raises(TypeError, match="normalize returns a dict; expected a tensor"):
        classifier.preprocess(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module.model.", ""])
@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict", "net", "teacher", "anything"])
@pytest.mark.parametrize("suffix", [".pth", ".ckpt"])
def test_checkpoints_of_training_scripts_are_read(tmp_path, prefix, key, suffix):
    network = small()
    state = {f"{prefix}{name}": weight for name, weight in small().state_dict().items()}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / f"weights{suffix}")
    network.pretrained_cfg = {}
    from optvis.models.checkpoint import match_names, read_state_dict

    found, _ = match_names(read_state_dict(tmp_path / f"weights{suffix}"), network.state_dict())
    assert list(found) == list(network.state_dict())


def test_weights_that_do_not_fit_are_named(tmp_path):
    net = load("squeezenet1_0", weights=None)
    state = net.network.state_dict()
    state["extra.weight"] = state.pop("features.0.weight")
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"1 missing \(features.0.weight\), 1 left over \(extra.weight\)"):
        load(tmp_path / "weights.pth", architecture="squeezenet1_0")


def test_float_images_are_taken_in_0_1_and_refused_outside():
    levels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert abs(float(load_image(Image.fromarray(levels)).mean()) - 0.5) < 0.01
    with pytest.raises(ValueError, match=r"runs from -1000 to 3000; expected \[0, 1\]"):
        load_image(Image.fromarray(np.array([[-1000, 3000]], np.float32)))


def test_a_damaged_image_that_is_read_late_is_one_clear_error(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as late, pytest.raises(ValueError, match=r"a\.png' is damaged or truncated"):
        load_image(late)


@pytest.mark.parametrize(
    "wrap", [lambda a: {"out": a}, lambda a: [a, a], lambda a: (a, None)], ids=["dict", "list", "tuple"]
)
@pytest.mark.parametrize("method", ["midpoint", "grad_x_activation", "ablation"])
def test_attribution_does_not_need_the_networks_own_output(network, images, wrap, method):
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, x):
            return wrap(self.inner(x))

    plain = attribute(Classifier(network, None, 32), images, "1", channel("6", 2), method=method)
    found = attribute(Classifier(Wrapped(), None, 32), images, "inner.1", channel("inner.6", 2), method=method)
    assert torch.equal(found.values, plain.values)


class Deformable(nn.Module):
    """A convolution whose C++ code drops forward-mode derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(0)))

    def convolve(self, a):
        offsets = torch.zeros(len(a), 18, *a.shape[2:])
        return torchvision.ops.deform_conv2d(a, offsets, self.weight, padding=1)

    def forward(self, x):
        return self.fc(self.convolve(self.a(x)).mean((2, 3)))


class Plain(Deformable):
    """The same as torch's own convolution."""

    def convolve(self, a):
        return F.conv2d(a, self.weight, padding=1)


class Recurrent(nn.Module):
    """An LSTM, which has no forward-mode derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.lstm = nn.Conv2d(3, 8, 3, 2), nn.LSTM(8, 5, batch_first=True)

    def forward(self, x):
        return self.lstm(self.a(x).flatten(2).transpose(1, 2))[0].mean(1)


def test_attribution_of_an_atlas_is_right_where_derivatives_are_dropped(images):
    deformable, plain = Deformable().eval(), Plain().eval()
    plain.load_state_dict(deformable.state_dict())
    expected = sample_activations(Classifier(plain, None, 32), images, "a", progress=False).attribution
    with pytest.warns(UserWarning, match="one backward pass for each class"):
        found = sample_activations(Classifier(deformable, None, 32), images, "a", progress=False).attribution
    assert found.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_attribution_of_an_atlas_works_without_forward_mode_derivatives(images):
    with pytest.warns(UserWarning, match="one backward pass for each class"):
        found = sample_activations(Classifier(Recurrent().eval(), None, 32), images, "a", progress=False)
    assert found.attribution.shape == (2, 5)
    assert found.attribution.abs().max() > 0


def test_an_atlas_samples_networks_whose_output_is_no_tensor(images):
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3)

        def forward(self, x):
            return {"out": self.a(x)}

    samples = sample_activations(Classifier(Named(), None, 32), images, "a", progress=False)
    assert samples.vectors.shape == (2, 8)
    assert samples.attribution.shape == (2, 0)


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("spread", [0.0, 1e-8, 1.0])
def test_a_layout_of_parallel_vectors_crashes_nothing(channels, spread):
    draws = torch.Generator().manual_seed(0)
    vectors = torch.rand(60, 1, generator=draws) * torch.rand(1, channels, generator=draws)
    points, _ = lay_out(vectors + spread * torch.rand(60, channels, generator=draws), "tsne")
    assert points.shape == (60, 2)
    assert bool(points.isfinite().all())
