import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou
from typer.testing import CliRunner

import mldfr
from helpers import annotation, make_blob_voc, tensor
from mldfr.boxes.iou import iou
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.thresholds import THRESHOLDS
from mldfr.cli.main import app
from mldfr.core.types import GroundTruth, Sample
from mldfr.data import open_data
from mldfr.evaluation.selection import CORLOC, REPEATED_CONTRAST, agreement_parts, choose, draw_sample, has_boxes
from mldfr.evaluation.selection_rules import Rules
from mldfr.evaluation.selection_trial import Trial, explained_variance, try_rules
from mldfr.localizer.mscam import mscam, scale_maps_by_name


@pytest.fixture(scope="module")
def cats(photos):
    """Two photographs with a made-up box each, under classes that the embedded model has."""
    return [
        Sample("cat", photos["chelsea.png"], (285,), (GroundTruth(285, (20, 10, 430, 300)),)),
        Sample(
            "cup", photos["coffee.png"], (504,), (GroundTruth(504, (160, 60, 500, 330)), GroundTruth(7, (0, 0, 1, 1)))
        ),
    ]


@pytest.fixture(scope="module")
def trial(localizer, cats):
    return try_rules(
        localizer.network, cats, Rules(pyramids=((1.0,), (1.0, 1.5)), thresholds=(0.2, "otsu")), views=True
    )


def made_trial(boxes, *, views=None, contrast=None, truth=None):
    """A trial of one pyramid, one normaliser, and T thresholds; boxes (T, N, 4)."""
    boxes = np.asarray(boxes, dtype=np.float32)[None, None]
    n = boxes.shape[3]
    return Trial(
        Rules(((1.0,),), ("min_max",), tuple(0.1 * (t + 1) for t in range(boxes.shape[2]))),
        pictures=n,
        boxes=boxes,
        views=boxes if views is None else np.asarray(views, dtype=np.float32)[None, None],
        windows=np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (n, 1)),
        contrast=np.ones(boxes.shape[:-1], np.float32) if contrast is None else contrast,
        truth=truth or [np.zeros((0, 4), np.float32)] * n,
        shapes=np.full((n, 2), 100, dtype=np.float32),
    )


def test_iou_is_torchvisions():
    values = np.random.default_rng(0)
    corners = np.sort(values.uniform(0, 50, (2, 40, 2, 2)), axis=2).reshape(2, 40, 4)
    expected = box_iou(torch.from_numpy(corners[0]), torch.from_numpy(corners[1])).numpy()
    np.testing.assert_allclose(iou(corners[0][:, None], corners[1][None]), expected)
    nothing = np.full(4, np.nan)
    assert iou(nothing, corners[0][0]) == 0
    assert iou(np.zeros(4), np.zeros(4)) == 0


def test_the_maps_of_single_scales_sum_to_mscam(localizer, photos):
    image = tensor(photos["chelsea.png"])
    scales = (1.0, 1.5, 0.5)
    asked = {"scales": scales, "classes": [285, 3], "map_names": ["cam"], "size": image.shape[-2:]}
    alone = scale_maps_by_name(localizer.network, image, **asked)["cam"]
    (together,) = mscam(localizer.network, [image], scales=scales, classes=[[285, 3]])
    torch.testing.assert_close(sum(alone[scale] for scale in scales), together.score_maps)


def test_boxes_of_a_trial_are_those_of_locate(localizer, cats, trial):
    every = trial.rules
    for p, m, t, n in list(itertools.product(*map(range, trial.boxes.shape[:4])))[::5]:
        rule = {"scales": every.pyramids[p], "normalizer": every.normalizers[m], "threshold": every.thresholds[t]}
        located = localizer.locate(cats[n].path, classes=list(cats[n].labels), **rule)
        got = trial.boxes[p, m, t, n] * np.tile(trial.shapes[n], 2)
        np.testing.assert_allclose(got, located.labels[0].boxes.largest().xyxy, atol=2.01)


def test_views_lie_in_their_windows_and_see_the_same(trial):
    assert trial.boxes.shape == trial.views.shape == (2, len(NORMALIZERS.names()), 2, 2, 4)
    slack = 1e-5
    assert (trial.views[..., :2] >= trial.windows[:, :2] - slack).all()
    assert (trial.views[..., 2:] <= trial.windows[:, 2:] + slack).all()
    assert iou(trial.views[1, 0, 0], trial.boxes[1, 0, 0]).min() > 0.3


