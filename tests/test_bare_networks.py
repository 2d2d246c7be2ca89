"""Bare networks are fed as their publishers say, or refused with the cure; never wrongly without a word."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter

from optvis import IMAGENET, Normalize, activations, render
from optvis.models import infer
from optvis.objectives import channel

HALF = Normalize((0.5,) * 3, (0.5,) * 3)
as_classifier = partial(infer.as_classifier, on_meta=True)  # most networks here are on the meta device
WARNING = "is fed as torchvision's published weights are"


def build(name: str, **options: object) -> nn.Module:
    """A network of torchvision without weights, on the meta device: its numbers do not matter."""
    device = "cpu" if name.startswith("regnet") else "meta"  # a RegNet computes its widths with tensors
    with warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter("ignore")
        return models.get_model(name, weights=None, **options)


DETECTORS = models.list_models(module=models.detection)
SEGMENTERS = models.list_models(module=models.segmentation)
OTHERS = models.list_models(module=models.video) + models.list_models(module=models.optical_flow)
CLASSIFIERS = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "efficientnet_v2_l"),
    *("googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf"),
    *("resnet18", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11", "vgg16"),
    "vit_b_16",
]


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_which_normalises_inside_gets_images_as_they_are(name):
    assert as_classifier(build(name, weights_backbone=None)).normalize is None


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_is_fed_as_published(name):
    with pytest.warns(UserWarning, match=WARNING):
        assert as_classifier(build(name, weights_backbone=None)).normalize == IMAGENET


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_is_fed_as_its_published_weights(name):
    entry = models.get_model_weights(name).DEFAULT.transforms()
    with pytest.warns(UserWarning, match=WARNING):
        assert as_classifier(build(name)).normalize == Normalize(entry.mean, entry.std)


@pytest.mark.parametrize("name", OTHERS)
def test_networks_of_clips_and_pairs_are_refused(name):
    with pytest.raises(ValueError, match="does not say how its input is normalised; give normalize="):
        as_classifier(build(name))


def test_the_builder_is_told_by_its_layers_also_with_another_head():
    network = build("efficientnet_v2_l", num_classes=3)
    with pytest.warns(UserWarning, match=r"Normalize\(mean=\(0\.5"):
        assert as_classifier(network).normalize == HALF
    with pytest.warns(UserWarning, match="normalize=IMAGENET"):
        assert as_classifier(build("efficientnet_v2_m", num_classes=3)).normalize == IMAGENET


def test_weights_of_features_alone_are_told_by_their_head():
    network = models.vgg16(num_classes=2)
    preset = models.VGG16_Weights.IMAGENET1K_FEATURES.transforms()
    nn.init.constant_(network.classifier[-1].bias, float("nan"))
    with pytest.warns(UserWarning, match=WARNING):
        assert as_classifier(network).normalize == Normalize(preset.mean, preset.std)


def stranger() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


WRAPPERS = {
    "layer getter around a network": lambda: IntermediateLayerGetter(stranger(), {"1": "out"}),
    "layer getter around a ResNet": lambda: IntermediateLayerGetter(build("resnet18"), {"layer4": "out"}),
    "a block": lambda: models.resnet.BasicBlock(8, 8),
    "a part": lambda: build("vgg11").features,
    "a backbone with a pyramid": lambda: models.detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None
    ),
}


@pytest.mark.parametrize("make", WRAPPERS.values(), ids=WRAPPERS)
def test_what_torchvision_wraps_or_does_not_publish_is_refused(make):
    with pytest.raises(ValueError, match="does not say how its input is normalised; give normalize="):
        as_classifier(make())


def test_a_network_is_warned_of_once_and_not_where_it_is_told():
    network, image = models.squeezenet1_1(), torch.rand(3, 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        activations(network, image, ["features.0"], normalize=IMAGENET)
        activations(as_classifier(models.squeezenet1_0(), None), image, ["features.0"])
    with pytest.warns(UserWarning, match="SqueezeNet " + WARNING) as caught:
        activations(network, image, ["features.0"])
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        activations(network, image, ["features.0"])
        render(network, channel("features.0", 1), size=16, steps=1, progress=False)
    with pytest.warns(UserWarning, match=WARNING):
        as_classifier(models.squeezenet1_1())


def test_a_detector_sees_its_own_normalisation_once():
    network = models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    seen: list[torch.Tensor] = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    activations(network, image, ["backbone.features.0"])
    with torch.no_grad():
        network([image[0]])
    assert torch.equal(seen[0], seen[1])
