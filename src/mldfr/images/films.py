"""Films as pictures: a frame every so many seconds."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from mldfr.core.errors import MissingPackageError, SettingError
from mldfr.core.made_once import made_once, state_of
from mldfr.images.errors import ImageError
from mldfr.images.formats import is_film

QUALITY = 95
LEAST = 0.01


def seconds(text: str | float) -> float:
    """The value of `--every`: seconds, or minutes where an m stands behind it.

    Raises:
        SettingError: No such time, or less than a hundredth of a second.

    Examples:
        >>> seconds("1s"), seconds("0.5"), seconds("2m")
        (1.0, 0.5, 120.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|)", str(text).strip())
    value = float(found[1]) * (60 if found[2] == "m" else 1) if found else 0.0
    if value < LEAST:
        raise SettingError(f"--every takes seconds, such as 1s, 0.5s or 2m, at least {LEAST}s; got {text!r}")
    return value


def frames(film: Path, every: float, folder: Path) -> Path:
    """Write a frame of a film every so many seconds into a folder, which is given back.

    Frames are JPEGs, named by their time from the beginning, such as `000012.30s.jpg`, and turned as the film says.
    What is there, of the same film and time, is not made again.

    Args:
        film: Its file.
        every: Seconds from one frame to the next.
        folder: Of its frames alone.

    Raises:
        ImageError: It cannot be read, or has no pictures.
        MissingPackageError: PyAV is not installed.
        WriteError: The frames cannot be written.
    """
    try:
        av = import_module("av")
    except ModuleNotFoundError as error:
        raise MissingPackageError(f"{film}: films are read with an extra: pip install 'mldfr[video]'") from error

    def write(folder: Path) -> None:
        try:
            with av.open(str(film)) as container:
                for time, frame in _every(container, every):
                    picture = frame.to_image().rotate(getattr(frame, "rotation", 0), expand=True)
                    picture.save(folder / f"{time:09.2f}s.jpg", quality=QUALITY)
        except (av.FFmpegError, IndexError) as error:
            raise ImageError(film, f"cannot be read as a film ({error})") from error
        if next(folder.iterdir(), None) is None:
            raise ImageError(film, "has no frames")

    return made_once(folder, {**state_of(film), "every": every}, write)


def _every(container: Any, every: float) -> Iterator[tuple[float, Any]]:
    """The first frame, and the first at or after each multiple of a time, with its own time from the beginning."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    first, wanted = None, 0.0
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        first = frame.time if first is None else first
        time = frame.time - first
        if time >= wanted - 1e-6:
            yield time, frame
            wanted = every * (time // every + 1)


def films_in(path: Path) -> list[Path]:
    """A film itself, or those in a folder and below, in the order of names; a search passes over the same junk."""
    from mldfr.images.finding import find_images
    from mldfr.images.passed_over import PassedOver

    if path.is_file():
        return [path] if is_film(path.name) else []
    passed_over: list[PassedOver] = []
    for _ in find_images([str(path)], passed_over=passed_over):
        pass
    return [item.path for item in passed_over if is_film(item.path.name)]
