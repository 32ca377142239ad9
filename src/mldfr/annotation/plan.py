"""From what a user asks for to what is done; everything that can be wrong is said before the first picture is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mldfr.annotation.annotate_image import Work
from mldfr.annotation.earlier_corrections import earlier_corrections
from mldfr.annotation.fitted_model import fitted_localizer, needs_fit, wanted_localization
from mldfr.annotation.listing import Item, Labels, Listing, list_pictures, source_of
from mldfr.annotation.output_files import check_unclaimed
from mldfr.artifacts import CorrectionLine
from mldfr.core.errors import SettingError
from mldfr.core.versions import OF_BOXES, installed_versions
from mldfr.data import READERS, DataError
from mldfr.data.base import check_outside
from mldfr.data.class_names import told_apart
from mldfr.deployment.loading import load
from mldfr.exports import FORMATS, MAP_FORMATS, ExportError
from mldfr.exports.checks import Places, check_classes
from mldfr.exports.segmentation import MASKS
from mldfr.jobs.shard import Shard
from mldfr.localizer.fitting import Follow
from mldfr.localizer.localizer import Localizer
from mldfr.maps import DEFAULT
from mldfr.networks.card import Localization, Rules
from mldfr.networks.model_file import MODEL_FILE

LONGEST_NAME = 240
"""Bytes: file systems take 255, of which a class's number and a suffix need some."""
SHOWN = 5
"""Names that a message has; of all others it has the number."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        model: A name, a model file or a run folder.
        data: A folder of pictures, or `KIND:PATH`.
        out: Where annotations go, and the journal.
        formats: Names of `FORMATS` and `MAP_FORMATS`.
        images: Where the pictures of wsol data are, if not beside it.
        splits: Which splits of a data set; all when empty.
        labels: Whether the labels of the data say which classes to look for, or the model; None is where known.
        rules: From maps to boxes; what is left out is the model's own.
        boxes: All boxes of a class, or only that around the most pixels.
        shard: Which part of the work.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model; None where there is none, or for the usual one.
        batch_size: Pictures to look at together.
        masks: A name of `MASKS`; None for boxes alone.
        corrections: Other annotations of the same pictures, whose corrections count here too.
    """

    model: str
    data: str
    out: Path
    formats: tuple[str, ...]
    images: Path | None
    splits: tuple[str, ...]
    labels: Labels | None
    rules: Rules
    boxes: Literal["all", "largest"]
    shard: Shard
    device: str
    runtime: str | None
    batch_size: int
    masks: str | None = None
    corrections: Path | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """What is done.

    Attributes:
        localizer: What finds boxes.
        listing: All pictures.
        work: What is done with each.
        setting: All that the annotations depend on, as plain values.
        formats: Of annotation files.
        model: What `mldfr.load` takes, for other processes.
        corrections: Made in other annotations, of pictures that are listed, and of others that may come.
    """

    localizer: Localizer
    listing: Listing
    work: Work
    setting: dict[str, Any]
    formats: tuple[str, ...]
    model: str
    corrections: tuple[CorrectionLine, ...] = ()


def make_plan(
    request: Request,
    *,
    listed: Callable[[Listing, str], None] = lambda listing, map_name: None,
    follow: Follow = lambda seen, total: seen,
) -> Plan:
    """Open model and data, and fit the map on the pictures where it has to be.

    Args:
        request: What is asked for.
        listed: Told of the pictures and of the map as soon as all that is asked for is checked, before fitting.
        follow: Of fitting, as `mldfr.localizer.fitting.fit_map` has it.

    Raises:
        SettingError: A model, data, formats or rules that are not so, or do not belong together.
        DataError: `out` lies inside the data, or has files of somebody else under names that are written.
    """
    formats, maps = split_formats(request.formats)
    masks = MASKS.check(request.masks) if request.masks else ""
    localizer = load(request.model, device=request.device, runtime=request.runtime)
    listing = list_pictures(
        request.data,
        localizer.card.class_names,
        images=request.images,
        splits=request.splits,
        labels=request.labels,
    )
    classes = check_classes(told_apart(listing.own_classes or localizer.card.class_names))
    _check_outside(request)
    check_unclaimed(request.out)
    _check_names(request, listing, formats, maps)
    corrections = _corrections(request, listing, classes)
    localization = wanted_localization(localizer, request.rules, listing, request.out)
    model, to_fit = request.model, needs_fit(localizer, localization.map)
    _check_pyramid(localizer, localization, to_fit=to_fit)
    listed(listing, localization.map)
    if to_fit:
        model, out = str(request.out / MODEL_FILE), request.out
        localizer = fitted_localizer(localizer, localization.map, listing, out, device=request.device, follow=follow)
    own, root = listing.own_classes, listing.root
    work = Work(localization, request.boxes, maps, request.out, request.batch_size, own, root, masks)
    setting = _setting(request, localizer, listing, localization, classes)
    return Plan(work.localizer(localizer), listing, work, setting, formats, model, corrections)


