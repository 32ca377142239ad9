"""`mldfr compare`: on made reports, whose answers are known, and on those of `mldfr evaluate`."""

import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from helpers import draw_no_plots, make_blob_wsol, save_small
from mldfr.artifacts import Metrics, read_metrics
from mldfr.cli.main import app
from mldfr.core.errors import DataError
from mldfr.evaluation.statistics.comparison import compare

N = 200
IMAGES = [f"{n:03}.jpg" for n in range(N)]
CASES = [[name, n % 4] for n, name in enumerate(IMAGES)]


def run(*arguments):
    """Run `mldfr compare` in this process."""
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def column(values, *, over="cases", mean_over_classes=False, higher_is_better=True):
    return {
        "over": over,
        "mean_over_classes": mean_over_classes,
        "higher_is_better": higher_is_better,
        "values": [None if np.isnan(value) else float(value) for value in values],
    }


def class_mean(values, cases):
    return np.mean([np.mean([v for v, (_, k) in zip(values, cases, strict=True) if k == each]) for each in range(4)])


def made(corloc, errors=None, *, images=IMAGES, cases=CASES, **setting):
    """What `mldfr evaluate` writes, as far as it is compared."""
    errors = 1 - np.asarray(corloc, dtype=float) if errors is None else errors
    return {
        "format_version": 1,
        "setting": {"data": "wsol:x", "split": "test", "annotations": "1f", "class_agnostic": False, **setting},
        "metrics": {
            "classification": {"cls_top1_error": 100 * float(np.nanmean(errors))},
            "paper": {
                "corloc": 100 * float(np.mean(corloc)),
                "corloc_mean_over_classes": 100 * float(class_mean(corloc, cases)),
                "coco_ap": 12.5,
                "coco_ap_large": None,
            },
        },
        "values": {
            "classification.cls_top1_error": column(errors, over="images", higher_is_better=False),
            "paper.corloc": column(corloc),
            "paper.corloc_mean_over_classes": column(corloc, mean_over_classes=True),
        },
        "images": list(images),
        "cases": [list(case) for case in cases],
    }


@pytest.fixture
def files(tmp_path):
    """Four models: one that is right in half of the cases, one much better, one much worse, one that is about it."""
    rng = np.random.default_rng(0)
    one = (np.arange(N) % 2 == 0).astype(float)
    better = np.where(rng.uniform(size=N) < 0.5, 1, one)
    worse = np.where(rng.uniform(size=N) < 0.5, 0, one)
    alike = one.copy()
    alike[:7] = 1 - alike[:7]
    found = {}
    for name, values in {"one": one, "better": better, "worse": worse, "alike": alike}.items():
        found[name] = tmp_path / f"{name}.json"
        found[name].write_text(json.dumps(made(values)))
    return found


def compared(one, other):
    return list(compare(*map(Metrics.model_validate, (one, other))))


def rows(result):
    assert result.exit_code == 0, (result.output, result.exception)
    return {each["file"]: each["metrics"] for each in json.loads(result.stdout)["compared"]}


def test_better_is_said_only_when_it_is(files):
    answer = rows(run(files["one"], files["better"], files["worse"], files["alike"], "--json"))
    assert list(answer) == [str(files[name]) for name in ("better", "worse", "alike")]
    expected = {"better": "better", "worse": "worse", "alike": "no difference shown"}
    for name, verdict in expected.items():
        table = {row["metric"]: row for row in answer[str(files[name])]}
        with_interval = ["classification.cls_top1_error", "paper.corloc", "paper.corloc_mean_over_classes"]
        assert [table[metric]["verdict"] for metric in with_interval] == [verdict] * 3
        for metric in with_interval:
            row = table[metric]
            assert row["difference"]["value"] == pytest.approx(row["other"] - row["one"])
            assert row["difference"]["low"] <= row["difference"]["value"] <= row["difference"]["high"]
        lower_is_better, higher_is_better = (table[metric]["difference"]["value"] for metric in with_interval[:2])
        assert lower_is_better == pytest.approx(-higher_is_better)
        assert table["paper.coco_ap"] == {
            "metric": "paper.coco_ap",
            "one": 12.5,
            "other": 12.5,
            "difference": None,
            "verdict": None,
        }
        assert table["paper.coco_ap_large"]["one"] is None


