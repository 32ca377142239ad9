"""Score-CAM: what the logit is where a channel lets the picture through. Many forward passes, and no gradient.

Wang et al., Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, CVPR workshops 2020.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.maps.base import LAST, PICTURE, LogitsBehind, NetworkMap
from mldfr.methods.heads import spatial_min_max

BUDGET = 256
"""Channels, and so forward passes, of a picture at one scale: those whose features differ most from cell to cell.

The paper has all. `score_cam@stage3:all` has them here, and `score_cam@stage3:512` another budget (see `at_stage`).
"""
PIXELS_AT_ONCE = 16 * 224 * 224


class ScoreCAM(NetworkMap):
    """`A = max(sum_k w_k F_k, 0)`, with w the softmax over channels of the logits of `x * resized(min_max(F_k))`.

    All classes of a picture share the passes. Channels beyond the budget have the weight 0.

    Examples:
        >>> picture, features = torch.rand(3, 64, 96), torch.rand(8, 4, 6)
        >>> def bright(stage, x):
        ...     return x.mean(dim=(2, 3))  # three classes: red, green and blue
        >>> ScoreCAM().of_network(features, [2, 0], bright, [picture]).shape
        torch.Size([2, 4, 6])

    Attributes:
        stage: Whose channels are looked at.
        budget: How many of them at most; None for all.
    """

    earlier = (PICTURE,)
    stage: int = LAST
    budget: int | None = BUDGET

    def of_network(
        self, features: Tensor, classes: Sequence[int], logits_behind: LogitsBehind, earlier: Sequence[Tensor] = ()
    ) -> Tensor:
        """(k, h', w') of the stage, not negative (see `NetworkMap.of_network`)."""
        picture, behind = earlier[0], features if self.stage == LAST else earlier[-1]
        chosen = behind
        if self.budget is not None and self.budget < len(behind):
            spread = behind.flatten(1).std(dim=1, correction=0)
            chosen = behind[spread.topk(self.budget).indices]
        at_once = max(1, PIXELS_AT_ONCE // picture[0].numel())
        scores = torch.cat(
            [
                logits_behind(PICTURE, picture * resized(masks, picture.shape[1:]))[:, list(classes)]
                for masks in torch.split(spatial_min_max(chosen), at_once)
            ]
        )  # (channels, k)
        return torch.einsum("ck,chw->khw", scores.softmax(dim=0), chosen).relu()


def resized(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Masks (m, h, w) to (m, 1, H, W)."""
    return F.interpolate(masks[:, None], size=tuple(size), mode="bilinear", align_corners=False)
