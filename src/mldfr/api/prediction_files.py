"""Where predictions and overlays are written, and how the same call goes on there."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mldfr.core.files import remove_leftovers, write_all, writing
from mldfr.core.text import escaped
from mldfr.core.versions import OF_BOXES, installed_versions

if TYPE_CHECKING:
    from mldfr.images import ImageFile
    from mldfr.jobs.journal import LineJournal
    from mldfr.localizer.localizer import Localizer
    from mldfr.localizer.wanted_classes import Wanted
    from mldfr.networks.card import Rules

OVERLAYS = "overlays"


class Stream:
    """Lines to a pipe, a device or standard output, which keep nothing to go on from.

    Args:
        write: What takes a line.
        where: What an error calls it.
        names: The pictures.
    """

    def __init__(self, write: Callable[[str], None], where: str, names: Sequence[str]) -> None:
        self._write, self._where, self._names = write, where, names

    def pending(self) -> list[str]:
        """All pictures."""
        return list(self._names)

    def __len__(self) -> int:
        return 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Give a line away."""
        with writing(Path(self._where)):
            self._write(json.dumps(line) + "\n")


def setting_of(model: str, localizer: "Localizer", wanted: "Wanted", rules: "Rules") -> dict[str, Any]:
    """All that a prediction depends on besides its picture, as plain values."""
    from mldfr.localizer.wanted_classes import class_indices

    card = localizer.card
    return {
        "model": model,
        "sha256": localizer.source.fingerprint(),
        "computed": localizer.source.computed,
        "preprocessing": card.preprocessing.model_dump(mode="json"),
        "class_names": list(card.class_names),
        "multi_label": card.multi_label,
        "classes": class_indices(card, wanted),
        "localization": card.localization.changed(**rules).model_dump(mode="json"),
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


@contextmanager
def open_results(
    predictions: str, setting: Mapping[str, Any], wanted: Mapping[str, Target], out: Path, *, overwrite: bool
) -> "Iterator[LineJournal | Stream]":
    """Standard output for "-"; a pipe or a device as it is; else a file from which the same command goes on.

    Raises:
        DataError: The file has other predictions, or another process is writing it or the overlays.
    """
    if predictions == "-":
        yield Stream(partial(print, end="", flush=True), "standard output", list(wanted))
        return
    if Path(predictions).exists() and not Path(predictions).is_file():
        with Path(predictions).open("wb", buffering=0) as device:
            yield Stream(partial(write_all, device), predictions, list(wanted))
        return
    from mldfr.jobs.journal import LineJournal
    from mldfr.jobs.lock import locked

    folder = out / OVERLAYS
    pictures = {
        name: {**_state(target.picture), "overlay": escaped(str(target.overlay))} for name, target in wanted.items()
    }
    with (
        locked(out / ".overlays.lock", busy=f"{folder}: another process is writing there"),
        LineJournal(
            Path(predictions),
            setting,
            pictures,
            name="image",
            items_are="pictures",
            whole=lambda name: _is_written(folder / wanted[name].overlay),
            overwrite=overwrite,
        ) as journal,
    ):
        remove_leftovers(folder, deep=True)
        yield journal


def _state(picture: Path) -> dict[str, int]:
    """By what a changed picture is known."""
    try:
        about = picture.stat()
    except OSError:  # reading it will say why
        return {"size": -1, "modified": -1}
    return {"size": about.st_size, "modified": about.st_mtime_ns}


def _is_written(overlay: Path) -> bool:
    try:
        return overlay.stat().st_size > 0
    except OSError:
        return False


def overlay_names(files: "Sequence[ImageFile]") -> list[Path]:
    """A name of its own for each picture's overlay: cat.jpg; where that is taken cat.png.jpg; then cat-2.jpg."""
    taken: set[str] = set()
    names = []
    for relative in (file.relative for file in files):
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
