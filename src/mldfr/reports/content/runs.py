"""A training run's folder: how it went, what it was told, what was chosen for it, and where it was evaluated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mldfr.artifacts import HELD_OUT, SELECTION, HeldOutBoxes, RunFacts, Selection, read_artifact
from mldfr.core.errors import DataError
from mldfr.networks.model_file import MODEL_FILE
from mldfr.networks.weights import fingerprint
from mldfr.networks.weights import read as read_weights
from mldfr.reports.content.metrics_file import METRICS, Stored, read_stored
from mldfr.training.recipe import Recipe
from mldfr.training.run_folder import Epoch, read_epochs, read_run


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        folder: Where it is.
        recipe: What it was told.
        facts: Data, device and versions.
        trained_on, held_out: How many pictures.
        epochs: Those that are done.
        boxes: How the boxes of its model did on held-out pictures when it was trained, if that was tried.
        selection: What was chosen on the pictures held out, if it was.
        evaluations: Those of its model that lie in the folder or beside it, by their folder, the newest first.
    """

    folder: Path
    recipe: Recipe
    facts: RunFacts
    trained_on: int
    held_out: int
    epochs: Sequence[Epoch]
    boxes: HeldOutBoxes | None
    selection: Selection | None
    evaluations: Mapping[Path, Stored]


def read_training(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        ValueError: It holds no run, or one of its files is damaged; the message names it.
    """
    recipe, facts, split = read_run(folder)
    return Run(
        folder,
        recipe,
        facts,
        len(split.train),
        len(split.held_out),
        read_epochs(folder),
        read_artifact(folder / HELD_OUT, HeldOutBoxes) if (folder / HELD_OUT).is_file() else None,
        _selection(folder / SELECTION),
        _evaluations(folder),
    )


def _selection(file: Path) -> Selection | None:
    if not file.is_file():
        return None
    return read_artifact(file, Selection)


def _evaluations(folder: Path) -> dict[Path, Stored]:
    """Evaluations of the run's final model in the folder or beside it; what cannot be read is none."""
    if not (folder / MODEL_FILE).is_file():
        return {}
    own = fingerprint(read_weights(folder / MODEL_FILE)[0])
    candidates = [*folder.glob(METRICS), *folder.glob(f"*/{METRICS}"), *folder.resolve().parent.glob(f"*/{METRICS}")]
    found: dict[Path, Stored] = {}
    for file in sorted(set(candidates), key=lambda file: (-file.stat().st_mtime, file)):
        try:
            stored = read_stored(file.parent)
        except DataError:
            continue
        if stored.setting.sha256 == own:
            found[file.parent] = stored
    return found
