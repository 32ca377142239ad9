"""What several tests need: small networks, and data sets that are made of little pictures."""

import json
import zlib
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from typer.testing import CliRunner

import mldfr
from mldfr.cli.main import app
from mldfr.networks.network import LocalizationNetwork


def lively(network):
    """Random weights whose maps neither vanish nor explode, and statistics that matter."""
    for part in network.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
    return network.eval()


def small_network(backbone, recalibration="self_attention", **options):
    """A random network for 5 classes."""
    made = lively(LocalizationNetwork.create(backbone, num_classes=5, recalibration=recalibration, **options))
    preprocessing = made.card.preprocessing.model_copy(update={"input_size": 64})
    made.card = made.card.model_copy(update={"preprocessing": preprocessing})
    return made


def at_size(localizer, input_size):
    """A copy of a localizer that looks at pictures in another size."""
    made = deepcopy(localizer)
    preprocessing = localizer.card.preprocessing.model_copy(update={"input_size": input_size})
    made.card = localizer.card.model_copy(update={"preprocessing": preprocessing})
    return made


def of_any_values(build):
    """A network whose shapes alone count: nobody draws its weights, and it runs on the CPU, faster than on "meta"."""
    with torch.device("meta"):
        made = build()
    return made.to_empty(device="cpu")


def small_sides(*sides):
    """With which attributes, by their dotted names, fitted maps look at pictures at small short sides (pixels)."""
    sides = sides or (96, 160)
    return {"mldfr.maps.base.FittedMap.sides": sides, "mldfr.localizer.sameness.SIDE": sides[0]}


def look_small(monkeypatch, *sides):
    """Let fitted maps look at pictures so in this process, which takes a tenth of the time."""
    for name, value in small_sides(*sides).items():
        monkeypatch.setattr(name, value)


def draw_no_plots(monkeypatch):
    """Let `evaluate` leave its plots out, which take longer than all else, where no test looks at them."""
    monkeypatch.setattr("mldfr.reports.page.evaluation_plots.draw_plots", lambda *_: None)


def random_picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tensor(path):
    """A picture as the pyramid takes it: uint8 (3, H, W)."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)


def write_picture(path, size=(40, 30)):
    """Write noise that is the path's own; the size is (W, H)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(path.as_posix().encode())).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)
    return path


def write_text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def annotation(path, *objects):
    """VOC's XML; objects are (name, xmin, ymin, xmax, ymax) or have the difficult flag behind."""
    items = []
    for name, x0, y0, x1, y1, *flag in objects:
        box = f"<xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        difficult = f"<difficult>{flag[0]}</difficult>" if flag else ""
        part = f"<part><name>head</name><bndbox>{box}</bndbox></part>"
        items.append(f"<object><name>{name}</name>{difficult}<bndbox>{box}</bndbox>{part}</object>")
    return write_text(path, "<annotation>", *items, "</annotation>")


def make_folder(root):
    write_picture(root / "train" / "cat" / "a.png")
    write_picture(root / "train" / "dog" / "deep" / "b.jpg")
    write_picture(root / "validation" / "cat" / "a.png")
    return root


def make_csv(root):
    write_picture(root / "pictures" / "a.png")
    write_picture(root / "b.png")
    return write_text(root / "t.csv", "Path,label,split", "pictures/a.png,cat;dog,", "b.png,dog,validation")


def make_coco(root):
    write_picture(root / "val2017" / "1.png")
    write_picture(root / "val2017" / "2.png")
    write_picture(root / "train2017" / "3.png")
    categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
    boxes = [
        {"id": 7, "image_id": 10, "category_id": 18, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 8, "image_id": 10, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1},
        {"id": 9, "image_id": 10, "category_id": 18, "bbox": [5, 5, 1.5, 1]},
    ]
    val = {"images": [{"id": 10, "file_name": "1.png"}, {"id": 11, "file_name": "2.png"}], "annotations": boxes}
    train = {"images": [{"id": 3, "file_name": "3.png"}], "annotations": [{"image_id": 3, "category_id": 1}]}
    for name, content in (("instances_val2017", val), ("instances_train2017", train)):
        write_text(root / "annotations" / f"{name}.json", json.dumps({**content, "categories": categories}))
    write_text(root / "annotations" / "captions_val2017.json", "{}")
    return root


