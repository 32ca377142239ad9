"""`select`: map, pyramid, normaliser and threshold, chosen on held-out pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldfr.api.notebook import names
from mldfr.api.progress import SILENT, Progress
from mldfr.artifacts import RUN, SELECTION, HeldOutBoxes, Selection, SelectionComparison
from mldfr.core.errors import FileError, SettingError

if TYPE_CHECKING:
    from mldfr.core.types import Sample
    from mldfr.data.sizes import SizeError
    from mldfr.evaluation.selection import Choice
    from mldfr.evaluation.selection_rules import Rules, Way
    from mldfr.evaluation.selection_trial import Trial
    from mldfr.images import ImageError
    from mldfr.localizer.localizer import Localizer
    from mldfr.networks.card import Card, Localization

FEW = 30
"""From fewer pictures a card is not changed unless that is asked for."""
BEFORE = "before_select"
"""Where the `training` of a card keeps what `select` replaced, the last of it last."""


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
        written: Whether the card was changed; it is not where pictures are few, or where it had this rule.
        held_out: How the model's boxes do from then on beside those without training; None where pictures are too few.
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
    written: bool
    held_out: HeldOutBoxes | None

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
    few: bool = False,
    compare: bool = True,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Selected:
    """Choose map, pyramid, normaliser and threshold, and write them into the model's card (`mldfr select`).

    The card's rule is kept unless another is better beyond chance. `selection.json` and `selection.png` are written
    beside the model. `undo_select` gives the card back what it had.

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
        few: Whether the card may be changed by fewer than 30 pictures.
        compare: Whether the model's boxes in at most 60 of the pictures are compared with those without training.
        device: auto, cpu, cuda, ...
        progress: Told what a user should know, and of each picture that cannot be read.

    Raises:
        MldfrError: No such model or data, no pictures, or a criterion that they do not allow.

    Example:
        `mldfr.select("runs/mine").threshold`
    """
    folder, file = _place(model)
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
        draw_sample(samples, images, boxed=CRITERIA[name].needs_boxes),
        name,
        maps=names(map) if map else None,
        instances=ways,
        refinements=refinements,
        report=lambda error: _note(error, others, progress),
        follow=lambda found, total: progress.follow(found, "looked at", total=total, goes_on=False),
    )
    if others and CRITERIA[name].needs_boxes:
        progress.warn(summed_up(others))
    assert choice.comparison is not None
    rule, own = choice.rule, localizer.card.localization
    chosen = own.changed(map=rule.look.map, scales=rule.look.scales, threshold=rule.threshold, **rule.way._asdict())
    enough = few or trial.pictures >= FEW
    if chosen != own and not enough:
        progress.warn(f"{trial.pictures} pictures are few to choose by, so the card stays as it is; --few changes it")
    if written := chosen != own and enough:
        localizer.card = _changed(localizer.card, chosen)
    boxes = _boxes(localizer, samples, progress) if compare else None
    stored = _write(folder / SELECTION, trial, choice, written=written or chosen == own, held_out=boxes)
    if written:
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
        written=written,
        held_out=boxes,
    )


def undo_select(model: str | Path) -> "Localization":
    """Give a model's card back what it had before the last `select` that changed it (`mldfr select --undo`).

    Args:
        model: A run folder or a model file.

    Returns:
        What the card says now of how boxes are drawn.

    Raises:
        MldfrError: No such model, or one that `select` has not changed.

    Example:
        `mldfr.api.undo_select("runs/mine").threshold`
    """
    _, file = _place(model)
    from mldfr.networks.card import Localization
    from mldfr.networks.network import LocalizationNetwork

    network = LocalizationNetwork.load(file)
    training = dict(network.card.training)
    *older, last = training.pop(BEFORE, None) or [None]
    if last is None:
        raise SettingError(f"{file}: select has changed nothing in this model's card that could be undone")
    if older:
        training[BEFORE] = older
    found = Localization.model_validate(last)
    network.card = network.card.model_copy(update={"localization": found, "training": training})
    network.save(file)
    return found


def _changed(card: "Card", chosen: "Localization") -> "Card":
    """A card with another rule, which remembers the one that it had."""
    known = [*card.training.get(BEFORE, ()), card.localization.model_dump(mode="json")]
    return card.model_copy(update={"localization": chosen, "training": {**card.training, BEFORE: known}})


def _place(model: str | Path) -> tuple[Path, Path]:
    """Folder and file of a model.

    Raises:
        FileError: There is none.
        SettingError: The name of a model that has no file.
    """
    from mldfr.networks.model_file import MODEL_FILE

    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    file = folder / MODEL_FILE if Path(model).is_dir() else Path(model)
    if not file.is_file():
        from mldfr.networks.zoo import MODELS

        if str(model) in MODELS:
            raise SettingError(
                f"{model}: has no file that the choice could be written into; name a model file or a run"
            )
        raise FileError(f"{file}: no such model; training writes it when it is done")
    return folder, file


def _boxes(localizer: "Localizer", samples: "list[Sample]", progress: Progress) -> HeldOutBoxes | None:
    """How boxes by the card do on some of the pictures, beside those without training."""
    from mldfr.evaluation.held_out_boxes import held_out_boxes

    def follow(seen: "Iterator[Any]", total: int) -> "Iterator[Any]":
        return progress.follow(seen, "boxes compared", total=total, goes_on=False)

    return held_out_boxes(localizer.network, samples, follow=follow)


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
        samples = list(found.split_for(chosen, names))
        kept = [sample for sample in samples if sample.measurable]
        if unchecked := len(samples) - len(kept):
            progress.warn(f"{unchecked:,} of {len(samples):,} pictures are not checked: their boxes are left out")
        return kept or samples  # of which nothing is known but labels
    if split is not None:
        raise SettingError("--split is of --data; without it the pictures are those that the run held out")
    if not (folder / RUN).exists():
        raise SettingError(f"{folder} is no run folder; --data KIND:PATH says which pictures to choose by")
    return held_out_samples(folder, names)


def _write(file: Path, trial: "Trial", choice: "Choice", *, written: bool, held_out: HeldOutBoxes | None) -> Selection:
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
            "written": written,
            "held_out": held_out,
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
