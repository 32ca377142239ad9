"""A job on many items: killed, out of room, changed or begun twice, it ends as if nothing had been, or says why not."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forked import peak_of_memory
from mldfr.core.errors import DataError
from mldfr.core.files import WriteError
from mldfr.jobs.items import Items
from mldfr.jobs.job import Job, Unkept
from mldfr.jobs.shard import WHOLE, JobFiles, Shard

NAMES = tuple(f"{number}.jpg" for number in range(12))
SETTING = {"model": "small", "threshold": 0.2, "rule": {"name": "largest", "share": 0.1}}


def files_in(folder):
    return JobFiles(folder / "rows.jsonl", folder / "about.json", folder / ".lock")


def job_in(folder, *, setting=SETTING, states=None, shard=WHOLE, **options):
    files = files_in(folder) if shard == WHOLE else JobFiles.of_part(folder, shard)
    items = Items.table(dict.fromkeys(NAMES, 1) if states is None else states, key="name")
    return Job(files, setting, items, shard=shard, **options)


def row_of(name):
    return {"name": name, "boxes": [[1.5, 2.0, len(name)]], "text": "é" * (sum(map(ord, name)) % 50)}


def work(job, count=None):
    """Do so many of the items that are left; which they were."""
    with job:
        pending = job.pending()[:count]
        for name in pending:
            job.add(row_of(name))
    return pending


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    work(job_in(folder))
    return folder


def assert_as_whole(folder, whole):
    for one, other in zip(files_in(folder)[:2], files_in(whole)[:2], strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert not list(folder.glob(".*-*"))


@given(st.integers(0, 10**4), st.booleans())
def test_cut_off_at_any_byte_it_ends_with_the_same_bytes(whole, tmp_path_factory, end, leftover):
    folder = tmp_path_factory.mktemp("cut")
    content = files_in(whole).rows.read_bytes()
    end %= len(content) + 1
    files_in(folder).about.write_bytes(files_in(whole).about.read_bytes())
    files_in(folder).rows.write_bytes(content[:end])
    if leftover:
        (folder / ".rows-0123456789abcdef.jsonl").write_bytes(content[: end // 2])
    assert work(job_in(folder)) == list(NAMES[content[: end + 1].count(b"\n") :])  # a whole line may lack its end
    assert_as_whole(folder, whole)


@given(st.permutations(NAMES), st.integers(0, len(NAMES)))
def test_results_that_come_in_any_order_end_in_that_of_the_items(whole, tmp_path_factory, order, stopped_after):
    folder = tmp_path_factory.mktemp("order")
    with suppress(KeyboardInterrupt), job_in(folder) as job:
        for name in order[:stopped_after]:
            job.add(row_of(name))
        raise KeyboardInterrupt
    with job_in(folder) as job:
        assert len(job) == stopped_after
        for name in reversed(job.pending()):
            job.add(row_of(name))
            assert job.read(name) == row_of(name)
    assert_as_whole(folder, whole)


def test_when_all_is_done_nothing_is_written(whole):
    before = [path.stat() for path in files_in(whole)[:2]]
    assert work(job_in(whole)) == []
    after = [path.stat() for path in files_in(whole)[:2]]
    assert [(each.st_ino, each.st_mtime_ns) for each in before] == [(each.st_ino, each.st_mtime_ns) for each in after]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"threshold": 0.3}, "threshold: 0.2, not 0.3"),
        ({"rule": {"name": "largest", "share": 0.2}}, "rule: {'share': 0.1}, not {'share': 0.2}"),
        ({"seed": 1}, "seed: None, not 1"),
    ],
)
@pytest.mark.parametrize("shard", [WHOLE, Shard(1, 2)])
def test_another_setting_is_refused_and_what_differs_is_named(tmp_path, changed, says, shard):
    work(job_in(tmp_path, shard=shard), 2)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(DataError) as refused, job_in(tmp_path, setting=SETTING | changed, shard=shard):
        pass
    assert str(refused.value).endswith(f"was made in another setting ({says}); name another folder")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_rows_of_a_setting_that_nobody_knows_are_refused_and_may_be_dropped(tmp_path):
    files_in(tmp_path).rows.write_text('{"name": "0.jpg"}')  # another tool's, without the end of its line
    with pytest.raises(DataError, match=r"is there, and no about\.json says what made it"), job_in(tmp_path):
        pass
    assert files_in(tmp_path).rows.read_text() == '{"name": "0.jpg"}'
    assert work(job_in(tmp_path, overwrite=True)) == list(NAMES)


def test_items_that_have_changed_are_done_again_and_others_are_refused(tmp_path):
    states = dict.fromkeys(NAMES, 1)
    work(job_in(tmp_path))
    states["3.jpg"] = 2
    assert work(job_in(tmp_path, states={"new.jpg": 1, **states})) == ["new.jpg", "3.jpg"]
    del states["5.jpg"], states["7.jpg"]
    with pytest.raises(DataError, match=r"has 3 other pictures, such as new\.jpg"), job_in(tmp_path, states=states):
        pass


def test_rows_may_be_kept_in_another_form_or_go_with_their_items(tmp_path):
    def items(numbers):
        return Items(
            tuple(numbers),
            "name",
            names=("number",),
            facts={"numbers": numbers},
            keep=lambda row, facts: row | {"number": numbers[row["name"]]} if row["name"] != "b" else None,
            may_go=True,
        )

    with Job(files_in(tmp_path), {}, items({"a": 0, "b": 1, "c": 2})) as job:
        for number, name in enumerate(job.pending()):
            job.add({"name": name, "number": number})
    with Job(files_in(tmp_path), {}, items({"c": 0, "b": 1})) as job:
        assert job.pending() == ["b"]
        assert job.read("c") == {"name": "c", "number": 0}
    assert [json.loads(line) for line in files_in(tmp_path).rows.open()] == [{"name": "c", "number": 0}]


def test_errors_and_rows_whose_files_are_gone_are_tried_again(tmp_path):
    def job():
        items = Items(("a", "b"), "name", done=lambda row: (tmp_path / row["name"]).is_file())
        return Job(files_in(tmp_path), {}, items)

    (tmp_path / "a").touch()
    for _ in range(2):
        with job() as opened:
            for name in opened.pending():
                opened.add({"name": name} | ({"error": "broken"} if name == "b" else {}))
            assert opened.pending() == ["b"]
            assert len(opened) == 1
    assert files_in(tmp_path).rows.read_bytes().count(b"\n") == 2, "the same error is not written once more"
    (tmp_path / "a").unlink()
    (tmp_path / "b").touch()
    with job() as opened:
        assert opened.pending() == ["a", "b"]
        opened.add({"name": "b"})
        assert opened.pending() == ["a"]
    assert [json.loads(line) for line in files_in(tmp_path).rows.open()] == [{"name": "a"}, {"name": "b"}]


def test_a_full_disk_loses_nothing(whole, tmp_path):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = files_in(whole).rows.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(0.6 * size), unlimited[1]))
    try:
        with pytest.raises(WriteError, match=r"rows\.jsonl: cannot be written \(File too large\)"):
            work(job_in(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    content = files_in(tmp_path).rows.read_bytes()
    assert content
    assert content.endswith(b"\n")
    assert files_in(whole).rows.read_bytes().startswith(content)
    work(job_in(tmp_path))
    assert_as_whole(tmp_path, whole)


def test_names_that_are_no_unicode_are_known_again(tmp_path):
    states = {os.fsdecode(b"caf\xe9.jpg"): 1}
    for expected in (list(states), []):
        assert work(job_in(tmp_path, states=states)) == expected


def test_rows_are_not_kept_in_memory(tmp_path):
    assert peak_of_memory(write_big_rows, tmp_path) < 3 * 10**6
    assert files_in(tmp_path).rows.stat().st_size > 30 * 10**6


def write_big_rows(folder):
    big = "x" * 10**5
    items = Items(tuple(f"{number}" for number in range(300)), "name")
    for _ in range(2):  # written, and gone on with
        with Job(files_in(folder), {}, items) as job:
            for name in job.pending():
                job.add({"name": name, "big": big})


def test_work_that_keeps_nothing_gives_its_rows_away():
    given_away = []
    with Unkept(NAMES, given_away.append) as job:
        for name in job.pending():
            job.add(row_of(name))
        assert job.pending() == list(NAMES)
        assert len(job) == 0
        with pytest.raises(KeyError):
            job.read(NAMES[0])
    assert given_away == [row_of(name) for name in NAMES]


FEATURES = """
import sys, time
from pathlib import Path
import numpy as np
from mldfr.core.files import replacing
from mldfr.jobs.items import Items
from mldfr.jobs.job import Job
from mldfr.jobs.shard import JobFiles
folder, pause = Path(sys.argv[1]), float(sys.argv[2])
items = Items(
    tuple(map(str, range(40))), "shard", done=lambda row: (folder / row["file"]).is_file()
)
with Job(JobFiles(folder / "rows.jsonl", folder / "about.json", folder / ".lock"), {"seed": 3}, items) as job:
    for name in job.pending():
        values = np.random.default_rng(int(name)).random((200, 50))
        with replacing(folder / f"{name}.npy") as file:
            np.save(file, values)
            time.sleep(pause)
        job.add({"shard": name, "file": f"{name}.npy", "mean": float(values.mean())})
