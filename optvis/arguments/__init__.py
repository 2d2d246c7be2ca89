"""The check of argument types at the public border: one sentence for an argument of a wrong type."""

from optvis.arguments.check import check_arguments, check_room
from optvis.arguments.describe import describe_hint, describe_value

__all__ = ["check_arguments", "check_room", "describe_hint", "describe_value"]
