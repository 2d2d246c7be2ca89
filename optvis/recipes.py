"""Named settings of `render`, each a few lines over its parts."""

from __future__ import annotations

from optvis.transforms import STANDARD, Compose, Resize, Stages

FAST_STEPS = 32
PROGRESSIVE = Stages({0: Compose(STANDARD, Resize(0.72)), 18: STANDARD})
