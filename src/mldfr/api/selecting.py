"""`select`: map, pyramid, normaliser and threshold, chosen on held-out pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mldfr.api.notebook import names
from mldfr.api.progress import SILENT, Progress
from mldfr.artifacts import RUN, SELECTION, Selection, SelectionComparison
from mldfr.core.errors import FileError, SettingError

if TYPE_CHECKING:
    from mldfr.core.types import Sample
    from mldfr.data.sizes import SizeError
    from mldfr.evaluation.selection import Choice
    from mldfr.evaluation.selection_rules import Rules, Way
    from mldfr.evaluation.selection_trial import Trial
    from mldfr.images import ImageError
    from mldfr.networks.card import Localization

FEW = 30


@dataclass(frozen=True)
class Selected:
    """The rule that was chosen, which the model's card has from then on.

    Attributes:
        model: The model file.
        criterion: By what it was chosen.
        map, scales, normalizer, threshold, instances, refine: The rule.
        value: Its worth, at most 1.
        pictures: How many it was tried on.
        values, chart: Files with the worth of every rule, as JSON and drawn.
        comparison: How sure the choice is: the rule before, the best of the others, their difference and its interval.
    """

    model: Path
    criterion: str
    map: str
    scales: tuple[float, ...]
    normalizer: str
    threshold: float | str
    value: float
    pictures: int
    values: Path
    chart: Path
    instances: str
    refine: str
    comparison: SelectionComparison

    def _repr_png_(self) -> bytes:
        return self.chart.read_bytes()


def select(
    model: str | Path,
    data: str | None = None,
    *,
    split: str | None = None,
    criterion: str | None = None,
    map: str | Sequence[str] | None = None,
    instances: str | Sequence[str] | None = None,
    refine: str | Sequence[str] | None = None,
    images: int = 500,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Selected:
    """Choose map, pyramid, normaliser and threshold, and write them into the model's card (`mldfr select`).

    The card's rule is kept unless another is better beyond chance. `selection.json` and `selection.png` are written
    beside the model.

    Args:
        model: A run folder; or a model file, with `data`.
        data: `KIND:PATH`, other pictures than those that the run held out.
        split: Which split of `data`; train or trainval, or the only one, when left out.
        criterion: A name of `mldfr list criteria`; corloc where there are boxes when left out.
        map: Maps to try, in a list or with commas; left out, all that the model can have, or its own alone where the
            criterion cannot tell which of two maps is better.
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
    from mldfr.evaluation.selection import CRITERIA, draw_sample, has_boxes
    from mldfr.evaluation.selection_run import select_rule

    name = CRITERIA.check(criterion or ("corloc" if has_boxes(samples) else "repeated_contrast"))
    if CRITERIA[name].needs_boxes and not has_boxes(samples):
        raise SettingError(f"criterion {name} needs boxes, and the pictures have none; take repeated_contrast")
    from mldfr.deployment.loading import load

    localizer = load(file, device=device)
    ways, refinements = _drawings(localizer.card.localization, instances, refine)
    others: list[SizeError] = []
    trial, choice = select_rule(
        localizer.network.fused(),
        draw_sample(samples, images),
        name,
        maps=names(map) if map else None,
        instances=ways,
        refinements=refinements,
        report=lambda error: _note(error, others, progress),
    )
    if others and CRITERIA[name].needs_boxes:
        progress.warn(summed_up(others))
    if trial.pictures < FEW:
        progress.warn(f"warning: {trial.pictures} pictures are few to choose by; chance has a large part")
    assert choice.comparison is not None
    stored = _write(folder / SELECTION, trial, choice)
    chosen = localizer.card.localization.changed(
        map=stored.map,
        scales=stored.scales,
        threshold=stored.threshold,
        normalizer=stored.normalizer,
        instances=stored.instances,
        refine=stored.refine,
    )
    localizer.card = localizer.card.model_copy(update={"localization": chosen})
    localizer.save(file)
    return Selected(
        model=file,
        criterion=stored.criterion,
        map=stored.map,
        scales=stored.scales,
        normalizer=stored.normalizer,
        threshold=stored.threshold,
        value=stored.value,
        pictures=stored.pictures,
        values=folder / SELECTION,
        chart=(folder / SELECTION).with_suffix(".png"),
        instances=stored.instances,
        refine=stored.refine,
        comparison=choice.comparison,
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


def _write(file: Path, trial: "Trial", choice: "Choice") -> Selection:
    """Write and draw the worth of every rule, and what was chosen."""
    from mldfr.core.json_files import write_json
    from mldfr.reports.page.curves import draw_curves

    rules, values = trial.rules, choice.values
    panels: dict[str, dict[str, list[float]]] = {}
    for (p, look), (m, way) in product(enumerate(rules.looks), enumerate(rules.ways)):
        pyramid = ", ".join(f"{scale:g}" for scale in look.scales)
        panels.setdefault(_called(look.map, way, rules), {})[f"scales {pyramid}"] = values[p, m].tolist()
    content = Selection.model_validate(
        {
            **choice.rule.told(choice.value).model_dump(),
            "criterion": choice.criterion,
            "pictures": choice.pictures,
            "thresholds": rules.thresholds,
            "values": panels,
            "comparison": choice.comparison,
        }
    )
    write_json(file, content.model_dump(mode="json"))
    draw_curves(
        file.with_suffix(".png"),
        panels,
        rules.thresholds,
        title=f"{choice.criterion} on {choice.pictures} held-out pictures",
        x_label="threshold",
        y_label=choice.criterion,
        mark=(_called(content.map, choice.rule.way, rules), content.threshold, content.value),
    )
    return content


def _called(map_name: str, way: "Way", rules: "Rules") -> str:
    """The normalizer, and what else was tried in several ways."""
    others = [(way.instances, rules.instances), (way.refine, rules.refinements)]
    first = [map_name] if len(rules.maps) > 1 else []
    return ", ".join([*first, way.normalizer, *(name for name, tried in others if len(tried) > 1)])
