"""Training and measuring of the demo classifier and its judge: only needed to produce the weights and the card."""

from .measure import (
    Shortcut,
    confusion_matrix,
    judge_renderings,
    measure_part_drops,
    measure_shortcuts,
)

__all__ = ["Shortcut", "confusion_matrix", "judge_renderings", "measure_part_drops", "measure_shortcuts"]
