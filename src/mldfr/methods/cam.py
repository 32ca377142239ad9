"""Class activation mapping: the method that all others are told apart from.

Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016; Eq. 1 to 4 of the paper.
"""

from dataclasses import dataclass

from mldfr.methods.base import Method


@dataclass(frozen=True)
class CAM(Method):
    """Global average pooling behind a 1x1 convolution, cross-entropy on the labels, nothing else."""
