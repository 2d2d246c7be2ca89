"""The shorthand "layer:channel" for the objective `channel`."""

from __future__ import annotations

from optvis.objectives.channels import channel
from optvis.objectives.objective import Objective

LONG = 64  # characters that an error message does not repeat


def as_objective(objective: Objective | str) -> Objective:
    """Turn the text "layer:channel" into `channel(layer, channel)`, and return an objective as it is.

    Lucid's shorthand; `render`, `ascend` and `dream` take it as well.

    Args:
        objective: an objective, or e.g. "mixed4:17". The channel comes after the last colon.

    Raises:
        ValueError: a text of another form.
        TypeError: neither an objective nor a text.

    Example:
        >>> as_objective("mixed4:17")
        channel('mixed4', 17)
    """
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str):
        raise TypeError(
            f"objective is a {type(objective).__name__}; expected e.g. channel('mixed3', 17), 'mixed3:17', "
            "or on('mixed3', function)"
        )
    layer, colon, index = (part.strip() for part in objective.rpartition(":"))
    if not (colon and index.isascii() and index.isdecimal()):
        wanted = f"{layer if colon else index}:0" if layer or (index and not colon) else "mixed3:0"
        a_class = f"; for a class write logit({objective!r})" if 0 < len(objective) < LONG and not colon else ""
        raise ValueError(
            f"objective is {objective!r}; expected 'layer:channel' with a channel from 0, e.g. {wanted!r}{a_class}"
        )
    if not layer:
        raise ValueError(f"objective is {objective!r}, without a layer; for the network's output write logit({index})")
    return channel(layer, int(index))
