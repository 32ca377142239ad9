"""Opening whatever can locate: one function for every kind of model file."""

from pathlib import Path
from shlex import quote

from mldfr.artifacts import AnnotationSetting, read_artifact
from mldfr.core.devices import choose_device
from mldfr.core.errors import DataError, SettingError
from mldfr.core.json_files import read_json
from mldfr.data.class_names import told_apart
from mldfr.deployment.exported_source import load_exported_program, load_onnx
from mldfr.deployment.runtimes import DEFAULT, RUNTIMES
from mldfr.jobs.parts import ANNOTATE, WORK
from mldfr.jobs.shard import part_files
from mldfr.localizer.fitting import FITTED_FOR
from mldfr.localizer.labelled_source import LabelledSource
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.map_files import annotated_parts, read_annotated_maps
from mldfr.localizer.sources import NetworkSource
from mldfr.localizer.stored_maps import StoredMaps, is_map_folder
from mldfr.networks.model_file import MODEL_FILE, read_card
from mldfr.networks.weights import WeightsError
from mldfr.networks.zoo import MODELS, load_network


def load(name_or_path: str | Path, *, device: str = "auto", runtime: str | None = None) -> Localizer:
    """A model by its name or file; takes, returns and raises what `mldfr.load` says, which asks here.

    Examples:
        >>> load("imagenet", device="cpu").card.class_names[281]
        'tabby'
    """
    if runtime is not None:
        RUNTIMES.check(runtime)
    suffix = Path(name_or_path).suffix.lower()
    if suffix == ".onnx":
        return load_onnx(name_or_path, device=device, runtime=runtime or DEFAULT)
    if runtime is not None:
        raise SettingError(
            f"{name_or_path}: is no ONNX model, and {runtime} runs those; `mldfr export` makes one of a model"
        )
    if suffix == ".pt2":
        return load_exported_program(name_or_path, device=device)
    folder = Path(name_or_path)
    if str(name_or_path) not in MODELS and is_map_folder(folder):
        choose_device(device)
        return Localizer(StoredMaps(folder))
    if str(name_or_path) not in MODELS and annotated_parts(folder):
        return Localizer(_annotated_maps(folder, device))
    if str(name_or_path) not in MODELS and not (folder / MODEL_FILE).is_file():
        _refuse_boxes(folder)
    return Localizer(NetworkSource(load_network(name_or_path).to(choose_device(device))))


def _refuse_boxes(folder: Path) -> None:
    """Say which model made the boxes of a folder of annotations, which holds none.

    Raises:
        WeightsError: It is such a folder.
    """
    for part in part_files(folder)[:1]:
        if read_json(part).get(WORK, ANNOTATE) == ANNOTATE:
            setting = read_artifact(part, AnnotationSetting)
            asked = [f"--model {quote(setting.model)}"]
            asked += [f"--map {quote(name)}"] if (name := setting.localization.get("map")) else []
            raise WeightsError(f"{folder}: holds boxes and no model; what made them is {' '.join(asked)}")


def _annotated_maps(folder: Path, device: str) -> StoredMaps:
    """The maps of annotations, whose model is opened for its card; one that was fitted for them lies beside them.

    Raises:
        DataError: It is another one than that which made them.
    """
    facts, _ = read_annotated_maps(folder)
    beside = folder / MODEL_FILE
    fitted = beside.is_file() and FITTED_FOR in read_card(beside).training
    model = load(beside if fitted else facts.model or "", device=device)
    if model.source.fingerprint() != facts.sha256:
        raise DataError(f"{folder}: its maps are not of what is {facts.model} now; put the model that made them there")
    names = facts.classes or told_apart(model.card.class_names)
    own = tuple(names) != told_apart(model.card.class_names)
    source = LabelledSource(model.source, names) if own else model.source
    return StoredMaps(folder, card=source.card, fitted=beside if fitted else None)
