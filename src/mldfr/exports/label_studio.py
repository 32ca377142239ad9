"""Label Studio's tasks with predictions, and the labelling interface that fits them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Comment, Element, SubElement

from pydantic import BaseModel, BeforeValidator, RootModel

from mldfr.core.files import replacing
from mldfr.exports.base import AnnotatedImage, ExportError, Format, ObjectBox, clip
from mldfr.exports.checks import check_classes, checked, distinct
from mldfr.exports.coco import write_rows
from mldfr.exports.reading import about, number_of, parse_json

BOXES, PICTURE = "label", "image"
"""The names of the two parts of the interface, which every result refers to."""
STEPS = """
To see the pictures from this machine, name their folder `images` or make a link of this name to it. Start Label Studio
with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and with LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=DIR, the folder in
which `images` is. Paste this text as the labelling interface of a project, add DIR/images to its cloud storages as
"Local files" without synchronizing it, and import label-studio.json.
"""


def _rectangles(results: Any) -> Any:
    """The results of a labelling without relations, choices and whatever else a person's interface may have."""
    if not isinstance(results, list):
        return results
    return [item for item in results if not isinstance(item, dict) or item.get("type") == "rectanglelabels"]


class _Data(BaseModel):
    image: str
    height: int
    width: int


class _Value(BaseModel):
    x: float
    y: float
    width: float
    height: float
    rotation: float = 0
    rectanglelabels: list[str]


class _Result(BaseModel):
    value: _Value
    score: float | None = None


class _Results(BaseModel):
    result: Annotated[list[_Result], BeforeValidator(_rectangles)]
    was_cancelled: bool = False


class _Task(BaseModel):
    data: _Data
    predictions: list[_Results | int] = []  # some exports have only their numbers
    annotations: list[_Results] = []

    def counting(self) -> _Results | None:
        """What `LabelStudio.read` takes of the task."""
        known = self.annotations or [item for item in self.predictions if isinstance(item, _Results)]
        return next((item for item in known if not item.was_cancelled), None)


class _Tasks(RootModel[list[dict[str, Any]]]):
    pass


@dataclass(frozen=True)
class LabelStudio(Format):
    """`label-studio.json`, tasks to import, and `label-studio.xml`, the labelling interface, which says what to do.

    Each task has one prediction (labelstud.io/guide/predictions): rectangles in percent of the picture's sides, each
    with its score, and as the prediction's score the lowest of them, so that sorting tasks by it shows doubtful boxes
    first. The picture's size is among the task's data, since tasks without boxes would have none. Of a picture that a
    person has checked the rectangles are an annotation, so that its task is done.

    Attributes:
        prefix: What stands before a picture's name in its URL; by default that of the folder `images` in the document
            root of Label Studio, which serves only folders inside of the root. Names are percent-encoded behind it.
        model_version: What Label Studio shows as the source of the predictions.

    Examples:
        >>> from mldfr.exports import AnnotatedImage, ObjectBox
        >>> image = AnnotatedImage("1.jpg", 300, 451, (ObjectBox(0, (10, 20, 50, 60), score=0.9),))
        >>> path = LabelStudio().write(Path("boxes"), ["cat"], [image])
        >>> path.as_posix()
        'boxes/label-studio.json'
        >>> classes, images = LabelStudio().read(path)
        >>> [box.xyxy for image in images for box in image.boxes]
        [(10.0, 20.0, 50.0, 60.0)]
    """

    prefix: str = "/data/local-files/?d=images/"
    model_version: str = "mldfr"
    title: ClassVar[str] = "Label Studio"
    precision: ClassVar[float] = 1e-6
    file: ClassVar[str] = "label-studio.json"
    beside: ClassVar[tuple[str, ...]] = ("label-studio.xml",)

    def write(self, out: Path, classes: Sequence[str], images: Iterable[AnnotatedImage]) -> Path:
        """Write both files and return the JSON (see `Format`)."""
        names = check_classes(classes)
        path = out / self.file
        with replacing(path) as temporary:
            with temporary.open("w", encoding="utf-8") as file:
                file.write("[")
                write_rows(file, self._tasks(checked(images, names, self), names))
                file.write("]\n")
            with replacing(path.with_suffix(".xml")) as interface:
                interface.write_text(_interface(names), encoding="utf-8")
        return path

    def read(self, path: Path) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
        """Read the JSON, with the XML of the same name beside it (see `Format`).

        Of a task that a person has annotated, the first annotation counts that was not skipped; of others, the first
        prediction. A task that was only skipped, or has only the number of a prediction, is left out: what is in its
        picture is not known.
        """
        interface = path.with_suffix(".xml")
        with about(interface):
            labels = ElementTree.parse(interface).getroot().iter("Label")
            classes = check_classes([label.get("value", "") for label in labels])
        with about(path):
            content = path.read_bytes()
        images = []
        for number, entry in enumerate(parse_json(content, _Tasks, path).root, start=1):
            with about(f"{path}: {_called(entry, number)}"):
                task = _Task.model_validate(entry)
                if counting := task.counting():
                    images.append(self._image(task.data, counting, classes, checked=bool(task.annotations)))
        return classes, list(distinct(images, path))

    def _tasks(self, images: Iterable[AnnotatedImage], classes: Sequence[str]) -> Iterator[dict[str, Any]]:
        for image in images:
            prediction: dict[str, Any] = {"model_version": self.model_version}
            scores = [box.score for box in image.boxes if box.score is not None]
            if scores:
                prediction["score"] = min(scores)
            prediction["result"] = [
                rectangle(box, image, number, classes[box.class_index])
                for number, box in enumerate(image.boxes, start=1)
            ]
            data = {"image": self.prefix + quote(image.name), "height": image.height, "width": image.width}
            if image.checked:
                yield {"data": data, "annotations": [{"result": prediction["result"]}]}
            else:
                yield {"data": data, "predictions": [prediction]}

    def _image(self, data: _Data, results: _Results, classes: Sequence[str], *, checked: bool) -> AnnotatedImage:
        boxes = tuple(_box(result, data, classes) for result in results.result)
        name = unquote(data.image.removeprefix(self.prefix))
        return AnnotatedImage(name, data.height, data.width, boxes, checked)


