"""Real photographs with the labels of their folders alone: whether the boxes are right."""

import shutil

import numpy as np
import pytest
from annotating import run

from mldfr.boxes.iou import iou
from mldfr.data import open_data
from mldfr.exports import FORMATS

PICTURES = 16


@pytest.fixture
def pets(shared, tmp_path):
    """Every n-th pet in the folder of its breed, and its box by name."""
    root = shared / "data" / "oxford-iiit-pet"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    data = open_data(f"pets:{root}")
    samples = [sample for split in data.splits for sample in data.split(split)]
    boxes = {}
    for sample in samples[:: len(samples) // PICTURES][:PICTURES]:
        name = f"{data.classes[sample.labels[0]]}/{sample.path.name}"
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, tmp_path / "pets" / name)
        boxes[name] = np.asarray(sample.objects[0].xyxy, np.float64)
    return boxes


def corloc(pets, tmp_path, name, *told):
    """The share of pictures whose box around the most pixels has an IoU over 0.5 with the pet's."""
    out = tmp_path / name
    told = (*told, "--boxes", "largest", "--device", "cpu")
    run("annotate", "imagenet", f"folder:{tmp_path / 'pets'}", "--out", out, "--format", "csv", *told)
    _, images = FORMATS["csv"].read(out / "annotations.csv")
    right = [float(iou(np.asarray(box.xyxy), pets[image.name])) > 0.5 for image in images for box in image.boxes]
    return sum(right) / len(pets)


def test_foreground_of_the_pictures_themselves_beats_class_activation(pets, tmp_path):
    assert len(pets) == PICTURES
    fitted = corloc(pets, tmp_path, "fitted")
    published = corloc(pets, tmp_path, "cam", "--map", "cam", "--threshold", "0.2", "--normalizer", "min_max")
    assert fitted >= 0.8
    assert fitted > published
