"""Maps of a source under other classes: labels say what is in a picture, the source where."""

from collections.abc import Sequence

import torch

from mldfr.core.types import UInt8Array
from mldfr.localizer.mscam import Activation
from mldfr.localizer.sources import NamedActivator, Source, WrappedSource
from mldfr.localizer.wanted_classes import Chosen, GivenAndPredicted, indices
from mldfr.maps import DEFAULT

CERTAIN = 30.0
"""A logit whose probability is 1 in float32."""


class LabelledSource(WrappedSource):
    """A source whose classes are those of somebody's labels, which its own need not know.

    What the source sees most clearly, its most probable class or the foreground, stands for whatever class is asked
    for. Every class is certain: whoever asks for one has it from a label.

    Args:
        source: What maps things.
        class_names: Of the labels.

    Examples:
        >>> import mldfr, numpy as np
        >>> localizer = mldfr.Localizer(LabelledSource(mldfr.load("imagenet", device="cpu").source, ["wren", "robin"]))
        >>> (label,) = localizer.locate(np.zeros((64, 96, 3), np.uint8), classes=["robin"], scales=(1,)).labels
        >>> label.class_name, label.probability
        ('robin', 1.0)
    """

    def __init__(self, source: Source, class_names: Sequence[str]) -> None:
        self.source = source
        card = source.card
        architecture = card.architecture.model_copy(update={"num_classes": len(class_names)})
        told = {"class_names": tuple(class_names), "architecture": architecture, "multi_label": True}
        self.card = card.model_copy(update=told)

    def of(self, source: Source) -> "LabelledSource":
        """The same labels, mapped by another source."""
        return LabelledSource(source, self.card.class_names)

    def named_activator(self, scales: Sequence[float], map_name: str = DEFAULT) -> NamedActivator:
        """The source's, asked for its most probable class (see `Source`)."""
        activate = self.source.named_activator(scales, map_name)
        logits = torch.full((len(self.card.class_names),), CERTAIN)

        def activate_labels(
            names: Sequence[str], pixels: Sequence[UInt8Array], chosen: Sequence[Chosen | GivenAndPredicted]
        ) -> list[Activation]:
            found = activate(names, pixels, [1] * len(pixels))
            return [_renamed(each, logits, indices(of, logits)) for each, of in zip(found, chosen, strict=True)]

        return activate_labels


def _renamed(found: Activation, logits: torch.Tensor, classes: Sequence[int]) -> Activation:
    """One map for each of the classes."""
    rows = [0] * len(classes)
    scale_maps = {scale: maps[rows] for scale, maps in found.scale_maps.items()}
    return Activation(logits, tuple(classes), found.score_maps[rows], scale_maps)
