"""A model as an ML backend of Label Studio: it draws first, and learns from what people made of it.

FLASK_APP="mldfr.deployment.adapters.label_studio:create('runs/mine', 'backend')" flask run --port 9090
"""

import csv
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

import numpy as np

from mldfr.core.errors import InputError, MissingPackageError, MldfrError
from mldfr.core.files import replacing
from mldfr.core.yaml_text import as_told
from mldfr.deployment.adapters.label_studio_annotations import (
    AnnotationJournal,
    Control,
    Labelled,
    control_of,
    labelled,
    project_of,
)
from mldfr.deployment.loading import load
from mldfr.exports.base import AnnotatedImage
from mldfr.exports.label_studio import rectangle, region
from mldfr.images import ImageError
from mldfr.jobs.lock import locked
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.results import Located
from mldfr.networks.model_file import MODEL_FILE, read_card

try:
    from label_studio_ml.model import LabelStudioMLBase
    from label_studio_tools.core.utils.io import LOCAL_FILES_DOCUMENT_ROOT
except ImportError as error:
    raise MissingPackageError("backends of Label Studio need its package: pip install 'mldfr[label-studio]'") from error

OPTIONS = "MLDFR_LABEL_STUDIO"
"""The variable of the environment through which the processes that train learn what `create` was told."""
STARTED = "START_TRAINING"
EMBEDDED = "imagenet"

logger = logging.getLogger(__name__)


class Options(NamedTuple):
    """What `create` was told."""

    model: str = EMBEDDED
    top_k: int = 1
    device: str = "auto"
    train_after: int = 10

    @classmethod
    def told(cls) -> "Options":
        """Those of this process, or of the one that started it."""
        return cls(**json.loads(os.environ.get(OPTIONS, "{}")))


