"""Maps of where classes, or foreground, are: from features of a trunk to what is summed over the image pyramid.

A map is one file and one line here, or an entry point `mldfr.maps` in somebody else's package.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.maps.base import ActivationMap

AT_STAGES = ("grad_cam", "hires_cam", "grad_cam_plus_plus", "layer_cam", "bag_cams", "score_cam")
"""What can be had behind any stage, as `grad_cam@stage1`."""

MAPS: Registry[type["ActivationMap"]] = Registry(
    "map",
    {
        "cam": "mldfr.maps.cam:CAM",
        "nwc": "mldfr.maps.nwc:NonNegativeWeights",
        "feature_norm": "mldfr.maps.feature_norm:FeatureNorm",
        "colocalization": "mldfr.maps.colocalization:Colocalization",
        "foreground": "mldfr.maps.foreground:Foreground",
        "foreground_cam": "mldfr.maps.foreground_cam:ForegroundCAM",
        "normalized_cut": "mldfr.maps.normalized_cut:NormalizedCut",
        "psol": "mldfr.maps.psol:PSOL",
        "grad_cam": "mldfr.maps.closed_forms:GradCAM",
        "hires_cam": "mldfr.maps.closed_forms:HiResCAM",
        "grad_cam_plus_plus": "mldfr.maps.closed_forms:GradCAMPlusPlus",
        "layer_cam": "mldfr.maps.closed_forms:LayerCAM",
        "bag_cams": "mldfr.maps.closed_forms:BagCAMs",
        "score_cam": "mldfr.maps.score_cam:ScoreCAM",
        "backprop": "mldfr.maps.gradients:Backprop",
    },
    entry_points="mldfr.maps",
    makers={f"{name}@": "mldfr.maps.at_stage:at_stage" for name in AT_STAGES},
)

DEFAULT = "cam"
