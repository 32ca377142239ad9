"""What a reproduced table says of its numbers, against the same worked out by hand or by the bootstrap itself."""

import numpy as np
import pytest
import yaml

from mldfr.artifacts import LookLine, ReproducedLine
from mldfr.evaluation.statistics.bootstrap import bootstrap_interval, paired_bootstrap
from mldfr.reports.content.reproduced import Results
from mldfr.reports.content.reproduction_page import reproduction_page, to_markdown
from mldfr.reports.page.page import render
from mldfr.reports.reproduction.grid import Wishes, make_grid

COUNT = 60
ONE, THREE = "1 min_max", "1+1.5+2 min_max"
ERROR1, ERROR5, CORLOC = "classification.cls_top1_error", "classification.cls_top5_error", "paper.corloc"


def look(hits):
    digits = "".join("9" if hit else "0" for hit in hits)
    metrics = {ERROR1: 20.0, ERROR5: 5.0, CORLOC: 100 * float(np.mean(hits))}
    return LookLine(pictures=COUNT, metrics=metrics, digits={CORLOC: digits})


def results(source="cub:CUB", seeds=2, rows=("VGG16*",), skip=(), **wishes):
    grid = make_grid("table-viii", source, ["train", "test"], Wishes(rows=rows, seeds=seeds, **wishes))
    rng, lines, hits = np.random.default_rng(0), {}, {}
    for run in grid.runs:
        for name, share in ((ONE, 0.4), (THREE, 0.7)):
            hits[run.key, name] = rng.random(COUNT) < share
        looks = {name: look(hits[run.key, name]) for name in (ONE, THREE)}
        if run.key not in skip:
            lines[run.key] = ReproducedLine(
                run=run.key, seed=run.seed, looks=looks, classes=20, trained_on=600, epochs=50, top1=0.9, seconds=60
            )
    return Results(grid, lines), hits


def test_a_number_is_the_mean_over_trainings_with_its_interval_over_pictures():
    found, hits = results()
    row = found.grid.table.row("VGG16+F+M")
    keys = found.grid.keys[row.name]
    pair = [hits[key, THREE].astype(float) for key in keys]
    number = found.number(row, found.grid.table.columns[2])
    assert number.value == pytest.approx(100 * np.mean(pair))
    assert number.deviation == pytest.approx(100 * np.std([each.mean() for each in pair], ddof=1))
    expected = bootstrap_interval(np.mean(pair, axis=0))
    assert (number.spread.low, number.spread.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    error = found.number(row, found.grid.table.columns[0])
    assert (error.value, error.spread.reason) == (20.0, "not a mean over pictures")


def test_questions_are_answered_on_the_same_pictures():
    found, hits = results()
    answers = {(each.ask, each.of): each for each in found.answers()}
    answer = answers["Does MsCAM gain, on VGG16?", "CorLoc"]
    keys = found.grid.keys["VGG16+F+M"]
    one, three = (np.mean([hits[key, name].astype(float) for key in keys], axis=0) for name in (ONE, THREE))
    expected = paired_bootstrap(one, three)
    assert answer.gain == pytest.approx(100 * expected.value)
    assert (answer.spread.low, answer.spread.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert answer.verdict == "yes"
    assert len(answer.seeds) == 2
    assert "Does recalibration gain, on GoogLeNet?" not in {ask for ask, _ in answers}  # it was not asked for


def test_trainings_are_compared_seed_by_seed():
    """Those that only one side has do not count, nor does one without the number."""
    whole, hits = results(seeds=4)
    plain, recalibrated = whole.grid.keys["VGG16+M"], whole.grid.keys["VGG16+F+M"]
    lines = {key: line for key, line in whole.lines.items() if key not in (plain[0], recalibrated[1])}
    unknown = look(hits[plain[3], THREE]).model_copy(update={"metrics": {CORLOC: None}, "digits": {}})
    lines[plain[3]] = lines[plain[3]].model_copy(update={"looks": {THREE: unknown}})
    answers = {(each.ask, each.of): each for each in Results(whole.grid, lines).answers()}
    answer = answers["Does recalibration gain, on VGG16?", "CorLoc"]
    expected = paired_bootstrap(*(hits[keys[2], THREE].astype(float) for keys in (plain, recalibrated)))
    assert answer.seeds == pytest.approx([100 * expected.value])
    assert answer.gain == pytest.approx(100 * expected.value)
    assert (answer.spread.low, answer.spread.high) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_columns_of_two_metrics_are_compared_each_by_its_own(tmp_path):
    columns = [{"name": "half", "metric": CORLOC}, {"name": "third", "metric": f"{CORLOC}_iou_30"}]
    asked = {"questions": [{"ask": "More?", "column": "third", "over": "half"}]}
    table = {"title": "t", "measures": "m", "columns": columns, "rows": [{"name": "r", "backbone": "vgg16"}], **asked}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(table))
    grid = make_grid(tmp_path / "own.yaml", "folder:mine", ["test"], Wishes(seeds=1))
    ((run, name),) = [(run, name) for run in grid.runs for name in run.looks]
    metrics = {CORLOC: 40.0, f"{CORLOC}_iou_30": 70.0}
    digits = {CORLOC: "9900009900" * 4, f"{CORLOC}_iou_30": "9999909900" * 4}
    line = ReproducedLine(run=run.key, seed=0, looks={name: LookLine(pictures=40, metrics=metrics, digits=digits)})
    (answer,) = Results(grid, {run.key: line}).answers()
    assert (answer.seeds, answer.gain) == ((30.0,), 30.0)
    assert 0 < answer.spread.low < 30 < answer.spread.high


@pytest.mark.parametrize(
    ("metric", "errors", "told"),
    [
        ("acme.slips", ["acme.slips"], False),
        ("acme.error_free", [], True),
        ("acme.error", None, False),  # a line of before errors were kept
        ("acme.corloc", None, True),
    ],
)
def test_questions_are_not_answered_of_errors(tmp_path, metric, errors, told):
    columns = [
        {"name": name, "metric": metric, "look": {"scales": [scale]}} for name, scale in (("one", 1), ("two", 2))
    ]
    asked = {"questions": [{"ask": "More?", "column": "two", "over": "one"}]}
    table = {"title": "t", "measures": "m", "columns": columns, "rows": [{"name": "r", "backbone": "vgg16"}], **asked}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(table))
    grid = make_grid(tmp_path / "own.yaml", "folder:mine", ["test"], Wishes(seeds=1))
    (run,) = grid.runs
    kept = {} if errors is None else {"errors": errors}
    looks = {name: LookLine(pictures=40, metrics={metric: 40.0}, **kept) for name in run.looks}
    assert bool(Results(grid, {run.key: ReproducedLine(run=run.key, seed=0, looks=looks)}).answers()) is told


