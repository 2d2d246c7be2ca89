"""Networks of timm: by name, by the name of a repository on the Hugging Face hub, or from a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.models.infer import classifier_from_timm
from optvis.models.zoo.build import DEFAULT, build_network, check_default

TIMM = "timm/"
HUB, FOLDER = ("hf-hub:", "hf_hub:"), "local-dir:"
TIMM_NAMES = (TIMM, *HUB, FOLDER)  # how names of timm's networks begin


def load_timm(name: str, weights: str | None, **options: Any) -> Classifier:
    """Load a network of timm; see `optvis.load`."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(f"{name!r} needs timm: pip install 'optvis[timm]'") from error
    plain = name.removeprefix(TIMM)
    if plain.startswith((*HUB, FOLDER)):
        tagged = _check_source(plain, weights)
    elif plain.partition(".")[0] not in timm.list_models():
        known = [TIMM + each for each in timm.list_models()]
        raise KeyError(f"no network {name!r}; {suggest(name, known, 'timm.list_models() lists them', cutoff=0.6)}")
    else:
        tagged = plain if weights in (None, DEFAULT) else f"{plain.partition('.')[0]}.{weights}"
    build = partial(timm.create_model, tagged, pretrained=weights is not None, **options)
    return classifier_from_timm(build_network(name, build, weights), name)


def _check_source(name: str, weights: str | None) -> str:
    """Check the name of a repository or folder, which holds one set of weights; the name as all timms read it."""
    check_default(name, weights)
    source, _, place = name.partition(":")
    if f"{source}:" == FOLDER and not (Path(place).expanduser() / "config.json").is_file():
        raise FileNotFoundError(f"no config.json in {place!r}; expected a folder that timm saved a network to")
    return f"{FOLDER}{Path(place).expanduser()}" if f"{source}:" == FOLDER else f"{HUB[0]}{place}"
