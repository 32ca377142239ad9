"""Pascal VOC's XML, a file for each picture."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, TextIO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mldfr.exports.base import SPLITS, AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import UNWRITABLE, check_classes, checked
from mldfr.exports.flat_names import flat, put_picture
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, number_of, writing_about
from mldfr.images.junk import is_apple_double

CORNERS = ("xmin", "ymin", "xmax", "ymax")
LISTS = "ImageSets/Main"
LABELS, HEADER = "labelmap.txt", "# label:color_rgb:parts:actions"


@dataclass(frozen=True)
class Voc(Format):
    """The folder `voc`, in the layout of VOC2007, which datumaro, supervision and many trainers read.

    | file | content |
    |---|---|
    | `Annotations/NAME.xml` | size and boxes of a picture |
    | `JPEGImages/NAME` | a link to the picture (or a copy), where it is known where that lies |
    | `ImageSets/Main/train.txt`, `val.txt` | names without suffixes; `default.txt` where there are no splits |
    | `labelmap.txt` | the names of the classes, each with `:::` behind it |

    Folders become a part of a picture's name (`cats/1.jpg` becomes `cats__1.jpg`), since VOC has none; the element
    `path` has the name as it was. What 0.1.0 wrote, with folders in `Annotations`, is read too.

    In both lists datumaro passes over names that begin with `#`; it takes no class with a `:` in its name.

    VOC numbers pixels from 1 and includes the last, and most of its readers take whole numbers only. Boxes are rounded
    outward to whole pixels, so that none shrinks or vanishes: a half-open box becomes (floor x0 + 1, floor y0 + 1,
    ceil x1, ceil y1). Where a score is known it is one more element, `score`, which readers pass over. A picture that a
    person has checked has `verified="yes"` in its first element, as labelImg writes it.

    VOC finds a picture's file by its stem: two pictures of one stem in one folder are an error. Pictures are read back
    in the order of their files.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = Voc().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/voc'
        >>> classes, images = Voc().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    title: ClassVar[str] = "Pascal VOC"
    precision: ClassVar[float] = 1
    folder: ClassVar[str] = "voc"
    by_stem: ClassVar[bool] = True
    splits: ClassVar[bool] = True

    def place(self, name: str) -> str:
        """The XML file, in `Annotations`."""
        return str(PurePosixPath(flat(name)).with_suffix(".xml"))

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return it (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / self.folder) as folder, ExitStack() as files:
            (folder / "Annotations").mkdir()
            write_new(folder / LABELS, "".join(f"{line}\n" for line in (HEADER, *(f"{name}:::" for name in names))))
            (folder / LISTS).mkdir(parents=True)
            lists: dict[str, TextIO] = {}
            for image in checked(images, names, self):
                if UNWRITABLE.search(image.name):
                    raise ExportError(f"expected a name that XML can hold; got {image.name!r}")
                with writing_about(image.name):
                    write_new(folder / "Annotations" / self.place(image.name), _xml(image, names))
                    put_picture(image.file, folder / "JPEGImages" / flat(image.name))
                if (listed := f"{image.split or 'default'}.txt") not in lists:
                    file = (folder / LISTS / listed).open("w", encoding="utf-8", newline="\n")
                    lists[listed] = files.enter_context(file)
                lists[listed].write(f"{PurePosixPath(flat(image.name)).with_suffix('')}\n")
        return out / self.folder

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a folder with `Annotations` and `labelmap.txt` (see `Format`)."""
        with about(path / LABELS):
            classes = check_classes(list(_names((path / LABELS).read_text(encoding="utf-8-sig"))))
        if not (path / "Annotations").is_dir():
            raise ExportError(f"{path / 'Annotations'}: expected a folder of XML files; found none")
        return classes, _images(path, classes)


def _names(text: str) -> Iterator[str]:
    for line in text.split("\n"):  # other line ends may stand in a name
        if line and line != HEADER:
            name, *rest = line.rsplit(":", 3)
            if len(rest) != 3:
                raise ExportError(f"expected label:color_rgb:parts:actions in a line; got {line!r}")
            yield name


def _xml(image: AnnotatedImage, classes: Sequence[str]) -> str:
    root = Element("annotation", {"verified": "yes"} if image.checked else {})
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", flat(image.name))
    _add(root, "path", image.name)
    _add(SubElement(root, "source"), "database", "mldfr")
    size = SubElement(root, "size")
    for tag, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        _add(size, tag, str(value))
    _add(root, "segmented", "0")
    for box in image.boxes:
        item = SubElement(root, "object")
        for tag, text in (("name", classes[box.class_index]), ("pose", "Unspecified"), ("truncated", "0")):
            _add(item, tag, text)
        _add(item, "difficult", "0")
        frame = SubElement(item, "bndbox")
        for tag, corner in zip(CORNERS, _outward(box), strict=True):
            _add(frame, tag, str(corner))
        if box.score is not None:
            _add(item, "score", str(box.score))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text


def _outward(box: ObjectBox) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box.xyxy
    return math.floor(x0) + 1, math.floor(y0) + 1, math.ceil(x1), math.ceil(y1)


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    place, splits = folder / "Annotations", dict(_splits(folder))
    for path in sorted(path for path in place.rglob("*.xml") if path.is_file() and not is_apple_double(path)):
        with about(path):
            root = ElementTree.parse(path).getroot()
            height, width = int(_text(root, "size/height")), int(_text(root, "size/width"))
            boxes = tuple(_box(item, classes, height, width) for item in root.iterfind("object"))
            stem, verified = path.relative_to(place).with_suffix("").as_posix(), root.get("verified") == "yes"
            image = AnnotatedImage(
                _name(root, path, place), height, width, boxes, checked=verified, split=splits.get(stem, "")
            )
        yield image


def _splits(folder: Path) -> Iterator[tuple[str, str]]:
    """The pictures that lists tell apart, by the stems of their files."""
    for split in SPLITS:
        with about(listed := folder / LISTS / f"{split}.txt"):
            lines = listed.read_text(encoding="utf-8-sig").splitlines() if listed.is_file() else []
        yield from ((line, split) for line in lines)


def _name(root: Element, path: Path, place: Path) -> str:
    """The picture's name: what `path` says, if its file has the name that belongs to it."""
    name = root.findtext("path") or ""
    if name and path.relative_to(place).as_posix() == VOC.place(name):
        return name
    # Not from the element `folder`, nor from folders in `filename`: tools put there what they like.
    return (path.relative_to(place).parent / PurePosixPath(_text(root, "filename")).name).as_posix()


def _box(item: Element, classes: Sequence[str], height: int, width: int) -> ObjectBox:
    texts = [_text(item, f"bndbox/{tag}") for tag in CORNERS]
    x0, y0, x1, y1 = map(float, texts)
    corners = clip((x0 - 1, y0 - 1, x1, y1), height, width, f"bndbox {', '.join(texts)}")
    score = item.findtext("score")
    label = number_of(_text(item, "name").strip(), classes)
    return ObjectBox(label, corners, None if score is None else float(score))


def _text(element: Element, tag: str) -> str:
    text = element.findtext(tag)
    if not text:
        raise ExportError(f"expected an element <{tag}> with a value; found none")
    return text


VOC = Voc()
