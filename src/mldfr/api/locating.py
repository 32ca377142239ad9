"""`locate`: pictures in, overlays and predictions out."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mldfr.api.film_frames import with_frames
from mldfr.api.notebook import html_table
from mldfr.api.prediction_files import OVERLAYS, open_results, prediction_files, setting_of, targets
from mldfr.api.progress import SILENT, Progress
from mldfr.artifacts import PREDICTIONS, PredictionLine, read_predictions
from mldfr.core.errors import InputError, SettingError
from mldfr.core.files import WriteError, replacing, writing
from mldfr.core.text import escaped

if TYPE_CHECKING:
    import pandas

    from mldfr.images import ImageError, ImageFile
    from mldfr.jobs.job import Results
    from mldfr.localizer.results import Located
    from mldfr.localizer.wanted_classes import Wanted


@dataclass(frozen=True)
class LocatedPictures:
    """Pictures that were located, and where it is written. Iterating gives their predictions, in their order.

    Attributes:
        overlays: The folder of the overlays.
        predictions: The file of the predictions; "-" for standard output.
        pictures: How many there are.
        new: How many of them were looked at now, and not before.
        failed: Why the others could not be read.
        seconds: How long it took.
        part: Which part of the pictures these are, such as "1/4"; "" for all. `join` puts the parts together.
    """

    overlays: Path
    predictions: Path
    pictures: int
    new: int
    failed: "tuple[ImageError, ...]" = field(repr=False)
    seconds: float
    part: str = ""

    def __iter__(self) -> Iterator[PredictionLine]:
        return read_predictions(self.predictions)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each box of each picture (see `mldfr.core.types.Prediction.to_pandas`)."""
        from mldfr.core.types import boxes_to_pandas

        return boxes_to_pandas(self)

    def _repr_html_(self) -> str:
        rows = (
            (each.image, label.class_name, label.probability, len(label.boxes))
            for each in self
            for label in each.labels
        )
        caption = f"{self.pictures - len(self.failed):,} of {self.pictures:,} pictures, overlays in {self.overlays}"
        return html_table(caption, ("picture", "class", "probability", "boxes"), rows)


