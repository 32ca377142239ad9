"""Which pictures are to be annotated, under which names, and what is known of them."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from mldfr.annotation.collect import is_claimed
from mldfr.artifacts import SCORE_MAPS
from mldfr.core.files import way_by_names
from mldfr.core.text import escaped, is_escape_of
from mldfr.core.types import Sample
from mldfr.data import READERS, DataError, DataSet, is_zip, open_data, parse_source
from mldfr.data.class_names import ClassNames, is_numbered, match_classes
from mldfr.exports import FORMATS, AnnotatedImage, ExportError
from mldfr.images import ImageError, PassedOver, find_images
from mldfr.images.archives import unpacked

Labels = Literal["given", "predicted", "own"]
"""Who says what is in a picture: labels of the model's classes, the model, or labels whatever the model's classes."""
_Found = tuple[str, Path, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Item:
    """A picture to annotate.

    Attributes:
        index: Its place in the listing, from 0.
        name: Its path with `/`, relative to the folder of the pictures; what is no Unicode is `escaped`.
        path: Its file.
        labels: The classes to look for, in the model's numbers; none where the model shall say.
        size: Bytes of the file; -1 where it is not there.
        modified: When it was changed last, in nanoseconds; -1 where it is not there.
    """

    index: int
    name: str
    path: Path
    labels: tuple[int, ...]
    size: int
    modified: int


@dataclass(frozen=True, eq=False)
class Listing:
    """All pictures, each once.

    Attributes:
        items: In the order of the data.
        failed: What cannot be annotated, by name, with the reason.
        passed_over: Junk, and files that might be meant as pictures but are not read.
        note: What a user should know of how classes of data and model were matched, or "".
    """

    items: tuple[Item, ...]
    failed: dict[str, str]
    passed_over: tuple[PassedOver, ...] = ()
    note: str = ""
    own_classes: tuple[str, ...] = ()
    """The classes that labels count, where they are not the model's."""
    root: Path = Path()
    """The folder in which the pictures are, but for those that a data set has elsewhere."""

    @property
    def unlabeled(self) -> int:
        """How many pictures have no label although others have."""
        without = sum(not item.labels for item in self.items)
        return without if without < len(self.items) else 0

    @property
    def renamed(self) -> int:
        """How many pictures have another name in annotation files, since their own is no UTF-8."""
        return sum(is_escape_of(item.name, str(item.path)) for item in self.items)

    def digest(self) -> str:
        """SHA-256 of names, labels and sizes."""
        digest = hashlib.sha256()
        for item in self.items:
            digest.update(json.dumps([item.name, item.labels, item.size]).encode())
        return digest.hexdigest()


def source_of(source: str, labels: Labels | None) -> str:
    """What is read: a folder of which labels are asked for has a folder for each class, and is `folder:PATH`."""
    return f"folder:{source}" if labels in ("given", "own") and _is_bare(source) else source


def _is_bare(source: str) -> bool:
    """Whether a source is a folder or a zip, and no `KIND:PATH`."""
    kind, colon, _ = source.partition(":")
    return not colon or (kind not in READERS and (Path(source).is_dir() or is_zip(source)))


def list_pictures(
    source: str,
    classes: Sequence[str],
    *,
    images: Path | None = None,
    splits: Sequence[str] = (),
    labels: Labels | None = None,
) -> Listing:
    """List the pictures of a folder, or of a data set.

    Args:
        source: A folder, or `KIND:PATH`. A folder of which labels are asked for is `folder:PATH`.
        classes: The model's class names.
        images: Where the pictures of wsol data are, if not beside it.
        splits: Which splits of a data set; all when empty.
        labels: Whether the labels of a data set say which classes to look for, or the model. None is `given` where
            labels are known, and `own` where the model lacks most of their classes.

    Returns:
        The pictures; score maps and links to pictures that annotating or merging has written are none.

    Raises:
        DataError: No such data, splits or another place where there can be none, labels where none are known, or a
            class that the model does not have.
    """
    source = source_of(source, labels)
    if _is_bare(source):
        if splits or images is not None:
            raise DataError(
                f"{source}: a folder has no splits, and its pictures are inside; --split and --images do not fit"
            )
        passed_over: list[PassedOver] = []
        root = unpacked(Path(source)) if is_zip(source) else Path(source)
        listing = _listing(_in_folder(str(root), passed_over), root)
        note = "" if labels else _of_folders(source, listing.items)
        return replace(listing, passed_over=tuple(passed_over), note=note)
    _, path = parse_source(source)
    root = images or (path if path.is_dir() else path.parent)
    data, known = open_data(source, images=images), labels != "predicted"
    own = labels == "own" or (labels is None and _unknown(data.classes, classes))
    samples = list(_samples(data, splits, classes if known and not own else None))
    labelled = any(sample.labels for sample in samples)
    if labels in ("given", "own") and not labelled:
        raise DataError(f"{source}: no picture has a label, so none can be given")
    if own and labelled:
        return _under_own_classes(samples, root, data, classes, by_itself=labels is None)
    note = match_classes(data.classes, classes).note if known and labelled else ""
    found = ((_name(sample, root), sample.path, sample.labels if known else ()) for sample in samples)
    return replace(_listing(found, root), passed_over=data.passed_over, note=note)


