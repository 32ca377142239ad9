"""`evaluate`: every metric that a set allows, under the field's protocols."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldfr.api.notebook import html_table, names
from mldfr.api.progress import SILENT, Progress
from mldfr.api.swapped import refuse_swapped
from mldfr.artifacts import METRICS, Metrics
from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.core.types import Sample
    from mldfr.evaluation.plan import Plan
    from mldfr.evaluation.record import Record
    from mldfr.evaluation.summary import Summary
    from mldfr.images import ImageError
    from mldfr.jobs.job import Results
    from mldfr.jobs.shard import Shard

LONG = ("names", "images", "cases", "values", "denominators", "breakdown", "problems")


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation came to.

    Attributes:
        content: All of it, as it stands in `metrics.json`; of a part no more than its setting and counts.
        failed: Why pictures are not among the numbers, by id.
        out: The folder where it is kept, if it is.
        part: Which part of the pictures was looked at, such as "1/4"; "" for all. `join` puts the parts together.
    """

    content: Mapping[str, Any] = field(repr=False)
    failed: "Mapping[str, ImageError]" = field(repr=False)
    out: Path | None
    part: str = ""

    @property
    def metrics(self) -> Mapping[str, Mapping[str, float | None]]:
        """Percent by protocol and metric, such as `metrics["paper"]["corloc"]`; None where nothing counts."""
        found: Mapping[str, Mapping[str, float | None]] = self.content["metrics"]
        return found

    def rows(self) -> Iterator[tuple[str, str, float | None, str]]:
        """Protocol, metric, percent, and of how many."""
        for group, found in self.metrics.items():
            for name, value in found.items():
                known = self.content["denominators"][group][name]
                yield group, name, value, f"{known['count']} {known['unit']}"

    def heading(self) -> str:
        """What was evaluated on what, and how."""
        setting = self.content["setting"]
        told = ("scales", "map", "closer", "normalizer", "threshold")
        rules = [f"{key} {setting[key]}" for key in told if setting.get(key) is not None]
        used = setting.get("as_used") or {}
        rules += [f"{key.replace('_', ' ')} {value}" for key, value in used.items() if key not in told]
        source = setting.get("model") or setting.get("score_maps") or setting["predictions"]
        return ", ".join([f"{source} on {setting['data']} {setting['split']}", *rules])

    def to_json(self) -> str:
        """The content of `metrics.json`: what is long stands in one line."""
        import json

        lines = (
            f"{json.dumps(key)}: {json.dumps(value, indent=None if key in LONG else 1, allow_nan=False)}"
            for key, value in self.content.items()
        )
        return "{\n" + ",\n".join(lines) + "\n}"

    def _repr_html_(self) -> str:
        rows = (
            (group, name, None if value is None else round(value, 2), count)
            for group, name, value, count in self.rows()
        )
        return html_table(self.heading(), ("protocol", "metric", "%", "of"), rows)


