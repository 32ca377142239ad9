"""What searches for pictures take and what they pass over, in every reader and verb."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mldfr.annotation.listing import list_pictures
from mldfr.artifacts import MapsFacts
from mldfr.cli.main import app
from mldfr.data import READERS, DataError
from mldfr.evaluation.store import MapStore
from mldfr.exports import FORMATS, AnnotatedImage
from mldfr.images import (
    JUNK,
    SUFFIXES,
    ImageError,
    ImageFile,
    PassedOver,
    find_images,
    formats,
    passed_over_lines,
    read_image,
)
from mldfr.images.formats import NO_PICTURES, OTHERS, PHOTOGRAPHS, UNREAD
from mldfr.images.formats import formats as readable_formats
from mldfr.images.junk import is_junk, without_junk

JUNK_FOLDERS = [
    *(".ipynb_checkpoints", "@eaDir", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
    *(
        ".Trash-1000",
        ".thumbnails",
        ".git",
        "#recycle",
        ".AppleDouble",
        "RECYCLER",
        ".dropbox.cache",
        ".picasaoriginals",
    ),
    *("Catalog Previews.lrdata", "appdata_oc1234567890", "_vti_cnf", "@Recycle", "FOUND.000", "__pycache__"),
    *("LOST.DIR", "node_modules"),
]
JUNK_FILES = [
    "._a.jpg",
    "~$a.jpg",
    ".~lock.a.jpg#",
    "Thumbs.db",
    "desktop.ini",
    ".DS_Store",
    "Icon\r",
    ".a.jpg.swp",
    "#a.jpg#",
]
CLASS_NAMES = ["cats", "lost", "found", "recycle", "@handle", "#1", "$100", "thumbs", "_a", "~", "appdata", "MACOSX"]


def picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, Image.registered_extensions().get(path.suffix.lower(), "JPEG"))
    path.write_bytes(content.getvalue())
    return path


def litter(folder, of="a.jpg"):
    """Leave copies of a picture under every name of junk, as systems and programs do."""
    content = (folder / of).read_bytes()
    for name in JUNK_FOLDERS:
        (folder / name / "a.jpg").mkdir(parents=True)
        (folder / name / "a.jpg" / "SYNOPHOTO_THUMB_M.jpg").write_bytes(content)
        (folder / name / "a-checkpoint.jpg").write_bytes(content)
    for name in JUNK_FILES:
        (folder / name).write_bytes(content)


def names(found):
    found = list(found)
    assert not [item for item in found if isinstance(item, ImageError)]
    return [item.relative.as_posix() for item in found if isinstance(item, ImageFile)]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


# ---- junk


@pytest.mark.parametrize("name", [*JUNK_FOLDERS, *JUNK_FILES])
def test_junk_is_known_by_its_name(name):
    assert is_junk(name)
    assert is_junk(name.upper())


@pytest.mark.parametrize("name", [*CLASS_NAMES, "a.jpg", "IMG_0001.JPG", "a~.jpg", "my.lrdata.jpg"])
def test_data_is_no_junk(name):
    assert not is_junk(name)


def test_searches_pass_over_junk_at_any_depth_and_say_so(tmp_path):
    for place in ("", "b", "b/c"):
        litter(picture(tmp_path / place / "a.jpg").parent)
    passed_over = []
    assert names(find_images([str(tmp_path)], passed_over=passed_over)) == ["a.jpg", "b/a.jpg", "b/c/a.jpg"]
    assert len(passed_over) == 3 * (len(JUNK_FOLDERS) + len(JUNK_FILES))
    (line,) = passed_over_lines(passed_over)
    assert line.startswith("passed over, left by a system or a program: 3 ")
    assert line.endswith("...")
    assert names(find_images([f"{tmp_path}/**/*.jpg"])) == ["a.jpg"] * 3
    assert names(find_images([f"{tmp_path}/*"])) == ["a.jpg", "a.jpg", "c/a.jpg"]


def test_what_the_user_names_is_taken_whatever_it_is_called(tmp_path):
    litter(picture(tmp_path / "a.jpg").parent)
    for name in JUNK_FILES:
        assert names(find_images([str(tmp_path / name)])) == [name]
    for name in JUNK_FOLDERS:
        assert names(find_images([str(tmp_path / name)])) == ["a-checkpoint.jpg", "a.jpg/SYNOPHOTO_THUMB_M.jpg"]
        assert names(find_images([f"{tmp_path}/{name}/*-checkpoint.jpg"])) == ["a-checkpoint.jpg"]
    assert names(find_images([f"{tmp_path}/._*.jpg"])) == ["._a.jpg"]


def test_a_folder_inside_junk_is_searched_when_it_is_named(tmp_path):
    root = tmp_path / ".cache" / "@eaDir" / "photos"
    litter(picture(root / "cats" / "a.jpg").parent)
    picture(root / "dogs" / "b.jpg", 1)
    assert names(find_images([str(root)])) == ["cats/a.jpg", "dogs/b.jpg"]
    assert names(find_images([f"{root}/*/*"])) == ["a.jpg", "b.jpg"]
    data = READERS["folder"](root)
    assert data.classes == ("cats", "dogs")
    assert list(without_junk(root.rglob("b.jpg"), root)) == [root / "dogs" / "b.jpg"]


@pytest.fixture
def littered(tmp_path):
    """Two classes in two splits, with junk in every folder."""
    root = tmp_path / "set"
    for seed, name in enumerate(("train/cat/a.jpg", "train/dog/a.jpg", "val/cat/a.jpg", "val/dog/a.jpg")):
        picture(root / name, seed)
    for folder in ("train/cat", "train/dog", "val/cat", "val/dog"):
        litter(root / folder)
    for folder in (root, root / "train", root / "val"):
        picture(folder / "a.jpg")
        litter(folder)
        (folder / "a.jpg").unlink()
    return root


@pytest.mark.parametrize("kind", ["folder", "ilsvrc"])
def test_readers_take_no_junk_for_classes_or_pictures(littered, kind):
    data = READERS[kind](littered)
    assert data.classes == ("cat", "dog")
    assert {split: len(samples) for split, samples in data.splits.items()} == {"train": 2, "val": 2}
    assert data.problems == ()
    folders = {item.path.parent for item in data.passed_over}
    assert {littered / "train", littered / "train" / "dog", littered / "val", littered / "val" / "cat"} <= folders
    assert len(data.passed_over) == len(set(data.passed_over))


def test_training_without_splits_sees_no_copy_of_a_held_out_picture(littered):
    data = READERS["folder"](littered / "train")
    (samples,) = data.splits.values()
    assert [sample.id for sample in samples] == ["cat/a.jpg", "dog/a.jpg"]


def test_pets_passes_over_junk_and_says_what_is_no_jpg(tmp_path):
    litter(picture(tmp_path / "images" / "Bengal_1.jpg").parent, "Bengal_1.jpg")
    picture(tmp_path / "images" / "Bengal_2.jpeg", 2)
    data = READERS["pets"](tmp_path)
    assert [sample.id for sample in data.splits["train"]] == ["Bengal_1.jpg"]
    assert data.problems == ()
    assert "not read: 1 .jpeg (the layout has only .jpg)" in passed_over_lines(data.passed_over)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "test.txt").write_text("Bengal_1 1 1 1\n")
    assert READERS["pets"](tmp_path).problems == ()


def test_tables_and_metadata_that_are_junk_are_not_read(tmp_path):
    picture(tmp_path / "a.jpg")
    table = {
        "images": [{"id": 1, "file_name": "a.jpg", "height": 40, "width": 60}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "._instances_train.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(table))
    assert list(READERS["coco"](tmp_path).splits) == ["train"]
    for folder in ("test", ".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (tmp_path / "metadata" / folder).mkdir(parents=True)
        (tmp_path / "metadata" / folder / "image_ids.txt").write_text("a.jpg\n")
        (tmp_path / "metadata" / folder / "class_labels.txt").write_text("a.jpg,0\n")
    assert list(READERS["wsol"](tmp_path / "metadata").splits) == ["test"]


def test_annotations_are_read_back_without_junk(tmp_path):
    written = FORMATS["voc"].write(tmp_path, ("cat",), iter([AnnotatedImage("a.jpg", 40, 60, ())]))
    for name in ("._a.xml", "__MACOSX/._a.xml"):
        (written / name).parent.mkdir(exist_ok=True)
        (written / name).write_bytes(b"\0\5\x16\7")
    _, pictures = FORMATS["voc"].read(written)
    assert [image.name for image in pictures] == ["a.jpg"]


def test_junk_is_no_score_map(tmp_path):
    (tmp_path / "._a.jpg.npy").write_bytes(b"\0\5\x16\7")
    assert MapStore.create(tmp_path, MapsFacts(model="m")).folder == tmp_path


# ---- what is read, by ending and by first bytes


def test_every_ending_of_a_format_that_pillow_reads_is_known():
    """All that Pillow opens is either read or left out for a reason that the table of formats gives."""
    left_out = {"BUFR", "GRIB", "HDF5", "IPTC", "EPS", "WMF", "MPEG", "FLI", "FITS", "CUR", "GBR", "IM"}
    Image.init()
    for ending, name in Image.registered_extensions().items():
        if name in Image.OPEN and name not in left_out and ending != ".pfm":
            assert ending in SUFFIXES, f"{ending} of {name}"
    assert not SUFFIXES & (UNREAD.keys() | NO_PICTURES)
    assert not PHOTOGRAPHS.keys() & OTHERS.keys()


@pytest.mark.parametrize(
    "ending", ["jpe", "jp2", "j2k", "tga", "dib", "ico", "apng", "jfif", "avif", "JPG", "pcx", "qoi"]
)
def test_pictures_of_all_endings_are_found_and_read(tmp_path, ending):
    path = picture(tmp_path / f"a.{ending}")
    assert names(find_images([str(tmp_path)])) == [path.name]
    assert read_image(path).ndim == 3


def test_stereo_pictures_and_heic(tmp_path):
    pytest.importorskip("pillow_heif")
    assert "HEIF" in readable_formats()
    pixels = Image.fromarray(np.full((40, 60, 3), 99, np.uint8))
    pixels.save(tmp_path / "a.mpo", save_all=True, append_images=[pixels])
    pixels.save(tmp_path / "b.HEIC")
    pixels.save(tmp_path / "c.hif", format="HEIF")
    assert names(find_images([str(tmp_path)])) == ["a.mpo", "b.HEIC", "c.hif"]
    assert all(np.abs(read_image(path).astype(int) - 99).max() < 3 for path in tmp_path.iterdir())


def test_names_that_say_nothing_are_looked_into(tmp_path):
    content = picture(tmp_path / "a.jpg").read_bytes()
    for name in ("0a1b2c", "b.jpg_large", "c.jpg?w=100", "d.0001"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "README").write_text("Pictures of cats.\n")
    (tmp_path / "P5 notes").write_text("P5 is no grey map here\n")
    (tmp_path / "empty").touch()
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)))
    os.mkfifo(tmp_path / "pipe")
    passed_over = []
    found = names(find_images([str(tmp_path)], passed_over=passed_over))
    assert found == ["0a1b2c", "a.jpg", "b.jpg_large", "c.jpg?w=100", "d.0001"]
    assert passed_over_lines(passed_over) == ["not read: 1 .bin (no picture by its first bytes)"]


def test_backups_are_not_taken_for_more_pictures(tmp_path):
    content = picture(tmp_path / "a.jpg").read_bytes()
    for name in ("a.jpg~", "a.jpg_original", "a.jpg.bak", "b.jpg.part", "a.orig"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.bak").write_text("text")
    passed_over = []
    assert names(find_images([str(tmp_path)], passed_over=passed_over)) == ["a.jpg"]
    (line,) = passed_over_lines(passed_over)
    assert line.startswith("not read: 3 .bak (a copy or a download that was not finished")


UNREAD_FILES = {
    ".cr2": "a camera raw; convert it to JPEG or TIFF",
    ".NEF": "a camera raw; convert it to JPEG or TIFF",
    ".jxl": "JPEG XL is not read",
    ".svg": "a drawing or a document",
    ".mp4": "a film; --every 1s takes a frame each second",
    ".exr": "its values have no known range",
    ".xcf": "a program's own format",
}


def test_what_is_not_read_is_counted_and_named_by_its_ending(tmp_path):
    picture(tmp_path / "a.jpg")
    for number, ending in enumerate(UNREAD_FILES, start=1):
        for index in range(number):
            (tmp_path / f"{index}{ending}").write_bytes(b"\0\1\2")
    for name in ("a.xml", "a.txt", "a.json", "list.csv", "box.db", "script.py", "LICENSE"):
        (tmp_path / name).write_text("text")
    passed_over = []
    assert names(find_images([str(tmp_path)], passed_over=passed_over)) == ["a.jpg"]
    (line,) = passed_over_lines(passed_over)
    for number, (ending, reason) in enumerate(UNREAD_FILES.items(), start=1):
        assert f"{number} {ending.lower()} ({reason}" in line


def test_heic_without_its_extra_gets_a_hint(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    (tmp_path / "b.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    monkeypatch.setattr(formats, "formats", lambda: ("JPEG", "PNG"))
    passed_over = []
    assert names(find_images([str(tmp_path)], passed_over=passed_over)) == ["b.jpg"]
    assert passed_over_lines(passed_over) == [
        "not read: 1 .heic (HEIC is read with an extra: pip install 'mldfr[heif]')"
    ]
    for name in ("a.heic", "b.jpg"):
        with pytest.raises(ImageError, match=r"pip install 'mldfr\[heif\]'|cannot be decoded \(HEIF"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jpg", b"<!DOCTYPE html><html>", "not a picture but HTML"),
        ("a.png", b"\xef\xbb\xbf\n<html>", "not a picture but HTML"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("a.jxl", b"\xff\x0a\0\0", "JPEG XL is not read"),
        ("a.jpg", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL is not read"),
        ("a.cr3", b"\0\0\0\x18ftypcrx ", "a camera raw"),
        ("a.raf", b"FUJIFILMCCD-RAW ", "a camera raw"),
        ("a.jpg", b"just text", "not a picture in a known format"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0", "a drawing or a document"),
    ],
)
def test_what_is_named_and_cannot_be_read_says_what_it_is(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        read_image(tmp_path / name)


@pytest.mark.parametrize("name", ["a.nef", "a.dng", "a.tif"])
def test_camera_raws_are_not_read_as_their_preview(tmp_path, name):
    tags = {50706: b"\1\4\0\0"} if name != "a.nef" else {}
    Image.new("RGB", (16, 12)).save(tmp_path / name, "TIFF", tiffinfo=tags)
    with pytest.raises(ImageError, match="a camera raw; convert it to JPEG or TIFF"):
        read_image(tmp_path / name)


def test_a_picture_under_the_ending_of_another_kind_is_read(tmp_path):
    content = picture(tmp_path / "a.jpg").read_bytes()
    for name in ("b.png", "c.tga", "d.jp2", "e.heic", "f.cr2"):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(read_image(tmp_path / name), read_image(tmp_path / "a.jpg"))


# ---- what the verbs say


def test_lists_of_pictures_to_annotate(littered):
    (littered / "train" / "cat" / "b.cr2").write_bytes(b"raw")
    listing = list_pictures(str(littered), ("cat", "dog"))
    assert [item.name for item in listing.items] == [f"{s}/{c}/a.jpg" for s in ("train", "val") for c in ("cat", "dog")]
    assert listing.failed == {}
    assert "not read: 1 .cr2" in passed_over_lines(listing.passed_over)[0]
    assert len(list_pictures(f"folder:{littered}", ("cat", "dog")).passed_over) == len(set(listing.passed_over))


def test_locate_and_annotate_say_what_they_passed_over_and_succeed(tmp_path):
    litter(picture(tmp_path / "photos" / "a.jpg").parent)
    (tmp_path / "photos" / "b.cr2").write_bytes(b"raw")
    located = run("locate", tmp_path / "photos", "--scales", "1", "--out", tmp_path / "out")
    annotated = run(
        *("annotate", "imagenet", tmp_path / "photos", "--format", "csv", "--scales", "1", "--refine", "none"),
        *("--out", tmp_path / "annotated"),
    )
    for done in (located, annotated):
        assert done.exit_code == 0, done.output
        assert "not read: 1 .cr2 (a camera raw; convert it to JPEG or TIFF)" in done.stderr
        assert "passed over, left by a system or a program: 1 " in done.stderr
    assert "located 1 of 1 pictures" in located.stderr


def test_locate_says_why_there_are_no_pictures(tmp_path):
    for name in ("a.cr2", "b.cr2"):
        (tmp_path / name).write_bytes(b"raw")
    done = run("locate", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "not read: 2 .cr2 (a camera raw" in done.stderr
    assert "no pictures in" in done.stderr


def test_a_set_of_nothing_that_is_read_says_so(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.cr2").write_bytes(b"raw")
    with pytest.raises(DataError, match=r"no pictures in any of its class folders; not read: 1 \.cr2 \(a camera raw"):
        READERS["folder"](tmp_path)


@pytest.fixture
def mixed(tmp_path):
    """A folder as people have it: pictures, junk, what is broken, what is not read, and what has another name."""
    root = tmp_path / "photos"
    picture(root / "cats" / "a.jpg")
    picture(root / "cats" / "b.png", 1)
    picture(root / "dogs" / "c.jp2", 2)
    picture(root / "dogs" / "d.jpg", 3).rename(root / "dogs" / "jpeg called.png")
    picture(root / "dogs" / "e.jpg", 4).rename(root / "dogs" / "no ending")
    litter(root / "cats")
    (root / "cats" / "text.jpg").write_text("some text")
    (root / "cats" / "page.jpg").write_text("<html><body>404</body></html>")
    (root / "cats" / "empty.jpg").touch()
    for name in ("1.cr2", "2.cr2", "3.CR2", "4.jxl", "5.mov"):
        (root / "dogs" / name).write_bytes(b"\0\1\2")
    for name in ("cats/a.txt", "cats/a.xml", "README"):
        (root / name).write_text("text")
    picture(root / "cover.jpg", 5)
    return SimpleNamespace(root=root, out=tmp_path)


def test_data_tells_all_of_a_folder_in_one_page(mixed):
    done = run("data", f"folder:{mixed.root}", "--sheet", mixed.out / "sheet.jpg")
    assert done.exit_code == 1, done.output
    page = done.stdout
    for line in (
        "Unreadable pictures: 3",
        f"{mixed.root}/cats/text.jpg: not a picture in a known format",
        f"{mixed.root}/cats/page.jpg: not a picture but HTML, as a server may answer instead of a file",
        f"{mixed.root}/cats/empty.jpg: the file is empty",
        f"{mixed.root}: pictures that lie in no class folder: 1, such as cover.jpg",
        "Files that are not read: 5",
        f"3 .cr2: a camera raw; convert it to JPEG or TIFF; such as {mixed.root}/dogs/1.cr2",
        f"1 .jxl: JPEG XL is not read; convert it to JPEG or PNG; such as {mixed.root}/dogs/4.jxl",
        f"1 .mov: a film; --every 1s takes a frame each second; such as {mixed.root}/dogs/5.mov",
        f"Passed over, left by systems and programs: {len(JUNK_FOLDERS) + len(JUNK_FILES)}",
        f"1 @eaDir: such as {mixed.root}/cats/@eaDir",
    ):
        assert line in page
    assert ".txt" not in page
    assert "jpeg called.png" not in page  # it is fine
    assert "images             " in page


def test_the_exit_code_of_data_is_that_of_its_pictures(mixed):
    for name in ("text.jpg", "page.jpg", "empty.jpg"):
        (mixed.root / "cats" / name).unlink()
    done = run("data", f"folder:{mixed.root}", "--sheet", mixed.out / "sheet.jpg", "--json")
    assert done.exit_code == 0, done.output
    counts = {}
    for problem in json.loads(done.stdout)["problems"]:
        counts[problem["kind"]] = counts.get(problem["kind"], 0) + problem["count"]
    assert counts == {"layout": 1, "unread": 5, "junk": len(JUNK_FOLDERS) + len(JUNK_FILES)}


def test_the_page_offers_the_files_that_the_server_takes():
    html = (Path(__file__).parents[2] / "src/mldfr/web/static/index.html").read_text(encoding="utf-8")
    accepted = html.split('id="file" accept="')[1].split('"')[0].split(",")
    assert "image/*" in accepted
    assert set(" ".join(PHOTOGRAPHS.values()).split()) - set(accepted) == set()


def test_what_is_passed_over_is_told_in_one_line_each():
    junk, unread = PassedOver(Path(".x\ny"), JUNK), PassedOver(Path(os.fsdecode(b"a.\xe9")), "no picture")
    assert passed_over_lines([junk, unread]) == [
        "not read: 1 .\\xe9 (no picture)",
        "passed over, left by a system or a program: 1 .x\\ny",
    ]
