"""The last section of the tour: what was found, switched off, and what that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from optvis.ablation import blinded, evaluate, find, see
from optvis.demo.figures import figure
from optvis.demo.page import Content
from optvis.demo.plan import Plan, spelled
from optvis.models.classifier import Classifier
from optvis.models.classify import classify
from optvis.objectives import log_odds
from optvis.world.scenes import dataset, scene

if TYPE_CHECKING:
    from optvis.ablation import Found, Report

BLINDED, TARGET = "blinding.png", "white shark"
SHOWN = 4  # scenes of the target
FOUND_ON, JUDGED_ON = 3, 4  # seeds of datasets, added to the plan's
RANDOM = 199  # sets of random channels: the least that can give p = 0.005


def blinding(net: Classifier, plan: Plan) -> Content:
    """A class is switched off and everything else kept; judged on scenes that took no part in it."""
    target, seed = net.labels.index(TARGET), plan.seed + FOUND_ON
    images, labels = dataset(plan.blind_scenes, seed)
    kept = images[labels != target]
    found = find(net, images[labels == target], TARGET, keep=kept, most=plan.blind_channels, progress=plan.progress)
    options = plan.rendering(None)
    seen = see(net, found, log_odds(TARGET), **options, progress=plan.progress)
    shown = torch.stack([scene(TARGET, plan.seed + place).image for place in range(SHOWN)])
    drawn = figure(
        BLINDED,
        torch.cat([shown, seen.before.images, seen.after.images]),
        [*[TARGET] * SHOWN, "its picture", "its picture, without"],
        [f"a scene of the class {TARGET}"] * SHOWN
        + [f"what the network looks for in a {TARGET}", "what it looks for without the channels"],
        notes=[*_answers(net, found, shown), "", ""],
        columns=(6, 2),
        caption=_cost(evaluate(net, found, _sets(net, plan), target=TARGET, random=RANDOM, progress=plan.progress)),
        code=f"images, labels = dataset({plan.blind_scenes}, seed={seed})\n"
        f'found = find(net, images[labels == {target}], "{TARGET}", keep=images[labels != {target}], '
        f"most={plan.blind_channels})\n"
        f'see(net, found, log_odds("{TARGET}"){spelled(options)})',
        recipe={**dict(found.recipe), "pictures": dict(seen.after.recipe)},
    )
    text = f"The proof: a few channels are switched off, chosen so that the {TARGET} is gone and all else is kept."
    return Content("Switched off", text, (drawn,))


def _answers(net: Classifier, found: Found, shown: torch.Tensor) -> list[str]:
    """What each scene is called, before and after."""
    before = classify(net, shown, top=1).labels
    with blinded(net, *found):
        after = classify(net, shown, top=1).labels
    return [f"{was}, then {now}" for (was,), (now,) in zip(before, after, strict=True)]


def _sets(net: Classifier, plan: Plan) -> dict[str, tuple[torch.Tensor, str]]:
    """Fresh scenes of each class."""
    images, labels = dataset(plan.blind_scenes, plan.seed + JUDGED_ON)
    return {name: (images[labels == place], name) for place, name in enumerate(net.labels)}


def _cost(report: Report) -> str:
    """The measured outcome in a sentence or two."""
    before, after = report.targeted.before.value, report.targeted.after.value
    falls = [one.drop.value for one in report.sets if one.name != report.target and one.drop.value is not None]
    return (
        f"On fresh scenes, recall of the {report.target} goes from {_percent(before)} to {_percent(after)}; of the "
        f"{len(falls)} other classes it falls by {_percent(sum(falls) / len(falls))} on average, by "
        f"{_percent(max(falls))} at the worst. {RANDOM} random sets of as many channels of the same strength: "
        f"p = {report.chance.p_drop:.3f}. Below each scene, what it is called before and after."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
