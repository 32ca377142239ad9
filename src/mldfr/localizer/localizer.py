"""Pictures to predictions: the single entrance for the command line and for Python."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from PIL import Image

from mldfr.boxes.drawing import draw_boxes
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.core.errors import InputError, SettingError
from mldfr.core.parallel import ahead, in_batches, spread
from mldfr.core.types import Boxes, Float32Array, Label, Prediction, UInt8Array
from mldfr.images import ImageError, check_size, read_image, to_rgb
from mldfr.images.overlays import overlay
from mldfr.localizer.mscam import Activation, mscam, short_side
from mldfr.localizer.wanted_classes import Chosen, Wanted, class_indices, indices
from mldfr.networks import zoo
from mldfr.networks.card import Card, Localization, Rules
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import WeightsError, fingerprint

ImageLike = str | Path | Image.Image | UInt8Array
Activator = Callable[[Sequence[UInt8Array], Sequence[Chosen]], list[Activation]]
"""Pixels of pictures (H, W, 3), and the classes to map in each, to their maps."""

MAX_MAP_BYTES = 2**30
READ_AHEAD = 4
READERS = 2


@dataclass(frozen=True)
class Located(Prediction):
    """A prediction together with what it was made from.

    Attributes:
        pixels: (H, W, 3) uint8, the image.
        probabilities: (K,), of all classes.
        score_maps: (k, H, W), one summed map per label, any range.
        scale_maps: For each scale the maps (k, h, w) that were resized to the picture and summed.
        normalizer: Which of the normalisers brings them into [0, 1].
    """

    pixels: UInt8Array = field(repr=False, compare=False)
    probabilities: Float32Array = field(repr=False, compare=False)
    score_maps: Float32Array = field(repr=False, compare=False)
    scale_maps: Mapping[float, Float32Array] = field(repr=False, compare=False)
    normalizer: str

    @property
    def activations(self) -> Float32Array:
        """(k, H, W) in [0, 1], one map per label."""
        return np.stack([NORMALIZERS[self.normalizer](score_map) for score_map in self.score_maps])

    def draw(self) -> Image.Image:
        """The picture with heat map, boxes, classes and probabilities; its long side is 320 to 1280 pixels."""
        heat = np.zeros_like(self.score_maps[0])
        for score_map in self.score_maps:  # where classes overlap the hottest shows
            np.maximum(heat, NORMALIZERS[self.normalizer](score_map), out=heat)
        return overlay(self.pixels, self.labels, heat)


class Locator(ABC):
    """What takes pictures and answers with boxes: `Localizer`, and whatever else can map classes at several scales."""

    card: Card

    @property
    def on_cores(self) -> bool:
        """Whether several threads shall run the activator at once, on their share of the cores."""
        return False

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the weights: what they are, wherever they lie."""

    @property
    def computed(self) -> str | None:
        """By what, and in which precision, where that is not PyTorch."""
        return None

    @abstractmethod
    def activator(self, scales: Sequence[float]) -> Activator:
        """The function that maps classes at these scales; made once for a stream of pictures.

        Raises:
            ValueError: Scales that cannot be had.
        """

    def locate(
        self,
        image: ImageLike,
        *,
        classes: Wanted = 1,
        **rules: Unpack[Rules],
    ) -> Located:
        """Say what is in a picture, and where.

        Args:
            image: A file, a Pillow image, or an RGB array (H, W, 3) uint8.
            classes: The k most probable classes, "all", or names or indices of classes.
            **rules: `scales`, `threshold`, `normalizer`, `box_rule`, `instances`, `refine`; what the model's card says
                when left out.

        Raises:
            ImageError: The picture could not be read.
            ValueError: An argument out of its range, or an unknown name.
        """
        (located,) = self.locate_all([image], classes=classes, **rules)
        if isinstance(located, ImageError):
            raise located
        return located

    def locate_all(
        self,
        images: Iterable[ImageLike],
        *,
        classes: Wanted = 1,
        batch_size: int = 1,
        **rules: Unpack[Rules],
    ) -> Iterator[Located | ImageError]:
        """Locate in many pictures, on a CPU in several at once, while the next ones are read in the background.

        Nothing of a picture is kept once its result has been given.

        Args:
            images: What `locate` takes.
            classes: What `locate` takes, the same for all.
            batch_size: How many pictures to look at together. Those of one shape share a pass through the network,
                which helps a GPU; on a CPU every core is busy with another picture anyway.
            **rules: What `locate` takes.

        Returns:
            For each picture, in the order given, what was found, or why it could not be read.

        Raises:
            ValueError: An argument out of its range or an unknown name, before the first picture is read.
        """
        chosen = class_indices(self.card, classes)
        return self.locate_each(((image, chosen) for image in images), batch_size=batch_size, **rules)

    def locate_each(
        self, pictures: Iterable[tuple[ImageLike, Chosen]], *, batch_size: int = 1, **rules: Unpack[Rules]
    ) -> Iterator[Located | ImageError]:
        """Do what `locate_all` does with classes that are each picture's own: their number, or a list of indices."""
        settings = self.card.localization.changed(**rules)
        if batch_size < 1:
            raise SettingError(f"batch_size must be at least 1; got {batch_size}")
        pictures = ((image, self._checked(chosen)) for image, chosen in pictures)
        return self._stream(pictures, self.activator(settings.scales), settings, batch_size)

    def _checked(self, chosen: Chosen) -> Chosen:
        """The classes, if the model has them; every engine would answer otherwise to those it has not."""
        count = len(self.card.class_names)
        if isinstance(chosen, int):
            known = 1 <= chosen <= count
        else:
            known = len(chosen) > 0 and all(0 <= index < count for index in chosen)
        if not known:
            raise InputError(f"classes are 0 to {count - 1}, at least one, or 1 to {count} of them; got {chosen}")
        return chosen

    def _stream(
        self,
        pictures: Iterable[tuple[ImageLike, Chosen]],
        activate: Activator,
        settings: Localization,
        batch_size: int,
    ) -> Iterator[Located | ImageError]:
        def locate(batch: Sequence[_Picture | ImageError]) -> list[Located | ImageError]:
            readable = [picture for picture in batch if isinstance(picture, _Picture)]
            activations = activate([picture.pixels for picture in readable], [picture.classes for picture in readable])
            maps = iter(activations)
            return [
                picture if isinstance(picture, ImageError) else _locate(self.card, picture, next(maps), settings)
                for picture in batch
            ]

        with ThreadPoolExecutor(READERS) as readers:
            batches = in_batches(ahead(readers, _read, pictures, READ_AHEAD + batch_size), batch_size)
            made = spread(locate, batches, weight=_weight) if self.on_cores else map(locate, batches)
            yield from chain.from_iterable(made)


