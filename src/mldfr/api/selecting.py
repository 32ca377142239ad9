"""`select`: pyramid, normaliser and threshold, chosen on held-out pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mldfr.api.notebook import names
from mldfr.api.progress import SILENT, Progress
from mldfr.artifacts import RUN, SELECTION
from mldfr.core.errors import FileError, SettingError

if TYPE_CHECKING:
    from mldfr.core.types import Float64Array, Sample
    from mldfr.data.sizes import SizeError
    from mldfr.evaluation.selection import Choice
    from mldfr.evaluation.selection_trial import Rules, Trial, Way
    from mldfr.images import ImageError
    from mldfr.networks.card import Localization

FEW = 30


@dataclass(frozen=True)
class Selected:
    """The rule that was chosen, which the model's card has from then on.

    Attributes:
        model: The model file.
        criterion: By what it was chosen.
        scales, normalizer, threshold, instances, refine: The rule.
        value: Its worth, at most 1.
        pictures: How many it was tried on.
        values, chart: Files with the worth of every rule, as JSON and drawn.
    """

    model: Path
    criterion: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    value: float
    pictures: int
    values: Path
    chart: Path
    instances: str
    refine: str

    def _repr_png_(self) -> bytes:
        return self.chart.read_bytes()


def select(
    model: str | Path,
    data: str | None = None,
    *,
    split: str | None = None,
    criterion: str | None = None,
    instances: str | Sequence[str] | None = None,
    refine: str | Sequence[str] | None = None,
    images: int = 500,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Selected:
    """Choose pyramid, normaliser and threshold, and write them into the model's card (`mldfr select`).

    `selection.json` and `selection.png` are written beside the model.

    Args:
        model: A run folder; or a model file, with `data`.
        data: `KIND:PATH`, other pictures than those that the run held out.
        split: Which split of `data`; train or trainval, or the only one, when left out.
        criterion: A name of `mldfr list criteria`; corloc where there are boxes when left out.
        instances: Ways to find instances to try, in a list or with commas; the model's own when left out.
        refine: Refinements to try, likewise.
        images: At most so many pictures, drawn at random.
        device: auto, cpu, cuda, ...
        progress: Told what a user should know, and of each picture that cannot be read.

    Raises:
        MldfrError: No such model or data, no pictures, or a criterion that they do not allow.

    Example:
        `mldfr.select("runs/mine").threshold`
    """
    from mldfr.networks.model_file import MODEL_FILE

    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    file = folder / MODEL_FILE if Path(model).is_dir() else Path(model)
    if not file.is_file():
        raise FileError(f"{file}: no such model; training writes it when it is done")
    samples = _pictures(folder, file, data, split, progress)
    from mldfr.data.sizes import SizeError, summed_up
    from mldfr.evaluation.selection import CRITERIA, choose, draw_sample, has_boxes
    from mldfr.evaluation.selection_trial import Rules, try_rules

    name = CRITERIA.check(criterion or ("corloc" if has_boxes(samples) else "repeated_contrast"))
    if CRITERIA[name].needs_boxes and not has_boxes(samples):
        raise SettingError(f"criterion {name} needs boxes, and the pictures have none; take repeated_contrast")
    from mldfr.deployment.loading import load

    localizer = load(file, device=device)
    ways, refinements = _drawings(localizer.card.localization, instances, refine)
    rules = Rules(instances=ways, refinements=refinements)
    others: list[SizeError] = []
    trial = try_rules(
        localizer.network.fused(),
        draw_sample(samples, images),
        rules.possible_for(localizer.network),
        views=CRITERIA[name].needs_views,
        report=lambda error: _note(error, others, progress),
    )
    if others and CRITERIA[name].needs_boxes:
        progress.warn(summed_up(others))
    if trial.pictures < FEW:
        progress.warn(f"warning: {trial.pictures} pictures are few to choose by; chance has a large part")
    choice, values = choose(trial, name), CRITERIA[name].worth(trial)
    _write(folder, trial, choice, values)
    chosen = localizer.card.localization.changed(
        scales=choice.scales,
        threshold=choice.threshold,
        normalizer=choice.normalizer,
        instances=choice.instances,
        refine=choice.refine,
    )
    localizer.card = localizer.card.model_copy(update={"localization": chosen})
    localizer.save(file)
    return Selected(
        file,
        choice.criterion,
        choice.scales,
        choice.normalizer,
        choice.threshold,
        choice.value,
        choice.pictures,
        folder / SELECTION,
        (folder / SELECTION).with_suffix(".png"),
        choice.instances,
        choice.refine,
    )


def _drawings(
    card: "Localization", instances: str | Sequence[str] | None, refine: str | Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ways to find instances and the refinements to try: those named, else the model's own.

    Raises:
        SettingError: An unknown name, or one that does not go with the model's box rule.
    """
    ways, refinements = tuple(names(instances or card.instances)), tuple(names(refine or card.refine))
    for way in ways:
        card.changed(instances=way)
    for way in refinements:
        card.changed(refine=way)
    return ways, refinements


