"""One pass over the pictures of a set: maps from a network or from files, records to a journal, metrics at the end."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mldfr.artifacts import RECORDS, SETTING, EvaluationSetting, as_artifact, read_artifact
from mldfr.core.errors import DataError
from mldfr.core.parallel import ahead
from mldfr.core.text import plain
from mldfr.core.types import Sample
from mldfr.data.sizes import SizeError, is_resize, size_error
from mldfr.evaluation.maps_and_ranking import Evidence, observe
from mldfr.evaluation.record import Record, Rules, judge
from mldfr.evaluation.store import MapStore
from mldfr.evaluation.summary import Summary
from mldfr.images import ImageError, read_image
from mldfr.jobs.items import Items
from mldfr.jobs.job import Job, Results, Unkept
from mldfr.jobs.parts import WORK
from mldfr.jobs.shard import WHOLE, JobFiles, Shard
from mldfr.localizer.sources import Source
from mldfr.localizer.streaming import MAX_MAP_BYTES
from mldfr.maps import DEFAULT

LOCK = ".lock"
JUDGES = min(8, os.cpu_count() or 1)
SHOWN = 5
"""So many are named where many have the same fault."""


@dataclass(frozen=True)
class Sources:
    """Where score maps come from.

    Attributes:
        source: What makes them; None where all are in the store.
        scales: The image pyramid.
        map_name: What is summed over it.
        store: Where they are looked for first, and where those that are made are added.
        class_agnostic: Whether the most probable class stands for every object.
        batch_size: Pictures to look at together.
        records: Boxes that are already drawn, by the id of the picture; then there are no maps at all.
    """

    source: Source | None
    scales: Sequence[float] = ()
    map_name: str = DEFAULT
    store: MapStore | None = None
    class_agnostic: bool = False
    batch_size: int = 1
    records: Callable[[Sample], Record | ImageError] | None = None


def evaluation_job(
    folder: Path | None, setting: Mapping[str, Any], ids: Iterable[str], *, shard: Shard = WHOLE
) -> Job | Unkept:
    """The records of an evaluation, or of a part of it, which go into a file that is only added to.

    Args:
        folder: Where; None to keep nothing for another time.
        setting: What the records depend on.
        ids: Of all pictures.
        shard: Which part of them.
    """
    ids, setting = tuple(ids), as_artifact(EvaluationSetting, setting, "the setting").to_json()
    if folder is None:
        return Unkept(each for each in ids if each in shard)
    if shard.count == 1:
        if (folder / SETTING).is_file():
            read_artifact(folder / SETTING, EvaluationSetting)  # says what is wrong with it
        return Job(JobFiles(folder / RECORDS, folder / SETTING, folder / LOCK), setting, Items(ids, "id"))
    states = Items.table(dict.fromkeys(ids), key="id")
    return Job(JobFiles.of_part(folder, shard), {**setting, WORK: "evaluate"}, states, shard=shard)


def check_truth(samples: Sequence[Sample]) -> None:
    """Refuse annotated boxes that are none.

    Raises:
        DataError: Boxes that are inverted, empty or not finite, or there is nothing to compare with at all.
    """
    bad = [
        f"{sample.id} {list(item.xyxy)}"
        for sample in samples
        for item in sample.objects
        if not (-inf < item.xyxy[0] < item.xyxy[2] < inf and -inf < item.xyxy[1] < item.xyxy[3] < inf)
    ]
    if bad:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise DataError(f"annotated boxes need finite x0 < x1 and y0 < y1; not so: {', '.join(bad[:SHOWN])}{more}")
    if not any(sample.labels for sample in samples):
        raise DataError("no picture of the split has a label, so there is nothing to compare with")


def without_classes(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that have objects, each of them of the one class 0."""
    return [
        replace(sample, labels=(0,), objects=tuple(item._replace(label=0) for item in sample.objects))
        for sample in samples
        if sample.objects or sample.masks
    ]


def evaluate(
    samples: Sequence[Sample], sources: Sources, rules: Rules, job: Results
) -> Iterator[tuple[Sample, Record | ImageError]]:
    """The record of each picture in order, or why there is none; those that the job has are not made again.

    Where maps are kept, those that the store lacks are made, whether the job has the record or not.

    Raises:
        DataError: A map or mask that is none.
    """
    ids, store = set(job.pending()), sources.store
    if store is not None and sources.source is not None:
        ids |= {sample.id for sample in samples if sample not in store}
    pending = [sample for sample in samples if sample.id in ids]
    with ThreadPoolExecutor(JUDGES) as judges:
        made = _made(judges, pending, sources, rules)
        for sample in samples:
            if sample.id not in ids:
                assert isinstance(job, Job)
                yield sample, Record.from_json(job.read(sample.id), f"{job.files.rows}: {sample.id}")
                continue
            record = next(made)
            if not isinstance(record, Record):
                job.fail(sample.id, str(record))
            elif job.kept:
                job.add(record.to_json())
            yield sample, record


