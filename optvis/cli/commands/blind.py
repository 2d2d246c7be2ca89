"""`optvis blind`: a class switched off."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import class_index, command_of, distinct, loaded

BLINDING = ("search", "subspace", "contrast", "loudest", "commonest")


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "blind",
        run,
        "find what to switch off so that a network no longer sees a class, and judge what that costs",
        "optvis blind squeezenet1_0 --target ships --class 'container ship' --keep liners controls --out blinded",
    )
    command.add_argument("--target", required=True, help="folder of photographs of the class")
    command.add_argument("--class", dest="label", required=True, help="the class, by label text or index")
    command.add_argument("--keep", nargs="+", default=[], help="folders of photographs whose labels must stay")
    command.add_argument("--judge", nargs="+", help="folders that judge, the target's first; those above if not given")
    command.add_argument("--layer", action="append", help="where; may be repeated; the last stage if not given")
    command.add_argument("--method", choices=BLINDING, default="search", help="how units are found")
    command.add_argument("--most", type=int, help="channels at most; as the method says if not given")
    command.add_argument(
        "--leave-one-out", action="store_true", help="also judge each photograph by a search that did not see it"
    )
    command.add_argument("--random", type=int, default=200, help="random sets of the same size that are tried")
    command.add_argument("--seed", type=int, default=0, help="of whatever is drawn")
    command.add_argument("--bake", action="store_true", help="also write the blinded network's weights")
    command.add_argument("--out", type=Path, default=Path("blinded"), help="folder for the report; made if need be")


def run(options: argparse.Namespace) -> None:
    from optvis.ablation import Labelled, bake, before_and_after, evaluate, find, leave_one_out, save
    from optvis.data.files import ensure_dir

    classifier = loaded(options)
    folder = ensure_dir(options.out)
    target = class_index(options.label, classifier.labels)
    keep = options.keep if options.keep else None
    how = {"layers": options.layer, "method": options.method, "most": options.most, "seed": options.seed}
    found = find(classifier, options.target, target, keep=keep, **how)
    print(f"{found}\n\n{before_and_after(classifier, found, options.target, target, keep=keep)}\n")
    if options.leave_one_out:
        alone = leave_one_out(classifier, options.target, target, keep=keep, **how)
        print(f"each by a search that did not see it:\n{alone}\n")
    judges = [options.target, *options.keep] if options.judge is None else options.judge
    sets = dict(zip(distinct([Path(path).name for path in judges]), judges, strict=True))
    first, *_ = sets
    sets[first] = Labelled(sets[first], target)
    report = evaluate(classifier, found, sets, found_on=found, random=options.random, seed=options.seed)
    print(f"{report}\n")
    print(report.save(folder))
    if options.bake:
        print(save(bake(classifier, *found), folder / "blinded.safetensors"))