def _note(error: "ImageError", others: "list[SizeError]", progress: Progress) -> None:
    """Tell of a picture that cannot be read; those of another size are told together."""
    from mldfr.data.sizes import SizeError

    if isinstance(error, SizeError):
        others.append(error)
    else:
        progress.warn(str(error))


def _pictures(folder: Path, file: Path, data: str | None, split: str | None, progress: Progress) -> "list[Sample]":
    """The pictures that the run held out, or the split of the data that was named; labels in the model's numbers."""
    from mldfr.data import open_data
    from mldfr.data.class_names import match_classes
    from mldfr.networks.model_file import read_card
    from mldfr.training.prepare import USUAL, held_out_samples

    names = read_card(file).class_names
    if data is not None:
        found = open_data(data)
        chosen, note = found.choose_split(split, *USUAL)
        for each in filter(None, (note, match_classes(found.classes, names).note)):
            progress.warn(each)
        return list(found.split_for(chosen, names))
    if split is not None:
        raise SettingError("--split is of --data; without it the pictures are those that the run held out")
    if not (folder / RUN).exists():
        raise SettingError(f"{folder} is no run folder; --data KIND:PATH says which pictures to choose by")
    return held_out_samples(folder, names)


def _write(folder: Path, trial: "Trial", choice: "Choice", values: "Float64Array") -> None:
    from dataclasses import asdict

    from mldfr.artifacts import Selection
    from mldfr.core.json_files import write_json
    from mldfr.evaluation.selection_trial import Way
    from mldfr.reports.page.curves import draw_curves

    pyramids = [", ".join(f"{scale:g}" for scale in pyramid) for pyramid in trial.rules.pyramids]
    panels = {
        _called(way, trial.rules): {f"scales {pyramid}": values[p, m].tolist() for p, pyramid in enumerate(pyramids)}
        for m, way in enumerate(trial.rules.ways)
    }
    best = _called(Way(choice.normalizer, choice.instances, choice.refine), trial.rules)
    content = Selection.model_validate({**asdict(choice), "thresholds": trial.rules.thresholds, "values": panels})
    write_json(folder / SELECTION, content.model_dump(mode="json"))
    draw_curves(
        (folder / SELECTION).with_suffix(".png"),
        panels,
        trial.rules.thresholds,
        title=f"{choice.criterion} on {choice.pictures} held-out pictures",
        x_label="threshold",
        y_label=choice.criterion,
        mark=(best, choice.threshold, choice.value),
    )


def _called(way: "Way", rules: "Rules") -> str:
    """The normalizer, and what else was tried in several ways."""
    others = [(way.instances, rules.instances), (way.refine, rules.refinements)]
    return ", ".join([way.normalizer, *(name for name, tried in others if len(tried) > 1)])