def _made(
    judges: ThreadPoolExecutor, pending: Sequence[Sample], sources: Sources, rules: Rules
) -> Iterator[Record | ImageError]:
    if sources.records is not None:
        return map(sources.records, pending)
    found = _evidence(pending, sources, rules)
    return ahead(judges, partial(_judge, sources.store, rules), found, 2 * JUDGES, weight=_weight)


def _weight(item: tuple[Sample, Evidence | ImageError | None]) -> float:
    """Which part of the memory for maps those of a picture take; stored ones are only there while they are judged."""
    return item[1].map_bytes / MAX_MAP_BYTES if isinstance(item[1], Evidence) else 0.0


def _evidence(
    pending: Sequence[Sample], sources: Sources, rules: Rules
) -> Iterator[tuple[Sample, Evidence | ImageError | None]]:
    """What the model says of those that are not in the store; None for those that are."""
    store, source = sources.store, sources.source
    stored = {sample.id for sample in pending if store is not None and sample in store}
    new = [sample for sample in pending if sample.id not in stored]
    if source is None and new:
        names = ", ".join(sample.id for sample in new[:SHOWN])
        raise DataError(f"{store and store.folder}: no map of {len(new)} of {len(pending)} pictures, such as {names}")
    observed = (
        iter(())
        if source is None
        else observe(
            source,
            new,
            scales=sources.scales,
            map_name=sources.map_name,
            class_agnostic=sources.class_agnostic,
            batch_size=sources.batch_size,
            keep_pixels=rules.look_at_picture,
        )
    )
    for sample in pending:
        if sample.id in stored:
            yield sample, None
            continue
        _, evidence = next(observed)
        if store is not None and isinstance(evidence, Evidence):
            store.write(sample, evidence)
        yield sample, evidence


def _judge(
    store: MapStore | None, rules: Rules, item: tuple[Sample, Evidence | ImageError | None]
) -> Record | ImageError:
    sample, evidence = item
    if evidence is None:
        assert store is not None
        try:
            evidence = store.read(sample)
            if rules.look_at_picture and not size_error(sample, evidence.size):
                evidence = _with_pixels(sample, evidence)
        except ImageError as error:
            return error
    if isinstance(evidence, ImageError):
        return evidence
    return size_error(sample, evidence.size) or judge(sample, evidence, rules)


def _with_pixels(sample: Sample, evidence: Evidence) -> Evidence:
    """What is known of a picture of which the maps are stored, and the picture at their size.

    Raises:
        ImageError: It cannot be read, or is of another shape.
    """
    pixels = read_image(sample.path)
    size = pixels.shape[0], pixels.shape[1]
    if size != evidence.size:
        if not is_resize(evidence.size, size):
            expected = f"{evidence.width}x{evidence.height}"
            raise ImageError(str(sample.path), f"{size[1]}x{size[0]} pixels; its maps are of a picture of {expected}")
        pixels = cv2.resize(pixels, evidence.size[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return replace(evidence, pixels=pixels)


def report(
    summary: Summary,
    setting: Mapping[str, Any],
    failed: Mapping[str, ImageError],
    problems: Sequence[str],
    names: Mapping[int, str],
) -> dict[str, Any]:
    """Everything in one piece, as it stands in `metrics.json`; texts are Unicode, NaN becomes None.

    Args:
        summary: The numbers.
        setting: What they depend on.
        failed: Why pictures are not among them, by id.
        problems: Of the data.
        names: The data's own names of the classes, by number.
    """
    scores = summary.scores()
    other_size = sum(isinstance(error, SizeError) for error in failed.values())
    content = {
        "format_version": 1,
        "setting": dict(setting),
        "counts": {
            **summary.counts,
            "failed": len(failed),
            **({"other_size": other_size} if other_size else {}),
            "problems": len(problems),
            "classes": len(summary.classes),
            "classes_without_images": len(summary.classes) - len(summary.seen),
        },
        "metrics": {
            group: {name: _number(each.value) for name, each in found.items()} for group, found in scores.items()
        },
        "denominators": {
            group: {name: {"count": each.count, "unit": each.unit} for name, each in found.items()}
            for group, found in scores.items()
        },
        **summary.details(),
        "failed": {name: str(error) for name, error in failed.items()},
        "problems": list(problems),
        "names": {str(label): name for label, name in names.items()},
        "images": summary.images,
        "cases": [list(case) for case in summary.cases],
        "values": {
            f"{group}.{name}": {
                "over": each.unit if each.groups is None else "cases",
                "mean_over_classes": each.groups is not None,
                "higher_is_better": each.higher_is_better,
                "values": [_number(value) for value in each.values.tolist()],
            }
            for group, found in scores.items()
            for name, each in found.items()
            if each.values is not None
        },
    }
    known: dict[str, Any] = plain(content)
    return known


def _number(value: float) -> float | None:
    return None if value != value else value
