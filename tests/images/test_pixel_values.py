"""The values of every kind of pixel as 8 bits, against what the test wrote and against other decoders."""

import io
import struct
import zlib

import cv2
import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage.color import lab2rgb

from mldfr.images import ImageError, read_image

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (6, 8, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 8), np.uint16)


def grey(path):
    pixels = read_image(path)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


# ---- alpha that says nothing


def bmp(path, alpha, *, header=108):
    """A 32-bit BMP with masks, as Windows writes it, from top to bottom."""
    pixels = np.dstack([COLOURS[..., ::-1], np.full(COLOURS.shape[:2], alpha, np.uint8)]).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    about = struct.pack("<IiiHHIIiiII", header, 8, -6, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks
    about = about.ljust(header, b"\0")
    path.write_bytes(b"BM" + struct.pack("<IHHI", 14 + header + len(pixels), 0, 0, 14 + header) + about + pixels)
    return path


@pytest.mark.parametrize("header", [56, 108, 124])
def test_bitmap_whose_alpha_is_0_throughout_is_opaque(tmp_path, header):
    np.testing.assert_array_equal(read_image(bmp(tmp_path / "a.bmp", 0, header=header)), COLOURS)
    np.testing.assert_array_equal(read_image(bmp(tmp_path / "a.bmp", 255, header=header)), COLOURS)


def test_alpha_of_bitmaps_that_is_used_counts(tmp_path):
    half = read_image(bmp(tmp_path / "a.bmp", 128))
    np.testing.assert_allclose(half, 255 - (255.0 - COLOURS) * 128 / 255, atol=1)


@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_targa_whose_alpha_is_0_throughout_is_opaque(tmp_path, compression):
    Image.fromarray(np.dstack([COLOURS, np.zeros((6, 8), np.uint8)])).save(tmp_path / "a.tga", compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tga"), COLOURS)
    transparent = np.dstack([COLOURS, np.eye(6, 8, dtype=np.uint8) * 255])
    Image.fromarray(transparent).save(tmp_path / "b.tga")
    assert (read_image(tmp_path / "b.tga")[0, 1:] == 255).all()


def test_icon_whose_alpha_is_0_throughout_is_opaque(tmp_path):
    side = np.full((16, 16, 3), (10, 200, 30), np.uint8)
    pixels = np.dstack([side[..., ::-1], np.zeros((16, 16), np.uint8)]).tobytes() + bytes(16 * 4)
    about = struct.pack("<IiiHHIIiiII", 40, 16, 32, 1, 32, 0, 0, 0, 0, 0, 0) + pixels
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(about), 22)
    (tmp_path / "a.ico").write_bytes(struct.pack("<HHH", 0, 1, 1) + entry + about)
    np.testing.assert_array_equal(read_image(tmp_path / "a.ico"), side)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_alpha_of_other_formats_always_counts(tmp_path, kind):
    Image.fromarray(np.dstack([COLOURS, np.zeros((6, 8), np.uint8)])).save(tmp_path / f"a.{kind}", lossless=True)
    assert (read_image(tmp_path / f"a.{kind}") == 255).all()


@pytest.mark.parametrize(("extra", "white"), [(None, False), ("unassalpha", True), ("unspecified", False)])
def test_fourth_channel_of_a_tiff(tmp_path, extra, white):
    pixels = np.dstack([COLOURS, np.zeros((6, 8), np.uint8)])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=extra and [extra])
    if extra is None:
        without_tag(tmp_path / "a.tif", 338)
    assert (read_image(tmp_path / "a.tif") == (255 if white else COLOURS)).all()


def without_tag(path, code):
    """Rename a tag of a little-endian TIFF to one that nobody reads."""
    content = bytearray(path.read_bytes())
    (start,) = struct.unpack("<I", content[4:8])
    (count,) = struct.unpack("<H", content[start : start + 2])
    for place in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack("<H", content[place : place + 2]) == (code,):
            content[place : place + 2] = struct.pack("<H", code - 1)
    path.write_bytes(content)


