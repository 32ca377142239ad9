"""Score maps that were kept, in the place of the model that made them."""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

import torch
from pydantic import ValidationError
from torch import Tensor

from mldfr.artifacts import MAPS_FACTS, MapsFacts, MapsLine
from mldfr.core.errors import DataError, SettingError
from mldfr.core.files import checksum
from mldfr.core.text import escaped
from mldfr.core.types import UInt8Array
from mldfr.core.validation_errors import explain
from mldfr.localizer.map_files import read_annotated_maps, read_map_folder, stored_map
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import Activator, NamedActivator, Source
from mldfr.localizer.wanted_classes import Chosen, GivenAndPredicted, indices
from mldfr.maps import DEFAULT
from mldfr.networks.card import Card, Localization
from mldfr.networks.model_file import MODEL_FILE

OBJECT = "object"
"""The only class of maps that are class-agnostic."""
SUM_TO_ONE = 1e-3


class StoredMaps(Source):
    r"""The maps that `mldfr evaluate --save-maps` kept: of the labels of its pictures, and of the classes predicted.

    Or those of `mldfr annotate --format npy`, of the classes annotated. They have been normalised, so that another
    normaliser than theirs does not give the boxes of the model.

    A picture is known by its file, of whose path the id of a stored one is the end; where annotating noted the file's
    checksum, another picture under that name is refused. Its boxes are those of the model, under whatever rules but
    for the pyramid, which is summed up: as the map of a scale there is the sum alone. Of the k most probable classes
    those are found that have a map.

    Args:
        folder: The folder.
        card: That of the model, which a folder of annotations does not say.
        fitted: The model's file, where it lies beside the maps that it was fitted for.

    Raises:
        DataError: It holds no such maps, or says something else of them than what it has to.

    Examples:
        >>> import mldfr
        >>> _ = Path("photos.csv").write_text("image,label\nphoto.jpg,Egyptian cat\n")
        >>> told = {"scales": (1,), "save_maps": "maps"}
        >>> _ = mldfr.evaluate("imagenet", "csv:photos.csv", split="train", device="cpu", **told)
        >>> stored = mldfr.load("maps").locate("photo.jpg", threshold=0.4)
        >>> located = mldfr.load("imagenet", device="cpu").locate("photo.jpg", threshold=0.4, scales=(1,))
        >>> stored.labels[0].class_name, stored.labels[0].boxes[0].xyxy == located.labels[0].boxes[0].xyxy
        ('Egyptian cat', True)
    """

    def __init__(self, folder: str | Path, *, card: Card | None = None, fitted: Path | None = None) -> None:
        self.folder, self.fitted = Path(folder), fitted
        if card is None:
            self._facts, self._lines = read_map_folder(self.folder)
            self.card = _card(self.folder, self._facts, self._lines.values())
        else:
            self._facts, self._lines = read_annotated_maps(self.folder)
            self.card = card.model_copy(update={"localization": _localization(self._facts)})

    def __str__(self) -> str:
        return f"{self.folder}: a folder of score maps"

    @property
    def computed(self) -> str | None:
        """As the model did (see `Source`)."""
        return self._facts.computed

    def fingerprint(self) -> str:
        """That of the model that made the maps."""
        return self._facts.sha256 or ""

    def activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> Activator:
        """Of pictures without a file nothing is known (see `Source`)."""
        activate = self.named_activator(scales, map_name)
        return lambda pixels, chosen: activate([""] * len(pixels), pixels, chosen)

    def named_activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> NamedActivator:
        """The maps of the files (see `Source`).

        Raises:
            SettingError: Scales or a map other than those that were kept.
        """
        own = self.card.localization
        if (sorted(scales), map_name) != (sorted(own.scales), own.map):
            kept = f"holds maps {own.map} of the scales {own.scales}"
            raise SettingError(f"{self.folder}: {kept}; got {map_name} of {tuple(scales)}")

        def activate(
            names: Sequence[str], pixels: Sequence[UInt8Array], chosen: Sequence[Chosen | GivenAndPredicted]
        ) -> list[Activation]:
            return [self._activation(*picture) for picture in zip(names, pixels, chosen, strict=True)]

        return activate

    def _activation(self, name: str, pixels: UInt8Array, chosen: Chosen | GivenAndPredicted) -> Activation:
        line = self._line(name)
        size = pixels.shape[:2]
        if size != (line.height, line.width):
            raise DataError(f"{name}: is {size[0]}x{size[1]}; the map of {line.id} is {line.height}x{line.width}")
        _check_same_file(name, line)
        logits = _logits(line, len(self.card.class_names), multi_label=self.card.multi_label)
        classes = tuple(_most_probable(line, chosen) if isinstance(chosen, int) else indices(chosen, logits))
        if missing := [index for index in classes if index not in line.maps]:
            kept = ", ".join(self.card.class_names[index] for index in line.maps)
            wanted = self.card.class_names[missing[0]]
            raise DataError(f"{self.folder}: has of {line.id} the maps of {kept}, and none of {wanted}")
        maps = [stored_map(self.folder, line, index).at(line.height, line.width) for index in classes]
        summed = torch.stack([torch.from_numpy(each).float() for each in maps])
        return Activation(logits, classes, summed, {self.card.localization.scales[0]: summed})

    def _line(self, name: str) -> MapsLine:
        """What is known of a picture: that whose id is the longest end of the path."""
        parts = PurePath(escaped(name)).parts
        for start in range(len(parts)):
            if (line := self._lines.get("/".join(parts[start:]))) is not None:
                return line
        instead = f"; {self.fitted} is the model, which looks at any picture" if self.fitted else ""
        raise DataError(f"{self.folder}: has no map of {name or 'a picture without a file'}{instead}")