def make_cub(root):
    write_text(root / "classes.txt", "1 001.Albatross", "2 002.Ani", "3 003.Auk")
    write_text(root / "images.txt", "5 001.Albatross/a.png", "6 003.Auk/b.png")
    write_text(root / "image_class_labels.txt", "5 1", "6 3")
    write_text(root / "train_test_split.txt", "5 1", "6 0")
    write_text(root / "bounding_boxes.txt", "5 1.0 2.0 10.0 20.0", "6 0.0 0.0 40.0 30.0")
    write_picture(root / "images" / "001.Albatross" / "a.png")
    write_picture(root / "images" / "003.Auk" / "b.png")
    return root


def make_ilsvrc(root):
    for name in ("n02", "n01"):
        write_picture(root / "train" / name / f"{name}_1.JPEG")
    write_picture(root / "val" / "v1.JPEG")
    annotation(root / "Annotations" / "val" / "v1.xml", ("n02", 1, 2, 30, 20), ("n02", 0, 0, 5, 5))
    return root


def make_voc(root):
    folder = root / "VOC2007"
    for name in ("000001", "000002"):
        write_picture(folder / "JPEGImages" / f"{name}.jpg")
    annotation(folder / "Annotations" / "000001.xml", ("dog", 1, 1, 40, 30, 0), ("person", 5, 6, 7, 8, 1))
    annotation(folder / "Annotations" / "000002.xml", ("person", 5, 6, 7, 8, 1), ("dog", 2, 3, 9, 9, 1))
    for split, names in {"train": ["000001"], "val": ["000002"], "trainval": ["000001", "000002"]}.items():
        write_text(folder / "ImageSets" / "Main" / f"{split}.txt", *names)
    write_text(folder / "ImageSets" / "Main" / "dog_train.txt", "000001  1")
    return root


def make_wsol(root):
    folder = root / "metadata" / "SET" / "test"
    write_text(folder / "image_ids.txt", "val/a,b.png", "val/c.png")
    write_text(folder / "class_labels.txt", "val/a,b.png,2", "val/c.png,0")
    write_text(folder / "image_sizes.txt", "val/a,b.png,40,30", "val/c.png,40,30")
    write_text(folder / "localization.txt", "val/a,b.png,1,2,30,20", "val/a,b.png,0.5,0,4,4.25", "val/c.png,0,0,40,30")
    write_picture(root / "dataset" / "SET" / "val" / "a,b.png")
    write_picture(root / "dataset" / "SET" / "val" / "c.png")
    return root / "metadata" / "SET"


def make_pets(root):
    for name in ("Bengal_1", "american_bulldog_12", "Bengal_2"):
        write_picture(root / "images" / f"{name}.jpg")
        trimap = np.full((30, 40), 2, np.uint8)
        trimap[5:20, 10:33] = 3
        trimap[6:19, 11:32] = 1
        (root / "annotations" / "trimaps").mkdir(parents=True, exist_ok=True)
        Image.fromarray(trimap).save(root / "annotations" / "trimaps" / f"{name}.png")
    return root


def make_creatures(root):
    from mldfr.data.synthetic.creatures import write

    write(root, images=6, classes=2, size=64, seed=0, co_occurrence=False)
    return root


MAKERS = {
    "folder": make_folder,
    "csv": make_csv,
    "coco": make_coco,
    "cub": make_cub,
    "ilsvrc": make_ilsvrc,
    "voc2007": make_voc,
    "wsol": make_wsol,
    "pets": make_pets,
    "creatures": make_creatures,
}


SAME = ("metrics", "denominators", "values", "counts", "breakdown", "diagnosis", "best_thresholds", "images", "cases")
"""What must not change when maps are stored and read back."""


PICTURES = {  # id: width, height, class, boxes; there is none of the classes 2 to 4
    "a.png": (60, 48, 0, [(5, 6, 50, 40)]),
    "deep/b.png": (48, 64, 1, [(0, 0, 24, 30), (20, 30, 48, 64)]),
    "c,d.png": (50, 50, 1, [(10, 10, 45, 45)]),
    "e.1.png": (64, 40, 5, [(2, 2, 60, 38)]),
    "f.png": (40, 60, 5, [(15.5, 20.25, 30, 45)]),
}


