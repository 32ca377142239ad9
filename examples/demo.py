"""Boxes from labels, in a minute or two and without training: a page of photographs with what was found in them.

Run it with `make demo`. First the embedded network, which knows ImageNet's labels and was never shown a box, looks at
photographs that come with scikit-image. Then pictures with labels that it does not know are given boxes: the map
`foreground` learns from these very pictures, without any box, what they have in common. Name a data set of your own
with `--data folder:birds`; without one it is Oxford-IIIT Pet, where that lies in `../shared`.
"""

import argparse
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mldfr
from mldfr.api import ConsoleProgress
from mldfr.boxes.iou import iou
from mldfr.core.files import replacing
from mldfr.core.types import Sample
from mldfr.data import open_data
from mldfr.exports import FORMATS
from mldfr.images import read_image
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.reports.page.gallery import Panel, Row, write_gallery

# What to look for: None is what the network finds most probable by itself.
PHOTOGRAPHS = {
    "chelsea.png": ("A cat", None),
    "motorcycle_left.png": ("A motorcycle in a workshop", None),
    "coffee.png": ("A cup, asked for", ["cup"]),
    "astronaut.png": ("The space shuttle behind an astronaut, asked for", ["space shuttle"]),
    "camera.png": ("A camera on a tripod", None),
}
ONE_SCALE = {"scales": (1.0,)}
TWO_SCALES = {"scales": (1.5, 2.5), "threshold": "otsu_0.7"}
SHARED = Path(os.environ.get("MLDFR_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "oxford-iiit-pet"
PICTURES = 45
SHOWN = 8
ABOUT = (
    "EfficientNet-Lite0 learned ImageNet's classes from labels, and was never shown a box. In photographs the heat is "
    "the activation of the class: first at one scale, with a box round what is over a fixed threshold, then summed "
    "over two finer scales, with a threshold that the map gives of itself."
)
ABOUT_LABELLED = (
    " Below are pictures with labels that it does not know. The activation of its most probable class shows what tells "
    "that class, often the head. The foreground was learned from these very pictures, without a box, and shows the "
    "whole."
)


def main() -> None:
    """Write the page, overlays and annotations into the folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--data", default=f"pets:{SHARED}" if SHARED.is_dir() else None, metavar="KIND:PATH")
    options = parser.parse_args()
    rows = photographs(options.out)
    if options.data:
        rows += labelled(options.out, options.data)
    else:
        print("With labelled pictures of your own: examples/demo.py --data folder:PATH, a folder for each class")
    write_gallery(
        options.out / "index.html",
        title="Where things are, from labels alone",
        introduction=ABOUT + (ABOUT_LABELLED if options.data else ""),
        rows=rows,
    )
    print(f"\nOpen {options.out / 'index.html'} in a browser; what it shows is beside it.")


def photographs(out: Path) -> list[Row]:
    """Locate with the embedded network, with plain settings and with better ones."""
    localizer = mldfr.load("imagenet")
    rows, lines = [], []
    for name, (title, classes) in PHOTOGRAPHS.items():
        path = Path(str(files("skimage") / "data" / name))
        panels = [Panel("photograph", Image.fromarray(read_image(path)), "")]
        for heading, settings in (("one scale", ONE_SCALE), ("two scales, the map's own threshold", TWO_SCALES)):
            located = localizer.locate(path, classes=classes or 1, **settings)
            panels.append(_panel(heading, located, out / "overlays" / f"{path.stem}-{len(settings['scales'])}.jpg"))
            lines.append({**settings, **located.to_json(), "image": name})
        rows.append(Row(title, panels))
        print(f"{name}: {panels[-1].caption}")
    with replacing(out / "predictions.jsonl") as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return rows


def labelled(out: Path, source: str) -> list[Row]:
    """Give labelled pictures boxes, say how many are right where that is known, and show some before and after."""
    data = open_data(source)
    samples = _some([sample for split in data.splits.values() for sample in split if sample.labels], PICTURES)
    folder, boxes = out / "labelled", out / "boxes"
    for old in (folder, boxes):
        shutil.rmtree(old, ignore_errors=True)
    names = _sort(samples, data.classes, folder)
    print(f"\nmldfr annotate imagenet folder:{folder} --labels own --map foreground --format coco --out {boxes}")
    mldfr.annotate(
        "imagenet",
        f"folder:{folder}",
        labels="own",
        map="foreground",
        format="coco",
        out=boxes,
        progress=ConsoleProgress(),
    )
    _, images = FORMATS["coco"].read(boxes / "annotations.json")
    drawn = {image.name: np.array([box.xyxy for box in image.boxes]) for image in images}
    ways = {"activation of a class": "imagenet", "foreground": boxes}
    if all(sample.objects for sample in samples):
        before = mldfr.load("imagenet").locate_all([sample.path for sample in samples])
        found = [[each.labels[0].boxes.xyxy for each in before], [drawn[name] for name in names]]
        for heading, of_pictures in zip(ways, found, strict=True):
            right = sum(_overlap(*each) > 0.5 for each in zip(of_pictures, samples, strict=True))
            print(f"{heading}: {right} of {len(samples)} boxes are right (IoU over 0.5)")
    localizers = {
        heading: mldfr.Localizer(LabelledSource(mldfr.load(model).source, data.classes))
        for heading, model in ways.items()
    }
    return [_before_and_after(sample, data.classes, localizers, out) for sample in _some(samples, SHOWN)]


def _some(samples: Sequence[Sample], count: int) -> Sequence[Sample]:
    """So many, evenly spread."""
    return [samples[index] for index in np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int)]


def _sort(samples: Sequence[Sample], classes: Sequence[str], folder: Path) -> list[str]:
    """Copy pictures into a folder for each class; their names there."""
    names = []
    for number, sample in enumerate(samples):
        names.append(f"{classes[sample.labels[0]]}/{number:02}{sample.path.suffix}")
        (folder / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, folder / names[-1])
    return names


def _overlap(boxes: NDArray[np.floating], sample: Sample) -> float:
    """The best IoU of the largest of boxes (N, 4) with an annotated one."""
    if len(boxes) == 0:
        return 0.0
    largest = boxes[np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).argmax()]
    return float(iou(largest, np.array([truth.xyxy for truth in sample.objects])).max())


def _before_and_after(
    sample: Sample, classes: Sequence[str], localizers: Mapping[str, mldfr.Localizer], out: Path
) -> Row:
    """The picture under each localizer."""
    name = classes[sample.labels[0]]
    panels = [Panel("picture", Image.fromarray(read_image(sample.path)), name)]
    for heading, localizer in localizers.items():
        target = out / "overlays" / f"{heading.split()[0]}-{sample.path.stem}.jpg"
        panels.append(_panel(heading, localizer.locate(sample.path, classes=[name]), target))
    return Row(name, panels)


def _panel(heading: str, located: mldfr.Located, target: Path) -> Panel:
    """Draw what was found, and keep it as a file too."""
    drawn, label = located.draw(), located.labels[0]
    with replacing(target) as temporary:
        drawn.save(temporary, quality=90)
    count = f"{len(label.boxes)} box" + ("es" if len(label.boxes) != 1 else "")
    return Panel(heading, drawn, f"{label.class_name}, {count}")


if __name__ == "__main__":
    main()
