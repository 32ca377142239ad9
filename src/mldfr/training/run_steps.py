"""How every run begins and ends, whatever it does in between."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mldfr.artifacts import RUN, RunFacts, RunSplit
from mldfr.core.text import one_line, plain
from mldfr.core.versions import installed_versions
from mldfr.data.class_names import some
from mldfr.exports.checks import faults_of_classes
from mldfr.networks.model_file import MODEL_FILE
from mldfr.networks.network import LocalizationNetwork
from mldfr.training import run_folder
from mldfr.training.held_out import held_out_accuracy
from mldfr.training.prepare import Material
from mldfr.training.recipe import Recipe, differences
from mldfr.training.run_folder import Epoch, RunError

PACKAGES = ("mldfr", "torch", "torchvision", "timm", "lightning-fabric", "numpy", "pillow")


def enter(
    folder: Path, recipe: Recipe, material: Material, *, source: str, device: torch.device, processes: int, resume: bool
) -> None:
    """Begin a run folder, or make sure that the run in it is this one.

    Raises:
        RunError: Another run is in the folder.
    """
    facts = RunFacts(
        data=source,
        splits=tuple(material.splits),
        classes=material.classes,
        device=device.type,
        processes=processes,
        threads=torch.get_num_threads(),
        versions=installed_versions(PACKAGES),
    )
    split = RunSplit(
        train=tuple(example.id for example in material.train),
        held_out=tuple(sample.id for sample in material.held_out),
    )
    if not resume or not (folder / RUN).exists():
        run_folder.begin(folder, recipe, facts, split)
        return
    known_recipe, known, known_split = run_folder.read_run(folder)
    if differing := differences(known_recipe, recipe):
        raise RunError(f"{folder}: was begun with another recipe; then and now differ in {', '.join(differing)}")
    if known.classes is not None and known.classes != facts.classes:
        raise RunError(f"{folder}: was begun with other classes: {_what_differs(known.classes, material.classes)}")
    if known_split != split:
        raise RunError(f"{folder}: was begun with other pictures or another split of them")


def _what_differs(then: Sequence[str], now: Sequence[str]) -> str:
    """Which classes are new and which are gone; of the same ones the order that they had."""
    new, gone = ([name for name in one if name not in other] for one, other in ((now, then), (then, now)))
    told = [f"{what}: {some(names, 5)}" for what, names in (("new", new), ("gone", gone)) if names]
    return "; ".join(told) or f"the same in another order: {some(then, 5)}"


def warnings_of_classes(material: Material) -> Iterator[str]:
    """What a user should know of the classes before time passes."""
    empty = [name for name, count in zip(material.classes, material.per_class(), strict=True) if not count]
    if empty:
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        yield f"there is nothing to learn these classes from: {one_line(', '.join(empty[:5]))}{more}"
    if faults := [f"{name!r}, {fault}" for name, fault in faults_of_classes(material.classes).items()]:
        more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
        yield f"`mldfr annotate` will refuse these class names, which no format holds: {'; '.join(faults[:5])}{more}"


def finish(
    network: LocalizationNetwork,
    folder: Path,
    recipe: Recipe,
    material: Material,
    *,
    source: str,
    history: Sequence[Epoch],
    probed: Mapping[str, Any] | None = None,
) -> None:
    """Try the trained network on held-out pictures, and write it with what is known of it.

    Args:
        network: In eval mode.
        folder, recipe, material, source: Of the run.
        history: Its epochs.
        probed: How a linear head on prepared features did in cross-validation, where there was one.

    Raises:
        WriteError: There is no room, or the place cannot be written to.
    """
    facts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "data": source,
        "last_epoch": asdict(history[-1]),
    }
    if probed:
        facts["cross_validation"] = dict(probed)
    if tried := held_out_accuracy(network, material.held_out):
        facts["held_out"] = tried.model_dump()
    network.card = network.card.model_copy(update={"training": plain(facts)})
    network.save(folder / MODEL_FILE)
