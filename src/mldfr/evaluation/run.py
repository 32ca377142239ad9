"""One pass over the pictures of a set: maps from a network or from files, records to a journal, metrics at the end."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from mldfr.core.errors import DataError
from mldfr.core.files import writing
from mldfr.core.json_files import append_line, cut_unfinished, differences, read_json, write_json
from mldfr.core.parallel import ahead
from mldfr.core.text import plain
from mldfr.core.types import Sample
from mldfr.data.sizes import SizeError, is_resize, size_error
from mldfr.evaluation.maps_and_ranking import Evidence, observe
from mldfr.evaluation.record import Record, Rules, judge
from mldfr.evaluation.store import MapStore
from mldfr.evaluation.summary import Summary
from mldfr.images import ImageError, read_image
from mldfr.jobs.lines import line_at, placed_lines
from mldfr.jobs.lock import locked
from mldfr.localizer.sources import Source
from mldfr.maps import DEFAULT

SETTING, JOURNAL, LOCK = "setting.json", "images.jsonl", ".lock"
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


class Journal:
    """The records so far, in a file that is only added to, or in memory alone.

    With a folder it is used as a context, in which no other process can have it.

    Args:
        folder: Where; None to keep nothing for another time.
        setting: What the records depend on.

    Raises:
        DataError: The folder holds the records of another setting, or another process is at it.
        WriteError: Nothing can be written to it.
    """

    def __init__(self, folder: Path | None, setting: Mapping[str, Any]) -> None:
        self._folder, self._setting = folder, setting
        self._file = None if folder is None else folder / JOURNAL
        self._offsets: dict[str, int] = {}
        self._held = ExitStack()

    def __enter__(self) -> Self:
        if self._folder is None:
            return self
        with ExitStack() as stack:
            busy = f"{self._folder}: another process is evaluating into it"
            stack.enter_context(locked(self._folder / LOCK, busy=busy))
            self._go_on(self._folder, self._folder / JOURNAL)
            self._held = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._held.close()

    def _go_on(self, folder: Path, file: Path) -> None:
        """Take what is there, if it is of the same setting; a line that was not finished is cut off."""
        if not (folder / SETTING).exists():
            write_json(folder / SETTING, self._setting)
        there = read_json(folder / SETTING)
        if different := differences(there, json.loads(json.dumps(self._setting))):
            raise DataError(f"{folder}: holds another evaluation ({different}); name another folder")
        with writing(file):
            file.touch()
        cut_unfinished(file)
        lines = placed_lines(file, names=("id",), what="the record of a picture")
        self._offsets = {line["id"]: place for place, line in lines}

    def __contains__(self, sample: Sample) -> bool:
        return sample.id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def read(self, sample: Sample) -> Record:
        """The record of a picture that is there."""
        assert self._file is not None
        return Record.from_json(line_at(self._file, self._offsets[sample.id]))

    def add(self, record: Record) -> None:
        """Write a record down."""
        if self._file is not None:
            append_line(self._file, record.to_json())


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
    samples: Sequence[Sample], sources: Sources, rules: Rules, journal: Journal
) -> Iterator[tuple[Sample, Record | ImageError]]:
    """The record of each picture in order, or why there is none; those in the journal are not made again.

    Raises:
        DataError: A map or mask that is none.
    """
    pending = [sample for sample in samples if sample not in journal]
    with ThreadPoolExecutor(JUDGES) as judges:
        made = _made(judges, pending, sources, rules)
        for sample in samples:
            if sample in journal:
                yield sample, journal.read(sample)
                continue
            record = next(made)
            if isinstance(record, Record):
                journal.add(record)
            yield sample, record


def _made(
    judges: ThreadPoolExecutor, pending: Sequence[Sample], sources: Sources, rules: Rules
) -> Iterator[Record | ImageError]:
    if sources.records is not None:
        return map(sources.records, pending)
    return ahead(judges, partial(_judge, sources.store, rules), _evidence(pending, sources, rules), 2 * JUDGES)


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
