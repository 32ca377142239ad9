"""From what a user names to what is evaluated, on what, and how; everything that can be wrong is said here."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mldfr.artifacts import MapsFacts
from mldfr.boxes.drawing import THRESHOLD, BoxSettings
from mldfr.core.errors import SettingError
from mldfr.core.types import Sample
from mldfr.core.versions import installed_versions
from mldfr.data import DataError, DataSet, open_data
from mldfr.data.class_names import ClassMatch, match_classes, told_apart
from mldfr.data.coco import CocoIds, read_ids
from mldfr.deployment.loading import load
from mldfr.evaluation.drawn_boxes import DrawnBoxes
from mldfr.evaluation.predicted_boxes import classes_with, read_predictions
from mldfr.evaluation.protocols import AS_USED, PROTOCOLS
from mldfr.evaluation.record import Rules
from mldfr.evaluation.run import Sources, check_truth, without_classes
from mldfr.evaluation.store import MapStore
from mldfr.images.junk import without_junk
from mldfr.localizer.closer_looks import looking_closer
from mldfr.localizer.stored_maps import StoredMaps, is_map_folder
from mldfr.maps import DEFAULT
from mldfr.networks import card

VERSIONED = ("mldfr", "torch", "torchvision", "timm", "numpy", "numba", "opencv-python-headless", "faster-coco-eval")
USUAL = ("test", "val")
"""The split that is evaluated where none is named."""


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        data: `KIND:PATH`.
        split: Which of its splits; None is `test`, or the only one.
        images: Where the pictures of wsol data are, if not beside it.
        protocols: Names.
        rules: From pictures to boxes; what is left out is the model's own, or as it is stored beside the maps.
            Only the protocol `as_used` takes more of how boxes are drawn than normalizer and threshold.
        class_agnostic: Whether the most probable class stands for every object.
    """

    data: str
    split: str | None = None
    images: Path | None = None
    protocols: tuple[str, ...] = PROTOCOLS.names()
    rules: card.Rules = field(default_factory=card.Rules)
    class_agnostic: bool = False

    @property
    def box_settings(self) -> dict[str, Any]:
        """What is asked for of `BoxSettings`."""
        told = self.rules.items()
        return {name: value for name, value in told if name in BoxSettings.model_fields and value is not None}