def test_corloc_counts_hits_with_any_box_of_the_class(trial, cats):
    rules = CORLOC.worth(trial)
    by_hand = np.zeros_like(rules)
    for n, sample in enumerate(cats):
        unit = np.tile(trial.shapes[n], 2)
        boxes = torch.from_numpy(trial.boxes[..., n, :].reshape(-1, 4) * unit)
        truth = torch.tensor([item.xyxy for item in sample.objects if item.label in sample.labels])
        by_hand += (box_iou(boxes, truth) > 0.5).any(dim=1).numpy().reshape(by_hand.shape)
    np.testing.assert_array_equal(rules, by_hand / 2)


def test_pictures_without_boxes_do_not_count_in_corloc():
    box = [0.2, 0.2, 0.6, 0.6]
    known, unknown = np.array([box], np.float32), np.zeros((0, 4), np.float32)
    assert CORLOC.worth(made_trial([[box, box]], truth=[known, unknown]))[0, 0, 0] == 1


def test_difficult_objects_do_not_count_as_in_evaluate(tmp_path, tagger):
    source = make_blob_voc(tmp_path)
    dog = ("dog", 1, 1, 8, 8, 0), ("dog", 1, 1, 60, 48, 1)  # the difficult one is the whole picture
    annotation(tmp_path / "VOC2007" / "Annotations" / "000001.xml", *dog, ("cat", 20, 10, 60, 48, 0))
    samples, localizer = draw_sample(open_data(source).split("test"), 10), mldfr.load(tagger, device="cpu")
    rules = Rules(((1.0,),), ("min_max",), (0.0, 0.1, 0.3))
    found = CORLOC.worth(try_rules(localizer.network, samples, rules, views=False))[0, 0]
    for threshold, value in zip(rules.thresholds, found, strict=True):
        asked = {"scales": (1.0,), "normalizer": "min_max", "threshold": threshold}
        told = mldfr.evaluate(tagger, source, protocol="paper", device="cpu", **asked)
        assert 100 * value == pytest.approx(told.metrics["paper"]["corloc"])
    whole = GroundTruth(0, (0, 0, 60, 48))
    assert has_boxes([Sample("1", None, (0,), (whole,))])
    assert not has_boxes([Sample("1", None, (0,), (whole._replace(difficult=True),))])


def test_agreement_is_one_for_the_same_and_none_for_anything():
    values = np.random.default_rng(0)
    corners = np.sort(values.uniform(0, 1, (3, 60, 2, 2)), axis=2).reshape(3, 60, 4)
    whole = np.tile([0.0, 0.0, 1.0, 1.0], (60, 1))
    trial = made_trial([corners[0], whole, corners[1]], views=[corners[0], whole, corners[2]])
    found = agreement_parts(trial).mean(axis=-1)[0, 0]
    assert found[0] == pytest.approx(1)
    assert found[1] == 0
    assert abs(found[2]) < 0.08