def run(*arguments):
    """Run the program in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def strict(content):
    """JSON without the NaN and Infinity that Python adds to it."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(content, parse_constant=refuse)


def evaluate(*arguments, code=0):
    """Run `mldfr evaluate --json`; the report."""
    result = run("evaluate", *arguments, "--json")
    assert result.exit_code == code, (result.output, result.exception)
    return strict(result.stdout)


def refused(*arguments, says):
    """Run `mldfr evaluate`, which answers with exit code 2 and a line that has all these words."""
    result = run("evaluate", *arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    message = " ".join(result.output.split())
    for part in says if isinstance(says, list) else [says]:
        assert str(part) in message
    return message


def same(one, other):
    """Two reports agree in everything that is a result, to the last digit."""
    for key in SAME:
        assert one.get(key) == other.get(key), key


def make_blob_wsol(root, pictures=PICTURES):
    """A tree as wsolevaluation has it, and the name under which it is opened."""
    folder = make_metadata(root, pictures)
    for name, (width, height, *_) in pictures.items():
        blobs(root / "dataset" / "SET" / name, (width, height))
    return f"wsol:{folder}"


def make_metadata(root, pictures):
    """The part of it that has no pictures."""
    folder = root / "metadata" / "SET" / "test"
    write_text(folder / "image_ids.txt", *pictures)
    write_text(folder / "class_labels.txt", *(f"{name},{label}" for name, (_, _, label, _) in pictures.items()))
    write_text(folder / "image_sizes.txt", *(f"{name},{w},{h}" for name, (w, h, _, _) in pictures.items()))
    lines = (",".join(map(str, (name, *box))) for name, (*_, boxes) in pictures.items() for box in boxes)
    write_text(folder / "localization.txt", *lines)
    return folder


def blobs(path, size):
    """A smooth picture that is the path's own, so that maps are not the same everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    noise = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    Image.fromarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)).save(path)


def make_blob_voc(root):
    """A tree as VOC2007's, with difficult objects, an image of several classes and one without any."""
    folder = root / "VOC2007"
    dog, cat, sofa = (lambda *box, name=name: (name, *box) for name in ("dog", "cat", "sofa"))
    annotation(folder / "Annotations" / "000001.xml", dog(5, 6, 40, 44, 0), cat(20, 10, 60, 48, 0))
    annotation(folder / "Annotations" / "000002.xml", dog(1, 1, 30, 30, 0), dog(20, 20, 48, 60, 0), sofa(1, 1, 9, 9, 1))
    annotation(folder / "Annotations" / "000003.xml", cat(3, 3, 50, 40, 1))
    annotation(folder / "Annotations" / "000004.xml", sofa(10, 10, 50, 40, 0))
    names = [f"00000{number}" for number in range(1, 5)]
    write_text(folder / "ImageSets" / "Main" / "test.txt", *names)
    for name, size in zip(names, [(60, 48), (48, 64), (50, 50), (64, 40)], strict=True):
        blobs(folder / "JPEGImages" / f"{name}.jpg", size)
    return f"voc2007:{root}"


def save_small(path, **options):
    """A network at random that looks at small pictures, once."""
    torch.manual_seed(1)
    network = mldfr.Localizer.create("mobilenet_v2", recalibration="none", **options)
    card = network.card
    network.card = card.model_copy(
        update={
            "preprocessing": card.preprocessing.model_copy(update={"input_size": 64}),
            "localization": card.localization.changed(scales=(1.0, 1.5)),
        }
    )
    network.save(path)
    return path


def report_of(root):
    return strict((root / "metrics.json").read_text())


def foreign_maps(folder, dtype=np.float64, *, ending=True, side=None, pictures=PICTURES):
    """Smooth maps whose grey levels are hit exactly; the maps by id."""
    rng, maps = np.random.default_rng(5), {}
    for name, (width, height, *_) in pictures.items():
        shape = (side, side) if side else (height, width)
        smooth = cv2.GaussianBlur(rng.uniform(size=shape), (0, 0), shape[0] / 8)
        smooth = (smooth - smooth.min()) / np.ptp(smooth) * 0.97
        maps[name] = (np.round(smooth * 255) / 255).astype(dtype)
        path = folder / (f"{name}.npy" if ending else Path(name).with_suffix(".npy"))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, maps[name])
    return maps
