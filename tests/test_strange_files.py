"""Files of strangers: bombs, damage, names that are no text. Each is one clear error, or is left out and named."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Classifier, activation_atlas, build_microscope, evaluate, load, load_image, sample_activations
from optvis.atlas import AtlasOptions
from optvis.data import as_dataset
from optvis.data.files import remove_temporary_files
from optvis.features.units import Channels
from optvis.microscope import MicroscopeOptions
from optvis.survey import list_stores

LATIN = os.fsdecode(b"caf\xe9.png")  # a name in Latin-1, which is no UTF-8
SHOWN = "caf\\xe9.png"
SIZE = 16


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, color: int, extra: bytes = b"") -> bytes:
    """A black PNG: color 2 is RGB, 6 RGB with alpha."""
    row = b"\0" * (1 + width * {2: 3, 6: 4}[color])
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def webp(width: int, height: int) -> bytes:
    """An animated WebP whose canvas has this size, and whose frame has 8 × 8 pixels."""
    frame = io.BytesIO()
    Image.new("RGB", (8, 8)).save(frame, "WEBP", lossless=True)
    head = b"\x02\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    moving = b"\0" * 6 + (b"\x07\0\0") * 2 + b"\0" * 4 + frame.getvalue()[12:]
    parts = [(b"VP8X", head), (b"ANIM", b"\0" * 6), (b"ANMF", moving)]
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(side: int) -> bytes:
    """A TIFF whose header says that it is so large, with next to no data."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: side * side}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4


def gif(side: int) -> bytes:
    """A GIF whose screen is so large, with one small frame."""
    small = io.BytesIO()
    Image.new("P", (8, 8)).save(small, "GIF")
    return small.getvalue()[:6] + struct.pack("<HH", side, side) + small.getvalue()[10:]


