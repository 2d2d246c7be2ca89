"""Names that do not exist: errors for unknown arguments, and for unknown names of a subpackage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from typing import Any, get_args, get_origin

from optvis.errors import suggest

#: What other libraries call an argument, and its name here.
RENAMED = {
    "cossim_pow": "power",
    "fixed_image_size": "size",
    "image_size": "size",
    "iterations": "steps",
    "learning_rate": "rate",
    "lr": "rate",
    "n_steps": "steps",
    "param_f": "param",
    "rate": "rate",
    "show_progress": "progress",
    "thresholds": "snapshots",
    "verbose": "progress",
}
#: What other libraries give as an argument, and what to do here.
REPLACED = {
    "batch": "list the targets, channel(layer, [17, 40]), or the seeds, seed=range(4)",
    "device": "the network's own device counts: network.to(device), or Classifier.to(device)",
    "param_f": "it is called param, and takes a module, fft_image(size)",
    "preprocess": "normalize says what is done to images in [0, 1]",
    "thresholds": "it is called snapshots, and the last of them steps",
    "tokens": "the name of a transformer's layer says it: 'blocks.3@class', '@registers', '@all' or '@patches'",
}
_OF_METHODS = "methods have it: method=IntegratedGradients(steps=50)"
#: Arguments of a function that belong elsewhere, where its hints do not say so.
ELSEWHERE = {("attribute", "steps"): _OF_METHODS, ("attribute", "n_steps"): _OF_METHODS}
#: What other libraries call a function, and what it is called here; docs/migrating.md lists all.
NAMES = {
    "ChannelReducer": "group of optvis.features, or groups= of activation_grid",
    "class_logit": "logit(label)",
    "deepdream": "mean_square(layer), or dream(model, image) of optvis for a whole image",
    "direction_cossim": "cosine",
    "get_model_layers": "layers(network) of optvis",
    "make_vis_T": "ascend of optvis",
    "redirected_relu": "redirect_steps of render",
    "relu_overrides": "redirect_steps of render",
    "render_vis": "render of optvis",
    "show": "the show() of a result; a notebook shows results by itself",
    "standard_transforms": "STANDARD",
    "wrap_objective": "on(layer, function)",
}


def explain_argument(label: str, name: str, hints: Mapping[str, Any]) -> str:
    """Say that a function has no such argument, and the nearest cure.

    Args:
        label: the function.
        name: the argument that it has not.
        hints: the types of its arguments, by name.

    Example:
        >>> explain_argument("render", "step", {"steps": int, "views": int})
        "render has no argument 'step'; nearest: 'steps'"
    """
    own = [each for each in hints if each not in ("self", "cls")]
    cure = (
        ELSEWHERE.get((label, name))
        or _explain_other_name(name, own)
        or _find_field(name, hints)
        or suggest(name, own, f"there are {', '.join(own)}" if own else "it takes none")
    )
    return f"{label} has no argument {name!r}; {cure}"


def explain_value(name: str, hint: Any, value: Any) -> str:
    """The cure for a value of a wrong type that people give often; nothing for others."""
    is_function = callable(value) and not isinstance(value, type)
    if name == "objective" and is_function:
        return "; on('mixed4', function) makes an objective of a function of activations"
    if name == "objective" and isinstance(value, list | tuple):
        return "; for one image each, list the channels, channel('mixed4', [3, 17]), or render them one after the other"
    several = isinstance(value, list | tuple) and any(map(callable, value))
    if (name == "transform" and (several or is_function)) or (name == "parts" and is_function):
        return "; a function becomes a transform in a class: class Invert(Transform) with forward(images, streams)"
    if name == "parts" and isinstance(value, list | tuple):
        return "; without brackets: Compose(Jitter(8), Rotate((-5, 5)))"
    if isinstance(value, int | float) and get_origin(hint) in (Sequence, list, tuple):
        return f"; one alone is [{value!r}]"
    return ""


def _explain_other_name(name: str, own: Sequence[str]) -> str:
    """The cure for what other libraries call an argument, if the function has what it is here."""
    here = RENAMED.get(name)
    if here is not None and here not in own:
        is_set_there = here == "rate" and "optimizer" in own
        return "the optimizer has it: optimizer=partial(torch.optim.Adam, lr=0.05)" if is_set_there else ""
    return REPLACED.get(name, f"it is called {here}" if here is not None else "")


def _find_field(name: str, hints: Mapping[str, Any]) -> str:
    """The argument that takes an object with a field of this name, or a dict of any options."""
    for own, hint in hints.items():
        for part in (hint, *get_args(hint)):
            if is_dataclass(part) and name in (field.name for field in fields(part)):
                kind = part.__name__ if isinstance(part, type) else type(part).__name__
                return f"give it as {own}={kind}({name}=...)"
        if own == "options" and get_origin(hint) is Mapping:
            return f"give it as {own}={{{name!r}: ...}}"
    return ""


def build_getattr(package: str) -> Callable[[str], object]:
    """Build the function that a module of this name calls for names that it does not have: it raises one sentence."""

    def explain(name: str) -> object:
        message = explain_name(package, name)
        is_import = sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap"
        is_private = name.startswith("_")
        if is_import and not is_private and find_spec(f"{package}.{name}") is None:
            raise ImportError(message)
        raise AttributeError(message)

    return explain


def explain_name(package: str, name: str) -> str:
    """Say that a module has no such name, and the nearest cure."""
    public = {each: list(getattr(sys.modules[each], "__all__", ())) for each in _list_packages()}
    elsewhere = [other for other, names in public.items() if name in names]
    nearest = suggest(name, public.get(package, ()), f"dir({package}) lists what there is", cutoff=0.7)
    cure = f"here it is {NAMES[name]}" if name in NAMES else f"it is in {elsewhere[0]}" if elsewhere else nearest
    return f"{package} has no {name!r}; {cure}"


def _list_packages() -> list[str]:
    """The package and its subpackages, as far as they are imported."""
    return [name for name in sys.modules if name == "optvis" or (name.startswith("optvis.") and name.count(".") == 1)]
