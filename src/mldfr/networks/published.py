"""Networks of the peers as they were published: what the paper's Table V counts beside its own.

The rows CAM, ACoL and SPG of that table are wsolevaluation's networks at stride 16, those of I2C and DANet their
authors', at stride 8 and 16. Heads are those of `mldfr.methods`, at the published widths and on the published places of
torchvision's untouched trunks; so a count checks the head too. To train, `mldfr train` puts the same heads on the
trunks of this package.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torchvision.models import inception_v3, resnet50, vgg16

from mldfr.core.errors import SettingError
from mldfr.methods.acol import AdversarialComplementary
from mldfr.methods.danet import DivergentActivation
from mldfr.methods.heads import ConvCls, Head
from mldfr.methods.i2c import InterImageCommunication
from mldfr.methods.spg import GuidedConvCls, SelfProducedGuidance
from mldfr.networks.backbones.base import remove_strides
from mldfr.networks.backbones.inception import DenseInceptionB, pad_like_wsolevaluation

LIKE_CAM = ("cam", "has", "cutmix", "adl", "tap")
"""Methods that add no parameter to CAM's network."""
FAMILIES, ORDERS = 37, 11
"""Of CUB's birds, which the published DANet was made for."""


class PublishedNetwork(nn.Module):
    """A trunk in four parts, a head that may look at the second and third too, and what was published with it.

    Args:
        parts: Of the trunk.
        head: Of the method.
        unused: A layer that is counted, and that nothing reads.
        input_size: Side of its pictures in pixels.
    """

    def __init__(self, parts: Sequence[nn.Module], head: Head, *, unused: nn.Module | None, input_size: int) -> None:
        super().__init__()
        self.parts, self.head = nn.ModuleList(parts), head
        self.unused, self.input_size = unused, input_size

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, S, S) and labels to what the method's loss is given: one pass through all that it has."""
        x, kept = images, []
        for index, part in enumerate(self.parts):
            x = part(x)
            if index in self.head.earlier:
                kept.append(x)
        return self.head.training_outputs(x, targets, *([kept] if kept else []))


@dataclass(frozen=True)
class _Trunk:
    """A trunk as one method has it: its four parts and the channels behind each."""

    parts: Sequence[nn.Module]
    channels: tuple[int, int, int, int]
    input_size: int = 224
    width: int = 512
    """Of SPG's maps on stages."""
    aux: bool = True
    """Whether I2C has its unused layer."""


def published(backbone: str, method: str, *, num_classes: int = 1000) -> PublishedNetwork:
    """The network of a method on a backbone, at random, as Table V counts it.

    Args:
        backbone: `vgg16`, `inception_v3` or `resnet50`.
        method: `cam`, `acol`, `spg`, `danet`, `i2c`; `has`, `cutmix`, `adl` and `tap` have the network of CAM.
        num_classes: K.

    Raises:
        SettingError: The paper has no such pair.

    Examples:
        >>> import torch
        >>> with torch.device("meta"):
        ...     network = published("vgg16", "acol")
        >>> sum(part.numel() for part in network.parameters())
        45080336
    """
    name = "cam" if method in LIKE_CAM else method
    if backbone not in TRUNKS or name not in HEADS or (name == "danet" and backbone != "vgg16"):
        raise SettingError(
            f"there is no published network of {method} on {backbone}: expected {', '.join(LIKE_CAM)}, acol, spg or "
            f"i2c on {', '.join(TRUNKS)}, or danet on vgg16"
        )
    trunk = TRUNKS[backbone](name)
    head = HEADS[name](trunk, num_classes)
    unused = ConvCls(trunk.channels[-1], num_classes, bias=True) if name == "i2c" and trunk.aux else None
    return PublishedNetwork(trunk.parts, head, unused=unused, input_size=trunk.input_size)


def _vgg16(method: str) -> _Trunk:
    layers = vgg16(weights=None).features
    if method == "i2c":  # stride 8
        layers[23] = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
    begin, third, fourth, fifth = layers[:10], layers[10:17], layers[17:24], layers[24:30]
    if method == "spg":
        parts = [nn.Sequential(begin, third), fourth, fifth, _convolutions(512, 512, 512)]
        return _Trunk(parts, (256, 512, 512, 512))
    if method == "cam":
        return _Trunk([begin, third, fourth, nn.Sequential(fifth, _convolutions(512, 1024))], (128, 256, 512, 1024))
    return _Trunk([begin, third, fourth, fifth], (128, 256, 512, 512), aux=False)


def _inception_v3(method: str) -> _Trunk:
    trunk = inception_v3(weights=None, aux_logits=False, init_weights=False)
    pad_like_wsolevaluation(trunk)
    begin = [trunk.Conv2d_1a_3x3, trunk.Conv2d_2a_3x3, trunk.Conv2d_2b_3x3, trunk.maxpool1]
    begin += [trunk.Conv2d_3b_1x1, trunk.Conv2d_4a_3x3, trunk.maxpool2]
    fifth = [trunk.Mixed_5b, trunk.Mixed_5c, trunk.Mixed_5d]
    if method != "i2c":  # stride 16
        fifth.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
    sixth = [DenseInceptionB(trunk.Mixed_6a), trunk.Mixed_6b, trunk.Mixed_6c, trunk.Mixed_6d, trunk.Mixed_6e]
    deep = method in ("cam", "spg")
    last = _convolutions(768, 1024, 1024) if deep else nn.Identity()
    parts = [nn.Sequential(*begin), nn.Sequential(*fifth), nn.Sequential(*sixth), last]
    return _Trunk(parts, (192, 288, 768, 1024 if deep else 768), input_size=299)


def _resnet50(method: str) -> _Trunk:
    trunk = resnet50(weights=None)
    remove_strides(trunk, "layer4.0.conv2", "layer4.0.downsample.0")
    if method == "i2c":  # stride 8
        remove_strides(trunk, "layer3.0.conv2", "layer3.0.downsample.0")
    begin = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool, trunk.layer1, trunk.layer2)
    parts = [begin, trunk.layer3[0], trunk.layer3[1:], trunk.layer4]
    return _Trunk(parts, (512, 1024, 1024, 2048), width=1024)


def _convolutions(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _guided(trunk: _Trunk, classes: int) -> Head:
    width, thresholds = trunk.width, SelfProducedGuidance().thresholds
    return GuidedConvCls(trunk.channels, classes, bias=True, width=width, last_width=512, thresholds=thresholds)


def _divergent(trunk: _Trunk, classes: int) -> Head:
    families = tuple(index % FAMILIES for index in range(classes))
    orders = tuple(index % ORDERS for index in range(FAMILIES))
    return DivergentActivation(families=families, orders=orders).head_on_stages(trunk.channels, classes, bias=True)


TRUNKS: dict[str, Callable[[str], _Trunk]] = {"vgg16": _vgg16, "inception_v3": _inception_v3, "resnet50": _resnet50}
HEADS: dict[str, Callable[[_Trunk, int], Head]] = {
    "cam": lambda trunk, classes: ConvCls(trunk.channels[-1], classes, bias=True),
    "acol": lambda trunk, classes: AdversarialComplementary().head(trunk.channels[-1], classes, bias=True),
    "spg": _guided,
    "i2c": lambda trunk, classes: InterImageCommunication().head(trunk.channels[-1], classes, bias=True),
    "danet": _divergent,
}
