"""Score maps in files: one map, and what a folder of our own says of its maps (layout: `mldfr.evaluation.store`)."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mldfr.artifacts import (
    MAP_LINES,
    MAPS_FACTS,
    SCORE_MAPS,
    AnnotationRow,
    AnnotationSetting,
    MapFile,
    MapsFacts,
    MapsLine,
    as_artifact,
    read_artifact,
)
from mldfr.boxes.normalizers import check, min_max
from mldfr.core.errors import DataError
from mldfr.core.json_files import read_whole_lines
from mldfr.core.types import Float32Array
from mldfr.jobs.shard import part_files


@dataclass(frozen=True, eq=False)
class ScoreMap:
    """A score map in [0, 1] and the range that it had before, from which it can be had back.

    Attributes:
        values: (h, w) float32 in [0, 1].
        lowest, highest: What 0 and 1 stand for.
    """

    values: Float32Array
    lowest: float = 0.0
    highest: float = 1.0

    @classmethod
    def of(cls, score_map: Float32Array) -> "ScoreMap":
        """The min-max normalised map (Eq. 9) of any map."""
        check(score_map)
        return cls(min_max(score_map), float(score_map.min()), float(score_map.max()))

    @property
    def constant(self) -> bool:
        """Whether it says nothing about where."""
        return bool(self.values.min() == self.values.max())

    def at(self, height: int, width: int) -> Float32Array:
        """The map in its own range at another size (bilinear, half-pixel centres)."""
        values = self.values
        if (self.lowest, self.highest) != (0.0, 1.0):
            values = values * np.float32(self.highest - self.lowest) + np.float32(self.lowest)
        if values.shape == (height, width):
            return values
        return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def read_map_folder(folder: Path) -> tuple[MapsFacts, dict[str, MapsLine]]:
    """What a folder of `mldfr evaluate --save-maps` says of its maps: of all, and of each picture by id.

    Raises:
        DataError: It says something else; the message names file, line and what was expected.
    """
    facts = read_artifact(folder / MAPS_FACTS, MapsFacts)
    lines: dict[str, MapsLine] = {}
    for number, content in enumerate(read_whole_lines(folder / MAP_LINES), start=1):
        line = as_artifact(MapsLine, content, f"{folder / MAP_LINES}:{number}")
        lines[line.id] = line
    return facts, lines


def read_annotated_maps(folder: Path) -> tuple[MapsFacts, dict[str, MapsLine]]:
    """The same of a folder of `mldfr annotate --format npy`, whose maps are the activations that boxes are drawn from.

    Raises:
        DataError: It says something else; the message names file, line and what was expected.
    """
    parts = annotated_parts(folder)
    setting = read_artifact(parts[0], AnnotationSetting)
    rules = dict(setting.localization)
    if setting.min_region is not None:
        rules["min_region"] = setting.min_region
    rules.pop("closer", None)  # the maps are what it came to
    facts = MapsFacts(
        model=setting.model,
        sha256=setting.sha256,
        computed=setting.computed,
        scales=rules.pop("scales", None),
        map=rules.pop("map", None),
        classes=setting.classes,
        rules=rules,
    )
    lines: dict[str, MapsLine] = {}
    for file in (part.with_suffix(".jsonl") for part in parts):
        for number, content in enumerate(read_whole_lines(file), start=1):
            if "error" not in content:
                row = as_artifact(AnnotationRow, content, f"{file}:{number}")
                lines[row.name] = _line_of(row)
    return facts, lines


def annotated_parts(folder: Path) -> list[Path]:
    """What the parts of annotations are made with, of which score maps were kept; none where it is no such folder."""
    return part_files(folder) if (folder / SCORE_MAPS).is_dir() else []


def _line_of(row: AnnotationRow) -> MapsLine:
    labels = sorted(row.labels, key=lambda label: -label.probability)
    classes = tuple(label.class_index for label in labels)
    return MapsLine(
        id=row.name,
        height=row.height,
        width=row.width,
        top=classes,
        probabilities={label.class_index: label.probability for label in labels},
        predicted=classes,
        maps={k: MapFile(file=f"{SCORE_MAPS}/{row.name}.{k}.npy", range=(0.0, 1.0)) for k in classes},
        checksum=row.checksum,
    )


def stored_map(folder: Path, line: MapsLine, label: int) -> ScoreMap:
    """The map of a class of a picture, of the picture's size.

    Raises:
        DataError: Its file is none.
    """
    known = line.maps[label]
    return ScoreMap(read_map(inside(folder, known.file), (line.height, line.width)), *known.range)


def inside(folder: Path, name: str) -> Path:
    """A file of a folder.

    Raises:
        DataError: The name leads out of it.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise DataError(f"{folder}: the map {name} would lie outside of it")
    return folder / name


def read_map(file: Path, shape: tuple[int, int] | None) -> Float32Array:
    """Read a score map; float64 stays what it is, as its levels may differ.

    Args:
        file: A `.npy` file.
        shape: What it must have, if that is known.

    Raises:
        DataError: It is no map, or one of another shape; the message names file, value and what was expected.
    """
    try:
        values = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: not an .npy file ({error})") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.size == 0 or values.dtype.kind not in "fbui":
        found = f"{values.shape} {values.dtype}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{file}: expected a score map (H, W) of numbers; got {found}")
    double = values.dtype.kind == "f" and values.dtype.itemsize == 8  # of either byte order
    values = values.astype(np.float64 if double else np.float32, copy=False)
    if shape is not None and values.shape != shape:
        raise DataError(f"{file}: a map of shape {values.shape}; expected {shape}")
    if not np.isfinite(values).all():
        raise DataError(f"{file}: {int((~np.isfinite(values)).sum())} of {values.size} values are not finite")
    if values.min() < 0 or values.max() > 1:
        raise DataError(f"{file}: values from {values.min():g} to {values.max():g}; expected [0, 1]")
    score_map: Float32Array = values
    return score_map
