"""Every sort of picture that a folder of real files holds."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from mldfr.images import ImageError, ImageFile, find_images, image_size, read_image, to_rgb

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def save(path, picture, **options):
    picture.save(path, **options)
    return path


def test_rgb_is_read_as_it_is(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png", Image.fromarray(PIXELS))), PIXELS)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = read_image(save(tmp_path / "a.png", Image.fromarray(PIXELS[..., 0])))
    np.testing.assert_array_equal(grey, np.repeat(PIXELS[..., :1], 3, axis=2))


def test_one_bit(tmp_path):
    bits = Image.fromarray(PIXELS[..., 0] > 127)
    assert set(np.unique(read_image(save(tmp_path / "a.png", bits)))) == {0, 255}


def test_palette_has_its_colours(tmp_path):
    picture = Image.new("P", (4, 3), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    assert read_image(save(tmp_path / "a.png", picture))[0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white_whatever_lies_under_them(tmp_path, mode):
    if mode == "P":
        picture = Image.new("P", (4, 4), 0)
        picture.putpalette([10, 20, 30, 255, 0, 0])
        path = save(tmp_path / "a.png", picture, transparency=0)
    else:
        picture = Image.new("RGBA", (4, 4), (10, 20, 30, 0)).convert(mode)
        path = save(tmp_path / "a.png", picture)
    assert (read_image(path) == 255).all()


def test_16_bit_keeps_its_range(tmp_path):
    values = np.array([[0, 257, 65535, 32896]], dtype=np.uint16)
    path = save(tmp_path / "a.png", Image.fromarray(values))
    assert read_image(path)[0, :, 0].tolist() == [0, 1, 255, 128]


def test_cmyk_jpeg(tmp_path):
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100)
    red, green, blue = read_image(path)[4, 4].tolist()
    assert red > 200
    assert green < 50
    assert blue < 50


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 3), (3, 2), (8, 1)])
def test_exif_orientation_is_applied(tmp_path, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", Image.fromarray(PIXELS), exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(PIXELS, turns))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    path = save(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    red, green, blue = read_image(path)[4, 4].tolist()
    assert red > 200
    assert green < 60
    assert blue < 60


def test_one_pixel(tmp_path):
    assert read_image(save(tmp_path / "a.png", Image.new("RGB", (1, 1), "white"))).shape == (1, 1, 3)


def png_of_size(width, height):
    """A PNG that promises more pixels than anyone would decode."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # pytest lifts our own filter
