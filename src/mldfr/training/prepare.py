"""From a data set and a recipe to what is trained, on what."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mldfr.core.types import Sample
from mldfr.data import DataError, DataSet, open_data
from mldfr.data.base import renumbered
from mldfr.data.class_names import match_classes
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.examples import Example, hold_out
from mldfr.training.recipe import Recipe
from mldfr.training.run_folder import RunError, read_run

USUAL = ("train", "trainval")
"""The splits that are learned from where none is named, the first that the data has."""


@dataclass(frozen=True)
class Material:
    """What there is to learn from.

    Attributes:
        classes: K names.
        multi_label: Whether an image may have several classes.
        train: What is learned from: names, paths and labels, and nothing that says where.
        held_out: What is kept to choose pyramid and threshold by.
        unlabelled: How many pictures were left out because they have no label.
        splits: How many pictures of each class each split of the set has.
        note: What a user should know of how the split was chosen, or "".

    Examples:
        >>> from mldfr.data import open_data
        >>> from mldfr.training.recipe import load_recipe
        >>> prepare(open_data("folder:sorted"), load_recipe("finetune", ["data.classes=[cup, cat]"])).classes
        ('cup', 'cat')
    """

    classes: tuple[str, ...]
    multi_label: bool
    train: tuple[Example, ...]
    held_out: tuple[Sample, ...]
    unlabelled: int
    splits: Mapping[str, list[int]]
    note: str = ""

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
        return _per_class(self.train, len(self.classes))


def _per_class(items: Iterable[Example | Sample], classes: int) -> list[int]:
    counted = Counter(label for item in items for label in item.labels)
    return [counted[label] for label in range(classes)]


def prepare(data: DataSet, recipe: Recipe) -> Material:
    """Take the classes and the split that the recipe names, and hold a part of it out.

    In a set with one label per image, images without a label are left out; where an image may have several, an image
    without any is an example against all of them.

    Raises:
        DataError: No such class or split, fewer than two classes, or nothing to learn from.

    Examples:
        >>> from mldfr.data import open_data
        >>> from mldfr.training.recipe import load_recipe
        >>> material = prepare(open_data("folder:sorted"), load_recipe("finetune"))
        >>> material.classes, len(material.train), len(material.held_out)
        (('cat', 'cup'), 1, 1)
    """
    data, samples, note = _chosen(data, recipe)
    usable = [sample for sample in samples if sample.labels or data.multi_label]
    if len(data.classes) < 2 and not data.multi_label:
        raise DataError(f"training needs at least two classes; the data has {', '.join(data.classes) or 'none'}")
    kept, held_out = hold_out(usable, recipe.data.held_out, recipe.data.held_out_seed)
    if not kept:
        raise DataError("there are no labelled pictures to learn from")
    if not any(sample.path.exists() for sample in kept[:: max(1, len(kept) // 100)]):
        raise DataError(f"{kept[0].path}: no such picture, and none of a hundred others")
    return Material(
        classes=data.classes,
        multi_label=data.multi_label,
        train=tuple(Example(sample.id, sample.path, sample.labels) for sample in kept),
        held_out=tuple(held_out),
        unlabelled=len(samples) - len(usable),
        splits={name: _per_class(members, len(data.classes)) for name, members in data.splits.items()},
        note=note,
    )


def _chosen(data: DataSet, recipe: Recipe) -> tuple[DataSet, tuple[Sample, ...], str]:
    """The classes and the split that the recipe names, and a note on the split.

    Without a name that is `train`, else `trainval`, else the only one.
    """
    if recipe.data.classes:
        data = data.of_classes(recipe.data.classes)
    split, note = data.choose_split(recipe.data.split, *USUAL)
    return data, data.split(split), note


def held_out_samples(run: Path, classes: Sequence[str] | None = None) -> list[Sample]:
    """The pictures that a run held out, with what their data set knows of them.

    Args:
        run: The run's folder.
        classes: Names, in the order in which the labels shall be numbered, as the data may have got other classes
            since; None is the data's own order.

    Raises:
        ValueError: No run, data that is not there any more, a class that is none of these, or nothing held out.
    """
    recipe, facts, split = read_run(run)
    if not split.held_out:
        raise RunError(f"{run}: the run held nothing out")
    data, members, _ = _chosen(open_data(facts.data), recipe)
    known = {sample.id: sample for sample in members}
    if lost := [name for name in split.held_out if name not in known]:
        raise DataError(f"{facts.data}: {len(lost)} held-out pictures are not there any more, such as {lost[0]}")
    samples = [known[name] for name in split.held_out]
    if classes is None:
        return samples
    used = sorted({label for sample in samples for label in sample.labels})
    numbers = match_classes([data.classes[label] for label in used], classes).numbers
    return [renumbered(sample, dict(zip(used, numbers, strict=True))) for sample in samples]


def create_network(recipe: Recipe, material: Material, *, pretrained: bool = True) -> LocalizationNetwork:
    """The network at its start, its card saying how it is going to be used.

    Args:
        recipe: What it is.
        material: Which classes it has.
        pretrained: False leaves it at random, where a checkpoint will replace its weights.

    Raises:
        ValueError: Options that the recalibration does not have, or a linear head wanted of a method that has none.
        WeightsError: Weights that do not exist or do not fit.
    """
    model = recipe.model
    network = LocalizationNetwork.create(
        model.backbone,
        **model.model_dump(exclude={"backbone", "weights"}),
        class_names=material.classes,
        weights=model.weights if pretrained else None,
        multi_label=material.multi_label,
        method=recipe.method,
        method_options=recipe.method_options,
    )
    if recipe.probe.when != "never":  # a head that is no linear layer says so before there is a run
        network.head.pooled(torch.zeros(1, network.backbone.channels[-1], 1, 1))
    update: dict[str, Any] = {"localization": recipe.localization}
    if size := recipe.augmentation.input_size:  # scale 1 is the size that was trained
        update["preprocessing"] = network.card.preprocessing.model_copy(update={"input_size": size})
    network.card = network.card.model_copy(update=update)
    return network
