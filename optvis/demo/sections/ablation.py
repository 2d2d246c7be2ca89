"""The section that switches a class off and measures the cost."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.ablation import Report, UnitSelection, blinded, compare_renderings, evaluate, find_units
from optvis.demo.config import TourConfig, format_keywords
from optvis.demo.figures import build_figure
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.models.classify import classify
from optvis.objectives import log_odds
from optvis.world.scenes import dataset, scene

FILE = "ablation.png"
TARGET = "white shark"
SHOWN = 4  # scenes of the target
FIND_SEED_OFFSET, EVALUATE_SEED_OFFSET = 3, 4  # added to the tour's seed
RANDOM_SETS = 99  # random sets of channels: the fewest with which p = 0.01 can be reached


def build_section(model: Classifier, config: TourConfig) -> Content:
    """Switch one class off, and evaluate on other scenes what it costs the rest."""
    target, seed = model.labels.index(TARGET), config.seed + FIND_SEED_OFFSET
    images, labels = dataset(config.ablation_scenes, seed)
    own, others, count = images[labels == target], images[labels != target], config.ablation_channels
    units = find_units(model, own, TARGET, keep=others, method="greedy", max_units=count, progress=config.progress)
    options = config.render_options()
    comparison = compare_renderings(model, units, log_odds(TARGET), **options, progress=config.progress)
    scenes = torch.stack([scene(TARGET, config.seed + number).image for number in range(SHOWN)])
    sets = _evaluation_sets(model, config)
    report = evaluate(model, units, sets, target=TARGET, random_sets=RANDOM_SETS, progress=config.progress)
    figure = build_figure(
        FILE,
        torch.cat([scenes, comparison.before.images, comparison.after.images]),
        [*[TARGET] * SHOWN, "visualization", "after ablation"],
        [f"a scene of the class {TARGET}"] * SHOWN
        + [f"an image that maximises the score of the class {TARGET}", "the same with the channels switched off"],
        notes=[*_predictions(model, units, scenes), "", ""],
        columns=(6, 2),
        caption=_summarize(report),
        code=f"images, labels = dataset({config.ablation_scenes}, seed={seed})\n"
        f'units = find_units(net, images[labels == {target}], "{TARGET}", keep=images[labels != {target}], '
        f'method="greedy", max_units={count})\n'
        f'compare_renderings(net, units, log_odds("{TARGET}"){format_keywords(options)})',
        recipe={**dict(units.recipe), "renderings": dict(comparison.after.recipe)},
    )
    text = (
        f"A test of what was found: a few channels are switched off, chosen so that the network no longer predicts "
        f"{TARGET} but still recognises all other classes."
    )
    return Content("Ablation", text, (figure,))


def _predictions(model: Classifier, units: UnitSelection, scenes: Tensor) -> list[str]:
    """The prediction for each scene, before and after ablation."""
    before = classify(model, scenes, top=1).labels
    with blinded(model, *units):
        after = classify(model, scenes, top=1).labels
    return [f"{old}, then {new}" for (old,), (new,) in zip(before, after, strict=True)]


def _evaluation_sets(model: Classifier, config: TourConfig) -> dict[str, tuple[Tensor, str]]:
    images, labels = dataset(config.ablation_scenes, config.seed + EVALUATE_SEED_OFFSET)
    return {label: (images[labels == index], label) for index, label in enumerate(model.labels)}


def _summarize(report: Report) -> str:
    before, after = report.target_metrics.before.value, report.target_metrics.after.value
    drops = [one.drop.value for one in report.sets if one.name != report.target and one.drop.value is not None]
    return (
        f"On other scenes, recall of the {report.target} goes from {_percent(before)} to {_percent(after)}. Recall of "
        f"the {len(drops)} other classes drops by {_percent(sum(drops) / len(drops))} on average, and by "
        f"{_percent(max(drops))} at most. Compared with {RANDOM_SETS} random sets of as many channels of similar "
        f"strength: p = {report.baseline.p_drop:.3f}. Below each scene: the prediction before and after."
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
