"""`optvis blind`: ablate a class, and evaluate what that costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.engine_options import add_engine_options, select_engine
from optvis.cli.options import AddOption, check_together, load_model, make_unique, parse_class

PAGE = "report.html"  # of the files of a report
METHODS = (
    *("auto", "greedy", "subspace", "contrast", "top_norm", "most_frequent"),
    *("leace", "splince", "inlp", "mean_projection"),
)
HELP = "find units whose ablation removes a class, and evaluate what that costs"
EXAMPLE = "optvis blind squeezenet1_0 --images ships --class 'container ship' --keep liners controls --out blinded"


def add_options(add: AddOption) -> None:
    add("--images", required=True, metavar="FOLDER", help="folder of images of the class to remove")
    add("--class", dest="label", required=True, help="class to remove, by label or index")
    add(
        "--keep",
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="folders of other images, whose predicted labels must not change",
    )
    add(
        "--skip-mistaken", action="store_true", help="leave out images of --keep that the network predicts as the class"
    )
    add(
        "--evaluate-on",
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="folders of images for the evaluation, that of the class first; by default those above",
    )
    add(
        "--layers",
        nargs="+",
        action="extend",
        metavar="LAYER",
        help="layers to search for units; by default the last stage before the class head",
    )
    add("--method", choices=METHODS, default="auto", help="how units are found")
    add(
        "--max-units",
        type=float,
        help="maximum number of units, or a share of the layer below 1; by default the method's own",
    )
    add(
        "--leave-one-out",
        action="store_true",
        help="also predict each image without units that were found on the other images",
    )
    add("--random", type=int, default=200, help="number of random sets of units, of the same size, to compare with")
    add("--seed", type=int, default=0, help="seed of all random draws")
    add_engine_options(add, "evaluate")
    add("--bake", action="store_true", help="also write the weights of the network with the units removed")
    add("--out", type=Path, default=Path("blinded"), help="folder for the report; created if it does not exist")


def run(options: argparse.Namespace) -> bool:
    """Blind; False where the label stays on an image, or another image loses its own."""
    from optvis.ablation import (
        LabeledImages,
        Report,
        bake,
        compare_predictions,
        evaluate,
        find_units,
        leave_one_out,
        save_baked,
    )
    from optvis.ablation.baking.bake import BAKED_KIND
    from optvis.data.files import display_name, ensure_dir
    from optvis.data.own_files import check_own_files

    check_together(options, ["skip_mistaken"], "--keep", options.keep is not None)
    engine, classifier = select_engine(options), load_model(options)
    folder = ensure_dir(options.out)
    weights = folder / "blinded.safetensors"
    Report.check_target(folder)
    check_own_files({weights: BAKED_KIND} if options.bake else {})
    target = parse_class(options.label, classifier.labels)
    images = {"keep": options.keep, "skip_mistaken": options.skip_mistaken}
    how = {"layers": options.layers, "method": options.method, "max_units": options.max_units, "seed": options.seed}
    units = find_units(classifier, options.images, target, **images, **how)
    print(f"{units}\n\n{compare_predictions(classifier, units, options.images, target, **images)}\n")
    if options.leave_one_out:
        alone = leave_one_out(classifier, options.images, target, **images, **how)
        print(f"each image with units that were found without it:\n{alone}\n")
    folders = [options.images, *(options.keep or ())] if options.evaluate_on is None else options.evaluate_on
    sets = dict(zip(make_unique([display_name(Path(path).name) for path in folders]), folders, strict=True))
    first, *_ = sets
    sets[first] = LabeledImages(sets[first], target)
    numbers = {"random_sets": options.random, "seed": options.seed}
    report = evaluate(classifier, units, sets, **numbers, engine=engine)
    print(f"{report}\n")
    print(report.save(folder) / PAGE)
    if options.bake:
        print(save_baked(bake(classifier, *units), weights))
    return units.reached
