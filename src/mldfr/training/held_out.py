"""How well a trained network names what is in pictures that it did not learn from."""

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, Field, model_validator

from mldfr.core.types import Sample
from mldfr.images import ImageError
from mldfr.localizer.sources import NetworkSource
from mldfr.localizer.streaming import Query, answer_each
from mldfr.networks.network import LocalizationNetwork

MOST = 1000
"""So many pictures are looked at, at most: their share of right ones is known to 3 points then."""


class HeldOutAccuracy(BaseModel):
    """Of how many held-out pictures the most probable class is right.

    Examples:
        >>> print(HeldOutAccuracy(pictures=60, right=49, held_out=60).sentence)
        In 49 of 60 pictures that were held out of training (81.7 %) the most probable class is right.
    """

    pictures: int = Field(ge=1)
    """That were looked at."""
    right: int = Field(ge=0)
    """In which the most probable class is the labelled one, or one of those."""
    held_out: int
    """Pictures that are held out in all."""

    @model_validator(mode="after")
    def _some_of_them(self) -> Self:
        if not self.right <= self.pictures <= self.held_out:
            raise ValueError(f"expected right <= pictures <= held_out; got {self}")
        return self

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.right / self.pictures

    @property
    def sentence(self) -> str:
        """The same in plain words."""
        of = "" if self.pictures == self.held_out else f" of {self.held_out:,}"
        return (
            f"In {self.right:,} of {self.pictures:,}{of} pictures that were held out of training "
            f"({100 * self.accuracy:.1f} %) the most probable class is right."
        )


def held_out_accuracy(
    network: LocalizationNetwork, held_out: Sequence[Sample], *, most: int = MOST
) -> HeldOutAccuracy | None:
    """Let a network say what is in held-out pictures, by the logits of the scales at which its card has it classify.

    Args:
        network: In eval mode or not: it is left as it is.
        held_out: The pictures; those without a label say nothing.
        most: Of more than so many every n-th is taken.

    Returns:
        None where there is no picture that can be read.
    """
    samples = [sample for sample in held_out if sample.labels]
    looked_at = samples[:: max(1, -(-len(samples) // most))]
    source = NetworkSource(network)
    activate = source.activator(sorted(network.card.classifying(network.card.localization.scales)))

    def best(batch: Sequence[Query | ImageError]) -> list[int | None]:
        return [None if isinstance(each, ImageError) else activate([each.pixels], [1])[0].classes[0] for each in batch]

    pictures = ((sample.path, 1) for sample in looked_at)
    found = list(answer_each(best, pictures, batch_size=1, on_cores=source.on_cores))
    read = [(sample, label) for sample, label in zip(looked_at, found, strict=True) if label is not None]
    if not read:
        return None
    right = sum(label in sample.labels for sample, label in read)
    return HeldOutAccuracy(pictures=len(read), right=right, held_out=len(held_out))
