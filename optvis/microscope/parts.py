"""The groups of a microscope, and parts of them for processes that share its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.top_activations import CLASSES, TopActivations, list_predicted
from optvis.microscope.workers import GroupTask

FINISH: Literal["finish"] = "finish"

#: (3, 16) is the third of sixteen parts; "finish" is the last step, after all parts; None is the whole.
Part: TypeAlias = tuple[int, int] | Literal["finish"] | None


def list_groups(plan: MicroscopePlan, top: Mapping[str, TopActivations]) -> list[GroupTask]:
    """List all groups: of channels, layer by layer, and then of the classes that are predicted for some image.

    Args:
        plan: of the microscope.
        top: the images of channels and classes.
    """
    groups = [GroupTask(layer, group) for layer in plan.channels for group in plan.groups(layer)]
    classes = plan.divide(list_predicted(top[CLASSES])) if CLASSES in top else []
    return groups + [GroupTask(layer, group, True) for layer in plan.channels for group in classes]


def check_part(part: Part) -> None:
    """Raise ValueError for a part that does not exist."""
    if part is not None and part != FINISH and (isinstance(part, str) or not 1 <= part[0] <= part[1]):
        raise ValueError(f"part is {part!r}; expected (3, 16) for the third of sixteen, or 'finish'")


def select_part(groups: Sequence[GroupTask], part: Part) -> list[GroupTask]:
    """Select the groups of a part that exists.

    Neighbouring groups are in different parts, so that parts take about as long as each other.
    """
    return list(groups) if part is None or isinstance(part, str) else list(groups[part[0] - 1 :: part[1]])
