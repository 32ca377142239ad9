"""An annotated folder without a network: its rows are written as annotating would write them."""

from zlib import crc32

from PIL import Image

from mldfr.annotation.journal import annotation_job
from mldfr.annotation.listing import list_pictures
from mldfr.annotation.picture_files import placed
from mldfr.jobs.shard import WHOLE

CLASSES = ("cat", "cup", "rocket")


def draw_pictures(root, names, size=(60, 40)):
    """Pictures (W, H) of one colour each."""
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (40 * number % 256, 120, 200)).save(root / name)
    return root


def label(index, *boxes, margin=0.1, scales=0.2, probability=0.7):
    about = {"class": index, "probability": probability, "margin": margin, "scales": scales, "thresholds": 0.0}
    return about | {"boxes": [[*box, 0.5] for box in boxes]}


def annotated(out, pictures, labels_of=lambda number: [label(number % 3, (5, 5, 30, 30), scales=0.9 - number / 100)]):
    """Annotate all pictures of a folder: those that come first are the most doubtful."""
    listing = list_pictures(str(pictures), CLASSES)
    setting = {"model": "tiny", "classes": list(CLASSES), "multi_label": False}
    with annotation_job(out, WHOLE, setting, listing) as job:
        for item in listing.items:
            row = {
                "name": item.name, "index": item.index, "asked": [], "size": item.size, "modified": item.modified,
                "checksum": crc32(item.path.read_bytes()), "height": 40, "width": 60, "labels": labels_of(item.index),
            }  # fmt: skip
            job.add(placed(row, item.path, listing.root))
    return out
