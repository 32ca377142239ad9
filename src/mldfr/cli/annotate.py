"""`mldfr annotate` and `mldfr merge`: pictures in, annotation files out."""

import shlex
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from functools import partial
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
    Runtime,
    Scales,
    Threshold,
    checked_rules,
)
from mldfr.core.errors import SettingError
from mldfr.core.text import one_line

if TYPE_CHECKING:
    from mldfr.annotation.collect import Collection
    from mldfr.annotation.journal import Journal
    from mldfr.annotation.plan import Plan, Request
    from mldfr.annotation.work import Row

EVERY = 30
"""Seconds between two lines of progress where there is no terminal."""

Formats = Annotated[
    str, typer.Option("--format", metavar="FORMAT,...", help="See `mldfr list annotation-formats`; npy, png: maps.")
]


class Labels(StrEnum):
    """Values of --labels."""

    given = "given"
    predicted = "predicted"


class Taken(StrEnum):
    """Values of --boxes."""

    all = "all"
    largest = "largest"


class Engine(StrEnum):
    """Values of --engine."""

    local = "local"
    ray = "ray"


def annotate(
    model: Annotated[str, typer.Argument(help="A name of `mldfr list models`, a model file or a run folder.")],
    data: Annotated[str, typer.Argument(metavar="DIR|KIND:PATH", help="Pictures, or a data set with labels.")],
    formats: Formats,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where annotations go, and the journal to go on from.")],
    labels: Annotated[
        Labels | None,
        typer.Option(help="Who says what is in a picture: the data, or the model.", show_default="given where known"),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME,...", help="Splits of a data set.", show_default="all")] = "",
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="The pictures of wsol data, elsewhere.")] = None,
    scales: Scales = None,
    threshold: Threshold = None,
    normalizer: Normalizer = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Annotated[
        str, typer.Option(help="grabcut or superpixels fit boxes to the picture; none leaves them as the map has them.")
    ] = "grabcut",
    boxes: Annotated[Taken, typer.Option(help="All boxes of a class, or the one around the most pixels.")] = Taken.all,
    min_region: Annotated[
        float, typer.Option(metavar="SHARE", help="Leave out regions with fewer pixels than this share of the largest.")
    ] = 0.1,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only the I-th of N parts; `mldfr merge` joins them.")
    ] = "1/1",
    engine: Annotated[Engine, typer.Option(help="This process, or Ray on one or many machines.")] = Engine.local,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Ray: how many hold the model.", show_default="one a GPU, or two CPUs")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray: a cluster that is there; auto finds it.", show_default="a new one here")
    ] = None,
    device: Device = "auto",
    runtime: Runtime = None,
    batch_size: BatchSize = 1,
) -> None:
    """Draw boxes in all pictures of a collection and write them for other tools.

    Whatever stops it, the same command goes on. Pictures that cannot be read are listed in failed.csv, and the exit
    code is 1 then; review.csv lists all others, the most doubtful first.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # what matters is reported, with the name
    if engine is Engine.local and (workers, address) != (None, None):
        raise SettingError("--workers and --address are for --engine ray")
    from mldfr.annotation.listing import Shard
    from mldfr.annotation.plan import Request, make_plan

    rules = checked_rules(scales, threshold, normalizer, box_rule, instances, refine)
    request = Request(
        model=model,
        data=data,
        out=out,
        formats=tuple(formats.split(",")),
        images=images,
        splits=tuple(filter(None, split.split(","))),
        labels=None if labels is None else labels.value,
        rules=rules,
        boxes=boxes.value,
        min_region=min_region,
        shard=Shard.parse(shard),
        device=device,
        runtime=runtime,
        batch_size=batch_size,
    )
    plan = make_plan(request)
    from mldfr.images import passed_over_lines

    for line in passed_over_lines(plan.listing.passed_over):
        typer.echo(line, err=True)
    if plan.listing.note:
        typer.echo(f"mldfr: {plan.listing.note}", err=True)
    if unlabeled := plan.listing.unlabeled:
        known = f"{unlabeled:,} of {len(plan.listing.items):,} pictures have no label"
        typer.echo(f"{known}; the model says what is in them", err=True)
    if renamed := plan.listing.renamed:
        typer.echo(f"{renamed:,} pictures have names that are no UTF-8; annotations write them with escapes", err=True)
    from mldfr.annotation.journal import Journal
    from mldfr.annotation.work import has_maps

    whole = partial(has_maps, work=plan.work)
    with Journal(out, request.shard, plan.setting, plan.listing, whole=whole) as journal:
        rows = _engine(engine, plan, journal, request, workers, address)
        failed = _work_through(rows, journal)
    if request.shard.count > 1:
        wanted = ",".join(plan.formats) or "csv"
        command = shlex.join(["mldfr", "merge", str(out), "--format", wanted, "--out", str(out)])
        typer.echo(f"part {shard} is done; when all are, name every folder that has parts: {command}", err=True)
        if failed:
            raise typer.Exit(1)
        return
    _finish([out], out, plan.formats)


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="What `annotate --shard` wrote.")],
    formats: Formats,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where annotations go.")],
) -> None:
    """Join the parts of `mldfr annotate --shard`: the annotations are those of one run."""
    from mldfr.annotation.plan import split_formats

    wanted, maps = split_formats(tuple(formats.split(",")))
    if maps:
        raise SettingError(f"{', '.join(maps)}: score maps are written while annotating; merge joins annotations")
    _finish(folders, out, wanted)


def _engine(
    engine: Engine,
    plan: "Plan",
    journal: "Journal",
    request: "Request",
    workers: int | None,
    address: str | None,
) -> "Iterator[Row]":
    if engine is Engine.local:
        from mldfr.annotation.work import annotate

        return annotate(plan.localizer, journal.pending(), plan.work)
    from mldfr.annotation.ray_engine import annotate_on_ray

    return annotate_on_ray(
        journal.pending(),
        plan.work,
        model=request.model,
        device=request.device,
        runtime=request.runtime,
        workers=workers,
        address=address,
    )


def _work_through(rows: "Iterator[Row]", journal: "Journal") -> int:
    """Write the rows down as they come; say how far it is, name what cannot be read at once, and count it."""
    failed = worked = 0
    pending, done = len(journal.pending()), len(journal)
    if done:
        typer.echo(f"going on: {done} of {done + pending} pictures are already annotated", err=True)
    with says_how_far(lambda: f"after {done + worked} of {done + pending}; the same command goes on"):
        for row in _with_progress(rows, pending):
            journal.add(row)
            worked += 1
            if "error" in row:
                typer.echo(one_line(f"mldfr: {row['name']}: {row['error']}"), err=True)
                failed += 1
    return failed


def _with_progress(rows: "Iterable[Row]", total: int) -> "Iterator[Row]":
    """A bar with the time left on a terminal; elsewhere a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("annotating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            yield from progress.track(rows, total)
        return
    start = said = time.monotonic()
    for number, row in enumerate(rows, start=1):
        yield row
        if (now := time.monotonic()) - said >= EVERY:
            said, speed = now, number / (now - start)
            left = _duration((total - number) / speed)
            typer.echo(f"annotated {number:,} of {total:,}, {speed:.1f} a second, {left} left", err=True)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _finish(folders: Sequence[Path], out: Path, formats: Sequence[str]) -> None:
    """Write everything that can be made of the rows; what one format cannot hold does not keep the others from it."""
    from mldfr.annotation.collect import Collection, write_failed
    from mldfr.annotation.review import write_review
    from mldfr.annotation.written import Written
    from mldfr.core.errors import DataError
    from mldfr.exports import ExportError

    problems = []
    collection = Collection(folders)
    files = [write_review(collection, out)]
    failed = write_failed(collection, out)
    written = Written(collection, out)
    for name in formats:
        try:
            if file := written.write(name):
                files.append(file)
            else:
                typer.echo(f"{written.place(name)} is there, and stays as it is", err=True)
        except ExportError as error:
            problems.append(f"{name} cannot be written: {error}")
        except DataError as error:
            problems.append(str(error))
    _say(collection, files, failed, out)
    for problem in problems:
        typer.echo(one_line(f"mldfr: {problem}"), err=True)
    if failed or problems:
        raise typer.Exit(1)


def _say(collection: "Collection", files: Sequence[Path], failed: int, out: Path) -> None:
    boxes = sum(len(label["boxes"]) for row in collection.rows() for label in row["labels"])
    names = ", ".join(str(file) for file in files)
    typer.echo(f"{boxes:,} boxes in {len(collection):,} pictures: {names}", err=True)
    if failed:
        typer.echo(f"{failed} {'picture' if failed == 1 else 'pictures'} failed, see {out / 'failed.csv'}", err=True)
