"""Scores for each pixel, and other outputs that are no (B, classes): what is asked of them, and how."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from optvis import Classifier, attribute, classify, dream, layers, render
from optvis.models.classifier import check_logits
from optvis.objectives import logit

SIDE = 24


class Segments(nn.Module):
    """Scores for each fourth pixel of four classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.ReLU(), nn.Conv2d(8, 4, 1))

    def forward(self, images):
        return {"out": self.body(images), "aux": images}


class Detects(nn.Module):
    """A dict for each image, as detectors of torchvision have it; takes a list of images."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Conv2d(6, 3, 1))

    def forward(self, images):
        scores = [self.body(image.unsqueeze(0))[0].flatten(1).sigmoid() for image in images]
        return [{"boxes": torch.zeros(4, 4), "scores": one} for one in scores]


def best_scores(found):
    """The best score of each class in each image, (B, classes)."""
    return torch.stack([one["scores"].amax(1) for one in found])


@pytest.fixture
def segments():
    torch.manual_seed(0)
    return Classifier(Segments().eval(), None, SIDE, labels=list("abcd"))


@pytest.fixture
def half():
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[:, : SIDE // 2] = True
    return mask


@pytest.fixture
def images():
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [1, 0.25])
def test_the_score_is_the_mean_over_the_mask(segments, half, images, scale):
    output = segments.network(images)["out"].detach()
    expected = output[:, 3, :, :3].mean((1, 2))
    torch.testing.assert_close(logit(3, where=half * scale)({"": output}), expected)
    torch.testing.assert_close(logit(3)({"": output}), output[:, 3].mean((1, 2)))
    each = logit([3, 1], where=torch.stack([half, ~half]))({"": output})
    torch.testing.assert_close(each, torch.stack([output[0, 3, :, :3].mean(), output[1, 1, :, 3:].mean()]))


def test_only_what_lies_under_the_mask_is_changed_and_counts(segments, half, images):
    objective = logit("b", where=half)
    found = render(segments, objective, size=SIDE, steps=8, recipe="plain", transform=None, progress=False)
    flat = render(segments, objective, size=SIDE, steps=0, recipe="plain", transform=None, progress=False)
    assert found.scores[-1] > found.scores[0]
    assert found.images.shape == flat.images.shape
    pixels = attribute(segments, images[:1], "<image>", objective, progress=False)
    heat = pixels.positions[0].abs()
    assert heat[:, -SIDE // 2 + 4 :].max() == 0
    assert heat[:, : SIDE // 2 - 4].max() > 0
    shares = attribute(segments, images[:1], "body.1", objective, progress=False)
    assert shares.values.isfinite().all()
    assert dream(segments, images[:1], objective, steps=1, octaves=1, progress=False).images.isfinite().all()
    both = render(segments, objective * logit("c") + 1, size=SIDE, steps=1, progress=False)
    assert both.scores.isfinite().all()
    assert objective.is_positional
    assert not logit("b").is_positional


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (torch.zeros(4, 4), "0 at all pixels"),
        (-torch.ones(4, 4), "is negative"),
        (torch.ones(4), r"where is \(1, 4\); expected \(H, W\)"),
        (torch.ones(1, 1, 4, 4), r"where is \(1, 1, 4, 4\); expected \(H, W\)"),
    ],
)
def test_masks_that_make_no_sense_are_one_sentence(mask, says):
    with pytest.raises(ValueError, match=says):
        logit(3, where=mask)


def test_a_mask_needs_scores_for_each_pixel(small):
    with pytest.raises(ValueError, match=r"where= needs a score for each pixel, \(B, K, h, w\)"):
        render(small, logit(1, where=torch.ones(4, 4)), steps=1, progress=False)


def test_scores_for_each_pixel_become_classes_by_their_mean(segments, images):
    with pytest.raises(ValueError, match=r"of scores for each pixel take the mean: Classifier\(..., output="):
        classify(segments, images)
    net = Classifier(segments.network, None, SIDE, list("abcd"), output=lambda out: out["out"].mean((2, 3)))
    assert classify(net, images).confidences.shape == (2, 4)
    assert layers(net).names == layers(segments).names


def test_a_detector_becomes_a_classifier_by_its_best_scores(images):
    torch.manual_seed(0)
    net = Classifier(Detects().eval(), None, SIDE, list("abc"), output=best_scores)
    assert net.logits(images).shape == (2, 3)
    picture = render(net, logit("b"), size=SIDE, steps=2, progress=False)
    assert picture.scores.isfinite().all()
    assert classify(net, images, top=3).confidences.shape == (2, 3)
    with pytest.raises(ValueError, match=r"the network gives list; .*output=key, index or function"):
        classify(Classifier(Detects().eval(), None, SIDE), images)


@dataclass
class Scores:
    """An object with a field, as some networks return."""

    logits: torch.Tensor


class Gives(nn.Module):
    """A network whose output is made of (B, 3, H, W)."""

    def __init__(self, pack):
        super().__init__()
        self.conv, self.pack = nn.Conv2d(3, 3, 3), pack

    def forward(self, images):
        return self.pack(self.conv(images))


@pytest.mark.parametrize(
    "pack",
    [
        lambda a: a,
        lambda a: {"out": a, "aux": a},
        lambda a: {"logits": a},
        lambda a: Scores(a),
        lambda a: a.flatten(2).mT,
        lambda a: {"logits": a.flatten(2).mT, "boxes": a},
    ],
)
def test_what_the_error_advises_gives_one_score_for_each_class(pack):
    network = Gives(pack)
    output = network(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="expected a score for each class") as caught:
        check_logits(output)
    advice = eval(str(caught.value).partition("output=")[2].removesuffix(")"))
    assert Classifier(network, None, 8, output=advice).logits(torch.rand(2, 3, 8, 8)).shape == (2, 3)
