"""Pascal VOC's XML, a file for each picture."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mldfr.exports.base import UNWRITABLE, AnnotatedImage, ExportError, ObjectBox, check_classes, checked
from mldfr.exports.folders import new_folder, write_new
from mldfr.exports.reading import about, from_corner, number_of

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Voc:
    """The folder `voc`: `Annotations/NAME.xml` in the folders of the pictures, and `classes.txt`, a name a line.

    VOC numbers pixels from 1 and includes the last, and most of its readers take whole numbers only. Boxes are rounded
    outward to whole pixels, so that none shrinks or vanishes: a half-open box becomes (floor x0 + 1, floor y0 + 1,
    ceil x1, ceil y1). Where a score is known it is one more element, `score`, which readers pass over.

    VOC finds a picture's file by its stem: two pictures of one stem in one folder are an error. Pictures are read back
    in the order of their files.
    """

    precision: ClassVar[float] = 1
    by_stem: ClassVar[bool] = True

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the folder and return it (see `Format`)."""
        names = check_classes(classes)
        with new_folder(out / "voc") as folder:
            (folder / "Annotations").mkdir()
            (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
            for image in checked(images, names):
                if UNWRITABLE.search(image.name):
                    raise ExportError(f"expected a name that XML can hold; got {image.name!r}")
                path = folder / "Annotations" / PurePosixPath(image.name).with_suffix(".xml")
                if not write_new(path, _xml(image, names)):
                    raise ExportError(_shared(image.name, path))
        return out / "voc"

    def read(self, path: Path) -> tuple[tuple[str, ...], Iterator[AnnotatedImage]]:
        """Read a folder with `Annotations` and `classes.txt` (see `Format`)."""
        with about(path / "classes.txt"):
            text = (path / "classes.txt").read_text(encoding="utf-8")
            classes = check_classes(text.removesuffix("\n").split("\n") if text else [])
        return classes, _images(path / "Annotations", classes)


def _xml(image: AnnotatedImage, classes: Sequence[str]) -> str:
    name = PurePosixPath(image.name)
    root = Element("annotation")
    _add(root, "folder", "" if len(name.parts) == 1 else str(name.parent))
    _add(root, "filename", name.name)
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


def _shared(name: str, path: Path) -> str:
    other = "another picture"
    if path.is_file():
        other = str(PurePosixPath(name).with_name(_text(ElementTree.parse(path).getroot(), "filename")))
    return f"{name} and {other} need one file, {path.name}, since VOC drops the suffix; rename one of them"


def _images(folder: Path, classes: Sequence[str]) -> Iterator[AnnotatedImage]:
    for path in sorted(folder.rglob("*.xml")):
        with about(path):
            root = ElementTree.parse(path).getroot()
            # Not from the element `folder`: tools put there what they like.
            name = (path.relative_to(folder).parent / _text(root, "filename")).as_posix()
            boxes = [_box(item, classes) for item in root.iterfind("object")]
            height, width = int(_text(root, "size/height")), int(_text(root, "size/width"))
            image = AnnotatedImage.clipped(name, height, width, boxes)
        yield image


def _box(item: Element, classes: Sequence[str]) -> ObjectBox:
    x0, y0, x1, y1 = (float(_text(item, f"bndbox/{tag}")) for tag in CORNERS)
    score = item.findtext("score")
    label = number_of(_text(item, "name").strip(), classes)
    return ObjectBox(label, from_corner(x0 - 1, y0 - 1, x1, y1), None if score is None else float(score))


def _text(element: Element, tag: str) -> str:
    text = element.findtext(tag)
    if not text:
        raise ExportError(f"expected an element <{tag}> with a value; found none")
    return text


VOC = Voc()