def _called(entry: dict[str, Any], number: int) -> str:
    """What errors call a task: by its picture, if it has one."""
    data = entry.get("data")
    image = data.get("image") if isinstance(data, dict) else None
    return f"task {number}" if image is None else str(image)


def rectangle(
    box: ObjectBox, image: AnnotatedImage, number: int, name: str, *, control: str = BOXES, picture: str = PICTURE
) -> dict[str, Any]:
    """A box as a result of a labelling: in percent of the picture's sides.

    Args:
        box, image: The box, and the picture in which it is.
        number: That no other box of the picture has.
        name: Of its class.
        control, picture: The names of the two parts of the interface.

    Examples:
        >>> result = rectangle(ObjectBox(0, (10, 20, 50, 60)), AnnotatedImage("1.jpg", 100, 200), 1, "cat")
        >>> result["type"], result["value"]["x"], result["value"]["width"]
        ('rectanglelabels', 5.0, 20.0)
    """
    x0, y0, x1, y1 = box.xyxy
    value = {
        "x": 100 * x0 / image.width,
        "y": 100 * y0 / image.height,
        "width": 100 * (x1 - x0) / image.width,
        "height": 100 * (y1 - y0) / image.height,
        "rotation": 0,
    }
    return region("RectangleLabels", value, box, image, number, name, control=control, picture=picture)


def region(
    kind: str,
    value: Mapping[str, Any],
    box: ObjectBox,
    image: AnnotatedImage,
    number: int,
    name: str,
    *,
    control: str,
    picture: str,
) -> dict[str, Any]:
    """A result of a labelling: where something is, as one of its controls says it.

    Args:
        kind: Of the control: RectangleLabels, BrushLabels.
        value: What it says beside the name.
        box, image, number, name, control, picture: As for `rectangle`.

    Examples:
        >>> box, image = ObjectBox(0, (10, 20, 50, 60), 0.5), AnnotatedImage("1.jpg", 100, 200)
        >>> result = region("BrushLabels", {"format": "rle"}, box, image, 1, "cat", control="mask", picture="image")
        >>> result["value"], result["score"]
        ({'format': 'rle', 'brushlabels': ['cat']}, 0.5)
    """
    result = {
        "id": f"box-{number}",
        "type": kind.lower(),
        "from_name": control,
        "to_name": picture,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {**value, kind.lower(): [name]},
    }
    return result if box.score is None else result | {"score": box.score}


def _interface(classes: Sequence[str]) -> str:
    view = Element("View")
    view.append(Comment(STEPS))
    SubElement(view, "Image", name=PICTURE, value="$image", zoom="true", zoomControl="true")
    labels = SubElement(view, "RectangleLabels", name=BOXES, toName=PICTURE)
    for name in classes:
        SubElement(labels, "Label", value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _box(result: _Result, data: _Data, classes: Sequence[str]) -> ObjectBox:
    value = result.value
    if value.rotation:
        raise ExportError(f"expected a box without rotation; got one of {value.rotation:g} degrees")
    if len(value.rectanglelabels) != 1:
        raise ExportError(f"expected one label on a box; got {', '.join(value.rectanglelabels) or 'none'}")
    x0, y0 = value.x * data.width / 100, value.y * data.height / 100
    x1, y1 = x0 + value.width * data.width / 100, y0 + value.height * data.height / 100
    corners = clip((x0, y0, x1, y1), data.height, data.width, str(value))
    return ObjectBox(number_of(value.rectanglelabels[0], classes), corners, result.score)


LABEL_STUDIO = LabelStudio()
