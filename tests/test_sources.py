"""Sources of images: folders, shards, tables, iterables and loaders hold the same images, and lose one broken file."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from optvis import Classifier
from optvis.atlas import sample_activations
from optvis.data import as_dataset
from optvis.data.rows import label_of
from optvis.world import Scenes

NET = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()), None, 16)
COUNT, BROKEN = 7, 3


def pictures():
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(COUNT, 20, 24, 3, generator=generator) * 255).byte().numpy()


@pytest.fixture(params=[None, BROKEN], ids=["whole", "one is broken"])
def pngs(request):
    found = []
    for index, pixels in enumerate(pictures()):
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        found.append(data.getvalue()[:90] if index == request.param else data.getvalue())
    return found


class Rows(IterableDataset):
    """Rows that can only be iterated over."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(self.rows)


def write_tar(path, entries):
    with tarfile.open(path, "w") as archive:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def folder_of(pngs, folder):
    folder.mkdir()
    for index, data in enumerate(pngs):
        (folder / f"{index}.png").write_bytes(data)
    return folder


def shards_of(pngs, folder):
    folder.mkdir()
    for shard, part in enumerate((range(4), range(4, COUNT))):
        entries = [(f"{n}.{end}", data) for n in part for end, data in (("png", pngs[n]), ("cls", b"%d" % n))]
        write_tar(folder / f"s-{shard:02d}.tar", [(f"{part[0]}.txt", b"no image"), *entries])
    return folder


def table_of(pngs, _):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageColumn

    rows = {"image": [{"bytes": data, "path": None} for data in pngs], "label": list(range(COUNT))}
    return Dataset.from_dict(rows, Features({"image": ImageColumn(), "label": Value("int64")}))


def webdataset_of(pngs, folder):
    import webdataset

    return webdataset.WebDataset([str(path) for path in sorted(shards_of(pngs, folder).iterdir())], shardshuffle=False)


