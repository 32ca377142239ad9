"""Some pictures of CUB-200-2011, as a smaller folder of the same layout."""

from collections.abc import Collection, Iterator
from pathlib import Path

TABLES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")
CLASSES = (4, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 21, 23, 26, 28, 29, 30, 31, 33, 34)
"""The numbers of the 20 classes that docs/results.md speaks of."""


def rows(table: Path) -> dict[str, str]:
    """Lines `id value` of one of CUB's tables."""
    lines = table.read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line.strip())


def ids_of(folder: Path, classes: Collection[int] = CLASSES) -> list[str]:
    """The ids of the pictures of some classes."""
    return [key for key, label in rows(folder / "image_class_labels.txt").items() if int(label) in classes]


def few_ids(folder: Path, *, classes: int, train: int, test: int) -> list[str]:
    """The ids of the first training and test pictures of the first classes."""
    labels, training = rows(folder / "image_class_labels.txt"), rows(folder / "train_test_split.txt")
    first = sorted(set(map(int, labels.values())))[:classes]
    chosen = []
    for label in first:
        for flag, count in (("1", train), ("0", test)):
            chosen += [key for key in labels if int(labels[key]) == label and training[key] == flag][:count]
    return chosen


def part(folder: Path, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The files of a folder that holds these pictures alone: name below it, and content."""
    kept = set(ids)
    yield "classes.txt", (folder / "classes.txt").read_bytes()
    for table in TABLES:
        lines = [f"{key} {value}\n" for key, value in rows(folder / table).items() if key in kept]
        yield table, "".join(lines).encode()
    for key, name in rows(folder / "images.txt").items():
        if key in kept:
            yield f"images/{name}", (folder / "images" / name).read_bytes()


def write_part(folder: Path, ids: Collection[str], target: Path) -> Path:
    """Write what `part` gives into a folder."""
    for name, content in part(folder, ids):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return target
