"""A second classifier of finer cells, from earlier stages of the trunk: where exactly the foreground ends.

Its features are those of a hypercolumn (Hariharan et al., Hypercolumns for Object Segmentation and Fine-grained
Localization, CVPR 2015), its truth what the classifier of the last stage is sure of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from mldfr.maps.cell_classifier import KeptCells, Linear, pyramid, ridge

CELLS = 200
"""Of each picture and scale."""
LEADING = 64
"""Dimensions of the last stage's vectors that are used."""
ALIKE = 0.05
"""To what standard deviation an earlier stage is brought; it is about that of the vectors of length 1."""
SURE = 0.1
"""How far from the limit the first classifier is believed."""
ROUNDS = 2


@dataclass(eq=False)
class FineCells:
    """Some cells of each picture and scale, at the size of the earliest stage that is looked at.

    Args:
        generator: What cells are drawn by.

    Attributes:
        places: For each picture and scale (n, 2), x and y from -1 to 1.
        earlier: For each picture and scale (C', n) float16, of all earlier stages together.
    """

    generator: torch.Generator
    places: list[list[Tensor]] = field(default_factory=list)
    earlier: list[list[Tensor]] = field(default_factory=list)

    def add(self, stages: Sequence[Sequence[Tensor]]) -> None:
        """Keep a picture: for each scale the features (C, h, w) of the earlier stages."""
        places = [self._draw(each[0].shape[1:]) for each in stages]
        self.places.append(places)
        self.earlier.append(
            [
                torch.cat([sampled(stage.float(), at) for stage in each]).half()
                for each, at in zip(stages, places, strict=True)
            ]
        )

    def _draw(self, size: Sequence[int]) -> Tensor:
        """Middles of cells."""
        height, width = size
        chosen = torch.randperm(height * width, generator=self.generator)[:CELLS]
        return torch.stack([(chosen % width + 0.5) / width, (chosen // width + 0.5) / height], dim=1) * 2 - 1


def sampled(values: Tensor, places: Tensor) -> Tensor:
    """Values (C, h, w) at places (n, 2), bilinear: (C, n)."""
    return F.grid_sample(values[None], places[None, None], padding_mode="border", align_corners=False)[0, :, 0]


def fit_borders(
    kept: KeptCells, fine: FineCells, coarse: Linear, limit: float, widths: Sequence[int]
) -> tuple[Linear, list[float]]:
    """Fit the second classifier.

    Args:
        kept: Cells of the last stage.
        fine: Cells of earlier stages of the same pictures.
        coarse: The first classifier.
        limit: From where on it means foreground.
        widths: Channels of the earlier stages.

    Returns:
        The classifier of `LEADING` dimensions of the last stage and all channels of the earlier ones; and by what each
        earlier stage is multiplied before.
    """
    whole = torch.cat([part for picture in fine.earlier for part in picture], dim=1).float()
    factors = [ALIKE / float(each.std().clamp(min=1e-9)) for each in torch.split(whole, list(widths))]
    scaled = torch.repeat_interleave(torch.tensor(factors), torch.tensor(list(widths)))
    leading, guesses = [], []
    for vectors, places in zip(kept.vectors, fine.places, strict=True):
        score_map = pyramid([coarse(each) for each in vectors])
        for each, at in zip(vectors, places, strict=True):
            leading.append(sampled(each[:LEADING].float(), at))
            guesses.append(sampled(score_map[None], at)[0])
    cells = torch.cat([torch.cat(leading, dim=1), whole * scaled[:, None]]).T
    scores = torch.cat(guesses)
    for _ in range(ROUNDS):
        sure = (scores - limit).abs() > SURE
        found = ridge(cells[sure], (scores[sure] > limit).float())
        scores = found(cells.T)
    return found, factors
