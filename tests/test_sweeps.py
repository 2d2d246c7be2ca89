"""Parts, engines and one process write the same microscope; workers are lost, tasks fail, Ray is missing."""

from __future__ import annotations

import os
import pickle
import random
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from optvis.atlas import sample_activations
from optvis.cli import main as cli
from optvis.data.files import atomic_write, ensure_dir, remove_temporary_files
from optvis.data.sources import as_dataset
from optvis.engines import RayEngine, merge_in_order, ray_engine, run_tasks
from optvis.engines.ray_cluster import connect
from optvis.microscope import MicroscopeOptions, build_microscope, top_activations
from optvis.microscope.groups import GroupBuilder

IMAGES = torch.rand(7, 3, 20, 20, generator=torch.Generator().manual_seed(5))
OPTIONS = {"channels": range(5), "size": 16, "steps": 1, "options": MicroscopeOptions(2, 3, 4), "progress": False}
LAYERS = ["relu2", "fc"]


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(small, tmp_path):
    build_microscope(small, IMAGES, LAYERS, tmp_path / "whole", **OPTIONS)
    return files(tmp_path / "whole")


@pytest.mark.parametrize("count", [4, 9])
def test_parts_in_any_order_and_the_end_are_the_whole(small, tmp_path, whole, count):
    numbers = random.Random(count).sample(range(1, count + 1), count)
    for number in numbers:
        assert (
            build_microscope(small, IMAGES, LAYERS, tmp_path / "a", part=(number, count), **OPTIONS) == tmp_path / "a"
        )
        assert not (tmp_path / "a" / "index.html").exists()
    page = build_microscope(small, IMAGES, LAYERS, tmp_path / "a", part="finish", **OPTIONS)
    assert page == tmp_path / "a" / "index.html"
    assert files(tmp_path / "a") == whole


def test_one_process_goes_on_after_a_part(small, tmp_path, whole):
    build_microscope(small, IMAGES, LAYERS, tmp_path / "a", part=(2, 3), **OPTIONS)
    build_microscope(small, IMAGES, LAYERS, tmp_path / "a", **OPTIONS)
    assert files(tmp_path / "a") == whole


def test_the_end_names_what_is_missing_and_builds_nothing(small, tmp_path, monkeypatch):
    build_microscope(small, IMAGES, LAYERS, tmp_path, part=(2, 2), **OPTIONS)
    before = files(tmp_path)
    monkeypatch.setattr(GroupBuilder, "build", lambda *_: pytest.fail("built"))
    with pytest.raises(FileNotFoundError, match=r"4 of 8 groups are missing .* channel 0 of 'relu2'"):
        build_microscope(small, IMAGES, LAYERS, tmp_path, part="finish", **OPTIONS)
    assert files(tmp_path) == before


@pytest.mark.parametrize("folder", ["classes", "layer-relu2"])
def test_the_end_needs_to_know_the_images(small, tmp_path, whole, folder):
    site, file = tmp_path / "whole", tmp_path / "whole" / folder / "top_activations.json"
    file.write_bytes(whole[f"{folder}/top_activations.json"][:50])
    damaged = files(site)
    with pytest.raises(
        FileNotFoundError, match=rf"{folder}.top_activations\.json' is missing or damaged: build any part"
    ):
        build_microscope(small, IMAGES, LAYERS, site, part="finish", **OPTIONS)
    assert files(site) == damaged
    build_microscope(small, IMAGES, LAYERS, site, part=(9, 9), **OPTIONS)
    build_microscope(small, IMAGES, LAYERS, site, part="finish", **OPTIONS)
    assert files(site) == whole


def test_the_end_restores_images_and_begins_no_microscope(small, tmp_path, whole):
    (tmp_path / "whole" / "images" / "000000.webp").unlink()
    build_microscope(small, IMAGES, LAYERS, tmp_path / "whole", part="finish", **OPTIONS)
    assert files(tmp_path / "whole") == whole
    with pytest.raises(FileNotFoundError, match=r"no microscope in .*: it has no"):
        build_microscope(small, IMAGES, LAYERS, tmp_path / "other", part="finish", **OPTIONS)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("part", [(0, 4), (5, 4), (1, 0), "end"])
