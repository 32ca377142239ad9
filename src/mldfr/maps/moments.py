"""Sums over cells of pictures."""

import torch
from torch import Tensor


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
