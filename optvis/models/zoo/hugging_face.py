"""Networks of Hugging Face's transformers: image classifiers and backbones, from a repository or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from optvis.errors import warn_user
from optvis.models.adapted.hugging_face import call_with_images, read_embedding, takes_images, takes_patches
from optvis.models.checkpoint import list_names
from optvis.models.classifier import Classifier
from optvis.models.normalize import Normalize
from optvis.models.zoo.build import build_network, check_default
from optvis.models.zoo.image_processors import read_processor

HUGGING_FACE = "hf/"
FOLDER_CURE = "give a repository's name (hf/google/vit-base-patch16-224) or a folder that save_pretrained wrote"
# Neither code of a repository nor pickles, which may hold code.
AS_DATA = {"trust_remote_code": False}


def load_hugging_face(name: str, weights: str | None, **options: Any) -> Classifier:
    """Load an image classifier or a backbone of transformers; see `optvis.load`.

    Size, mean, standard deviation and resampling are those of its image processor; labels those of its config. The
    outputs of a backbone, or of a network of images and texts, are the embeddings of its images.

    Args:
        name: "hf/" and a repository or a folder.
        weights: "DEFAULT", or None for random ones.
        options: of the config, such as `num_labels`.
    """
    check_default(name, weights)
    try:
        import transformers
    except ImportError as error:
        raise ImportError(f"{name!r} needs transformers: pip install 'optvis[hf]'") from error
    source, options = _find_source(name), _rename(options)
    config = _read(lambda: transformers.AutoConfig.from_pretrained(source, **AS_DATA, **options), name, "config.json")
    if config.model_type == "timm_wrapper":
        from optvis.models.zoo.timm_networks import FOLDER, HUB, load_timm

        return load_timm(f"{FOLDER if Path(source).is_dir() else HUB[0]}{source}", weights)
    kind = _find_class(transformers, config, name)
    processor = _read(
        lambda: transformers.AutoImageProcessor.from_pretrained(source, **AS_DATA), name, "preprocessor_config.json"
    )
    network = build_network(name, lambda: _build(kind, config, source, name, weights), None).float()
    return classifier_from_hugging_face(network, processor, name)


def classifier_from_hugging_face(network: Any, processor: Any, name: str = "") -> Classifier:
    """Make a Classifier of a network of transformers, with all that its image processor and its config say.

    Args:
        network: of any class of transformers that takes images.
        processor: its image processor.
        name: what recipes and tables call it.
    """
    config = network.config
    normalize, crop, size = read_processor(processor)
    channels = getattr(config, "num_channels", None) or getattr(_vision_config(config), "num_channels", None)
    if isinstance(normalize, Normalize) and channels:
        normalize = normalize.with_channels(channels)
    is_classifier = type(network).__name__.endswith("ForImageClassification")
    has_scores = is_classifier or "For" in type(network).__name__
    head = None if has_scores else "embedding"
    if getattr(config, "problem_type", None) == "multi_label_classification":
        head = "sigmoid"
    needs_call = takes_patches(network) or not takes_images(network)
    return Classifier(
        network,
        normalize,
        size,
        list_config_labels(config) if is_classifier else (),
        crop,
        name,
        head=head,
        output=None if has_scores else read_embedding,
        forward=call_with_images if needs_call else None,
        prefix_tokens=0 if takes_patches(network) else None,
        channels=channels,
    )


def list_config_labels(config: Any) -> tuple[str, ...]:
    """The labels of a config of transformers; none where it has mere numbers ("LABEL_0")."""
    labels: Mapping[Any, str] = getattr(config, "id2label", None) or {}
    texts = tuple(str(labels[key]) for key in sorted(labels, key=int))
    return () if texts == tuple(f"LABEL_{index}" for index in range(len(texts))) else texts


def _vision_config(config: Any) -> Any:
    return getattr(config, "vision_config", None)


def _rename(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"num_labels" if key == "num_classes" else key: value for key, value in options.items()}


def _find_source(name: str) -> str:
    """The repository or folder of a name."""
    source = name.removeprefix(HUGGING_FACE)
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"no config.json in {str(folder)!r}; {FOLDER_CURE}")
        return str(folder)
    if not source or source.startswith((".", "~")) or folder.is_absolute() or source.count("/") > 1:
        raise FileNotFoundError(f"no folder {source!r}; {FOLDER_CURE}")
    return source


def _read(read: Any, name: str, file: str) -> Any:
    """Read a part of a repository or folder, and say in one sentence why it cannot be read."""
    try:
        return read()
    except Exception as error:
        reason = " ".join(str(error).split("\n\n")[0].split())
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            raise ValueError(
                f"{name!r} needs code of its own, which is not run: load it yourself if you trust it, then "
                "Classifier(network, Normalize(mean, std), size, labels)"
            ) from error
        if file == "preprocessor_config.json":
            raise ValueError(
                f"{name!r} does not say how images are normalised, since it has no {file} that can be read: save its "
                "image processor there, or load the network yourself: Classifier(network, Normalize(mean, std), size)"
            ) from error
        kind = ConnectionError if isinstance(error, OSError) else ValueError
        raise kind(f"{name!r} cannot be loaded ({reason}); {FOLDER_CURE}") from error


def _find_class(transformers: ModuleType, config: Any, name: str) -> Any:
    """The class of a network: the one that its config names, if transformers has it, else the usual one of its kind."""
    for architecture in getattr(config, "architectures", None) or ():
        kind = getattr(transformers, architecture, None)
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
            break
    else:
        auto = transformers.models.auto.modeling_auto
        names = auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, auto.MODEL_MAPPING
        kind = next((mapping[type(config)] for mapping in names if type(config) in mapping), None)
        kind = kind[0] if isinstance(kind, tuple) else kind
    if kind is None or not (takes_images(kind) or hasattr(kind, "get_image_features")):
        what = f"a {kind.__name__}" if kind else "no network that transformers has"
        raise ValueError(f"{name!r} is {what}, which takes no images; give an image classifier, a backbone, or a CLIP")
    return kind


def _build(kind: Any, config: Any, source: str, name: str, weights: str | None) -> nn.Module:
    if weights is None:
        network: nn.Module = kind(config)
        return network

    def read() -> Any:
        return kind.from_pretrained(source, config=config, use_safetensors=True, output_loading_info=True, **AS_DATA)

    network, info = _read(read, name, "model.safetensors")
    if missing := sorted(info["missing_keys"]):
        warn_user(f"{name!r} has no weights for {list_names(missing)}, which are random")
    return network
