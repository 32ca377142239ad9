"""`mldfr select`: pyramid, normaliser and threshold, chosen on held-out pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import FileError, SettingError

if TYPE_CHECKING:
    from mldfr.core.types import Float64Array, Sample
    from mldfr.data.sizes import SizeError
    from mldfr.evaluation.selection import Choice, Trial
    from mldfr.images import ImageError

SELECTION = "selection"
FEW = 30


def select(
    model: Annotated[str, typer.Argument(metavar="RUN|FILE", help="A run folder, or a model file with --data.")],
    data: Annotated[
        str | None, typer.Option(metavar="KIND:PATH", help="Other pictures than those the run held out.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which split of --data.", show_default="train or trainval, or the only one")
    ] = None,
    criterion: Annotated[
        str | None,
        typer.Option(
            help="A name of `mldfr list criteria`; corloc needs boxes, repeated_contrast none.",
            show_default="corloc where there are boxes",
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="At most so many pictures, drawn at random.")] = 500,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Choose pyramid, normaliser and threshold, write them into the model's card, and draw the curve.

    `mldfr locate` uses them from then on. `selection.json` and `selection.png` are written beside the model.
    """
    from mldfr.networks.network import MODEL_FILE

    folder = Path(model) if Path(model).is_dir() else Path(model).parent
    file = folder / MODEL_FILE if Path(model).is_dir() else Path(model)
    if not file.is_file():
        raise FileError(f"{file}: no such model; training writes it when it is done")
    samples = _pictures(folder, file, data, split)
    from mldfr.data.sizes import SizeError, summed_up
    from mldfr.evaluation.selection import CRITERIA, Rules, choose, draw_sample, has_boxes, try_rules

    name = CRITERIA.check(criterion or ("corloc" if has_boxes(samples) else "repeated_contrast"))
    if CRITERIA[name].needs_boxes and not has_boxes(samples):
        raise SettingError(f"criterion {name} needs boxes, and the pictures have none; take repeated_contrast")
    from mldfr.deployment.loading import load

    localizer = load(file, device=device)
    others: list[SizeError] = []
    trial = try_rules(
        localizer.network.fused(),
        draw_sample(samples, images),
        Rules().possible_for(localizer.network),
        views=CRITERIA[name].needs_views,
        report=lambda error: _note(error, others),
    )
    if others and CRITERIA[name].needs_boxes:
        typer.echo(f"mldfr: {summed_up(others)}", err=True)
    if trial.pictures < FEW:
        typer.echo(f"mldfr: warning: {trial.pictures} pictures are few to choose by; chance has a large part", err=True)
    choice, values = choose(trial, name), CRITERIA[name].worth(trial)
    _write(folder, trial, choice, values)
    rules = localizer.card.localization.changed(
        scales=choice.scales, threshold=choice.threshold, normalizer=choice.normalizer
    )
    localizer.card = localizer.card.model_copy(update={"localization": rules})
    localizer.save(file)
    scales = ", ".join(f"{scale:g}" for scale in choice.scales)
    typer.echo(
        f"{name} on {choice.pictures} pictures: {choice.value:.3f} with scales {scales}, normalizer "
        f"{choice.normalizer}, threshold {choice.threshold:g}; written into {file}"
    )
    typer.echo(f"all values in {folder / SELECTION}.json, drawn in {folder / SELECTION}.png", err=True)


def _note(error: "ImageError", others: "list[SizeError]") -> None:
    """Tell of a picture that cannot be read; those of another size are told together."""
    from mldfr.data.sizes import SizeError

    if isinstance(error, SizeError):
        others.append(error)
    else:
        typer.echo(f"mldfr: {error}", err=True)


def _pictures(folder: Path, file: Path, data: str | None, split: str | None) -> "list[Sample]":
    """The pictures that the run held out, or the split of the data that was named; labels in the model's numbers."""
    from mldfr.data import open_data
    from mldfr.data.class_names import match_classes
    from mldfr.networks.network import read_card
    from mldfr.training.prepare import USUAL, held_out_samples
    from mldfr.training.run_folder import RUN

    names = read_card(file).class_names
    if data is not None:
        found = open_data(data)
        chosen, note = found.choose_split(split, *USUAL)
        for each in filter(None, (note, match_classes(found.classes, names).note)):
            typer.echo(f"mldfr: {each}", err=True)
        return list(found.split_for(chosen, names))
    if split is not None:
        raise SettingError("--split is of --data; without it the pictures are those that the run held out")
    if not (folder / RUN).exists():
        raise SettingError(f"{folder} is no run folder; --data KIND:PATH says which pictures to choose by")
    return held_out_samples(folder, names)


def _write(folder: Path, trial: "Trial", choice: "Choice", values: "Float64Array") -> None:
    import json
    from dataclasses import asdict

    from mldfr.core.files import replacing
    from mldfr.reports.page.curves import draw_curves

    pyramids = [", ".join(f"{scale:g}" for scale in pyramid) for pyramid in trial.rules.pyramids]
    panels = {
        name: {f"scales {pyramid}": values[p, m].tolist() for p, pyramid in enumerate(pyramids)}
        for m, name in enumerate(trial.rules.normalizers)
    }
    content = {**asdict(choice), "thresholds": trial.rules.thresholds, "values": panels}
    with replacing(folder / f"{SELECTION}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw_curves(
        folder / f"{SELECTION}.png",
        panels,
        trial.rules.thresholds,
        title=f"{choice.criterion} on {choice.pictures} held-out pictures",
        x_label="threshold",
        y_label=choice.criterion,
        mark=(choice.normalizer, choice.threshold, choice.value),
    )
