"""Instances and refinement chosen by `select`, against boxes that `locate` gives one by one."""

import copy
import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou
from typer.testing import CliRunner

import mldfr
from helpers import at_size
from mldfr.artifacts import Selection
from mldfr.cli.main import app
from mldfr.core.errors import SettingError
from mldfr.core.types import GroundTruth, Sample
from mldfr.evaluation.selection import CORLOC, choose
from mldfr.evaluation.selection_rules import Look, Rule, Rules, Way
from mldfr.evaluation.selection_run import select_rule
from mldfr.evaluation.selection_trial import try_rules
from mldfr.networks.card import Localization

TRIED = Rules(((1.0,),), ("min_max", "max"), (0.2, 0.5), ("joined", "separate"), ("none", "grabcut", "superpixels"))


@pytest.fixture(scope="module")
def animals(photos):
    return [
        Sample("cat", photos["chelsea.png"], (285,), (GroundTruth(285, (120, 20, 440, 300)),)),
        Sample("cup", photos["coffee.png"], (504,), (GroundTruth(504, (160, 60, 500, 330)),)),
    ]


@pytest.fixture(scope="module")
def halves(photos, tmp_path_factory):
    """Both photographs at half their size, by their names."""
    made = tmp_path_factory.mktemp("halves")
    for name in ("chelsea.png", "coffee.png"):
        with Image.open(photos[name]) as picture:
            picture.reduce(2).save(made / name)
    return {path.name: path for path in made.iterdir()}


@pytest.fixture(scope="module")
def trial(localizer, animals):
    return try_rules(localizer.network, animals, TRIED, views=False)


def test_ways_begin_with_what_was_always_tried():
    assert Rules().ways == (Way("min_max"), Way("max"), Way("percentile"), Way("percentile_as_standard"))
    assert TRIED.ways[:2] == (Way("min_max"), Way("max"))
    assert len(set(TRIED.ways)) == len(TRIED.ways) == 12


def test_boxes_are_those_of_locate_and_corloc_is_counted_from_them(localizer, animals, trial):
    values = CORLOC.worth(trial)
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
    values = CORLOC.worth(trial)
    assert choice.value == values.max()
    best = {TRIED.ways[m] for _, m, _ in np.argwhere(values == values.max()).tolist()}
    first = next(way for way in TRIED.ways if way in best)
    assert choice.rule.way == first


def test_select_writes_them_into_the_card(localizer, animals, halves, tmp_path):
    at_size(localizer, 112).save(tmp_path / "model.safetensors")
    names = localizer.card.class_names
    (tmp_path / "val").mkdir()
    images, marks = [], []
    for number, sample in enumerate(animals, start=1):
        name = f"{sample.id}.png"
        with Image.open(halves[sample.path.name]) as picture:
            picture.save(tmp_path / "val" / name)
            images.append({"id": number, "file_name": name, "width": picture.width, "height": picture.height})
        x0, y0, x1, y1 = (side / 2 for side in sample.objects[0].xyxy)
        box = [x0, y0, x1 - x0, y1 - y0]
        marks.append({"id": number, "image_id": number, "category_id": number, "bbox": box})
    categories = [{"id": n, "name": names[sample.labels[0]]} for n, sample in enumerate(animals, start=1)]
    content = {"images": images, "annotations": marks, "categories": categories}
    (tmp_path / "val.json").write_text(json.dumps(content))
    model, data = str(tmp_path / "model.safetensors"), f"coco:{tmp_path / 'val.json'}"

    def select(*options, code=0):
        result = CliRunner().invoke(app, ["select", model, "--data", data, "--split", "val", "--few", *options])
        assert result.exit_code == code, (result.output, result.exception)
        return " ".join(result.output.split())

    said = select("--refine", "grabcut", "--instances", "separate,joined")
    written = json.loads((tmp_path / "selection.json").read_text())
    card = mldfr.load(model, device="cpu").card.localization
    assert card.refine == written["refine"] == "grabcut"
    assert card.instances == written["instances"]
    assert card.instances == "joined"  # the card's own
    assert "map cam, scales 1, 1.5, 2, normalizer min_max, threshold 0.2, refine grabcut" in said
    ways = {panel.rpartition(", ")[2] for panel in written["values"]}
    assert ways == {"separate", "joined"}
    assert 3 <= len(written["thresholds"]) <= 5
    assert written["value"] == written["comparison"]["before"]["value"]  # two pictures are no reason to leave it
    assert (tmp_path / "selection.png").stat().st_size > 10_000
    select()
    assert mldfr.load(model, device="cpu").card.localization.refine == "grabcut"  # the card's own
    assert "unknown refinement 'cut'" in select("--refine", "none,cut", code=2)
    images[0]["checked"] = True
    (tmp_path / "val.json").write_text(json.dumps(content))
    assert "1 of 2 pictures are not checked: their boxes are left out" in select("--refine", "none,cut", code=2)