# ---- grey values of more than 8 bits


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_16_bit_tiff(tmp_path, order, compression):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, byteorder=order, compression=compression, photometric="minisblack")
    np.testing.assert_array_equal(grey(tmp_path / "a.tif"), DEEP // 257)
    seen = cv2.imread(str(tmp_path / "a.tif"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(seen // 257, grey(tmp_path / "a.tif"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_planes_of_a_tiff(tmp_path, order, tile, compression, channels):
    deep = np.full((channels, 6, 8), 65535, np.uint16)
    deep[:3] = COLOURS.transpose(2, 0, 1).astype(np.uint16) * 257
    about = {"photometric": "rgb", "planarconfig": "separate", "byteorder": order, "tile": tile}
    about["extrasamples"] = ["unassalpha"] * (channels - 3)
    tifffile.imwrite(tmp_path / "a.tif", deep, compression=compression, **about)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), COLOURS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(tmp_path, dtype):
    values = DEEP if dtype == np.uint16 else COLOURS[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", byteorder="<")
    top = np.iinfo(dtype).max
    np.testing.assert_allclose(grey(tmp_path / "a.tif"), (top - values.astype(int)) / (top / 255), atol=1)


def test_one_bit_fax_of_both_meanings(tmp_path):
    bits = COLOURS[..., 0] > 127
    for photometric, compression in (("miniswhite", None), ("minisblack", None)):
        tifffile.imwrite(tmp_path / "a.tif", bits, photometric=photometric, compression=compression)
        expected = bits if photometric == "minisblack" else ~bits
        np.testing.assert_array_equal(grey(tmp_path / "a.tif"), expected * 255)
    Image.fromarray(bits).save(tmp_path / "b.tif", compression="group4", tiffinfo={262: 0})
    np.testing.assert_array_equal(grey(tmp_path / "b.tif"), bits * 255)


def packed_12_bit(path, values, **tags):
    """A TIFF of 12 bits for each value, two of them in three bytes."""
    nibbles = "".join(f"{value:03x}" for value in values.ravel())
    data = bytes.fromhex(nibbles)
    height, width = values.shape
    entries = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 277: 1, 278: height, 279: len(data)} | tags
    entries[273] = 8 + 2 + 12 * (len(entries) + 1) + 4
    ifd = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in sorted(entries.items()))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + ifd + bytes(4) + data)
    return path


def test_12_bit_tiff_has_its_range(tmp_path):
    values = np.array([[0, 4095, 2048, 16], [1, 255, 256, 4094]])
    np.testing.assert_array_equal(grey(packed_12_bit(tmp_path / "a.tif", values)), values * 255 // 4095)


def test_12_bit_tiff_of_a_kind_that_is_not_read_says_so(tmp_path):
    values = np.zeros((2, 4), int)
    with pytest.raises(ImageError, match=r"cannot be decoded \(TIFF: unknown pixel mode\)"):
        read_image(packed_12_bit(tmp_path / "a.tif", values, **{}) and with_photometric(tmp_path / "a.tif", 0))


def with_photometric(path, value):
    content = path.read_bytes()
    path.write_bytes(content.replace(struct.pack("<HHII", 262, 4, 1, 1), struct.pack("<HHII", 262, 4, 1, value)))
    return path


@pytest.mark.parametrize("tag", [281, 341])
@pytest.mark.parametrize(
    ("declared", "top"), [(4095, 4095), (1023, 1023), (3127, 4095), (65535, 65535), (60000, 65535)]
)
def test_16_bit_containers_of_fewer_bits(tmp_path, tag, declared, top):
    values = (DEEP.astype(int) * declared // 65535).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="minisblack", extratags=[(tag, 3, 1, declared, True)], byteorder="<"
    )
    np.testing.assert_array_equal(grey(tmp_path / "a.tif"), values.astype(int) * 255 // top)


@pytest.mark.parametrize("top", [255, 100, 1023, 4095, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_grey_maps_of_all_ranges(tmp_path, top, plain):
    values = DEEP.astype(int) * top // 65535
    head = f"{'P2' if plain else 'P5'}\n# by a camera\n8 6\n{top}\n".encode()
    body = (
        " ".join(map(str, values.ravel())).encode() if plain else values.astype(">u2" if top > 255 else "u1").tobytes()
    )
    (tmp_path / "a.pgm").write_bytes(head + body)
    np.testing.assert_allclose(grey(tmp_path / "a.pgm"), values * 255 / top, atol=1)


@pytest.mark.parametrize("top", [255, 100, 1023, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_pixel_maps_of_all_ranges(tmp_path, top, plain):
    values = np.int64(COLOURS) * top // 255
    head = f"{'P3' if plain else 'P6'} 8 6 {top}\n".encode()
    body = (
        " ".join(map(str, values.ravel())).encode() if plain else values.astype(">u2" if top > 255 else "u1").tobytes()
    )
    (tmp_path / "a.ppm").write_bytes(head + body)
    np.testing.assert_allclose(read_image(tmp_path / "a.ppm"), values * 255 / top, atol=1)


@pytest.mark.parametrize("kind", ["png", "jp2"])
def test_16_bit_grey(tmp_path, kind):
    Image.fromarray(DEEP).save(tmp_path / f"a.{kind}")
    np.testing.assert_array_equal(grey(tmp_path / f"a.{kind}"), DEEP // 257)


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour(tmp_path, channels):
    values = np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1], np.full_like(DEEP, 65535)])[..., :channels]
    cv2.imwrite(str(tmp_path / "a.png"), values)
    cv2.imwrite(str(tmp_path / "a.tif"), values)
    expected = values[..., 2::-1] / 257
    np.testing.assert_allclose(read_image(tmp_path / "a.png"), expected, atol=1)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), expected, atol=1)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float32, np.float64])
def test_values_without_a_range_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 5), dtype), photometric="minisblack")
    with pytest.raises(ImageError, match=r"no known range; convert it to 8 or 16 bits|cannot be decoded \(TIFF: "):
        read_image(tmp_path / "a.tif")


