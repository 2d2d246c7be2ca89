"""`optvis attribute`: channel attribution of a class score."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import (
    FORMATS,
    AddOption,
    class_score,
    list_image_files,
    load_model,
    make_unique,
    resolve_classes,
)

# A literal, so that `--help` imports no torch.
METHODS = (
    *("midpoint", "grad_x_activation", "integrated_gradients", "stochastic_ig", "smoothgrad", "ablation"),
    *("saliency", "occlusion"),
)
HELP = "attribute a class score to the channels and positions of a layer, or to the pixels"
EXAMPLE = "optvis attribute squeezenet1_0 image.jpg --layer features.12 --class 'container ship' --against liner"


def add_options(add: AddOption) -> None:
    add("images", metavar="IMAGE", nargs="+", help="image files, or folders of them")
    add("--layer", required=True, help="layer name, as `optvis layers` lists them; '<image>' for the pixels")
    add("--class", dest="label", help="class, by label or index; by default the most likely one")
    add("--against", help="another class, by label or index, whose logit is subtracted")
    method = "attribution method; by default midpoint at a layer, integrated_gradients at pixels"
    add("--method", choices=METHODS, help=method)
    add("--top", type=int, default=10, help="number of channels to list, of positive and of negative attribution each")
    add("--format", choices=FORMATS, default="png", help="file format; svg and pdf keep shapes and text as vectors")
    add("--out", type=Path, default=Path("attribution"), help="folder for the images")


def run(options: argparse.Namespace) -> None:
    from optvis.attribution.attribute import attribute
    from optvis.attribution.result import Attribution
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.objectives import logit

    classifier = load_model(options)
    folder = ensure_dir(options.out)
    paths = list_image_files(options.images)
    names = make_unique([safe_file_name(f"{path.stem}-{options.layer}") for path in paths])
    for name in names:
        Attribution.check_target(folder / f"{name}.{options.format}")
    for path, name in zip(paths, names, strict=True):
        if options.label is not None:
            objective = class_score(options.label, classifier.labels)
        else:
            (label, likeliest), *_ = resolve_classes(classifier, path, None)
            objective = logit(label if classifier.labels.count(label) == 1 else likeliest)
        if options.against is not None:
            objective -= class_score(options.against, classifier.labels)
        found = attribute(classifier, path, options.layer, objective, method=options.method, progress=False)
        print(f"{path}\n{found.table(options.top)}\n{found.save(folder / f'{name}.{options.format}')}\n")
