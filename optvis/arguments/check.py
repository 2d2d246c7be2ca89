"""Wrappers that check the types of arguments, and their place: the public names of a subpackage."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from optvis.arguments.describe import describe_hint, describe_value
from optvis.arguments.fits import SKIP, Fit, PillowImage, anything, build_fit
from optvis.arguments.unknown import build_getattr, explain_argument, explain_value

# Modules whose calls are not checked, so that nothing is inside a step: the package, what calls for it in turn, such as
# torch its optimizers, and `dataclasses.replace`.
INSIDE = ("optvis.", "torch.", "dataclasses")

LATE = {"Image": types.SimpleNamespace(Image=PillowImage)}  # what hints name, and modules import when it is needed
CHECKED = "arguments_are_checked"  # the attribute of a wrapper


def check_package(package: str) -> None:
    """Check the types of what users hand to the public names of a subpackage: the last line of its `__init__`.

    Functions are replaced by wrappers in the subpackage alone, so that calls between files stay as they are. Classes
    stay the same objects: their constructors and public methods are wrapped. `forward` is not, nor are properties.

    A wrapper compares each argument with the hint of its parameter, where the call comes from outside the package.
    Numbers of NumPy become those of Python, one-dimensional arrays become lists, and lists become tuples where the
    hint is a tuple. A hint that names what is imported for type checkers alone fits anything. Unknown arguments and
    unknown names of the subpackage raise one sentence with the nearest cure.

    Args:
        package: name of the module, `__name__`.
    """
    module = sys.modules[package]
    vars(module)["__getattr__"] = build_getattr(package)
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value):
            _check_class(value)
        elif _is_ours(value):
            checked = check_arguments(value)
            checked.__module__ = package  # pickle finds it there
            setattr(module, name, checked)


def check_arguments(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """Wrap a function so that arguments of a wrong type raise one sentence.

    Args:
        function: has hints, which are read at the first call.
        name: what messages call it, where "{}" stands for the class of a method; its own name by default.

    Returns:
        A function with the same signature, name and docstring.

    Example:
        >>> def area(side: float) -> float:
        ...     return side * side
        >>> check_arguments(area)(3)
        9
    """
    label = name if name else function.__name__

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1)  # inspect's own way costs ten times as much
        if caller.f_globals.get("__name__", "").startswith(INSIDE):
            return function(*args, **kwargs)
        positional, named, takes_any = _parameters(function)
        if args:
            last = len(positional) - 1
            values = [_fit(label, args, positional[min(at, last)], value) for at, value in enumerate(args)]
            args = tuple(values)
        for key in kwargs:
            if key in named:
                kwargs[key] = _fit(label, args, named[key], kwargs[key])
            elif not takes_any:
                hints = {each: hint for each, (_, hint, _) in named.items()}
                raise TypeError(explain_argument(_format_label(label, args), key, hints))
        return function(*args, **kwargs)

    vars(checked)[CHECKED] = True
    return checked


Parameter = tuple[str, Any, Fit]  # name, hint, and what checks a value against it


def _fit(label: str, args: tuple[Any, ...], parameter: Parameter, value: Any) -> Any:
    name, hint, fit = parameter
    fitted = fit(value)
    if fitted is SKIP:
        raise TypeError(
            f"{_format_label(label, args)}: {name} must be {describe_hint(hint)}, got {describe_value(value)}"
            + explain_value(name, hint, value)
        )
    return fitted


def _format_label(label: str, args: tuple[Any, ...]) -> str:
    """The name of a function, or that of a method with its class."""
    owner = args[0] if args and isinstance(args[0], type) else type(args[0] if args else None)
    return label.format(owner.__name__)


def _check_class(cls: type) -> None:
    """Wrap the constructor and the public methods that a class defines itself."""
    if getattr(cls, "_is_protocol", False) or issubclass(cls, BaseException):
        return
    for name, value in list(vars(cls).items()):
        kind = type(value) if isinstance(value, classmethod | staticmethod) else None
        function = value.__func__ if kind else value
        is_public = name == "__init__" or not name.startswith("_")
        if is_public and name != "forward" and _is_ours(function):
            checked = check_arguments(function, _label(cls, name, kind))
            setattr(cls, name, kind(checked) if kind else checked)


def _label(cls: type, name: str, kind: type | None) -> str:
    if kind is staticmethod:
        return f"{cls.__name__}.{name}"
    return "{}" if name == "__init__" else f"{{}}.{name}"


def _is_ours(value: Any) -> bool:
    """Whether this is a function of the package that is not wrapped yet."""
    return inspect.isfunction(value) and not hasattr(value, CHECKED) and value.__module__.startswith("optvis.")


@functools.cache
def _parameters(function: Callable[..., Any]) -> tuple[list[Parameter], dict[str, Parameter], bool]:
    """The parameters of a function by position, of which the last takes what is left, and by name.

    And whether it takes any other name as well.
    """
    positional, named = list[Parameter](), dict[str, Parameter]()
    rest: Parameter = ("", Any, anything)
    takes_any = False
    for parameter in inspect.signature(function).parameters.values():
        hint = Any if parameter.name in ("self", "cls") else _evaluate(parameter.annotation, function)
        found = (parameter.name, hint, build_fit(hint))
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = found
        elif parameter.kind is not parameter.VAR_KEYWORD:
            named[parameter.name] = found
        elif typing.get_origin(hint) is typing.Unpack:
            options = typing.get_type_hints(typing.get_args(hint)[0])
            named |= {key: (key, each, build_fit(each)) for key, each in options.items()}
        else:
            takes_any = True
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(found)
    return [*positional, rest], named, takes_any


def _evaluate(annotation: Any, function: Callable[..., Any]) -> Any:
    """What an annotation's text stands for; Any where it names what is imported for type checkers alone."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, getattr(inspect.unwrap(function), "__globals__", {}), LATE)
    except (NameError, TypeError, AttributeError):
        return Any
