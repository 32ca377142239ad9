"""Readers on the real data sets, against other readers and the official lists."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from torchvision.datasets import VOCDetection

from mldfr.data import open_data
from mldfr.data.survey import survey


@pytest.fixture(scope="module")
def real(shared):
    """Read one of the real sets; skip where it is not."""

    def read(kind, place):
        if not (shared / "data" / place).exists():
            pytest.skip(f"no {shared / 'data' / place}")
        return open_data(f"{kind}:{shared / 'data' / place}")

    return read


def test_real_cub_is_the_same_in_both_layouts(real, shared):
    """wsolevaluation's boxes end at the last pixel of the original image; 15 official ones reach past it."""
    data = real("cub", "CUB_200_2011")
    assert {split: len(members) for split, members in data.splits.items()} == {"train": 600, "test": 585}
    assert len(data.classes) == 20
    other = real("wsol", "CUB_200_2011/metadata")
    for split in ("train", "test"):
        metadata = shared / "data" / "CUB_200_2011" / "metadata" / split
        now, original = (_sizes(metadata / name) for name in ("image_sizes.txt", "original_image_sizes.txt"))
        ours = {sample.path: sample for sample in data.split(split)}
        theirs = {sample.path: sample for sample in other.split(split)}
        assert ours.keys() == theirs.keys()
        for path, sample in ours.items():
            assert int(data.classes[sample.labels[0]][:3]) - 1 == theirs[path].labels[0]
            (a,), (b,) = sample.objects, theirs[path].objects
            last = (original[sample.id] - 1) * now[sample.id] / original[sample.id]
            np.testing.assert_allclose(np.minimum(a.xyxy, [*last, *last]), b.xyxy, atol=0.02)


def _sizes(path):
    """(W, H) by id."""
    rows = (row.split(",") for row in path.read_text().splitlines())
    return {name: np.array([float(width), float(height)]) for name, width, height in rows}


def test_real_voc_against_torchvision(real, shared):
    data = real("voc2007", "VOCdevkit")
    trainval = data.split("trainval")
    assert len(trainval) == 5011
    assert sum(len(sample.objects) for sample in trainval) == 15662
    assert len(data.split("train")) + len(data.split("val")) == 5011
    oracle = VOCDetection(shared / "data", year="2007", image_set="trainval", download=False)
    for index in range(0, 5011, 25):
        tree = ElementTree.parse(oracle.annotations[index]).getroot()
        told = VOCDetection.parse_voc_xml(tree)["annotation"]["object"]
        sample = trainval[index]
        assert sample.path == Path(oracle.images[index])
        expected = []
        for item in told:
            x0, y0, x1, y1 = (int(item["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            expected.append((item["name"], (x0 - 1, y0 - 1, x1, y1), item["difficult"] == "1"))
        assert [(data.classes[item.label], item.xyxy, item.difficult) for item in sample.objects] == expected
        assert {data.classes[label] for label in sample.labels} == {name for name, _, flag in expected if not flag}


def test_real_voc_labels_are_those_of_the_official_lists(real, shared):
    """`dog_trainval.txt` says 1 for images with a dog, 0 for those with difficult dogs only, -1 for others."""
    data = real("voc2007", "VOCdevkit/VOC2007")
    for label, name in enumerate(data.classes):
        path = shared / "data" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / f"{name}_trainval.txt"
        positive = {row.split()[0] for row in path.read_text().splitlines() if row.split()[1] == "1"}
        assert {sample.path.stem for sample in data.split("trainval") if label in sample.labels} == positive


def test_real_ilsvrc(real):
    data = real("wsol", "ILSVRC/metadata/ILSVRC/test")
    samples = data.split("test")
    assert len(samples) == 559
    assert all(sample.objects and sample.path.is_file() for sample in samples)
    assert {problem.kind for problem in survey(data).problems} <= {"class"}


def test_real_pets(real):
    data = real("pets", "oxford-iiit-pet")
    assert len(data.split("train")) == 150
    assert len(data.classes) == 3
    assert all(sample.objects for sample in data.split("train"))
    assert survey(data, thorough=True).problems == ()
