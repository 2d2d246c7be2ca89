"""A microscope reads its images and numbers from a survey: they equal its own pass, naive loops, and other engines."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch

from optvis import Classifier, activations
from optvis.cli import main as cli
from optvis.microscope import MicroscopeOptions, build_microscope
from optvis.microscope.surveyed import LEVELS, STRATA
from optvis.survey import Survey, survey_channels
from tests.conftest import LABELS, small_network

IMAGES = torch.rand(11, 3, 20, 20, generator=torch.Generator().manual_seed(5))
CLASSES = [0, 3, 1, 1, 0, 3, 0, 1, 3, 3, 0]
ROWS = list(zip(IMAGES, CLASSES, strict=True))
LAYERS = ["relu1", "fc"]
SIZES = partial(MicroscopeOptions, 2, 3, 4, 2, 2)
SMALL = {"channels": range(3), "size": 16, "steps": 1, "progress": False}


@pytest.fixture(scope="module")
def net():
    """The small network, whose first label and name are somebody else's HTML."""
    labels = ("<script>alert(1)</script>", *LABELS[1:])
    return Classifier(small_network().double(), None, 20, labels=labels, name="<b>")


@pytest.fixture(scope="module")
def survey(net, tmp_path_factory):
    return survey_channels(net, ROWS, [*LAYERS, ""], tmp_path_factory.mktemp("survey"), top=4, progress=False)


@pytest.fixture(scope="module")
def site(net, survey, tmp_path_factory):
    options = SIZES(survey=survey)
    return build_microscope(net, ROWS, LAYERS, tmp_path_factory.mktemp("site"), options=options, **SMALL).parent


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_images_are_those_of_a_pass_of_its_own(net, site, tmp_path, monkeypatch):
    build_microscope(net, ROWS, LAYERS, tmp_path / "own", options=SIZES(), **SMALL)
    own, read_from = files(tmp_path / "own"), files(site)
    for name in own:
        if name.endswith(("top_activations.json", ".webp")) or name.startswith("layer-fc/classes-"):
            assert own[name] == read_from[name], name
    for name in ("layer-relu1/group-0-1.json", "layer-fc/group-2-2.json"):
        for one, other in zip(*(read(folder / name)["channels"] for folder in (tmp_path / "own", site)), strict=True):
            assert one.pop("survey") is None
            assert other.pop("survey")["images"] == 11
            assert one == other


def test_no_pass_is_made_and_the_recipe_names_the_survey(net, survey, site, tmp_path, monkeypatch):
    monkeypatch.setattr("optvis.microscope.builder.find_exemplars", lambda *_, **__: pytest.fail("a pass"))
    options = {"options": SIZES(survey=survey.store.folder), **SMALL}
    for part in ((2, 2), (1, 2), "finish"):
        build_microscope(net, ROWS, LAYERS, tmp_path, part=part, **options)
    assert files(tmp_path) == files(site)
    for name in ("recipe.json", "index.json"):
        recipe = read(site / name)
        assert recipe.get("recipe", recipe)["survey"] == survey.digest
    assert read(site / "layer-relu1" / "2.json")["recipe"]["survey"] == survey.digest
    with pytest.raises(FileExistsError, match="another recipe: survey is"):
        build_microscope(net, ROWS, LAYERS, site, options=SIZES(), **SMALL)


@pytest.mark.parametrize("layer", LAYERS)
def test_numbers_equal_loops(net, site, layer):
    a = activations(net, IMAGES, layer)[layer].float().flatten(2 if layer == "relu1" else 1)
    peaks = (a.amax(2) if a.dim() == 3 else a).double().numpy()
    for channel in range(3):
        found, values = read(site / f"layer-{layer}" / f"{channel}.json")["record"]["survey"], peaks[:, channel]
        assert [level for level, _ in found["quantiles"]] == list(LEVELS)
        assert np.allclose([value for _, value in found["quantiles"]], np.quantile(values, LEVELS), rtol=1e-5)
        steps = np.minimum((values - values.min()) / np.ptp(values) * len(found["histogram"]), 31.5).astype(int)
        assert found["histogram"] == [int((steps == step).sum()) for step in range(len(found["histogram"]))]
        means = {k: np.mean([v for v, label in zip(values, CLASSES, strict=True) if label == k]) for k in set(CLASSES)}
        order = sorted(means, key=lambda k: -means[k])
        assert [row["index"] for row in found["classes"]] == order
        assert [row["images"] for row in found["classes"]] == [CLASSES.count(k) for k in order]
        assert [row["label"] for row in found["classes"]] == [net.label(k) for k in order]
        assert np.allclose([row["mean"] for row in found["classes"]], [means[k] for k in order], rtol=1e-5)
        chosen = [int(np.abs(values - level).argmin()) for level in np.linspace(values.max(), values.min(), STRATA)]
        assert [image["file"] for image in found["sample"]] == [f"{n:06d}.webp" for n in dict.fromkeys(chosen)]
        assert np.allclose([image["activation"] for image in found["sample"]], values[list(dict.fromkeys(chosen))])
        assert all((site / "images" / image["file"]).is_file() for image in found["sample"])


