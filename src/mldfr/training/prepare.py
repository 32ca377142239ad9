"""From a data set and a recipe to what is trained, on what."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mldfr.data.base import DataError, DataSet
from mldfr.network import LocalizationNetwork
from mldfr.training.examples import Example, hold_out
from mldfr.training.recipe import Recipe
from mldfr.types import Sample


@dataclass(frozen=True)
class Material:
    """What there is to learn from.

    Attributes:
        classes: K names.
        multi_label: Whether an image may have several classes.
        train: What is learned from: names, paths and labels, and nothing that says where.
        held_out: What is kept to choose pyramid and threshold by.
        unlabelled: How many pictures were left out because they have no label.
        splits: How many pictures each split of the set has.
    """

    classes: tuple[str, ...]
    multi_label: bool
    train: tuple[Example, ...]
    held_out: tuple[Sample, ...]
    unlabelled: int
    splits: Mapping[str, int]

    def targets(self) -> Tensor:
        """(n,) class indices; (n, K) zeros and ones, uint8, where an image may have several classes."""
        if not self.multi_label:
            return torch.tensor([example.labels[0] for example in self.train])
        targets = torch.zeros(len(self.train), len(self.classes), dtype=torch.uint8)
        for row, example in zip(targets, self.train, strict=True):
            row[list(example.labels)] = 1
        return targets

    def per_class(self) -> list[int]:
        """Training pictures of each class."""
        counted = Counter(label for example in self.train for label in example.labels)
        return [counted[label] for label in range(len(self.classes))]


def prepare(data: DataSet, recipe: Recipe) -> Material:
    """Take the classes and the split that the recipe names, and hold a part of it out.

    In a set with one label per image, images without a label are left out; where an image may have several, an image
    without any is an example against all of them.

    Raises:
        DataError: No such class or split, fewer than two classes, or nothing to learn from.
    """
    if recipe.data.classes:
        data = data.of_classes(recipe.data.classes)
    samples = data.split(recipe.data.split)
    usable = [sample for sample in samples if sample.labels or data.multi_label]
    if len(data.classes) < 2 and not data.multi_label:
        raise DataError(f"training needs at least two classes; the data has {', '.join(data.classes) or 'none'}")
    kept, held_out = hold_out(usable, recipe.data.held_out, recipe.data.held_out_seed)
    if not kept:
        raise DataError(f"split {recipe.data.split!r} has no labelled pictures to learn from")
    return Material(
        classes=data.classes,
        multi_label=data.multi_label,
        train=tuple(Example(sample.id, sample.path, sample.labels) for sample in kept),
        held_out=tuple(held_out),
        unlabelled=len(samples) - len(usable),
        splits={name: len(members) for name, members in data.splits.items()},
    )


def create_network(recipe: Recipe, material: Material) -> LocalizationNetwork:
    """The network at its start, its card saying how it is going to be used.

    Raises:
        ValueError: Options that the recalibration does not have.
        WeightsError: Weights that do not exist or do not fit.
    """
    model = recipe.model
    network = LocalizationNetwork.create(
        model.backbone,
        class_names=material.classes,
        last_downsampling=model.last_downsampling,
        recalibration=model.recalibration,
        recalibration_options=model.recalibration_options,
        convolution=model.convolution,
        classifier_bias=model.classifier_bias,
        weights=model.weights,
        multi_label=material.multi_label,
    )
    update: dict[str, Any] = {"localization": recipe.localization}
    if size := recipe.augmentation.input_size:  # scale 1 is the size that was trained
        update["preprocessing"] = network.card.preprocessing.model_copy(update={"input_size": size})
    network.card = network.card.model_copy(update=update)
    return network
