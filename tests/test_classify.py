"""What a network calls a photograph: softmax, sorted, in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optvis import IMAGENET, Classifier, classify


class Says(nn.Module):
    """Gives the same scores whatever it sees."""

    def __init__(self, scores):
        super().__init__()
        self.register_buffer("scores", scores)

    def forward(self, x):
        return self.scores.expand(len(x), *self.scores.shape[1:]) if isinstance(self.scores, torch.Tensor) else x


def says(*scores, labels=()):
    return Classifier(Says(torch.tensor([scores])), None, 8, labels=labels)


PHOTO = torch.rand(3, 8, 8)


def test_confidences_are_the_softmax_likeliest_first():
    answer = classify(says(1.0, 3.0, 2.0), PHOTO)
    assert answer.indices.tolist() == [[1, 2, 0]]
    expected = torch.tensor([3.0, 2.0, 1.0]).exp() / torch.tensor([1.0, 2.0, 3.0]).exp().sum()
    torch.testing.assert_close(answer.confidences, expected.unsqueeze(0))
    torch.testing.assert_close(answer.confidences.sum(1), torch.ones(1))


def test_labels_are_the_networks_and_numbers_where_it_has_none():
    assert classify(says(1.0, 3.0, labels=("cat", "dog")), PHOTO).labels == (("dog", "cat"),)
    assert classify(says(1.0, 3.0), PHOTO).labels == (("class 1", "class 0"),)


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (3, 3), (50, 3)])
def test_top_is_how_many_at_most(top, count):
    answer = classify(says(1.0, 3.0, 2.0), PHOTO, top=top)
    assert answer.indices.shape == (1, count)
    assert answer.confidences.shape == (1, count)


@pytest.mark.parametrize("top", [0, -1])
def test_top_under_one_is_refused(top):
    with pytest.raises(ValueError, match=f"top is {top}; expected 1 or more"):
        classify(says(1.0), PHOTO, top=top)


def test_each_photograph_is_answered_as_it_is_alone(small):
    photos = [torch.rand(3, 20, 20), torch.rand(3, 31, 25), torch.rand(3, 9, 9)]
    together = classify(small, photos)
    assert len(together) == 3
    for place, photo in enumerate(photos):
        alone = classify(small, photo)
        assert together.labels[place] == alone.labels[0]
        torch.testing.assert_close(together.confidences[place], alone.confidences[0])


def test_scores_of_the_network_in_eval_mode_are_meant(small, answer):
    images = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    expected = answer(small.network, small.normalize(images)).softmax(1)
    found = classify(small, images)
    torch.testing.assert_close(found.confidences, expected.gather(1, found.indices).float())


def test_the_classes_of_one_image_are_pairs_of_label_and_probability(small):
    found = classify(small, torch.rand(3, 3, 8, 8), top=3)
    assert found[1] == list(zip(found.labels[1], found.confidences[1].tolist(), strict=True))
    assert len(list(found)) == len(found)


def test_it_prints_a_percentage_and_a_label_a_line():
    answer = classify(says(0.0, 100.0, labels=("cat", "dog")), torch.rand(2, 3, 8, 8))
    assert str(answer) == "100.00%  dog\n  0.00%  cat\n\n100.00%  dog\n  0.00%  cat"
    assert repr(answer) == str(answer)


def test_a_notebook_shows_labels_as_text():
    shown = classify(says(1.0, labels=("<script>alert(1)</script> & more",)), PHOTO)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in shown


@pytest.mark.parametrize(
    ("network", "came"),
    [(nn.Identity(), r"\(1, 3, 8, 8\)"), (nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Flatten(0)), r"\(2,\)"),
     (nn.MaxPool2d(2, return_indices=True), "tuple")],
)  # fmt: skip
def test_what_gives_no_score_per_class_is_refused(network, came):
    with pytest.raises(ValueError, match=rf"the network gives {came}; expected a score for each class"):
        classify(Classifier(network, None, 8), PHOTO)


def test_a_bare_network_is_told_its_normalisation_or_refused(network):
    with pytest.raises(ValueError, match="normalize=IMAGENET"):
        classify(network, torch.rand(3, 224, 224))
    assert len(classify(network, torch.rand(3, 224, 224), normalize=IMAGENET)) == 1


def test_half_precision_scores_become_probabilities_that_sum_to_one():
    network = Classifier(Says(torch.tensor([[1.0, 3.0, 2.0]]).bfloat16()), None, 8)
    assert classify(network, PHOTO).confidences.dtype == torch.float32
    torch.testing.assert_close(classify(network, PHOTO).confidences.sum(), torch.tensor(1.0))