def test_hostile_labels_are_escaped_and_links_have_a_page(site):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        for target in text.split('href="../classes/')[1:]:
            assert (site / "classes" / target.split('"')[0]).is_file()
    assert "&lt;script&gt;alert(1)" in (site / "layer-relu1" / "0.html").read_text(encoding="utf-8")


def test_attributions_of_a_survey_choose_images_by_attribution(net, tmp_path):
    survey = survey_channels(net, IMAGES, "relu1", tmp_path / "survey", target=1, top=3, progress=False)
    own = {"exemplar_class": 1, "class_images": 0}
    for name, source in {"own": None, "read": survey}.items():
        options = MicroscopeOptions(2, 3, 4, survey=source, **own)
        build_microscope(net, IMAGES, "relu1", tmp_path / name, options=options, **SMALL)
    for channel in range(3):
        one, other = (read(tmp_path / name / f"layer-relu1/{channel}.json")["record"] for name in ("own", "read"))
        assert [image["file"] for image in one["images"]] == [image["file"] for image in other["images"]]
        assert all(image["attribution"] is not None for image in other["survey"]["sample"])
        assert other["survey"]["classes"] == []  # the images have no labels
    assert "equal steps from the largest attribution" in (tmp_path / "read/layer-relu1/0.html").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": True}, "is another one: weights is '.*' there and '.*' here; survey this network"),
        ({"images": IMAGES[:5]}, "is another one: images is 11 there and 5 here; give the images of the survey"),
        ({"images": 1 - IMAGES}, "is another one: dataset is '.*' here; give the images of the survey"),
        ({"layers": "relu2"}, "has no layer 'relu2'; nearest: 'relu1'; survey this layer too"),
        ({"top_images": 9}, "has only the strongest 4 images of each channel, not 9; survey with top=9, or .*images=4"),
        ({"exemplar_class": 2}, "target is None there and 2 here; give its target as exemplar_class"),
        ({"survey": "fc"}, "has no layer '', the output, to choose images of classes by; survey it too, or give class"),
        ({"survey": "target"}, "has attributions, and the output chooses the images of classes; give class_images=0"),
        ({"survey": "half"}, "has 0 of 11 images; the same call of survey_channels continues"),
    ],
)  # fmt: skip
def test_another_survey_is_refused_before_a_file_is_written(net, survey, tmp_path, change, words):
    change = dict(change)
    layers, images = change.pop("layers", "relu1"), change.pop("images", ROWS)
    network = Classifier(small_network().double(), None, 20, labels=net.labels, name="<b>")
    if change.pop("weights", False):
        network.network.fc.bias.data += 1
    kind, place = change.pop("survey", None), tmp_path / "survey"
    if kind is not None:
        target, own = (1, {"exemplar_class": 1}) if kind == "target" else (None, {})
        survey, change = survey_channels(network, ROWS, "relu1", place, target=target, progress=False), change | own
    if kind == "half":
        (place / "shards.jsonl").write_text("")
        survey = Survey(place)
    options = SIZES(survey=survey) if not change else MicroscopeOptions(**{"top_images": 3} | change, survey=survey)
    with pytest.raises(ValueError, match=words):
        build_microscope(network, images, layers, tmp_path / "new", options=options, **SMALL)
    assert not (tmp_path / "new").exists()


def test_the_command_reads_a_survey(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["survey", "demo", "--layers", "mixed4", "", "--scenes", "6"]) == 0
    words = ["--channels", "0", "--size", "16", "--steps", "0", "--sample-size", "2", "--scenes", "6"]
    assert cli.main(["microscope", "demo", "--layers", "mixed4", *words, "--survey", "survey"]) == 0
    assert "From strong to weak" in (tmp_path / "microscope" / "layer-mixed4" / "0.html").read_text(encoding="utf-8")
    assert cli.main(["microscope", "demo", "--layers", "mixed4", "--out", "b", "--survey", "none"]) == 1
    assert "no store in " in capsys.readouterr().err


def test_what_is_no_survey_is_refused(net, tmp_path):
    with pytest.raises(TypeError, match="survey must be Survey, str, Path or None, got int 5"):
        build_microscope(net, IMAGES, "relu1", tmp_path, options=MicroscopeOptions(survey=5), progress=False)
