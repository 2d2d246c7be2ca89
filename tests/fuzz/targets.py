"""The kinds of inputs: parts that are combined, operations, odd networks, saved files, images, command lines."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from .calls import OPERATIONS, PARTS, arguments, call_and_use, public
from .command_lines import draw_command
from .files import draw_file
from .images import draw_image
from .networks import draw_network

Drawn = tuple[Callable[[], Any], str]  # what to call, and a text that says what


def draw_call(data: Any, packages: tuple[str, ...]) -> Drawn:
    """A call of something public in these packages."""
    name, function = data.draw(st.sampled_from(public(packages)))
    positional, named = data.draw(arguments(function))
    texts = [*map(short, positional), *(f"{key}={short(value)}" for key, value in named.items())]
    return functools.partial(call_and_use, function, positional, named), f"{name}({', '.join(texts)})"


def short(value: Any) -> str:
    """A value in a few letters."""
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__}{tuple(shape)}" if shape is not None else repr(value)[:60].replace("\n", " ")


TARGETS: dict[str, Callable[[Any], Drawn]] = {
    "parts": functools.partial(draw_call, packages=PARTS),
    "operations": functools.partial(draw_call, packages=OPERATIONS),
    "networks": draw_network,
    "files": draw_file,
    "images": draw_image,
    "commands": draw_command,
}
