r"""A model as an auto-annotation function of CVAT, by CVAT's own package.

cvat-cli task auto-annotate 137 --function-module mldfr.deployment.adapters.cvat -p model=str:runs/mine \
        --allow-unmatched-labels
"""

from typing import TYPE_CHECKING, Any

from PIL import Image

from mldfr.core.errors import InputError, MissingPackageError
from mldfr.data.class_names import told_apart
from mldfr.deployment.loading import load

if TYPE_CHECKING:
    from mldfr.localizer.localizer import Localizer


class Detector:
    """What CVAT asks: `spec` says which labels there are, `detect` draws boxes in a picture.

    Args:
        localizer: What locates.
        top_k: How many of the most probable classes are drawn in each picture.

    Raises:
        MissingPackageError: CVAT's package is not installed.
    """

    def __init__(self, localizer: "Localizer", *, top_k: int = 1) -> None:
        self._cvat, self.localizer = _package(), localizer
        self.top_k = min(top_k, len(localizer.card.class_names))
        names = told_apart(localizer.card.class_names)
        labels = [self._cvat.label_spec(name, index, type="rectangle") for index, name in enumerate(names)]
        self.spec = self._cvat.DetectionFunctionSpec(labels=labels)

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """The boxes of a picture as rectangles of CVAT.

        Args:
            context: CVAT's `DetectionFunctionContext`; boxes with less than its `conf_threshold` are left out.
            image: The picture.
        """
        least = context.conf_threshold or 0.0
        located = self.localizer.locate(image, classes=self.top_k)
        return [
            self._cvat.rectangle(label.class_index, [float(value) for value in box.xyxy])
            for label in located.labels
            for box in label.boxes
            if box.score >= least
        ]


def create(model: str = "imagenet", top_k: int = 1, device: str = "auto") -> Detector:
    """What `cvat-cli ... -p model=str:MODEL -p top_k=int:1` calls.

    Args:
        model: What `mldfr.load` takes.
        top_k: How many of the most probable classes are drawn in each picture.
        device: auto, cpu, cuda, ...

    Raises:
        MldfrError: No such model, or CVAT's package is not installed.
    """
    if top_k < 1:
        raise InputError(f"top_k is at least 1; got {top_k}")
    _package()
    return Detector(load(model, device=device), top_k=top_k)


def _package() -> Any:
    try:
        import cvat_sdk.auto_annotation
    except ImportError as error:
        raise MissingPackageError("functions for CVAT need its package: pip install 'mldfr[cvat]'") from error
    return cvat_sdk.auto_annotation