def _corrections(request: Request, listing: Listing, classes: Sequence[str]) -> tuple[CorrectionLine, ...]:
    """Those of other annotations, some of them of pictures that are listed."""
    if (folder := request.corrections) is None:
        return ()
    if folder.resolve() == request.out.resolve():
        raise SettingError(f"--corrections {folder}: what is corrected in --out counts already; name another folder")
    lines, listed = earlier_corrections(folder, classes), {item.name for item in listing.items}
    if listed.isdisjoint(line.image for line in lines):
        raise DataError(
            f"{folder}: has corrections of {lines[0].image} and the like; none of them is in {request.data}"
        )
    return lines


def _check_pyramid(localizer: Localizer, localization: Localization, *, to_fit: bool) -> None:
    """Refuse scales or a map that the model cannot have, one that is still to be fitted among them."""
    if to_fit:
        _ = localizer.network  # without which nothing can be fitted
    localizer.source.activator(localization.scales, DEFAULT if to_fit else localization.map)


def _setting(
    request: Request, localizer: Localizer, listing: Listing, localization: Localization, classes: Sequence[str]
) -> dict[str, Any]:
    """All that annotations depend on."""
    setting = {
        "data": request.data,
        "model": request.model,
        "sha256": localizer.source.fingerprint(),
        "classes": list(classes),
        "multi_label": localizer.card.multi_label or bool(listing.own_classes),
        "localization": localization.model_dump(mode="json", exclude={"min_region"}),
        "labels": "given" if any(item.labels for item in listing.items) else "predicted",
        "boxes": request.boxes,
        "min_region": localization.min_region,
        "versions": installed_versions(OF_BOXES),
    }
    if request.masks:
        setting["masks"] = request.masks
    if localizer.source.computed is not None:
        setting["computed"] = localizer.source.computed
    return setting


def split_formats(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of annotation files and of score maps, each once.

    Raises:
        SettingError: A name that is neither.
    """
    wanted = tuple(dict.fromkeys(name.strip() for name in names))
    maps = tuple(name for name in wanted if name in MAP_FORMATS)
    formats = tuple(name for name in wanted if name not in MAP_FORMATS)
    for name in formats:
        if name not in FORMATS:
            known = ", ".join((*FORMATS, *MAP_FORMATS))
            raise SettingError(f"unknown annotation format {name!r}; known: {known}")
    return formats, maps


def _check_names(request: Request, listing: Listing, formats: Sequence[str], maps: Sequence[str]) -> None:
    """Refuse a collection without pictures, and names that a format cannot hold."""
    if not listing.items:
        why = "; ".join(f"{name}: {reason}" for name, reason in list(listing.failed.items())[:3])
        raise DataError(f"{request.data}: no pictures{why and f' ({why})'}")
    for name in formats:
        if FORMATS[name].by_stem:
            _check_stems(listing.items, name)
    if maps:
        _check_lengths(listing.items)


def _check_stems(items: Sequence[Item], name: str) -> None:
    """Refuse what the format would refuse after hours of work."""
    places, faults = Places(FORMATS[name]), {}
    for item in items:
        try:
            places.add(item.name)
        except ExportError as error:
            faults[item.name] = str(error)
    if faults:
        first, *others = faults
        more = f" (and {len(others):,} more: {', '.join(others[:SHOWN])})" if others else ""
        raise DataError(f"{name}: {faults[first]}{more}, or leave {name} out")


def _check_outside(request: Request) -> None:
    """Refuse to write inside of data that a reader will read again when the work goes on."""
    kind, colon, path = source_of(request.data, request.labels).partition(":")
    if colon and kind in READERS:
        check_outside(request.out, Path(path))


def _check_lengths(items: Sequence[Item]) -> None:
    for item in items:
        if len(PurePosixPath(item.name).name.encode()) > LONGEST_NAME:
            raise DataError(
                f"{item.path}: its score maps would have too long a name; rename it, or leave npy and png out"
            )
