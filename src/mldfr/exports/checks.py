"""What all formats refuse in writing: class names, pictures' names and class numbers that no file can hold."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from mldfr.core.text import LONGEST
from mldfr.exports.base import AnnotatedImage, ExportError, Format

UNWRITABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, or does not give back as they were."""


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Class names that every format can hold.

    Raises:
        ExportError: A name twice, or one that is empty, has blanks around it or control characters inside.
    """
    names: set[str] = set()
    for name in classes:
        if _fault(name):
            raise ExportError(f"expected class names of one line, without blanks around them; got {name!r}")
        if name in names:
            raise ExportError(f"expected class names that differ; got {name!r} twice")
        names.add(name)
    return tuple(classes)


def faults_of_classes(classes: Sequence[str]) -> dict[str, str]:
    """The class names that `check_classes` will refuse, each with what no format can hold of it, in words."""
    return {name: fault for name in classes if (fault := _fault(name))}


def _fault(name: str) -> str:
    if not name:
        return "an empty name"
    if name != name.strip():
        return "blanks around a name"
    broken = UNWRITABLE.search(name) or "\n" in name or "\t" in name
    return "line ends, tabs or control characters" if broken else ""


class Places:
    """The names of the pictures that a format is to hold, one after the other."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._pictures: dict[str, str] = {}
        self._folders: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Take one more name.

        Raises:
            ExportError: It was there before, needs a place that another needs, or has several lines or too many bytes
                for a format of many files, which lists its pictures a line each.
        """
        if self._form.folder and name.splitlines() != [name]:
            raise ExportError(f"expected a picture's name of one line; got {name!r}; rename it")
        place = self._form.place(name)
        if self._form.folder and any(len(part.encode()) > LONGEST for part in place.split("/")):
            raise ExportError(f"{name}: File name too long (a part of {place} has over {LONGEST} bytes); rename it")
        folders = [str(folder) for folder in PurePosixPath(place).parents][:-1] if self._form.folder else []
        taken = [(place, self._folders.get(place)), *((spot, self._pictures.get(spot)) for spot in (place, *folders))]
        for spot, other in taken:
            if other == name:
                raise ExportError(f"expected pictures whose names differ; got {name!r} twice")
            if other is not None:
                raise ExportError(f"{name} and {other} both need the name {spot}; rename one of them")
        self._pictures[place] = name
        for folder in folders:
            self._folders.setdefault(folder, name)


def checked(images: Iterable[AnnotatedImage], classes: Sequence[str], form: Format) -> Iterator[AnnotatedImage]:
    """The pictures, as they come.

    Raises:
        ExportError: A box whose class is not among the classes, or a name that the format cannot hold.
    """
    places = Places(form)
    for image in images:
        places.add(image.name)
        for box in image.boxes:
            check_number(box.class_index, classes, image.name)
        yield image


def distinct(images: Iterable[AnnotatedImage], place: object) -> Iterator[AnnotatedImage]:
    """Pictures that are read, as they come.

    Raises:
        ExportError: Two of one name: the boxes of a picture stand in one place.
    """
    names: set[str] = set()
    for image in images:
        if image.name in names:
            raise ExportError(f"{place}: expected pictures whose names differ; got {image.name!r} twice")
        names.add(image.name)
        yield image


def check_number(number: int, classes: Sequence[str], place: object) -> None:
    """Refuse what is the index of no class.

    Raises:
        ExportError: It is none.
    """
    if not 0 <= number < len(classes):
        raise ExportError(f"{place}: expected one of {len(classes)} classes, numbered from 0; got {number}")
