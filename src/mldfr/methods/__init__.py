"""Methods of weakly supervised localization: what each does otherwise than plain class activation mapping.

A method is one file and one line here, or an entry point `mldfr.methods` in somebody else's package.
"""

from typing import TYPE_CHECKING

from mldfr.core.registry import Registry

if TYPE_CHECKING:
    from mldfr.methods.base import Method

METHODS: Registry[type["Method"]] = Registry(
    "method",
    {
        "cam": "mldfr.methods.cam:CAM",
        "has": "mldfr.methods.has:HideAndSeek",
        "foreground": "mldfr.methods.foreground:ForegroundPooling",
        "cutmix": "mldfr.methods.cutmix:CutMix",
        "adl": "mldfr.methods.adl:AttentionBasedDropout",
        "sp": "mldfr.methods.sp:SoftProposal",
        "nl_ccam": "mldfr.methods.nl_ccam:NonLocalCombination",
        "acol": "mldfr.methods.acol:AdversarialComplementary",
        "spg": "mldfr.methods.spg:SelfProducedGuidance",
        "i2c": "mldfr.methods.i2c:InterImageCommunication",
        "danet": "mldfr.methods.danet:DivergentActivation",
        "tap": "mldfr.methods.tap:ThresholdedAveragePooling",
    },
    entry_points="mldfr.methods",
)

DEFAULT = "cam"
