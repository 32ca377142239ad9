"""Which files are pictures that can be read, and why the others are not."""

from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

PHOTOGRAPHS = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jif .jfi .pjpeg .pjp",
    "MPO": ".mpo",
    "PNG": ".png .apng",
    "TIFF": ".tif .tiff",
    "WEBP": ".webp",
    "AVIF": ".avif .avifs",
    "HEIF": ".heic .heif .hif .heics .heifs",
    "JPEG2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "GIF": ".gif",
    "BMP": ".bmp",
    "DIB": ".dib",
    "PPM": ".ppm .pgm .pbm .pnm",
    "TGA": ".tga .icb .vda .vst",
    "ICO": ".ico",
}
"""What cameras, scanners and browsers write: Pillow's name for the format, and the endings of its files."""

OTHERS = {
    "BLP": ".blp",
    "DCX": ".dcx",
    "DDS": ".dds",
    "FTEX": ".ftc .ftu",
    "ICNS": ".icns",
    "MSP": ".msp",
    "PCD": ".pcd",
    "PCX": ".pcx",
    "PIXAR": ".pxr",
    "PSD": ".psd",
    "QOI": ".qoi",
    "SGI": ".sgi .rgb .rgba .bw",
    "SUN": ".ras",
    "XBM": ".xbm",
    "XPM": ".xpm",
}
"""What Pillow reads besides. Left out of its formats are drawings and films (EPS and WMF start other programs or need
them), containers that it opens for others (BUFR, GRIB, HDF5, IPTC), measurements (FITS, SPIDER, MCIDAS), tools (CUR,
GBR, FLI) and what has no signature to be known by (IM, IMT, XVTHUMB)."""

UNSIGNED = ("PCX", "DIB", "TGA")
"""Of both, those with a weak signature, or none."""

SUFFIXES = frozenset(" ".join([*PHOTOGRAPHS.values(), *OTHERS.values()]).split())
"""Endings, in lower case, of what is taken for a picture when a folder is searched."""

HEIF_HINT = "HEIC is read with an extra: pip install 'mldfr[heif]'"
RAW = "a camera raw; convert it to JPEG or TIFF"
UNKNOWN = "not a picture in a known format"
_JXL = "JPEG XL is not read; convert it to JPEG or PNG"
_DRAWING = "a drawing or a document; convert it to PNG"
_FILM = "a film; --every 1s takes a frame each second"
_RANGE = "its values have no known range; convert it to 8 or 16 bits"
_LAYERS = "a program's own format; export it as PNG"
COPY = "a copy or a download that was not finished; rename it if it is meant"
_PREVIEW = "a preview that a camera or a program made"

_UNREAD = {
    RAW: ".3fr .ari .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf"
    " .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    _JXL: ".jxl",
    _DRAWING: ".ai .cdr .emf .eps .pdf .ps .svg .svgz .wmf",
    _FILM: ".3gp .avi .flc .fli .flv .m4v .mkv .mov .mp4 .mpeg .mpg .mts .webm .wmv",
    _RANGE: ".dcm .exr .fit .fits .fts .hdr .nii .pfm",
    _LAYERS: ".afphoto .clip .kra .ora .psb .xcf",
    COPY: ".bak .crdownload .old .orig .part .partial .tmp",
    _PREVIEW: ".cop .cot .lrprev .thm",
}
UNREAD = {ending: reason for reason, endings in _UNREAD.items() for ending in endings.split()}
"""Endings of what might be meant as pictures and is not read, and why."""

_BESIDE = (
    ".7z .bib .c .cfg .conf .cpp .css .csv .db .doc .docx .geojson .gz .h .h5 .hdf5 .htm .html .ini .ipynb .jl .js"
    " .json .jsonl .log .m .mat .md .mp3 .npy .npz .onnx .parquet .pickle .pkl .pt .pth .py .r .rar .rst .safetensors"
    " .sh .sql .tar .tex .tfrecord .tgz .toml .tsv .txt .wav .xls .xlsx .xml .xmp .yaml .yml .zip"
)
NO_PICTURES = frozenset(_BESIDE.split())
"""Endings of what lies beside pictures in every data set, and is not even looked into."""


@cache
def formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read here and now: some of them need libraries that may be missing."""
    Image.init()
    if find_spec("pillow_heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    known = sorted((*PHOTOGRAPHS, *OTHERS), key=lambda name: name in UNSIGNED)  # they would claim others' files
    return tuple(name for name in known if name in Image.OPEN)


def ending(name: str) -> str:
    """The ending of a file's name in lower case, or "": that of a backup `a.jpg~` or `a.jpg_original` is `.bak`."""
    suffix = Path(name).suffix.lower()
    return ".bak" if suffix.endswith(("~", "_original")) else suffix


def why_unread(name: str) -> str | None:
    """Why files with the ending of this one are not read; None where they are, or where the ending says nothing."""
    suffix = ending(name)
    if suffix in PHOTOGRAPHS["HEIF"].split() and "HEIF" not in formats():
        return HEIF_HINT
    if suffix in PHOTOGRAPHS["AVIF"].split() and "AVIF" not in formats():
        return "this Pillow was built without AVIF; convert it to JPEG"
    return UNREAD.get(suffix)


def is_film(name: str) -> bool:
    """Whether a file is a film by its ending."""
    return UNREAD.get(ending(name)) == _FILM


def signed_formats(head: bytes) -> list[str]:
    """Formats whose signature the first 16 bytes of a file bear."""
    return [name for name in formats() if name not in UNSIGNED and _accepts(name, head)]


def _accepts(name: str, head: bytes) -> bool:
    accepts = Image.OPEN[name][1]
    with suppress(Exception):  # short heads make some raise
        return accepts is not None and accepts(head) is True
    return False


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its first bytes, whatever it is called; broken ones are not."""
    with suppress(Exception):  # Pillow's readers raise anything at all
        with path.open("rb") as file:
            signed = signed_formats(file.read(16))
        if signed:
            with Image.open(path, formats=signed):
                return True
    return False


def describe(head: bytes, name: str) -> str:
    """What a file is that no reader knows, in words, from its first bytes and its name."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "the file is empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "not a picture but HTML, as a server may answer instead of a file"
    if start.startswith(b"version https://git-lfs"):
        return "not a picture but a pointer of Git LFS; git lfs pull fetches the picture"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return HEIF_HINT if "HEIF" not in formats() else "cannot be decoded (a kind of HEIF that is not known)"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return _JXL
    return why_unread(name) or UNKNOWN
