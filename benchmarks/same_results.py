"""What the verbs give on a handful of pictures, to be held against what another version gave.

    python benchmarks/same_results.py record FILE --photos DIR [--python BIN] [--work DIR]
    python benchmarks/same_results.py compare BEFORE AFTER

`record` runs the command line: `data creatures`, one seeded epoch of `train`, `select`, `evaluate` under every
protocol, `locate` and `annotate` with every format. `compare` names each value of BEFORE that AFTER has not, or has
otherwise; what AFTER has besides is no difference. Values are equal to the bit on one machine with the same threads.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IMAGES = "60"
FORMATS = "coco,yolo,voc,label-studio,csv"
CHANGING = {"versions", "created", "date", "seconds", "fingerprint", "digest", "host", "mldfr", "date_created"}
"""Keys whose values say when and by what, and not what was found."""
SUMMED = 1e-7
"""By how much pixel average precision may differ: a sum over all pixels, whose order the number of threads decides."""
TIMED = {"seconds", "images_per_second", "waiting"}


def main() -> None:
    """Record, or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    record_verb = verbs.add_parser("record")
    record_verb.add_argument("file", type=Path)
    record_verb.add_argument("--photos", type=Path, required=True, help="a folder with some photographs")
    record_verb.add_argument("--python", default=sys.executable, help="that has the version to be recorded")
    record_verb.add_argument("--work", type=Path, help="where the outputs are kept; thrown away when left out")
    compare_verb = verbs.add_parser("compare")
    compare_verb.add_argument("before", type=Path)
    compare_verb.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.verb == "compare":
        before, after = (json.loads(file.read_text(encoding="utf-8")) for file in (arguments.before, arguments.after))
        found = list(differences(before, after))
        print("\n".join(found) if found else "the same")
        raise SystemExit(1 if found else 0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = record(arguments.python, folder.absolute(), arguments.photos.absolute())
    arguments.file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def record(python: str, folder: Path, photos: Path) -> dict[str, Any]:
    """Run every verb in a folder; the values of what they wrote."""

    def mldfr(*told: str) -> None:
        subprocess.run([python, "-m", "mldfr", *told], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    mldfr("data", "creatures", "--out", "animals", "--images", IMAGES)
    mldfr("train", "--data", "creatures:animals", "--recipe", "creatures", "--set", "training.epochs=1", "--out", "run")
    trained = tensors_digest(folder / "run" / "model.safetensors")
    mldfr("select", "run", "--criterion", "corloc")
    chosen = read(folder / "run" / "selection.json")
    mldfr("select", "run", "--criterion", "repeated_contrast")
    boxfree = read(folder / "run" / "selection.json")
    mldfr("evaluate", "run", "--data", "creatures:animals", "--scales", "1,1.5", "--out", "measured")
    mldfr("locate", str(photos), "--top-k", "2", "--out", "located")
    mldfr("locate", str(photos), "--refine", "grabcut", "--instances", "separate", "--out", "refined")
    mldfr("annotate", "imagenet", str(photos), "--format", FORMATS, "--out", "boxes")
    return {
        "train": {"tensors": trained, "metrics": table(folder / "run" / "metrics.csv")},
        "select": {"corloc": chosen, "repeated_contrast": boxfree},
        "evaluate": read(folder / "measured" / "metrics.json"),
        "locate": lines(folder / "located" / "predictions.jsonl"),
        "locate, refined": lines(folder / "refined" / "predictions.jsonl"),
        "overlays": {path.name: digest(path) for path in sorted((folder / "located" / "overlays").iterdir())},
        "annotate": dict(written(folder / "boxes")),
    }


def read(file: Path) -> Any:
    """A JSON file without what says when and by what it was made."""
    return lasting(json.loads(file.read_text(encoding="utf-8")))


def lasting(value: Any) -> Any:
    """The same without what changes from run to run."""
    if isinstance(value, dict):
        return {key: lasting(each) for key, each in value.items() if key not in CHANGING}
    return [lasting(each) for each in value] if isinstance(value, list) else value


def lines(file: Path) -> list[Any]:
    """The values of a file of JSON lines."""
    return [lasting(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def table(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, without times."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [{key: value for key, value in row.items() if key not in TIMED} for row in csv.DictReader(opened)]


def tensors_digest(file: Path) -> str:
    """SHA-256 of what follows a safetensors file's header, which holds the card."""
    content = file.read_bytes()
    return hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()


def written(folder: Path) -> Iterator[tuple[str, Any]]:
    """Name and content, or digest, of each file below a folder that is no journal."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or name.startswith((".", "work")):
            continue
        if path.suffix == ".json":
            yield name, read(path)
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield name, {each: hashlib.sha256(archive.read(each)).hexdigest() for each in archive.namelist()}
        else:
            yield name, digest(path)


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def differences(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Where the second lacks what the first has, or has something else."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            where = f"{place}/{key}"
            yield from differences(value, after[key], where) if key in after else [f"{where}: gone"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{place}/{index}")
    elif before != after and not (place.endswith("px_ap") and abs(before - after) < SUMMED * abs(before)):
        yield f"{place}: {str(before)[:80]} became {str(after)[:80]}"


if __name__ == "__main__":
    main()