class Backend(LabelStudioMLBase):  # type: ignore[misc]
    """What Label Studio asks: `predict` fills tasks, `fit` learns from annotations.

    It is made by Label Studio's own package for each of its requests; `create` says of which model.
    """

    TRAIN_EVENTS = (
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        STARTED,
    )

    def predict(self, tasks: Sequence[Mapping[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        """A prediction for each task: its regions, their lowest score, and the version of the model.

        A picture that cannot be fetched or read gets no regions, and the log says why.

        Args:
            tasks: With their picture as a file, a data URI, or an address that Label Studio's package fetches.
            **kwargs: What else Label Studio tells.

        Raises:
            InputError: The labelling interface has nothing that could be filled.
            MldfrError: The model cannot be opened.
        """
        control, options = control_of(self.parsed_label_config), Options.told()
        localizer = _opened(self.train_output.get("model", options.model), options.device)
        labels = control.labels_by_class(localizer.card.class_names)
        if not labels:
            logger.warning("the model has no class of the labels %s: it draws nothing", ", ".join(control.labels))
        pictures = [self._fetched(str(task["data"].get(control.variable, ""))) for task in tasks]
        readable = (picture for picture in pictures if picture is not None)
        located = localizer.locate_all(readable, classes=min(options.top_k, len(localizer.card.class_names)))
        return [self._prediction(None if picture is None else next(located), control, labels) for picture in pictures]

    def _prediction(
        self, located: Located | ImageError | None, control: Control, labels: Mapping[int, str]
    ) -> dict[str, Any]:
        if isinstance(located, ImageError):
            logger.warning("%s", located)
        results = list(_regions(located, control, labels)) if isinstance(located, Located) else []
        score = min((result["score"] for result in results), default=0.0)
        return {"model_version": self._version, "score": score, "result": results}

    @property
    def _version(self) -> str:
        """As Label Studio's package calls it."""
        return str(self.train_output.get("version", "INITIAL"))

    def fit(self, tasks: Iterable[Mapping[str, Any]], workdir: str | None = None, **kwargs: Any) -> Any:
        """Fit a new head on the labels of annotated pictures, as `mldfr train --recipe frozen` does.

        Boxes are not learned from: a picture's labels are those of its regions.

        Args:
            tasks: Annotated ones, all of them; or none where Label Studio tells of an event.
            workdir: A folder for this version of the model, in that of the backend.
            **kwargs: `event` and `data`: one annotation, which is kept beside the versions. After `train_after` of
                them, and when somebody asks for it, the head is fitted on all that are kept.

        Returns:
            Where the model is, for Label Studio's package to keep; None where there is nothing new to learn.

        Raises:
            InputError: No folder, or a label that no table of labels can hold.
            DataError: Another process is fitting.
            MldfrError: Training failed; the message has its last words.
        """
        if workdir is None:
            raise InputError("a backend needs a folder for its models (model_dir)")
        control, folder = control_of(self.parsed_label_config), Path(workdir).parent
        if "event" not in kwargs:
            known = [each for task in tasks for each in labelled(task, task.get("annotations", ()), control)]
            return self._trained(known, Path(workdir))
        data, journal = kwargs.get("data") or {}, AnnotationJournal(folder)
        count = journal.add(data, control)
        if kwargs["event"] != STARTED and count - journal.trained < Options.told().train_after:
            return None
        busy = f"{folder}: another process is fitting; the annotation is kept for the next time"
        with locked(folder / ".training.lock", busy=busy):
            if output := self._trained(journal.said(project_of(data)), Path(workdir)):
                journal.trained = count
            return output

    def _trained(self, known: Iterable[Labelled], workdir: Path) -> dict[str, str] | None:
        """Train in a process of its own, which leaves no memory behind, and no half of a model where it ends."""
        rows = {file: each.labels for each in known if (file := self._file(each.picture, workdir.parent))}
        classes = {label for labels in rows.values() for label in labels}
        several = any(len(labels) > 1 for labels in rows.values())
        if len(classes) < 2:
            logger.warning("nothing to learn yet: two labels are needed; there are %s", sorted(classes) or "none")
            return None
        if wrong := sorted(label for label in classes if set(label) & set(";|")):
            raise InputError(f"labels cannot have ';' or '|' in their names; got {wrong[0]!r}")
        table, run, options = workdir / "labels.csv", workdir / "run", Options.told()
        with replacing(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([("path", "labels"), *((path, ";".join(rows[path])) for path in rows)])
        told = ["--out", str(run), "--device", options.device, "--no-compare", "--set", "data.held_out=0"]
        # A map of foreground is one for the whole picture, where several things may be in it.
        told += ["--set", "method=cam"] if several else []
        command = [sys.executable, "-m", "mldfr", "train", f"csv:{table}", "--recipe", "frozen", *told]
        done = subprocess.run([*command, *_trunk(options.model)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MldfrError(f"{run}: training failed: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
        return {"model": str(run / MODEL_FILE), "version": workdir.name}

    def _fetched(self, picture: str) -> Path | bytes | None:
        """A picture as `locate` takes it; None where it cannot be had."""
        try:
            if picture.startswith("data:"):
                with urlopen(picture) as content:
                    return bytes(content.read())
            return _local(picture) or Path(self.get_local_path(picture))
        except Exception as error:  # Label Studio's package and those that it asks raise anything
            logger.warning("%s cannot be fetched: %s", picture[:200], error)
            return None

    def _file(self, picture: str, folder: Path) -> Path | None:
        """A picture as a file, where it cannot be had None."""
        fetched = self._fetched(picture)
        if not isinstance(fetched, bytes):
            return fetched and fetched.resolve()
        file = folder / "pictures" / sha256(fetched).hexdigest()
        if not file.exists():
            with replacing(file) as temporary:
                temporary.write_bytes(fetched)
        return file.resolve()


def create(
    model: str = EMBEDDED,
    folder: str | Path = "label-studio-models",
    *,
    top_k: int = 1,
    device: str = "auto",
    train_after: int = 10,
) -> Any:
    """The backend as a WSGI application, which any server of such can run.

    Args:
        model: What `mldfr.load` takes: what draws until something was learned, and whose trunk is kept then.
        folder: Where annotations and models are kept; each version has a folder of its own in it.
        top_k: How many of the most probable classes are drawn in each picture.
        device: auto, cpu, cuda, ...
        train_after: After how many annotations a new head is fitted.

    Raises:
        InputError: A number under 1.
        MldfrError: No such model.
    """
    if top_k < 1 or train_after < 1:
        raise InputError(f"top_k and train_after are at least 1; got {top_k} and {train_after}")
    if model != EMBEDDED and Path(model).exists():
        model = str(Path(model).resolve())
    _opened(model, device)
    os.environ[OPTIONS] = json.dumps(Options(model, top_k, device, train_after)._asdict())
    return import_module("label_studio_ml.api").init_app(model_class=Backend, model_dir=str(Path(folder).resolve()))


@lru_cache(maxsize=2)
def _opened(model: str, device: str) -> Localizer:
    """A model, which is opened once: Label Studio's package makes a backend for each request."""
    return load(model, device=device)


def _regions(located: Located, control: Control, labels: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    image = AnnotatedImage.of(located, name="picture")
    masks = located.masks() if control.kind == "BrushLabels" else [None] * len(image.boxes)
    for number, (box, mask) in enumerate(zip(image.boxes, masks, strict=True), start=1):
        if (name := labels.get(box.class_index)) is None:
            continue
        if mask is None:
            yield rectangle(box, image, number, name, control=control.name, picture=control.picture)
        else:
            value = {"format": "rle", "rle": _packed(mask.astype(np.uint8) * 255)}
            yield region(control.kind, value, box, image, number, name, control=control.name, picture=control.picture)


def _packed(mask: Any) -> list[int]:
    try:
        brush = import_module("label_studio_sdk.converter.brush")
    except ImportError as error:
        raise MissingPackageError("masks need the package label-studio-sdk: pip install label-studio-sdk") from error
    packed: list[int] = brush.mask2rle(mask)
    return packed


def _local(picture: str) -> Path | None:
    """The file of a picture that is on this machine, in the folder that Label Studio serves; None for others."""
    parts = urlsplit(picture)
    served = parse_qs(parts.query).get("d") if parts.path.startswith("/data/local-files") else None
    if parts.scheme not in ("", "file"):
        return None
    name = served[0] if served else unquote(parts.path) if parts.scheme else picture
    root = Path(LOCAL_FILES_DOCUMENT_ROOT).resolve()
    file = (root / name).resolve()
    return file if file.is_relative_to(root) and file.is_file() else None


def _trunk(model: str) -> list[str]:
    """What tells `mldfr train` to keep the trunk of a model; that of the recipe is the embedded one."""
    if model == EMBEDDED:
        return []
    if not Path(model).exists():
        raise InputError(f"{model}: a head can be fitted on a model file, a run folder, or {EMBEDDED}")
    card = read_card(model)
    wanted = card.architecture.model_dump(exclude={"num_classes", "classifier_bias"})
    settings = {f"model.{key}": value for key, value in wanted.items()}
    settings["augmentation.input_size"] = card.preprocessing.input_size
    return ["--weights", model, *(each for setting in as_told(settings) for each in ("--set", setting))]
