"""An evaluation's folder: its numbers, its records, and the pictures and maps that it was made from."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mldfr.artifacts import RECORDS
from mldfr.core.devices import choose_device
from mldfr.core.errors import DataError, MldfrError
from mldfr.core.json_files import differences
from mldfr.core.text import original
from mldfr.evaluation.plan import Plan, Request, plan_maps, plan_model
from mldfr.evaluation.protocols import PROTOCOLS, Protocol
from mldfr.evaluation.record import Record
from mldfr.evaluation.summary import Summary
from mldfr.jobs.lines import placed_lines
from mldfr.networks.card import Rules
from mldfr.reports.content.metrics_file import Stored, read_stored

SAME = ("annotations", "sha256", "maps")
"""What tells that pictures, model or maps are those that were evaluated."""


@dataclass(frozen=True)
class Places:
    """Where things are now, if not where the evaluation found them.

    Attributes:
        data: `KIND:PATH`.
        images: The folder of the pictures of wsol data.
        model: What `mldfr.load` takes.
    """

    data: str | None = None
    images: Path | None = None
    model: str | None = None

    def named(self) -> bool:
        """Whether anything was named."""
        return (self.data, self.images, self.model) != (None, None, None)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluation.

    Attributes:
        folder: Where it is.
        stored: Its numbers.
        records: What was found in each picture, by id; none where the journal is gone.
        plan: Pictures with their annotated boxes, and what maps them; None where they are gone.
        absent: Why there is no plan, or "".
    """

    folder: Path
    stored: Stored
    records: Mapping[str, Record]
    plan: Plan | None
    absent: str

    @property
    def protocol(self) -> Protocol | None:
        """The first of its protocols with a fixed threshold: the one whose boxes are shown."""
        return next(
            (each for each in map(PROTOCOLS.__getitem__, self.stored.setting.protocols) if not each.sweeps), None
        )

    @property
    def kinds(self) -> Sequence[str]:
        """The diagnosis of each case under `protocol`; empty where it is not known."""
        return () if self.protocol is None else self.stored.kinds.get(self.protocol.name, ())

    @cached_property
    def summary(self) -> Summary | None:
        """All records once more, with the annotated boxes; None where these or some of those are gone."""
        if self.plan is None:
            return None
        samples = [sample for sample in self.plan.samples if sample.id not in self.stored.failed]
        if any(sample.id not in self.records for sample in samples):
            return None
        summary = Summary(self.plan.classes, self.plan.rules)
        for sample in samples:
            summary.update(sample, self.records[sample.id])
        return summary

    @cached_property
    def ious(self) -> list[float]:
        """IoU of each case under `protocol`; empty where it is not known."""
        if self.summary is None or self.protocol is None:
            return []
        return self.summary.ious()[self.protocol.name]


def read_evaluation(folder: Path, places: Places, *, device: str = "auto") -> Evaluation:
    """Read an evaluation's folder, and find its pictures and its model or maps again.

    Args:
        folder: What `mldfr evaluate --out` wrote.
        places: Where things are now. What is named has to be there; what is not may be gone.
        device: Where the model shall run.

    Raises:
        DataError: No evaluation, a damaged one, or a place that was named and is none.
        ValueError: No such device.
    """
    choose_device(device)
    stored = read_stored(folder)
    by_id = {record.id: record for record in _records(folder / RECORDS)}
    try:
        return Evaluation(folder, stored, by_id, _plan(stored, places, device), "")
    except MldfrError as error:  # data, model or maps; anything else is a fault of the program's own
        if places.named():
            raise
        return Evaluation(folder, stored, by_id, None, str(error))


def _records(journal: Path) -> Iterator[Record]:
    """The records of a journal that is still there, one after the other."""
    if journal.is_file():
        lines = placed_lines(journal, names=("id",), what="the record of a picture")
        for number, (_, line) in enumerate(lines, start=1):
            yield Record.from_json(line, f"{journal}:{number}")


def _again(place: str) -> str:
    """A path, or KIND:PATH, under the name that it has on disk: `metrics.json` has it `escaped`."""
    path = place.partition(":")[2] or place
    return original(place) if os.path.exists(original(path)) and not os.path.exists(path) else place  # noqa: PTH110


def _plan(stored: Stored, places: Places, device: str) -> Plan:
    """The evaluation's plan, made again.

    Raises:
        ValueError: Pictures, model or maps are gone, or are others now.
    """
    setting = stored.setting
    images = setting.images if places.data is None and places.images is None else places.images
    used = setting.as_used or {}
    request = Request(
        places.data or _again(setting.data),
        setting.split,
        None if images is None else Path(_again(str(images))),
        setting.protocols,
        Rules(
            scales=setting.scales,
            map=setting.map,
            closer=setting.closer,
            threshold=setting.threshold,
            normalizer=setting.normalizer,
            box_rule=used.get("box_rule"),
            instances=used.get("instances"),
            refine=used.get("refine"),
            min_region=used.get("min_region"),
        ),
        setting.class_agnostic,
    )
    if setting.score_maps is not None:
        plan = plan_maps(request, Path(_again(setting.score_maps)))
    elif setting.model is not None:
        plan = plan_model(request, places.model or _again(setting.model), device=device)
    else:
        what = "boxes come without maps to show" if setting.predictions else "neither a model nor maps are named"
        raise DataError(f"{what} in the evaluation's setting")
    now = json.loads(json.dumps({key: plan.setting.get(key) for key in SAME}))
    before = {key: setting.model_dump().get(key) for key in SAME}
    if different := differences(before, now):
        raise DataError(f"what is there now is not what was evaluated ({different})")
    return plan
