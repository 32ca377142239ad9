"""A picture's size and the way it is turned: the same in its head, in its pixels and in every reader."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataSet
from mldfr.data.survey import survey
from mldfr.evaluation.metrics.pixels import read_mask
from mldfr.images import ImageError, image_size, read_image, upright_size
from mldfr.web.pictures import read_picture

ORIENTATION, XMP_TAG = 0x0112, 700
HEIGHT, WIDTH = 20, 30
CORNERS = np.zeros((HEIGHT, WIDTH, 3), np.uint8)  # each corner has a colour of its own, whatever is compressed
CORNERS[:10, :15], CORNERS[:10, 15:], CORNERS[10:, :15] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
PICTURE = Image.fromarray(CORNERS)
TURNED = {  # the array that is looked at, by NumPy, from the stored one
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: np.rot90(CORNERS, 3),
    7: CORNERS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(CORNERS, 1),
}


def exif(orientation):
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


def xmp(orientation, *, element=False):
    tag = f"<tiff:Orientation>{orientation}</tiff:Orientation>"
    attribute = f' tiff:Orientation="{orientation}"'
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{"" if element else attribute}>'
        f"{tag if element else ''}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def saved(path, kind, *, by_exif=None, by_xmp=None):
    options = {} if by_exif is None else {"exif": exif(by_exif)}
    if kind == "PNG" and by_xmp is not None:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp(by_xmp))
    elif kind == "TIFF":
        options = {"tiffinfo": ImageFileDirectory_v2()}
        if by_exif is not None:
            options["tiffinfo"][ORIENTATION] = by_exif
        if by_xmp is not None:
            options["tiffinfo"].tagtype[XMP_TAG] = 1
            options["tiffinfo"][XMP_TAG] = xmp(by_xmp).encode()
    elif by_xmp is not None:
        options["xmp"] = xmp(by_xmp).encode()
    if kind == "MPO":
        options |= {"save_all": True, "append_images": [Image.new("RGB", (8, 8))]}
    PICTURE.save(path, kind, **options)
    return path


def assert_turned(path, orientation):
    """The pixels are those of `orientation`, and everything that tells a size tells that of the pixels."""
    expected = TURNED[orientation]
    pixels = read_image(path)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 12
    assert image_size(path) == expected.shape[:2]
    height, width = read_image(path, least=5).shape[:2]  # a draft, where the format has one
    assert (height < width) == (expected.shape[0] < expected.shape[1])
    picture = read_picture(path.read_bytes(), max_pixels=10**6)
    assert (picture.height, picture.width) == picture.pixels.shape[:2] == expected.shape[:2]


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF", "AVIF"])
def test_all_orientations_of_all_formats(tmp_path, kind, orientation):
    assert_turned(saved(tmp_path / "exif", kind, by_exif=orientation), orientation)
    assert_turned(saved(tmp_path / "xmp", kind, by_xmp=orientation), orientation)


@pytest.mark.parametrize("orientation", [3, 6])
def test_heic_is_turned_as_its_container_says(tmp_path, orientation):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture = PICTURE.copy()
    picture.info["exif"] = exif(orientation).tobytes()
    picture.save(tmp_path / "a.heic", quality=90)
    assert_turned(tmp_path / "a.heic", orientation)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("by_exif", "by_xmp"), [(1, 6), (6, 1), (8, 3), (0, 6), (9, 6)])
def test_exif_comes_before_xmp(tmp_path, kind, by_exif, by_xmp):
    path = saved(tmp_path / "a", kind, by_exif=by_exif, by_xmp=by_xmp)
    assert_turned(path, by_exif if by_exif in TURNED else 1)
    with Image.open(path) as picture:
        assert ImageOps.exif_transpose(picture).size[::-1] == image_size(path)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def late(path, *chunks):
    """A PNG with chunks behind its pixels."""
    content = io.BytesIO()
    PICTURE.save(content, "PNG")
    whole = content.getvalue()
    path.write_bytes(whole[:-12] + b"".join(chunks) + whole[-12:])
    return path


EXIF_CHUNK = chunk(b"eXIf", exif(6).tobytes()[6:])
XMP_CHUNK = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(8, element=True).encode())
RAW_PROFILE = f"\nexif\n{len(exif(5).tobytes()):8}\n{exif(5).tobytes().hex()}\n".encode()


@pytest.mark.parametrize(
    ("chunks", "orientation"),
    [
        ((EXIF_CHUNK,), 6),
        ((chunk(b"tEXt", b"Comment\0late"), EXIF_CHUNK), 6),
        ((XMP_CHUNK,), 8),
        ((XMP_CHUNK, EXIF_CHUNK), 6),
        ((chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_PROFILE)),), 5),
        ((chunk(b"tEXt", b"Comment\0late"),), 1),
        ((chunk(b"prVt", b"6"),), 1),
    ],
)
def test_what_a_png_says_behind_its_pixels(tmp_path, chunks, orientation):
    path = late(tmp_path / "a.png", *chunks)
    with Image.open(path) as picture:
        theirs = ImageOps.exif_transpose(picture).size[::-1]
    assert image_size(path) == theirs == read_image(path).shape[:2]
    assert_turned(path, orientation if theirs != (HEIGHT, WIDTH) else 1)


def test_raw_profile_of_exif_before_the_pixels(tmp_path):
    text = PngInfo()
    text.add_text("Raw profile type exif", RAW_PROFILE.decode(), zip=True)
    PICTURE.save(tmp_path / "a.png", pnginfo=text)
    assert_turned(tmp_path / "a.png", 5)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("orientation", [1, 4, 6, 7])
def test_tiff_of_both_byte_orders(tmp_path, order, compression, orientation):
    prefix = b"II*\0" if order == "<" else b"MM\0*"
    tags = ImageFileDirectory_v2(ifh=prefix + bytes(4))
    tags[ORIENTATION] = orientation
    PICTURE.save(tmp_path / "a.tif", tiffinfo=tags, compression=compression)
    assert_turned(tmp_path / "a.tif", orientation)


@pytest.mark.parametrize("later", [1, 6])
def test_of_several_pages_the_first_one_counts(tmp_path, later):
    first, second = Image.fromarray(CORNERS), Image.new("RGB", (7, 40))
    tags = ImageFileDirectory_v2()
    tags[ORIENTATION] = 6
    first.encoderinfo = {"tiffinfo": tags}
    second.encoderinfo = {"tiffinfo": {ORIENTATION: later}}
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second], tiffinfo=tags)
    assert_turned(tmp_path / "a.tif", 6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_damaged_exif_is_read_alike_from_head_and_pixels(tmp_path, kind):
    whole = np.frombuffer(saved(tmp_path / "a", kind, by_exif=6).read_bytes(), np.uint8)
    mark = b"MM\0*" if b"MM\0*" in whole.tobytes() else b"II*\0"
    start = whole.tobytes().index(mark)
    reach = len(whole) - start if kind == "TIFF" else 26  # a TIFF's tags lie behind its pixels
    rng = np.random.default_rng(1)
    sizes = set()
    for _ in range(60):
        damaged = whole.copy()
        damaged[start + rng.integers(0, reach, 2)] = rng.integers(0, 256, 2)
        if kind == "PNG":  # whose chunks would be refused with another sum
            at = damaged.tobytes().index(b"eXIf") - 4
            length = int.from_bytes(damaged[at : at + 4].tobytes())
            end = at + 8 + length
            damaged[end : end + 4] = list(struct.pack(">I", zlib.crc32(damaged[at + 4 : end].tobytes())))
        (tmp_path / "a").write_bytes(damaged.tobytes())
        try:
            pixels = read_image(tmp_path / "a")
        except ImageError:
            continue
        assert image_size(tmp_path / "a") == pixels.shape[:2]
        sizes.add(pixels.shape[:2])
    assert sizes


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_have_the_size_of_their_first_frame(tmp_path, kind):
    frames = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    assert image_size(tmp_path / "a") == read_image(tmp_path / "a").shape[:2] == (HEIGHT, WIDTH)


def test_icons_whose_directory_has_another_size_than_the_picture(tmp_path):
    content = io.BytesIO()
    PICTURE.save(content, "PNG")
    picture = content.getvalue()
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), 22)
    (tmp_path / "a.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + picture)
    with pytest.warns(UserWarning, match="not the expected size"):
        assert image_size(tmp_path / "a.ico") == read_image(tmp_path / "a.ico").shape[:2] == (HEIGHT, WIDTH)


def test_a_pillow_image_has_the_same_size_before_and_after_it_is_decoded(tmp_path):
    for kind in ("JPEG", "TIFF", "PNG"):
        with Image.open(saved(tmp_path / kind, kind, by_xmp=6)) as picture:
            assert upright_size(picture) == (WIDTH, HEIGHT)
            picture.load()
            assert upright_size(picture) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("make", [lambda path: saved(path, "TIFF", by_exif=6), lambda path: late(path, EXIF_CHUNK)])
@pytest.mark.parametrize("thorough", [False, True])
def test_boxes_of_turned_pictures_do_not_stand_out(tmp_path, make, thorough):
    """The box fills the picture as it is looked at, so that a size the wrong way round cuts it."""
    box = GroundTruth(0, (0, 0, HEIGHT, WIDTH))
    sample = Sample("a", make(tmp_path / "a"), (0,), (box,))
    surveyed = survey(DataSet(("thing",), {"train": (sample,)}), thorough=thorough)
    assert surveyed.problems == ()
    assert surveyed.splits["train"].box_share.median == 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("how", ["by_exif", "by_xmp"])
def test_masks_are_turned_like_pictures(tmp_path, kind, how):
    path = saved(tmp_path / "mask", kind, **{how: 6})
    mask = read_mask([path], None, (WIDTH, HEIGHT))
    np.testing.assert_array_equal(mask, TURNED[6].max(axis=2) > 0)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("orientation", [3, 5, 6, 7, 8])
def test_tiff_without_compression_of_every_mode(tmp_path, mode, orientation):
    steps = Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 100)
    stored = steps if mode == "I;16" else PICTURE.convert(mode)
    stored.save(tmp_path / "plain.tif")
    tags = ImageFileDirectory_v2()
    tags[ORIENTATION] = orientation
    stored.save(tmp_path / "turned.tif", tiffinfo=tags)
    expected = read_image(tmp_path / "plain.tif")
    methods = {3: "ROTATE_180", 5: "TRANSPOSE", 6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"}
    expected = np.asarray(Image.fromarray(expected).transpose(Image.Transpose[methods[orientation]]))
    np.testing.assert_array_equal(read_image(tmp_path / "turned.tif"), expected)
    assert image_size(tmp_path / "turned.tif") == expected.shape[:2]