def test_a_part_that_does_not_exist_is_refused(small, tmp_path, part):
    with pytest.raises((ValueError, TypeError), match="part"):
        build_microscope(small, IMAGES, LAYERS, tmp_path / "a", part=part, **OPTIONS)
    assert not (tmp_path / "a").exists()


def test_of_two_recipes_that_begin_at_once_one_is_refused(small, tmp_path, monkeypatch, whole):
    def begin_meanwhile(path):
        folder = ensure_dir(path)
        (folder / "recipe.json").write_bytes(whole["recipe.json"])
        return folder

    monkeypatch.setattr("optvis.microscope.site.output_dir.ensure_dir", begin_meanwhile)
    with pytest.raises(FileExistsError, match="another recipe: steps is 1 there and 2 here"):
        build_microscope(small, IMAGES, LAYERS, tmp_path / "a", part=(1, 2), **{**OPTIONS, "steps": 2})
    assert files(tmp_path / "a") == {"recipe.json": whole["recipe.json"]}


def test_ranges_of_images_merge_exactly(small, monkeypatch):
    monkeypatch.setattr(top_activations, "BATCH_SIZE", 2)
    monkeypatch.setattr(top_activations, "IMAGES_PER_TASK", 4)
    found = top_activations.find_top_activations(small, as_dataset(IMAGES), LAYERS, 3)
    monkeypatch.setattr(top_activations, "IMAGES_PER_TASK", 512)
    other = top_activations.find_top_activations(small, as_dataset(IMAGES), LAYERS, 3)
    assert all(torch.equal(found[layer].indices, other[layer].indices) for layer in LAYERS)
    assert all(torch.equal(found[layer].positions, other[layer].positions) for layer in LAYERS)


def test_outcomes_are_merged_in_the_order_of_their_tasks():
    order = random.Random(3).sample(range(20), 20)
    assert list(merge_in_order((index, str(index)) for index in order)) == [str(index) for index in range(20)]


def test_a_file_is_written_while_others_clear_the_folder(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(atomic_write, tmp_path / f"{n}.txt", b"x" * n) for n in range(200)]
        cleared = [pool.submit(remove_temporary_files, tmp_path) for _ in range(200)]
        assert all(each.result().read_bytes() == b"x" * n for n, each in enumerate(done))
        assert all(isinstance(each.result(), list) for each in cleared)  # none of them failed


def test_samples_of_an_atlas_merge_exactly_and_count_a_broken_image(small, monkeypatch):
    def run_elsewhere(function, tasks, engine, *, on_gpu):
        assert engine == RayEngine()
        assert on_gpu is False
        for index in reversed(range(len(tasks))):
            yield index, pickle.loads(pickle.dumps(function))(tasks[index])

    module = sys.modules["optvis.atlas.sample_activations"]  # the package has a function of this name
    monkeypatch.setattr(module, "run_tasks", run_elsewhere)
    monkeypatch.setattr(module, "BATCHES_PER_TASK", 1)
    images = [*IMAGES, torch.full((3, 20, 20), 9.0), *IMAGES.flip(3)]
    found = []
    for engine in ("process", RayEngine()):
        options = {"batch_size": 2, "engine": engine, "progress": False}
        with pytest.warns(UserWarning, match="1 of 15 images are left out: image '7'"):
            found.append(sample_activations(small, images, "relu2", **options))
    for name in ("vectors", "attribution", "positions", "indices"):
        assert torch.equal(getattr(found[0], name), getattr(found[1], name))
    assert found[0].recipe == found[1].recipe


@pytest.mark.parametrize("options", [{"workers": 0}, {"cores": 0}])
def test_an_engine_has_workers_and_cores(options):
    with pytest.raises(ValueError, match="is 0; expected 1 or more"):
        RayEngine(**options)