def test_the_interval_is_scipys_of_the_paired_differences(files):
    one, other = (json.loads(files[name].read_text()) for name in ("one", "better"))
    (row,) = (row for row in compared(one, other) if row.metric == "paper.corloc")
    change = np.subtract(*(np.array(each["values"]["paper.corloc"]["values"]) for each in (other, one)))
    expected = stats.bootstrap((change,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (row.difference.low, row.difference.high) == pytest.approx(
        (100 * expected.low, 100 * expected.high), abs=0.8
    )


def test_a_mean_over_classes_is_drawn_within_the_classes():
    """All the change is in one class, and there in all cases but one: within it there is little left to chance."""
    one = np.zeros(N)
    other = np.array([float(k == 2) for _, k in CASES])
    unknown = {row.metric for row in compared(made(one), made(other)) if row.verdict is None}
    assert "paper.corloc_mean_over_classes" in unknown
    other[2] = 0
    table = {row.metric: row for row in compared(made(one), made(other))}
    within, over_all = table["paper.corloc_mean_over_classes"].difference, table["paper.corloc"].difference
    assert within.value == over_all.value == pytest.approx(24.5)
    assert 23 < within.low < within.high < 26
    assert over_all.low < 22 < 28 < over_all.high


def test_the_order_of_the_images_does_not_matter(files):
    one, other = (json.loads(files[name].read_text()) for name in ("one", "better"))
    order = np.random.default_rng(3).permutation(N).tolist()
    mixed = {**other, "images": [IMAGES[n] for n in order], "cases": [CASES[n] for n in order], "values": {}}
    for name, each in other["values"].items():
        mixed["values"][name] = {**each, "values": [each["values"][n] for n in order]}
    assert compared(one, mixed) == compared(one, other)


def test_swapping_turns_the_signs(files):
    one, other = (json.loads(files[name].read_text()) for name in ("one", "better"))
    turned = {"better": "worse", "worse": "better", "no difference shown": "no difference shown", None: None}
    for there, back in zip(compared(one, other), compared(other, one), strict=True):
        assert (back.one, back.other) == (there.other, there.one)
        assert back.verdict == turned[there.verdict]
        if there.difference:
            assert (back.difference.low, back.difference.high) == (-there.difference.high, -there.difference.low)


def test_a_file_and_itself_differ_by_nothing(files):
    answer = rows(run(files["one"], files["one"], "--json"))
    for row in answer[str(files["one"])]:
        assert row["one"] == row["other"]
        if row["difference"]:
            assert row["difference"] == {"value": 0, "low": 0, "high": 0}
            assert row["verdict"] == "no difference shown"


def test_table(files):
    result = run(files["one"], files["better"], files["alike"])
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    one, better = (json.loads(files[name].read_text())["metrics"]["paper"]["corloc"] for name in ("one", "better"))
    (row,) = (line for line in lines if line.startswith("paper.corloc ") and line.endswith(" better"))
    assert row.startswith(f"paper.corloc {one:.2f} {better:.2f} {better - one:+.2f} +")
    (row,) = (line for line in lines if line.startswith("paper.corloc ") and line.endswith("no difference shown"))
    assert " to +" in row
    assert sum(line.startswith("metric A B B - A 95 % B is") for line in lines) == 2
    assert "coco_ap" not in result.stdout
    assert "12.50 12.50 +0.00" in " ".join(run(files["one"], files["better"], "--every").stdout.split())


def test_names_of_files_are_shown_as_they_are(files, tmp_path):
    odd = tmp_path / "run[bold]" / "[3].json"
    odd.parent.mkdir()
    shutil.copy(files["one"], odd)
    assert "run[bold]/[3].json" in run(odd, files["better"]).stdout.replace("\n", "")


def test_images_without_a_value_are_left_out():
    """As the classification error of an image without a label is."""
    one, other = np.zeros(N), np.ones(N)
    one[:50] = other[:50] = np.nan
    one[-1] = 1
    (row, *_) = compared(made(np.zeros(N), one), made(np.zeros(N), other))
    assert (row.metric, row.verdict) == ("classification.cls_top1_error", "worse")
    assert row.difference.value == pytest.approx(100 * 149 / 150)
    other[50] = np.nan
    with pytest.raises(ValueError, match="1 images have a value of one model only"):
        compared(made(np.zeros(N), one), made(np.zeros(N), other))


def test_too_few_images_have_no_interval():
    for count in (1, 2, 4):
        some = {"images": IMAGES[:count], "cases": [[name, n % 4] for n, name in enumerate(IMAGES[:count])]}
        made_of_some = [with_few_classes(values, **some) for values in (np.zeros(count), np.ones(count))]
        table = {row.metric: row for row in compared(*made_of_some)}
        assert (table["paper.corloc"].difference, table["paper.corloc"].verdict) == (None, None)
        assert table["paper.corloc_mean_over_classes"].difference is None  # one image of each class
        assert table["paper.corloc_mean_over_classes"].verdict is None


def test_of_one_picture_with_several_labels_nothing_is_said():
    some = {"images": ["a.jpg"], "cases": [["a.jpg", n] for n in range(4)]}
    one, other = (with_few_classes(np.array(values), **some) for values in ([0, 0, 0, 1], [1, 1, 0, 1]))
    for report in (one, other):
        del report["metrics"]["classification"], report["values"]["classification.cls_top1_error"]
    assert {row.metric: row.verdict for row in compared(one, other)}["paper.corloc"] is None


def with_few_classes(values, *, images, cases):
    report = made(np.zeros(N))
    report |= {"images": images, "cases": cases}
    report["values"] = {name: {**each, "values": values.tolist()} for name, each in report["values"].items()}
    return report


def test_only_what_both_have_is_compared(files, tmp_path):
    fewer = json.loads(files["better"].read_text())
    del fewer["metrics"]["classification"]
    del fewer["metrics"]["paper"]["coco_ap"]
    path = tmp_path / "fewer.json"
    path.write_text(json.dumps(fewer))
    metrics = [row["metric"] for row in rows(run(files["one"], path, "--json"))[str(path)]]
    assert metrics == ["paper.corloc", "paper.corloc_mean_over_classes", "paper.coco_ap_large"]


def refused(*paths, says):
    result = run(*paths)
    assert result.exit_code == 2, (result.output, result.exception)
    message = " ".join(result.output.split())
    for part in says:
        assert str(part) in message
    assert "better" not in result.stdout


@pytest.mark.parametrize(("key", "value"), [("annotations", "2e"), ("annotations", None), ("class_agnostic", True)])
def test_other_data_is_refused(files, tmp_path, key, value):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(made(np.ones(N), **{"data": "wsol:y", key: value})))
    says = ["only evaluations of the same pictures can be compared", key, "wsol:x test and wsol:y test"]
    refused(files["one"], path, says=says)


def test_the_same_data_may_lie_elsewhere(files, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(json.dumps(made(np.ones(N), data="wsol:copy/of/x", split="val")))
    assert run(files["one"], path).exit_code == 0


def test_other_pictures_are_refused(files, tmp_path):
    path = tmp_path / "other.json"
    images = ["new.jpg", *IMAGES[1:]]
    path.write_text(json.dumps(made(np.ones(N), images=images, cases=[["new.jpg", 0], *CASES[1:]])))
    refused(files["one"], files["better"], path, says=["2 images are in one of the evaluations only, such as 000.jpg"])
    path.write_text(json.dumps(made(np.ones(N), cases=[["000.jpg", 3], *CASES[1:]])))
    refused(files["one"], path, says=["2 cases are in one of the evaluations only, such as 000.jpg"])
    path.write_text(json.dumps(made(np.ones(N - 1), images=IMAGES[1:], cases=CASES[1:])))
    refused(files["one"], path, says=["1 images are in one of the evaluations only, such as 000.jpg"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read (No such file"),
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1]", "expected an object of JSON; got [1]"),
        (
            b'{"setting": {}}',
            "not a metrics.json of `mldfr evaluate`; it needs cases, images, metrics, setting, values",
        ),
        (json.dumps({**made(np.ones(N)), "format_version": 2}).encode(), "of format 2; this version reads 1"),
    ],
)
def test_what_is_no_report_is_named(files, tmp_path, content, says):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    refused(files["one"], path, says=[path, says])
    refused(path, files["one"], says=[path, says])


def test_a_folder_or_one_file_alone_is_refused(files, tmp_path):
    refused(files["one"], tmp_path, says=[tmp_path / "metrics.json", "cannot be read (No such file"])
    refused(files["one"], says=["a comparison needs two files or more"])
    with pytest.raises(DataError, match="cannot be read"):
        read_metrics(tmp_path / "gone.json", Metrics)


def test_reports_of_evaluate(tmp_path, monkeypatch):
    """From pictures to the verdict, with all metrics of a set with one label for each picture."""
    draw_no_plots(monkeypatch)
    pictures = {f"{n}.png": (60, 48, n % 3, [(5, 6, 50, 40)]) for n in range(9)}
    data = make_blob_wsol(tmp_path, pictures)
    model = save_small(tmp_path / "model.safetensors", num_classes=6)
    paths = []
    for name, options in {"a": [], "b": ["--threshold", "0.9"]}.items():
        out = tmp_path / name
        arguments = ["evaluate", str(model), "--data", data, "--out", str(out), "--save-maps", str(tmp_path / "maps")]
        result = CliRunner().invoke(app, [*arguments, *options])
        assert result.exit_code == 0, result.output
        paths.append(out / "metrics.json")
    reports = [json.loads(path.read_text()) for path in paths]
    answer = rows(run(*paths, "--json"))[str(paths[1])]
    assert {row["metric"] for row in answer} == {
        f"{g}.{name}" for g, found in reports[0]["metrics"].items() for name in found
    }
    table = {row["metric"]: row for row in answer}
    for metric, row in table.items():
        group, name = metric.split(".")
        assert (row["one"], row["other"]) == tuple(report["metrics"][group][name] for report in reports)
        if row["difference"] is not None:
            assert row["difference"]["value"] == pytest.approx(row["other"] - row["one"], abs=1e-9), metric
    assert {metric for metric, row in table.items() if row["difference"]} < set(reports[0]["values"])
    assert table["wsolevaluation.max_box_acc"]["difference"] == {"value": 0, "low": 0, "high": 0}
    assert table["classification.cls_top1_error"]["difference"]["value"] == 0
    assert table["paper.corloc"]["other"] < table["paper.corloc"]["one"]
    assert {"paper.coco_ap", "paper.voc_map_11_point_iou_50"} & set(reports[0]["values"]) == set()


def test_a_table_has_all_of_them_beside_the_first(files):
    given = [files[name] for name in ("one", "better", "worse", "alike")]
    read = list(csv.DictReader(io.StringIO(run(*given, "--table", "csv").stdout)))
    said = json.loads(run(*given, "--json").stdout)
    for path, compared in zip(given[1:], said["compared"], strict=True):
        rows = {row["metric"]: row for row in read if row["evaluation"] == path.stem}
        known = [metric for metric in compared["metrics"] if metric["difference"]]
        assert list(rows) == [metric["metric"] for metric in known]
        for metric in known:
            row = rows[metric["metric"]]
            assert float(row["value"]) == pytest.approx(metric["other"], rel=1e-5)
            assert float(row["low"]) == pytest.approx(metric["difference"]["low"], rel=1e-5)
            assert row["verdict"] == metric["verdict"]
    shown = run(*given, "--table", "markdown", "--metric", "paper.corloc").stdout.splitlines()
    assert shown[0] == "| metric | one | better | worse | alike |"
    assert len(shown) == 3
    assert re.fullmatch(r"\| paper.corloc \| 50.00 \| \*\*[\d.]+\*\* \| \*[\d.]+\* \| [\d.]+ \|", shown[2])


def test_latex_can_be_put_into_a_paper(files):
    text = run(files["one"], files["better"], "--table", "latex", "--every").stdout
    assert r"classification.cls\_top1\_error & 50.00 & \textbf{" in text
    assert r"paper.coco\_ap\_large & - & - \\" in text
    lines = text.splitlines()
    assert lines[1:3] == [r"\begin{tabular}{lrr}", r"\toprule"]
    assert lines[-1] == r"\end{tabular}"
    assert all(line.count(" & ") == 2 for line in lines if line.endswith(r"\\"))


def test_folders_are_called_by_their_names_and_unknown_metrics_refused(files, tmp_path):
    for name in ("one", "better"):
        (tmp_path / name).mkdir()
        files[name].rename(tmp_path / name / "metrics.json")
    shown = run(tmp_path / "one", tmp_path / "better", "--table", "markdown")
    assert shown.stdout.startswith("| metric | one | better |")
    wrong = run(tmp_path / "one", tmp_path / "better", "--metric", "paper.corlok")
    assert isinstance(wrong.exception, SystemExit)
    assert "paper.corlok: the evaluations have no such metric in common" in wrong.output