def _check_same_file(name: str, line: MapsLine) -> None:
    """Refuse another picture of the same name and size; what cannot be read was given in memory."""
    if line.checksum is not None and (now := checksum(Path(name))) not in (line.checksum, -1):
        differs = f"CRC-32 {now:08x}, then {line.checksum:08x}"
        raise DataError(f"{name}: is another file than {line.id}, of which the map is ({differs}); annotate it anew")


def is_map_folder(folder: Path) -> bool:
    """Whether `mldfr evaluate --save-maps` kept maps there, and no model lies beside them."""
    return (folder / MAPS_FACTS).is_file() and not (folder / MODEL_FILE).is_file()


def _card(folder: Path, facts: MapsFacts, lines: Iterable[MapsLine]) -> Card:
    """The card of the model that made the maps, as far as it is known."""
    names = (OBJECT,) if facts.class_agnostic else facts.classes
    try:
        return Card.model_validate(
            {
                "architecture": {**(facts.architecture or {}), "num_classes": len(names or ())},
                "class_names": names,
                "preprocessing": facts.preprocessing,
                "localization": _localization(facts),
                "multi_label": any(_is_multi_label(line, len(names or ())) for line in lines),
                "versions": facts.versions,
            }
        )
    except ValidationError as error:
        raise DataError(f"{folder / MAPS_FACTS}: damaged, {explain(error)}") from error


def _localization(facts: MapsFacts) -> Localization:
    pyramid = {"scales": facts.scales, **({"map": facts.map} if facts.map else {})}
    return Localization.model_validate({**(facts.rules or {}), **pyramid})


def _most_probable(line: MapsLine, count: int) -> Sequence[int]:
    """Of so many most probable classes those that have a map; where classes do not count, the only one."""
    return [index for index in line.top[:count] if index in line.maps] or line.top[:1] or list(line.maps)


def _is_multi_label(line: MapsLine, classes: int) -> bool:
    """Whether the probabilities of all classes are those of sigmoids: those of a softmax have the sum 1."""
    values = line.probabilities.values()
    return len(values) == classes and abs(sum(values) - 1) > SUM_TO_ONE


def _logits(line: MapsLine, classes: int, *, multi_label: bool) -> Tensor:
    """Logits (K,) whose softmax or sigmoids are the probabilities; classes that have none share the rest equally."""
    known = line.probabilities
    rest = 0.0 if multi_label else max(0.0, 1 - sum(known.values())) / max(1, classes - len(known))
    probabilities = torch.tensor([known.get(index, rest) for index in range(classes)], dtype=torch.float64)
    return (probabilities.logit() if multi_label else probabilities.log()).float()