def test_an_unknown_engine_and_a_missing_one_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"engine is 'rya'.*nearest: 'ray'"):
        run_tasks(abs, [1], "rya")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'optvis\[ray\]'"):
        list(run_tasks(abs, [1], "ray"))


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "no-host.invalid:6379", "::1:99999"])
def test_a_cluster_that_does_not_answer_is_named_at_once(address):
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # free once the server is closed
    engine = RayEngine(address.format(port=port))
    with pytest.raises(ConnectionError, match=r"no Ray cluster at .*expected its HOST:PORT"):
        list(run_tasks(abs, [0], engine))
    with pytest.raises(ConnectionError, match="no Ray cluster at 'nowhere': Invalid address"):
        list(run_tasks(abs, [0], RayEngine("nowhere")))


def test_what_workers_cannot_get_by_pickle_is_named():
    def refuse(_):
        raise TypeError("Could not serialize\n====") from TypeError("cannot pickle '_thread.lock' object")

    with pytest.raises(
        TypeError, match=r"cannot take one of them: cannot pickle '_thread\.lock' object; give images as"
    ):
        ray_engine._send(SimpleNamespace(put=refuse), lambda: abs)


class Cluster:
    """As much of Ray as tells whether an actor has begun."""

    def __init__(self, begun):
        self.begun = begun

    def wait(self, results, timeout):
        assert timeout == 0
        return (results[:1], results[1:]) if self.begun else ([], results)

    def available_resources(self):
        return {}  # Ray leaves out what is used up

    def cluster_resources(self):
        return {"CPU": 8.0}


def test_a_full_cluster_is_named_once(monkeypatch):
    actors = [SimpleNamespace(__ray_ready__=SimpleNamespace(remote=object))] * 2
    now = [0.0]
    monkeypatch.setattr(ray_engine.time, "monotonic", lambda: now[0])
    full, roomy = (ray_engine._Room(Cluster(begun), actors) for begun in (False, True))
    full.look()
    now[0] = ray_engine.SECONDS_TO_BEGIN
    roomy.look()
    with pytest.warns(UserWarning, match="of the Ray cluster's 8 cores 0 are free; this call waits for room"):
        full.look()
    full.look()


def test_a_classifier_survives_pickle(small):
    again = pickle.loads(pickle.dumps(small))
    assert torch.equal(again.logits(IMAGES.double()), small.logits(IMAGES.double()))
    assert (again.size, again.labels, again.name) == (small.size, small.labels, small.name)


def test_the_command_builds_parts(tmp_path, capsys):
    words = [
        "microscope",
        "--layers",
        "mixed4",
        "--channels",
        "0-2",
        "--group-size",
        "1",
        "--size",
        "16",
        "--steps",
        "0",
    ]
    words = [words[0], "demo", *words[1:], "--scenes", "4", "--sample-size", "2", "--out", str(tmp_path / "a")]
    for part in ("2/2", "1/2"):
        assert cli.main([*words, "--part", part]) == 0
    assert cli.main([*words, "--finish"]) == 0
    assert Path(capsys.readouterr().out.splitlines()[-1]) == tmp_path / "a" / "index.html"
    assert cli.main([*words, "--finish", "--part", "1/2"]) == 2
    with pytest.raises(SystemExit):
        cli.main([*words, "--part", "3/2"])
    assert "expected a part, like 3/16" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["init", "task", "wait"])
@pytest.mark.parametrize("own", [False, True], ids=["default", "own handler"])
def test_sigterm_ends_a_local_cluster_and_the_process_with_its_own_code(place, own):
    """Ray's handlers, and what it makes of an exit while it waits, are as in Ray 2."""
    log, before = [], signal.getsignal(signal.SIGTERM)

    def begin(**_options):
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(number))
        if place == "init":
            signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: log.append("aborted"))

    ray = SimpleNamespace(is_initialized=bool, init=begin, shutdown=lambda: log.append("shut down"))
    handler = (lambda *_: log.append("mine")) if own else signal.SIG_DFL
    signal.signal(signal.SIGTERM, handler)
    try:
        ends = nullcontext() if own and place != "init" else pytest.raises(SystemExit)
        with ends as caught, connect(ray, RayEngine(), False):
            try:
                signal.raise_signal(signal.SIGTERM)
            except SystemExit:
                raise SystemExit(1 if place == "wait" else 143) from None
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert caught is None or caught.value.code == 143
    assert log == (["mine", "shut down"] if own and place != "init" else ["shut down"])


