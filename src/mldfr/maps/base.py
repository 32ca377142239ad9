"""The contract of a map: from features at one scale to what MsCAM sums.

| a map that | is |
|---|---|
| is computed from features and head alone | an `ActivationMap` |
| has to see pictures first, and keeps what it learned from them in the model file | a `FittedMap` |
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.maps import MAPS
from mldfr.methods.heads import Head


class ActivationMap(nn.Module, ABC):
    """A way to say where things are in a picture, from its features at one scale.

    The maps of the scales are resized to the picture and summed as they are, so that what has to be normalised is
    normalised here. They are computed for one picture, in operations that `torch.export` can follow.

    Examples:
        >>> from mldfr.maps import MAPS
        >>> from mldfr.methods.heads import ConvCls
        >>> features, head = torch.rand(16, 4, 6), ConvCls(16, 3, bias=True)
        >>> MAPS["cam"]()(features, [2, 0], head).shape, MAPS["feature_norm"]()(features, [2, 0], head).shape
        (torch.Size([2, 4, 6]), torch.Size([1, 4, 6]))

    Attributes:
        earlier: Which stages before the last it looks at too: of 0 to 2, at strides 4, 8 and 16.
    """

    earlier: tuple[int, ...] = ()

    @abstractmethod
    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """Features of one picture (C, h, w) to maps (k, h, w) of `classes`, or to one map (1, h, w) for all of them.

        Args:
            features: In float32; of one scale.
            classes: k indices of classes.
            head: The model's, which says how classes depend on features.
            earlier: Features (C', h', w') after the stages that `self.earlier` names.

        Raises:
            SettingError: The head is not of a kind that this map can be had of.
        """


class FittedMap(ActivationMap):
    """A map that learns from pictures without boxes where foreground is, and keeps it as buffers in the model file.

    Args:
        channels: C of the features.
        groups: How many kinds of pictures it tells apart: 1 for all together, or the number of classes.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.channels, self.groups = channels, groups

    @classmethod
    @abstractmethod
    def fitted(cls, moments: "Sequence[Moments]") -> Self:
        """What was learned from the cells of pictures.

        Args:
            moments: Of all pictures together, or of each class's.

        Raises:
            InputError: Cells that say nothing, such as those of no picture.
        """


def fitted_map(name: str) -> type[FittedMap]:
    """The kind of a map that is fitted on pictures, by its name.

    Raises:
        UnknownNameError: No such map.
        SettingError: One that is not fitted on anything.
    """
    kind = MAPS[name]
    if not issubclass(kind, FittedMap):
        raise SettingError(f"map {name} is not fitted on anything, and cannot be kept in a model file")
    return kind


class Moments:
    """Sums over cells of pictures, by which directions among them are found; no cell has to be kept.

    Args:
        channels: C.

    Examples:
        >>> moments = Moments(2)
        >>> moments.add(torch.tensor([[[1.0, 3.0]], [[0.0, 0.0]]]))
        >>> moments.mean.tolist(), moments.covariance.tolist()
        ([2.0, 0.0], [[1.0, 0.0], [0.0, 0.0]])
    """

    def __init__(self, channels: int) -> None:
        self.count = 0
        self._sum = torch.zeros(channels, dtype=torch.float64)
        self._squares = torch.zeros(channels, channels, dtype=torch.float64)
        self._by_norm = torch.zeros(channels, dtype=torch.float64)
        self._norms = 0.0

    def add(self, features: Tensor) -> None:
        """Count the cells of a picture in: (C, h, w)."""
        cells = features.flatten(1).T.float().cpu()  # (n, C)
        norms = cells.norm(dim=1)
        self.count += len(cells)
        self._sum += cells.sum(dim=0).double()
        self._squares += (cells.T @ cells).double()
        self._by_norm += (norms @ cells).double()
        self._norms += float(norms.sum())

    @property
    def mean(self) -> Tensor:
        """(C,), of all cells."""
        return self._sum / self.count

    @property
    def covariance(self) -> Tensor:
        """(C, C), of all cells."""
        return self._squares / self.count - torch.outer(self.mean, self.mean)

    @property
    def covariance_with_norm(self) -> Tensor:
        """(C,), of each channel with the length of the cells' feature vectors."""
        return self._by_norm / self.count - self.mean * (self._norms / self.count)
