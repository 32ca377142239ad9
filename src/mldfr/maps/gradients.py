"""Maps that need the gradient of a class's logit: the published formulas for any stage, and for the picture itself.

Each formula is told of one class the features F (C, h, w), the gradient G of its logit by them, and the logit. G is
taken times the number of cells n, so that the scales of a pyramid weigh alike and that at the last stage, where it is
the head's weights, the maps are those of `closed_forms`. All classes of a picture share one forward pass; then each has
a backward pass from the logits to the stage, and no further.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from mldfr.maps.base import LAST, PICTURE, LogitsBehind, NetworkMap
from mldfr.maps.closed_forms import LEAST_SCORE

Formula = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Features (C, h, w), their gradients times the number of cells (C, h, w) and the logit () to a map (h, w)."""


def grad_cam(features: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`max(sum_k mean(G_k) F_k, 0)`, Selvaraju et al., ICCV 2017, Eq. 1 and 2.

    Examples:
        >>> grad_cam(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, 0.0]]]), torch.tensor(1.0)).tolist()
        [[3.0, 1.0]]
    """
    return torch.einsum("c,chw->hw", gradient.mean(dim=(1, 2)), features).relu()


def hires_cam(features: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`sum_k G_k F_k`, Draelos and Carin, 2020.

    Examples:
        >>> hires_cam(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, -1.0]]]), torch.tensor(1.0)).tolist()
        [[6.0, -1.0]]
    """
    return (gradient * features).sum(dim=0)


def grad_cam_plus_plus(features: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`sum_k mean(max(G_k, 0) / (2 + G_k mean(F_k))) F_k`, Chattopadhyay et al., WACV 2018, Eq. 19.

    Features are not negative there; means below 0 are taken as 0.

    Examples:
        >>> grad_cam_plus_plus(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, -1.0]]]), torch.tensor(1.0)).tolist()
        [[0.5, 0.1666666716337204]]
    """
    positive = gradient.relu()
    alpha = 1 / (2 + positive * features.mean(dim=(1, 2), keepdim=True).relu())
    return torch.einsum("c,chw->hw", (alpha * positive).mean(dim=(1, 2)), features).relu()


def layer_cam(features: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`max(sum_k max(G_k, 0) F_k, 0)`, Jiang et al., TIP 2021, Eq. 6 to 8.

    Examples:
        >>> layer_cam(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, -1.0]]]), torch.tensor(1.0)).tolist()
        [[6.0, 0.0]]
    """
    return (gradient.relu() * features).sum(dim=0).relu()


def bag_cams(features: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`sum_k max((1 + mean(q_k) / n) q_k, 0)` with `q_k = G_k F_k / |s|`, Zhu et al., ECCV 2022.

    Examples:
        >>> bag_cams(torch.tensor([[[3.0, 1.0]]]), torch.tensor([[[2.0, -2.0]]]), torch.tensor(-2.0)).tolist()
        [[4.5, 0.0]]
    """
    q = gradient * features / logit.abs().clamp(min=LEAST_SCORE)
    return ((1 + q.mean(dim=(1, 2), keepdim=True) / q[0].numel()) * q).relu().sum(dim=0)


def saliency(picture: Tensor, gradient: Tensor, logit: Tensor) -> Tensor:
    """`max_c |G_c|` over the channels of the picture, Simonyan et al., ICLR workshop 2014, Section 3.1.

    Examples:
        >>> saliency(torch.zeros(3, 1, 1), torch.tensor([[[1.0]], [[-5.0]], [[2.0]]]), torch.tensor(1.0)).tolist()
        [[5.0]]
    """
    return gradient.abs().amax(dim=0)


@dataclass(frozen=True, eq=False)
class GradientPass:
    """A network's pass from one of its stages on, for one picture, of which gradients can be taken.

    Attributes:
        x: What came out behind the stage, (C, h, w).
        logits: (K,).

    Examples:
        >>> def mean_and_square(x):
        ...     return torch.cat([x, x**2], dim=1).mean(dim=(2, 3))
        >>> begun = GradientPass.begun(torch.tensor([[[1.0, 2.0]]]), mean_and_square)
        >>> begun.logits.tolist(), begun.maps([1], hires_cam).tolist()
        ([1.5, 2.5], [[[2.0, 8.0]]])
    """

    x: Tensor
    logits: Tensor

    @classmethod
    def begun(cls, x: Tensor, logits: Callable[[Tensor], Tensor]) -> Self:
        """Run on to the logits, in 32 bits.

        Args:
            x: (C, h, w); it may come from inference mode.
            logits: From (B, C, h, w) to (B, K).
        """
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
            given = x.float().clone().requires_grad_()
            return cls(given, logits(given[None].clone())[0])  # modules may work in place

    def maps(self, classes: Sequence[int], formula: Formula) -> Tensor:
        """Maps (k, h, w) of classes; a backward pass for each is as fast as all of them in a batch, in less memory."""
        with torch.inference_mode(False), torch.no_grad():
            return torch.stack([formula(self.x, self._gradient(each), self.logits[each]) for each in classes])

    def _gradient(self, index: int) -> Tensor:
        """Times the number of cells."""
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.logits[index], self.x, retain_graph=True)
        return self.x[0].numel() * gradient


class GradientMap(NetworkMap):
    """A map of the gradient family behind a stage, whatever the head; `at_stage` makes those that have a name.

    Examples:
        >>> from mldfr.maps import MAPS
        >>> def squares(stage, x):
        ...     return (x**2).mean(dim=(2, 3))  # a head that is not linear
        >>> MAPS["hires_cam@stage3"]().of_network(torch.tensor([[[3.0]], [[1.0]]]), [0], squares).tolist()
        [[[18.0]]]

    Attributes:
        stage: From 0 to 3, or `PICTURE`.
        formula: The method.
    """

    stage: int = LAST
    formula: Formula

    def begun(self, x: Tensor, logits_behind: LogitsBehind) -> GradientPass:
        """The pass from the stage on, of what came out behind it (C', h', w'): for this map nothing else is needed."""
        return GradientPass.begun(x, partial(logits_behind, self.stage))

    def of_network(
        self, features: Tensor, classes: Sequence[int], logits_behind: LogitsBehind, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h', w') of the stage (see `NetworkMap.of_network`)."""
        return self.begun(features if self.stage == LAST else earlier[-1], logits_behind).maps(classes, self.formula)


class Backprop(GradientMap):
    """How much the logit depends on each pixel: the gradient by the normalised picture, as fine as the picture.

    Simonyan et al., Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps, ICLR
    workshop 2014. The map alone: the paper draws boxes by a graph cut seeded with it.

    Examples:
        >>> weights = torch.randn(3, 4, 6)
        >>> def linear(stage, x):
        ...     return (weights * x).mean(dim=(1, 2, 3), keepdim=True).flatten(1)
        >>> made = Backprop().of_network(torch.zeros(1, 1, 1), [0], linear, [torch.rand(3, 4, 6)])
        >>> torch.allclose(made[0], weights.abs().amax(dim=0) / 3)  # whatever the picture
        True
    """

    earlier = (PICTURE,)
    stage = PICTURE
    formula = staticmethod(saliency)
