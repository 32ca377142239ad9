"""A model as a base model of autodistill, by its own package.

BaseModel(CaptionOntology({"tabby": "cat"}), "runs/mine").label("photos", extension=".jpg")
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mldfr.core.errors import InputError, MissingPackageError
from mldfr.core.types import UInt8Array
from mldfr.data.class_names import ClassNames, some
from mldfr.deployment.loading import load
from mldfr.localizer.localizer import Localizer

try:
    from autodistill.detection import DetectionBaseModel, DetectionOntology
    from autodistill.helpers import load_image
except ImportError as error:
    raise MissingPackageError("models for autodistill need its package: pip install 'mldfr[autodistill]'") from error

if TYPE_CHECKING:
    import supervision


class BaseModel(DetectionBaseModel):  # type: ignore[misc]
    """What autodistill asks: `predict` draws boxes in a picture, and its own `label` calls that for a folder.

    Args:
        ontology: From names of the model's classes, which are its prompts, to names of the classes that are wanted;
            several may become one. A picture whose most probable classes are none of them gets no boxes.
        model: What `mldfr.load` takes, or a localizer.
        top_k: How many of the most probable classes are drawn in each picture.
        masks: Whether boxes have masks, which `label` then writes as polygons.
        device: auto, cpu, cuda, ...

    Raises:
        InputError: A prompt that is none of the model's classes, or a `top_k` under 1.
        MldfrError: No such model.
    """

    def __init__(
        self,
        ontology: DetectionOntology,
        model: str | Localizer = "imagenet",
        *,
        top_k: int = 1,
        masks: bool = False,
        device: str = "auto",
    ) -> None:
        if top_k < 1:
            raise InputError(f"top_k is at least 1; got {top_k}")
        self.ontology, self.masks = ontology, masks
        self.localizer = model if isinstance(model, Localizer) else load(model, device=device)
        self.top_k = min(top_k, len(self.localizer.card.class_names))
        self._numbers = _numbers(ontology, self.localizer)

    def predict(self, input: str | UInt8Array | Image.Image) -> "supervision.Detections":
        """The boxes of a picture, with the numbers of the ontology's classes.

        Args:
            input: A file, an address on the net, a Pillow image, or an array (H, W, 3) uint8 in the order of OpenCV,
                which is blue, green, red.

        Returns:
            Detections with xyxy, confidence and class_id; `data["class_name"]` is the ontology's name.
        """
        located = self.localizer.locate(_picture(input), classes=self.top_k)
        found = located.to_supervision(masks=self.masks)
        wanted = found[np.isin(found.class_id, list(self._numbers))]
        wanted.class_id = np.array([self._numbers[index] for index in wanted.class_id], dtype=np.int64)
        names = self.ontology.classes()
        wanted.data["class_name"] = np.array([names[number] for number in wanted.class_id], dtype=str)
        return wanted


def _numbers(ontology: DetectionOntology, localizer: Localizer) -> dict[int, int]:
    """From classes of the model to those of the ontology, where a class that several prompts mean is the first."""
    names, wanted = ClassNames(localizer.card.class_names), ontology.classes()
    numbers: dict[int, int] = {}
    for prompt in ontology.prompts():
        found = names.find(str(prompt))
        if not found:
            raise InputError(f"the ontology's prompt {prompt!r} is no class of the model; it has: {some(names.names)}")
        numbers |= dict.fromkeys(found, wanted.index(ontology.promptToClass(prompt)))
    return numbers


def _picture(given: str | UInt8Array | Image.Image) -> Any:
    """What `locate` takes; files are read by it, which turns photographs upright."""
    if isinstance(given, np.ndarray):
        return given[..., ::-1] if given.ndim == 3 else given
    if isinstance(given, str) and given.startswith(("http://", "https://")):
        return load_image(given, return_format="PIL")
    return given
