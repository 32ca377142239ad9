"""From a batch to its loss: what the method does to the pictures, the network, and the method's loss."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mldfr.localizer.mscam import channel_statistics, standardize
from mldfr.networks.network import LocalizationNetwork


class Place(NamedTuple):
    """Where in a run a part of a batch stands: together with the seed that fixes what its method draws at random."""

    epoch: int
    step: int
    part: int = 0
    rank: int = 0

    def generator(self, seed: int) -> torch.Generator:
        """A generator on the CPU, the same whenever and however often the run comes here."""
        (entropy,) = np.random.SeedSequence([seed, *self]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(entropy))


class Learner(nn.Module):
    """The network as training calls it: what `Head.training_outputs` gives, in 32 bits.

    Args:
        network: What is trained.
    """

    def __init__(self, network: LocalizationNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (B, 3, S, S) and targets to logits (B, K), and what else the method's loss is given."""
        return tuple(output.float() for output in self.network.training_outputs(images, targets))


class Objective:
    """The loss of a batch.

    Args:
        network: Its card says which method, classes and normalisation.
        device: Where batches are.
    """

    def __init__(self, network: LocalizationNetwork, device: torch.device) -> None:
        self.method, card = network.method, network.card
        self.num_classes, self.multi_label = card.architecture.num_classes, card.multi_label
        self.mean, self.std = (values.to(device) for values in channel_statistics(card.preprocessing))

    def __call__(
        self,
        learner: Callable[[Tensor, Tensor], Sequence[Tensor]],
        images: Tensor,
        targets: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The mean loss, and the logits (B, K).

        Args:
            learner: A `Learner`, or what wraps one.
            images: (B, 3, S, S) uint8, on the device.
            targets: (B,) class indices, or (B, K) zeros and ones.
            generator: What the method draws from.
        """
        normalized = standardize(images, self.mean, self.std)
        changed, wanted = self.method.augment(normalized, targets, generator, num_classes=self.num_classes)
        outputs = learner(changed, wanted)
        return self.method.loss(outputs, wanted, multi_label=self.multi_label), outputs[0]


def right_ones(logits: Tensor, targets: Tensor) -> Tensor:
    """In how many pictures the most probable class is right, or is one of those that are.

    Args:
        logits: (B, K).
        targets: As the pictures have them, (B,) or (B, K): a method that mixes pictures does not mix these.
    """
    best = logits.argmax(dim=1)
    if targets.ndim == 1:
        return (best == targets).sum()
    return targets.gather(1, best[:, None]).sum()
