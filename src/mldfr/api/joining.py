"""`join`: the parts of `locate` and `evaluate`, put together."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mldfr.artifacts import PREDICTIONS, RECORDS, ImageRecord, PredictionLine, as_artifact
from mldfr.core.errors import SettingError
from mldfr.core.files import replacing


@dataclass(frozen=True)
class Joined:
    """Parts that are put together.

    Attributes:
        verb: What made them, "locate" or "evaluate".
        file: The lines of all pictures, as one run would have written them.
        pictures: How many have a line.
        without: Why the others have none, by name; the command of the whole tries them again.
    """

    verb: str
    file: Path
    pictures: int
    without: Mapping[str, str]


def join(folders: str | Path | Sequence[str | Path], out: str | Path) -> Joined:
    """Put together the parts of `locate(..., shard="I/N")` or `evaluate(..., shard="I/N")` (`mldfr merge`).

    The same call without `shard` goes on from there: `evaluate` has all records, and measures.

    Args:
        folders: Where the parts are.
        out: The folder of the whole; it may be that of the parts.

    Raises:
        MldfrError: Parts that are missing or do not belong together, or of another verb.

    Example:
        `mldfr.api.join(["part1", "part2"], "whole").file`
    """
    from mldfr.jobs.parts import work_of

    places = [Path(folder) for folder in ([folders] if isinstance(folders, str | Path) else folders)]
    ways = {"locate": _join_predictions, "evaluate": _join_records}
    if (verb := work_of(places)) not in ways:
        raise SettingError(f"{places[0]}: has parts of `mldfr {verb}`; say with --format what shall be written of them")
    return ways[verb](places, Path(out))


def _join_predictions(folders: Sequence[Path], out: Path) -> Joined:
    from mldfr.api.prediction_files import OVERLAYS, overlay_of, prediction_files, prediction_job
    from mldfr.jobs.parts import Kind, Parts
    from mldfr.jobs.shard import WHOLE

    parts = Parts(folders, Kind("locate", "image", ("image",), ("pictures",), partial(as_artifact, PredictionLine)))
    states = parts.states()
    files = prediction_files(str(out / PREDICTIONS), out, WHOLE)
    with prediction_job(files, parts.setting, states, out, shard=WHOLE) as job:
        for name in filter(parts.__contains__, job.pending()):
            row = parts.row(name)
            overlay = partial(overlay_of, states, row)
            _copy(overlay(parts.folder(name) / OVERLAYS), overlay(out / OVERLAYS))
            job.add(row)
    return Joined("locate", files.rows, len(parts), parts.without())


def _join_records(folders: Sequence[Path], out: Path) -> Joined:
    from mldfr.evaluation.run import evaluation_job
    from mldfr.jobs.parts import Kind, Parts

    parts = Parts(folders, Kind("evaluate", "id", ("id",), ("pictures",), partial(as_artifact, ImageRecord)))
    with evaluation_job(out, parts.setting, list(parts.states())) as job:
        for name in filter(parts.__contains__, job.pending()):
            job.add(parts.row(name))
    return Joined("evaluate", out / RECORDS, len(parts), parts.without())


def _copy(overlay: Path, place: Path) -> None:
    """Bring an overlay to the others; one that could not be written is drawn by the command of the whole."""
    if overlay.is_file() and not (place.exists() and overlay.samefile(place)):
        with replacing(place) as temporary:
            shutil.copyfile(overlay, temporary)
