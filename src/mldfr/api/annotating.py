"""`annotate` and `merge`: pictures in, annotation files out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mldfr.api.film_frames import frames_as_data
from mldfr.api.notebook import html_table, names
from mldfr.api.progress import SILENT, Progress
from mldfr.api.swapped import refuse_swapped
from mldfr.artifacts import check_annotation_row
from mldfr.core.errors import SettingError
from mldfr.core.text import one_line

if TYPE_CHECKING:
    from mldfr.annotation.collect import Collection, Row
    from mldfr.annotation.listing import Listing
    from mldfr.annotation.output_files import Written
    from mldfr.annotation.plan import Plan, Request
    from mldfr.jobs.job import Job

Engine = Literal["local", "ray"]


@dataclass(frozen=True)
class Annotations:
    """Annotations of a collection, and where they are written.

    Attributes:
        out: The folder.
        formats: Names of the formats of annotation files that were asked for.
        part: Which part of the work this was, such as "1/4"; "" for all of it. `merge` writes the files of parts.
        train_share: Of a part the share of `train` that was asked for, which `merge` has to be told.
        files: What was written, for the tools that open it; `review.csv` and `index.html` are the first.
        kept: What was there, of the same boxes, and stays as it is.
        pictures, boxes: How many there are.
        failed: How many pictures could not be annotated; `failed.csv` names them.
        problems: Why a format could not be written.
    """

    out: Path
    formats: tuple[str, ...]
    part: str = ""
    train_share: float | None = None
    files: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    pictures: int = 0
    boxes: int = 0
    failed: int = 0
    problems: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        part = f", part {self.part}" if self.part else ""
        caption = f"{self.boxes:,} boxes in {self.pictures:,} pictures, {self.failed:,} failed{part}"
        rows = [*((file, "written") for file in self.files), *((file, "kept as it was") for file in self.kept)]
        return html_table(caption, ("file", ""), [*rows, *((problem, "not written") for problem in self.problems)])


def annotate(
    model: str | Path,
    data: str | Path,
    *,
    format: str | Sequence[str],
    out: str | Path,
    labels: Literal["given", "predicted", "own"] | None = None,
    split: str | float | Sequence[str] = (),
    images: str | Path | None = None,
    scales: Sequence[float] | None = None,
    map: str | None = None,
    closer: int | None = None,
    threshold: float | str | None = None,
    normalizer: str | None = None,
    box_rule: str | None = None,
    instances: str | None = None,
    refine: str | None = None,
    min_region: float | None = None,
    boxes: Literal["all", "largest"] = "all",
    masks: Literal["polygons", "rle"] | None = None,
    corrections: str | Path | None = None,
    shard: str = "1/1",
    engine: Engine = "local",
    workers: int | None = None,
    address: str | None = None,
    device: str = "auto",
    runtime: str | None = None,
    batch_size: int = 1,
    every: str | float | None = None,
    progress: Progress = SILENT,
) -> Annotations:
    """Draw boxes in all pictures of a collection and write them for other tools (`mldfr annotate`).

    Whatever stops it, the same call goes on. Pictures that cannot be read are listed in `failed.csv`; `review.csv`
    lists all others, the most doubtful first, and `index.html` shows them.

    Args:
        model: A name of `mldfr list models`, a model file or a run folder.
        data: A folder of pictures, or `KIND:PATH`, a data set with labels.
        format: Names of `mldfr list annotation-formats`, several in a list or with commas.
        out: Where annotations go, and the journal to go on from.
        labels: Who says what is in a picture: the data, or the model; the data where it knows when left out. "own"
            takes labels whatever the model's classes, of which what stands out in a picture is taken for the thing;
            so it is by itself where the model lacks most of the classes.
        split: Splits of a data set, all when none is named; and a number such as 0.8, the share of pictures that what
            is written has as `train`, the others as `val`. It depends on names and classes alone, and has each class in
            both.
        images: Where the pictures of wsol data are, if not beside it.
        scales, map, closer, threshold, normalizer, box_rule, instances, refine, min_region: To boxes; the model's own
            when left out.
        boxes: All boxes of a class, or the one around the most pixels.
        masks: Of each box what is over the threshold in it, for coco and cvat: as polygons, or as run lengths.
        corrections: The folder of other annotations of these pictures: what people have corrected there counts here
            too, with the boxes that it had there.
        shard: "I/N", only the I-th of N parts; `merge` joins them.
        engine: This process, or Ray on one or many machines.
        workers: Ray: how many hold the model.
        address: Ray: a cluster that is there; "auto" finds it.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model.
        batch_size: Pictures to look at together; for GPUs.
        every: Seconds, such as 1 or "0.5s": of a film, or of the films in a folder, a frame each, in `out/frames`.
        progress: Told how it goes; `mldfr.api.ConsoleProgress()` prints it.

    Raises:
        MldfrError: A model, data, format or setting that is not so, or do not belong together.

    Example:
        `mldfr.annotate("imagenet", "photos", format="coco,yolo", out="boxes").files`
    """
    refuse_swapped("annotate", str(model), str(data))
    if engine == "local" and (workers, address) != (None, None):
        raise SettingError("--workers and --address are for --engine ray")
    from mldfr.annotation.plan import Request, make_plan
    from mldfr.annotation.train_val import split_share
    from mldfr.jobs.shard import Shard
    from mldfr.networks.card import Localization, Rules

    splits, train_share = split_share(
        [name for name in names(str(split) if isinstance(split, float) else split) if name]
    )
    rules = Rules(
        scales=scales,
        map=map,
        closer=closer,
        threshold=threshold,
        normalizer=normalizer,
        box_rule=box_rule,
        instances=instances,
        refine=refine,
        min_region=min_region,
    )
    Localization().changed(**rules)
    request = Request(
        model=str(model),
        data=str(data) if every is None else frames_as_data(str(data), every, Path(out), progress),
        out=Path(out),
        formats=names(format),
        images=None if images is None else Path(images),
        splits=splits,
        labels=labels,
        rules=rules,
        boxes=boxes,
        shard=Shard.parse(shard),
        device=device,
        runtime=runtime,
        batch_size=batch_size,
        masks=masks,
        corrections=None if corrections is None else Path(corrections),
    )
    plan = make_plan(
        request,
        listed=lambda listing, map_name: _tell_of(listing, map_name, progress),
        follow=lambda seen, total: progress.follow(seen, "fitted on", total=total, goes_on=False),
    )
    from mldfr.annotation.annotate_image import has_maps
    from mldfr.annotation.journal import annotation_job

    whole = partial(has_maps, work=plan.work)
    with annotation_job(request.out, request.shard, plan.setting, plan.listing, whole=whole) as job:
        _take_along(plan, request, progress)
        rows = _rows(engine, plan, job, request, workers, address)
        failed = _work_through(rows, job, progress)
    if request.shard.count > 1:
        return Annotations(
            request.out, plan.formats, part=shard, train_share=train_share, pictures=len(job), failed=failed
        )
    return _finish([request.out], request.out, plan.formats, train_share)


def merge(
    folders: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    format: str | Sequence[str],
    split: float | str | None = None,
) -> Annotations:
    """Join the parts of `annotate(..., shard="I/N")`: the annotations are those of one run (`mldfr merge`).

    Args:
        folders: Where the parts are.
        out: Where annotations go.
        format: Names of formats of annotation files.
        split: The share of `train`, as `annotate` has it.

    Raises:
        MldfrError: Parts that are missing or do not belong together, or a format of score maps.

    Example:
        `mldfr.api.merge(["part1", "part2"], "boxes", format="coco")`
    """
    from mldfr.annotation.output_files import check_unclaimed
    from mldfr.annotation.plan import split_formats
    from mldfr.annotation.train_val import split_share

    wanted, maps = split_formats(names(format))
    if maps:
        raise SettingError(f"{', '.join(maps)}: score maps are written while annotating; merge joins annotations")
    splits, train_share = split_share([] if split is None else [str(split)])
    if splits:
        raise SettingError(f"--split of merge takes the share of train, such as 0.8; got {split}")
    check_unclaimed(Path(out))
    places = [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    return _finish(places, Path(out), wanted, train_share)


def _tell_of(listing: "Listing", map_name: str, progress: Progress) -> None:
    """Say what is odd about the pictures."""
    from mldfr.images import passed_over_lines

    for line in passed_over_lines(listing.passed_over):
        progress.say(line)
    if listing.note:
        progress.warn(listing.note)
    if listing.own_classes:
        progress.say(f"boxes are drawn from the map {map_name}; --map names another")
    if listing.unlabeled:
        known = f"{listing.unlabeled:,} of {len(listing.items):,} pictures have no label"
        progress.say(f"{known}; the model says what is in them")
    if listing.renamed:
        progress.say(f"{listing.renamed:,} pictures have names that are no UTF-8; annotations write them with escapes")


def _take_along(plan: "Plan", request: "Request", progress: Progress) -> None:
    """Write down what was corrected in other annotations, before the first picture is looked at."""
    if not plan.corrections:
        return
    from mldfr.annotation.earlier_corrections import take_along

    taken, listed = take_along(plan.corrections, request.out), {item.name for item in plan.listing.items}
    here = sum(line.image in listed for line in plan.corrections)
    of_all = f"{here:,} of {len(plan.corrections):,} pictures that were corrected in {request.corrections} are here"
    progress.say(f"{of_all}; {taken:,} corrections are taken along")


def _rows(
    engine: Engine, plan: "Plan", job: "Job", request: "Request", workers: int | None, address: str | None
) -> "Iterator[Row]":
    by_name = {item.name: item for item in plan.listing.items}
    pending = [by_name[name] for name in job.pending()]
    if engine == "local":
        from mldfr.annotation.annotate_image import annotate

        return annotate(plan.localizer, pending, plan.work)
    from mldfr.annotation.ray_engine import annotate_on_ray

    return annotate_on_ray(
        pending,
        plan.work,
        model=plan.model,
        device=request.device,
        runtime=request.runtime,
        workers=workers,
        address=address,
    )


def _work_through(rows: "Iterator[Row]", job: "Job", progress: Progress) -> int:
    """Write the rows down as they come, name what cannot be read at once, and count it."""
    failed, pending, before = 0, len(job.pending()), len(job)
    if before:
        progress.say(f"going on: {before} of {before + pending} pictures are already annotated")
    for row in progress.follow(rows, "annotated", total=pending, before=before):
        check_annotation_row(row, job.files.rows)  # what is written can be read
        job.add(row)
        if "error" in row:
            progress.warn(f"{row['name']}: {row['error']}")
            failed += 1
    return failed


def _finish(
    folders: Sequence[Path], out: Path, formats: Sequence[str], train_share: float | None = None
) -> Annotations:
    """Write everything that can be made of the rows; what one format cannot hold does not keep the others from it."""
    from mldfr.annotation.collect import collect, note_folders, write_failed
    from mldfr.annotation.review import write_review
    from mldfr.annotation.review_page import write_review_page
    from mldfr.core.errors import DataError
    from mldfr.exports import ExportError

    collection = collect(folders, out, train_share=train_share)
    files, kept, problems = [write_review(collection, out)], [], []
    failed = write_failed(collection, out)
    note_folders(folders, out)
    files.append(write_review_page(collection, out, failed=failed))
    for written, name in _writings(collection, out, formats, told_apart=train_share is not None):
        try:
            if file := written.write(name):
                files.append(file)
            else:
                kept.append(written.place(name))
        except ExportError as error:
            problems.append(one_line(f"{name} cannot be written: {error}"))
        except DataError as error:
            problems.append(one_line(str(error)))
    return Annotations(
        out,
        tuple(formats),
        files=tuple(files),
        kept=tuple(kept),
        pictures=len(collection),
        boxes=sum(len(image.boxes) for image in collection.images()),
        failed=failed,
        problems=tuple(problems),
    )


def _writings(
    collection: "Collection", out: Path, formats: Sequence[str], *, told_apart: bool
) -> "Iterator[tuple[Written, str]]":
    """What is written: formats that do not tell splits apart themselves once for each, in a folder of its own."""
    from mldfr.annotation.output_files import Written
    from mldfr.exports import FORMATS
    from mldfr.exports.base import SPLITS

    whole = Written(collection, out)
    apart = [Written(collection.only(split), out / split) for split in SPLITS] if told_apart else []
    for name in formats:
        yield from ((written, name) for written in (apart if apart and not FORMATS[name].splits else [whole]))
