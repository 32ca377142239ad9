"""ImageNet's ILSVRC2012: folders of classes for training, boxes for validation."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mldfr.core.types import GroundTruth, Sample
from mldfr.data.base import DataError, DataSet
from mldfr.data.sizes import Size
from mldfr.data.voc2007 import Annotated, read_annotated
from mldfr.images import PassedOver, list_folder, take_picture

DATA = ("", "Data/CLS-LOC", "ILSVRC/Data/CLS-LOC")
ANNOTATIONS = (
    "Annotations/val",
    "Annotations/CLS-LOC/val",
    "ILSVRC/Annotations/CLS-LOC/val",
    "val_annotations",
    "val_annotations/val",
    "val",
)

Objects = tuple[list[Annotated], Size | None]
"""What an annotation has, and the size of the picture in which it was drawn."""
Found = tuple[str, Sample, Objects]
"""A picture's WordNet id, the picture without its label, and its annotation."""
NONE: Objects = ([], None)


def read(root: Path) -> DataSet:
    """Read `train/WNID/*.JPEG` and `val`, either of which may be missing, here or in `(ILSVRC/)Data/CLS-LOC`.

    Classes are the WordNet ids of the training folders, or those of the validation images where there is no training;
    sorted, which is the official order of class numbers. `val` holds the images in one folder or in a folder for each
    WordNet id. Its boxes are looked for in `Annotations/val`, `(ILSVRC/)Annotations/CLS-LOC/val`, `val_annotations` and
    beside the images, and taken as (xmin, ymin, xmax, ymax) as they stand. An image that lies in no class folder gets
    its class from there too. Validation images of other classes are left out, and `problems` has their number.

    Raises:
        DataError: Neither folder is there, there are no images, validation images have neither class folders nor
            annotations, or an annotation is not what was expected.
    """
    data = next((folder for folder in (root / place for place in DATA) if _has_data(folder)), None)
    if data is None:
        raise DataError(f"{root}: expected train or val with images, here or in {' or '.join(DATA[1:])}")
    problems: list[str] = []
    passed_over: list[PassedOver] = []
    training = list(_in_folders(data, "train", passed_over))
    validation = list(_validation(root, data, problems, passed_over))
    classes = sorted({name for name, _, _ in training or validation})
    if not classes:
        raise DataError(f"{data}: no images in train/WNID, nor in val")
    index = {name: position for position, name in enumerate(classes)}
    left_out = Counter(name for name, _, _ in validation if name not in index)
    if left_out:
        some = ", ".join(sorted(left_out)[:5])
        problems.append(f"{data / 'val'}: {left_out.total()} images of classes that train has not, such as {some}")
    named = {"train": training, "val": validation}
    splits = {
        split: tuple(_labelled(sample, index[name], objects) for name, sample, objects in found if name in index)
        for split, found in named.items()
        if found
    }
    return DataSet(tuple(classes), splits, problems=tuple(problems), passed_over=tuple(dict.fromkeys(passed_over)))


def _has_data(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / "val").is_dir()


def _labelled(sample: Sample, label: int, annotation: Objects) -> Sample:
    objects, size = annotation
    truth = tuple(GroundTruth(label, item.xyxy, item.difficult) for item in objects)
    return Sample(sample.id, sample.path, (label,), truth, size=size)


def _in_folders(data: Path, split: str, passed_over: list[PassedOver]) -> Iterator[Found]:
    for folder in _entries(data / split, passed_over):
        if folder.is_dir():
            for path in _pictures(folder, passed_over):
                yield folder.name, Sample(path.relative_to(data).as_posix(), path, ()), NONE


def _validation(root: Path, data: Path, problems: list[str], passed_over: list[PassedOver]) -> Iterator[Found]:
    places = [root / place for place in ANNOTATIONS] + [data / "val"]
    annotations = next((place for place in places if any(path.suffix == ".xml" for path in _entries(place))), None)
    owners: dict[Path, Path] = {}
    for name, sample, _ in _in_folders(data, "val", passed_over):
        path = _annotation_of(sample.path, annotations, owners) if annotations else None
        yield name, sample, _objects(path, name) if path and path.is_file() else NONE
    for path in _pictures(data / "val", passed_over):
        if annotations is None:
            looked = ", ".join(map(str, places))
            raise DataError(f"{path}: lies in no class folder, and there are no annotations (*.xml) in {looked}")
        annotation = _annotation_of(path, annotations, owners)
        objects, size = _objects(annotation) if annotation.is_file() else NONE
        if objects:
            yield objects[0].name, Sample(path.relative_to(data).as_posix(), path, ()), (objects, size)
        else:
            problems.append(
                f"{path}: left out, for {annotation} {'has no object' if annotation.is_file() else 'is missing'}"
            )


def _annotation_of(picture: Path, folder: Path, owners: dict[Path, Path]) -> Path:
    """The annotation's file, which no other picture of the same stem can have; `owners` keeps whose each is."""
    path = folder / f"{picture.stem}.xml"
    if (other := owners.setdefault(path, picture)) != picture and path.is_file():
        raise DataError(f"{path}: of {other} or of {picture}? Expected one picture for each annotation")
    return path


def _objects(path: Path, name: str | None = None) -> Objects:
    """The objects of an annotation, all of one class, `name` if it is given; and its size."""
    objects, size = read_annotated(path)
    wanted = name or (objects[0].name if objects else "")
    other = next((item.name for item in objects if item.name != wanted), None)
    if other is not None:
        raise DataError(f"{path}: expected objects of one class, {wanted}; got {other}")
    return objects, size


def _pictures(folder: Path, passed_over: list[PassedOver]) -> Iterator[Path]:
    for path in _entries(folder, passed_over):
        taken = not path.is_dir() and take_picture(path)
        if isinstance(taken, PassedOver):
            passed_over.append(taken)
        elif taken:
            yield path


def _entries(folder: Path, passed_over: list[PassedOver] | None = None) -> list[Path]:
    try:
        return list(list_folder(folder, passed_over=passed_over))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"{folder}: cannot be searched ({error.strerror})") from error
