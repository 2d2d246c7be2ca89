"""How good rendered pictures are: whether networks that took no part in the making recognise them, and their pixels.

python tests/bench/pictures.py                                    EfficientNet-Lite0, judged by SqueezeNet
python tests/bench/pictures.py --subject squeezenet               the other way round
python tests/bench/pictures.py --subject demo                     the embedded network, by the judges in OPTVIS_JUDGES
python tests/bench/pictures.py --subject demo-vit                 the embedded transformer, by the same
python tests/bench/pictures.py --channels features.12             64 channels of a layer instead of 50 classes
python tests/bench/pictures.py --recipes natural maco --classes 8 some rows, quickly
python tests/bench/pictures.py --recipes natural --against maco --sheet pairs.png --blind key.json
python tests/bench/pictures.py --time-to-quality fast lucent   judged top-5 against steps and seconds

docs/measuring_pictures.md explains the columns.
"""

import argparse
import json
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the folder of this checkout's `optvis` and `tests`

import torch

from optvis.data.files import atomic_write, ensure_dir
from tests.bench.picture_quality import networks, sheets, table, time_to_quality
from tests.bench.picture_quality.recipes import RECIPES, Recipe, Targets


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--subject", default="efficientnet", help="efficientnet, squeezenet, demo, or a name for load()"
    )
    parser.add_argument(
        "--weights", type=Path, help="of efficientnet; else OPTVIS_EFFICIENTNET, or the installed package"
    )
    parser.add_argument("--judges", nargs="+", default=[], help="names as for --subject, or a judge's .safetensors")
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--channels", metavar="LAYER", help="channels of this layer instead of classes")
    parser.add_argument("--count", type=int, default=64, help="of channels")
    parser.add_argument("--photographs", type=Path, help="folder, also of subfolders named after their class")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    parser.add_argument("--against", choices=RECIPES, help="with --sheet: beside the one of --recipes")
    parser.add_argument("--steps", type=int, help="of all recipes, instead of their own")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a row for each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--sheet", type=Path, metavar="PNG")
    parser.add_argument("--blind", type=Path, metavar="KEY", help="with --against: random order, written to this file")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    parser.add_argument("--time-to-quality", nargs="+", choices=RECIPES, metavar="NAME", default=[])
    options = parser.parse_args(arguments)
    if options.against and (len(options.recipes), len(options.seeds)) != (1, 1):
        parser.error("--against compares two recipes; give one to --recipes, and one seed")
    if options.blind and not (options.against and options.sheet):
        parser.error("--blind needs --against and --sheet")
    return options


def build_bench(options: argparse.Namespace) -> table.Bench:
    """Load the subject, its judges and the photographs, and choose what is rendered."""
    subject = networks.load_network(options.subject, options.weights)
    judges = networks.load_judges(subject, options.judges, options.weights)
    photographs = find_photographs(options, [subject, *judges.values()])
    for classifier in (subject, *judges.values()):
        classifier.network.to(options.device)
    if options.channels is None:
        targets = Targets(networks.choose_classes(subject, options.classes))
    elif photographs is None:
        raise ValueError("channels are chosen by the photographs that excite them; give --photographs FOLDER")
    else:
        numbers = networks.exciting_channels(subject, options.channels, photographs, options.count)
        targets = Targets(numbers, options.channels)
    return table.Bench(subject, judges, targets, photographs)


def find_photographs(options: argparse.Namespace, classifiers: list) -> networks.Photographs | None:
    """Those of the folder given, of the embedded world, or of the folder beside the checkout; else none."""
    if options.photographs is None and options.subject in ("demo", "demo-vit"):
        return networks.load_scenes()
    beside = networks.BESIDE / "images"
    folder = options.photographs or (beside if beside.is_dir() else None)
    return None if folder is None else networks.load_photographs(folder, classifiers)


def measure_rows(bench: table.Bench, names: list[str], options: argparse.Namespace) -> list[table.Row]:
    """Measure a row for each seed of each recipe whose packages are there."""
    rows = []
    for name, seed in product(names, options.seeds):
        title = name if len(options.seeds) == 1 else f"{name}, seed {seed}"
        try:
            rows.append(table.measure_recipe(bench, title, override_steps(RECIPES[name], options.steps), seed))
        except (ImportError, ValueError) as error:  # a package or BatchNorm layers are missing
            print(f"{title} left out: {error}", file=sys.stderr)
        else:
            print(f"{title}: {rows[-1].values['seconds']:.1f} s", file=sys.stderr, flush=True)
    return rows


def override_steps(recipe: Recipe, steps: int | None) -> Recipe:
    return recipe if steps is None else replace(recipe, steps=steps)


def main(arguments: list[str] | None = None) -> None:
    options = parse_options(arguments)
    try:
        bench = build_bench(options)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    what = "classes" if bench.targets.layer is None else f"channels of {bench.targets.layer}"
    machine = f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{bench.subject.name}, {len(bench.targets.numbers)} {what}, judges {', '.join(bench.judges)}, {machine}")
    if options.time_to_quality:
        recipes = {name: override_steps(RECIPES[name], options.steps) for name in options.time_to_quality}
        print(time_to_quality.compare(time_to_quality.measure_curves(bench, recipes, options.seeds[0])))
        return
    rows = measure_rows(bench, [*options.recipes, *filter(None, [options.against])], options)
    references = [] if bench.photographs is None else [table.measure_photographs(bench)]
    print(table.format_rows([*rows, *references]))
    if options.json:
        ensure_dir(options.json.parent)
        values = {row.name: dict(row.values) for row in [*rows, *references]}
        atomic_write(options.json, json.dumps(values, indent=1).encode())
    if options.sheet and options.against and len(rows) == 2:
        sheets.write_pairs(options.sheet, bench, rows[0], rows[1], options.blind, options.seeds[0])
    elif options.sheet:
        sheets.write_sheet(options.sheet, bench, rows)


if __name__ == "__main__":
    main()
