"""Processes that train together: what each of them says and decides."""

import os
import shutil

import torch
from small_runs import command, free_port, material, small, started_together, told

from forked import METHOD
from mldfr.training import memory
from mldfr.training.examples import Order
from mldfr.training.fit import with_parts
from mldfr.training.prepare import create_network
from mldfr.training.processes import make_fabric


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


def test_the_process_with_the_least_memory_decides_on_the_parts(pictures):
    torch.multiprocessing.start_processes(_cut, (free_port(), pictures), nprocs=2, start_method=METHOD)


def _cut(rank, port, pictures):
    os.environ.update(told(2, rank, port))
    recipe = small("training.batch_size=16", "training.accumulate=null")
    network = create_network(recipe, material(pictures, recipe))
    holds = memory.needed(network, 8 if rank == 0 else 2, 64)
    memory.usable = lambda device: holds
    training = with_parts(recipe, network, 24, make_fabric(recipe.training, "cpu")).training
    assert (training.batch_size, training.accumulate) == (16, 4)
    torch.distributed.destroy_process_group()
