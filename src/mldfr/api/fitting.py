"""`fit`: a map that learns from pictures without boxes where foreground is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mldfr.api.notebook import html_table, names
from mldfr.api.progress import SILENT, Progress
from mldfr.api.swapped import refuse_swapped


@dataclass(frozen=True)
class FittedModel:
    """A model with a map that was fitted on pictures, by which it finds boxes from then on.

    Attributes:
        model: The model file.
        map: The map's name.
        pictures: On how many it was fitted.
        scales: At which they were looked at.
        unreadable: How many could not be read.
    """

    model: Path
    map: str
    pictures: int
    scales: tuple[float, ...]
    unreadable: int

    def _repr_html_(self) -> str:
        rows = [("pictures", f"{self.pictures:,}"), ("not readable", f"{self.unreadable:,}")]
        return html_table(f"{self.map} in {self.model}", ("fitted on", ""), rows)


def fit(
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path,
    map: str = "foreground",
    split: str | Sequence[str] = (),
    images: str | Path | None = None,
    pictures: int | None = None,
    per_class: bool = False,
    device: str = "auto",
    progress: Progress = SILENT,
) -> FittedModel:
    """Fit a map on pictures without boxes, and write a model that finds boxes by it (`mldfr fit`).

    Args:
        model: A name of `mldfr list models`, a model file or a run folder.
        data: A folder of pictures, or `KIND:PATH`. Labels are used where they are of the model's classes.
        out: The model file to write, which ends in .safetensors.
        map: A map that is fitted: foreground, foreground_cam, colocalization, psol.
        split: Splits of a data set; train where there is one, else all, when left out.
        images: Where the pictures of wsol data are, if not beside it.
        pictures: At most so many, drawn at random; as many as the map wants when left out.
        per_class: Each class has a map of its own, where a map can be had so; needs labels.
        device: auto, cpu, cuda, ...
        progress: Told how it goes, and of each picture that cannot be read.

    Raises:
        MldfrError: No such model, data or map, or pictures that say nothing.

    Example:
        `mldfr.api.fit("imagenet", "photos", out="photos.safetensors").pictures`
    """
    refuse_swapped("fit", str(model), str(data))
    from mldfr.core.errors import SettingError
    from mldfr.maps.base import fitted_map

    fitted_map(map)  # refuses what is not fitted
    file, folder = Path(out), None if images is None else Path(images)
    if file.suffix != ".safetensors":
        raise SettingError(f"--out {file}: expected a file that ends in .safetensors")
    from mldfr.annotation.listing import list_pictures
    from mldfr.deployment.loading import load
    from mldfr.localizer.fitting import fit_map, suggested

    localizer = load(model, device=device)
    network = localizer.network
    classes = localizer.card.class_names
    listing = list_pictures(str(data), classes, images=folder, splits=_splits(str(data), split, folder))
    known = not listing.own_classes
    if per_class and not (known and any(item.labels for item in listing.items)):
        raise SettingError("--per-class needs labels of the model's classes, and the data has none")
    unreadable = 0

    def note(error: Exception) -> None:
        nonlocal unreadable
        unreadable += 1
        progress.warn(str(error))

    facts = fit_map(
        network,
        map,
        [(item.path, item.labels if known else ()) for item in listing.items],
        per_class=per_class,
        most=pictures,
        follow=lambda seen, total: progress.follow(seen, "fitted on", total=total, goes_on=False),
        report=note,
    )
    localization = suggested(localizer.card, map)
    localizer.card = localizer.card.model_copy(update={"localization": localization})
    file.parent.mkdir(parents=True, exist_ok=True)
    localizer.save(file)
    return FittedModel(file, map, facts.pictures, facts.scales, unreadable)


def _splits(source: str, split: str | Sequence[str], images: Path | None) -> tuple[str, ...]:
    """The splits that are named, or `train` where the data has it."""
    from mldfr.data import READERS, open_data

    wanted = tuple(filter(None, names(split)))
    if wanted or source.partition(":")[0] not in READERS or ":" not in source:
        return wanted
    return ("train",) if "train" in open_data(source, images=images).splits else ()
