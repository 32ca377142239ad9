"""Annotations to one file to download."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile

from mldfr.exports import FORMATS, AnnotatedImage, ExportError, ObjectBox
from mldfr.web.errors import WebError
from mldfr.web.schemas import AnnotatedPicture, ExportRequest

MEDIA_TYPES = {".json": "application/json", ".zip": "application/zip"}


class Download(NamedTuple):
    """A file for the client."""

    name: str
    media_type: str
    content: bytes


def titles() -> dict[str, str]:
    """What people call the formats that can be written."""
    return {name: format.title or name for name, format in FORMATS.usable()}


def export(request: ExportRequest) -> Download:
    """Write a format into a temporary folder, and take it from there: several files as a zip.

    Raises:
        WebError: 422 for what the format cannot hold.
    """
    with TemporaryDirectory(prefix="mldfr-export-") as folder:
        try:
            images = [_image(picture) for picture in request.pictures]
            FORMATS[request.format].write(Path(folder), request.classes, images)
        except ExportError as error:
            reason = str(error).replace(f"{folder}/", "")
            raise WebError(422, "cannot_be_exported", reason) from error
        file, media_type = packed(Path(folder), request.format)
        return Download(file.name, media_type, file.read_bytes())


def _image(picture: AnnotatedPicture) -> AnnotatedImage:
    boxes = tuple(ObjectBox(box.class_index, box.xyxy, box.score) for box in picture.boxes)
    return AnnotatedImage(picture.name, picture.height, picture.width, boxes)


def packed(folder: Path, name: str) -> tuple[Path, str]:
    """The only file of a folder, or all of them as a zip in it that is called by a name; and its media type."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [file for file in files if file.name == f"{name}.zip"] or files  # no zip in a zip
    if len(files) == 1 and files[0].suffix in MEDIA_TYPES:
        return files[0], MEDIA_TYPES[files[0].suffix]
    archive_file = folder / f"{name}.zip"
    with ZipFile(archive_file, "w", ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder).as_posix())
    return archive_file, MEDIA_TYPES[".zip"]