SOURCES = {
    "folder": folder_of,
    "folder of shards": shards_of,
    "range of shards": lambda pngs, folder: str(shards_of(pngs, folder) / "s-{00..01}.tar"),
    "list of shards": lambda pngs, folder: sorted(shards_of(pngs, folder).iterdir()),
    "webdataset": webdataset_of,
    "table": table_of,
    "streamed table": lambda pngs, folder: table_of(pngs, folder).to_iterable_dataset(),
    "rows of bytes": lambda pngs, _: [{"jpg": data, "cls": str(n)} for n, data in enumerate(pngs)],
    "iterable": lambda pngs, _: Rows([(data, n) for n, data in enumerate(pngs)]),
    "loader of rows": lambda pngs, _: DataLoader([(data, n) for n, data in enumerate(pngs)], batch_size=3),
    "loader of an iterable": lambda pngs, _: DataLoader(
        Rows([(data, n) for n, data in enumerate(pngs)]), batch_size=3, collate_fn=list
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", SOURCES)
def test_all_sources_hold_the_same_images_and_name_the_broken_one(name, pngs, tmp_path):
    found = as_dataset(SOURCES[name](pngs, tmp_path / "source"))
    expected = torch.cat([NET.load_batch(pixels) for pixels in pictures()])
    places = [n for n in range(COUNT) if len(pngs[n]) > 100]
    assert len(found) == COUNT
    if len(places) < COUNT:
        with pytest.warns(UserWarning, match=rf"1 of {COUNT} images are left out: .*{BROKEN}"):
            batches = list(found.batches(NET.load_batch, 2))
    else:
        batches = list(found.batches(NET.load_batch, 2))
    assert [index for indices, _ in batches for index in indices] == places
    assert torch.equal(torch.cat([images for _, images in batches]), expected[places])
    assert torch.equal(found.load([5, 1], NET.load_batch), expected[[5, 1]])  # a step back
    assert [found.label(n) for n in (4, 0)] == ([None, None] if name == "folder" else [4, 0])
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.load([6], NET.load_batch), expected[[6]])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_atlas_samples_of_scenes_are_the_same_from_any_source(demo, tmp_path):
    pixels = [(image.permute(1, 2, 0) * 255).round().byte().numpy() for image, _ in Scenes(COUNT, seed=4)[:COUNT]]
    pngs = [png_of(each) for each in pixels]
    sources = [SOURCES[name](pngs, tmp_path / name) for name in ("folder", "folder of shards", "table", "iterable")]
    first, *others = [sample_activations(demo, source, "mixed4", progress=False) for source in sources]
    for other in others:
        assert torch.equal(first.vectors, other.vectors)
        assert torch.equal(first.attribution, other.attribution)
        assert torch.equal(first.positions, other.positions)


def test_a_truncated_shard_keeps_its_other_images(tmp_path):
    whole = shards_of([png_of(pixels) for pixels in pictures()], tmp_path / "s")
    first = whole / "s-00.tar"
    first.write_bytes(first.read_bytes()[:3000])
    found = as_dataset(whole)
    with pytest.warns(UserWarning, match=r"images are left out: .*s-00\.tar.* (truncated|damaged)"):
        places = [index for indices, _ in found.batches(NET.load_batch) for index in indices]
    assert [found.names[index] for index in places][-3:] == [f"s-01.tar/{n}.png" for n in range(4, COUNT)]


def png_of(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def test_images_that_a_damaged_shard_has_lost_are_told_of(tmp_path):
    write_tar(tmp_path / "s.tar", [(f"{n}.png", png_of(pixels)) for n, pixels in enumerate(pictures())])
    whole = (tmp_path / "s.tar").read_bytes()
    with tarfile.open(tmp_path / "s.tar") as archive:
        begin = archive.getmembers()[4].offset
    header = bytearray(whole)
    header[begin + 5] ^= 1
    for damaged in (whole[:begin], bytes(header), whole[: begin + 100]):
        (tmp_path / "s.tar").write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"1 of 5 images are left out: .*s\.tar.* damaged or truncated"):
            assert [indices for indices, _ in as_dataset(tmp_path / "s.tar").batches(NET.load_batch)] == [[0, 1, 2, 3]]


def test_shards_that_cannot_be_read_say_what_to_do(tmp_path):
    write_tar(tmp_path / "UPPER.TAR", [("a.png", png_of(pictures()[0]))])
    assert as_dataset([tmp_path / "UPPER.TAR"]).names == ("UPPER.TAR/a.png",)
    (tmp_path / "sizes.json").write_text("{}")
    with pytest.raises(ValueError, match="it has archives beside other files: name them"):
        as_dataset(tmp_path)
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="is a file; unpack the archive first"):
        as_dataset(tmp_path / "a.tar.gz")
    (tmp_path / "zip.tar").write_bytes(gzip.compress((tmp_path / "UPPER.TAR").read_bytes()))
    with pytest.raises(ValueError, match=r"no images in the shards .*zip\.tar'; .*: invalid header"):
        as_dataset(tmp_path / "zip.tar")


def test_bombs_links_and_compressed_archives_stay_closed(tmp_path):
    entries = [("a.png", png_of(pictures()[0]))]
    write_tar(tmp_path / "good.tar", entries)
    (tmp_path / "zip.tar").write_bytes(gzip.compress((tmp_path / "good.tar").read_bytes()))
    with pytest.raises(ValueError, match="no images in the shards"):
        as_dataset(tmp_path / "zip.tar")
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(f"{kind.decode()}.png")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    with pytest.raises(ValueError, match="no images in the shards"):
        as_dataset(tmp_path / "links.tar")
    bomb = b"P6 60000 60000 255\n" + b"0" * 100
    write_tar(tmp_path / "bomb.tar", [*entries, ("bomb.ppm", bomb)])
    with pytest.warns(UserWarning, match=r"1 of 2 images are left out: .*bomb\.ppm.*pixels"):
        assert [indices for indices, _ in as_dataset(tmp_path / "bomb.tar").batches(NET.load_batch)] == [[0]]


