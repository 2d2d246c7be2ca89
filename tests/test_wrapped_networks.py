"""Networks in wrappers: each operation gives what it gives of the network inside, and a wrapper is left as it was."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from optvis import Classifier, attribute, layers, render
from optvis.ablation import bake, blinded
from optvis.circuits import weights
from optvis.features import Channels
from optvis.models.adapted.compiled import run_eagerly
from optvis.objectives import channel, logit

from .operations import CLASSES, OPERATIONS, Subject, coarse_images, tiny_network
from .wrapped import WRAPPED, distributed, with_lora

pytestmark = pytest.mark.filterwarnings("ignore")  # of gloo, peft and torch's compiler
SIZE = 12
IMAGES = coarse_images(11, (SIZE, SIZE))
QUICK = ("layers", "classify", "receptive_fields", "render", "dream", "activation_grid", "attribute by midpoint",
         "bake", "hinton_of_weights", "evaluate", "Tail", "sample_activations")  # fmt: skip


@pytest.fixture(params=WRAPPED)
def wrapped(request):
    """The network, which has run before, its prefix, and its output."""
    build, prefix = WRAPPED[request.param]
    if request.param == "LoRA":
        pytest.importorskip("peft")
    network = build().eval()
    with torch.no_grad():
        return network, prefix, network(IMAGES).clone()


def test_each_operation_works(wrapped):
    network, prefix, output = wrapped
    net = Classifier(network, None, SIZE, labels=tuple("abcd"))
    torch.testing.assert_close(net.logits(IMAGES), output)
    subject = Subject(net, f"{prefix}relu1", f"{prefix}relu2", f"{prefix}conv2", IMAGES)
    for name in QUICK:
        OPERATIONS[name](subject)
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), output)


def test_names_of_layers_are_the_networks_own(wrapped):
    network, prefix, _ = wrapped
    names = layers(Classifier(network, None, SIZE)).names
    assert f"{prefix}relu1" in names
    assert not any("_orig_mod" in name for name in names)


def test_it_is_ablated_where_it_is_called_itself_too(wrapped):
    network, prefix, before = wrapped
    units = Channels(f"{prefix}relu2", range(8))
    with torch.no_grad(), blinded(network, units):
        direct = network(IMAGES)
    with blinded(Classifier(network, None, SIZE), units) as same:
        torch.testing.assert_close(same.logits(IMAGES), direct)
    assert not direct.allclose(before)
    rows = direct[:1].expand_as(direct)
    torch.testing.assert_close(direct, rows)  # nothing of the images is left
    baked = bake(Classifier(network, None, SIZE), units)
    torch.testing.assert_close(baked.logits(IMAGES), direct)
    with torch.no_grad():
        torch.testing.assert_close(network(IMAGES), before)


@pytest.mark.parametrize("name", [name for name in WRAPPED if name not in ("LoRA", "weight norm", "spectral norm")])
def test_results_are_those_of_the_network_inside(name):
    build, prefix = WRAPPED[name]
    found = []
    for network, start in ((build(), prefix), (tiny_network(), "")):
        net = Classifier(network, None, SIZE)
        picture = render(net, channel(f"{start}relu2", 1) + logit(2), steps=2, progress=False)
        shares = attribute(net, IMAGES[:1], f"{start}relu1", logit(2), progress=False)
        found.append((picture.images, shares.values))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", ["torch.compile", "a compiled network in another"])
def test_names_with_the_compilers_own_part_are_known_too(name):
    build, prefix = WRAPPED[name]
    network, long = build(), f"{prefix}_orig_mod.relu2"
    found = [render(Classifier(network, None, SIZE), channel(layer, 1), steps=1, progress=False).images
             for layer in (long, f"{prefix}relu2")]  # fmt: skip
    assert found[0].equal(found[1])
    with pytest.raises(KeyError, match=f"no layer '{prefix}relu3'; nearest: '{prefix}relu2'"):
        render(Classifier(network, None, SIZE), channel(f"{prefix}relu3", 1), steps=1, progress=False)


def test_compiled_networks_run_compiled_again_afterwards_also_with_threads():
    calls = []

    def count(module, inputs):
        calls.append(len(inputs))
        return module.forward

    network = torch.compile(tiny_network(), backend=count)
    both, inside = threading.Barrier(2, timeout=60), threading.Barrier(2, timeout=60)

    def use():
        with run_eagerly(network):
            both.wait()
            network(IMAGES)
        inside.wait()

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == []
    network(IMAGES)
    assert calls


def test_other_processes_are_not_waited_for(monkeypatch):
    """In each of them optvis may be used or not."""
    network = distributed()

    def refuse(*_args, **_options):
        raise AssertionError("it asked another process")

    monkeypatch.setattr(nn.parallel.DistributedDataParallel, "_sync_buffers", refuse)
    net = Classifier(network.train(), None, SIZE)
    render(net, channel("module.relu2", 1), steps=1, progress=False)
    net.logits(IMAGES)
    assert network.require_forward_param_sync
    assert network.require_backward_grad_sync
    with pytest.raises(AssertionError, match="it asked"):
        network(IMAGES)


def test_weights_of_a_layer_with_lora_are_those_that_it_computes_with():
    pytest.importorskip("peft")
    network = with_lora().eval()
    layer = network.base_model.model.fc
    found = weights(Classifier(network, None, SIZE), "base_model.model.fc", range(CLASSES))
    inputs = torch.eye(8)
    torch.testing.assert_close(layer(inputs).detach().mT - layer.base_layer.bias.detach()[:, None], found)
