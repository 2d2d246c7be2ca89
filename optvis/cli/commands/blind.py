"""`optvis blind`: ablate a class, and evaluate what that costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import class_index, create_command, load_model, make_unique

METHODS = ("greedy", "subspace", "contrast", "top_norm", "most_frequent")


def add_parser(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = create_command(
        subparsers,
        "blind",
        run,
        "find units whose ablation removes a class, and evaluate what that costs",
        "optvis blind squeezenet1_0 --target ships --class 'container ship' --keep liners controls --out blinded",
    )
    command.add_argument("--target", required=True, help="folder of images of the class")
    command.add_argument("--class", dest="label", required=True, help="the class, by label or index")
    command.add_argument("--keep", nargs="+", default=[], help="folders of images whose labels must stay")
    command.add_argument(
        "--evaluate-on", nargs="+", help="folders of other images, the target's first; those above if not given"
    )
    command.add_argument(
        "--layer", action="append", help="layer to ablate; may be repeated; the last stage if not given"
    )
    command.add_argument("--method", choices=METHODS, default="greedy", help="how units are found")
    command.add_argument("--max-units", type=int, help="channels at most; the method's own number if not given")
    command.add_argument(
        "--leave-one-out", action="store_true", help="also predict each image without units that were found without it"
    )
    command.add_argument("--random", type=int, default=200, help="random sets of the same size to compare with")
    command.add_argument("--seed", type=int, default=0, help="of all random draws")
    command.add_argument("--bake", action="store_true", help="also write the ablated network's weights")
    command.add_argument(
        "--out", type=Path, default=Path("blinded"), help="folder for the report; created if it does not exist"
    )


def run(options: argparse.Namespace) -> None:
    from optvis.ablation import (
        LabeledImages,
        bake,
        compare_predictions,
        evaluate,
        find_units,
        leave_one_out,
        save_baked,
    )
    from optvis.data.files import ensure_dir

    classifier = load_model(options)
    folder = ensure_dir(options.out)
    target = class_index(options.label, classifier.labels)
    keep = options.keep if options.keep else None
    how = {"layers": options.layer, "method": options.method, "max_units": options.max_units, "seed": options.seed}
    units = find_units(classifier, options.target, target, keep=keep, **how)
    print(f"{units}\n\n{compare_predictions(classifier, units, options.target, target, keep=keep)}\n")
    if options.leave_one_out:
        alone = leave_one_out(classifier, options.target, target, keep=keep, **how)
        print(f"each image with units that were found without it:\n{alone}\n")
    folders = [options.target, *options.keep] if options.evaluate_on is None else options.evaluate_on
    sets = dict(zip(make_unique([Path(path).name for path in folders]), folders, strict=True))
    first, *_ = sets
    sets[first] = LabeledImages(sets[first], target)
    report = evaluate(classifier, units, sets, random_sets=options.random, seed=options.seed)
    print(f"{report}\n")
    print(report.save(folder))
    if options.bake:
        print(save_baked(bake(classifier, *units), folder / "blinded.safetensors"))
