"""Which parameters learn at which rate: those of the trunk, and those of layers that are new."""

from collections.abc import Collection
from typing import Any

import torch

from mldfr.networks.network import LocalizationNetwork
from mldfr.training import checkpoint
from mldfr.training.optimization import Training

TRUNK = "backbone.trunk."


def new_parameters(network: LocalizationNetwork) -> list[str]:
    """Names of the parameters of those layers that no pretrained weights are for, whatever it has started from.

    In a network that goes on from a saved model: of those that were not taken from it.

    Examples:
        >>> bare = {"last_downsampling": "dilate", "recalibration": "none"}
        >>> new_parameters(LocalizationNetwork.create("mobilenet_v2", num_classes=2, **bare))
        ['head.weight']
    """
    names = [name for name, _ in network.named_parameters()]
    if network.taken is not None:
        return [name for name in names if name not in network.taken]
    # By the layer and not by the parameter: one that loses its normalisation gets a bias.
    return [name for name in names if not name.startswith(TRUNK) or _layer(name) in network.backbone.new]


def _layer(name: str) -> str:
    """The module of the trunk that has the parameter of this name."""
    return name.removeprefix(TRUNK).rpartition(".")[0]


def parameter_groups(
    network: LocalizationNetwork, training: Training, *, new: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """The parameters as an optimizer takes them: a single group, or the trunk's and then, at their rate, the new ones.

    Args:
        network: Whose parameters.
        training: `lr` and `new_layers`.
        new: Names of the new ones, where they are known; else `new_parameters` finds them.

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=2)
        >>> trunk, new = parameter_groups(network, Training(lr=0.01, new_layers=10))
        >>> new["lr"], new["names"][-1]
        (0.1, 'head.weight')
    """
    parameters = dict(network.named_parameters())
    if training.new_layers == 1:
        return [{"params": list(parameters.values())}]
    names = list(new_parameters(network) if new is None else new)
    trunk = [parameter for name, parameter in parameters.items() if name not in names]
    fast = [parameters[name] for name in names]
    return [{"params": trunk}, {"params": fast, "lr": training.lr * training.new_layers, "names": names}]


def make_optimizer(
    network: LocalizationNetwork, training: Training, state: checkpoint.State | None = None
) -> torch.optim.SGD:
    """SGD as the recipe has it; the new layers of a run that goes on are those with which it has begun.

    Args:
        network: What is trained.
        training: Rates, momentum and decay.
        state: Where a run stands that is taken up, which may have begun from a model that is not there any more.
    """
    new = state["optimizer"]["param_groups"][-1].get("names") if state else None
    return torch.optim.SGD(
        parameter_groups(network, training, new=new),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.nesterov,
    )
