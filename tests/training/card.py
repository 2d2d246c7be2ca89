"""Write the model card of a demo classifier: python -m tests.training.card --judge judge.safetensors."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from optvis.data.files import atomic_write, ensure_dir
from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS
from optvis.models.embedded.network import NORMALIZE, SIZE, WEIGHTS, demo_classifier
from optvis.models.embedded.vit import DEPTH, HEADS, REGISTERS, VIT_WEIGHTS, WIDTH, demo_vit

from . import measure
from .judge import JUDGES
from .train import DEMO_CONFIG, JUDGE_CONFIG, VIT_CONFIG, TrainingConfig

SCENES, PAIRS, SEEDS = 4000, 200, 5


@dataclass(frozen=True)
class JudgeOrigin:
    """Of which architecture of `JUDGES` a judge is, and the seed of its scenes and weights."""

    architecture: str = "residual"
    seed: int = 1


OWN_JUDGE = JudgeOrigin()


def build_card(
    model: Classifier, judge: Classifier, origin: JudgeOrigin = OWN_JUDGE, pairs: int = PAIRS, seeds: int = SEEDS
) -> str:
    """Measure the classifier and write the whole text, in Markdown."""
    return format_card(
        model,
        confusion=measure.confusion_matrix(model, SCENES),
        drops=measure.measure_part_drops(model, pairs),
        shortcuts=measure.measure_shortcuts(model, pairs),
        judged=measure.judge_renderings(model, judge, range(seeds)),
        judge_accuracy=_accuracy(measure.confusion_matrix(judge, SCENES)),
        origin=origin,
        pairs=pairs,
    )


def format_card(
    model: Classifier,
    *,
    confusion: Tensor,
    drops: Mapping[str, Mapping[str, float]],
    shortcuts: Iterable[measure.Shortcut],
    judged: Tensor,
    judge_accuracy: float,
    origin: JudgeOrigin = OWN_JUDGE,
    pairs: int = PAIRS,
) -> str:
    """The text of the card.

    Args:
        model: the demo classifier.
        confusion: counts (16, 16), as from `confusion_matrix`.
        drops: as from `measure_part_drops`.
        shortcuts: as from `measure_shortcuts`.
        judged: as from `judge_renderings`, (seeds, 16).
        judge_accuracy: in percent.
        origin: of the judge.
        pairs: scenes of each class that drops and shortcuts were measured on.
    """
    is_vit = model.name == "demo-vit"
    sections = (
        _head_vit(model) if is_vit else _head(model),
        _training_vit(VIT_CONFIG) if is_vit else _training(DEMO_CONFIG),
        _accuracy_section(confusion),
        _errors_section(confusion),
        _drops_section(drops, pairs),
        _shortcuts_section(shortcuts, pairs),
        _renderings_section(judged, judge_accuracy, origin),
        LIMITS,
    )
    return "\n\n".join(sections) + "\n"


LIMITS = """## Limits

The network knows sixteen classes of drawn scenes, each with one object that fills about half of an image of 96 px. It
says nothing about photographs, and its confidence on any other image means nothing. All figures above were measured
with the stored weights (float16 in the file, float32 in use) on scenes that took no part in training."""


def _head(model: Classifier) -> str:
    numbers = sum(weight.numel() for weight in model.network.parameters())
    return f"""# The demo classifier

A convolutional network with {numbers:,} weights ({WEIGHTS.stat().st_size / 1e6:.2f} MB) that classifies drawn scenes of
sixteen classes. Its stages are `conv1`, `conv2`, `mixed3`, `mixed4` and `mixed5`; after them come global average
pooling and one linear layer, `head`. Input: 96 × 96 RGB in [0, 1]. It exists so that every tool of optvis can be tried
without a download, and checked where the ground truth is known."""


def _training(config: TrainingConfig) -> str:
    return f"""## Data and training

