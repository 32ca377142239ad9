"""Pictures of another size than their annotations say: named by `data`, counted by `evaluate`, left out of CorLoc."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from helpers import annotation, make_ilsvrc, make_pets, make_voc, make_wsol, write_picture, write_text
from mldfr.cli.main import app
from mldfr.data import READERS, open_data
from mldfr.data.sizes import is_resize, known_size, told_sizes
from mldfr.data.survey import survey
from mldfr.evaluation.plan import Request, plan_maps
from mldfr.evaluation.run import evaluate as evaluate_all
from mldfr.evaluation.run import evaluation_job
from mldfr.evaluation.selection import CORLOC
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import try_rules
from mldfr.networks.network import LocalizationNetwork

SIZED = "<size><width>{}</width><height>{}</height><depth>3</depth></size>"


def problems(source):
    return [problem.message for problem in survey(open_data(source)).problems if problem.kind == "size"]


def with_size(path, width, height):
    path.write_text(path.read_text().replace("<annotation>", "<annotation>" + SIZED.format(width, height)))


def make_coco(root, sizes, *, turned=()):
    """Pictures of 60 x 40 with a box each; `sizes` are what the file says of them, (width, height)."""
    images, marks = [], []
    for index, (width, height) in enumerate(sizes):
        path = write_picture(root / f"{index}.jpg", (60, 40))
        if index in turned:
            with Image.open(path) as image:
                exif = image.getexif()
                exif[0x0112] = 6
                image.save(path, exif=exif)
        images.append({"id": index, "file_name": f"{index}.jpg", "width": width, "height": height})
        marks.append({"id": index, "image_id": index, "category_id": index % 2, "bbox": [4, 4, 30, 30]})
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    write_text(root / "test.json", json.dumps({"images": images, "annotations": marks, "categories": categories}))
    return f"coco:{root / 'test.json'}"


@pytest.mark.parametrize(
    ("annotated", "actual", "said"),
    [
        ((80, 120), (40, 60), "twice the size"),
        ((20, 30), (40, 60), "half the size"),
        ((375, 500), (192, 256), "1.95 times the size"),
        ((427, 640), (213, 320), "twice the size"),
        ((60, 40), (40, 60), "turned, the annotations were made without the EXIF orientation"),
        ((120, 80), (40, 60), "turned and resized"),
        ((40, 90), (40, 60), "is 40x60; its boxes belong to 40x90 (height x width)"),
    ],
)
def test_the_cause_is_told(annotated, actual, said):
    message = told_sizes(annotated, actual)
    assert said in message
    assert f"is {actual[0]}x{actual[1]}; its boxes belong to {annotated[0]}x{annotated[1]}" in message
    assert ("resize" in message) == (is_resize(annotated, actual) or "resized" in message)


def test_no_cause_where_there_is_none():
    assert told_sizes((40, 90), (40, 60)).endswith("(height x width)")
    assert told_sizes((41, 60), (40, 60)).endswith("(height x width)")


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (40, 60, (40, 60)),
        ("40", " 60 ", (40, 60)),
        (40.0, 60.0, (40, 60)),
        (0, 60, None),
        (None, 60, None),
        ("", "", None),
        ("Unspecified", 60, None),
        (-1, -1, None),
        (True, 60, None),
        (40.5, 60, None),
    ],
)
def test_zeros_and_nothing_mean_unknown(height, width, size):
    assert known_size(height, width) == size


def test_coco_pictures_of_another_size(tmp_path):
    source = make_coco(tmp_path, [(60, 40), (120, 80), (0, 0), (60, 40), (None, 40)], turned=[3])
    found = problems(source)
    assert len(found) == 2
    assert "is 40x60; its boxes belong to 80x120 (height x width): a plain resize" in found[0]
    assert "is 60x40; its boxes belong to 40x60 (height x width): turned" in found[1]
    assert {problem.kind for problem in survey(open_data(source)).problems} == {"size"}


def test_voc_ilsvrc_wsol_and_pets_of_another_size(tmp_path):
    voc = make_voc(tmp_path / "voc")
    with_size(voc / "VOC2007" / "Annotations" / "000001.xml", 80, 60)
    with_size(voc / "VOC2007" / "Annotations" / "000002.xml", 0, 0)
    assert len(problems(f"voc2007:{voc}")) == 2  # in train and in trainval
    ilsvrc = make_ilsvrc(tmp_path / "ilsvrc")
    with_size(ilsvrc / "Annotations" / "val" / "v1.xml", 30, 40)
    assert "turned" in problems(f"ilsvrc:{ilsvrc}")[0]
    wsol = make_wsol(tmp_path / "wsol")
    write_text(wsol / "test" / "image_sizes.txt", "val/a,b.png,40,30", "val/c.png,20,15")
    assert "half the size" in problems(f"wsol:{wsol}")[0]
    pets = make_pets(tmp_path / "pets")
    write_picture(pets / "images" / "Bengal_1.jpg", (20, 15))
    assert "twice the size" in problems(f"pets:{pets}")[0]
    for kind, make in (("voc2007", make_voc), ("ilsvrc", make_ilsvrc), ("wsol", make_wsol), ("pets", make_pets)):
        assert problems(f"{kind}:{make(tmp_path / f'good-{kind}')}") == []


def test_a_picture_without_boxes_has_no_size_to_agree_with(tmp_path):
    path = annotation(make_voc(tmp_path) / "VOC2007" / "Annotations" / "000001.xml")
    with_size(path, 400, 300)
    assert READERS["voc2007"](tmp_path).split("train")[0].size == (300, 400)
    assert problems(f"voc2007:{tmp_path}") == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    LocalizationNetwork.create("mobilenet_v2", class_names=["cat", "dog"], weights=None).save(path)
    return path


def test_evaluate_counts_them_and_compares_the_others(model, tmp_path):
    source = make_coco(tmp_path / "set", [(60, 40), (120, 80), (60, 40), (60, 40)], turned=[3])
    command = ["evaluate", str(model), "--data", source, "--scales", "1", "--protocol", "paper"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if "another size" in line]
    assert "2 pictures have another size" in line
    assert "1.jpg" in line
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [report["counts"][key] for key in ("images", "failed", "other_size")] == [2, 2, 2]
    assert "turned" in report["failed"]["3.jpg"]
    page = CliRunner().invoke(app, ["report", str(tmp_path / "out"), "--out", str(tmp_path / "r.html")])
    assert page.exit_code == 0, page.output
    assert "another size than annotated" in (tmp_path / "r.html").read_text()


def test_select_takes_the_boxes_of_the_others(tmp_path, model):
    localizer = LocalizationNetwork.load(model)
    source = make_coco(tmp_path, [(60, 40), (120, 80)])
    told = []
    rules = Rules(pyramids=((1.0,),), normalizers=("min_max",), thresholds=(0.2,))
    trial = try_rules(localizer, open_data(source).split("test"), rules, views=False, report=told.append)
    assert [len(truth) for truth in trial.truth] == [1, 0]
    assert ["twice the size" in error.reason for error in told] == [True]
    first = try_rules(localizer, open_data(source).split("test")[:1], rules, views=False)
    assert CORLOC.worth(trial) == pytest.approx(CORLOC.worth(first))


@pytest.mark.parametrize(
    ("annotated", "shape", "turned", "fits"),
    [
        ((60, 40), (40, 60), False, True),
        ((120, 80), (40, 60), False, False),
        ((120, 80), (80, 120), False, True),
        ((120, 80), (224, 224), False, True),
        ((60, 40), (224, 224), True, False),
        ((60, 40), (60, 40), True, False),
    ],
)
def test_stored_maps_of_pictures_of_another_size(tmp_path, annotated, shape, turned, fits):
    """A map of the annotated size, or one of 224 x 224 of a picture that was only resized, belongs to the boxes."""
    source = make_coco(tmp_path / "set", [annotated], turned=[0] if turned else [])
    (tmp_path / "maps").mkdir()
    np.save(tmp_path / "maps" / "0.jpg.npy", np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape))
    plan = plan_maps(Request(source, protocols=("paper",)), tmp_path / "maps")
    ((_, record),) = evaluate_all(plan.samples, plan.sources, plan.rules, evaluation_job(None, plan.setting, plan.ids))
    assert isinstance(record, Exception) is not fits
    if not fits:
        assert "its boxes belong to" in str(record)


def test_stored_maps_without_pictures_have_the_annotated_size(tmp_path):
    root = make_wsol(tmp_path)
    shutil.rmtree(tmp_path / "dataset")
    (tmp_path / "maps" / "val").mkdir(parents=True)
    for name in ("a,b.png", "c.png"):
        np.save(tmp_path / "maps" / "val" / f"{name}.npy", np.eye(224, dtype=np.float32))
    plan = plan_maps(Request(f"wsol:{root}", protocols=("paper",)), tmp_path / "maps")
    found = list(evaluate_all(plan.samples, plan.sources, plan.rules, evaluation_job(None, plan.setting, plan.ids)))
    assert [(record.height, record.width) for _, record in found] == [(30, 40), (30, 40)]
