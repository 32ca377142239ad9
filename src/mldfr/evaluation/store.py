"""Score maps in files, in wsolevaluation's layout.

| file | content |
|---|---|
| `<image id>.npy` | the map of the picture's label, (H, W) in [0, 1]; read also without the picture's ending |
| `by-class/<class>/<image id>.npy` | maps of other classes, by number: further labels, and predicted ones (ours only) |
| `predictions.jsonl` | size, probabilities, and range and file of each map; ours only |
| `maps.json` | which model made them, and how; ours only |

What is read back is what was written, to the last bit. Of ours a name that is too long for a file is `short_enough`.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mldfr.artifacts import MAP_LINES, MAPS_FACTS, MapFile, MapsFacts, MapsLine, read_artifact
from mldfr.core.errors import DataError
from mldfr.core.files import remove_leftovers, replacing
from mldfr.core.json_files import (
    append_line,
    cut_unfinished,
    differences,
    write_json,
)
from mldfr.core.text import original, short_enough
from mldfr.core.types import Float32Array, Sample
from mldfr.data.sizes import is_resize
from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence, Ranking
from mldfr.evaluation.protocols import WSOLEVALUATION
from mldfr.images import SUFFIXES, ImageError, image_size
from mldfr.images.junk import without_junk
from mldfr.localizer.map_files import ScoreMap, inside, read_map, read_map_folder, stored_map

OTHERS = "by-class"
SIDE = WSOLEVALUATION.side


class MapStore:
    """A folder of score maps.

    Attributes:
        folder: Where.
        facts: What `maps.json` says; None for maps of another tool.
    """

    def __init__(self, folder: Path) -> None:
        """Open what is there.

        Raises:
            DataError: No such folder, or a file in it that is not what it should be.
        """
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of score maps")
        self.folder = folder
        self.facts: MapsFacts | None = None
        self._lines: dict[str, MapsLine] = {}
        if (folder / MAPS_FACTS).is_file():
            self.facts, self._lines = read_map_folder(folder)

    @classmethod
    def create(cls, folder: Path, facts: MapsFacts) -> "MapStore":
        """Begin a folder, or go on with one of which the same is said, but for how boxes are drawn.

        Args:
            folder: Where.
            facts: What `maps.json` is to say.

        Raises:
            DataError: It holds maps that were made otherwise, or those of another tool.
            WriteError: It cannot be written to.
        """
        if (folder / MAPS_FACTS).exists():
            there = {**read_artifact(folder / MAPS_FACTS, MapsFacts).to_json(), "rules": None}
            if different := differences(there, {**facts.to_json(), "rules": None}):
                raise DataError(f"{folder}: holds maps that were made otherwise ({different}); name another folder")
            cut_unfinished(folder / MAP_LINES)
            remove_leftovers(folder, deep=True)
        elif next(without_junk(folder.rglob("*.npy"), folder), None) is not None:
            raise DataError(f"{folder}: holds maps of another tool (no {MAPS_FACTS}); name another folder")
        write_json(folder / MAPS_FACTS, facts.to_json())
        return cls(folder)

    def __contains__(self, sample: Sample) -> bool:
        """Whether there is something of the picture."""
        if self.facts is not None:
            return sample.id in self._lines
        return self._foreign_file(sample, next(iter(sample.labels), None)) is not None

    def digest(self, samples: Sequence[Sample]) -> str:
        """SHA-256 of the names, sizes and times of the maps of another tool, which may make them anew.

        Raises:
            DataError: Two pictures would have the same map.
        """
        digest, owners = hashlib.sha256(), dict[Path, str]()
        for sample in samples:
            for label in sample.labels or (None,):
                file = self._foreign_file(sample, label)
                if file is None:
                    continue
                if owners.setdefault(file, sample.id) != sample.id:
                    raise DataError(f"{file}: of {owners[file]} or of {sample.id}? Name it with the picture's ending")
                facts = file.stat()
                digest.update(f"{file.relative_to(self.folder)} {facts.st_size} {facts.st_mtime_ns}".encode())
        return digest.hexdigest()

    def read(self, sample: Sample) -> Evidence:
        """What the store has of a picture.

        Raises:
            DataError: Nothing, or a map that is none: not 2-D, not finite, outside [0, 1], or of neither the
                picture's size nor 224 x 224.
            ImageError: The size of the picture is not known.
        """
        return self._own(sample) if self.facts is not None else self._foreign(sample)

    def write(self, sample: Sample, evidence: Evidence) -> None:
        """Add a picture."""
        maps: dict[int, MapFile] = {}
        for k, score_map in evidence.maps.items():
            name = short_enough(f"{sample.id}.npy" if sample.labels[:1] == (k,) else f"{OTHERS}/{k}/{sample.id}.npy")
            with replacing(inside(self.folder, name)) as temporary:
                np.save(temporary, score_map.values)
            maps[k] = MapFile(file=name, range=(score_map.lowest, score_map.highest))
        ranking = evidence.ranking
        line = MapsLine(
            id=sample.id,
            height=evidence.height,
            width=evidence.width,
            top=ranking.top,
            probabilities=dict(ranking.probabilities),
            predicted=ranking.predicted,
            maps=maps,
        )
        append_line(self.folder / MAP_LINES, line.to_json())
        self._lines[sample.id] = line

    def _own(self, sample: Sample) -> Evidence:
        if sample.id not in self._lines:
            raise DataError(f"{self.folder / MAP_LINES}: no line for {sample.id}")
        line = self._lines[sample.id]
        ranking = Ranking(line.top, line.probabilities, line.predicted)
        shape = line.height, line.width
        maps = {k: stored_map(self.folder, line, k) for k in line.maps}
        if missing := [label for label in sample.labels if label not in maps]:
            raise DataError(f"{self.folder / MAP_LINES}: {sample.id} has no map of its label {missing[0]}")
        return Evidence(*shape, ranking, maps)

    def _foreign(self, sample: Sample) -> Evidence:
        files = {label: self._foreign_file(sample, label) for label in sample.labels or (None,)}
        maps: dict[int | None, Float32Array] = {}
        shape: tuple[int, int] | None = None
        for label, file in files.items():
            if file is None:
                where = self.folder / self._foreign_names(sample, label)[0]
                raise DataError(f"{where}: no such map, nor one without the picture's ending")
            maps[label] = read_map(file, None)
            shape = shape or _size_of(sample, maps[label].shape)
            if maps[label].shape not in (shape, (SIDE, SIDE)):
                expected = f"{shape} as the picture, or {SIDE} x {SIDE}"
                raise DataError(f"{file}: a map of shape {maps[label].shape}; expected {expected}")
        assert shape is not None
        return Evidence(*shape, UNRANKED, {k: ScoreMap(values) for k, values in maps.items() if k is not None})

    def _foreign_names(self, sample: Sample, label: int | None) -> tuple[str, ...]:
        folder = f"{OTHERS}/{label}/" if label in sample.labels[1:] else ""
        name = f"{folder}{sample.id}"
        ending = Path(name).suffix  # what follows another dot may tell two pictures apart
        return (f"{name}.npy", name.removesuffix(ending) + ".npy") if ending.lower() in SUFFIXES else (f"{name}.npy",)

    def _foreign_file(self, sample: Sample, label: int | None) -> Path | None:
        names = self._foreign_names(sample, label)
        names += tuple(map(original, names))  # of another tool, which knows the picture by the bytes of its name
        # os.path answers no where pathlib raises: names too long.
        return next((file for file in (inside(self.folder, name) for name in names) if os.path.isfile(file)), None)  # noqa: PTH113


def _size_of(sample: Sample, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the picture that a map of this shape and the annotated boxes belong to.

    Where these are of another size than the picture is now, that is told by the picture's size, unless the map has
    theirs, or the picture was only resized, which does not show in a map of 224 x 224.
    """
    annotated = sample.size
    if annotated is not None and shape == annotated:
        return annotated
    try:
        size = image_size(sample.path)
    except ImageError:
        if annotated is not None:
            return annotated
        if shape == (SIDE, SIDE):
            raise
        height, width = shape
        return height, width
    return annotated if annotated is not None and shape == (SIDE, SIDE) and is_resize(annotated, size) else size
