"""Whole pages: of an evaluation, and of a training run."""

from dataclasses import dataclass, field
from pathlib import Path

from mldfr.artifacts import RECORDS, RUN, SETTING
from mldfr.core.errors import DataError
from mldfr.reports.content import curves, error_analysis, picture_sections, setup, training
from mldfr.reports.content.display_names import counted, percent
from mldfr.reports.content.evaluation_folder import Evaluation, Places, read_evaluation
from mldfr.reports.content.metrics_file import METRICS
from mldfr.reports.content.numbers import Numbers
from mldfr.reports.content.paper import backbone_name
from mldfr.reports.content.picture_sections import Watch
from mldfr.reports.content.runs import Run, read_training
from mldfr.reports.page.blocks import Facts, Gallery, Page, Section
from mldfr.training.run_folder import RunError

STRIP = 6
"""So many pictures stand at the head of a page."""
FOOT = "Made by mldfr. Everything is in this file; nothing is fetched."


@dataclass(frozen=True)
class ReportOptions:
    """What a page shall have.

    Attributes:
        places: Where data and model are now.
        gallery: How many pictures a gallery has at most; 0 for none.
        sample: On how many pictures the effect of each scale is measured; 0 for none.
        device: Where the model runs.
    """

    places: Places = field(default_factory=Places)
    gallery: int = 6
    sample: int = 200
    device: str = "auto"


def make_page(folder: Path, out: Path, options: ReportOptions, *, watch: Watch = iter) -> Page:
    """The page of what a folder holds: an evaluation, or a training run.

    Args:
        folder: The folder, or the `metrics.json` in it.
        out: Where the page will be.
        options: What it shall have.
        watch: Told of the pictures that are looked at once more.

    Raises:
        ValueError: The folder holds neither, or something damaged.
    """
    found = read_folder(folder, options)
    return run_page(found, out) if isinstance(found, Run) else evaluation_page(found, options, watch)


def read_folder(folder: Path, options: ReportOptions) -> Evaluation | Run:
    """What a folder holds, or the `metrics.json` in it.

    Raises:
        DataError: Neither an evaluation nor a run, or something damaged.
    """
    folder = folder.parent if folder.name == METRICS and folder.is_file() else folder
    if (folder / METRICS).is_file():
        return read_evaluation(folder, options.places, device=options.device)
    if (folder / RUN).is_file():
        return read_training(folder)
    if (folder / RECORDS).is_file() and (folder / SETTING).is_file():
        raise DataError(
            f"{folder}: an evaluation that is not finished; the same `mldfr evaluate --out {folder}` goes on"
        )
    raise DataError(
        f"{folder}: neither an evaluation (no {METRICS}, which `mldfr evaluate --out` writes) nor a run (no {RUN}, "
        "which `mldfr train` writes)"
    )


def evaluation_page(evaluation: Evaluation, options: ReportOptions, watch: Watch) -> Page:
    """The page of an evaluation."""
    stored = evaluation.stored
    numbers, run = Numbers(stored), run_of(evaluation)
    pictures, scales = picture_sections.sections(
        evaluation, gallery=options.gallery, sample=options.sample, watch=watch
    )
    shown = [block.pictures for block in (pictures.blocks if pictures else ()) if isinstance(block, Gallery)]
    sections = [
        numbers.section(),
        pictures,
        error_analysis.errors(stored),
        scales,
        curves.section(evaluation),
        error_analysis.classes(evaluation),
        training.training(run) if run else None,
        training.selection(run.selection) if run and run.selection else None,
        numbers.every(),
        setup.section(stored, training.recipe(run.recipe) if run else ()),
    ]
    return Page(
        title=f"{setup.model_name(stored)} on {setup.data_name(stored)}",
        kicker="Localization report",
        lead=setup.result(numbers),
        facts=setup.facts(stored),
        strip=shown[0][:STRIP] if shown else (),
        sections=[section for section in sections if section is not None],
        foot=FOOT,
        missing=_missing(evaluation),
    )


def _missing(evaluation: Evaluation) -> str:
    """What the page of an evaluation has not, why, and the command that may bring it back."""
    if not evaluation.absent:
        return ""
    setting = evaluation.stored.setting
    places = ["--images DIR"] * setting.data.startswith("wsol:") + ["--data KIND:PATH"]
    places += ["--model MODEL"] * (setting.score_maps is None)
    return (
        f"Without galleries, the effect of each scale and the fit of the boxes: {evaluation.absent}. "
        f"Say where things are now: mldfr report {evaluation.folder} {' or '.join(places)}"
    )


def run_page(run: Run, out: Path) -> Page:
    """The page of a training run that is not an evaluation."""
    network = run.recipe.model
    sections = [
        training.evaluations(run, out),
        training.training(run),
        training.selection(run.selection) if run.selection else None,
        Section(
            "setup",
            "Setup",
            "",
            [*training.recipe(run.recipe), training.run_facts(run), Facts("Software", run.facts.versions)],
        ),
    ]
    done = "finished" if len(run.epochs) >= run.recipe.training.epochs else "not finished yet"
    lead = f"{len(run.epochs)} of {counted(run.recipe.training.epochs, 'epochs')}: {done}."
    if run.epochs:
        lead += f" {percent(100 * run.epochs[-1].top1)} of the training pictures are classified right."
    return Page(
        title=f"Training of {run.folder.resolve().name}",
        kicker="Training report",
        lead=lead,
        facts={
            "Network": backbone_name(network.backbone),
            "Recalibration": network.recalibration.replace("_", " "),
            "Starts from": str(network.weights or "random weights"),
            "Data": run.facts.data,
            "Pictures": f"{run.trained_on:,}, {run.held_out:,} held out",
        },
        strip=(),
        sections=[section for section in sections if section is not None],
        foot=FOOT,
        missing=training.further(run),
    )


def run_of(evaluation: Evaluation) -> Run | None:
    """The run of the model that was evaluated, where its folder is still there and whole."""
    model = evaluation.plan.setting.get("model") if evaluation.plan else None
    if model is None or not (Path(model) / RUN).is_file():
        return None
    try:
        return read_training(Path(model))
    except (RunError, DataError):
        return None  # the page is the evaluation's, and that is whole
