"""Files are written whole or not at all, under names that every system takes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from optvis.data import files
from optvis.data.files import MAX_NAME_LENGTH, atomic_write, atomic_write_all, ensure_dir, safe_file_name


def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path):
    path = tmp_path / "data.bin"
    assert atomic_write(path, b"first") == path
    assert atomic_write(path, b"second") == path
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_is_begun_by_one_process(tmp_path, monkeypatch, has_links):
    def refuse(*_):
        raise PermissionError("no links here")

    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = tmp_path / "data.bin"
    atomic_write(path, b"first", replace=False)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]
    if has_links:
        atomic_write(path, b"second", replace=False)
        assert path.read_bytes() == b"first"
        assert list(tmp_path.iterdir()) == [path]
        assert path.stat().st_nlink == 1


@pytest.mark.parametrize("failing", ["replace", "fsync or write"])
def test_a_failure_leaves_the_old_file_and_no_part(tmp_path, monkeypatch, failing):
    path = tmp_path / "data.bin"
    atomic_write(path, b"old")

    def full(*_args, **_options):
        raise OSError("no space left on device")

    if failing == "fsync or write":
        monkeypatch.setattr(os, "fdopen", lambda handle, mode, closefd: Full(handle))
    else:
        monkeypatch.setattr(Path, failing, full)
    with pytest.raises(OSError, match="no space left"):
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


class Full:
    """A file on a full disk."""

    def __init__(self, handle):
        self.handle = handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, data):
        os.write(self.handle, data[:1])
        raise OSError("no space left on device")


def test_an_interrupt_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "data.bin"
    atomic_write(path, b"old")

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_file_has_the_permissions_that_any_new_file_would_have(tmp_path, mask):
    before = os.umask(mask)
    try:
        path = atomic_write(tmp_path / "data.bin", b"")
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


def test_other_threads_keep_the_mask_of_their_permissions(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the mask is that of the whole process"))
    assert atomic_write(tmp_path / "data.bin", b"").exists()


MOVES = 4  # of three files that exist: two old ones go, and three new ones come; the last leaves nothing to kill


@pytest.mark.parametrize("moves", range(MOVES + 1))
def test_a_kill_between_files_leaves_no_new_one_beside_an_old_one(tmp_path, moves):
    """The process ends before a move or a removal, as after a signal that cannot be caught: nothing cleans up."""
    paths = [tmp_path / name for name in ("a.safetensors", "a.png", "a.json")]
    atomic_write_all(dict.fromkeys(paths, b"old"))
    program = f"""
import os, runpy
from pathlib import Path
atomic_write_all = runpy.run_path({files.__file__!r})["atomic_write_all"]
left = {moves}
def kill_after(change):
    def changed(*args, **options):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return change(*args, **options)
    return changed
Path.replace, Path.unlink = kill_after(Path.replace), kill_after(Path.unlink)
atomic_write_all(dict.fromkeys(map(Path, {list(map(str, paths))}), b"new"))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    found = [path.read_bytes() for path in paths if path.exists()]
    assert len(set(found)) == 1
    assert paths[0].exists()


def test_a_failure_before_all_are_complete_leaves_all_old_ones(tmp_path):
    paths = [tmp_path / "a.safetensors", tmp_path / "a.png"]
    atomic_write_all(dict.fromkeys(paths, b"old"))
    with pytest.raises(OSError, match=f"^cannot write '{tmp_path}/nowhere/a.json': [^:]*$"):
        atomic_write_all(dict.fromkeys([*paths, tmp_path / "nowhere" / "a.json"], b"new"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(paths, b"old")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        atomic_write(tmp_path / "nowhere" / "data.bin", b"")


def test_folders_are_made_with_their_parents_once_or_twice(tmp_path):
    for _ in range(2):
        assert ensure_dir(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
        assert (tmp_path / "a" / "b").is_dir()


HOSTILE = [
    "", ".", "..", "...", "../../etc/passwd", "/etc/passwd", "C:\\Windows\\x", "\\\\server\\share", "a/b",
    "con", "CON", "con ", "nul.txt", "com1", "com1.", "LPT9.png", "Aux.tar.gz", "a" * 500, "tail.", "tail ", " lead",
    "-rf", "写真", "é", "a\0b", "a\nb", "a\tb", "<script>", "*?|\"<>:", "~", "~root", "$HOME", "`touch x`",
    ".hidden", "\u202egnp.exe", "%00",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("suffix", [".png", "-growing.gif", ""])
def test_any_text_becomes_one_plain_file_name(text, suffix, tmp_path):
    name = safe_file_name(text)
    assert name == Path(name).name
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>| ')
    assert 0 < len(name) <= MAX_NAME_LENGTH + 1
    assert name[0] not in ".-~"
    assert name[-1] not in ". "
    stem = name.partition(".")[0].casefold()
    assert stem not in {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}
    path = atomic_write(tmp_path / f"{name}{suffix}", b"x")
    assert path.resolve().parent == tmp_path.resolve()


def test_a_plain_name_stays_as_it_is():
    for name in ("features.12-50", "layer1.0.relu", "mixed3a_pool", "photo"):
        assert safe_file_name(name) == name
    assert safe_file_name("layer1.0.relu#1") == "layer1.0.relu-1"


def test_a_name_made_again_is_itself():
    for text in HOSTILE:
        assert safe_file_name(safe_file_name(text)) == safe_file_name(text)