"""


def features(folder, pause):
    return subprocess.Popen([sys.executable, "-c", FEATURES, str(folder), str(pause)], stderr=subprocess.PIPE)


def test_killed_again_and_again_arrays_and_rows_are_those_of_a_run_that_never_was(tmp_path):
    """Also: while it works, another process is refused."""
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    for each in (whole, folder):
        each.mkdir()
    rows, moments, kills = folder / "rows.jsonl", random.Random(0), 0
    assert features(whole, 0).wait() == 0
    while kills < 6:
        before = rows.stat().st_size if rows.exists() else 0
        with features(folder, 0.01) as process:
            while process.poll() is None and (not rows.exists() or rows.stat().st_size == before):
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.02))
            if kills == 0:
                process.send_signal(signal.SIGSTOP)
                with features(folder, 0) as other:
                    said = other.stderr.read().decode()
                assert other.returncode == 1
                assert "rows.jsonl: another process is writing it" in said.splitlines()[-1]
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process.returncode != -signal.SIGKILL:
                break
            kills += 1
    assert kills > 1
    assert features(folder, 0).wait() == 0
    visible = sorted(path.name for path in whole.iterdir())
    assert [name for name in visible if name.endswith(".npy")] == sorted(f"{number}.npy" for number in range(40))
    for name in visible:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert np.load(folder / "7.npy").shape == (200, 50)