# ---- few bits, one transparent value, and other colours


def png(path, values, *, bits, colour=0, transparent=None, palette=None):
    """A PNG of any bit depth, from the values as they lie in the file."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape[:2]
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in values]
    else:
        rows = []
        for row in values.reshape(height, -1):
            text = "".join(f"{value:0{bits}b}" for value in row)
            rows.append(int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8)))
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    if palette is not None:
        body += chunk(b"PLTE", bytes(palette))
    if transparent is not None:
        body += chunk(b"tRNS", transparent)
    body += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("transparent", [None, 1, 0])
def test_grey_png_of_all_depths(tmp_path, bits, transparent):
    top = 2**bits - 1
    values = np.minimum(np.arange(32).reshape(4, 8) * (257 if bits == 16 else 1), top)
    mark = None if transparent is None else struct.pack(">H", transparent * (257 if bits == 16 else 1))
    expected = values * 255 // top
    if transparent is not None:
        expected = np.where(values == struct.unpack(">H", mark)[0], 255, expected)
    np.testing.assert_array_equal(grey(png(tmp_path / "a.png", values, bits=bits, transparent=mark)), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_transparent_colour(tmp_path, bits):
    values = np.int64(COLOURS) * (1 if bits == 8 else 257)
    mark = struct.pack(">3H", *values[2, 3])
    pixels = read_image(png(tmp_path / "a.png", values, bits=bits, colour=2, transparent=mark))
    expected = COLOURS.copy()
    expected[(COLOURS[2, 3] == COLOURS).all(axis=2)] = 255
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_with_alpha_of_all_depths(tmp_path, bits):
    values = np.array([[0, 1], [1, 0]])
    path = png(tmp_path / "a.png", values, bits=bits, colour=3, palette=[9, 9, 9, 200, 100, 50], transparent=b"\0\xff")
    assert read_image(path).tolist() == [[[255] * 3, [200, 100, 50]], [[200, 100, 50], [255] * 3]]


def test_grey_with_alpha_of_16_bits(tmp_path):
    values = np.dstack([DEEP, np.where(DEEP > 30000, 65535, 0)])
    pixels = grey(png(tmp_path / "a.png", values, bits=16, colour=4))
    np.testing.assert_array_equal(pixels, np.where(DEEP > 30000, DEEP >> 8, 255))


@pytest.mark.skipif(
    int(PIL.__version__.partition(".")[0]) < 13, reason="Pillow reads such files from 13 on, and refuses them before"
)
def test_premultiplied_grey_of_a_tiff(tmp_path):
    values = np.dstack([np.full((3, 4), 50, np.uint8), np.full((3, 4), 100, np.uint8)])
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="minisblack", extrasamples=["assocalpha"], planarconfig="contig"
    )
    assert np.abs(grey(tmp_path / "a.tif").astype(int) - (50 + 155)).max() <= 1


@pytest.mark.parametrize("transform", [0, 2])
def test_inverted_cmyk_of_adobe(tmp_path, transform):
    """Pillow's own CMYK files have Adobe's mark and inverted values; 2 is YCCK."""
    ink = np.full((16, 16, 4), (20, 200, 90, 40), np.uint8)
    content = io.BytesIO()
    Image.fromarray(ink, "CMYK").save(content, "JPEG", quality=100, subsampling=0)
    whole = content.getvalue()
    if transform == 2:
        at = whole.index(b"Adobe") + 11
        whole = whole[:at] + b"\2" + whole[at + 1 :]
    (tmp_path / "a.jpg").write_bytes(whole)
    with Image.open(tmp_path / "a.jpg") as picture:
        expected = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)
    if transform == 0:
        cyan, magenta, yellow, black = (1 - value / 255 for value in (20, 200, 90, 40))
        wanted = [255 * cyan * black, 255 * magenta * black, 255 * yellow * black]
        np.testing.assert_allclose(expected[8, 8], wanted, atol=6)


def test_lab_tiff(tmp_path):
    lab = np.array([[[60, 20, -30], [80, -40, 50], [30, 0, 0]]], float)
    stored = np.dstack([lab[..., 0] * 255 / 100, lab[..., 1], lab[..., 2]]).round().astype(np.int16).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="cielab", planarconfig="contig")
    np.testing.assert_allclose(read_image(tmp_path / "a.tif"), lab2rgb(lab) * 255, atol=12)


def test_text_in_a_png_says_nothing_of_its_values(tmp_path):
    text = PngInfo()
    text.add_text("MaxSampleValue", "4095")
    Image.fromarray(DEEP).save(tmp_path / "a.png", pnginfo=text)
    np.testing.assert_array_equal(grey(tmp_path / "a.png"), DEEP // 257)
