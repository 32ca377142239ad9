"""A model as a model of FiftyOne: `dataset.apply_model(Model("runs/mine"), label_field="mldfr")`."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mldfr.core.errors import InputError, MissingPackageError
from mldfr.core.types import UInt8Array
from mldfr.deployment.loading import load
from mldfr.images import ImageError
from mldfr.localizer.localizer import Localizer
from mldfr.localizer.results import Located

try:
    import fiftyone
    import fiftyone.core.models
except ImportError as error:
    raise MissingPackageError("models for FiftyOne need its package: pip install 'mldfr[fiftyone]'") from error


class Model(fiftyone.core.models.Model):  # type: ignore[misc]
    """What FiftyOne asks: `predict` answers with detections for a picture that it has read.

    Args:
        model: What `mldfr.load` takes, or a localizer.
        top_k: How many of the most probable classes are drawn in each picture.
        heatmaps: Whether each picture gets the map too that its boxes were drawn from. The field of the dataset then
            is two: FIELD_detections and FIELD_heatmap.
        device: auto, cpu, cuda, ...

    Raises:
        InputError: A `top_k` under 1.
        MldfrError: No such model.
    """

    media_type = "image"
    transforms = None
    preprocess = False
    ragged_batches = False
    """Whether pictures have to be made alike for `predict_all`: it takes them as they are."""
    config = None
    """FiftyOne looks for options of its own here, such as a threshold; without any it applies them itself."""

    def __init__(
        self, model: str | Localizer = "imagenet", *, top_k: int = 1, heatmaps: bool = False, device: str = "auto"
    ) -> None:
        if top_k < 1:
            raise InputError(f"top_k is at least 1; got {top_k}")
        self.localizer = model if isinstance(model, Localizer) else load(model, device=device)
        self.top_k, self.heatmaps = min(top_k, len(self.localizer.card.class_names)), heatmaps

    def predict(self, arg: UInt8Array) -> Any:
        """Detections of a picture, or with `heatmaps` a dict of them and a heat map.

        Args:
            arg: (H, W, 3) uint8, RGB; grey and alpha are taken too.

        Returns:
            `fiftyone.Detections`, boxes relative to the picture's sides, with the score of each as its confidence.
        """
        return self._labels(self.localizer.locate(arg, classes=self.top_k))

    def predict_all(self, args: Iterable[UInt8Array]) -> list[Any]:
        """What `predict` answers for each of several pictures, of any sizes, on a CPU for several at once.

        Raises:
            ImageError: An array that is no picture.
        """
        pictures = list(args)
        together = 1 if self.localizer.source.on_cores else max(1, len(pictures))
        labels = []
        for located in self.localizer.locate_all(pictures, classes=self.top_k, batch_size=together):
            if isinstance(located, ImageError):
                raise located
            labels.append(self._labels(located))
        return labels

    def _labels(self, located: Located) -> Any:
        sides = np.array([located.width, located.height] * 2)
        detections = []
        for label in located.labels:
            for box in label.boxes:
                x0, y0, x1, y1 = (np.asarray(box.xyxy) / sides).tolist()
                corner_and_size = [x0, y0, x1 - x0, y1 - y0]
                detections.append(
                    fiftyone.Detection(
                        label=label.class_name, bounding_box=corner_and_size, confidence=float(box.score)
                    )
                )
        found = fiftyone.Detections(detections=detections)
        if not self.heatmaps:
            return found
        return {"detections": found, "heatmap": fiftyone.Heatmap(map=located.heat, range=[0.0, 1.0])}
