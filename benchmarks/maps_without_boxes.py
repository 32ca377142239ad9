"""How right boxes are that no training was needed for: every map, on every set, with every trunk, by the command line.

    python benchmarks/maps_without_boxes.py OUT --cub CUB_200_2011 --ilsvrc ILSVRC --pets oxford-iiit-pet
      --voc VOCdevkit --creatures CREATURES [--weights resnet50=FILE ...] [--only 'cub/*' ...] [--at-once 1]
      [--device auto] [--every 1]

Sets that are not named are left out; `mldfr data creatures --images 450 --out CREATURES` draws the last. Maps are
fitted with `mldfr fit` (on VOC2007, whose classes no model knows, with `mldfr train --recipe frozen`), on pictures
without boxes, and measured with `mldfr evaluate`. `OUT/rows.jsonl` gets a line for each, which holds its
command and is not measured again. `--every 4` takes every fourth picture of CUB's test split and of ILSVRC's, for
trunks that take seconds for one.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock

from gpu import cub

EMBEDDED = "efficientnet_lite0"
PROTOCOLS = "as_used,paper,wsolevaluation"
KEPT = {
    "as_used": ("corloc", "corloc_iou_30", "corloc_iou_70", "max_box_acc_v2_at_threshold", "voc_corloc"),
    "paper": ("corloc",),
    "wsolevaluation": ("max_box_acc", "max_box_acc_v2"),
}
FIXED = {
    "cam": ("--map cam --scales 1,1.5,2 --threshold 0.2", "--map cam --scales 1,1.5,2 --threshold 0.2"),
    "cam, two scales": ("--map cam --scales 1.5,2.5 --threshold 0.2", "--map cam --scales 1,1.667 --threshold 0.2"),
    "cam, otsu_0.7": ("--map cam --scales 1.5,2.5 --threshold otsu_0.7", "--map cam --threshold otsu_0.7"),
    "cam, mean": ("--map cam --scales 1.5,2.5 --threshold mean", "--map cam --threshold mean"),
    "nwc": ("--map nwc --scales 1.5,2.5 --threshold mean", "--map nwc --threshold mean"),
    "feature_norm": ("--map feature_norm --scales 1.5,2.5 --threshold 0.3", ""),
    "normalized_cut": ("--map normalized_cut --scales 1.5,2.5 --threshold mean", ""),
}
"""Maps that are not fitted: options where the input size is 224 and, of the recipe `frozen`, 336."""
PARTS = {
    "scale 1.5": "--scales 1.5",
    "scale 2.5": "--scales 2.5",
    "four scales": "--scales 1,1.5,2,2.5",
    "three scales": "--scales 1.5,2.5,3.5",
    "threshold 0": "--threshold 0",
    "threshold 0.1": "--threshold 0.1",
    "threshold 0.2": "--threshold 0.2",
    "threshold mean": "--threshold mean",
    "threshold otsu_0.7": "--threshold otsu_0.7",
    "grabcut": "--refine grabcut",
    "superpixels": "--refine superpixels",
    "instances cut": "--instances cut",
}
"""What is changed in the map that is fitted, one at a time."""


@dataclass(frozen=True)
class Pictures:
    """A set: as `--data` takes it, what is measured, and the map that suits it."""

    source: str
    options: str = ""
    tested: str = "--split test"
    agnostic: str = "--class-agnostic"
    best: str = "foreground"
    others: str = "foreground_cam"


@dataclass(frozen=True)
class Row:
    """One evaluation: of which model, and how."""

    set: str
    trunk: str
    name: str
    model: str
    options: str

    @property
    def key(self) -> str:
        """By which it is asked for, and known again."""
        return f"{self.set}/{self.trunk}/{self.name}"


class Bench:
    """Runs commands side by side, and keeps what they measured."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.out: Path = arguments.out
        self.device, self.only = arguments.device, arguments.only
        self.weights = dict(each.split("=", 1) for each in arguments.weights)
        self.sets = sets(arguments)
        self.lines = self.out / "rows.jsonl"
        self.lock, self.begun = Lock(), time.monotonic()
        self.made: dict[str, Future[None]] = {}
        self.pool = ThreadPoolExecutor(arguments.at_once)
        self.environment = {**os.environ, **({"OMP_NUM_THREADS": "1"} if arguments.at_once > 1 else {})}

    def run(self) -> int:
        """All rows that are asked for and not there yet; 1 if some went wrong."""
        self.out.mkdir(parents=True, exist_ok=True)
        known = {json.loads(line)["key"] for line in self.lines.read_text().splitlines()} if self.lines.exists() else ()
        rows = [row for row in self.rows() if row.key not in known and self.asked(row)]
        done = []
        for row in rows:
            self.make(row.model)
            done.append(self.pool.submit(self.measure, row))
        wait(done)
        return int(any(each.exception() for each in done))

    def asked(self, row: Row) -> bool:
        """Whether a pattern names it, or none does anything."""
        return not self.only or any(fnmatchcase(row.key, pattern) for pattern in self.only)

    def rows(self) -> Iterator[Row]:
        """The embedded trunk with all maps, then what is changed one at a time, then other trunks."""
        for name in self.sets:
            yield from self.maps(name, EMBEDDED)
        for name, each in self.sets.items():
            model = f"voc-{EMBEDDED}" if name == "voc" else f"{name}-{EMBEDDED}-{each.best}"
            for part, options in PARTS.items():
                if not (name == "voc" and "scales" in options) and name != "creatures":
                    yield Row(name, EMBEDDED, f"{each.best}, {part}", model, f"{options} {each.agnostic}")
        for trunk in self.weights:
            for name in self.sets:
                yield from self.maps(name, trunk)

    def maps(self, name: str, trunk: str) -> Iterator[Row]:
        """Every map of a set."""
        each, bare = self.sets[name], "imagenet" if trunk == EMBEDDED else trunk
        if name == "voc":
            yield Row(name, trunk, each.best, f"voc-{trunk}", "")
            fitted = f"voc-{trunk}"
            yield from (Row(name, trunk, key, fitted, told) for key, (_, told) in FIXED.items() if told)
            yield Row(name, trunk, "cam, class-agnostic", bare, f"{FIXED['cam'][0]} --class-agnostic")
            return
        maps = [each.best, "colocalization", each.others, "psol"]
        yield from (Row(name, trunk, map, f"{name}-{trunk}-{map}", each.agnostic) for map in maps)
        if name in ("cub", "creatures"):
            for map in (each.best, "psol"):
                yield Row(name, trunk, f"{map}, of train", f"{name}-{trunk}-{map}-train", each.agnostic)
            cut = f"{each.agnostic} --instances cut"
            yield Row(name, trunk, f"{each.best}, of train, instances cut", f"{name}-{trunk}-{each.best}-train", cut)
        yield from (Row(name, trunk, key, bare, f"{told} {each.agnostic}") for key, (told, _) in FIXED.items())

    def make(self, model: str) -> None:
        """Begin to make a model, once."""
        if model not in self.made and model != "imagenet":
            self.made[model] = self.pool.submit(self._make, model)

    def _make(self, model: str) -> None:
        target = self.file(model)
        if Path(target).exists():
            return
        if model in self.weights:
            create(model, self.weights[model], target)
            return
        name, trunk, *rest = model.split("-")
        each = self.sets[name]
        if name == "voc":
            own = [] if trunk == EMBEDDED else ["--set", f"model.backbone={trunk}", "--weights", self.weights[trunk]]
            told = ["--set", "method=cam", "--set", "data.split=trainval", "--device", self.device]
            self.command("train", "--data", each.source, "--recipe", "frozen", *told, *own, "--out", target)
            return
        start = "imagenet" if trunk == EMBEDDED else self.file(trunk)
        if trunk != EMBEDDED and not Path(start).exists():
            create(trunk, self.weights[trunk], start)
        split = ["--split", "train"] if rest[1:] else each.tested.split()
        told = ["--map", rest[0], *split, *each.options.split(), "--device", self.device]
        self.command("fit", start, each.source, *told, "--out", target)

    def file(self, model: str) -> str:
        """Where a model is, or will be."""
        if model == "imagenet":
            return model
        return str(self.out / "models" / (model if model.startswith("voc-") else f"{model}.safetensors"))

    def measure(self, row: Row) -> None:
        """Evaluate, and keep the numbers."""
        if row.model in self.made:
            self.made[row.model].result()
        each, folder = self.sets[row.set], self.out / "evaluations" / slug(row.key)
        options = [*each.tested.split(), *each.options.split(), *row.options.split(), "--device", self.device]
        told = ("evaluate", self.file(row.model), "--data", each.source, *options, "--protocol", PROTOCOLS)
        self.command(*told, "--out", str(folder))
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        metrics = {f"{group}.{key}": found["metrics"][group][key] for group, keys in KEPT.items() for key in keys}
        line = {"key": row.key, "command": " ".join(["mldfr", *told]), "counts": found["counts"], "metrics": metrics}
        with self.lock, self.lines.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        shown = ", ".join(f"{key.partition('.')[2]} {value:.1f}" for key, value in metrics.items() if value is not None)
        print(f"{time.monotonic() - self.begun:4.0f} s  {row.key}: {shown}", flush=True)

    def command(self, *arguments: str) -> None:
        """Run `mldfr`; what went wrong is said and left out."""
        told = [sys.executable, "-m", "mldfr", *arguments]
        done = subprocess.run(told, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr[-1500:]}"
            print(message, flush=True)
            raise RuntimeError(message)


