"""`mldfr locate`: pictures in, overlays and predictions out."""

import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mldfr.cli.options import (
    BatchSize,
    BoxRule,
    Device,
    Instances,
    Normalizer,
    Refine,
    Scales,
    Threshold,
    checked_rules,
)
from mldfr.cli.usage import usage_errors

if TYPE_CHECKING:
    from mldfr.images import ImageError, ImageFile
    from mldfr.predict import Located, Wanted

OVERLAYS = "overlays"
PREDICTIONS = "predictions.jsonl"

Paths = Annotated[
    list[str], typer.Argument(metavar="PATH...", help="Pictures, folders (searched recursively) and globs.")
]


def locate(
    paths: Paths,
    model: Annotated[str, typer.Option(help="A name of `mldfr list models`, or a model file.")] = "imagenet",
    scales: Scales = None,
    threshold: Threshold = None,
    normalizer: Normalizer = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Refine = None,
    classes: Annotated[
        str,
        typer.Option(metavar="top1|all|NAME,...", help="Which classes: the most probable, all, or these."),
    ] = "top1",
    top_k: Annotated[int, typer.Option(min=1, help="How many of the most probable classes.")] = 1,
    device: Device = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where overlays and predictions go.")] = Path("located"),
    jsonl: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Where the predictions go instead; - is standard output."),
    ] = None,
    batch_size: BatchSize = 1,
) -> None:
    """Say what is in pictures and where: a heat map with boxes for each, and a line of JSON.

    A picture that cannot be read is reported on standard error and the run goes on; the exit code is 1 then.
    """
    # Pillow warns of doubtful files without naming them; what matters is reported below, with the name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    from mldfr.images import ImageError, ImageFile, PassedOver, find_images, passed_over_lines

    with usage_errors():
        wanted = _wanted(classes, top_k)
        rules = checked_rules(scales, threshold, normalizer, box_rule, instances, refine)
    passed_over: list[PassedOver] = []
    found = list(find_images(paths, leave_out=out / OVERLAYS, passed_over=passed_over))
    for line in passed_over_lines(passed_over):
        typer.echo(line, err=True)
    if not found:
        typer.echo(f"mldfr: no pictures in {', '.join(paths)}", err=True)
        raise typer.Exit(1)

    from mldfr.deployment.loading import open_locator

    files = [item for item in found if isinstance(item, ImageFile)]
    predictions = jsonl or str(out / PREDICTIONS)
    with usage_errors():
        localizer = open_locator(model, device=device)
        results = localizer.locate_all([file.path for file in files], classes=wanted, batch_size=batch_size, **rules)
        _make_room(out / OVERLAYS, predictions)
    start = time.perf_counter()
    failed = 0
    for error in chain(
        (item for item in found if isinstance(item, ImageError)),
        _save_all(results, files, out / OVERLAYS, predictions),
    ):
        typer.echo(f"mldfr: {error}", err=True)
        failed += 1
    seconds = time.perf_counter() - start
    places = f"overlays in {out / OVERLAYS}" + ("" if predictions == "-" else f", predictions in {predictions}")
    typer.echo(f"located {len(found) - failed} of {len(found)} pictures in {seconds:.1f} s: {places}", err=True)
    if failed:
        typer.echo(f"{failed} failed, see above", err=True)
        raise typer.Exit(1)


def _save_all(
    results: "Iterator[Located | ImageError]", files: "Sequence[ImageFile]", overlays: Path, predictions: str
) -> "Iterator[ImageError]":
    """Write an overlay and a line for each picture that was located; give the others."""
    from rich.console import Console
    from rich.progress import track

    from mldfr.images import ImageError
    from mldfr.parallel import ahead

    targets = (overlays / name for name in _overlay_names(files))
    console = Console(stderr=True)
    with ThreadPoolExecutor(max_workers=1) as writer, _lines_to(predictions) as lines:
        saved = ahead(writer, _save, zip(results, targets, strict=True), depth=2)
        for result, error in track(saved, "locating", len(files), console=console, disable=not console.is_terminal):
            if not isinstance(result, ImageError):
                print(json.dumps(result.to_json()), file=lines, flush=True)
            if error is not None:
                yield error


def _save(located: "tuple[Located | ImageError, Path]") -> "tuple[Located | ImageError, ImageError | None]":
    """Write the overlay, if there is one to write; say what went wrong, if anything did."""
    from mldfr.files import replacing
    from mldfr.images import ImageError

    result, path = located
    if isinstance(result, ImageError):
        return result, result
    try:
        with replacing(path) as temporary:
            result.draw().save(temporary, quality=90)
    except OSError as error:
        return result, ImageError(result.image, f"its overlay {path} cannot be written ({error.strerror or error})")
    return result, None


def _make_room(overlays: Path, predictions: str) -> None:
    """Make the folders of the results.

    Raises:
        ValueError: They cannot be made, or a folder stands where the predictions shall go.
    """
    folders = [overlays] if predictions == "-" else [overlays, Path(predictions).parent]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"nothing can be written to {folder} ({error.strerror})") from error
    if predictions != "-" and Path(predictions).is_dir():
        raise ValueError(f"--jsonl {predictions} is a folder, not a file")


def _overlay_names(files: "Sequence[ImageFile]") -> list[Path]:
    """A name of its own for each picture's overlay: cat.jpg; where that is taken cat.png.jpg; then cat-2.jpg."""
    taken: set[str] = set()
    names = []
    for relative in (file.relative for file in files):
        choices = [relative.with_suffix(".jpg"), relative.with_name(relative.name + ".jpg")]
        number = 2
        while str(choices[0]).casefold() in taken:
            choices.pop(0)
            if not choices:
                choices.append(relative.with_name(f"{relative.stem}-{number}.jpg"))
                number += 1
        taken.add(str(choices[0]).casefold())
        names.append(choices[0])
    return names


@contextmanager
def _lines_to(name: str) -> Iterator[TextIO]:
    """Standard output for "-"; a pipe or a device as it is; else a file that has its name only when it is whole."""
    if name == "-":
        yield sys.stdout
        return
    if Path(name).exists() and not Path(name).is_file():
        with Path(name).open("w", encoding="utf-8") as lines:
            yield lines
        return
    from mldfr.files import replacing

    with replacing(Path(name)) as temporary, temporary.open("w", encoding="utf-8") as lines:
        yield lines


def _wanted(classes: str, top_k: int) -> "Wanted":
    if classes == "top1":
        return top_k
    if top_k != 1:
        raise ValueError("--top-k asks for the most probable classes and cannot be combined with --classes")
    return "all" if classes == "all" else [name.strip() for name in classes.split(",") if name.strip()]
