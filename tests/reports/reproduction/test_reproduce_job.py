"""The job of a grid, its verbs played: each network is trained and measured once, whatever stops it."""

import json
import shutil
from itertools import count

import pytest

from mldfr.artifacts import LookLine, Metrics
from mldfr.core.errors import DataError, SettingError
from mldfr.core.types import Sample
from mldfr.data.base import DataSet
from mldfr.jobs.shard import Shard
from mldfr.reports.reproduction.grid import Wishes, make_grid
from mldfr.reports.reproduction.job import Verbs, folder_of, grid_job, read_rows, run_grid
from mldfr.reports.reproduction.lines import look_line
from mldfr.reports.reproduction.plan import plan_grid


def data_set(root):
    samples = {
        name: tuple(Sample(f"{name}{k}", root / f"{k}", labels=(k % 2,)) for k in range(4))
        for name in ("train", "test")
    }
    return DataSet(("a", "b"), samples)


class Stopped(BaseException):
    """What a signal raises."""


class Played:
    """Verbs that only leave traces, and stop at the n-th step."""

    def __init__(self, stop_at=None, fail=""):
        self.steps, self.done, self.stop_at, self.fail = count(1), [], stop_at, fail
        self.verbs = Verbs(self.train, self.fit, self.evaluate)

    def _step(self, name):
        if next(self.steps) == self.stop_at:
            raise Stopped
        self.done.append(name)

    def train(self, folder, run):
        if self.fail and self.fail in run.key:
            raise SettingError("the loss is not finite any more")
        if not (folder / "model.safetensors").exists():
            self._step(f"train {folder.name}")
            (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
            (folder / "model.safetensors").write_text("")
        return {"trained_on": 4, "classes": 2, "epochs": 1, "top1": 0.5, "seconds": 1.0}

    def fit(self, folder, map, file):
        self._step(f"fit {map}")
        file.write_text("")

    def evaluate(self, *, model, out, protocol, split, normalizer, threshold, save_maps=None, score_maps=None, **look):
        assert (model is None) == (score_maps is not None)
        if score_maps is not None:
            assert (score_maps / "maps").exists()
        self._step(f"evaluate {out.name}" + (" of maps" if score_maps else ""))
        if save_maps is not None:
            save_maps.mkdir(parents=True)
            (save_maps / "maps").write_text("")
        values = [1.0, 0.0, None, 1 / 3]
        column = {"over": "images", "mean_over_classes": False, "higher_is_better": True, "values": values}
        content = {
            "setting": {"protocols": list(protocol)},
            "metrics": {"paper": {"corloc": 50.0}},
            "images": ["0", "1", "2", "3"],
            "cases": [["0", 0], ["1", 1], ["2", 0], ["3", 1]],
            "values": {"paper.corloc": column},
            "denominators": {"paper": {"corloc": {"count": 4, "unit": "images"}}},
        }
        out.mkdir(parents=True)
        (out / "metrics.json").write_text(json.dumps(content))
        return content


def run(grid, out, played, *, shard="1/1"):
    data = data_set(out)
    with grid_job(grid, out, data, shard=Shard.parse(shard)) as job:
        return [(each.key, reason) for each, reason in run_grid(grid, out, job, played.verbs)]


def table(name="table-x", **wishes):
    return make_grid(name, "cub:CUB", ["train", "test"], Wishes(**{"seeds": 1, **wishes}))


def test_each_network_is_trained_once_and_measured_in_every_way(tmp_path):
    grid, played = table(), Played()
    done = run(grid, tmp_path, played)
    assert [key for key, reason in done if not reason] == [each.key for each in grid.runs]
    assert [step.split()[0] for step in played.done] == ["train", *["evaluate"] * 4] * 2
    rows = read_rows(tmp_path)
    line = rows[grid.runs[0].key]
    assert list(line.looks) == ["1 min_max", "1+1.5 min_max", "1+1.5+2 min_max", "1+1.5+2+2.5 min_max"]
    assert line.looks["1 min_max"].metrics == {"paper.corloc": 50.0}
    assert line.looks["1 min_max"].digits == {"paper.corloc": "90-3"}
    assert not (folder_of(tmp_path, grid.runs[0]) / "checkpoints").exists()
    again = Played()
    assert run(grid, tmp_path, again) == []
    assert again.done == []


def test_maps_are_made_once_for_all_normalisers(tmp_path):
    grid, played = table("methods", rows=("MobileNetV2, ADL",)), Played()
    run(grid, tmp_path, played)
    assert played.done[1:] == [
        "evaluate 1-min_max",
        "evaluate 1+1.5+2-min_max",
        "evaluate 1-percentile of maps",
        "evaluate 1+1.5+2-percentile of maps",
    ]
    assert not (folder_of(tmp_path, grid.runs[0]) / "maps").exists()


@pytest.mark.parametrize("stop_at", range(1, 11))
def test_whatever_stops_it_nothing_is_done_twice(stop_at, tmp_path):
    grid, whole = table("methods", rows=("MobileNetV2, ADL", "MobileNetV2, SP")), Played()
    run(grid, tmp_path / "whole", whole)
    stopped, rest = Played(stop_at), Played()
    with pytest.raises(Stopped):
        run(grid, tmp_path / "out", stopped)
    run(grid, tmp_path / "out", rest)
    assert stopped.done + rest.done == whole.done
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == (tmp_path / "whole" / "rows.jsonl").read_bytes()


def test_parts_are_taken_together(tmp_path):
    grid, whole = table("methods"), Played()
    run(grid, tmp_path / "whole", whole)
    parts = [Played() for _ in range(3)]
    for number, played in enumerate(parts, start=1):
        run(grid, tmp_path / "out", played, shard=f"{number}/3")
        assert 0 < len(played.done) < len(whole.done)
    assert sorted(read_rows(tmp_path / "out")) == sorted(each.key for each in grid.runs)
    last = Played()
    assert run(grid, tmp_path / "out", last) == []
    assert last.done == []
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == (tmp_path / "whole" / "rows.jsonl").read_bytes()


def test_parts_do_not_do_again_what_all_together_have_done(tmp_path):
    grid, whole, out = table("methods"), Played(), tmp_path / "out"
    run(grid, tmp_path / "whole", whole)
    run(table("methods", rows=("MobileNetV2*",)), out, Played())
    shutil.rmtree(out / "runs")  # rows that came from elsewhere
    before = read_rows(out).keys()
    parts = [Played(), Played()]
    for number, played in enumerate(parts, start=1):
        run(grid, out, played, shard=f"{number}/2")
    trained = [step.split()[1] for played in parts for step in played.done if step.startswith("train")]
    assert sorted(trained) == sorted(each.key for each in grid.runs if each.key not in before)
    assert run(grid, out, Played()) == []
    assert run(grid, out, Played(), shard="2/2") == []  # its rows have been taken over, and stay
    assert (out / "rows.jsonl").read_bytes() == (tmp_path / "whole" / "rows.jsonl").read_bytes()


def test_a_part_goes_on_with_other_rows(tmp_path):
    asked = [table(rows=("VGG16*",)), table(rows=("GoogLeNet*",)), table()]
    for shard in ("1/2", "2/2"):
        for grid in asked:
            run(grid, tmp_path, Played(), shard=shard)
    last = Played()
    assert run(table(), tmp_path, last) == []
    assert last.done == []
    assert set(read_rows(tmp_path)) == {each.key for each in table().runs}


def test_parts_add_what_they_measured_to_rows_of_the_same_network(tmp_path):
    """The network of VGG16 is that of VGG16+M, at one scale and at three."""
    one, three = table("table-viii", rows=("VGG16",)), table("table-viii", rows=("VGG16+M",))
    assert [each.key for each in one.runs] == [each.key for each in three.runs]
    run(one, tmp_path, Played())
    for shard in ("1/2", "2/2"):
        run(three, tmp_path, Played(), shard=shard)
    together = [{*one.runs[0].looks, *three.runs[0].looks}]
    assert [set(line.looks) for line in read_rows(tmp_path).values()] == together
    run(three, tmp_path, Played())
    assert [set(line.looks) for line in read_rows(tmp_path).values()] == together
    (row,) = map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())
    assert set(row["looks"]) == together[0]