def test_explained_variance_is_that_of_the_two_groups():
    values = np.random.default_rng(0)
    features = values.normal(size=(6, 8, 5)).astype(np.float32)
    features[1:4, 2:7] += 1.5
    boxes = np.array([[2 / 8, 1 / 6, 7 / 8, 4 / 6], [0, 0, 1, 1], [0, 0, 0.01, 0.01], [np.nan] * 4], dtype=np.float32)
    cells = features.reshape(-1, 5)
    total = cells.var(axis=0).sum()
    for box, expected in zip(boxes, explained_variance(features, boxes), strict=True):
        inside = np.zeros((6, 8), dtype=bool)
        if not np.isnan(box).any():
            x0, y0, x1, y1 = (box * [8, 6, 8, 6]).round().astype(int)
            inside[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
        groups = [cells[inside.ravel()], cells[~inside.ravel()]]
        within = sum(len(group) * group.var(axis=0).sum() for group in groups if len(group)) / len(cells)
        assert expected == pytest.approx(1 - within / total, abs=1e-5)


def test_among_equals_the_choice_is_simple_and_near_the_paper():
    box = [0.2, 0.2, 0.6, 0.6]
    truth = [np.array([box], np.float32)]
    made = made_trial([[box], [box], [box], [[0, 0, 1, 1]]], truth=truth)
    two = replace(
        made, rules=replace(made.rules, pyramids=((1.0,), (1.0, 2.0))), boxes=np.concatenate([made.boxes] * 2)
    )
    choice = choose(two, "corloc")
    assert (choice.rule.look.scales, choice.rule.threshold, choice.value) == ((1.0,), 0.2, 1)


def test_a_fixed_threshold_is_preferred_to_an_equal_one_of_the_map():
    box, other = [0.2, 0.2, 0.6, 0.6], [0, 0, 1, 1]
    truth = [np.array([box], np.float32)]
    rules = Rules(((1.0,),), ("min_max",), ("mean", 0.6))
    assert choose(replace(made_trial([[box], [box]], truth=truth), rules=rules), "corloc").rule.threshold == 0.6
    assert choose(replace(made_trial([[box], [other]], truth=truth), rules=rules), "corloc").rule.threshold == "mean"


def test_thresholds_that_look_at_the_map_are_tried_too():
    assert Rules().thresholds[:3] == (0.05, 0.1, 0.15)
    assert Rules().thresholds[14:] == THRESHOLDS.names()


def test_scales_at_which_the_input_is_too_small_are_not_tried(localizer):
    assert Rules().possible_for(localizer.network) == Rules()
    small = mldfr.Localizer.create("mobilenet_v2", num_classes=2).network
    preprocessing = small.card.preprocessing.model_copy(update={"input_size": 96})
    small.card = small.card.model_copy(update={"preprocessing": preprocessing})
    assert Rules().possible_for(small).pyramids == Rules().pyramids[:-1]


def test_without_boxes_the_choice_is_contrast_times_agreement(trial):
    np.testing.assert_allclose(
        REPEATED_CONTRAST.worth(trial), trial.contrast.mean(axis=-1) * agreement_parts(trial).mean(axis=-1)
    )
    choice = choose(trial, "repeated_contrast")
    assert choice.value == REPEATED_CONTRAST.worth(trial).max()


def test_a_drawn_sample_is_always_the_same():
    samples = [Sample(str(n), None, (0,) if n % 5 else ()) for n in range(50)]
    drawn = draw_sample(samples, 10)
    assert len(drawn) == 10
    assert all(sample.labels for sample in drawn)
    assert draw_sample(samples, 10) == drawn
    assert len(draw_sample(samples, 100)) == 40


def test_where_boxes_count_only_pictures_with_boxes_are_drawn():
    box = (GroundTruth(0, (1, 1, 9, 9)),)
    samples = [Sample(str(n), None, (0,), objects=() if n % 10 else box) for n in range(200)]
    drawn = draw_sample(samples, 15, boxed=True)
    assert len(drawn) == 15
    assert all(has_boxes([sample]) for sample in drawn)
    assert len(draw_sample(samples, 100, boxed=True)) == 20


@pytest.fixture
def model(localizer, tmp_path):
    """The embedded model as a file of the test's own."""
    localizer.save(tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.parametrize("criterion", ["corloc", "repeated_contrast"])
def test_select_writes_the_card_and_draws_the_curve(model, shared, criterion):
    source = f"wsol:{shared / 'data' / 'ILSVRC' / 'metadata' / 'ILSVRC' / 'test'}"
    assert open_data(source).splits.keys() == {"test"}
    options = ["--data", f"csv:{model / 'two.csv'}"]
    samples = open_data(source).split("test")[:2]
    names = mldfr.load(model, device="cpu").card.class_names
    lines = [f"{sample.path},{names[sample.labels[0]]}" for sample in samples]
    (model / "two.csv").write_text("\n".join(["path,label", *lines]))
    if criterion == "corloc":
        result = CliRunner().invoke(app, ["select", str(model), *options, "--criterion", criterion])
        assert result.exit_code == 2
        assert "the pictures have none; take repeated_contrast" in result.output
        return
    result = CliRunner().invoke(app, ["select", str(model), *options])
    assert result.exit_code == 0, result.output
    written = json.loads((model / "selection.json").read_text())
    card = mldfr.load(model, device="cpu").card.localization
    assert written["criterion"] == criterion
    assert list(card.scales) == written["scales"]
    assert (card.threshold, card.normalizer) == (written["threshold"], written["normalizer"])
    assert written["thresholds"] == list(Rules().thresholds)
    assert (model / "selection.png").stat().st_size > 10_000


def test_select_refuses_what_it_cannot_do(tmp_path, model):
    runner = CliRunner()
    for arguments, says in (
        ([str(tmp_path / "nothing")], "no such model"),
        ([str(model)], "is no run folder; --data KIND:PATH says"),
        ([str(model), "--data", "folder:nowhere"], "no such file or folder"),
    ):
        result = runner.invoke(app, ["select", *arguments])
        assert result.exit_code == 2, result.output
        assert says in result.output
