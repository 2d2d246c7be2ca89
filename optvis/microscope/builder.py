"""build_microscope(): write a static site with a page for each channel, in groups, so that a stopped run can resume."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from optvis.data.files import atomic_write, encode_json, ensure_dir
from optvis.data.sources import as_dataset
from optvis.engines.tasks import PROCESS, EngineLike, run_tasks
from optvis.features.peaks import ChannelImages
from optvis.microscope.plan import DEFAULT_OPTIONS, MicroscopeOptions, MicroscopePlan, resolve_channels
from optvis.microscope.renderings import STEPS, ChannelRenderer, resolve_size
from optvis.microscope.site.contents import exemplar_files, read_exemplars, write_images
from optvis.microscope.site.output_dir import INDEX, check_output_dir, open_output_dir
from optvis.microscope.site.pages import SITE, write_site
from optvis.microscope.surveyed import read_sample, select_exemplars
from optvis.microscope.tasks import FINISH, GroupWorker, Part, check_part, list_groups, select_part
from optvis.microscope.top_activations import CLASSES, find_exemplars
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.progress import progress_bar


@plain_mode()
def build_microscope(
    model: nn.Module | Classifier,
    images: Any,
    layers: str | Sequence[str],
    output_dir: str | Path,
    *,
    channels: Iterable[int] | None = None,
    size: int | None = None,
    steps: int = STEPS,
    options: MicroscopeOptions = DEFAULT_OPTIONS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    part: Part = None,
    engine: EngineLike = PROCESS,
    progress: bool = True,
) -> Path:
    """Write a static site of layers: a sheet of all channels, a page for each channel, and a page for each class.

    The page of a channel shows its positive rendering, its negative one, four diverse ones (Olah et al., "Feature
    Visualization", Distill 2017, doi:10.23915/distill.00007), the images that activate it most with the patch that the
    position sees, the channels of the layer before that it is made of, its attribution to classes, and what changes
    when it is switched off. The page of a class ranks the channels of each layer by their attribution to it, and says
    what switching each off costs. Beside each page there is a JSON file with its numbers. Channels are computed in
    fixed groups. Run a stopped call again: it resumes with the first group that is not complete, and ends with the same
    files. Parts, engines and this process alone give the same files, where torch has as many threads.

    Args:
        model: a network whose output is a score for each class, or a Classifier.
        images: in any form that `optvis.data.as_dataset` takes; they are loaded a batch at a time.
        layers: one name, or several, as `layers(net)` lists them; "blocks.3@class" is the class token of a transformer.
        output_dir: the folder of the site; created if needed.
        channels: of each layer; all by default.
        size: side of a rendering in pixels; 128 by default, or the network's input size if that is smaller.
        steps: updates of each rendering.
        options: sizes of groups and samples, and which images are shown, see `MicroscopeOptions`.
        seed: of noise and transforms; the diverse renderings use the next four seeds.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
        part: (3, 16) builds the third of sixteen parts of all groups and writes no pages; several processes may build
            parts in one folder at once. "finish" builds nothing: it checks that all groups are there, and writes the
            pages. By default all is built, except what is there already.
        engine: what builds the groups: "process", this process; "ray", a Ray cluster on all cores or cards of this
            machine; or a `RayEngine`.
        progress: whether to show a progress bar, with the time that is left.

    Returns:
        The path of the start page; of a part the folder.

    Raises:
        FileExistsError: the folder holds other files, or a microscope with another recipe.
        FileNotFoundError: groups are missing where the pages are to be written; the message names the first.
        KeyError, TypeError, IndexError, ValueError: layers, channels or numbers that do not fit the network.
        KeyboardInterrupt: after Ctrl-C; the pages of complete groups are written.

    Example:
        >>> import tempfile
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = build_microscope(load(), Scenes(4), "mixed4", folder, channels=[17], size=32, steps=2,
        ...                             progress=False)
        ...     page.name, (page.parent / "layer-mixed4" / "17.html").exists()
        ('index.html', True)
    """
    classifier = as_classifier(model, normalize)
    names = (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
    resolved = resolve_channels(classifier, names, channels, channel_axis)
    renderer = ChannelRenderer(resolve_size(classifier, size), steps, seed, channel_axis)
    plan = MicroscopePlan(classifier, as_dataset(images).outside(output_dir), resolved, renderer, options)
    check_part(part)
    if part == FINISH:
        check_output_dir(output_dir)
    recipe = plan.recipe()
    folder = open_output_dir(output_dir, recipe, [*SITE, *plan.folders.values()])
    try:
        if part == FINISH:
            _require_groups(plan, folder)
        else:
            _build_groups(plan, folder, part, engine, progress)
    except KeyboardInterrupt:
        if part is None:
            write_site(plan, folder, recipe)
        raise
    if part not in (None, FINISH):
        return folder
    write_site(plan, folder, recipe)
    return folder / INDEX


def _build_groups(plan: MicroscopePlan, folder: Path, part: Part, engine: EngineLike, progress: bool) -> None:
    """Build the groups of a part that are not complete, and write their files, the numbers last."""
    folders = {layer: folder / name for layer, name in plan.folders.items()}
    top = _prepare_exemplars(plan, folder, engine)
    tasks = select_part(list_groups(plan, top), part)
    with progress_bar(total=len(tasks), show=progress, unit="group", description="microscope") as bar:
        missing = [task for task in tasks if not task.is_complete(folders[task.layer])]
        bar.update(len(tasks) - len(missing))
        worker = GroupWorker(plan, top)
        for index, files in run_tasks(worker, missing, engine, on_gpu=plan.classifier.on_gpu):
            for name, data in files.items():
                atomic_write(folders[missing[index].layer] / name, data)
            bar.update()


def _require_groups(plan: MicroscopePlan, folder: Path) -> None:
    """Raise FileNotFoundError where groups are missing."""
    found = read_exemplars(plan, folder)
    tasks = list_groups(plan, found)
    missing = [task for task in tasks if not task.is_complete(folder / plan.folders[task.layer])]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(tasks)} groups are missing in {str(folder)!r}, the first with {missing[0]}: "
            "build the parts that are left, or all without a part"
        )
    unknown = [file for name, file in exemplar_files(plan, folder).items() if name not in found]
    if unknown:
        raise FileNotFoundError(f"{str(unknown[0])!r} is missing or damaged: build any part, or all without a part")


def _prepare_exemplars(plan: MicroscopePlan, folder: Path, engine: EngineLike) -> Mapping[str, ChannelImages]:
    """The images of channels and classes, from the files of an earlier run; or find them and write the files."""
    files = {name: ensure_dir(path.parent) / path.name for name, path in exemplar_files(plan, folder).items()}
    complete = read_exemplars(plan, folder)
    if len(complete) == len(files):
        return complete
    if plan.survey is None:
        top = find_exemplars(plan.classifier, plan.dataset, list(plan.channels), plan.choice, engine=engine)
    else:
        head = plan.classifier.read_head(plan.classifier.gray_image())
        top = select_exemplars(plan.survey, list(plan.channels), plan.choice, head)
    write_images(plan, folder, _list_images(plan, top))
    for name, file in files.items():
        atomic_write(file, encode_json(top[name].to_dict()))
    return top


def _list_images(plan: MicroscopePlan, top: Mapping[str, ChannelImages]) -> list[int]:
    """The indices of all images on pages."""
    rows = [top[layer].of_channel(channel) for layer, channels in plan.channels.items() for channel in channels]
    rows += [top[CLASSES].of_channel(label) for label in range(plan.class_count)]
    if plan.survey is not None:
        samples = ((read_sample(plan.survey, layer), channels) for layer, channels in plan.channels.items())
        rows += [sample.rows(channel) for sample, channels in samples for channel in channels]
    return [index for row in rows for index, *_ in row]