def evaluate(
    model: str | Path | None,
    data: str,
    *,
    split: str | None = None,
    images: str | Path | None = None,
    protocol: str | Sequence[str] = "all",
    scales: Sequence[float] | None = None,
    map: str | None = None,
    closer: int | None = None,
    threshold: float | str | None = None,
    normalizer: str | None = None,
    box_rule: str | None = None,
    instances: str | None = None,
    refine: str | None = None,
    min_region: float | None = None,
    class_agnostic: bool = False,
    score_maps: str | Path | None = None,
    predictions: str | Path | None = None,
    save_maps: str | Path | None = None,
    out: str | Path | None = None,
    shard: str = "1/1",
    device: str = "auto",
    runtime: str | None = None,
    batch_size: int = 1,
    progress: Progress = SILENT,
) -> Evaluated:
    """Measure a model, stored score maps, or predicted boxes, under all protocols in one pass (`mldfr evaluate`).

    Args:
        model: A name of `mldfr list models`, a model file or a run folder; None with `score_maps` or
            `predictions`.
        data: `KIND:PATH`: pictures with labels, and boxes or masks.
        split: Which split of the data; test, or val, or the only one, when left out.
        images: Where the pictures of wsol data are, if not beside it.
        protocol: Names of `mldfr list protocols`, several in a list or with commas, or "all".
        scales: Pyramid of a model; its own when left out, as are the next four.
        map: What is summed over the pyramid, of `mldfr list maps`.
        closer: How often the window around what was found is looked at again.
        threshold: Of the protocols with a fixed one; a number, or a name of `mldfr list thresholds`.
        normalizer: See `mldfr list normalizers`; the protocol authors has its own.
        box_rule, instances, refine, min_region: Of the protocol as_used; the model's own when left out.
        class_agnostic: The most probable class stands for every object.
        score_maps: A folder of stored maps of any tool, `<image id>.npy`.
        predictions: A file of boxes, as `locate` writes them or COCO results; only as_used is measured.
        save_maps: Where maps are kept; those already there are not made again.
        out: Where metrics.json, plots, and the records to go on from are kept.
        shard: "I/N", only the I-th of N parts, without metrics; `join` puts them together, and the same call without
            `shard` then measures.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model, see `mldfr list runtimes`.
        batch_size: Pictures to look at together; for GPUs.
        progress: Told how it goes, and of each picture that cannot be read.

    Raises:
        MldfrError: A model, data, maps or rules that are not so, or do not belong together.

    Example:
        `mldfr.evaluate("runs/mine", "folder:sorted").metrics["classification"]`
    """
    if model is not None:
        refuse_swapped("evaluate", str(model), data)
    if sum(each is not None for each in (model, score_maps, predictions)) != 1:
        raise SettingError("name a model, or the folder of its maps with --score-maps, or boxes with --predictions")
    if model is None and (scales, map, closer, save_maps) != (None,) * 4:
        raise SettingError(
            "--scales, --map, --closer and --save-maps are for models; with --score-maps the maps are there"
        )
    from mldfr.evaluation.protocols import PROTOCOLS
    from mldfr.jobs.shard import Shard
    from mldfr.networks.card import Localization, Rules

    mine = Shard.parse(shard)
    if mine.count > 1 and (out is None or save_maps is not None):
        raise SettingError("--shard needs a folder for the parts, --out, and keeps no maps: --save-maps does not fit")
    every = PROTOCOLS.names() if predictions is None else ("as_used",)
    protocols = every if protocol == "all" else tuple(PROTOCOLS.check(name) for name in names(protocol))
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
    Localization().changed(**rules)  # says what is wrong with them before anything is opened
    if (box_rule, instances, refine, min_region) != (None,) * 4 and "as_used" not in protocols:
        raise SettingError("--box-rule, --instances, --refine, --min-region are of the protocol as_used; name it too")
    from mldfr.evaluation.plan import Request, plan_maps, plan_model, plan_predictions

    request = Request(
        data=data,
        split=split,
        images=None if images is None else Path(images),
        protocols=protocols,
        rules=rules,
        class_agnostic=class_agnostic,
    )
    if score_maps is not None:
        plan = plan_maps(request, Path(score_maps))
    elif predictions is not None:
        plan = plan_predictions(request, Path(predictions))
    else:
        kept = None if save_maps is None else Path(save_maps)
        plan = plan_model(request, str(model), save_maps=kept, device=device, runtime=runtime, batch_size=batch_size)
    return _measured(plan, mine, None if out is None else Path(out), progress, goes_on=save_maps is not None)


def _measured(plan: "Plan", mine: "Shard", folder: Path | None, progress: Progress, *, goes_on: bool) -> Evaluated:
    """Look at all pictures of a plan, or at a part of them, and count."""
    from mldfr.evaluation.run import evaluation_job, report
    from mldfr.evaluation.summary import Summary

    failed: dict[str, ImageError] = {}
    with evaluation_job(folder, plan.setting, plan.ids, shard=mine) as job:
        for note in plan.notes:
            progress.warn(note)
        samples = [sample for sample in plan.samples if sample.id in mine]
        records = _look_at(samples, plan, job, failed, progress, goes_on=job.kept or goes_on)
        if mine.count > 1:
            counts = {"images": sum(1 for _ in records), "failed": len(failed)}
            content = {"setting": plan.setting, "counts": counts, "metrics": {}}
            return Evaluated(content, failed, folder, f"{mine.number}/{mine.count}")
        summary = Summary(plan.classes, plan.rules)
        for sample, record in records:
            summary.update(sample, record)
        evaluated = Evaluated(report(summary, plan.setting, failed, plan.problems, plan.names), failed, folder)
        if folder is not None:
            _write(evaluated, summary, folder)
    return evaluated


def _look_at(
    samples: "Sequence[Sample]",
    plan: "Plan",
    job: "Results",
    failed: "dict[str, ImageError]",
    progress: Progress,
    *,
    goes_on: bool,
) -> "Iterator[tuple[Sample, Record]]":
    """The records; pictures that cannot be read are named at once, those of another size counted at the end."""
    from mldfr.data.sizes import SizeError, summed_up
    from mldfr.evaluation.record import Record
    from mldfr.evaluation.run import evaluate as evaluate_all

    if len(job):
        progress.say(f"going on: {len(job)} of {len(samples)} pictures are already evaluated")
    records = evaluate_all(samples, plan.sources, plan.rules, job)
    for sample, record in progress.follow(records, "evaluated", total=len(samples), goes_on=goes_on):
        if isinstance(record, Record):
            yield sample, record
        else:
            failed[sample.id] = record
            if not isinstance(record, SizeError):
                progress.warn(str(record))
    if others := [error for error in failed.values() if isinstance(error, SizeError)]:
        progress.warn(summed_up(others))


def _write(evaluated: Evaluated, summary: "Summary", out: Path) -> None:
    from mldfr.core.files import replacing
    from mldfr.reports.page.evaluation_plots import draw_plots

    Metrics.model_validate(evaluated.content)  # what is written can be read
    with replacing(out / METRICS) as temporary:
        temporary.write_text(evaluated.to_json() + "\n", encoding="utf-8")
    draw_plots(out, summary, evaluated.content)