def _of_folders(source: str, items: Sequence[Item]) -> str:
    """That the names of folders are not taken for labels, where each picture is in one of several."""
    folders = {item.name.partition("/")[0] if "/" in item.name else "" for item in items}
    if len(folders) < 2 or "" in folders:
        return ""
    return f"the names of the {len(folders)} folders in {source} are not taken for labels; folder:{source} takes them"


def _unknown(own: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether a model lacks most of the classes, also of those that might be meant, such as one in other capitals."""
    names = ClassNames(classes)
    known = sum(bool(names.find(name) or names.near(name)) for name in own)
    return not is_numbered(own) and 2 * known < len(own)


def _lacked(own: Sequence[str], classes: Sequence[str]) -> str:
    """The first class that a model does not have."""
    names = ClassNames(classes)
    return next(name for name in own if not names.find(name))


def _under_own_classes(
    samples: Sequence[Sample], root: Path, data: DataSet, classes: Sequence[str], *, by_itself: bool
) -> Listing:
    """The pictures with labels; nobody says what is in the others, which `failed` names."""
    found = ((_name(sample, root), sample.path, sample.labels) for sample in samples if sample.labels)
    without = {escaped(_name(sample, root)): "has no label" for sample in samples if not sample.labels}
    listing = _listing(found, root)
    unasked = f"the model lacks most of the classes, such as {_lacked(data.classes, classes)!r}: " if by_itself else ""
    notes = [f"{unasked}labels say what is in a picture, and the model where"]
    if shared := sum(len(item.labels) > 1 for item in listing.items):
        notes.append(f"the labels of a picture share its boxes, which {shared:,} with several should be looked at for")
    return replace(
        listing,
        failed={**listing.failed, **without},
        passed_over=data.passed_over,
        note="; ".join(notes),
        root=root,
        own_classes=tuple(data.classes),
    )


def _in_folder(source: str, passed_over: list[PassedOver]) -> Iterator[_Found | ImageError]:
    if not Path(source).is_dir():
        kinds = ", ".join(READERS.names())
        raise DataError(f"{source}: no such folder; data is a folder of pictures, or KIND:PATH with one of {kinds}")
    for found in find_images([source], passed_over=passed_over):
        yield found if isinstance(found, ImageError) else (found.relative.as_posix(), found.path, ())


def _samples(data: DataSet, splits: Sequence[str], classes: Sequence[str] | None) -> Iterator[Sample]:
    """The samples of the splits, each file once; with labels in the numbers of `classes`, if there are any."""
    seen: set[str] = set()
    for split in splits or data.splits:
        for sample in data.split(split) if classes is None else _renumbered(data, split, classes):
            if (path := os.path.normpath(sample.path)) not in seen:
                seen.add(path)
                yield sample


def _renumbered(data: DataSet, split: str, classes: Sequence[str]) -> tuple[Sample, ...]:
    try:
        return data.split_for(split, classes)
    except DataError as error:
        instead = "with --labels own they are taken as they are, with --labels predicted the model says what is there"
        raise DataError(f"{error}; {instead}") from error


def _name(sample: Sample, root: Path) -> str:
    """The path from the folder of the data; of a picture outside of it what is left without the way out."""
    way = way_by_names(sample.path, root)
    return Path(*(part for part in way.parts if part not in (os.pardir, way.anchor))).as_posix()


@cache
def _is_written(folder: Path) -> bool:
    """Whether annotating or merging has written score maps here, or links to pictures."""
    if folder.name in _written_folders() and is_claimed(folder.parent):
        return True
    return folder != folder.parent and _is_written(folder.parent)


@cache
def _written_folders() -> frozenset[str]:
    return frozenset({SCORE_MAPS, *(format.folder for _, format in FORMATS.usable())} - {""})


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:
        return -1, -1  # reading it will say why
    return about.st_size, about.st_mtime_ns


def _listing(found: Iterable[_Found | ImageError], root: Path) -> Listing:
    items: dict[str, Item] = {}
    failed: dict[str, str] = {}
    for each in found:
        if isinstance(each, ImageError):
            failed[escaped(each.path)] = each.reason
            continue
        name, path, labels = escaped(each[0]), *each[1:]
        if _is_written(path.absolute().parent):
            continue
        if name in items:
            raise DataError(f"{path} and {items[name].path} would both be {name} in an annotation file")
        try:
            AnnotatedImage(name, 1, 1)
        except ExportError as error:
            failed[name] = f"no annotation file can hold its name ({error})"
        else:
            items[name] = Item(len(items), name, path, labels, *_size_and_time(path))
    return Listing(tuple(items.values()), failed, root=root)
