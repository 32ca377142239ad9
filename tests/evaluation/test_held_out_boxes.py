"""Boxes beside those without training: against what `annotate` and `locate` give, and counted by torchvision."""

import copy
import csv

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import mldfr
from helpers import lively, look_small, save_small
from mldfr.artifacts import HeldOutBoxes
from mldfr.boxes.agreement import kappa_parts
from mldfr.core.types import GroundTruth, Sample
from mldfr.evaluation.held_out_boxes import FEWEST, held_out_boxes
from mldfr.evaluation.held_out_words import boxes_text
from mldfr.localizer.fitting import fit_map, suggested


@pytest.fixture(autouse=True)
def small_sides(monkeypatch):
    """Small pictures are looked at as small as they are."""
    look_small(monkeypatch)


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory):
    """Parts of two photographs, sorted into two folders."""
    root = tmp_path_factory.mktemp("sorted")
    for label, name in ((0, "chelsea.png"), (1, "coffee.png")):
        (root / f"class {label}").mkdir()
        with Image.open(photos[name]) as picture:
            for number in range(5):
                part = picture.crop((20 * number, 10 * number, 20 * number + 200, 10 * number + 160))
                part.convert("RGB").save(root / f"class {label}" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def samples(folder):
    """Each has one box of its class, and a difficult one of the whole picture."""
    found = []
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        label = int(path.parent.name[-1])
        box = (40.0 - 4 * number, 30.0, 160.0, 130.0)
        objects = (GroundTruth(label, box), GroundTruth(label, (0, 0, 200, 160), difficult=True))
        found.append(Sample(path.relative_to(folder).as_posix(), path, (label,), objects))
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return mldfr.load(save_small(tmp_path_factory.mktemp("model") / "m.safetensors", num_classes=2), device="cpu")


def corloc(boxes, samples):
    """Of torchvision's IoUs, with the first object of each picture."""
    truth = torch.tensor([sample.objects[0].xyxy for sample in samples])
    return float((box_iou(torch.as_tensor(np.array(boxes)), truth).diagonal() > 0.5).float().mean())


def test_with_boxes_they_are_those_of_locate_and_of_annotate(model, folder, samples, tmp_path):
    found = held_out_boxes(model.network, samples)
    assert (found.criterion, found.pictures, found.cases, found.fitted_on) == ("corloc", 10, 10, 10)
    own = [model.locate(each.path, classes=list(each.labels)).labels[0].boxes.largest().xyxy for each in samples]
    assert found.model == pytest.approx(corloc(own, samples))
    centred = [(40.0, 32.0, 160.0, 128.0)] * 10
    assert found.centred == pytest.approx(corloc(centred, samples))
    options = {"labels": "own", "boxes": "largest", "format": "csv", "device": "cpu", "map": found.map}
    mldfr.annotate("imagenet", f"folder:{folder}", out=tmp_path / "boxes", **options)
    rows = {row["image"]: row for row in csv.DictReader((tmp_path / "boxes" / "annotations.csv").open())}
    drawn = [[float(rows[each.id][key]) for key in ("x0", "y0", "x1", "y1")] for each in samples]
    assert found.untrained == pytest.approx(corloc(drawn, samples))
    assert found.low <= found.model - found.untrained <= found.high


def test_without_boxes_two_sizes_of_a_picture_are_compared(model, samples):
    bare = [Sample(each.id, each.path, each.labels) for each in samples]
    found = held_out_boxes(model.network, bare)
    assert (found.criterion, found.centred) == ("repeated_boxes", None)
    drawn = [
        [
            np.array(model.locate(each.path, classes=list(each.labels), scales=(scale,)).labels[0].boxes.largest().xyxy)
            / (200, 160, 200, 160)
            for each in bare
        ]
        for scale in (1.5, 2.5)  # of a network that looks at 64 pixels
    ]
    assert found.model == pytest.approx(kappa_parts(*map(np.array, drawn)).mean(), abs=1e-4)
    assert "have no boxes" in boxes_text(found)


def test_a_map_that_needed_no_training_is_not_compared_with_itself(localizer, samples):
    network = mldfr.Localizer.create("efficientnet_lite0", num_classes=2, recalibration="none").network
    network.backbone.load_state_dict(localizer.network.backbone.state_dict())
    network = network.eval()
    fit_map(network, "foreground", [(each.path, ()) for each in samples])
    network.card = network.card.model_copy(update={"localization": suggested(network.card, "foreground")})
    found = held_out_boxes(network, samples)
    assert found.fitted_on is None
    assert (found.untrained, found.low, found.high, found.map) == (found.model, 0, 0, "foreground")
    assert "Nothing was trained for them" in boxes_text(found)
    lively(network.backbone)
    assert held_out_boxes(network, samples).fitted_on == 10


def test_of_few_pictures_nothing_is_said(model, samples):
    assert held_out_boxes(model.network, samples[: FEWEST - 1]) is None
    unlike = [Sample(each.id, each.path, ()) for each in samples]
    assert held_out_boxes(model.network, unlike) is None


def test_boxes_of_closer_looks_are_not_compared_as_if_there_were_none(model, samples):
    network = copy.copy(model.network)
    network.card = network.card.model_copy(update={"localization": network.card.localization.changed(closer=1)})
    assert held_out_boxes(network, samples) is None


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.1, 0.1, "The difference may be chance."),
        (0.01, 0.2, "Training made boxes better."),
        (-0.2, -0.01, "Boxes are better without training"),
    ],
)
def test_the_words_say_what_is_shown(low, high, says):
    told = {"pictures": 60, "cases": 60, "model": 0.934, "untrained": 0.916, "centred": 0.54, "map": "foreground"}
    text = boxes_text(HeldOutBoxes(criterion="corloc", low=low, high=high, fitted_on=60, **told))
    assert text.startswith("Boxes in 60 held-out pictures: 93 % are right (IoU over 0.5); without any training 92 %; a")
    assert text.endswith(says) or says in text