def test_what_sets_a_row_apart_stands_in_its_line():
    found, _ = results(epochs=6, weights={"": "some/where/w.safetensors"})
    (first, *_) = found.rows
    data = "60 pictures, 20 classes, trained on 600 (the paper: 5,794 and 200)"
    assert first.setting == f"{data}; model.weights (torchvision, w.safetensors); training.epochs (50, 6)"
    assert found.sets == ("cub",)
    other, _ = results("folder:mine")
    assert other.rows[0].setting == "folder: 60 pictures, 20 classes, trained on 600"
    assert other.sets == ("ilsvrc", "cub")


def test_what_is_missing_is_said():
    whole, _ = results()
    plain = whole.grid.runs[0].key
    some, _ = results(skip=(plain,))
    assert some.rows[0].setting.endswith("1 of 2 trainings so far")
    none, _ = results(skip=[run.key for run in whole.grid.runs])
    assert [row.setting for row in none.rows] == ["not done yet"] * 4
    assert none.answers() == []
    failed = Results(none.grid, {plain: ReproducedLine(run=plain, seed=0, error="the loss is nan")})
    assert failed.rows[0].setting == "failed: the loss is nan"
    grid = make_grid("table-i", "ilsvrc:x", ["train", "val"], Wishes(rows=("VGG16*",)))
    reasons = {row.row.name: row.setting for row in Results(grid, {}).rows}
    assert reasons["VGG16"].startswith("not here: the classifier as it was published")
    assert reasons["VGG16-ACoL"] == "not done yet; trained by the paper's recipe and not by the peer's own"


def test_page_and_markdown_have_the_same_numbers():
    found, _ = results()
    text, page = to_markdown(found), render(reproduction_page(found))
    for result in found.rows:
        number = result.numbers[2]
        assert f"**{number.value:.1f} [{number.spread.low:.1f}, {number.spread.high:.1f}]" in text
        assert f"{number.value:.1f}" in page
    assert "| VGG16+F+M | 19.30 | **20.0 ± 0.0** | 4.19 | **5.0 ± 0.0** | 75.04 |" in text
    assert "Does MsCAM gain, on VGG16?" in page


def test_faults_of_the_paper_are_footnotes():
    grid = make_grid("table-iv", "cub:x", ["test"], Wishes(rows=("VGG16-ADL",)))
    found = Results(grid, {})
    for text in (to_markdown(found), render(reproduction_page(found))):
        assert "47.64" in text
        assert "52.36" in text
