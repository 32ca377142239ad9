"""The same work on Ray, with a worker that dies."""

import os
import shutil
import subprocess
import sys
import time

import psutil
import pytest
import torch
from PIL import Image

from forked import finished
from mldfr.core.json_files import read_whole_lines
from mldfr.networks.network import LocalizationNetwork

pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'mldfr[ray]'")

PICTURES, WORKERS = 80, 2


def test_a_cluster_that_loses_a_worker_ends_with_the_same_annotations(tmp_path, photos):
    torch.manual_seed(0)
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=3, recalibration="none")
    network.eval().save(tmp_path / "model.safetensors")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with Image.open(photos["chelsea.png"]) as picture:
        picture.convert("RGB").save(pictures / "000.jpg")
    for number in range(1, PICTURES):
        shutil.copy(pictures / "000.jpg", pictures / f"{number:03}.jpg")
    (pictures / "broken.jpg").write_bytes(b"no picture")

    # The last bits of a convolution depend on the number of threads, which Ray would set to an actor's CPUs.
    threads = {"OMP_NUM_THREADS": "1"}
    command = ("annotate", tmp_path / "model.safetensors", pictures, "--format", "coco", "--scales", "1")
    on_ray = ("--device", "cpu", "--engine", "ray", "--workers", WORKERS, "--out", tmp_path / "ray")
    program = [sys.executable, "-m", "mldfr", *map(str, (*command, *on_ray))]
    cluster = subprocess.Popen(program, env=os.environ | threads)
    rows = tmp_path / "ray" / "parts" / "1-of-1.jsonl"
    while not (rows.exists() and rows.stat().st_size):
        assert cluster.poll() is None
        time.sleep(0.05)
    actors = [child for child in psutil.Process(cluster.pid).children(recursive=True) if _is_actor(child)]
    assert len(actors) > 1, "the work is not shared"
    actors[0].kill()
    assert len(_rows(tmp_path / "ray")) < PICTURES, "all was done before the worker was killed"
    assert cluster.wait(300) == 1  # the broken picture
    here = ("--device", "cpu", "--out", tmp_path / "local")
    assert finished(*command, *here, environment=threads).returncode == 1
    for name in ("annotations.json", "review.csv", "failed.csv"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    found, local = ({row["name"]: row for row in _rows(tmp_path / name)} for name in ("ray", "local"))
    assert found == local
    assert len(_rows(tmp_path / "ray")) == len(found) == PICTURES + 1


def _rows(out):
    return read_whole_lines(out / "parts" / "1-of-1.jsonl")


def _is_actor(process):
    try:
        return any("Annotator" in part for part in process.cmdline())
    except psutil.Error:
        return False
