"""`train`: from pictures with labels to a localizer."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldfr.api.notebook import html_table
from mldfr.api.progress import SILENT, Progress
from mldfr.artifacts import HELD_OUT, RUN, HeldOutBoxes
from mldfr.core.yaml_text import as_told

if TYPE_CHECKING:
    from mldfr.networks.network import LocalizationNetwork
    from mldfr.training.held_out import HeldOutAccuracy
    from mldfr.training.plan import Plan
    from mldfr.training.prepare import Material
    from mldfr.training.prepared_features import Row
    from mldfr.training.recipe import Recipe
    from mldfr.training.run_folder import Epoch

Settings = Mapping[str, Any] | Sequence[str]
"""Values of a recipe, such as `{"training.epochs": 10}`, or as the command line has them, `["training.epochs=10"]`."""


@dataclass(frozen=True)
class Trained:
    """A training run that is done.

    Attributes:
        folder: Its folder, which `mldfr.load`, `select` and `evaluate` take.
        model: The model file in it.
        epochs: How each epoch went.
        held_out: How the model does on pictures that were held out of training, where there are any.
        boxes: How its boxes do on some of them, beside boxes without training; None where they are too few,
            or the recipe has `localization.closer`.
    """

    folder: Path
    model: Path
    epochs: "tuple[Epoch, ...]" = field(repr=False)
    held_out: "HeldOutAccuracy | None" = None
    boxes: HeldOutBoxes | None = None

    def _repr_html_(self) -> str:
        rows = ((each.epoch, each.loss, 100 * each.top1, each.lr, each.images_per_second) for each in self.epochs)
        return html_table(str(self.model), ("epoch", "loss", "top-1 %", "learning rate", "pictures/s"), rows)


def train(
    data: str | None,
    out: str | Path,
    *,
    recipe: str | Path | None = None,
    settings: Settings = (),
    weights: str | None = None,
    device: str = "auto",
    resume: bool = False,
    compare: bool = True,
    progress: Progress = SILENT,
) -> Trained:
    """Train a localizer from image labels; no boxes, where the data has them, are learned from (`mldfr train`).

    How it goes is printed on standard error, and written into the run folder.

    Args:
        data: `KIND:PATH`, what to learn from; may be None with `resume`.
        out: The run folder, made if it is not there.
        recipe: A name of `mldfr list recipes`, or a file; finetune when left out.
        settings: Changed values of the recipe (`--set`), such as `{"training.epochs": 10}`.
        weights: What the network starts from: torchvision, embedded, a weights file, a run.
        device: auto, cpu, cuda, cuda:1, ...
        resume: Go on with the run that is in the folder.
        compare: Whether boxes in at most 60 held-out pictures are compared with those without training in the end.
        progress: Told what a user should know of the data, and where the run stands.

    Raises:
        MldfrError: A recipe, data, weights or folder that cannot be used, or a loss that is not finite any more.

    Example:
        `mldfr.train("folder:sorted", "runs/mine", settings={"training.epochs": 5}).model`
    """
    from mldfr.training.run_folder import RunError

    out = Path(out)
    if (out / RUN).exists() and not resume:
        raise RunError(f"{out}: already holds a run; go on with --resume, or name another folder")
    chosen, material, source = _asked(data, out, recipe, settings, weights, resume, progress)
    from mldfr.networks.model_file import MODEL_FILE
    from mldfr.training.fit import begin
    from mldfr.training.held_out import HeldOutAccuracy

    def follow(items: "Iterable[Row]", *, total: int, before: int) -> "Iterator[Row]":
        return progress.follow(items, "looked at", total=total, before=before, goes_on=False)

    run = begin(chosen, material, out, source=source, device=device, resume=resume, follow=follow)
    progress.at(run.how_far)
    network = run.train()
    progress.at(None)
    held_out = network.card.training.get("held_out")
    return Trained(
        out,
        out / MODEL_FILE,
        tuple(run.history),
        held_out and HeldOutAccuracy.model_validate(held_out),
        _held_out_boxes(network, material, out, progress) if compare else None,
    )


def _held_out_boxes(
    network: "LocalizationNetwork", material: "Material", out: Path, progress: Progress
) -> HeldOutBoxes | None:
    """Compare boxes on held-out pictures, and keep it in the run folder; what is there is taken as it is."""
    from mldfr.artifacts import read_artifact
    from mldfr.core.errors import DataError, InputError
    from mldfr.core.json_files import write_json
    from mldfr.evaluation.held_out_boxes import held_out_boxes

    if os.environ.get("RANK", "0") != "0":
        return None
    if (out / HELD_OUT).exists():
        return read_artifact(out / HELD_OUT, HeldOutBoxes)
    try:
        found = held_out_boxes(
            network,
            material.held_out,
            [example.path for example in material.train],
            follow=lambda seen, total: progress.follow(seen, "boxes compared", total=total, goes_on=False),
        )
    except (DataError, InputError) as error:  # the model is trained, whatever its pictures have become meanwhile
        progress.warn(f"boxes cannot be compared with those without training: {error}")
        return None
    if found:
        write_json(out / HELD_OUT, found.to_json())
    return found


def plan_training(
    data: str | None,
    out: str | Path,
    *,
    recipe: str | Path | None = None,
    settings: Settings = (),
    weights: str | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: Progress = SILENT,
) -> "Plan":
    """What `train` would do and need with the same arguments; nothing is written or fetched (`mldfr train --dry-run`).

    Raises:
        MldfrError: A recipe, data or weights that cannot be used.

    Example:
        `print(mldfr.api.plan_training("folder:sorted", "runs/mine").to_text())`
    """
    chosen, material, _ = _asked(data, Path(out), recipe, settings, weights, resume, progress)
    from mldfr.training.plan import make_plan

    return make_plan(chosen, material, device=device)


def _asked(
    data: str | None,
    out: Path,
    recipe: str | Path | None,
    settings: Settings,
    weights: str | None,
    resume: bool,
    progress: Progress,
) -> "tuple[Recipe, Material, str]":
    """Recipe, material and source of a run; of the one in the folder where nothing else is said."""
    from mldfr.training.recipe import DEFAULT, load_recipe, unheeded_keys
    from mldfr.training.run_folder import RECIPE, RunError, read_run

    going_on = resume and (out / RUN).exists()
    if data is None and resume and not going_on:
        raise RunError(f"{out}: holds no run that --resume could go on with; --data KIND:PATH begins one")
    if data is None and not going_on:
        raise RunError("--data KIND:PATH says what to learn from, such as --data folder:photos")
    usual = out / RECIPE if going_on else DEFAULT
    chosen = load_recipe(usual if recipe is None else recipe, as_told(settings), weights=weights)
    source = data or read_run(out)[1].data
    from mldfr.data import open_data, parse_source
    from mldfr.data.base import check_outside

    kind, path = parse_source(source)  # before PyTorch is loaded
    if kind == "folder" and not going_on:
        check_outside(out, path)
    source = f"{kind}:{path.resolve()}"
    from mldfr.training.prepare import prepare

    material = prepare(open_data(source), chosen)
    if material.note:
        progress.warn(material.note)
    for key in unheeded_keys(chosen, [setting.partition("=")[0].strip() for setting in as_told(settings)]):
        progress.warn(f"{key} changes nothing: the recipe trains a linear head alone (probe.when only)")
    return chosen, material, source