RAY = """
import os, signal, sys, time
from functools import partial
from pathlib import Path
import torch
from torch import nn
from optvis import Channels, Classifier, evaluate, sample_activations
from optvis.engines import RayEngine, run_tasks
from optvis.microscope import MicroscopeOptions, build_microscope
from optvis.survey import survey_channels
from optvis.world import Scenes

torch.manual_seed(0)
layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
network = Classifier(nn.Sequential(*layers), None, 16)

def build(folder, survey=None, **more):
    more |= {"channels": range(6), "size": 16, "steps": 1, "progress": False}
    options = MicroscopeOptions(2, 3, 8, 2, 2, survey=survey)
    build_microscope(network, Scenes(16), "1", folder, options=options, **more)

class Kills:  # the worker that gets the first task dies once
    def __init__(self, flag):
        self.flag = Path(flag)

    def __call__(self, task):
        if task == 0 and not self.flag.exists():
            self.flag.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "wrong":
            raise LookupError("mine")
        return task, os.getpid()

folder = sys.argv[1]
engine = RayEngine(workers=2)
build(folder + "/one")

def measure(name, engine="process"):
    given = {"engine": engine, "progress": False}
    survey = survey_channels(network, Scenes(16), ["1", ""], folder + "/" + name, **given)
    samples = sample_activations(network, Scenes(16), "1", **given)
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    sets = {"own": (images[:4], 0), "others": (images[4:], 1)}
    report = evaluate(network, Channels("1", [0, 3]), sets, target="own", random_sets=9, **given)
    return survey, samples, report

survey, samples, report = measure("survey")
build(folder + "/one surveyed", survey)
from optvis.engines.ray_cluster import connect, import_ray
ray = import_ray()
environment = dict(os.environ)
with connect(ray, engine, False):
    build(folder + "/ray", engine=engine)
    build(folder + "/ray surveyed", survey, engine=RayEngine(workers=1))
    found, alone = [], RayEngine(workers=1)
    survey_there, samples_there, report_there = measure("ray survey", alone)
    assert survey_there.digest == survey.digest
    assert all(torch.equal(vars(samples)[name], vars(samples_there)[name]) for name in samples.TENSOR_FIELDS)
    assert (str(report), report.baseline) == (str(report_there), report_there.baseline)
    try:
        for outcome in run_tasks(Kills(folder + "/flag"), [0, 1, "wrong"], alone):
            found.append(outcome)
    except LookupError as error:
        assert error.args == ("mine",) and "in a worker of Ray" in error.__notes__[0]
    assert [task for _, (task, _) in found] == [0, 1] and Path(folder, "flag").exists()
    assert os.getpid() not in {process for _, (_, process) in found}
    assert ray.is_initialized()
    time.sleep(1)  # in which Ray would have said which worker was lost
assert not ray.is_initialized()
assert dict(os.environ) == environment, dict(os.environ)
print("done")
"""


def test_a_local_ray_cluster_writes_the_same_bytes_and_survives_lost_workers(tmp_path):
    pytest.importorskip("ray", reason="no Ray for this Python")
    done = subprocess.run(
        [sys.executable, "-c", RAY, str(tmp_path)],
        capture_output=True, text=True, timeout=900, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"  # not a word of the worker that was lost
    assert done.stderr == ""
    for one, other in (("one", "ray"), ("one surveyed", "ray surveyed"), ("survey", "ray survey")):
        assert files(tmp_path / one) == files(tmp_path / other)
