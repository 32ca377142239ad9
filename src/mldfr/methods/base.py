"""The contract of a method: everything in which it may differ from plain class activation mapping.

A method is a frozen dataclass. Its fields are its options, `method_options` of a recipe; each of its functions is one
place where methods differ, and does here what plain CAM does. So a method overrides what it changes, and no more.

| a method that | overrides |
|---|---|
| changes the pictures of a batch, or mixes their labels | `augment` |
| puts modules behind stages of the trunk, or behind blocks within them | `stage_modules` |
| has another head, with other score maps or logits | `head` |
| has one that looks at earlier stages too in training | `head_on_stages` |
| wants pictures of one class beside each other in a batch | `together` |
| is trained with another loss | `loss` |

Parameters and buffers of its modules are in the model file and in checkpoints as those of any other module are. What a
method draws at random it draws from the generator that it is handed, and what a module draws in training from PyTorch's
own, as dropout does, whose state is in checkpoints: a run that was killed and resumed draws the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mldfr.core.errors import SettingError
from mldfr.methods import METHODS
from mldfr.methods.heads import ConvCls, Head

Place = int | str
"""A stage of the trunk, 0 to 3, or the dotted name of a block within one, such as `layer3.0`."""


@dataclass(frozen=True)
class Method:
    """What a method of weakly supervised localization does otherwise than plain CAM.

    Examples:
        >>> images, targets = torch.rand(2, 3, 64, 64), torch.tensor([0, 1])
        >>> Method().augment(images, targets, torch.Generator(), num_classes=2)[0] is images  # plain CAM
        True
        >>> Method().head(16, 3, bias=True)
        ConvCls(16, 3, kernel_size=(1, 1), stride=(1, 1))
    """

    together: ClassVar[int] = 1
    """How many pictures of one class stand beside each other in a batch; where a class has too few, others fill up."""

    def head(self, channels: int, num_classes: int, *, bias: bool) -> Head:
        """What goes from features (B, channels, h, w) to score maps and logits of `num_classes` classes."""
        return ConvCls(channels, num_classes, bias=bias)

    def head_on_stages(self, channels: Sequence[int], num_classes: int, *, bias: bool) -> Head:
        """`head`, for one that names earlier stages (see `Head.earlier`) and has to know their channels.

        Args:
            channels: Behind each stage of the trunk.
            num_classes: K.
            bias: As `head` has it.
        """
        return self.head(channels[-1], num_classes, bias=bias)

    def stage_modules(self, channels: Sequence[int]) -> Mapping[int, nn.Module] | Mapping[Place, nn.Module]:
        """Modules that keep the shape of what they get, by the place behind which each stands.

        Behind a stage means behind its recalibration. One that is for training alone is the identity in eval mode.

        Args:
            channels: Behind each stage of the trunk.
        """
        return {}

    def augment(
        self, images: Tensor, targets: Tensor, generator: torch.Generator, *, num_classes: int
    ) -> tuple[Tensor, Tensor]:
        """Change a batch before the network sees it; what was handed in stays as it was.

        Args:
            images: (B, 3, S, S) float32, normalised: 0 is the mean of the pictures.
            targets: (B,) class indices; (B, K) zeros and ones where a picture may have several classes.
            generator: On the CPU, seeded by the place in the run.
            num_classes: K.

        Returns:
            Images, and targets as they came or soft ones, (B, K) float32 (see `soft`).
        """
        return images, targets

    def loss(self, outputs: Sequence[Tensor], targets: Tensor, *, multi_label: bool) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: What `Head.training_outputs` gave; the first are logits (B, K).
            targets: What `augment` gave.
            multi_label: Whether a picture may have several classes.
        """
        return classification_loss(outputs[0], targets, multi_label=multi_label)


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method of a name with its options.

    Raises:
        UnknownNameError: No such method.
        SettingError: Options that it does not have, or values that are not possible.

    Examples:
        >>> make_method("has", {"cell": 32})
        HideAndSeek(cell=32, rate=0.5)
    """
    kind = METHODS[name]
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise SettingError(f"method {name}: expected a dataclass derived from mldfr.methods.base.Method; got {kind!r}")
    known = [field.name for field in fields(kind)]
    if unknown := sorted(options.keys() - set(known)):
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise SettingError(f"method_options of {name}: unknown {', '.join(unknown)}; {has}")
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise SettingError(f"method_options of {name}: {error}") from error


def classification_loss(logits: Tensor, targets: Tensor, *, multi_label: bool) -> Tensor:
    """Cross-entropy, or where a picture may have several classes one-vs-all logistic loss, mean over classes.

    Args:
        logits: (B, K).
        targets: Class indices (B,), or a share of each class (B, K).
        multi_label: Which of the two losses.
    """
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets)
    if multi_label:
        return F.multilabel_soft_margin_loss(logits, targets.float())
    return F.cross_entropy(logits, targets.float())


def soft(targets: Tensor, num_classes: int) -> Tensor:
    """Targets as shares of classes (B, K), float32: one-hot rows of class indices, others as they are."""
    return F.one_hot(targets, num_classes).float() if targets.ndim == 1 else targets.float()


def present_class(targets: Tensor) -> Tensor:
    """One class of each picture (B,), for methods that are defined for one: drawn at random where it has several.

    Args:
        targets: Class indices (B,), or a share of each class (B, K), of which any over 0 may be drawn. Where all are 0
            the class may be any.
    """
    if targets.ndim == 1:
        return targets
    return (torch.rand(targets.shape, device=targets.device) + (targets > 0)).argmax(dim=1)


def check_share(name: str, value: float) -> None:
    """Refuse what is no share.

    Raises:
        SettingError: Not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SettingError(f"{name} is a number from 0 to 1; got {value!r}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is no finite number over 0.

    Raises:
        SettingError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise SettingError(f"{name} is a number over 0; got {value!r}")


def check_not_negative(name: str, value: float) -> None:
    """Refuse what is no finite number from 0 on.

    Raises:
        SettingError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise SettingError(f"{name} is a number, at least 0; got {value!r}")


def check_count(name: str, value: int) -> None:
    """Refuse what is no number of something.

    Raises:
        SettingError: Not a whole number over 0.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(f"{name} is a whole number, at least 1; got {value!r}")
