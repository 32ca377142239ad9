"""What Label Studio says: of its labelling interface, of annotations, and of those that came one by one."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mldfr.core.errors import InputError
from mldfr.core.json_files import append_line, cut_unfinished, read_json, read_whole_lines, write_json
from mldfr.data.class_names import ClassNames
from mldfr.jobs.lock import locked

KINDS = ("RectangleLabels", "BrushLabels")
"""Parts of a labelling interface that are filled, the first that there is."""
ANNOTATIONS, TRAINED = "annotations.jsonl", "trained.json"


class Control(NamedTuple):
    """The part of a labelling interface that is filled."""

    kind: str
    name: str
    picture: str
    """The name of the part that shows the picture."""
    variable: str
    """Under which a task has the picture."""
    labels: Mapping[str, Mapping[str, str]]
    """Attributes by label."""

    def labels_by_class(self, class_names: Sequence[str]) -> dict[int, str]:
        """The label of each of the model's classes that has one: of its name, or with it among `predicted_values`."""
        names = ClassNames(class_names)
        found: dict[int, str] = {}
        for label, attributes in self.labels.items():
            others = attributes.get("predicted_values", "").split(",")
            for name in (label, *filter(None, map(str.strip, others))):
                found |= dict.fromkeys(names.find(name), label)
        return found


class Labelled(NamedTuple):
    """A picture, as its task names it, and its labels."""

    picture: str
    labels: tuple[str, ...]


def control_of(parsed: Mapping[str, Any]) -> Control:
    """What can be filled in a labelling interface that Label Studio's package has parsed.

    Raises:
        InputError: Nothing.
    """
    for kind in KINDS:
        for name, tag in parsed.items():
            if tag["type"] == kind and tag["inputs"] and tag["inputs"][0]["type"] == "Image":
                return Control(kind, name, tag["to_name"][0], tag["inputs"][0]["value"], tag["labels_attrs"])
    found = ", ".join(f"{tag['type']} {name}" for name, tag in parsed.items()) or "nothing"
    raise InputError(f"expected {' or '.join(KINDS)} on an Image in the labelling interface; got {found}")


def labelled(task: Mapping[str, Any], annotations: Iterable[Mapping[str, Any]], control: Control) -> list[Labelled]:
    """What a task's annotations say of its picture, if they have labels; what was skipped says nothing.

    Args:
        task: What is annotated.
        annotations: As Label Studio has them.
        control: Whose regions count.

    Examples:
        >>> control = Control("RectangleLabels", "box", "image", "image", {"cat": {}})
        >>> drawn = {"from_name": "box", "value": {"x": 10, "y": 10, "rectanglelabels": ["cat"]}}
        >>> labelled({"data": {"image": "1.jpg"}}, [{"result": [drawn]}, {"was_cancelled": True}], control)
        [Labelled(picture='1.jpg', labels=('cat',))]
    """
    found = []
    for annotation in annotations:
        results = () if annotation.get("was_cancelled") else annotation.get("result", ())
        mine = [each["value"] for each in results if each.get("from_name") == control.name]
        labels = {label for value in mine for label in value.get(control.kind.lower(), ())}
        if labels:
            found.append(Labelled(str(task["data"].get(control.variable, "")), tuple(sorted(labels))))
    return found


class AnnotationJournal:
    """Annotations that Label Studio has told of, one by one, and with how many of them a head was fitted last.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._file, self._lock, self._trained = folder / ANNOTATIONS, folder / ".annotations.lock", folder / TRAINED

    def add(self, data: Mapping[str, Any], control: Control) -> int:
        """Write down what an event says; of an annotation that was deleted that is nothing.

        Returns:
            How many lines there are then.

        Raises:
            DataError: A line is none, or another process holds the file for a minute.
            WriteError: It cannot be written.
        """
        several = [data["annotation"]] if "annotation" in data else data.get("annotations", [])
        with locked(self._lock, busy=f"{self._file}: another process does not let go of it", wait=60):
            cut_unfinished(self._file)
            for annotation in several:
                said = labelled(data.get("task") or {}, [annotation], control)
                line = {"annotation": annotation["id"], "project": project_of(data), "said": said}
                append_line(self._file, line, durable=True)
            return len(read_whole_lines(self._file))

    def said(self, project: str) -> list[Labelled]:
        """What the last event of each annotation of a project said."""
        last = {line["annotation"]: line for line in read_whole_lines(self._file)}
        said = (each for line in last.values() if line["project"] == project for each in line["said"])
        return [Labelled(picture, tuple(labels)) for picture, labels in said]

    @property
    def trained(self) -> int:
        """How many lines there were when a head was fitted last."""
        return int(read_json(self._trained)["annotations"]) if self._trained.is_file() else 0

    @trained.setter
    def trained(self, count: int) -> None:
        write_json(self._trained, {"annotations": count})


def project_of(data: Mapping[str, Any]) -> str:
    """The number of the project of which an event tells, or ""."""
    return str((data.get("project") or {}).get("id", ""))