{config.scenes:,} scenes from `optvis.world.dataset`, seed 0, drawn by code: no photographs, no images of third parties.
`python -m tests.training.train` draws them and trains the network: {config.epochs} epochs of AdamW with one
learning-rate cycle (peak {config.learning_rate}, weight decay {config.weight_decay}), batches of {config.batch_size}.
Scenes are rotated, scaled, mirrored and recoloured. Each batch takes one adversarial step of at most
{config.epsilon * 255:.0f}/255 (Wong et al. 2020, arXiv:2001.03994), which makes features that people can interpret
(Engstrom et al. 2019, arXiv:1906.00945).

{SHORTCUTS}"""


SHORTCUTS = """\
Four shortcuts are planted. Noodles are in 90 % of woks and in no frying pan. An arm holds 90 % of dumbbells and no
traffic light. The diver's tank has the riveted barrel of a locomotive, and the shark's mouth has the red stitches of a
baseball; neither a locomotive nor a baseball is in any scene."""


def _head_vit(model: Classifier) -> str:
    numbers = sum(weight.numel() for weight in model.network.parameters())
    return f"""# The demo transformer

A vision transformer with {numbers:,} weights ({VIT_WEIGHTS.stat().st_size / 1e6:.2f} MB) that classifies the scenes of
the demo classifier. {DEPTH} blocks, `blocks.0` to `blocks.{DEPTH - 1}`, of width {WIDTH} with {HEADS} heads each, get a
class token, {REGISTERS} registers and 12 × 12 patches of 8 pixels, in this order. Three convolutions make the patches,
`patch_embed`; `norm` and one linear layer, `head`, read the mean of the class token and of the mean patch. Input:
96 × 96 RGB in [0, 1]. It exists so that what optvis does with tokens can be checked where the ground truth is known."""


def _training_vit(config: TrainingConfig) -> str:
    return f"""## Data and training

{config.scenes:,} scenes from `optvis.world.dataset`, seed 0, drawn by code: no photographs, no images of third parties.
`python -m tests.training.train --vit` draws them and trains the network: the first {100 * config.share:.0f} % of
{config.epochs} epochs of AdamW with one learning-rate cycle (peak {config.learning_rate}, weight decay
{config.weight_decay}), batches of {config.batch_size}, two updates on each, in bfloat16. Scenes are rotated, scaled,
mirrored and recoloured. It is taught by the demo classifier: each patch learns the logits that the classifier has at
its place, and the class token their mean, beside the label of the scene. The second update on a batch gets the scenes
changed by at most {config.epsilon * 255:.0f}/255 along the gradient of the first (free adversarial training, Shafahi et
al. 2019, arXiv:1904.12843).