def test_what_cannot_be_read_says_why(tmp_path, photo):
    whole = photo.read_bytes()
    cases = {
        "empty.jpg": (b"", "the file is empty"),
        "text.jpg": (b"hello, I am no picture", "not a picture in a known format"),
        "truncated.jpg": (whole[: len(whole) // 2], "cannot be decoded .*truncated"),
        "header.jpg": (whole[:30], "not a picture|cannot be decoded"),
        "big.png": (png_of_size(12_000, 12_000), "12000x12000 has too many pixels"),
        "bomb.png": (png_of_size(100_000, 100_000), "too many pixels"),
        "long.png": (png_of_size(20_000, 40), "20000x40 is too elongated"),
        "broken.png": (png_of_size(10, 10), "cannot be decoded"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert str(caught.value).startswith(str(path))
        assert caught.value.path == str(path)


def test_floating_point_has_no_range(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(np.ones((4, 4), dtype=np.float32)))
    with pytest.raises(ImageError, match="mode F has no known range"):
        read_image(path)
    path = save(tmp_path / "b.tif", Image.fromarray(np.full((4, 4), 200, dtype=np.int32)))
    with pytest.raises(ImageError, match="mode I has no known range"):
        read_image(path)


@pytest.mark.filterwarnings("ignore")  # of Pillow's, about what is wrong with the files
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "tiff", "bmp", "avif"])
def test_damaged_bytes_give_a_picture_or_a_reason(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "whole", Image.fromarray(PIXELS), format=kind, exif=exif)
    whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        damaged = whole.copy()
        places = rng.integers(0, len(whole), 4)
        damaged[places] = rng.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            assert read_image(path).dtype == np.uint8
            outcomes.add("picture")
        except ImageError as error:
            outcomes.add(error.reason)
    assert "" not in outcomes
    assert len(outcomes) > 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_spoil_a_picture(tmp_path, photo):
    whole = photo.read_bytes()
    header = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05"
    photo.write_bytes(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(header) + 2) + header + whole[2:])
    assert read_image(photo).shape == (300, 451, 3)


def test_pictures_in_memory_are_checked_alike(tmp_path, photo):
    whole = photo.read_bytes()
    with pytest.raises(ImageError, match=r"image: cannot be decoded .*truncated"):
        to_rgb(Image.open(io.BytesIO(whole[: len(whole) // 2])), name="image")
    with pytest.raises(ImageError, match="too elongated"):
        to_rgb(Image.new("RGB", (4000, 4)))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "a.jpg")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(ImageError, match="a folder"):
        read_image(tmp_path)


@pytest.fixture
def tree(tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "a.webp", "notes.txt", "c/d/e.tiff"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def relatives(found):
    return [str(item.relative) for item in found if isinstance(item, ImageFile)]


def test_folders_are_searched_in_order_for_pictures_alone(tree):
    assert relatives(find_images([str(tree)])) == ["a.webp", "b/1.jpg", "b/2.PNG", "c/d/e.tiff"]


def test_globs_files_and_each_file_once(tree):
    found = list(
        find_images([f"{tree}/*.webp", f"{tree}/b", f"{tree}/**/*", str(tree / "notes.txt"), f"{tree}/b/1.jpg"])
    )
    assert relatives(found) == ["a.webp", "1.jpg", "2.PNG", "d/e.tiff", "notes.txt"]


def test_a_glob_finds_the_folders_that_it_matches(tree):
    assert relatives(find_images([f"{tree}/[bc]"])) == ["1.jpg", "2.PNG", "d/e.tiff"]
    assert relatives(find_images([f"{tree}/**/d"])) == ["e.tiff"]


def test_names_with_brackets_and_spaces_are_files_first(tmp_path):
    (tmp_path / "a [1].png").touch()
    assert relatives(find_images([str(tmp_path / "a [1].png")])) == ["a [1].png"]


def test_what_is_not_there_is_an_error_in_its_place(tree):
    found = list(find_images([str(tree / "nothing"), f"{tree}/*.bmp", f"{tree}/a.webp"]))
    assert [getattr(item, "reason", None) for item in found] == ["no such file or folder", "matches no picture", None]
    (error,) = find_images(["x" * 5000])
    assert "File name too long" in error.reason
    (error,) = find_images([f"{tree}/*.txt"])
    assert error.reason == "matches no picture"


def test_own_results_are_not_found(tree):
    assert relatives(find_images([str(tree)], leave_out=tree / "b")) == ["a.webp", "c/d/e.tiff"]
    assert relatives(find_images([str(tree / "b" / "1.jpg")], leave_out=tree / "b")) == ["1.jpg"]  # named directly


def test_links_are_pictures_under_their_own_names(tree):
    (tree / "a link.webp").symlink_to(tree / "a.webp")
    (tree / "b" / "linked").symlink_to(tree / "c")
    expected = ["a link.webp", "a.webp", "b/1.jpg", "b/2.PNG", "b/linked/d/e.tiff", "c/d/e.tiff"]
    assert relatives(find_images([str(tree)])) == expected
    assert relatives(find_images([f"{tree}/a*", f"{tree}/b/../a.webp"])) == ["a link.webp", "a.webp"]


def test_loops_of_links_end(tree):
    (tree / "b" / "loop").symlink_to(tree)
    (tree / "b" / "there").symlink_to(tree / "c")
    (tree / "c" / "back").symlink_to(tree / "b")
    (tree / "dangling.jpg").symlink_to(tree / "nothing.jpg")
    found = relatives(find_images([str(tree)]))
    assert found == [
        *("a.webp", "dangling.jpg", "b/1.jpg", "b/2.PNG", "b/there/d/e.tiff"),
        *("c/back/1.jpg", "c/back/2.PNG", "c/d/e.tiff"),
    ]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX's")
def test_an_unreadable_folder_is_reported_and_the_rest_found(tree):
    locked = tree / "b"
    locked.chmod(0)
    if os.geteuid() == 0:  # root may read everything: search as nobody
        for folder in (tree, *tree.parents):
            if folder.stat().st_uid == 0 and folder != folder.parent and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(65534)
    try:
        found = list(find_images([str(tree)]))
        (inside,) = find_images([str(locked / "1.jpg")])
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        locked.chmod(0o755)
    assert relatives(found) == ["a.webp", "c/d/e.tiff"]
    (error,) = [item for item in found if isinstance(item, ImageError)]
    assert error.path == str(locked)
    assert "Permission denied" in error.reason
    assert "Permission denied" in inside.reason


@pytest.mark.parametrize("orientation", range(9))
def test_the_size_in_the_head_is_that_of_the_picture(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", Image.fromarray(PIXELS), exif=exif)
    assert image_size(path) == read_image(path).shape[:2]


def test_the_size_of_what_is_no_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"a\.png: not a picture"):
        image_size(tmp_path / "a.png")
    with pytest.raises(ImageError, match="too elongated"):
        image_size(save(tmp_path / "b.png", Image.new("L", (330, 10))))
