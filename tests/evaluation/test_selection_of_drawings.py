"""Instances and refinement chosen by `select`, against boxes that `locate` gives one by one."""

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.evaluation.selection import choose, corloc
from mldfr.evaluation.selection_trial import Rules, Way, try_rules

TRIED = Rules(((1.0,),), ("min_max", "max"), (0.2, 0.5), ("joined", "separate"), ("none", "grabcut", "superpixels"))


@pytest.fixture(scope="module")
def animals(photos):
    return [
        Sample("cat", photos["chelsea.png"], (285,), (GroundTruth(285, (120, 20, 440, 300)),)),
        Sample("cup", photos["coffee.png"], (504,), (GroundTruth(504, (160, 60, 500, 330)),)),
    ]


@pytest.fixture(scope="module")
def trial(localizer, animals):
    return try_rules(localizer.network, animals, TRIED, views=False)


def test_ways_begin_with_what_was_always_tried():
    assert Rules().ways == (Way("min_max"), Way("max"), Way("percentile"))
    assert TRIED.ways[:2] == (Way("min_max"), Way("max"))
    assert len(set(TRIED.ways)) == len(TRIED.ways) == 12


def test_boxes_are_those_of_locate_and_corloc_is_counted_from_them(localizer, animals, trial):
    values = corloc(trial)
    assert values.shape == (1, 12, 2)
    for (m, way), (t, threshold) in itertools.product(enumerate(TRIED.ways), enumerate(TRIED.thresholds)):
        hits = []
        for n, sample in enumerate(animals):
            rules = {"scales": (1.0,), "threshold": threshold, **way._asdict()}
            located = localizer.locate(sample.path, classes=list(sample.labels), **rules)
            expected = located.labels[0].boxes.largest().xyxy
            np.testing.assert_allclose(trial.boxes[0, m, t, n] * np.tile(trial.shapes[n], 2), expected, atol=1.01)
            truth = torch.tensor([sample.objects[0].xyxy])
            hits.append(float(box_iou(torch.tensor([expected]), truth)) > 0.5)
        assert values[0, m, t] == np.mean(hits)


def test_among_equals_boxes_as_they_are_drawn_are_preferred(trial):
    choice = choose(trial, "corloc")
    values = corloc(trial)
    assert choice.value == values.max()
    best = {TRIED.ways[m] for _, m, _ in np.argwhere(values == values.max()).tolist()}
    first = next(way for way in TRIED.ways if way in best)
    assert Way(choice.normalizer, choice.instances, choice.refine) == first


def test_select_writes_them_into_the_card(localizer, animals, tmp_path):
    localizer.save(tmp_path / "model.safetensors")
    names = localizer.card.class_names
    (tmp_path / "val").mkdir()
    images, marks = [], []
    for number, sample in enumerate(animals, start=1):
        name = f"{sample.id}.png"
        with Image.open(sample.path) as picture:
            picture.save(tmp_path / "val" / name)
            images.append({"id": number, "file_name": name, "width": picture.width, "height": picture.height})
        x0, y0, x1, y1 = sample.objects[0].xyxy
        box = [x0, y0, x1 - x0, y1 - y0]
        marks.append({"id": number, "image_id": number, "category_id": number, "bbox": box})
    categories = [{"id": n, "name": names[sample.labels[0]]} for n, sample in enumerate(animals, start=1)]
    content = {"images": images, "annotations": marks, "categories": categories}
    (tmp_path / "val.json").write_text(json.dumps(content))
    model, data = str(tmp_path / "model.safetensors"), f"coco:{tmp_path / 'val.json'}"

    def select(*options, code=0):
        result = CliRunner().invoke(app, ["select", model, "--data", data, "--split", "val", *options])
        assert result.exit_code == code, (result.output, result.exception)
        return " ".join(result.output.split())

    said = select("--refine", "grabcut", "--instances", "separate,joined")
    written = json.loads((tmp_path / "selection.json").read_text())
    card = mldfr.load(model, device="cpu").card.localization
    assert card.refine == written["refine"] == "grabcut"
    assert card.instances == written["instances"]
    assert f"instances {card.instances}, refine grabcut" in said
    ways = [f"{normalizer}, {way}" for way in ("separate", "joined") for normalizer in ("min_max", "max", "percentile")]
    assert list(written["values"]) == ways
    assert written["value"] == max(max(row) for panel in written["values"].values() for row in panel.values())
    assert (tmp_path / "selection.png").stat().st_size > 10_000
    select()
    assert mldfr.load(model, device="cpu").card.localization.refine == "grabcut"  # the card's own
    assert "unknown refinement 'cut'" in select("--refine", "none,cut", code=2)
