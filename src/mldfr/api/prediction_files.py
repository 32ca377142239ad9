"""Where predictions and overlays are written, and how the same call goes on there."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mldfr.core.errors import DataError
from mldfr.core.files import remove_leftovers, remove_leftovers_of, write_all, writing
from mldfr.core.json_files import read_json, write_json
from mldfr.core.made_once import state_of
from mldfr.core.text import escaped, original
from mldfr.core.versions import OF_BOXES, installed_versions

if TYPE_CHECKING:
    from mldfr.images import ImageFile
    from mldfr.jobs.items import Row
    from mldfr.jobs.job import Job, Results
    from mldfr.jobs.shard import JobFiles, Shard
    from mldfr.localizer.localizer import Localizer
    from mldfr.localizer.wanted_classes import Wanted
    from mldfr.networks.card import Rules

OVERLAYS = "overlays"
OVERLAYS_ABOUT = ".overlays.json"
"""What the overlays were made with, beside their folder: predictions may lie elsewhere."""
INSTEAD = "name another place, or replace it with --overwrite"
PROBE = 5
"""Seconds that another part may take to see whether anybody is at the whole."""


def setting_of(model: str, localizer: "Localizer", wanted: "Wanted", rules: "Rules") -> dict[str, Any]:
    """All that a prediction depends on besides its picture, as plain values."""
    from mldfr.localizer.wanted_classes import class_indices

    card = localizer.card
    localization = card.localization.changed(**rules).model_dump(mode="json")
    if localization["min_region"] == 0:
        del localization["min_region"]  # predictions of 0.1.0, which drew all regions, can be gone on with
    return {
        "model": model,
        "sha256": localizer.source.fingerprint(),
        "computed": localizer.source.computed,
        "preprocessing": card.preprocessing.model_dump(mode="json"),
        "class_names": list(card.class_names),
        "multi_label": card.multi_label,
        "classes": class_indices(card, wanted),
        "localization": localization,
        "versions": installed_versions(OF_BOXES),
    }


class Target(NamedTuple):
    """A picture to look at.

    Attributes:
        picture: Its file.
        overlay: Its overlay's place in the folder of overlays.
    """

    picture: Path
    overlay: Path


def targets(files: "Sequence[ImageFile]") -> dict[str, Target]:
    """Each picture under the name that its line has."""
    names = (escaped(str(file.path)) for file in files)
    return dict(zip(names, map(Target, (file.path for file in files), overlay_names(files)), strict=True))


def prediction_files(predictions: str, out: Path, shard: "Shard") -> "JobFiles":
    """Where predictions go, and beside them what they were made with."""
    from mldfr.jobs.shard import JobFiles

    if shard.count > 1:
        return JobFiles.of_part(out, shard)
    file = Path(predictions)
    return JobFiles(file, file.with_name(f"{file.stem}.about.json"), file.with_name(f".{file.name}.lock"))


@contextmanager
def open_results(
    predictions: str,
    setting: Mapping[str, Any],
    wanted: Mapping[str, Target],
    out: Path,
    *,
    shard: "Shard",
    overwrite: bool,
) -> "Iterator[Results]":
    """Standard output for "-"; a pipe or a device as it is; else a file from which the same command goes on.

    Raises:
        DataError: The file has other predictions, the overlays are of another setting, or another process is writing
            it or them.
    """
    mine = [name for name in wanted if name in shard]
    if predictions == "-" or (Path(predictions).exists() and not Path(predictions).is_file()):
        _check_overlays(predictions, setting, out, overwrite=overwrite)
        if (out / OVERLAYS_ABOUT).is_file():
            write_json(out / OVERLAYS_ABOUT, setting)
    if predictions == "-":
        yield _stream(partial(print, end="", flush=True), "standard output", mine)
        return
    if Path(predictions).exists() and not Path(predictions).is_file():
        with Path(predictions).open("wb", buffering=0) as device:
            yield _stream(partial(write_all, device), predictions, mine)
        return
    states = {name: {**_state(each.picture), "overlay": escaped(str(each.overlay))} for name, each in wanted.items()}
    files = prediction_files(predictions, out, shard)
    with prediction_job(files, setting, states, out, shard=shard, overwrite=overwrite) as job:
        yield job


@contextmanager
def prediction_job(
    files: "JobFiles",
    setting: Mapping[str, Any],
    states: Mapping[str, Mapping[str, Any]],
    out: Path,
    *,
    shard: "Shard",
    overwrite: bool = False,
) -> "Iterator[Job]":
    """The job of locating; of the whole of it nobody else may write overlays, while parts share their folder.

    Args:
        files: Where the lines are.
        setting: What all predictions depend on.
        states: By name, what else the line of a picture depends on; under `overlay` where its overlay lies.
        out: The folder of the folder of overlays.
        shard: Which part.
        overwrite: Drop the lines that are there.
    """
    from mldfr.jobs.items import Items
    from mldfr.jobs.job import Job
    from mldfr.jobs.lock import locked
    from mldfr.jobs.parts import WORK
    from mldfr.jobs.shard import part_files

    folder, part = out / OVERLAYS, shard.count > 1
    items = Items.table(states, key="image", done=lambda row: _is_written(overlay_of(states, row, folder)))
    with ExitStack() as held:
        overlays = partial(locked, out / ".overlays.lock", busy=f"{folder}: another process is writing there")
        if not part:
            held.enter_context(overlays())
            for about in part_files(out):
                with locked(about.with_suffix(".lock"), busy=f"{about}: another process is writing this part"):
                    pass  # nobody is at it
            remove_leftovers(folder, deep=True)
            remove_leftovers_of(out / OVERLAYS_ABOUT)
        check = partial(_check_overlays, str(files.rows), setting, out, overwrite=overwrite)
        if not _is_written(files.rows):
            check()  # before anything is written; of predictions that are there their own setting is asked first
        whole = {**setting, WORK: "locate"} if part else setting
        job = Job(files, whole, items, shard=shard, instead=INSTEAD, overwrite=overwrite)
        held.enter_context(job)
        check()
        write_json(out / OVERLAYS_ABOUT, setting)
        if part:
            with overlays(wait=PROBE):
                pass  # nobody is at the whole; another part that looks at the same moment lets go at once
        yield job


def overlay_of(states: Mapping[str, Mapping[str, Any]], row: "Row", folder: Path) -> Path:
    """The overlay of a line, in the folder of overlays."""
    return folder / original(states[row["image"]]["overlay"])


def _check_overlays(predictions: str, setting: Mapping[str, Any], out: Path, *, overwrite: bool) -> None:
    """See that no overlays of another setting would be replaced, wherever the predictions go.

    Raises:
        DataError: Those that are there were made in another setting.
    """
    from mldfr.jobs.items import as_read
    from mldfr.jobs.job import what_differs

    folder, about = out / OVERLAYS, out / OVERLAYS_ABOUT
    if overwrite or not (about.is_file() and folder.is_dir() and any(folder.iterdir())):
        return
    if different := what_differs(read_json(about), as_read(setting)):
        where = "standard output" if predictions == "-" else predictions
        raise DataError(f"{where}: overlays in {folder}: made in another setting ({different}); {INSTEAD}")


def _stream(write: Callable[[str], None], where: str, names: Sequence[str]) -> "Results":
    """Lines to a pipe, a device or standard output, which keep nothing to go on from."""
    from mldfr.jobs.job import Unkept

    def give(row: "Row") -> None:
        with writing(Path(where)):
            write(json.dumps(row) + "\n")

    return Unkept(names, give)


def _state(picture: Path) -> dict[str, int]:
    """By what a changed picture is known."""
    try:
        return state_of(picture)
    except OSError:  # reading it will say why
        return {"size": -1, "modified": -1}


def _is_written(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def overlay_names(files: "Sequence[ImageFile]") -> list[Path]:
    """A name of its own for each picture's overlay: cat.jpg; where that is taken cat.png.jpg; then cat-2.jpg.

    Below places in which pictures are called alike these have folders of their own: one/cat.jpg and two/cat.jpg.
    """
    taken: set[str] = set()
    names = []
    apart = _apart(files)
    for relative in (apart.get(_root(file), Path()) / file.relative for file in files):
        choices = [relative.with_suffix(".jpg"), relative.with_name(relative.name + ".jpg")]
        number = 2
        while str(choices[0]).casefold() in taken:
            choices.pop(0)
            if not choices:
                choices.append(relative.with_name(f"{relative.stem}-{number}.jpg"))
                number += 1
        taken.add(str(choices[0]).casefold())
        names.append(choices[0])
    return names


def _root(file: "ImageFile") -> Path:
    """The folder that was searched, or that of a file that was named."""
    return file.path.parents[len(file.relative.parts) - 1]


def _apart(files: "Sequence[ImageFile]") -> dict[Path, Path]:
    """The ends by which searched folders differ, of those that have pictures of one name."""
    roots: dict[str, set[Path]] = {}
    for file in files:
        roots.setdefault(str(file.relative).casefold(), set()).add(_root(file))
    alike = {root: root.absolute().parts[1:] for shared in roots.values() if len(shared) > 1 for root in shared}
    longest = max(map(len, alike.values()), default=0)
    for length in range(1, longest + 1):
        ends = {root: Path(*parts[-length:]) for root, parts in alike.items()}
        if len(set(ends.values())) == len(set(alike.values())):
            return ends
    return {}
