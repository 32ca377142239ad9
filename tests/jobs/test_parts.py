"""Parts of a job: together they are the whole, and what does not make a whole is refused."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldfr.core.errors import DataError, SettingError
from mldfr.core.json_files import write_json
from mldfr.jobs.items import Items
from mldfr.jobs.job import Job
from mldfr.jobs.parts import Kind, Parts, work_of
from mldfr.jobs.shard import JobFiles, Shard, part_files

NAMES = tuple(f"{number}.jpg" for number in range(20))
KIND = Kind("count", "name", ("name",), ("pictures",), lambda row, place: None)


def work(folder, shard, *, names=NAMES, setting=(("seed", 1),), failed=(), count=None):
    items = Items.table({name: {"size": len(name)} for name in names}, key="name")
    with Job(JobFiles.of_part(folder, shard), {**dict(setting), "work": "count"}, items, shard=shard) as job:
        for name in job.pending()[:count]:
            if name in failed:
                job.fail(name, "broken")
            else:
                job.add({"name": name, "length": len(name)})


@given(st.lists(st.text(max_size=8), max_size=20), st.integers(1, 6))
def test_every_key_is_in_one_shard(keys, count):
    for key in keys:
        assert sum(key in Shard(number, count) for number in range(1, count + 1)) == 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "-1/2", "1/2/3", "a/b", "1/0", "1.0/2"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match="--shard takes a part and how many there are"):
        Shard.parse(text)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_parts_in_one_or_several_folders_are_the_whole_in_order(tmp_path, count):
    folders = [tmp_path / "a", tmp_path / "b"][:count]
    failed = ("3.jpg", "4.jpg") if count > 1 else ()
    for number in range(count, 0, -1):
        work(folders[number % len(folders)], Shard(number, count), failed=failed)
    parts = Parts(folders, KIND)
    expected = [name for name in NAMES if name not in failed]
    assert [row["name"] for row in parts.rows()] == expected
    assert len(parts) == len(expected)
    assert parts.setting == {"seed": 1}
    assert list(parts.states().items()) == [(name, {"size": len(name)}) for name in NAMES]
    assert parts.without() == dict.fromkeys(failed, "broken")
    assert all((parts.folder(name) / "parts").is_dir() for name in expected)


def test_a_part_that_was_stopped_or_has_failures_is_complete_when_it_was_gone_on_with(tmp_path):
    work(tmp_path, Shard(1, 2))
    with pytest.raises(KeyboardInterrupt):
        stopped(tmp_path)
    with pytest.raises(DataError, match=r"2-of-2\.jsonl: has 2 of \d+ pictures; run its command again to go on"):
        Parts([tmp_path], KIND)
    mine = [name for name in NAMES if name in Shard(2, 2)]
    work(tmp_path, Shard(2, 2), failed=mine[-2:])
    assert len(Parts([tmp_path], KIND)) == len(NAMES) - 2
    work(tmp_path, Shard(2, 2), failed=mine[-1:])
    assert list(Parts([tmp_path], KIND).without()) == mine[-1:]
    work(tmp_path, Shard(2, 2))
    assert Parts([tmp_path], KIND).without() == {}


def stopped(folder):
    items = Items.table({name: {"size": len(name)} for name in NAMES}, key="name")
    with Job(JobFiles.of_part(folder, Shard(2, 2)), {"seed": 1, "work": "count"}, items, shard=Shard(2, 2)) as job:
        for name in job.pending()[:2]:
            job.add({"name": name})
        raise KeyboardInterrupt


def test_parts_that_do_not_belong_together_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a: nothing was annotated here, or located or evaluated in parts \(--shard\)$"
    ):
        Parts([tmp_path / "a"], KIND)
    work(tmp_path / "a", Shard(1, 2))
    with pytest.raises(DataError, match="the parts 2/2 are missing; run count with --shard 2/2"):
        Parts([tmp_path / "a"], KIND)
    with pytest.raises(DataError, match="the same part of the work"):
        Parts([tmp_path / "a", tmp_path / "a"], KIND)
    work(tmp_path / "other", Shard(2, 2), setting=(("seed", 2),))
    with pytest.raises(DataError, match=r"belongs to another work than .* \(seed: 2, not 1\)"):
        Parts([tmp_path / "a", tmp_path / "other"], KIND)
    work(tmp_path / "more", Shard(2, 2), names=(*NAMES, "new.jpg"))
    with pytest.raises(DataError, match="the pictures were not the same"):
        Parts([tmp_path / "a", tmp_path / "more"], KIND)
    work(tmp_path / "turned", Shard(2, 2), names=NAMES[::-1])
    with pytest.raises(DataError, match="the pictures were not the same"):
        Parts([tmp_path / "a", tmp_path / "turned"], KIND)
    work(tmp_path / "thirds", Shard(2, 3))
    with pytest.raises(DataError, match="has parts of 2 and of 3; they do not belong together"):
        Parts([tmp_path / "a", tmp_path / "thirds"], KIND)
    with pytest.raises(DataError, match=r"1-of-2\.json: the work was shared in another way"):
        work(tmp_path / "a", Shard(1, 3))
    with pytest.raises(DataError, match="a part of `mldfr count`; expected parts of `mldfr locate`"):
        Parts([tmp_path / "a"], KIND._replace(work="locate"))


def test_a_setting_that_is_none_is_named(tmp_path):
    write_json(tmp_path / "parts/1-of-1.json", {"work": "count"})
    with pytest.raises(DataError, match=r"1-of-1\.json: not the setting of a part; it has no 'pictures'"):
        Parts([tmp_path], KIND)
    assert work_of([tmp_path]) == "count"


def test_the_order_of_the_items_may_change_in_a_part(tmp_path):
    """What lies in the file is always in the order that was asked for last."""
    work(tmp_path, Shard(1, 2))
    work(tmp_path, Shard(1, 2), names=NAMES[::-1])
    names = [json.loads(line)["name"] for line in (tmp_path / "parts/1-of-2.jsonl").open()]
    assert names == [name for name in NAMES[::-1] if name in Shard(1, 2)]
    assert list(json.loads((tmp_path / "parts/1-of-2.json").read_text())["pictures"]) == list(NAMES[::-1])


def test_files_beside_the_parts_are_none(tmp_path):
    work(tmp_path, Shard(1, 1))
    for name in (".2-of-3.json", "notes.json", "1-of-many.json"):
        shutil.copy(tmp_path / "parts/1-of-1.json", tmp_path / "parts" / name)
    assert [path.name for path in part_files(tmp_path)] == ["1-of-1.json"]
