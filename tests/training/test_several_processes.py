"""Processes that train together: what each of them says and decides."""

import shutil

from small_runs import command, material, small, started_together

from mldfr.training.examples import Order


def test_what_any_process_cannot_read_is_said_once(pictures, tmp_path):
    changes = ["data.held_out=0", "training.epochs=1"]
    order = Order(27, 8, 1, 1, seed=0, rank=1, world=2)
    broken = material(pictures, small(*changes)).train[next(iter(order))[0].example].id
    shutil.copytree(pictures, tmp_path / "pictures")
    (tmp_path / "pictures" / broken).write_bytes(b"nothing")
    settings = [part for change in changes for part in ("--set", change)]
    programs = started_together(2, *command(tmp_path / "pictures", tmp_path / "run", *settings)[2:])
    assert [program.wait() for program in programs] == [0, 0]
    said = [program.stderr for program in programs]
    assert [text.count(broken) for text in said] == [0, 1]
    assert [text.count("epoch 1/1") for text in said] == [1, 0]
    assert [text.count("BatchNorm takes") for text in said] == [1, 0]
    assert (tmp_path / "run" / "unreadable.txt").read_text().count(broken) == 1
