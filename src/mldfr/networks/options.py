"""The arguments with which a network is made, as keywords that are passed on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from mldfr.networks.backbones.base import LastDownsampling, StateDict


class NetworkOptions(TypedDict, total=False):
    """What `LocalizationNetwork.create` takes besides the backbone."""

    num_classes: int | None
    class_names: Sequence[str]
    last_downsampling: LastDownsampling | None
    recalibration: str
    recalibration_options: Mapping[str, Any] | None
    convolution: str | None
    classifier_bias: bool
    weights: str | Path | StateDict | None
    pretrained_classifier: bool
    multi_label: bool
    method: str
    method_options: Mapping[str, Any] | None
