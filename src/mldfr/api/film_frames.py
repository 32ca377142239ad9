"""Frames of films, written where results go, in place of the films."""

from collections.abc import Sequence
from pathlib import Path

from mldfr.api.progress import Progress
from mldfr.core.errors import InputError, SettingError

FRAMES = "frames"
"""The folder of the frames, in that of the results; each film has one in it."""


def with_frames(paths: Sequence[str], every: str | float, out: Path, progress: Progress) -> list[str]:
    """The paths, with folders of frames for the films among them and in them.

    Args:
        paths: Films, and what else may be searched for pictures.
        every: Seconds from frame to frame, as `--every` has it.
        out: The folder of the results.
        progress: Told of each film.

    Raises:
        MldfrError: No such time, no film at all, or one that cannot be read.
    """
    from mldfr.images.films import films_in, frames, seconds

    step, folders = seconds(every), dict[str, Path]()
    found = {path: films_in(Path(path)) for path in paths}
    for film in dict.fromkeys(film for films in found.values() for film in films):
        name, number = film.name, 2
        while name in folders:
            name, number = f"{film.stem}-{number}{film.suffix}", number + 1
        progress.say(f"{film}: a frame every {step:g} s")
        folders[name] = frames(film, step, out / FRAMES / name)
    if not folders:
        raise InputError(f"--every is for films, and there are none in {', '.join(paths)}")
    return [*(path for path in paths if found[path] != [Path(path)]), *map(str, folders.values())]


def frames_as_data(data: str, every: str | float, out: Path, progress: Progress) -> str:
    """The folder of the frames of a film, or of the films in a folder, as data.

    Raises:
        MldfrError: As `with_frames`, or data that are neither.
    """
    if not Path(data).exists():
        raise SettingError(f"--every is for films: expected a film or a folder of films; got {data}")
    with_frames([data], every, out, progress)
    return str(out / FRAMES)