@dataclass(frozen=True)
class Plan:
    """What is evaluated, on what, and how.

    Attributes:
        samples: The pictures, with labels in the numbers of `classes`.
        classes: K names.
        sources: Where score maps come from.
        rules: How they are judged.
        setting: All that the numbers depend on, as plain values.
        problems: What the reader of the data found, and how many pictures are left out.
        names: The set's own name of each class that it has, by the number in `classes`.
        notes: What a user should know of how split and classes were chosen.
    """

    samples: Sequence[Sample]
    classes: tuple[str, ...]
    sources: Sources
    rules: Rules
    setting: dict[str, Any]
    problems: tuple[str, ...]
    names: Mapping[int, str]
    notes: tuple[str, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the pictures."""
        return tuple(sample.id for sample in self.samples)


def plan_model(
    request: Request,
    model: str,
    *,
    save_maps: Path | None = None,
    device: str = "auto",
    runtime: str | None = None,
    batch_size: int = 1,
) -> Plan:
    """Evaluate a model.

    Args:
        request: What, and how.
        model: What `mldfr.load` takes.
        save_maps: A folder that keeps the maps.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model.
        batch_size: Pictures to look at together.

    Raises:
        ValueError: Data, model or rules that are not so, or do not belong together.
    """
    folder = Path(model)
    maps = without_junk(folder.glob("*.npy"), folder) if folder.is_dir() else iter(())
    if is_map_folder(folder) or next(maps, None) is not None:
        raise DataError(f"{model}: holds score maps and no model; they are evaluated with --score-maps {model}")
    data = _measurable(request, open_data(request.data, images=request.images))
    localizer = load(model, device=device, runtime=runtime)
    localization = localizer.card.localization.changed(**request.rules)
    source = localizer.source
    if isinstance(source, StoredMaps):
        made = f", {source.fitted}" if source.fitted else ""
        raise DataError(f"{model}: holds the score maps of annotations; evaluate the model that made them{made}")
    source = looking_closer(source, localization)
    source.activator(localization.scales, localization.map)  # says what is wrong with them
    facts = {
        "model": model,
        "sha256": source.fingerprint(),
        **({"computed": source.computed} if source.computed else {}),
        "architecture": localizer.card.architecture.model_dump(),
        "preprocessing": localizer.card.preprocessing.model_dump(),
        "scales": list(localization.scales),
        **({} if localization.map == DEFAULT else {"map": localization.map}),
        **({"closer": localization.closer} if localization.closer else {}),
        "class_agnostic": request.class_agnostic,
    }
    multi_label = data.multi_label and not request.class_agnostic
    if multi_label and not localizer.card.multi_label:
        raise DataError(f"{request.data}: pictures have several labels, and the model is for one; try --class-agnostic")
    used = localization.boxes
    rules = Rules(request.protocols, used.normalizer, used.threshold, multi_label, used)
    sources = Sources(
        source,
        localization.scales,
        localization.map,
        class_agnostic=request.class_agnostic,
        batch_size=batch_size,
    )
    plan = _plan(request, data, localizer.card.class_names, sources, rules, facts)
    if save_maps is None:
        return plan
    about = {**facts, **{key: plan.setting[key] for key in ("data", "split", "annotations", "versions")}}
    about |= {"classes": localizer.card.class_names, "rules": used.model_dump()}
    store = MapStore.create(save_maps, MapsFacts.model_validate(about))
    return replace(plan, sources=replace(sources, store=store))


def plan_maps(request: Request, folder: Path) -> Plan:
    """Evaluate stored maps, of our own or of any other tool.

    Args:
        request: What, and how. Our own maps come with the normalizer and threshold that they were judged with. Those
            of others are taken as each protocol has it, wsolevaluation as they are, and with the paper's threshold.
        folder: Where they are; see `mldfr.evaluation.store`.

    Raises:
        ValueError: Data, maps or rules that are not so, or do not belong together.
    """
    store = MapStore(folder)
    data = _measurable(request, _open_without_pictures(request))
    about = store.facts or MapsFacts()
    if about.class_agnostic not in (None, request.class_agnostic):
        raise DataError(f"{folder}: its maps are class-agnostic, or --class-agnostic is, and the other is not")
    told = {**(about.rules or {}), **request.box_settings}
    used = card.Localization().changed(**told).boxes
    multi_label = data.multi_label and not request.class_agnostic
    rules = Rules(request.protocols, told.get("normalizer"), used.threshold, multi_label, used)
    known = about.to_json()
    facts = {key: known.get(key) for key in ("model", "sha256", "architecture", "preprocessing", "scales")}
    facts |= {key: known[key] for key in ("map", "closer", "computed") if known.get(key)}
    facts |= {"score_maps": str(folder), "class_agnostic": request.class_agnostic}
    sources = Sources(None, store=store, class_agnostic=request.class_agnostic)
    plan = _plan(request, data, about.classes or data.classes, sources, rules, facts)
    if store.facts is None:
        plan.setting["maps"] = store.digest(plan.samples)
    return plan


def plan_predictions(request: Request, file: Path) -> Plan:
    """Evaluate boxes that are already drawn.

    Args:
        request: What; nothing of how boxes are drawn.
        file: Lines as `mldfr locate` writes them, or COCO results.

    Raises:
        MldfrError: Data or boxes that are not so, or do not belong together.
    """
    if request.class_agnostic or any(value is not None for value in request.rules.values()):
        raise SettingError("predicted boxes are taken as they are: no option changes how they are drawn")
    if request.protocols != (AS_USED.name,):
        got = ", ".join(request.protocols)
        raise SettingError(f"predicted boxes are measured by the protocol {AS_USED.name} alone; got {got}")
    data = _measurable(request, _open_without_pictures(request))
    kind, _, path = request.data.partition(":")
    split = data.choose_split(request.split, *USUAL)[0]
    ids = read_ids(Path(path)) if kind == "coco" else CocoIds(dict(enumerate(data.classes)), {})
    others = {key for name, known in ids.pictures.items() if name != split for key in known}
    found = read_predictions(file, categories=ids.categories, pictures=ids.pictures.get(split, {}), others=others)
    classes = classes_with(data.classes, found.images)
    drawn = DrawnBoxes(found.images, data.split_for(split, classes), classes, elsewhere=found.elsewhere)
    rules = Rules(
        request.protocols, None, THRESHOLD, data.multi_label, scored=True, ranks=0 if data.multi_label else drawn.ranks
    )
    facts = {"predictions": str(file), "predictions_sha256": found.digest, "class_agnostic": False}
    unused = {"normalizer": None, "threshold": None, "as_used": None}
    plan = _plan(request, data, classes, Sources(None, records=drawn.record), rules, {**facts, **unused})
    return replace(plan, notes=(*plan.notes, *drawn.notes()))


def _open_without_pictures(request: Request) -> DataSet:
    """The data; maps do not need the pictures of wsolevaluation's metadata."""
    try:
        return open_data(request.data, images=request.images)
    except DataError:
        if request.images is not None or not request.data.startswith("wsol:"):
            raise
        return open_data(request.data, images=Path(request.data.partition(":")[2]))


def _measurable(request: Request, data: DataSet) -> DataSet:
    """The data, its split without pictures whose boxes a model found and nobody has checked.

    Raises:
        DataError: No such split, or it has no other pictures.
    """
    split, _ = data.choose_split(request.split, *USUAL)
    members = data.split(split)
    kept = tuple(sample for sample in members if sample.measurable)
    if len(kept) == len(members):
        return data
    if not kept:
        raise DataError(
            f"{request.data}: boxes have scores, so a model found them, and no picture of split {split!r} is checked: "
            "check some in mldfr serve, or take the scores out of boxes that people drew"
        )
    return replace(data, splits={**data.splits, split: kept})


def _plan(
    request: Request, data: DataSet, classes: tuple[str, ...], sources: Sources, rules: Rules, facts: dict[str, Any]
) -> Plan:
    split, note = data.choose_split(request.split, *USUAL)
    if request.class_agnostic:
        classes, samples, match = ("object",), without_classes(data.split(split)), ClassMatch((), "")
    else:
        match = match_classes(data.classes, classes)
        samples = list(data.split_for(split, classes))
    check_truth(samples)
    names = dict(zip(match.numbers, data.classes, strict=False))
    problems = list(data.problems)
    if left_out := len(data.split(split)) - len(samples):
        problems.append(f"{left_out} pictures without objects are left out")
    setting = {
        "data": request.data,
        "split": split,
        "images": None if request.images is None else str(request.images),
        "annotations": _annotations(samples, names),
        "protocols": list(rules.protocols),
        "normalizer": rules.normalizer,
        "threshold": rules.threshold,
        "multi_label": rules.multi_label,
        **({"as_used": used.model_dump()} if (used := _used(rules)) else {}),
        **({"class_match": match.note} if match.note else {}),
        **facts,
        "versions": installed_versions(VERSIONED),
    }
    notes = tuple(filter(None, (note, match.note)))
    return Plan(samples, told_apart(classes), sources, rules, setting, tuple(problems), names, notes)


def _used(rules: Rules) -> BoxSettings | None:
    return rules.settings(AS_USED) if AS_USED.name in rules.protocols else None


def _annotations(samples: Sequence[Sample], names: Mapping[int, str]) -> str:
    """SHA-256 of what the set says of its pictures, so that nothing goes on with the records of other boxes.

    Classes go in under the set's own names, whatever numbers a model has for them.
    """
    digest = hashlib.sha256()
    for each in samples:
        masks = [_content(path) for path in (*each.masks, *filter(None, [each.ignore]))]
        labels = [names.get(label, label) for label in each.labels]
        objects = [(names.get(item.label, item.label), *item[1:]) for item in each.objects]
        known = [each.id, sorted(map(str, labels)), objects, masks, each.size]
        digest.update(json.dumps(known).encode())
    return digest.hexdigest()


def _content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