def test_maps_that_are_named_are_chosen_from(localizer, halves, tmp_path):
    at_size(localizer, 112).save(tmp_path / "model.safetensors")
    names = localizer.card.class_names
    lines = [f"{halves['chelsea.png']},{names[285]}", f"{halves['coffee.png']},{names[504]}"]
    (tmp_path / "two.csv").write_text("\n".join(["path,label", *lines]))

    def select(*options, code=0):
        told = [
            "select",
            str(tmp_path / "model.safetensors"),
            "--data",
            f"csv:{tmp_path / 'two.csv'}",
            "--few",
            *options,
        ]
        result = CliRunner().invoke(app, told)
        assert result.exit_code == code, (result.output, result.exception)
        return " ".join(result.output.split())

    said = select("--map", "nwc", "--criterion", "repeated_boxes")
    assert "repeated_boxes on 2 pictures" in said
    assert "map nwc, scales 1, 1.5, 2, normalizer min_max, threshold 0.2 this rule is kept" in said
    written = json.loads((tmp_path / "selection.json").read_text())
    assert written["map"] == "nwc" == mldfr.load(tmp_path, device="cpu").card.localization.map
    assert {pyramid for panel in written["values"].values() for pyramid in panel} == {"scales 1, 1.5, 2"}
    select()
    assert mldfr.load(tmp_path, device="cpu").card.localization.map == "nwc"  # without boxes the model's own
    assert "cannot tell which map is better: name one; got cam, nwc" in select("--map", "cam,nwc", code=2)
    assert "has to be fitted on pictures first" in select("--map", "colocalization", code=2)
    assert "unknown map 'cma' (did you mean 'cam'?)" in select("--map", "cma", code=2)


def test_few_pictures_change_no_card_and_choices_are_undone_one_by_one(model, photos, tmp_path):
    file = tmp_path / "model.safetensors"
    mldfr.load(model, device="cpu").save(file)
    (tmp_path / "two.csv").write_text(f"path,label\n{photos['chelsea.png']},0\n{photos['coffee.png']},1\n")
    before = mldfr.load(file, device="cpu").card.localization

    def select(*options, code=0):
        told = ["select", str(file), "--data", f"csv:{tmp_path / 'two.csv'}", *options]
        result = CliRunner().invoke(app, told)
        assert result.exit_code == code, (result.output, result.exception)
        return " ".join(result.output.split()), mldfr.load(file, device="cpu").card.localization

    asked = ("--criterion", "repeated_boxes", "--map")
    said, card = select(*asked, "nwc")
    assert "2 pictures are few to choose by, so the card stays as it is; --few changes it" in said
    assert "written into" not in said
    assert card == before
    assert not Selection.model_validate_json((tmp_path / "selection.json").read_text()).written
    said, first = select(*asked, "nwc", "--few")
    assert f"written into {file}; mldfr select {file} --undo takes it back" in said
    assert first.map == "nwc"
    _, second = select(*asked, "feature_norm", "--few")
    assert second.map == "feature_norm"
    said, card = select("--undo")
    assert "has again map nwc, scales 1, 1.5" in said
    assert card == first
    assert select("--undo")[1] == before
    said, card = select("--undo", code=2)
    assert "select has changed nothing in this model's card" in said
    assert mldfr.load(file, device="cpu").card == mldfr.load(model, device="cpu").card


def test_a_model_that_looks_once_has_no_scales_to_compare(localizer):
    network = localizer.network.fused()
    settings = network.card.localization.changed(scales=(1.5,))
    network.card = network.card.model_copy(update={"localization": settings})
    with pytest.raises(SettingError, match=r"compares the scales of the model's pyramid, which has one, 1\.5"):
        select_rule(network, [], "repeated_boxes")


def test_a_model_that_looks_closer_is_not_judged_by_its_first_look(localizer, animals):
    network = copy.copy(localizer.network)
    network.card = network.card.model_copy(update={"localization": network.card.localization.changed(closer=2)})
    with pytest.raises(SettingError, match="closer is 0; the card has 2"):
        select_rule(network, animals, "corloc", maps=("cam",))


def test_the_rule_of_the_card_is_among_those_that_are_tried():
    card = Localization(scales=(1.25,), threshold=0.33, map="nwc", normalizer="max", refine="grabcut")
    rules, rule = Rules(maps=("cam", "nwc"), refinements=("none", "grabcut")).including(Rule.of(card))
    assert rule == Rule.of(card) == rules.at(rules.index(rule))
    assert rules.thresholds[5:9] == (0.3, 0.33, 0.35, 0.4)
    assert rules.pyramids[-1] == (1.25,)
    rules, rule = Rules().including(Rule.of(card))
    assert rule == Rule(Look("cam", (1.25,)), Way("max"), 0.33)  # of what is not tried the first stands for it
    assert rules.index(rule) == (6, 1, 6)