def fewer(arguments: argparse.Namespace) -> None:
    """Take every so manieth of the tested pictures, in lists of their own."""
    if arguments.cub:
        whole, target = arguments.cub, arguments.out / f"every-{arguments.every}" / "CUB"
        flags = cub.rows(whole / "train_test_split.txt")
        tested = [key for key in cub.ids_of(whole) if flags[key] == "0"]
        arguments.cub = cub.write_part(whole, tested[:: arguments.every], target)
    if arguments.ilsvrc:
        whole, target = arguments.ilsvrc, arguments.out / f"every-{arguments.every}" / "ILSVRC"
        lists = Path("metadata", "ILSVRC", "test")
        kept = set((whole / lists / "image_ids.txt").read_text(encoding="utf-8").split()[:: arguments.every])
        (target / lists).mkdir(parents=True, exist_ok=True)
        for file in (whole / lists).iterdir():
            lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.split(",")[0] in kept]
            (target / lists / file.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not (target / "val").exists():
            (target / "val").symlink_to((whole / "val").absolute())
        arguments.ilsvrc = target


def sets(arguments: argparse.Namespace) -> dict[str, Pictures]:
    """Those that are named."""
    if arguments.every > 1:
        fewer(arguments)
    found: dict[str, Pictures] = {}
    if arguments.cub:
        found["cub"] = Pictures(f"cub:{arguments.cub}")
    if arguments.pets:
        found["pets"] = Pictures(f"pets:{arguments.pets}", tested="--split train")
    if arguments.ilsvrc:
        source, options = f"wsol:{arguments.ilsvrc}/metadata/ILSVRC/test", f"--images {arguments.ilsvrc}"
        found["ilsvrc"] = Pictures(source, options, "", "", "foreground_cam", "foreground")
    if arguments.voc:
        found["voc"] = Pictures(f"voc2007:{arguments.voc}", "", "--split trainval", "", "foreground_cam")
    if arguments.creatures:
        found["creatures"] = Pictures(f"creatures:{arguments.creatures}")
    return found


def create(trunk: str, weights: str, target: str) -> None:
    """A model of other weights for ImageNet's classes; those of VGG16 end before its classifier."""
    import mldfr

    names = mldfr.load("imagenet", device="cpu").card.class_names
    own = {"convolution": "none"} if trunk == "vgg16" else {"pretrained_classifier": True}
    made = mldfr.Localizer.create(
        trunk, weights=weights, class_names=names, recalibration="none", last_downsampling="dilate", **own
    )
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    made.save(target)


def slug(key: str) -> str:
    """A folder's name."""
    return "".join(character if character.isalnum() or character in "._" else "-" for character in key)


def main(given: Sequence[str] | None = None) -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("cub", "ilsvrc", "pets", "voc", "creatures"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--weights", nargs="*", default=[], help="BACKBONE=FILE of torchvision's names")
    parser.add_argument("--only", nargs="*", default=[], help="patterns of SET/TRUNK/NAME")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="of the pictures of CUB and ILSVRC that are tested")
    parser.add_argument("--device", default="auto")
    return Bench(parser.parse_args(given)).run()


if __name__ == "__main__":
    sys.exit(main())
