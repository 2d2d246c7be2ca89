"""Parts of a microscope, for processes that share its folder."""

from __future__ import annotations

from typing import Literal, TypeAlias

from optvis.microscope.plan import MicroscopePlan
from optvis.microscope.workers import GroupTask

FINISH: Literal["finish"] = "finish"

#: (3, 16) is the third of sixteen parts; "finish" is the last step, after all parts; None is the whole.
Part: TypeAlias = tuple[int, int] | Literal["finish"] | None


def select_part(plan: MicroscopePlan, part: Part) -> list[GroupTask]:
    """List the groups of a part: of channels, layer by layer, and then of classes.

    Neighbouring groups are in different parts, so that parts take about as long as each other.

    Raises:
        ValueError: a part that does not exist.
    """
    groups = [GroupTask(layer, group) for layer in plan.channels for group in plan.groups(layer)]
    groups += [GroupTask(layer, group, True) for layer in plan.channels for group in plan.class_groups]
    if part is None or part == FINISH:
        return groups
    if isinstance(part, str) or not 1 <= part[0] <= part[1]:
        raise ValueError(f"part is {part!r}; expected (3, 16) for the third of sixteen, or 'finish'")
    return groups[part[0] - 1 :: part[1]]