def test_parts_of_other_work_are_refused(tmp_path):
    run(table("table-viii"), tmp_path, Played(), shard="1/2")
    with pytest.raises(DataError, match=r"1-of-2\.json: rows of other work \(table"):
        run(table(), tmp_path, Played())
    run(table(), tmp_path / "whole", Played())
    with pytest.raises(DataError, match=r"grid\.json: rows of other work \(table"):
        run(table("table-viii"), tmp_path / "whole", Played(), shard="1/2")


def test_rows_go_on_elsewhere_without_the_networks(tmp_path):
    grid = table(seeds=2)
    run(table(), tmp_path / "there", Played())
    (tmp_path / "here").mkdir()
    for name in ("rows.jsonl", "grid.json"):
        (tmp_path / "here" / name).write_bytes((tmp_path / "there" / name).read_bytes())
    played = Played()
    run(grid, tmp_path / "here", played)
    assert [step for step in played.done if step.startswith("train")] == [f"train {each.key}" for each in grid.runs[2:]]


def test_rows_of_other_wishes_are_kept(tmp_path):
    one, other = table(rows=("VGG16*",)), table(rows=("GoogLeNet*",), epochs=1)
    run(one, tmp_path, Played())
    run(other, tmp_path, Played())
    assert set(read_rows(tmp_path)) == {one.runs[0].key, other.runs[0].key}
    assert run(one, tmp_path, Played()) == []


