"""Zips read as folders, and films as frames."""

import os
import struct
import sys
import zipfile
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
from PIL import Image

from mldfr.core.errors import MissingPackageError, SettingError
from mldfr.data import open_data
from mldfr.images import ImageError, find_images, read_image
from mldfr.images.archives import unpacked
from mldfr.images.films import films_in, frames, seconds

NAMES = ("birds/cat/1.png", "birds/cup/1.png", "birds/cup/ä 2.png")


def png(folder):
    path = folder / "picture.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path.read_bytes()


@pytest.fixture
def birds(tmp_path):
    """A zip as systems pack it: all in one folder, junk beside it."""
    content, path = png(tmp_path), tmp_path / "birds.zip"
    with ZipFile(path, "w") as archive:
        for name in (*NAMES, "__MACOSX/birds/cat/._1.png"):
            archive.writestr(name, content)
    return path


def found(path):
    return [
        str(each) if isinstance(each, ImageError) else each.relative.as_posix() for each in find_images([str(path)])
    ]


def test_a_zip_is_read_as_the_folder_that_is_in_it(birds, tmp_path):
    assert found(birds) == [name.removeprefix("birds/") for name in NAMES]
    assert open_data(f"folder:{birds}").classes == open_data(str(birds)).classes == ("cat", "cup")
    first = unpacked(birds) / "cat/1.png"
    assert read_image(first).shape == (30, 40, 3)
    before = first.stat().st_mtime_ns
    assert unpacked(birds) / "cat/1.png" == first
    assert first.stat().st_mtime_ns == before  # it was not unpacked again
    assert found(tmp_path) == ["picture.png"]  # neither the zip nor what was unpacked, unless it is named
    with ZipFile(birds, "a") as archive:
        archive.writestr("birds/dog/1.png", png(tmp_path))
    os.utime(birds, ns=(0, 0))
    assert open_data(str(birds)).classes == ("cat", "cup", "dog")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".birds.zip.unpacked", ".birds.zip.unpacked.json", "birds.zip", "picture.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/out.png", "..\\out.png", "C:/out.png"])
def test_names_that_lead_out_of_a_zip_are_refused(tmp_path, name):
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.png", b"")
        archive.writestr(ZipInfo(name), b"x")
    assert f"a.zip: has a name that leads out of it, {name.replace(os.sep, '/')}"[:40] in found(tmp_path / "a.zip")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert not (tmp_path.parent / "out.png").exists()


def test_a_zip_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mldfr.images.archives.SMALL", 2**20)
    with ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**22))
    assert "over 100 times its size" in found(tmp_path / "bomb.zip")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.zip"]


def test_a_zip_that_says_less_than_it_holds_writes_no_more_than_it_says(tmp_path):
    path = tmp_path / "liar.zip"
    with ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(2**20))
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2") + 24
    content[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    assert "cannot be unpacked" in found(path)[0]
    assert [each.name for each in tmp_path.iterdir()] == ["liar.zip"]


def test_damaged_and_encrypted_zips_are_named(birds, tmp_path):
    content = birds.read_bytes()
    birds.write_bytes(content.replace(b"IDAT", b"IDAX", 1))
    assert found(birds)[0].startswith(f"{birds}: cannot be unpacked (Bad CRC-32")
    flagged = bytearray(content)
    flagged[flagged.index(b"PK\1\2") + 8] |= 1
    birds.write_bytes(flagged)
    assert found(birds) == [f"{birds}: is encrypted; unpack it yourself"]


def test_links_in_a_zip_are_left_out(tmp_path):
    link = ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("1.png", png(tmp_path))
    assert found(tmp_path / "a.zip") == ["1.png"]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Three seconds at 10 frames a second: the n-th frame is grey of 8 n."""
    av = pytest.importorskip("av")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            pixels = np.full((48, 64, 3), 8 * number, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("every", "numbers"), [(1, [0, 10, 20]), (0.75, [0, 8, 15, 23]), (9, [0]), (0.1, range(30))])
def test_a_frame_every_so_many_seconds(film, tmp_path, every, numbers):
    """Of each multiple of the time the first frame that is not before it, told by its grey."""
    folder = frames(film, every, tmp_path / "film.mp4")
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == [f"{number / 10:09.2f}s.jpg" for number in numbers]
    for path, number in zip(files, numbers, strict=True):
        pixels = read_image(path)
        assert pixels.shape == (48, 64, 3)
        assert abs(float(pixels.mean()) - 8 * number) < 5


def test_frames_are_made_once_and_again_for_another_time(film, tmp_path):
    folder = frames(film, 1, tmp_path / "film.mp4")
    before = (folder / "000001.00s.jpg").stat()
    after = (frames(film, 1, folder) / "000001.00s.jpg").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(list(frames(film, 2, folder).iterdir())) == 2
    assert films_in(film.parent) == films_in(film) == [film]


def test_what_is_no_film_and_no_time_is_told(tmp_path, monkeypatch):
    assert (seconds("1s"), seconds("0.5"), seconds(2), seconds("2m")) == (1, 0.5, 2, 120)
    for wrong in ("0s", "-1", "1h", "often", "nan"):
        with pytest.raises(SettingError, match="--every takes seconds, such as"):
            seconds(wrong)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    if "av" in sys.modules:
        with pytest.raises(ImageError, match=r"broken\.mp4: cannot be read as a film"):
            frames(broken, 1, tmp_path / "out")
        assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[video\]'"):
        frames(broken, 1, tmp_path / "out")
    assert "a film; --every 1s takes a frame each second" in str(next(_reasons(tmp_path)))


def _reasons(folder: Path):
    passed_over = []
    assert list(find_images([str(folder)], passed_over=passed_over)) == []
    return iter(passed_over)
