"""Odd networks, and odd layers of them: a finite result, or one sentence. `python -m tests.fuzz --only networks` draws
all operations."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.ao.quantization import DeQuantStub, QuantStub, get_default_qat_qconfig, prepare_qat

from optvis import Classifier, NotFiniteError, activations, attribute, layers, render
from optvis.ablation import bake, blinded, compare_renderings, evaluate
from optvis.errors import NetworkError
from optvis.features import Channels, Directions
from optvis.models import Tail
from optvis.objectives import channel, direction, logit, match_distribution
from optvis.patches import try_patch
from tests.fuzz.calls import photos
from tests.fuzz.networks import NETWORKS, run, subject_of
from tests.fuzz.outcomes import outcome_of
from tests.fuzz.values import LABELS, SIZE, tiny_classifier, tiny_network
from tests.operations import OPERATIONS, numbers

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of quantised modules, and of scripts
QUICK = ("activations", "classify", "receptive_fields", "render", "dream", "attribute by midpoint", "blinded",
         "hinton_of_activations", "sample_activations", "find_top_activations", "measure_effects")  # fmt: skip
ODD = ("integer layer", "bool layer", "complex layer", "tuple layer", "scalar layer", "transposed layer", "empty layer")


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_operation_gives_a_finite_result_or_one_sentence(kind):
    late = "odd" if kind in ODD else "relu2"
    for name in QUICK:
        found = outcome_of(lambda name=name: run(kind, name, "relu1", late))
        assert not found.is_raw, f"{name}: {found}"


@pytest.mark.parametrize(
    "name", [name for name in QUICK if name not in ("activations", "classify", "receptive_fields")]
)
@pytest.mark.parametrize("kind", ["integer layer", "bool layer", "complex layer"])
def test_a_layer_without_real_numbers_is_refused_by_its_name(kind, name):
    with pytest.raises(TypeError, match=r"layer 'odd' gives (int64|bool|complex64), which has no means and gradients"):
        run(kind, name, "odd", "odd")


@pytest.mark.parametrize("kind", ["dynamic int8", "static int8"])
@pytest.mark.parametrize("method", ["midpoint", "grad_x_activation", "integrated_gradients"])
def test_attribution_through_quantised_modules_is_refused(kind, method):
    classifier = Classifier(NETWORKS[kind](), None, SIZE, LABELS)
    says = "quantised modules such as Linear have no gradients" if kind == "dynamic int8" else "gives quint8"
    with pytest.raises((ValueError, TypeError), match=says):
        attribute(classifier, torch.rand(1, 3, SIZE, SIZE), "relu2", logit(1), method=method, progress=False)


def test_a_network_on_meta_lists_its_layers_and_runs_nothing():
    network = NETWORKS["on meta"]()
    assert "conv2" in layers(Classifier(network, None, SIZE)).names
    for name in OPERATIONS.keys() - {"layers", "running_statistics"}:
        with pytest.raises(ValueError, match='on the device "meta", which holds no numbers'):
            run("on meta", name, "conv1", "relu2")


def test_a_patch_is_for_networks_that_take_rgb():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, len(LABELS)))
    classifier = Classifier(network, None, SIZE, LABELS, channels=1)
    with pytest.raises(ValueError, match="patches are RGB, and this network takes 1 channel"):
        try_patch(classifier, torch.rand(3, 4, 4), torch.rand(4, 1, SIZE, SIZE), 0, 1, sizes=[4], progress=False)


def test_a_receptive_field_behind_an_operation_without_gradient_is_refused():
    with pytest.raises(ValueError, match="layer 'relu2' has no gradient: an operation before it"):
        run("integer layer", "receptive_fields", "relu1", "relu2")


def test_a_layer_without_gradient_is_named_where_an_objective_asks_for_it():
    classifier = Classifier(NETWORKS["integer layer"](), None, SIZE, LABELS)
    with pytest.raises(ValueError, match="does not depend on layer 'relu1'"):
        attribute(classifier, torch.rand(1, 3, SIZE, SIZE), "relu1", channel("relu2", 0), progress=False)


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - {"compare_renderings"}))
@pytest.mark.parametrize(("early", "late"), [("<image>", "relu2"), ("relu1", "<image>"), ("nope", "relu1#7")])
def test_what_is_no_layer_is_one_sentence(name, early, late):
    found = outcome_of(lambda: run("copied", name, early, late))
    assert not found.is_raw, found


def on_two_devices() -> nn.DataParallel:
    """Each forward pass of it replicates the network, and runs the replicas in threads of their own."""
    network = nn.DataParallel(tiny_network())
    network.device_ids = [0, 1]
    network.src_device_obj = torch.device("cpu")
    network.scatter = lambda inputs, kwargs, devices: ([(part,) for part in inputs[0].chunk(2)], [{}, {}])
    network.replicate = lambda module, devices: [module._replicate_for_data_parallel() for _ in devices]
    network.gather = lambda outputs, device: torch.cat(outputs)
    return network


@pytest.mark.parametrize("name", sorted({*QUICK} - {"receptive_fields"}))
def test_a_network_on_several_devices_runs_on_the_first(name):
    expected, images = {}, photos()
    for key, network in {"one": nn.DataParallel(tiny_network()), "two": on_two_devices()}.items():
        classifier = Classifier(network, None, SIZE, LABELS)
        expected[key] = numbers(OPERATIONS[name](subject_of(classifier, images, "module.relu1", "module.relu2")))
        assert network.device_ids == ([] if key == "one" else [0, 1])
    assert expected["one"] == expected["two"]


@pytest.mark.parametrize("name", sorted({*QUICK} - {"blinded"}))
def test_observers_of_quantisation_which_write_without_a_version_stay(name):
    parts = list(tiny_network().named_children())
    network = nn.Sequential(OrderedDict([("quant", QuantStub()), *parts, ("dequant", DeQuantStub())])).train()
    network.qconfig = get_default_qat_qconfig("fbgemm")
    network = prepare_qat(network)
    network(photos())
    network.eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    classifier = Classifier(network, None, SIZE, LABELS)
    found = outcome_of(lambda: OPERATIONS[name](subject_of(classifier, photos() / 2, "relu1", "relu2")))
    assert not found.is_raw, found
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("fill", [torch.rand(3), torch.rand(2, 2), torch.rand(1, 1, 1, 1, 8), {"relu2": torch.rand(3)}])
@pytest.mark.parametrize("units", [Channels("relu2", [0, 1]), Directions("relu2", torch.rand(8))])
def test_a_fill_of_another_shape_than_the_layer_is_refused(units, fill):
    classifier = Classifier(tiny_network(), None, SIZE, LABELS)
    with pytest.raises(ValueError, match=r"fill (has|differs)"), blinded(classifier, units, fill=fill):
        classifier.logits(photos())
    with pytest.raises(ValueError, match=r"fill (has|differs)"):
        bake(classifier, units, fill=fill)


def test_numbers_that_overflow_are_said_to_be_not_finite():
    images = photos()
    classifier = Classifier(NETWORKS["overflow"](), None, SIZE, LABELS)
    sets = {"own": (images[:1], 0), "others": (images[1:], 1)}
    with pytest.raises(NotFiniteError, match="norms of the activations of 'conv2'"):
        evaluate(classifier, Channels("conv2", [0, 2]), sets, random_sets=2, progress=False)


def test_an_error_of_the_network_inside_a_gradient_override_is_the_networks():
    with pytest.raises(NetworkError, match="Sequential fails on images of shape"):
        run("video", "expanded_weights", "conv1", "head")


ENDLESS = range(10**12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: match_distribution({"conv1": ENDLESS}),
        lambda: direction("conv1", ENDLESS),
        lambda: channel("conv1", ENDLESS),
        lambda: compare_renderings(tiny_classifier(), ENDLESS, channel("conv1", 0), steps=1, progress=False),
        lambda: Tail(tiny_network(), photos(), photos(), "conv2", copies=2**31),
        lambda: render(tiny_classifier(), channel("conv1", 0), views=2**40, steps=1, progress=False),
    ],
    ids=["distribution", "direction", "channels", "units", "copies", "views"],
)
def test_what_fits_no_memory_is_refused_before_it_is_made(call):
    found = outcome_of(call)
    assert found.kind == "clear", found


@pytest.mark.parametrize(
    "use",
    [
        layers,
        lambda net: render(net, channel("0", 0), steps=1, progress=False),
        lambda net: activations(net, torch.rand(1, 3, 8, 8), ["0"]),
        lambda net: bake(net.network, Channels("0", [0])),
    ],
    ids=["layers", "render", "activations", "bake"],
)
def test_lazy_layers_that_have_not_run_are_refused_and_are_no_matter_afterwards(use):
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    net = Classifier(network, None, 8)
    with pytest.raises(ValueError, match=r"'0.weight' of Sequential is lazy, .*: run it once on an image"):
        use(net)
    assert nn.parameter.is_lazy(network[0].weight)
    network(torch.zeros(1, 3, 8, 8))
    use(net)


@pytest.mark.parametrize("name", ["steering_curve", "evaluate"])
def test_a_network_that_mixes_its_images_up_is_one_sentence(name):
    found = outcome_of(lambda: run("scalar layer", name, "odd", "odd"))
    assert not found.is_raw, f"{name}: {found}"
