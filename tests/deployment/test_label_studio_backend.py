"""A model as an ML backend of Label Studio: asked through the application of its own package."""

import base64
import json
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

import mldfr
from helpers import random_picture, save_small
from mldfr.core.errors import InputError, MissingPackageError

NAME = "mldfr.deployment.adapters.label_studio"
PARTS = "\n".join(f'<Label value="{name}"/>' for name in "abcd")
PICTURE = '<Image name="photo" value="$url"/>'
BOXES = f'<View>{PICTURE}<RectangleLabels name="box" toName="photo">{PARTS}</RectangleLabels></View>'
MASKS = f'<View>{PICTURE}<BrushLabels name="mask" toName="photo">{PARTS}</BrushLabels></View>'
PETS = (
    f'<View>{PICTURE}<Choices name="quality" toName="photo"><Choice value="blurred"/></Choices>'
    '<RectangleLabels name="box" toName="photo"><Label value="pet" predicted_values="tabby, Egyptian cat"/>'
    '<Label value="cup"/></RectangleLabels></View>'
)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setitem(sys.modules, "label_studio_ml.model", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'mldfr\[label-studio\]'"):
        import_module(NAME)


@pytest.fixture(scope="module")
def adapter():
    pytest.importorskip("label_studio_ml.api", reason="label-studio-ml, which is optional, is not installed")
    return import_module(NAME)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small(tmp_path_factory.mktemp("model") / "m.safetensors", class_names=list("abcd"))


@pytest.fixture
def serve(adapter, tmp_path, monkeypatch):
    """Asks a backend as Label Studio does: first to be set up, then for what is wanted."""
    monkeypatch.setenv(adapter.OPTIONS, "{}")

    def started(config, model, **options):
        client = adapter.create(model, tmp_path / "backend", device="cpu", **options).test_client()

        def ask(path, **content):
            if path == "predict":
                content = {"tasks": [{"id": 1, "data": {"url": str(url)}} for url in content["urls"]]}
            if path == "setup":
                content = {"project": "7.1", "schema": config, "hostname": "", "access_token": ""}
            answer = client.post(f"/{path}", json=content)
            assert answer.status_code in (200, 201), answer.json
            return answer.json

        return ask

    return started


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "some pictures" / "#1.png"
    path.parent.mkdir()
    Image.fromarray(random_picture(90, 120)).save(path)
    return path


def boxes_of(located, labels="abcd"):
    return [(label.class_name, box) for label in located.labels if label.class_name in labels for box in label.boxes]


def pixels(result):
    value, width, height = result["value"], result["original_width"], result["original_height"]
    x, y = value["x"] * width / 100, value["y"] * height / 100
    return [x, y, x + value["width"] * width / 100, y + value["height"] * height / 100]


def test_predictions_are_the_boxes_of_locate(serve, model, picture):
    ask = serve(BOXES, model, top_k=2)
    assert ask("setup") == {"model_version": "INITIAL"}
    answer = ask("predict", urls=[picture])
    (prediction,) = answer["results"]
    expected = boxes_of(mldfr.load(model, device="cpu").locate(picture, classes=2))
    np.testing.assert_allclose([pixels(result) for result in prediction["result"]], [box.xyxy for _, box in expected])
    assert [result["value"]["rectanglelabels"] for result in prediction["result"]] == [[name] for name, _ in expected]
    np.testing.assert_allclose([result["score"] for result in prediction["result"]], [box.score for _, box in expected])
    assert prediction["score"] == pytest.approx(min(box.score for _, box in expected))
    assert prediction["model_version"] == answer["model_version"] == "INITIAL"
    assert {(result["from_name"], result["to_name"]) for result in prediction["result"]} == {("box", "photo")}


def test_its_own_tools_take_the_predictions(serve, model, picture, tmp_path):
    """Its interface says that they are valid, and its converter gives the boxes back as COCO."""
    pytest.importorskip("label_studio_sdk")
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    ask = serve(BOXES, model, top_k=2)
    ask("setup")
    (prediction,) = ask("predict", urls=[picture])["results"]
    assert LabelInterface(BOXES).validate_prediction(prediction)
    accepted = [{"id": 1, "data": {"url": "a.png"}, "annotations": [{"id": 1, "result": prediction["result"]}]}]
    (tmp_path / "accepted.json").write_text(json.dumps(accepted))
    converter = Converter(BOXES, project_dir=None, download_resources=False)
    converter.convert(str(tmp_path / "accepted.json"), str(tmp_path / "coco"), "COCO", is_dir=False)
    content = json.loads((tmp_path / "coco/result.json").read_text())
    found = [[x, y, x + width, y + height] for x, y, width, height in (row["bbox"] for row in content["annotations"])]
    expected = boxes_of(mldfr.load(model, device="cpu").locate(picture, classes=2))
    np.testing.assert_allclose(found, [box.xyxy for _, box in expected], atol=1e-3)
    assert ["abcd"[row["category_id"]] for row in content["annotations"]] == [name for name, _ in expected]


def test_masks_are_those_of_the_boxes(serve, model, picture):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    ask = serve(MASKS, model, top_k=2)
    ask("setup")
    (prediction,) = ask("predict", urls=[picture])["results"]
    located = mldfr.load(model, device="cpu").locate(picture, classes=2)
    assert [result["value"]["brushlabels"] for result in prediction["result"]] == [[n] for n, _ in boxes_of(located)]
    for result, mask in zip(prediction["result"], located.masks(), strict=True):
        assert (result["type"], result["value"]["format"]) == ("brushlabels", "rle")
        drawn = brush.decode_rle(result["value"]["rle"]).reshape(90, 120, 4)[..., 3]
        np.testing.assert_array_equal(drawn > 0, mask)


def test_pictures_from_wherever_they_are(serve, model, picture, tmp_path, monkeypatch):
    """A file, a link to it, text, Label Studio's local storage, and a server; what is nowhere gets no boxes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    text = base64.b64encode(picture.read_bytes()).decode()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    urls = [
        picture,
        picture.as_uri(),
        f"data:image/png;base64,{text}",
        f"/data/local-files/?d={tmp_path.relative_to('/')}/some%20pictures/%231.png",
        f"http://127.0.0.1:{server.server_port}/some%20pictures/%231.png",
    ]
    nowhere = [tmp_path / "broken.png", "/nowhere/a.png", "data:image/png;base64,xyz", "s3://none/a.png", ""]
    ask = serve(BOXES, model)
    ask("setup")
    first, *others = (each["result"] for each in ask("predict", urls=urls + nowhere)["results"])
    server.shutdown()
    assert first
    assert others == [first] * 4 + [[]] * 5


def test_no_file_outside_of_the_folder_that_is_served(adapter, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(adapter, "LOCAL_FILES_DOCUMENT_ROOT", str(picture.parent))
    assert adapter._local("/data/local-files/?d=%231.png") == picture
    (tmp_path / "secret.png").write_bytes(picture.read_bytes())
    for name in ("../secret.png", str(tmp_path / "secret.png"), "/data/local-files/?d=../secret.png"):
        assert adapter._local(name) is None


def annotation(number, url, label):
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": [label]}
    choice = {"from_name": "quality", "to_name": "photo", "type": "choices", "value": {"choices": ["blurred"]}}
    drawn = {"from_name": "box", "to_name": "photo", "type": "rectanglelabels", "value": value}
    return {"id": number, "task": {"id": number, "data": {"url": url}}, "result": [choice, drawn]}


@pytest.fixture
def crops(jpegs, tmp_path):
    """Parts of a photograph of a cat and of one of a cup, as files and as text."""
    found = []
    for number in range(4):
        label, name = (("pet", "chelsea"), ("cup", "coffee"))[number % 2]
        path = tmp_path / f"{number}.jpg"
        with Image.open(jpegs[name]) as photo:
            photo.crop((40 + 10 * number, 0, 290 + 10 * number, 250)).save(path)
        text = f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
        found.append((text if number > 1 else str(path), label))
    return found


def wait_for(folder, limit=300):
    """The results of processes that Label Studio's package has started, when there is one."""
    end = time.monotonic() + limit
    while not (found := list(folder.glob("*/job_result.json"))) and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(0.5)
    return found


def test_a_new_head_is_fitted_on_annotations_that_come_one_by_one(serve, crops, tmp_path):
    ask = serve(PETS, "imagenet", train_after=4)
    ask("setup")
    before = ask("predict", urls=[url for url, _ in crops[:2]])["results"]
    assert [len(each["result"]) for each in before] == [1, 0]  # a cat by its other names, and no cup
    for number, (url, label) in enumerate(crops):
        made = annotation(number, url, label)
        project = {"id": 7, "label_config": PETS}
        job = ask("webhook", action="ANNOTATION_CREATED", annotation=made, task=made["task"], project=project)
        journal = tmp_path / "backend" / "annotations.jsonl"
        while not journal.exists() or len(journal.read_text().splitlines()) <= number:
            time.sleep(0.1)
        time.sleep(1.0)  # Label Studio's package calls its jobs by the second
    (result,) = wait_for(tmp_path / "backend")
    version = int(job["job_id"])
    assert json.loads(result.read_text())["version"] == str(version)
    assert ask("setup") == {"model_version": version}
    answer = ask("predict", urls=[url for url, _ in crops])
    for prediction, (_, label) in zip(answer["results"], crops, strict=True):
        assert prediction["model_version"] == str(version)
        assert {name for each in prediction["result"] for name in each["value"]["rectanglelabels"]} == {label}
    card = mldfr.load(result.parent / "run", device="cpu").card
    assert card.class_names == ("cup", "pet")
    assert card.architecture.backbone == "efficientnet_lite0"


def test_a_head_is_fitted_when_somebody_asks_and_on_the_models_own_trunk(adapter, serve, crops, model, tmp_path):
    """Called as the package calls it in its process; what was corrected or deleted since does not count."""
    serve(PETS, str(model), train_after=100)
    folder, project = tmp_path / "backend", {"id": 7, "label_config": PETS}

    def tell(event, second, **data):
        workdir = folder / str(second)
        workdir.mkdir(parents=True)
        return adapter.Backend(label_config=PETS).process_event(
            event, {"project": project, **data}, str(second), {"workdir": str(workdir)}
        )

    for number, (url, label) in enumerate([*crops, (crops[0][0], "cup")]):
        made = annotation(number, url, label)
        assert tell("ANNOTATION_CREATED", number, annotation=made, task=made["task"]) is None
    assert tell("ANNOTATIONS_DELETED", 50, annotations=[{"id": 4}]) is None
    made = annotation(1, crops[1][0], "pet")
    assert tell("ANNOTATION_UPDATED", 51, annotation=made, task=made["task"]) is None
    output = tell("START_TRAINING", 52)
    rows = (folder / "52" / "labels.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows] == ["labels", "pet", "pet", "pet", "cup"]
    card = mldfr.load(output["model"], device="cpu").card
    own = mldfr.load(model, device="cpu").card
    assert card.architecture.backbone == own.architecture.backbone == "mobilenet_v2"
    assert card.preprocessing.input_size == own.preprocessing.input_size
    assert json.loads((folder / "trained.json").read_text()) == {"annotations": 7}


def test_all_annotations_at_once_as_older_versions_send_them(serve, crops, tmp_path, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_ML_BACKEND_V2", "")  # the package's own default fails there
    monkeypatch.setattr(import_module("label_studio_ml.model").LabelStudioMLManager, "_current_model", {})
    ask = serve(PETS, "imagenet")
    ask("setup")
    tasks = [
        {"id": number, "data": {"url": url}, "annotations": [annotation(number, url, label)]}
        for number, (url, label) in enumerate(crops)
    ]
    ask("train", annotations=tasks, project="7.1", label_config=PETS)
    client = {"tasks": [{"id": 1, "data": {"url": crops[1][0]}}], "project": "7.1", "label_config": PETS}
    app = import_module("label_studio_ml.api")._server.test_client()
    answer = app.post("/predict", json=client).json
    assert answer["results"][0]["result"][0]["value"]["rectanglelabels"] == ["cup"]
    assert answer["model_version"] == answer["results"][0]["model_version"]


def test_one_label_alone_is_nothing_to_learn_from(adapter, crops, tmp_path):
    made = [{"data": {"url": crops[0][0]}, "annotations": [annotation(1, crops[0][0], "pet")]}]
    assert adapter.Backend(label_config=PETS).fit(made, str(tmp_path / "1")) is None


def test_what_is_wrong_is_said(adapter, model, crops, tmp_path):
    with pytest.raises(InputError, match="top_k and train_after are at least 1; got 0 and 10"):
        adapter.create(str(model), tmp_path, top_k=0)
    with pytest.raises(
        InputError, match=r"expected RectangleLabels or BrushLabels on an Image .*; got Choices quality"
    ):
        adapter.Backend(
            label_config=f'<View>{PICTURE}<Choices name="quality" toName="photo"><Choice value="x"/></Choices></View>'
        ).predict([])
    with pytest.raises(InputError, match="needs a folder"):
        adapter.Backend(label_config=PETS).fit([])
    url = crops[0][0]
    odd = [{"data": {"url": url}, "annotations": [annotation(1, url, "a;b"), annotation(1, url, "c")]}]
    odd.append({"data": {"url": crops[1][0]}, "annotations": [annotation(1, url, "d|e")]})
    with pytest.raises(InputError, match=r"cannot have ';' or '\|' in their names; got 'd\|e'"):
        adapter.Backend(label_config=PETS).fit(odd, str(tmp_path / "1"))