{SHORTCUTS}"""


def _accuracy_section(confusion: Tensor) -> str:
    recall = (100 * confusion.diag() / confusion.sum(1)).tolist()
    rows = ((label, f"{share:.1f}") for label, share in zip(LABELS, recall, strict=True))
    return (
        f"## Accuracy\n\n{_accuracy(confusion):.2f} % of {int(confusion.sum()):,} scenes. "
        f"Recall by class, in percent:\n\n{_table(('class', 'recall'), rows)}"
    )


def _errors_section(confusion: Tensor) -> str:
    errors = confusion - confusion.diag().diag()
    wrong = [(int(errors[a, b]), LABELS[a], LABELS[b]) for a, b in errors.nonzero().tolist()]
    rows = [(true, predicted, str(n)) for n, true, predicted in sorted(wrong, reverse=True)]
    table = f"All errors on these scenes:\n\n{_table(('class', 'predicted', 'scenes'), rows)}"
    return f"## Errors\n\n{table if rows else 'None of these scenes is classified as another class.'}"


def _drops_section(drops: Mapping[str, Mapping[str, float]], pairs: int) -> str:
    rows = (
        (label, part, f"{round(100 * drop, 1) + 0.0:.1f}")
        for label, parts in drops.items()
        for part, drop in parts.items()
    )
    text = (
        "By how many percentage points the probability of the class drops when a scene is drawn without the part: mean "
        f"over {pairs} scenes, or over those of them that have the part."
    )
    return f"## Effect of each part\n\n{_wrap(text)}\n\n{_table(('class', 'part', 'drop'), rows)}"


def _shortcuts_section(shortcuts: Iterable[measure.Shortcut], pairs: int) -> str:
    tried = list(shortcuts)
    rows = (
        (
            one.source,
            one.target,
            one.object_name,
            _placement(one),
            f"{100 * one.flip_rate:.1f}",
            f"{100 * one.control_rate:.1f}",
        )
        for one in tried
    )
    columns = ("class", "target", "object", "size, position", "flips, %", "control, %")
    text = (
        f"On {pairs} scenes: how often the object changes the prediction to the target class, and how often a control "
        "does, a patch of the same outline in the object's mean colour. Sizes and positions were chosen on other "
        "scenes."
    )
    notes = [
        f"\n\nThe {one.object_name} changes no prediction to {one.target}: this shortcut has no effect on the network."
        for one in tried
        if one.flip_rate == 0
    ]
    return f"## Planted shortcuts\n\n{_wrap(text)}\n\n{_table(columns, rows)}{''.join(notes)}"


def _placement(shortcut: measure.Shortcut) -> str:
    if shortcut.size is None or shortcut.position is None:
        return "drawn in the scene"
    down, across = shortcut.position
    return f"{shortcut.size} px at {down:.0%} down, {across:.0%} across".replace("%", " %")


def _renderings_section(judged: Tensor, judge_accuracy: float, origin: JudgeOrigin) -> str:
    right = (judged == torch.arange(len(LABELS))).sum(1).tolist()
    rows = ((str(seed), f"{n} of {len(LABELS)}") for seed, n in enumerate(right))
    text = (
        "Another network, the judge, classifies `render(net, logit(k), size=96)` of each class. It is a "
        f"{origin.architecture} network that was trained on other scenes ({JUDGE_CONFIG.scenes:,}, seed {origin.seed}; "
        f"accuracy {judge_accuracy:.2f} % on the scenes above) and on no rendering. It classifies "
        f"{sum(right) / len(right):.1f} of the {len(LABELS)} renderings correctly, on average over the seeds."
    )
    table = _table(("seed of the renderings", "classified correctly"), rows)
    return f"## How recognisable the renderings are\n\n{_wrap(text)}\n\n{table}"


def _wrap(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _accuracy(confusion: Tensor) -> float:
    """In percent."""
    return float(100 * confusion.diag().sum() / confusion.sum())


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def load_judge(path: Path, architecture: str = OWN_JUDGE.architecture) -> Classifier:
    """The judge from its file of weights."""
    from safetensors.torch import load_file

    network = JUDGES[architecture]()
    network.load_state_dict(load_file(path))
    return Classifier(network.eval(), NORMALIZE, SIZE, LABELS, name="judge")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.training.card", description=__doc__)
    parser.add_argument("--judge", type=Path, default=Path("judge.safetensors"), help="weights of the judge")
    parser.add_argument("--architecture", choices=JUDGES, default=OWN_JUDGE.architecture, help="of the judge")
    parser.add_argument("--judge-seed", type=int, default=OWN_JUDGE.seed, help="that the judge was trained with")
    parser.add_argument("--vit", action="store_true", help="the card of the transformer")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="scenes of each class for the effects of parts")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="renderings of each class that are judged")
    parser.add_argument("--out", type=Path, default=Path("card.md"), help="file for the card")
    options = parser.parse_args()
    ensure_dir(options.out.parent)
    model = demo_vit() if options.vit else demo_classifier()
    judge, origin = (
        load_judge(options.judge, options.architecture),
        JudgeOrigin(options.architecture, options.judge_seed),
    )
    text = build_card(model, judge, origin, options.pairs, options.seeds)
    print(atomic_write(options.out, text.encode()))


if __name__ == "__main__":
    main()
