"""Linear probing: prepared features of the training pictures, and the head that is fitted on them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mldfr.networks.network import LocalizationNetwork
from mldfr.training import run_folder
from mldfr.training.linear_head import Fit, Problem, cross_validate
from mldfr.training.linear_probe import LinearProbe
from mldfr.training.prepare import Material
from mldfr.training.prepared_features import Follow, bytes_on_disk, prepared_features, unwatched, views_of
from mldfr.training.training_state import TrainingError

FEATURES = "features"


class Probed(NamedTuple):
    """What linear probing came to."""

    on_train: Fit
    """How the head does on the pictures that it was fitted on."""
    left_out: Fit
    """How heads of the same penalty did on pictures that they were not fitted on, in cross-validation."""


def probe(
    network: LocalizationNetwork,
    material: Material,
    folder: Path,
    *,
    choice: LinearProbe,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
    follow: Follow = unwatched,
) -> Probed:
    """Fit a network's head on what its trunk says of the training pictures as it is.

    Args:
        network: Its head is replaced.
        material: What is learned from.
        folder: The run folder, in which the features are kept; those that are there are not computed again.
        choice: How pictures are looked at, and how the regulariser is chosen.
        seed: Of the parts of the cross-validation.
        say: Told what a user should know.
        follow: Handed the features of the pictures as they come.

    Raises:
        TrainingError: Fewer than two pictures can be read.
        SettingError: The head of the network's method is no linear layer.
    """
    views, pictures = views_of(choice.scales, flip=choice.flip), len(material.train)
    size = bytes_on_disk(pictures, len(views), network.backbone.channels[-1])
    say(f"features of {pictures:,} pictures, {len(views)} views each: {size / 2**20:.0f} MiB in {folder / FEATURES}")
    parts = prepared_features(network, material.train, folder / FEATURES, views=views, follow=follow)
    for path, reason in (unreadable for part in parts for unreadable in part.unreadable):
        if run_folder.note_unreadable(folder, path, reason):
            say(f"skipped {path}: {reason}")
    if (count := sum(len(part.pictures) for part in parts)) < 2:  # one to fit on while the other is left out
        raise TrainingError(f"a linear head needs at least two pictures that can be read; there are {count}")
    problem = Problem(parts, material.targets(), num_classes=len(material.classes))
    left_out = min(cross_validate(problem, folds=choice.folds, seed=seed), key=lambda fit: fit.loss)
    head = problem.head(problem.minimum(left_out.penalty))
    network.head.take_classifier(head.weight, head.bias)
    say(
        f"a linear head with penalty {left_out.penalty:g}; in cross-validation the most probable class of "
        f"{left_out.top1:.1%} of the training pictures is right"
    )
    return Probed(problem.measured(head, left_out.penalty), left_out)