def locate(
    paths: str | Path | Sequence[str | Path],
    out: str | Path = "located",
    *,
    model: str | Path = "imagenet",
    scales: Sequence[float] | None = None,
    map: str | None = None,
    closer: int | None = None,
    threshold: float | str | None = None,
    normalizer: str | None = None,
    box_rule: str | None = None,
    instances: str | None = None,
    refine: str | None = None,
    min_region: float | None = None,
    classes: "Wanted" = 1,
    device: str = "auto",
    runtime: str | None = None,
    jsonl: str | Path | None = None,
    overwrite: bool = False,
    shard: str = "1/1",
    batch_size: int = 1,
    every: str | float | None = None,
    progress: Progress = SILENT,
) -> LocatedPictures:
    """Write a heat map with boxes for each picture, and a line of JSON (`mldfr locate`).

    Whatever stops it, the same call goes on, and looks only at pictures that are new or have changed. For single
    pictures in memory there is `mldfr.load(...).locate(picture)`.

    Args:
        paths: Pictures, folders (searched recursively) and globs.
        out: Where overlays and predictions go.
        model: A name of `mldfr list models`, a model file or a run folder.
        scales, map, closer, threshold, normalizer, box_rule, instances, refine, min_region: To boxes; the model's own
            when left out.
        classes: The k most probable classes, "all", or names or indices of classes.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model, a name of `mldfr list runtimes`.
        jsonl: Where the predictions go instead; "-" is standard output.
        overwrite: Replace predictions and overlays of another model, setting or other pictures.
        shard: "I/N", only the I-th of N parts; `join` puts them together.
        batch_size: Pictures to look at together; for GPUs.
        every: Seconds, such as 1 or "0.5s": films among the paths give a frame each, in `out/frames`.
        progress: Told how it goes; `mldfr.api.ConsoleProgress()` prints it.

    Raises:
        MldfrError: No pictures, or a model, class or setting that is not so; predictions of something else are there.

    Example:
        `mldfr.locate("photos", scales=(1,))` writes `located/overlays` and `located/predictions.jsonl`.
    """
    from mldfr.images import ImageError, ImageFile, PassedOver, find_images, passed_over_lines
    from mldfr.jobs.shard import Shard
    from mldfr.networks.card import Localization, Rules

    rules = Rules(
        scales=scales,
        map=map,
        closer=closer,
        threshold=threshold,
        normalizer=normalizer,
        box_rule=box_rule,
        instances=instances,
        refine=refine,
        min_region=min_region,
    )
    Localization().changed(**rules)  # what is wrong in itself is said before anything is searched or loaded
    out, mine = Path(out), Shard.parse(shard)
    if mine.count > 1 and jsonl not in (None, "-"):
        raise SettingError(f"--jsonl {jsonl}: the lines of a part go to the folder of --out, until all are joined")
    asked = [_searched(str(path)) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if every is not None:
        asked = with_frames(asked, every, out, progress)
    passed_over: list[PassedOver] = []
    found = list(find_images(asked, leave_out=out / OVERLAYS, passed_over=passed_over))
    for line in passed_over_lines(passed_over):
        progress.say(line)
    if not found:
        raise InputError(f"no pictures in {', '.join(asked)}")

    from mldfr.deployment.loading import load

    wanted = targets([item for item in found if isinstance(item, ImageFile)])
    found = [item for item in found if _name(item) in mine]
    predictions = str(jsonl or prediction_files(str(out / PREDICTIONS), out, mine).rows)
    start, failed = time.perf_counter(), []
    with ExitStack() as stack:
        localizer = load(model, device=device, runtime=runtime)
        localizer.locate_all((), classes=classes, batch_size=batch_size, **rules)  # says what is wrong with them
        _make_room(out / OVERLAYS, predictions)
        setting = setting_of(str(model), localizer, classes, rules)
        opened = open_results(predictions, setting, wanted, out, shard=mine, overwrite=overwrite)
        results = stack.enter_context(opened)
        pending = [wanted[name] for name in results.pending()]
        pictures = [target.picture for target in pending]
        located = localizer.locate_all(pictures, classes=classes, batch_size=batch_size, **rules)
        saved = _save_all(located, [out / OVERLAYS / target.overlay for target in pending], results, progress)
        for error in chain((item for item in found if isinstance(item, ImageError)), saved):
            progress.warn(str(error))
            failed.append(error)
    seconds = time.perf_counter() - start
    part = shard if mine.count > 1 else ""
    return LocatedPictures(out / OVERLAYS, Path(predictions), len(found), len(pending), tuple(failed), seconds, part)


def _searched(path: str) -> str:
    """What is searched: of `folder:DIR` the folder, since labels are not needed."""
    kind, _, folder = path.partition(":")
    return folder if kind == "folder" and not Path(path).exists() and Path(folder).is_dir() else path


def _name(item: "ImageFile | ImageError") -> str:
    """What a picture is called in its line, or would be."""
    return escaped(str(item.path))


def _save_all(
    located: "Iterator[Located | ImageError]",
    overlays: Sequence[Path],
    lines: "Results",
    progress: Progress,
) -> "Iterator[ImageError]":
    """Write an overlay, and then a line, for each picture that was located; give the others."""
    from mldfr.core.parallel import ahead
    from mldfr.images import ImageError

    before = len(lines)
    if before and overlays:
        progress.say(f"going on: {before:,} of {before + len(overlays):,} pictures are already located")
    with ThreadPoolExecutor(max_workers=1) as writer:
        saved = ahead(writer, _save, zip(located, overlays, strict=True), depth=2)
        for result, error in progress.follow(saved, "located", total=len(overlays), before=before, goes_on=lines.kept):
            if not isinstance(result, ImageError):
                line = result.to_json()
                PredictionLine.model_validate(line)  # what is written can be read
                lines.add(line)
            if error is not None:
                lines.fail(escaped(error.path), error.reason)
                yield error


def _save(located: "tuple[Located | ImageError, Path]") -> "tuple[Located | ImageError, ImageError | None]":
    """Write the overlay, if there is one to write; say what went wrong, if anything did.

    Raises:
        WriteError: The disk is full, so that there is no use in going on.
    """
    from mldfr.images import ImageError

    result, path = located
    if isinstance(result, ImageError):
        return result, result
    try:
        with replacing(path) as temporary:
            result.draw().save(temporary, quality=90)
    except WriteError as error:
        if error.full:
            raise
        return result, ImageError(result.image, f"its overlay {path} cannot be written ({error.strerror})")
    return result, None


def _make_room(overlays: Path, predictions: str) -> None:
    """Make the folders of the results.

    Raises:
        WriteError: They cannot be made.
        SettingError: A folder stands where the predictions shall go.
    """
    for folder in [overlays] if predictions == "-" else [overlays, Path(predictions).parent]:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    if predictions != "-" and Path(predictions).is_dir():
        raise SettingError(f"--jsonl {predictions} is a folder, not a file")
