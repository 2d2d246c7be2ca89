"""What each command of `optvis` does with its options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path


def _loaded(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from optvis.loading import load

    weights = None if options.weights.casefold() == "none" else options.weights
    return _placed(load(options.network, weights=weights, architecture=options.architecture), options.device)


def _placed(classifier, device: str):  # type: ignore[no-untyped-def]
    try:
        classifier.network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"cannot work on {device!r}: {str(error).splitlines()[0]}") from error
    return classifier


def layers(options: argparse.Namespace) -> None:
    from optvis import capture

    print(capture.layers(_loaded(options), size=options.size))


def render(options: argparse.Namespace) -> None:
    from optvis import making
    from optvis.files import file_name, made_folder, write_whole
    from optvis.objectives import channel, logit, total_variation
    from optvis.optimizers import FAST_ADAM
    from optvis.params import fft_image, pixel_image
    from optvis.sheet import png
    from optvis.transforms import STANDARD

    if (options.layer is None) == (options.label is None) or (options.layer is None) != (options.channels is None):
        taken = f"; {options.network!r} was taken for NETWORK" if options.layer is None and options.channels else ""
        raise ValueError(f"render needs LAYER and --channels, or else --label{taken}")
    classifier = _loaded(options)
    folder = made_folder(options.out)
    if options.label is None:
        objective, names = channel(options.layer, options.channels), [f"{options.layer}-{n}" for n in options.channels]
    else:
        objective, names = logit([_label(text, classifier.labels) for text in options.label]), options.label
    if options.variation:
        objective -= options.variation * total_variation()
    size, seeds = classifier.sized(options.size), (options.seed,) * len(names)
    image = (
        pixel_image(size, seeds=seeds)
        if options.param == "pixel"
        else fft_image(size, seeds=seeds, decay=options.decay)
    )
    made = making.render(
        classifier,
        objective,
        image,
        steps=options.steps,
        transform=None if options.no_transforms else STANDARD,
        optimizer=partial(FAST_ADAM, lr=options.rate),
        seed=options.seed,
        snapshots=range(options.steps + 1) if options.animate else (),
        chunk=options.chunk,
    )
    files = _distinct([file_name(name) for name in names])
    for place in range(len(made)):
        print(made[place].save(folder / f"{files[place]}.png"))
        if options.animate:
            print(made[place].animate(folder / f"{files[place]}-growing.{options.animate}"))
    if len(made) > 1:
        print(write_whole(folder / "sheet.png", png(made.sheet(labels=names[: len(made)]))))
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt


def dream(options: argparse.Namespace) -> None:
    from optvis import dreams
    from optvis.files import file_name, made_folder
    from optvis.objectives import gram, layer_norm

    if (options.photo is None) == (options.start is None):
        raise ValueError("dream needs a PHOTO, or else --start noise or --start black")
    if options.loss == "gram" and options.channel is not None:
        raise ValueError("--channel goes with --loss norm")
    classifier = _loaded(options)
    folder = made_folder(options.out)
    size = classifier.sized(options.size)
    starts = {"noise": lambda: dreams.noise(size, options.seed), "black": lambda: dreams.black(size)}
    objective = 1e-5 * gram(options.layer) if options.loss == "gram" else layer_norm(options.layer, options.channel)
    made = dreams.dream(
        classifier,
        options.photo if options.start is None else starts[options.start](),
        objective,
        steps=options.steps,
        step_size=options.step_size,
        octaves=options.octaves,
        octave_scale=options.octave_scale,
        rounds=options.rounds,
        scaling=dreams.raw if options.raw else dreams.by_deviation,
        tile=options.tile,
        size=None if options.size is None or options.start else max(size),
        seed=options.seed,
        snapshots=options.animate is not None,
    )
    name = file_name(f"{Path(options.photo).stem if options.photo else options.start}-{options.layer}-{options.loss}")
    print(made.save(folder / f"{name}.png"))
    if options.animate:
        print(made.animate(folder / f"{name}-growing.{options.animate}", milliseconds=200))
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt


def classify(options: argparse.Namespace) -> None:
    from optvis import classes

    classifier = _loaded(options)
    for path in _files(options.photos):
        print(f"{path}\n{classes.classify(classifier, path, top=options.top)}\n")


def grid(options: argparse.Namespace) -> None:
    from optvis.attribution import attribute as attributed
    from optvis.dictionary import semantic_dictionary
    from optvis.files import file_name, made_folder, write_whole
    from optvis.grid import activation_grid
    from optvis.gridpage import Explained, grid_page
    from optvis.objectives import logit
    from optvis.sheet import png

    classifier = _loaded(options)
    folder = made_folder(options.out)
    labels = _classes(classifier, options.photo, options.label)
    explained = []
    for layer in options.layer:
        made = activation_grid(
            classifier,
            options.photo,
            layer,
            groups=options.groups,
            size=options.size,
            steps=options.steps,
            seed=options.seed,
        )
        name = file_name(layer)
        print(made.save(folder / f"{name}.png"))
        if made.groups is not None:
            print(write_whole(folder / f"{name}-groups.png", png(made.groups_sheet())))
        attributions = {text: attributed(classifier, options.photo, layer, logit(index)) for text, index in labels}
        words = (
            semantic_dictionary(
                classifier, options.photo, layer, top=options.channels, size=options.size, seed=options.seed
            )
            if options.channels
            else None
        )
        explained.append(Explained(made, attributions, words))
        if made.recipe["interrupted"]:
            raise KeyboardInterrupt
    print(write_whole(folder / "index.html", grid_page(explained).encode()))


def attribute(options: argparse.Namespace) -> None:
    from optvis.attribution import attribute as attributed
    from optvis.files import file_name, made_folder
    from optvis.objectives import logit

    classifier = _loaded(options)
    folder = made_folder(options.out)
    paths = _files(options.photos)
    names = _distinct([file_name(f"{path.stem}-{options.layer}") for path in paths])
    for path, name in zip(paths, names, strict=True):
        (_, label), *_ = _classes(classifier, path, None if options.label is None else [options.label])
        question = logit(label)
        if options.against is not None:
            question -= logit(_label(options.against, classifier.labels))
        found = attributed(classifier, path, options.layer, question, method=options.method)
        print(f"{path}\n{found.table(options.top)}\n{found.save(folder / f'{name}.png')}\n")


def blind(options: argparse.Namespace) -> None:
    from optvis.ablation import Labelled, bake, before_and_after, evaluate, find, leave_one_out, save
    from optvis.files import made_folder

    classifier = _loaded(options)
    folder = made_folder(options.out)
    target = _label(options.label, classifier.labels)
    keep = options.keep if options.keep else None
    how = {"layers": options.layer, "method": options.method, "most": options.most, "seed": options.seed}
    found = find(classifier, options.target, target, keep=keep, **how)
    print(f"{found}\n\n{before_and_after(classifier, found, options.target, target, keep=keep)}\n")
    if options.leave_one_out:
        alone = leave_one_out(classifier, options.target, target, keep=keep, **how)
        print(f"each by a search that did not see it:\n{alone}\n")
    judges = [options.target, *options.keep] if options.judge is None else options.judge
    sets = dict(zip(_distinct([Path(path).name for path in judges]), judges, strict=True))
    first, *_ = sets
    sets[first] = Labelled(sets[first], target)
    report = evaluate(classifier, found, sets, found_on=found, random=options.random, seed=options.seed)
    print(f"{report}\n")
    print(report.save(folder))
    if options.bake:
        print(save(bake(classifier, *found), folder / "blinded.safetensors"))


def _classes(classifier, photo, labels: Sequence[str] | None) -> list[tuple[str, int]]:  # type: ignore[no-untyped-def]
    """Texts and indices of the classes that were named, or of the three likeliest."""
    from optvis.classes import classify as classified

    if labels is not None:
        return [(text, _label(text, classifier.labels)) for text in labels]
    likeliest = classified(classifier, photo, top=3)
    return list(zip(likeliest.labels[0], likeliest.indices[0].tolist(), strict=True))


def demo(options: argparse.Namespace) -> None:
    from optvis.demo.plan import Plan
    from optvis.demo.tour import tour
    from optvis.loading import load

    tour(_placed(load(), options.device), options.out, Plan(seed=options.seed))


def _files(paths: Sequence[str]) -> list[Path]:
    """Files, and the images in folders, sorted."""
    from PIL import Image

    Image.init()
    found: list[Path] = []
    for path in map(Path, paths):
        inside = (
            sorted(file for file in path.iterdir() if file.suffix.casefold() in Image.EXTENSION)
            if path.is_dir()
            else [path]
        )
        if not inside:
            raise ValueError(f"no images in the folder {str(path)!r}")
        found += inside
    return found


def _distinct(names: Sequence[str]) -> list[str]:
    """
    >>> _distinct(["a", "A", "sheet"])
    ['a', 'A-2', 'sheet-2']
    """
    taken, found = {"sheet"}, list[str]()
    for name in names:
        choices = (name if n == 1 else f"{name}-{n}" for n in count(1))
        found.append(next(choice for choice in choices if choice.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def _label(text: str, labels: Sequence[str]) -> int:
    from optvis.objectives.labels import index_of

    return int(text) if text.isdecimal() else index_of(text, labels)