def test_other_data_or_another_table_is_refused(tmp_path):
    run(table(), tmp_path, Played())
    with pytest.raises(DataError, match=r"made in another setting .*table: 'table-x', not 'table-viii'"):
        run(table("table-viii"), tmp_path, Played())


def test_a_network_that_fails_does_not_stop_the_others(tmp_path):
    grid = table()
    done = dict(run(grid, tmp_path, Played(fail="googlenet")))
    assert [bool(reason) for reason in done.values()] == [True, False]
    assert read_rows(tmp_path)[grid.runs[0].key].error == "the loss is not finite any more"
    assert list(dict(run(grid, tmp_path, Played()))) == [grid.runs[0].key]  # tried again
    assert read_rows(tmp_path)[grid.runs[0].key].error is None


def test_a_map_that_learns_is_fitted_on_the_network(tmp_path):
    played = Played()
    run(make_grid("table-vi", "ilsvrc:x", ["train", "val"], Wishes(seeds=1, rows=("VGG16-PSOL",))), tmp_path, played)
    assert [step.split()[0] for step in played.done] == ["train", "fit", "evaluate"]


class Timing:
    images_per_second, seconds = 10.0, 600.0


def test_the_plan_says_what_is_left(tmp_path):
    grid, asked = table(seeds=2), []
    with pytest.raises(Stopped):
        run(grid, tmp_path, Played(stop_at=7))  # the first is done, the second trained
    plan = plan_grid(grid, tmp_path, read_rows(tmp_path), 30, lambda run: asked.append(run.key) or Timing())
    assert [each.state for each in plan.runs] == ["done", "trained, 0 of 4 looks", "not begun", "not begun"]
    assert asked == [grid.runs[1].key, grid.runs[2].key]  # one for each kind of network
    looks = 30 * (4 / 3) * (1 + (1 + 1.5**2) + (1 + 1.5**2 + 4) + (1 + 1.5**2 + 4 + 2.5**2)) / (3 * 10)
    assert plan.runs[1].seconds == pytest.approx((0, looks))
    assert plan.seconds == pytest.approx(2 * 600 + 3 * looks)
    assert "4 networks, 1 done; measured on 30 pictures of test" in plan.to_text()
    assert "about 22 min" in plan.to_text()


def test_lines_keep_which_metrics_are_errors():
    column = {"over": "images", "mean_over_classes": False, "values": [0.0]}
    values = {f"acme.{name}": {**column, "higher_is_better": name == "hits"} for name in ("hits", "slips")}
    metrics = {"acme": {"hits": 0.0, "slips": 0.0, "ap": 0.0}}
    measured = Metrics(setting={}, metrics=metrics, images=["0"], cases=[], values=values)
    line = look_line(measured, ["acme.hits", "acme.slips", "acme.ap"])
    assert line.errors == ("acme.slips",)
    assert [metric for metric in line.metrics if line.lower_is_better(metric)] == ["acme.slips"]


def test_lines_know_the_values_of_pictures():
    line = LookLine(pictures=2, metrics={}, digits={"m": "369-"})
    assert line.values("m")[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert line.values("n") is None
