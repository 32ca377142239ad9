"""Deep descriptor transforming (DDT): what pictures of one kind have in common.

Wei et al., Unsupervised Object Co-localization by Deep Descriptor Transforming, Pattern Recognition 2019. All cells of
all pictures are projected on their first principal component; where the pictures show one kind of thing, its sign
parts the thing from everything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mldfr.core.errors import InputError
from mldfr.maps.base import FittedMap
from mldfr.maps.moments import Moments
from mldfr.maps.seen import SeenPicture
from mldfr.methods.heads import Head


class Colocalization(FittedMap):
    """`A = p . (F - mean)`, with the first principal component p of the cells, towards those of longer vectors.

    Examples:
        >>> moments = Moments(2)
        >>> moments.add(torch.tensor([[[0.0, 0.0, 9.0]], [[1.0, 1.0, 1.0]]]))  # two cells of ground, one of a thing
        >>> from mldfr.methods.heads import ConvCls
        >>> fitted = Colocalization.of([moments], channels=(2,))
        >>> fitted(torch.tensor([[[0.0, 9.0]], [[1.0, 1.0]]]), [0], ConvCls(2, 1, bias=False)).tolist()
        [[[-3.0, 6.0]]]
    """

    by_class = True

    mean: Tensor
    direction: Tensor
    suggested: ClassVar[Mapping[str, Any]] = {"threshold": "mean"}

    def __init__(self, channels: Sequence[int], groups: int) -> None:
        super().__init__(channels, groups)
        self.register_buffer("mean", torch.zeros(groups, self.channels[-1]))
        self.register_buffer("direction", torch.zeros(groups, self.channels[-1]))

    @classmethod
    def fitted(cls, pictures: Iterable[SeenPicture], *, channels: Sequence[int], groups: int, head: Head) -> Self:
        """Means and components, of all pictures or of each class's (see `FittedMap.fitted`)."""
        moments = [Moments(channels[-1]) for _ in range(groups)]
        for picture in pictures:
            for group in {0} if groups == 1 else set(picture.labels):
                for scale in picture.at:
                    moments[group].add(picture.last(scale))
        return cls.of(moments, channels=channels)

    @classmethod
    def of(cls, moments: Sequence[Moments], *, channels: Sequence[int]) -> Self:
        """The components of cells whose sums are known, one group of them for all pictures or one for each class."""
        made = cls(channels, len(moments))
        for group, each in enumerate(moments):
            if each.count < 2:
                raise InputError(f"a principal component needs cells of pictures; group {group} has {each.count}")
            component = torch.linalg.eigh(each.covariance).eigenvectors[:, -1]
            # Either sign is a component; things have longer vectors than ground (Wei et al. leave it open).
            component = component if component @ each.covariance_with_norm >= 0 else -component
            made.mean[group], made.direction[group] = each.mean.float(), component.float()
        return made

    def forward(
        self, features: Tensor, classes: Sequence[int] | Tensor, head: Head, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(1, h, w), or (k, h, w) where each class has its own component (see `ActivationMap.forward`)."""
        rows = torch.as_tensor(classes, device=features.device) if self.groups > 1 else slice(None)
        mean, direction = self.mean[rows], self.direction[rows]
        offset = (direction * mean).sum(dim=1)
        return (direction @ features.flatten(1) - offset[:, None]).view(-1, *features.shape[1:])
