"""`mldfr locate`: pictures in, overlays and predictions out."""

import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.options import (
    BatchSize,
    BoxRule,
    Device,
    Instances,
    Normalizer,
    Refine,
    Runtime,
    Scales,
    Threshold,
    checked_rules,
)
from mldfr.cli.results import OVERLAYS, Stream, open_results, setting_of, targets
from mldfr.core.errors import SettingError
from mldfr.core.files import WriteError, replacing, writing

if TYPE_CHECKING:
    from mldfr.images import ImageError
    from mldfr.jobs.journal import LineJournal
    from mldfr.localizer.results import Located
    from mldfr.localizer.wanted_classes import Wanted

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
    runtime: Runtime = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where overlays and predictions go.")] = Path("located"),
    jsonl: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Where the predictions go instead; - is standard output."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace predictions of another model, setting or other pictures.")
    ] = False,
    batch_size: BatchSize = 1,
) -> None:
    """Say what is in pictures and where: a heat map with boxes for each, and a line of JSON.

    Whatever stops it, the same command goes on, and looks only at pictures that are new or have changed. A picture
    that cannot be read is reported on standard error and the run goes on; the exit code is 1 then.
    """
    # Pillow warns of doubtful files without naming them; what matters is reported below, with the name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    from mldfr.images import ImageError, ImageFile, PassedOver, find_images, passed_over_lines

    wanted = _wanted(classes, top_k)
    rules = checked_rules(scales, threshold, normalizer, box_rule, instances, refine)
    passed_over: list[PassedOver] = []
    found = list(find_images(paths, leave_out=out / OVERLAYS, passed_over=passed_over))
    for line in passed_over_lines(passed_over):
        typer.echo(line, err=True)
    if not found:
        typer.echo(f"mldfr: no pictures in {', '.join(paths)}", err=True)
        raise typer.Exit(1)

    from mldfr.deployment.loading import load

    files = [item for item in found if isinstance(item, ImageFile)]
    wanted_pictures = targets(files)
    predictions = jsonl or str(out / PREDICTIONS)
    start = time.perf_counter()
    with ExitStack() as stack:
        localizer = load(model, device=device, runtime=runtime)
        localizer.locate_all((), classes=wanted, batch_size=batch_size, **rules)  # says what is wrong with them
        _make_room(out / OVERLAYS, predictions)
        setting = setting_of(model, localizer, wanted, rules)
        results = stack.enter_context(open_results(predictions, setting, wanted_pictures, out, overwrite=overwrite))
        pending = [wanted_pictures[name] for name in results.pending()]
        pictures = [target.picture for target in pending]
        located = localizer.locate_all(pictures, classes=wanted, batch_size=batch_size, **rules)
        saved = _save_all(located, [out / OVERLAYS / target.overlay for target in pending], results)
        failed = _tell(chain((item for item in found if isinstance(item, ImageError)), saved))
    seconds = time.perf_counter() - start
    places = f"overlays in {out / OVERLAYS}" + ("" if predictions == "-" else f", predictions in {predictions}")
    took = f"in {seconds:.1f} s" if pending else "before"
    typer.echo(f"located {len(found) - failed} of {len(found)} pictures {took}: {places}", err=True)
    if failed:
        typer.echo(f"{failed} failed, see above", err=True)
        raise typer.Exit(1)


def _tell(errors: "Iterable[ImageError]") -> int:
    """Say each error when it comes, and count them."""
    count = 0
    for error in errors:
        typer.echo(f"mldfr: {error}", err=True)
        count += 1
    return count


def _save_all(
    results: "Iterator[Located | ImageError]", overlays: "Sequence[Path]", lines: "LineJournal | Stream"
) -> "Iterator[ImageError]":
    """Write an overlay, and then a line, for each picture that was located; give the others."""
    from rich.console import Console
    from rich.progress import track

    from mldfr.core.parallel import ahead
    from mldfr.images import ImageError

    console = Console(stderr=True)
    before, count, how = len(lines), 0, "" if isinstance(lines, Stream) else "; the same command goes on"
    total = before + len(overlays)
    if before and overlays:
        typer.echo(f"going on: {before:,} of {total:,} pictures are already located", err=True)
    with (
        says_how_far(lambda: f"after {before + count} of {total}{how}"),
        ThreadPoolExecutor(max_workers=1) as writer,
    ):
        saved = ahead(writer, _save, zip(results, overlays, strict=True), depth=2)
        for result, error in track(saved, "locating", len(overlays), console=console, disable=not console.is_terminal):
            if not isinstance(result, ImageError):
                lines.add(result.to_json())
            count += 1
            if error is not None:
                yield error


def _save(located: "tuple[Located | ImageError, Path]") -> "tuple[Located | ImageError, ImageError | None]":
    """Write the overlay, if there is one to write; say what went wrong, if anything did.

    Raises:
        WriteError: The disk is full, so that there is no use in going on.
    """
    from mldfr.images import ImageError

    result, path = located
    if isinstance(result, ImageError):
        return result, result
    try:
        with replacing(path) as temporary:
            result.draw().save(temporary, quality=90)
    except WriteError as error:
        if error.full:
            raise
        return result, ImageError(result.image, f"its overlay {path} cannot be written ({error.strerror})")
    return result, None


def _make_room(overlays: Path, predictions: str) -> None:
    """Make the folders of the results.

    Raises:
        WriteError: They cannot be made.
        SettingError: A folder stands where the predictions shall go.
    """
    for folder in [overlays] if predictions == "-" else [overlays, Path(predictions).parent]:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    if predictions != "-" and Path(predictions).is_dir():
        raise SettingError(f"--jsonl {predictions} is a folder, not a file")


def _wanted(classes: str, top_k: int) -> "Wanted":
    if classes == "top1":
        return top_k
    if top_k != 1:
        raise SettingError("--top-k asks for the most probable classes and cannot be combined with --classes")
    return "all" if classes == "all" else [name.strip() for name in classes.split(",") if name.strip()]
