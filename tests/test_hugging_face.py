"""Networks of transformers, saved to a folder and loaded again: fed, labelled and read as their publisher says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Classifier, activations, classify, layers, load, render
from optvis.ablation import blinded
from optvis.features import Channels
from optvis.models.adapted.network import original_of
from optvis.objectives import channel, logit

from .hugging_face import FOLDERS, LABELS, SIDE, build_small, save_small

pytestmark = pytest.mark.filterwarnings("ignore")  # of transformers, about its own future
pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=FOLDERS)
def loaded(request, tmp_path_factory):
    """The Classifier, the network that was saved, and its processor."""
    folder = tmp_path_factory.mktemp("hub")
    network = save_small(request.param, folder)
    return load(f"hf/{folder}"), network, build_small(request.param)[1]


def photograph(size):
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    waves = [np.sin(columns / 9 + rows / 13), np.cos(columns / 7), np.sin(rows / 5)]
    return Image.fromarray(((np.stack(waves, -1) / 2 + 0.5) * 255).astype(np.uint8))


def call(network, inputs):
    with torch.no_grad():
        output = network(**inputs)
    names = [name for name in ("logits", "image_embeds", "pooler_output") if name in output]
    return output[names[0]]


@pytest.mark.parametrize("size", [(50, 70), (90, 48)])
def test_a_photograph_gives_what_transformers_give(loaded, size):
    net, network, processor = loaded
    inputs = processor(images=photograph(size), return_tensors="pt")
    if "spatial_shapes" in inputs:  # its processor keeps the aspect ratio
        inputs = processor(images=photograph((SIDE, SIDE)), return_tensors="pt")
        ours = net.logits(net.load_batch(photograph((SIDE, SIDE))))
    else:
        batch = net.load_batch(photograph(size))
        fed = net.preprocess(batch)
        assert fed.shape == inputs["pixel_values"].shape
        assert (fed - inputs["pixel_values"]).abs().mean() < 0.02  # resized in 8 bits, or as floats
        ours = net.logits(batch)
    theirs = call(network, inputs).flatten(1)
    torch.testing.assert_close(ours, theirs, atol=0.03 * float(theirs.abs().max()), rtol=0)


def test_weights_are_the_same_and_float32(loaded):
    net, network, _ = loaded
    state = original_of(net.network).state_dict()
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    assert net.dtype == torch.float32
    assert not net.network.training
    assert net.size == (SIDE, SIDE)


def test_classifiers_have_labels_and_backbones_give_embeddings(loaded):
    net, network, _ = loaded
    images = torch.rand(2, 3, SIDE, SIDE)
    if "For" in type(network).__name__:
        assert net.labels == tuple(LABELS.values())
        assert classify(net, images).confidences.sum(1).allclose(torch.ones(2))
    else:
        assert net.read_head(images).kind == "embedding"
        assert net.labels == ()
        with pytest.raises(ValueError, match=r"classify: the network's output is an embedding"):
            classify(net, images)
    assert net.logits(images).shape[0] == 2


def test_blocks_and_attention_are_read_rendered_and_switched_off(loaded):
    net, _, _ = loaded
    table = layers(net)
    names = [row.name for row in table if row.is_tensor and row.output.startswith("1 × ") and row.output.count("×") > 1]
    blocks = [
        name for name in names if name.endswith((".0", ".1", "attention", "self_attn", "mlp")) and "bias" not in name
    ]
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    before = net.logits(images)
    for name in blocks[-3:]:
        are_tokens = table[name].output.count("×") == 2
        axis = -1 if are_tokens else 1
        name = f"{name}@all" if are_tokens else name  # patches of the last block do not reach the class token
        assert activations(net, images, name)[name].shape[0] == 2
        picture = render(net, channel(name, 1, channel_axis=axis), size=SIDE, steps=1, progress=False)
        assert picture.images.isfinite().all()
        with blinded(net, Channels(name, [0, 1, 2], channel_axis=axis)):
            assert not net.logits(images).equal(before), name
    target = logit("owl") if net.labels else channel("", 3)
    assert render(net, target, size=SIDE, steps=1, progress=False).scores.isfinite().all()


@pytest.mark.parametrize("name", ["ResNet", "DINOv2"])
def test_a_backbone_gives_the_mean_of_its_last_map(tmp_path, name):
    import transformers

    network, processor = build_small(name)
    backbone = {"ResNet": transformers.ResNetBackbone, "DINOv2": transformers.Dinov2Backbone}[name](
        network.config
    ).eval()
    backbone.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    net = load(f"hf/{tmp_path}")
    images = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected = backbone(net.normalize(images)).feature_maps[-1].mean((2, 3))
    assert net.read_head(images).kind == "embedding"
    torch.testing.assert_close(net.logits(images), expected)


def test_random_weights_are_the_same_each_time(tmp_path):
    save_small("ResNet", tmp_path)
    first, second = (load(f"hf/{tmp_path}", weights=None).network.state_dict() for _ in range(2))
    assert all(value.equal(second[name]) for name, value in first.items())


def test_placeholders_are_no_labels_and_independent_classes_are_said(tmp_path):
    save_small("ResNet", tmp_path / "plain", id2label={0: "LABEL_0", 1: "LABEL_1"}, label2id={})
    assert load(f"hf/{tmp_path}/plain").labels == ()
    save_small("ResNet", tmp_path / "tags", problem_type="multi_label_classification")
    assert load(f"hf/{tmp_path}/tags").head == "sigmoid"


def test_labels_of_the_callers_own_take_the_place_of_the_configs(tmp_path):
    save_small("ResNet", tmp_path)
    assert load(f"hf/{tmp_path}", labels=list("abcde")).labels == tuple("abcde")
    with pytest.raises(ValueError, match=r"2 labels for hf/.*, which has 5 classes"):
        load(f"hf/{tmp_path}", labels=["a", "b"])


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without_processor(folder):
    (folder / "preprocessor_config.json").unlink()


def with_pickle(folder):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def with_code(folder):
    text = {"auto_map": {"AutoConfig": "mine.Config", "AutoModelForImageClassification": "mine.Net"}}
    edit(folder / "config.json", model_type="mine", **text)
    (folder / "mine.py").write_text("raise SystemExit('code of the folder ran')")


def of_texts(folder):
    edit(folder / "config.json", model_type="bert", architectures=["BertModel"])


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (without_processor, ValueError, r"no preprocessor_config.json .*save its image processor there"),
        (with_pickle, ConnectionError, r"cannot be loaded \(.*safetensors"),
        (with_code, ValueError, "needs code of its own, which is not run"),
        (of_texts, ValueError, "a BertModel, which takes no images"),
        (shutil.rmtree, FileNotFoundError, "no folder .*save_pretrained wrote"),
        (lambda folder: (folder / "config.json").unlink(), FileNotFoundError, "no config.json in"),
        (lambda folder: (folder / "config.json").write_text("{"), ConnectionError, "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"no"), ValueError, "cannot be loaded"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_folder_that_cannot_be_loaded_is_one_sentence(tmp_path, change, error, says):
    folder = tmp_path / "net"
    save_small("ResNet", folder)
    change(folder)
    with pytest.raises(error, match=says) as caught:
        load(f"hf/{folder}")
    assert "\n" not in str(caught.value)


def test_a_name_of_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch):
    import transformers

    def refuse(*_args, **_options):
        raise OSError("We couldn't connect to 'https://huggingface.co'\n\nCheck your internet connection")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(ConnectionError, match=r"'hf/me/net' cannot be loaded \(We couldn't connect") as caught:
        load("hf/me/net")
    assert "\n" not in str(caught.value)


def test_missing_weights_are_said(tmp_path):
    from safetensors.torch import load_file, save_file

    save_small("ResNet", tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in state.items() if "classifier" not in name}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.warns(UserWarning, match=r"has no weights for classifier.1.bias, classifier.1.weight, which are"):
        load(f"hf/{tmp_path}")


@pytest.mark.parametrize(
    ("processing", "mean", "std"),
    [
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, 0.5, 0.5),
        ({"do_normalize": False, "do_rescale": False}, 0.0, 1 / 255),
        ({"image_mean": [0.25] * 3, "image_std": [0.5] * 3}, 0.25, 0.5),
        ({"image_mean": [0.25] * 3, "image_std": [0.5] * 3, "include_top": True}, 0.25, 0.25),
    ],
)
def test_what_a_processor_does_to_numbers_is_one_normalisation(processing, mean, std):
    import transformers

    from optvis.models.zoo.image_processors import read_processor

    options = {"size": {"height": 8, "width": 8}, "resample": 0, "include_top": False}
    processor = transformers.EfficientNetImageProcessor(**options | processing)
    normalize, _, _ = read_processor(processor)
    assert normalize.mean == pytest.approx((mean,) * 3)
    assert normalize.std == pytest.approx((std,) * 3)
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(normalize(image.unsqueeze(0) / 255), theirs.float(), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("side", [32, 400])
@pytest.mark.parametrize("kind", ["ConvNextImageProcessor", "LevitImageProcessor", "BitImageProcessor"])
def test_images_are_resized_and_cropped_as_the_processor_does(kind, side):
    import transformers

    from optvis.models.zoo.image_processors import read_processor

    crop = {} if "Conv" in kind else {"crop_size": {"height": side, "width": side}}
    processor = getattr(transformers, kind)(size={"shortest_edge": side}, do_normalize=False, **crop)
    image = photograph((515, 460))
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    ours = torch.from_numpy(np.array(read_processor(processor)[1](image))).permute(2, 0, 1) / 255
    assert ours.shape == theirs.shape[1:]
    assert (ours - theirs[0]).abs().mean() < 0.01


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_channels_get_images_of_as_many(tmp_path, channels):
    save_small("ViT", tmp_path, num_channels=channels)
    net = load(f"hf/{tmp_path}")
    assert net.channels == channels
    assert len(net.normalize.mean) == channels
    assert render(net, logit("cat"), size=SIDE, steps=1, progress=False).images.shape == (1, channels, SIDE, SIDE)


def test_channels_are_reversed_for_networks_that_take_bgr():
    import transformers

    from optvis.models.zoo.image_processors import read_processor

    processor = transformers.MobileViTImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    normalize, _, _ = read_processor(processor)
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    theirs = processor(images=image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(normalize(image.unsqueeze(0) / 255), theirs, atol=1e-5, rtol=0)


def test_transformers_are_imported_for_their_networks_only():
    script = "import sys, optvis; optvis.load(); print('transformers' in sys.modules, 'timm' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'optvis\[hf\]'"):
        load("hf/google/vit-base-patch16-224")


def test_a_bare_network_still_works_as_a_classifier():
    network, _ = build_small("ViT")
    assert isinstance(network, nn.Module)
    net = Classifier(network, None, SIDE, labels=network.config.id2label)
    assert net.labels == tuple(LABELS.values())
