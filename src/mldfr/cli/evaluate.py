"""`mldfr evaluate`: every metric that a set allows, under the field's protocols."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mldfr.cli.entry import says_how_far
from mldfr.cli.options import OF_MODEL, BoxRule, Instances, Refine, scale_factors
from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.evaluation.plan import Plan
    from mldfr.evaluation.run import Journal
    from mldfr.evaluation.summary import Summary
    from mldfr.images import ImageError

METRICS = "metrics.json"
USUAL_SPLIT = "test, or the only one"
LONG = ("names", "images", "cases", "values", "denominators", "breakdown", "problems")


def evaluate(
    data: Annotated[
        str, typer.Option(metavar="KIND:PATH", help="Pictures with labels, and boxes or masks; see `mldfr list data`.")
    ],
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL|RUN]", help="A name of `mldfr list models`, a file or a run.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which split of the data.", show_default=USUAL_SPLIT)] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures of wsol data are, if not beside it.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Names of `mldfr list protocols` with commas, or all.")] = "all",
    scales: Annotated[
        str | None, typer.Option(help="Pyramid of a model, such as 1,1.5,2.", show_default=OF_MODEL)
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of the protocols paper, authors and as_used.", show_default=OF_MODEL)
    ] = None,
    normalizer: Annotated[
        str | None,
        typer.Option(help="See `mldfr list normalizers`; the protocol authors has its own.", show_default=OF_MODEL),
    ] = None,
    box_rule: BoxRule = None,
    instances: Instances = None,
    refine: Refine = None,
    class_agnostic: Annotated[
        bool, typer.Option("--class-agnostic", help="The most probable class stands for every object.")
    ] = False,
    score_maps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Stored maps of any tool, DIR/<image id>.npy, and no model.")
    ] = None,
    save_maps: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the maps; those already there are not made again.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep metrics.json, plots, and the records to go on from.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json and no table.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures to look at together; for GPUs.")] = 1,
) -> None:
    """Measure a model, or stored score maps, as the field measures: all protocols in one pass.

    A picture that cannot be read is reported on standard error and counted; the exit code is 1 then.
    """
    if (model is None) == (score_maps is None):
        raise SettingError("name a model, or the folder of its maps with --score-maps, and not both")
    if score_maps is not None and (scales is not None or save_maps is not None):
        raise SettingError("--scales and --save-maps are for models; with --score-maps the maps are there")
    from mldfr.evaluation.protocols import PROTOCOLS
    from mldfr.networks.card import Localization

    names = PROTOCOLS.names() if protocol == "all" else tuple(map(PROTOCOLS.check, protocol.split(",")))
    factors = None if scales is None else tuple(scale_factors(scales))
    boxes = {"box_rule": box_rule, "instances": instances, "refine": refine}
    Localization().changed(scales=factors, threshold=threshold, normalizer=normalizer, **boxes)
    if any(boxes.values()) and "as_used" not in names:
        raise SettingError("--box-rule, --instances and --refine are of the protocol as_used; name it too")
    from mldfr.evaluation.plan import Request, plan_maps, plan_model
    from mldfr.evaluation.run import Journal

    request = Request(data, split, images, names, factors, normalizer, threshold, class_agnostic, **boxes)
    if score_maps is not None:
        plan = plan_maps(request, score_maps)
    else:
        assert model is not None
        plan = plan_model(request, model, save_maps=save_maps, device=device, batch_size=batch_size)
    journal = Journal(out, plan.setting)
    for note in plan.notes:
        typer.echo(f"mldfr: {note}", err=True)
    summary, failed = _look_at_all(plan, journal, keeps=out is not None or save_maps is not None)
    _answer(plan, summary, failed, out, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _look_at_all(plan: "Plan", journal: "Journal", *, keeps: bool) -> "tuple[Summary, dict[str, ImageError]]":
    """Run the plan; pictures that cannot be read are named at once, those of another size counted at the end.

    With `keeps`, the same command goes on where it was stopped.
    """
    from rich.console import Console
    from rich.progress import track

    from mldfr.data.sizes import SizeError, summed_up
    from mldfr.evaluation.record import Record
    from mldfr.evaluation.run import evaluate as evaluate_all
    from mldfr.evaluation.summary import Summary
    from mldfr.images import ImageError

    if len(journal):
        typer.echo(f"going on: {len(journal)} of {len(plan.samples)} pictures are already evaluated", err=True)
    summary, failed = Summary(plan.classes, plan.rules), dict[str, ImageError]()
    console = Console(stderr=True)
    records = evaluate_all(plan.samples, plan.sources, plan.rules, journal)
    quiet = not console.is_terminal
    seen = 0
    with says_how_far(lambda: f"after {seen} of {len(plan.samples)}" + "; the same command goes on" * keeps):
        for sample, record in track(records, "evaluating", len(plan.samples), console=console, disable=quiet):
            seen += 1
            if isinstance(record, Record):
                summary.update(sample, record)
            else:
                failed[sample.id] = record
                if not isinstance(record, SizeError):
                    typer.echo(f"mldfr: {record}", err=True)
    if others := [error for error in failed.values() if isinstance(error, SizeError)]:
        typer.echo(f"mldfr: {summed_up(others)}", err=True)
    return summary, failed


def _answer(
    plan: "Plan", summary: "Summary", failed: "dict[str, ImageError]", out: Path | None, *, as_json: bool
) -> None:
    from mldfr.core.files import replacing
    from mldfr.evaluation.run import report

    content = report(summary, plan.setting, failed, plan.problems, plan.names)
    text = _laid_out(content)
    if out is not None:
        with replacing(out / METRICS) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
        _draw(out, summary, content)
    if as_json:
        typer.echo(text)
    else:
        _print_table(content)
    if out is not None:
        typer.echo(f"all of it in {out / METRICS}, plots beside it", err=True)


def _laid_out(content: dict[str, Any]) -> str:
    """JSON to be read: what is long stands in one line."""
    import json

    lines = (
        f"{json.dumps(key)}: {json.dumps(value, indent=None if key in LONG else 1, allow_nan=False)}"
        for key, value in content.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}"


def _print_table(content: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    setting = content["setting"]
    rules = [f"{key} {setting[key]}" for key in ("scales", "normalizer", "threshold") if setting.get(key) is not None]
    used = setting.get("as_used", {})
    rules += [f"{key.replace('_', ' ')} {used[key]}" for key in ("box_rule", "instances", "refine") if key in used]
    what = f"{setting.get('model') or setting['score_maps']} on {setting['data']} {setting['split']}"
    table = Table("protocol", "metric", box=None, pad_edge=False)
    table.add_column("%", justify="right")
    table.add_column("of", justify="right")
    for group, metrics in content["metrics"].items():
        for name, value in metrics.items():
            known = content["denominators"][group][name]
            shown = "-" if value is None else f"{value:.2f}"
            table.add_row(group, name, shown, f"{known['count']} {known['unit']}")
        table.add_section()
    console = Console(width=None if Console().is_terminal else 120)
    console.print(f"{what}, {', '.join(rules)}", markup=False, highlight=False)
    console.print(table)
    for name, shares in content["diagnosis"].items():
        parts = ", ".join(f"{kind.replace('_', ' ')} {share:.1f}" for kind, share in shares.items())
        console.print(f"{name}: {parts} %", highlight=False)
    console.print(", ".join(f"{name.replace('_', ' ')} {n}" for name, n in content["counts"].items()), highlight=False)


def _draw(out: Path, summary: "Summary", content: dict[str, Any]) -> None:
    from mldfr.reports.page.bars import draw_bars, draw_histogram
    from mldfr.reports.page.curves import draw_curves

    curves = {name: (100 * values).tolist() for name, values in summary.curves().items()}
    if curves:
        panels = {
            title: {f"IoU {limit / 100:g}": curves[f"{name}_iou_{limit}"] for limit in (30, 50, 70)}
            for title, name in (("MaxBoxAcc", "max_box_acc"), ("MaxBoxAccV2", "max_box_acc_v2"))
        }
        x = summary.curves()["thresholds"].tolist()
        draw_curves(
            out / "thresholds.png",
            panels,
            x,
            title="",
            x_label="threshold (share of the maximum)",
            y_label="% of the cases",
            y_range=(0, 100),
        )
    if any(summary.ious().values()):
        title = "Largest box and the annotated box it fits best"
        draw_histogram(out / "iou.png", summary.ious(), title=title, x_label="IoU", mark=0.5)
    for metric, parts in list(content["breakdown"].items())[:1]:
        values = {name: part["value"] for name, part in parts["class"].items()}
        draw_bars(out / "classes.png", values, title=f"{metric} of each class", x_label="%")
    if (curve := summary.precision_recall()) is not None and len(curve.recall):
        draw_curves(
            out / "precision_recall.png",
            {"all classes, IoU 0.5": {"precision": curve.precision.tolist()}},
            curve.recall.tolist(),
            title="",
            x_label="recall",
            y_label="precision",
            y_range=(0, 1),
        )