def test_what_cannot_be_read_again_or_changes_is_refused():
    with pytest.raises(TypeError, match="can be read once"):
        as_dataset(row for row in [torch.zeros(3, 16, 16)])
    with pytest.raises(FileNotFoundError, match="no shard"):
        as_dataset("none-{00..01}.tar")
    with pytest.raises(ValueError, match="a row has no image"):
        as_dataset([{"picture": torch.zeros(3, 16, 16)}]).load([0], NET.load_batch)
    rows = [{"__key__": str(n), "image": torch.zeros(3, 16, 16)} for n in range(3)]
    stream = as_dataset(Rows(rows))
    rows.reverse()
    with pytest.raises(RuntimeError, match="without shuffling"):
        stream.load([0], NET.load_batch)


@pytest.mark.parametrize("form", ["tensor", "array", "Pillow", "bytes", "label"])
def test_rows_without_names_are_known_by_what_they_hold(form):
    forms = {
        "tensor": lambda pixels, _: torch.from_numpy(pixels).permute(2, 0, 1),
        "array": lambda pixels, _: pixels,
        "Pillow": lambda pixels, _: Image.fromarray(pixels),
        "bytes": lambda pixels, _: png_of(pixels),
        "label": lambda _, n: (torch.zeros(3, 16, 16), n),
    }
    rows = [forms[form](pixels, n) for n, pixels in enumerate(pictures())]
    stream = as_dataset(Rows(rows))
    stream.load([1, 0, COUNT - 1], NET.load_batch)
    rows[1], rows[2] = rows[2], rows[1]
    with pytest.raises(RuntimeError, match=r"row 1 .*without shuffling and random changes"):
        stream.load([1], NET.load_batch)


BATCHES = {
    "list of images beside a tensor of labels": lambda images: (list(images), torch.arange(len(images))),
    "tuples of images and labels": lambda images: (tuple(images), tuple(range(len(images)))),
    "list of rows": lambda images: [(image, n) for n, image in enumerate(images)],
    "list of rows without labels": lambda images: [(image,) for image in images],
    "tensor beside labels": lambda images: [torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), list(range(3))],
    "mapping": lambda images: {"image": list(images), "label": torch.arange(3), "from": "a"},
}


@pytest.mark.parametrize("is_loader", [True, False], ids=["of a loader", "of the source"])
@pytest.mark.parametrize("layout", BATCHES)
def test_batches_of_any_layout_are_taken_apart(layout, is_loader):
    pixels = pictures()[:6]
    images = pixels if layout == "tensor beside labels" else [Image.fromarray(each) for each in pixels]
    if is_loader:
        source = DataLoader(Rows(images), batch_size=3, collate_fn=BATCHES[layout])
    else:
        source = Rows([BATCHES[layout](images[:3]), BATCHES[layout](images[3:])])
    found = as_dataset(source)
    expected = torch.cat([NET.load_batch(torch.from_numpy(each).permute(2, 0, 1)) for each in pixels])
    if layout != "tensor beside labels":
        expected = torch.cat([NET.load_batch(each) for each in pixels])
    assert torch.equal(found.load(range(6), NET.load_batch), expected)
    labels = [None] * 6 if "without" in layout else [0, 1, 2, 0, 1, 2]
    assert [found.label(n) for n in range(6)] == labels


def test_a_data_set_with_random_changes_is_refused():
    class Changing:
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return torch.rand(3, 16, 16) if index == 1 else torch.zeros(3, 16, 16)

    found = as_dataset(Changing())
    found.load([0, 1, 2], NET.load_batch)
    found.load([0, 2], NET.load_batch)
    with pytest.raises(RuntimeError, match=r"image '1' is another one than before; .*without random changes"):
        list(found.batches(NET.load_batch))


def test_a_row_with_a_list_of_images_is_no_image():
    image = torch.zeros(3, 16, 16)
    for row in ({"image": [image, image]}, ([image, image], 3)):
        with pytest.raises(ValueError, match="image '0': a row has a list of 2 where its image is expected"):
            as_dataset([row]).load([0], NET.load_batch)