class Localizer(Locator, LocalizationNetwork):
    """A network that takes pictures and answers with boxes; made by `mldfr.load` or `Localizer.create`."""

    @property
    def on_cores(self) -> bool:
        """On a CPU (see `Locator`)."""
        return self.head.weight.device.type == "cpu"

    def fingerprint(self) -> str:
        """SHA-256 of the state dict (see `Locator`)."""
        return fingerprint(self.state_dict())

    def activator(self, scales: Sequence[float]) -> Activator:
        """`mscam` of the network as it is now, its BatchNorms folded (see `Locator`)."""
        for scale in scales:
            short_side(self.card.preprocessing, scale)
        network = self.fused()

        def activate(pixels: Sequence[UInt8Array], chosen: Sequence[Chosen]) -> list[Activation]:
            images = [torch.from_numpy(array).permute(2, 0, 1) for array in pixels]
            return mscam(network, images, scales=scales, classes=lambda index, logits: indices(chosen[index], logits))

        return activate


@dataclass(frozen=True, eq=False)
class _Picture:
    name: str
    pixels: UInt8Array
    classes: Chosen

    @property
    def num_maps(self) -> int:
        """How many classes are mapped in it."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def map_bytes(self) -> int:
        """What its maps need."""
        height, width = self.pixels.shape[:2]
        return 4 * self.num_maps * int(height) * int(width)


def _weight(batch: Sequence[_Picture | ImageError]) -> float:
    """Which part of the memory for maps the pictures need."""
    return sum(picture.map_bytes for picture in batch if isinstance(picture, _Picture)) / MAX_MAP_BYTES


def _read(asked: tuple[ImageLike, Chosen]) -> _Picture | ImageError:
    """Read one picture; what is wrong with it is an answer, not an exception."""
    image, classes = asked
    try:
        picture = _Picture(*_name_and_pixels(image), classes)
    except ImageError as error:
        return error
    if (needed := picture.map_bytes) > MAX_MAP_BYTES:
        maps = f"{picture.num_maps} classes at {picture.pixels.shape[0]}x{picture.pixels.shape[1]}"
        return ImageError(picture.name, f"the maps of {maps} would need {needed / 2**30:.0f} GiB; ask for fewer")
    return picture


def _name_and_pixels(image: ImageLike) -> tuple[str, UInt8Array]:
    if isinstance(image, str | Path):
        return str(image), read_image(image)
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "")
        return name, to_rgb(image, name=name or "image")
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image is a path, a Pillow image or an array; got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"an image array is RGB, (H, W, 3) uint8; got {image.shape} {image.dtype}")
    check_size(image.shape[0], image.shape[1], "array")
    return "", image.copy()  # the caller may change or free its own while the result lives


def _locate(card: Card, picture: _Picture, activation: Activation, localization: Localization) -> Located:
    """Score maps to boxes, each scored with its mean activation times the probability of its class."""
    logits = activation.logits
    probabilities = (logits.sigmoid() if card.multi_label else logits.softmax(dim=0)).cpu().numpy()
    score_maps = activation.score_maps.cpu().numpy()
    labels = []
    for index, score_map in zip(activation.classes, score_maps, strict=True):
        probability = float(probabilities[index])
        found = draw_boxes(score_map, picture.pixels, localization)
        boxes = Boxes(found.xyxy, found.scores * np.float32(probability), found.pixels)
        labels.append(Label(index, card.class_names[index], probability, boxes))
    height, width = picture.pixels.shape[:2]
    return Located(
        image=picture.name,
        height=height,
        width=width,
        labels=tuple(labels),
        pixels=picture.pixels,
        probabilities=probabilities,
        score_maps=score_maps,
        scale_maps={scale: maps.cpu().numpy() for scale, maps in activation.scale_maps.items()},
        normalizer=localization.normalizer,
    )


def choose_device(name: str) -> torch.device:
    """A device of PyTorch; `auto` is a GPU if there is one.

    Raises:
        ValueError: PyTorch does not know the name, or the device is not there.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingError(f"device {name!r} cannot be used ({str(error).splitlines()[0]})") from error
    return device


def load(name_or_path: str | Path, *, device: str = "auto") -> Localizer:
    """A named model (`mldfr list models`) or a saved one, ready to be handed pictures.

    Args:
        name_or_path: `imagenet`, a file that `save` wrote, or a folder with a `model.safetensors`.
        device: `auto` takes a GPU if there is one; or a device of PyTorch.

    Raises:
        WeightsError: Neither a name nor a readable model, or a file that does not fit its card.
        ValueError: No such device.
    """
    suffix = Path(name_or_path).suffix.lower()
    if suffix == ".onnx":
        raise WeightsError(f'{name_or_path}: an ONNX model; it is opened with mldfr.load_onnx("{name_or_path}")')
    if suffix == ".pt2":
        raise WeightsError(f"{name_or_path}: a program for PyTorch without mldfr; torch.export.load opens it")
    return zoo.load(Localizer, name_or_path).to(choose_device(device))
