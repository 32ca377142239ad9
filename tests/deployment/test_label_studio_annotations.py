"""What Label Studio says of interfaces and annotations; its package is not needed for it."""

import json

import pytest

from mldfr.core.errors import InputError
from mldfr.deployment.adapters.label_studio_annotations import (
    AnnotationJournal,
    Control,
    Labelled,
    control_of,
    labelled,
    project_of,
)

IMAGE = {"type": "Image", "value": "url"}
CONTROL = Control("RectangleLabels", "box", "photo", "url", {"cat": {}, "dog": {"predicted_values": " beagle,,pug "}})


def tag(kind, *inputs, labels=("cat",)):
    return {"type": kind, "to_name": ["photo"], "inputs": list(inputs), "labels_attrs": {name: {} for name in labels}}


def drawn(*names, control="box"):
    return {"from_name": control, "value": {"x": 1, "rectanglelabels": list(names)}}


def test_boxes_are_filled_before_masks_and_only_on_pictures():
    text, mask, box = tag("RectangleLabels", {"type": "Text"}), tag("BrushLabels", IMAGE), tag("RectangleLabels", IMAGE)
    assert control_of({"text": text, "mask": mask, "box": box}) == Control(
        "RectangleLabels", "box", "photo", "url", {"cat": {}}
    )
    assert control_of({"text": text, "mask": mask}).name == "mask"
    with pytest.raises(InputError, match="on an Image in the labelling interface; got RectangleLabels text"):
        control_of({"text": text})
    with pytest.raises(InputError, match="got nothing"):
        control_of({})


def test_labels_of_classes_by_name_and_by_what_is_predicted():
    assert CONTROL.labels_by_class(["pug", "bird", "cat", "beagle", "dog"]) == {
        0: "dog",
        2: "cat",
        3: "dog",
        4: "dog",
    }
    assert CONTROL.labels_by_class(["bird"]) == {}


def test_labels_are_those_of_the_control_once_each_and_nothing_of_what_was_skipped():
    task = {"data": {"url": "1.jpg"}}
    two = {"result": [drawn("dog"), drawn("cat"), drawn("dog"), drawn("bird", control="other")]}
    none = [{"result": []}, {"was_cancelled": True, "result": [drawn("cat")]}, {"result": [{"type": "relation"}]}]
    assert labelled(task, [two, *none], CONTROL) == [Labelled("1.jpg", ("cat", "dog"))]


def event(number, *names, project=7):
    task = {"data": {"url": f"{number}.jpg"}}
    return {"annotation": {"id": number, "result": [drawn(*names)]}, "task": task, "project": {"id": project}}


def test_the_last_event_of_an_annotation_counts(tmp_path):
    journal = AnnotationJournal(tmp_path)
    events = [event(1, "cat"), event(2, "dog"), event(1, "dog"), event(3, "cat", project=8)]
    assert [journal.add(each, CONTROL) for each in events] == [1, 2, 3, 4]
    assert journal.add({"annotations": [{"id": 2}], "project": {"id": 7}}, CONTROL) == 5
    assert AnnotationJournal(tmp_path).said("7") == [Labelled("1.jpg", ("dog",))]
    assert journal.said("8") == [Labelled("3.jpg", ("cat",))]
    assert journal.add({"project": {"id": 7}}, CONTROL) == 5  # somebody asks for training: nothing was annotated


def test_a_line_that_a_kill_has_torn_is_cut_off(tmp_path):
    AnnotationJournal(tmp_path).add(event(1, "cat"), CONTROL)
    with (tmp_path / "annotations.jsonl").open("a") as file:
        file.write('{"annotation": 2, "proj')
    journal = AnnotationJournal(tmp_path)
    assert journal.said("7") == [Labelled("1.jpg", ("cat",))]
    assert journal.add(event(3, "dog"), CONTROL) == 2
    lines = (tmp_path / "annotations.jsonl").read_text().splitlines()
    assert [json.loads(line)["annotation"] for line in lines] == [1, 3]


def test_how_many_were_there_when_a_head_was_fitted(tmp_path):
    journal = AnnotationJournal(tmp_path)
    assert journal.trained == 0
    journal.trained = 12
    assert AnnotationJournal(tmp_path).trained == 12


def test_a_project_without_a_number():
    assert [project_of(data) for data in ({}, {"project": None}, {"project": {"id": 0}})] == ["", "", "0"]
