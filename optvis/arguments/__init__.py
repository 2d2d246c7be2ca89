"""Checks of arguments: types at the public border, axes of tensors; each error is one sentence."""

from optvis.arguments.axes import check_axes, check_count, check_minimum, check_range
from optvis.arguments.check import check_arguments, check_package
from optvis.arguments.describe import abbreviate_tensor, describe_hint, describe_value
from optvis.arguments.fields import TensorFields
from optvis.arguments.unknown import build_getattr

__all__ = [
    "TensorFields",
    "abbreviate_tensor",
    "build_getattr",
    "check_arguments",
    "check_axes",
    "check_count",
    "check_minimum",
    "check_package",
    "check_range",
    "describe_hint",
    "describe_value",
]