class CountedRows(Rows):
    """Rows of which the number is known, and none can be had by its number."""

    def __len__(self):
        return len(self.rows)


class DividedRows(Rows):
    """Rows that the workers of a loader share."""

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        return iter(self.rows[worker.id :: worker.num_workers])


def test_an_iterable_data_set_may_have_a_length():
    rows = CountedRows([torch.full((3, 16, 16), n / 8) for n in range(4)])
    for source in (rows, DataLoader(rows, batch_size=3)):
        assert as_dataset(source).load([3, 0], NET.load_batch)[:, 0, 0, 0].tolist() == [3 / 8, 0]


def test_a_loader_with_workers_is_read_again_and_again():
    rows = DividedRows([torch.full((3, 16, 16), n / 8) for n in range(8)])
    found = as_dataset(DataLoader(rows, batch_size=2, num_workers=2))
    for _ in range(3):  # a worker that fails at its end is told of at any time, here as a warning
        assert sum(len(indices) for indices, _ in found.batches(NET.load_batch, 4)) == 8


def test_errors_of_a_data_set_name_the_row():
    class Failing(list):
        def __getitem__(self, index):
            if index == 1:
                b"\xff".decode()
            return super().__getitem__(index)

    images = [torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), None]
    with pytest.warns(UserWarning, match="2 of 3 images are left out: image '1': 'utf-8' codec.*; image '2': .* None"):
        assert [indices for indices, _ in as_dataset(Failing(images)).batches(NET.load_batch)] == [[0]]


def test_a_table_is_read_by_the_kinds_of_its_columns():
    from datasets import ClassLabel, Dataset, Features, Value
    from datasets import Image as ImageColumn

    images = [Image.fromarray(pixels) for pixels in pictures()]
    kinds = {"photo": ImageColumn(), "breed": ClassLabel(names=["cat", "dog"]), "image": Value("string")}
    columns = {"photo": images, "breed": [n % 2 for n in range(COUNT)], "image": ["address"] * COUNT}
    table = Dataset.from_dict(columns, Features(kinds))
    expected = torch.cat([NET.load_batch(pixels) for pixels in pictures()])
    found = as_dataset(table)
    assert torch.equal(found.load(range(COUNT), NET.load_batch), expected)
    assert [found.label(n) for n in range(3)] == [0, 1, 0]
    turned = table.with_transform(lambda rows: {"image": [one.rotate(180) for one in rows["photo"]]})
    halves = torch.stack([NET.load_batch(pixels[::-1, ::-1].copy())[0] for pixels in pictures()])
    assert torch.equal(as_dataset(turned).load(range(COUNT), NET.load_batch), halves)
    two = Dataset.from_dict(
        {"left": images, "right": images}, Features(dict.fromkeys(("left", "right"), ImageColumn()))
    )
    with pytest.raises(ValueError, match="images under 'left' and 'right'; rename one"):
        as_dataset(two)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ((0, torch.tensor(3)), 3),
        ({"label": True}, 1),
        ({"cls": b" 7"}, 7),
        ({"label": "cat"}, None),
        (5, None),
        ((0, -100), None),
    ],
)
def test_labels_of_rows(row, label):
    assert label_of(row) == label


@pytest.mark.parametrize("source", [list, Rows])
@pytest.mark.parametrize("label", [1_000_000, 10**11, b"99999999999"])
def test_numbers_that_are_no_classes_leave_images_out_by_name(label, source):
    rows = [{"jpg": torch.zeros(3, 8, 8), "cls": 0}, {"jpg": torch.zeros(3, 8, 8), "cls": label}]
    dataset = as_dataset(source(rows))
    with pytest.warns(
        UserWarning, match=r"image '1': its label is \d+; expected the index of a class, below 1,000,000"
    ):
        found = [place for places, _ in dataset.batches(lambda image: image.unsqueeze(0), 2) for place in places]
    assert found == [0]
