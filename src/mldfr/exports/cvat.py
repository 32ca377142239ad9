"""A zip that CVAT imports as "COCO 1.0"."""

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

from mldfr.core.files import replacing
from mldfr.exports.base import AnnotatedImage, ExportError, Format
from mldfr.exports.checks import check_classes, checked
from mldfr.exports.coco import read_content, write_content
from mldfr.exports.reading import about

MEMBER = "annotations/instances_default.json"
"""Where CVAT looks for the annotations of its only subset."""
LABELS = "cvat-labels.json"


@dataclass(frozen=True)
class Cvat(Format):
    """`cvat.zip`: COCO's JSON where CVAT expects it (docs.cvat.ai, "COCO"), without pictures; and `cvat-labels.json`.

    The labels are also in the zip, so that a download is one file; datumaro, whose fork CVAT has, passes over them.

    In CVAT: make a task with the same pictures and paste `cvat-labels.json` as its labels ("Raw"), then "Upload
    annotations" with the format "COCO 1.0". CVAT finds a picture by its `file_name` without the suffix.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = Cvat().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/cvat.zip'
        >>> classes, images = Cvat().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    title: ClassVar[str] = "CVAT"
    precision: ClassVar[float] = 1e-6
    file: ClassVar[str] = "cvat.zip"
    beside: ClassVar[tuple[str, ...]] = (LABELS,)
    by_stem: ClassVar[bool] = True

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write the labels and `cvat.zip`, which is returned (see `Format`)."""
        names = check_classes(classes)
        path = out / self.file
        labels = json.dumps([{"name": name, "attributes": []} for name in names], indent=2) + "\n"
        with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
            with (
                archive.open(_member(MEMBER), "w", force_zip64=True) as raw,  # its size is not known ahead
                io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as file,
            ):
                write_content(file, out, names, checked(images, names, self))
            archive.writestr(_member(LABELS), labels)
            with replacing(out / LABELS) as beside:
                beside.write_text(labels)
        return path

    def read(self, path: Path) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
        """Read a zip (see `Format`), also one that CVAT has exported without pictures."""
        try:
            with about(path), ZipFile(path) as archive:
                content = archive.read(MEMBER)
        except (BadZipFile, KeyError, EOFError, RuntimeError, zlib.error) as error:  # RuntimeError: it is encrypted
            raise ExportError(f"{path}: expected a zip with {MEMBER}; {error}") from error
        return read_content(content, f"{path}: {MEMBER}")


def _member(name: str) -> ZipInfo:
    """A file of the zip; its date is fixed, so that equal annotations give equal bytes."""
    member = ZipInfo(name)
    member.compress_type = ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


CVAT = Cvat()