def bmp(side: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


PROFILE = b"icc\0\0" + zlib.compress(b"\0" * 10**8, 9)
BOMBS: dict[str, Callable[[], bytes]] = {
    "a.png": lambda: png(9000, 9000, 2),
    "alpha.png": lambda: png(8200, 8200, 6),
    "a.webp": lambda: webp(16000, 16000),
    "a.tif": lambda: tiff(30000),
    "a.gif": lambda: gif(60000),
    "a.bmp": lambda: bmp(20000),
    "a.ppm": lambda: b"P6 20000 20000 255\n",
    "profile.png": lambda: png(8, 8, 2, chunk(b"iCCP", PROFILE)),
}
MEASURE = """
import resource, sys
from optvis.data import load_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        load_image(path)
    except ValueError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_are_refused_by_their_names_before_they_cost_memory(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        (tmp_path / name).write_bytes(make())
    command = [sys.executable, "-W", "ignore", "-c", MEASURE, *(str(tmp_path / name) for name in BOMBS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *messages, megabytes = done.stdout.splitlines()
    for name, message in zip(BOMBS, messages, strict=True):
        assert name in message
    assert int(megabytes) < 100


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".PTH.TAR"])
def test_an_archive_that_unpacks_to_far_more_is_refused_unread(suffix: str, tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / f"weights{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", pickle.dumps({}))
        archive.writestr("weights/data/0", b"\0" * 2**25)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=rf"weights{suffix} has [\d,]+ bytes and would unpack to 33,554,\d+, which"):
        load(path, architecture="squeezenet1_0")


def test_weights_that_somebody_compressed_are_read(tmp_path: Path) -> None:
    network, plain, packed = nn.Conv2d(3, 2, 1), tmp_path / "plain.pt", tmp_path / "packed.pt"
    torch.save(network.state_dict(), plain)
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as other:
        for entry in archive.infolist():
            other.writestr(entry, archive.read(entry))
    from optvis.models.checkpoint import read_state_dict

    assert torch.equal(read_state_dict(packed)["weight"], network.weight)


@pytest.fixture
def network() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        return Classifier(nn.Sequential(*layers).eval(), None, SIZE, labels=("cat", "dog", "owl"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images, one of which has a name that is no UTF-8."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [*(f"{index}.png" for index in range(7)), LATIN]:
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(folder / name)
    return folder


OPTIONS = AtlasOptions(layout="tsne", size=12, steps=1)
SMALL = MicroscopeOptions(group_size=2, top_images=8, sample_size=4)


def build_pages(network: Classifier, folder: Path, output_dir: Path) -> Path:
    """A microscope of one channel."""
    return build_microscope(
        network, folder, "1", output_dir, channels=[1], size=12, steps=1, options=SMALL, progress=False
    )


def test_a_name_that_is_no_text_is_shown_escaped(network: Classifier, folder: Path, tmp_path: Path) -> None:
    assert SHOWN in as_dataset(folder).names
    assert SHOWN in as_dataset([folder / LATIN]).names
    assert load_image(folder / LATIN).shape == (1, 3, SIZE, SIZE)
    page = build_pages(network, folder, tmp_path / "site")
    assert any(SHOWN.replace("\\", "\\\\") in file.read_text("utf-8") for file in page.parent.rglob("*.json"))
    atlas = activation_atlas(network, folder, "1", levels=[1], options=OPTIONS, progress=False)
    atlas.save(tmp_path / "atlas")
    assert SHOWN in type(atlas.samples).load(atlas.samples.save(tmp_path / "samples.safetensors")).names
    report = evaluate(network, Channels("1", [0]), {"all": (folder, 0)}, random_sets=2, progress=False)
    assert any(SHOWN in prediction.image for prediction in report.predictions)
    assert report.save(tmp_path / "report").exists()


def test_an_image_damaged_after_sampling_is_left_out_named_and_counted(network: Classifier, folder: Path) -> None:
    samples = sample_activations(network, folder, "1", progress=False)
    whole = activation_atlas(network, folder, "1", samples=samples, levels=[2], options=OPTIONS, progress=False)
    (folder / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 90)
    (folder / "5.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"2 of 8 images are left out: .*3\.png.*; .*5\.png"):
        atlas = activation_atlas(network, folder, "1", samples=samples, levels=[2], options=OPTIONS, progress=False)
    assert (len(whole.exemplars), len(atlas.exemplars)) == (8, 6)
    assert (whole.recipe["unreadable"], atlas.recipe["unreadable"]) == (0, 2)
    assert atlas.complete
    kept = [row for row in range(8) if samples.names[int(samples.indices[row])] not in ("3.png", "5.png")]
    assert atlas.exemplars.rows.tolist() == kept
    assert torch.equal(atlas.exemplars.patches, whole.exemplars.patches[kept])


def test_a_microscope_leaves_out_images_that_are_damaged_on_the_way(
    network: Classifier, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optvis.microscope import builder

    find = builder.find_exemplars

    def damage_afterwards(*arguments, **options):
        top = find(*arguments, **options)
        (folder / "3.png").write_bytes(b"no image")
        return top

    monkeypatch.setattr(builder, "find_exemplars", damage_afterwards)
    with pytest.warns(UserWarning, match=r"1 of \d images are left out: .*3\.png"):
        page = build_pages(network, folder, tmp_path / "site")
    assert len(list(page.parent.rglob("0*.webp"))) == 7
    text = next(file.read_text("utf-8") for file in page.parent.rglob("group*.json"))
    assert '"name":"4.png"' in text
    assert '"name":"3.png"' not in text


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", ">f2"])
def test_arrays_of_either_byte_order_are_the_same_image(dtype: str) -> None:
    levels = np.random.default_rng(0).random((3, 4, 5)).astype(dtype)
    expected = torch.from_numpy(levels.astype(np.float32)).unsqueeze(0)
    torch.testing.assert_close(load_image(levels), expected)
    torch.testing.assert_close(load_image(levels[:, ::-1, ::-1]), expected.flip(2, 3))


BROKEN = {
    "a.ppm": b"P3 4 4 255 1 2 x",
    "b.ppm": b"P6 4 4 999999999\n",
    "a.pgm": b"P5 4 4 255\n123",
    "a.png": png(8, 8, 2)[:45],
    "profile.png": png(8, 8, 2, chunk(b"iCCP", PROFILE)),
    "a.webp": webp(8, 8)[:-9],
    "a.tif": tiff(64),
    "a.bmp": bmp(64),
    "a.gif": gif(8)[:-12],
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("is_opened", [False, True], ids=["path", "Pillow image"])
def test_a_damaged_file_is_one_error_with_its_name(name: str, is_opened: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    with ExitStack() as stack:
        source = path
        if is_opened:
            try:
                source = stack.enter_context(Image.open(path))
            except Exception:
                return  # Pillow's own error, before it is handed in
        with pytest.raises(ValueError, match=rf"{name}'") as caught:
            load_image(source)
    assert "\n" not in str(caught.value)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to: opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe.png")
    return tmp_path / "pipe.png"


def test_a_pipe_and_a_device_are_refused_at_once(network: Classifier, folder: Path, pipe: Path) -> None:
    link = pipe.with_name("link.png")
    link.symlink_to(pipe)
    device = pipe.with_name("zero.png")
    device.symlink_to("/dev/zero")
    for path in (pipe, link, device):
        with pytest.raises(ValueError, match=rf"{path.name}' is a pipe or a device; give the path of an image file"):
            load_image(path)
    with pytest.warns(UserWarning, match=r"1 of 3 images are left out: .*pipe\.png"):
        samples = sample_activations(network, [folder / "0.png", pipe, folder / "1.png"], "1", progress=False)
    assert samples.indices.tolist() == [0, 2]


def test_a_link_that_leads_to_itself_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(FileNotFoundError, match=r"no file '.*loop\.png': it is a link that leads to itself"):
        load_image(tmp_path / "loop.png")


def test_folders_of_stores_and_results_may_hold_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".optvis-00000000.part")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "a" / "manifest.json")
    (tmp_path / "b" / "manifest.json").symlink_to("/dev/zero")
    assert list_stores(tmp_path) == []
    assert remove_temporary_files(tmp_path) == []


def test_reading_images_in_threads_leaves_warnings_alone(folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    load_image(folder / "1.png")
    with warnings.catch_warnings():
        before = list(warnings.filters)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(load_image, [folder / "1.png"] * 200))
        assert warnings.filters == before
