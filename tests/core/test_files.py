"""Files that are whole or not there, and what is said where they cannot be written."""

import errno
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mldfr.core.files import WriteError, add_text, filling, remove_leftovers, remove_leftovers_of, replacing, writing
from mldfr.exports import FORMATS, AnnotatedImage

LIMIT = 20_000


@pytest.fixture
def full():
    """A process whose files may not grow beyond `LIMIT` bytes, as on a full disk or with a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise():
    return np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)


def figure(path):
    from matplotlib.figure import Figure

    drawn = Figure()
    drawn.subplots().imshow(noise())
    drawn.savefig(path)


WRITERS = {
    ".pt": lambda path: torch.save({"weights": torch.zeros(30_000)}, path),
    ".safetensors": lambda path: save_file({"weights": torch.zeros(30_000)}, path),
    ".npy": lambda path: np.save(path, noise()),
    ".jpg": lambda path: Image.fromarray(noise()).save(path, quality=95),
    ".png": lambda path: Image.fromarray(noise()).save(path),
    ".svg": figure,
    ".json": lambda path: path.write_text("x" * 30_000),
}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_is_one_kind_of_error_whichever_library_writes(tmp_path, full, suffix):
    file = tmp_path / f"whole{suffix}"
    file.write_text("before")
    with pytest.raises(WriteError) as failed, replacing(file) as temporary:
        WRITERS[suffix](temporary)
    assert str(failed.value) == f"{file}: cannot be written (File too large)"
    assert failed.value.full
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_program_is_written_without_pytorchs_writer_which_ends_the_process(tmp_path, full, monkeypatch):
    from mldfr.deployment.exported_program import write

    monkeypatch.setattr(torch.export, "save", lambda program, file, extra_files: file.write(bytes(program)))
    with pytest.raises(WriteError, match=r"x\.pt2: cannot be written"), replacing(tmp_path / "x.pt2") as temporary:
        write(30_000, temporary, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_no_annotation_format_leaves_anything_on_a_full_disk(tmp_path, full, name):
    images = (AnnotatedImage(f"{'deep/' * 20}{number}.jpg", 10, 10) for number in range(5000))
    with pytest.raises(WriteError, match="cannot be written"):
        FORMATS[name].write(tmp_path, ["a class"] if name != "voc" else ["x" * LIMIT], images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file/deep/x.json", "Not a directory"),
        ("file/x.json", "File exists"),
        ("folder", "Is a directory"),
        ("x" * 300, "File name too long"),
        ("/proc/x.json", "No such file or directory"),
    ],
)
def test_a_place_that_cannot_be_is_named_with_the_reason(tmp_path, place, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError) as failed, replacing(tmp_path / place) as temporary:
        temporary.write_text("x")
    assert str(failed.value) == f"{tmp_path / place}: cannot be written ({reason})"
    assert not failed.value.full
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_bug_and_another_file_stay_what_they_are(tmp_path):
    def write_half(file):
        file.write_text("half")
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"), replacing(tmp_path / "x") as temporary:
        write_half(temporary)
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "x"):
        (tmp_path / "picture.jpg").read_bytes()
    with pytest.raises(BrokenPipeError), writing(tmp_path / "x"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert list(tmp_path.iterdir()) == []


def test_a_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "other").touch()
    with replacing(tmp_path / "x.safetensors") as temporary:
        save_file({"weights": torch.zeros(3)}, temporary)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_line_is_added_as_a_whole_or_not_at_all(tmp_path, full):
    file = tmp_path / "lines"
    add_text(file, "a\n" * 9_000)
    with pytest.raises(WriteError, match="File too large"):
        add_text(file, "b\n" * 9_000)
    assert file.read_text() == "a\n" * 9_000
    add_text(file, "c\n")
    assert file.read_text().endswith("a\nc\n")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_folder_that_could_not_be_filled_is_as_it_was(tmp_path, there, error):
    folder = tmp_path / "made"
    if there:
        folder.mkdir()

    def fill():
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "c").touch()
        raise error

    with pytest.raises((KeyboardInterrupt, WriteError)), filling(folder):
        fill()
    assert folder.exists() == there
    assert not there or list(folder.iterdir()) == []


def test_only_our_own_leftovers_are_removed(tmp_path):
    killed = (
        "import os, sys; from pathlib import Path; from mldfr.core.files import replacing\n"
        "with replacing(Path(sys.argv[1], 'ein Bild.jpg')): os._exit(9)"
    )
    for folder in (tmp_path, tmp_path / "deep"):
        assert subprocess.run([sys.executable, "-c", killed, str(folder)], check=False).returncode == 9
        (folder / ".hidden-photo.jpg").touch()
    assert len(list(tmp_path.rglob(".ein*"))) == 2
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.glob(".*"))) == 1
    remove_leftovers(tmp_path, deep=True)
    assert sorted(os.path.relpath(path, tmp_path) for path in tmp_path.rglob(".*")) == [
        ".hidden-photo.jpg",
        "deep/.hidden-photo.jpg",
    ]


def test_leftovers_of_one_file_are_no_others(tmp_path):
    long = f"{'a' * 50}.about.json"
    for name in ("1.jsonl", "10.jsonl", "1.about.json", "1.txt", long):
        path = Path(name)
        (tmp_path / f".{path.stem[:40]}-0123456789abcdef{path.suffix}").touch()
    remove_leftovers_of(tmp_path / "1.jsonl")
    remove_leftovers_of(tmp_path / long)
    left = [".1-0123456789abcdef.txt", ".1.about-0123456789abcdef.json", ".10-0123456789abcdef.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
