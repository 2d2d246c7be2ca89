"""Names that do not exist: what an error says of an unknown argument, or of an unknown name of a room."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.util import find_spec

from optvis.errors import suggest

#: What other libraries call an argument, and what to do here.
ARGUMENTS = {
    "batch": "list the targets, channel(layer, [17, 40]), or the seeds, seed=range(4)",
    "device": "the network's own device counts: network.to(device), or Classifier.to(device)",
    "fixed_image_size": "it is called size",
    "image_size": "it is called size",
    "iterations": "it is called steps",
    "learning_rate": "it is called rate",
    "lr": "it is called rate",
    "n_steps": "it is called steps",
    "param_f": "it is called param, and takes a module, fft_image(size)",
    "preprocess": "normalize says what is done to images in [0, 1]",
    "thresholds": "it is called snapshots, and the last of them steps",
    "verbose": "it is called progress",
    "show_progress": "it is called progress",
}
#: What other libraries call a function, and what it is called here; docs/migrating.md lists all.
NAMES = {
    "class_logit": "logit(label)",
    "deepdream": "mean_square(layer), or dream(model, image) of optvis for a whole image",
    "direction_cossim": "cosine",
    "make_vis_T": "ascend of optvis",
    "render_vis": "render of optvis",
    "wrap_objective": "on(layer, function)",
}


def explain_argument(label: str, name: str, known: Iterable[str]) -> str:
    """Say that a function has no such argument, and the nearest cure.

    Example:
        >>> explain_argument("render", "step", ["steps", "views"])
        "render has no argument 'step'; nearest: 'steps'"
    """
    own = [each for each in known if each not in ("self", "cls")]
    meant = {other: cure for other, cure in ARGUMENTS.items() if other not in own}
    cure = meant.get(name) or suggest(name, own, f"there are {', '.join(own)}" if own else "it takes none")
    return f"{label} has no argument {name!r}; {cure}"


def build_getattr(room: str) -> Callable[[str], object]:
    """Build the function that a module of this name calls for names that it does not have: it raises one sentence."""

    def explain(name: str) -> object:
        message = explain_name(room, name)
        is_import = sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
        is_private = name.startswith("_")
        if is_import and not is_private and find_spec(f"{room}.{name}") is None:
            raise ImportError(message)
        raise AttributeError(message)

    return explain


def explain_name(room: str, name: str) -> str:
    """Say that a module has no such name, and the nearest cure."""
    public = {each: list(getattr(sys.modules[each], "__all__", ())) for each in _rooms()}
    elsewhere = [other for other, names in public.items() if name in names]
    nearest = suggest(name, public.get(room, ()), f"dir({room}) lists what there is", cutoff=0.7)
    cure = f"here it is {NAMES[name]}" if name in NAMES else f"it is in {elsewhere[0]}" if elsewhere else nearest
    return f"{room} has no {name!r}; {cure}"


def _rooms() -> list[str]:
    """The package and its rooms, as far as they are imported."""
    return [name for name in sys.modules if name == "optvis" or (name.startswith("optvis.") and name.count(".") == 1)]
